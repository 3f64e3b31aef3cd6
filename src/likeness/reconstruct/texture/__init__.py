"""The person's own skin: photographs -> a texture of the head."""

from likeness.reconstruct.texture.blend import texture_of
from likeness.reconstruct.texture.relief import normal_map_of
from likeness.reconstruct.texture.view import View, light_on

__all__ = ["View", "light_on", "normal_map_of", "texture_of"]

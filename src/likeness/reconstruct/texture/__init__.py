"""The person's own skin: photographs -> a texture of the head."""

from likeness.reconstruct.texture.blend import texture_of
from likeness.reconstruct.texture.view import View

__all__ = ["View", "texture_of"]

"""Pictures of meshes: rasteriser, light, shading, and what is drawn with them."""

from likeness.render.shading import draw_points, overlay, render_image

__all__ = ["draw_points", "overlay", "render_image"]

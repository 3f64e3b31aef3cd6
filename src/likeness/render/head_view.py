"""A head as pictures show it beside each other: upright, in the middle, always from the same distance."""

from __future__ import annotations

import numpy as np

from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.render.paint import Paint
from likeness.render.shading import render_image
from likeness.render.texture import Texture

DISTANCE_MM = 1200.0
"""From the camera to the middle of what is shown."""

WHITE = (1.0, 1.0, 1.0)


def head_view(
    vertices: np.ndarray,
    triangles: np.ndarray,
    middle: np.ndarray,
    shown_mm: float,
    side: int,
    *,
    yaw: float = 0.0,
    albedo: np.ndarray | Texture | Paint | None = None,
    light: np.ndarray | None = None,
    cull: bool = True,
) -> np.ndarray:
    """A head on white, from the front or turned.

    Args:
        vertices: (V, 3) mm, model axes.
        triangles: (F, 3), counter-clockwise seen from outside.
        middle: (3,) mm, what is looked at and turned around.
        shown_mm: what the picture's side covers at the distance of ``middle``.
        side: of the square picture, pixels.
        yaw: radians, how far the head is turned to the subject's left.
        albedo: (V, 3) linear RGB reflectance, or a texture, or the paint of several parts; None:
            grey clay.
        light: (9, 3) in light axes; None: a studio's.
        cull: leave out triangles that face away; else they are lit as if seen from their front.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    rotation = FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0)
    camera = Camera(side * DISTANCE_MM / shown_mm, image_center((side, side)), (side, side))
    translation = np.array([0.0, 0.0, DISTANCE_MM]) - rotation @ middle
    return render_image(vertices, triangles, albedo, camera, rotation, translation, light, WHITE, cull=cull)

"""The picture that shows a reconstruction at a glance: photo | overlay | two views with skin | two grey."""

from __future__ import annotations

import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.geometry.crop import Crop
from likeness.render import overlay
from likeness.render.head_view import head_view
from likeness.render.texture import Texture

PANEL = 320  # px, the side of each of the four square pictures
HEAD_MM = 290.0  # what a neutral view's side covers
YAWS = (0.0, 0.7)  # of the neutral views


def overview(
    photo: np.ndarray,
    vertices: np.ndarray,
    neutral: np.ndarray,
    triangles: np.ndarray,
    camera: Camera,
    rotation: np.ndarray,
    translation: np.ndarray,
    side: int = PANEL,
    texture: Texture | None = None,
) -> np.ndarray:
    """Four or six square pictures in a row.

    The photo and the overlay show the head's surroundings; the last two views are grey, so that only the shape
    speaks.

    Args:
        photo: (H, W, 3) uint8 RGB.
        vertices, neutral: (V, 3) mm, model axes, with the photo's expression and at rest.
        triangles: (F, 3).
        camera: of the photo.
        rotation, translation: model axes -> camera axes, (3, 3) and (3,) mm.
        side: of each picture, pixels.
        texture: of the head, for two more views before the grey ones; None: there is none.

    Returns:
        (side, 4 side or 6 side, 3) uint8 RGB.
    """
    pixels = project(camera, vertices @ rotation.T + translation)
    low, high = pixels.min(0), pixels.max(0)
    window = Crop.from_box((low + high) / 2, 1.08 * float((high - low).max()), side)
    shown = window.extract(photo)
    closer = Camera(camera.focal / window.scale, tuple(window.to_crop(np.array(camera.center))), (side, side))
    laid_over = overlay(shown, vertices, triangles, closer, rotation, translation, alpha=0.8)
    middle = (neutral.max(0) + neutral.min(0)) / 2
    skins = [None] if texture is None else [texture, None]
    views = [
        head_view(neutral, triangles, middle, HEAD_MM, side, yaw=yaw, albedo=skin) for skin in skins for yaw in YAWS
    ]
    return np.concatenate([shown, laid_over, *views], axis=1)

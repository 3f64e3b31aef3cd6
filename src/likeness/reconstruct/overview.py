"""The picture that shows a reconstruction at a glance: photo | overlay | neutral front | three-quarter view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from likeness.geometry.camera import Camera, Crop, image_center, project
from likeness.geometry.rotation import FRONTAL, rotation_from_euler

if TYPE_CHECKING:
    from likeness.reconstruct.result import Reconstruction

PANEL = 320  # px, the side of each of the four square pictures
HEAD_MM = 290.0  # what a neutral view's side covers
DISTANCE_MM = 1200.0


def sheet(face: Reconstruction, side: int = PANEL) -> np.ndarray:
    """Four square pictures in a row, (side, 4 side, 3) uint8 RGB.

    The photo and the overlay show the head's surroundings; the neutral views are grey, so that only the shape
    speaks.
    """
    from likeness.render import overlay

    vertices = face.vertices()
    pixels = project(face.camera, vertices @ face.rotation.T + face.translation)
    low, high = pixels.min(0), pixels.max(0)
    window = Crop.from_box((low + high) / 2, 1.08 * float((high - low).max()), side)
    photo = window.extract(face.photo)
    camera = Camera(
        face.camera.focal / window.scale, tuple(window.to_crop(np.array(face.camera.center))), (side, side)
    )
    laid_over = overlay(
        photo, vertices, face.model.topology.triangles, camera, face.rotation, face.translation, alpha=0.8
    )
    neutral = face.vertices(neutral=True)
    views = [_neutral_view(face, neutral, yaw, side) for yaw in (0.0, 0.7)]
    return np.concatenate([photo, laid_over, *views], axis=1)


def _neutral_view(face: Reconstruction, vertices: np.ndarray, yaw: float, side: int) -> np.ndarray:
    """The grey head from the front (yaw 0) or turned to the subject's left, without pose and expression."""
    from likeness.render import render_image

    rotation = FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0)
    camera = Camera(side * DISTANCE_MM / HEAD_MM, image_center((side, side)), (side, side))
    middle = (vertices.max(0) + vertices.min(0)) / 2
    translation = np.array([0.0, 0.0, DISTANCE_MM]) - rotation @ middle
    triangles = face.model.topology.triangles
    return render_image(vertices, triangles, None, camera, rotation, translation, background=(1.0, 1.0, 1.0))

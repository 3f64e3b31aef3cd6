"""The picture that shows a reconstruction at a glance: photo and two views with skin over overlay and two grey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.geometry.crop import Crop
from likeness.images.color import is_grey
from likeness.mesh import Mesh
from likeness.mesh.assembly import Assembly, vertex_colors
from likeness.model.face_model import FaceModel
from likeness.model.head import has_whole_head, whole_head
from likeness.render import overlay
from likeness.render.head_view import head_view
from likeness.render.paint import Paint, painted
from likeness.render.shading import linear_from_srgb
from likeness.render.texture import Texture

PANELS = (480, 640)
"""Least and largest height of each of the six pictures, pixels; between, a photo is shown at its own size."""

NARROW = 0.8
"""Width of a picture over its height."""

LARGER = 3.0
"""How many times as large as it is a photo is shown at most: of a smaller face more of the photo is seen instead."""

GAP = 0.015
"""White between pictures, of their height."""

HEAD_MM = 290.0  # what a view's height covers
YAWS = (0.0, 0.7)  # of the views
OVER = 0.92
"""How much of the photo the head hides: its outline and what is behind it are still seen."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Of RGB (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """What pictures draw of a head: one mesh (mm, model axes) and what it looks like."""

    mesh: Mesh
    paint: Paint

    def view(
        self, side: int, yaw: float = 0.0, *, middle: np.ndarray | None = None, grey: bool = False
    ) -> np.ndarray:
        """(side, side, 3) uint8 RGB on white, in colours or grey; ``middle`` (3,) is what is looked at."""
        points = self.mesh.vertices
        at = (points.max(0) + points.min(0)) / 2 if middle is None else middle
        surface = None if grey else self.paint
        return head_view(points, self.mesh.triangles, at, HEAD_MM, side, yaw=yaw, albedo=surface)


class Sitter:
    """A head of which portraits are made: whole where the face model knows how, else the model's surface.

    Args:
        model: the face model.
        rest: the head at rest in its topology, with colours or a texture.
    """

    def __init__(self, model: FaceModel, rest: Mesh) -> None:
        self._model = model
        self._whole: Assembly | None = whole_head(model, rest) if has_whole_head(model) else None
        if self._whole is not None:
            self._mesh, self._paint = painted(self._whole)
        else:
            self._mesh = rest
            self._paint = Paint(linear_from_srgb(vertex_colors(rest)), Texture.of(rest))

    def portrait(self, expression: np.ndarray | None = None) -> Portrait:
        """With an expression (E,), or at rest."""
        if expression is None:
            return Portrait(self._mesh, self._paint)
        weights = np.asarray(expression, np.float64)
        if self._whole is None:
            moved = self._mesh.vertices + np.tensordot(weights, self._model.expression_basis, 1)
        else:
            posed = self._whole.posed(dict(zip(self._model.expression_names, weights.tolist(), strict=True)))
            moved = np.concatenate([part.mesh.vertices for part in posed.parts])
        return Portrait(self._mesh.with_vertices(moved.astype(np.float32)), self._paint)


def overview(
    photo: np.ndarray,
    sitter: Sitter,
    expression: np.ndarray,
    camera: Camera,
    rotation: np.ndarray,
    translation: np.ndarray,
    light: np.ndarray,
    height: int | None = None,
) -> np.ndarray:
    """Two rows of three pictures: the photo around the head, and the head with the photo's expression from the front
    and turned; the head over the photo in the photo's light, and at rest from the same sides in grey, so that only
    the shape speaks. The head is equally large in all, unless a photo is small (:data:`LARGER`).

    Args:
        photo: (H, W, 3) uint8 RGB.
        sitter: the head.
        expression: (E,) of the photo.
        camera: of the photo.
        rotation, translation: model axes -> camera axes, (3, 3) and (3,) mm.
        light: (9, 3) of the photo (:mod:`likeness.render.lighting`).
        height: of each picture, pixels; None: as many as the photo has there, within :data:`PANELS`.

    Returns:
        uint8 RGB; :func:`panels` cuts it into the six again.
    """
    posed, rest = sitter.portrait(expression), sitter.portrait()
    vertices, triangles = posed.mesh.vertices, posed.mesh.triangles
    placed = vertices @ rotation.T + translation
    pixels = project(camera, placed)
    low, high = pixels.min(0), pixels.max(0)
    shown_side = max(HEAD_MM * camera.focal / float(np.median(placed[:, 2])), float((high - low).max()))
    side = int(np.clip(round(shown_side), *PANELS)) if height is None else height
    window = Crop.from_box((low + high) / 2, max(shown_side, side / LARGER), side)
    shown = _extracted(window, photo)
    closer = Camera(camera.focal / window.scale, tuple(window.to_crop(np.array(camera.center))), (side, side))
    laid_over = overlay(shown, vertices, triangles, closer, rotation, translation, posed.paint, light, alpha=OVER)
    if is_grey(shown):
        laid_over = np.repeat(np.rint(laid_over @ LUMA).astype(np.uint8)[..., None], 3, axis=2)
    middle = (rest.mesh.vertices.max(0) + rest.mesh.vertices.min(0)) / 2
    coloured = [posed.view(side, yaw, middle=middle) for yaw in YAWS]
    grey = [rest.view(side, yaw, middle=middle, grey=True) for yaw in YAWS]
    return _in_rows([shown, *coloured], [laid_over, *grey])


def _extracted(window: Crop, photo: np.ndarray) -> np.ndarray:
    """(side, side, 3) uint8 of an upright window of a photo, white beyond its edges like the pictures beside it."""
    shown = window.extract(photo)
    steps = np.arange(window.size)
    places = window.to_photo(np.stack([steps, steps], axis=1))
    inside = (places > -0.5) & (places < np.array(photo.shape[1::-1]) - 0.5)
    shown[~(inside[None, :, 0] & inside[:, None, 1])] = 255
    return shown


def _in_rows(*rows: list[np.ndarray]) -> np.ndarray:
    """Square pictures, made narrower, with white between them."""
    side = len(rows[0][0])
    width, gap = _layout(side)
    left = (side - width) // 2
    sheet = np.full((len(rows) * (side + gap) - gap, len(rows[0]) * (width + gap) - gap, 3), 255, np.uint8)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            top, start = row * (side + gap), column * (width + gap)
            sheet[top : top + side, start : start + width] = picture[:, left : left + width]
    return sheet


def _layout(height: int) -> tuple[int, int]:
    """Width of a picture of this height, and of the white between two, pixels."""
    return round(NARROW * height), round(GAP * height)


def panels(sheet: np.ndarray, height: int) -> list[np.ndarray]:
    """The six pictures of an :func:`overview` whose pictures have this height: photo, coloured from the front and
    turned, overlay, grey from the front and turned."""
    width, gap = _layout(height)
    return [
        sheet[top : top + height, left : left + width]
        for top in (0, height + gap)
        for left in (0, width + gap, 2 * (width + gap))
    ]

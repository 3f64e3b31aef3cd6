"""Pictures of faces for reports: the photo around a face, the neutral grey shape, and pairs of both."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from likeness.errors import LikenessError
from likeness.evaluate.collection import Collection
from likeness.images.encode import jpeg_bytes
from likeness.render.close_up import close_up
from likeness.render.head_view import head_view

SIDE = 160
"""Of a picture of a face, pixels."""

SHOWN_MM = 200.0
"""The size that any head is scaled to before it is drawn."""

MARGIN = 1.15


@dataclass(frozen=True, eq=False)
class Stage:
    """A fixed view, so that heads of different sizes look different.

    Args:
        middle: (3,) what is looked at, in the vertices' unit.
        reach: the height and width that is shown, in the same unit.
    """

    middle: np.ndarray
    reach: float

    @classmethod
    def around(cls, vertices: np.ndarray, region: np.ndarray | None = None) -> Stage:
        """Of a head (V, 3): all of it, or the vertices where ``region`` (V,) is true."""
        shown = vertices if region is None or not region.any() else vertices[region]
        low, high = shown.min(0), shown.max(0)
        return cls((low + high) / 2, MARGIN * float((high - low)[:2].max()))

    def draw(
        self,
        vertices: np.ndarray,
        triangles: np.ndarray,
        side: int = SIDE,
        *,
        yaw: float = 0.0,
        albedo: np.ndarray | None = None,
        light: np.ndarray | None = None,
    ) -> np.ndarray:
        """The head from the front, (side, side, 3) uint8 RGB on white; grey, or with an albedo (V, 3).

        The vertices' z is taken to point out of the face and y up, as in model axes.
        """
        scale = SHOWN_MM / max(self.reach, 1e-12)
        placed = scale * (vertices - self.middle)
        return head_view(placed, triangles, np.zeros(3), SHOWN_MM, side, yaw=yaw, albedo=albedo, light=light)


def photo_of(collection: Collection, number: int, side: int = SIDE) -> np.ndarray | None:
    """The photo around face ``number``, (side, side, 3) uint8 RGB; None where there is no photo."""
    if collection.items is None or collection.faces is None:
        return None
    try:
        image = collection.items[number].image()
    except (LikenessError, MemoryError, OSError):  # gone since it was measured; the report goes without it
        return None
    return close_up(image, collection.faces[number].landmarks, side)


def card(collection: Collection, number: int, stage: Stage | None, side: int = SIDE) -> np.ndarray | None:
    """A face: its photo beside its neutral grey shape, of what there is; None where there is neither."""
    parts = [photo_of(collection, number, side)]
    if stage is not None:
        parts.append(stage.draw(collection.vertices(number), collection.faces_triangles, side))
    known = [part for part in parts if part is not None]
    return np.concatenate(known, axis=1) if known else None


def stage_of(collection: Collection) -> Stage | None:
    """The view that shows all of a collection's faces alike; None where only codes are known."""
    if not collection.has_shapes or not len(collection.faces_triangles):
        return None
    mean = collection.aligned.reference if collection.aligned is not None else None
    if mean is None and collection.model is not None:
        mean = collection.model.mean
    return None if mean is None else Stage.around(np.asarray(mean, np.float64), collection.region)


def jpeg_uri(picture: np.ndarray) -> str:
    """(H, W, 3) uint8 RGB as a data URI: a report with forty faces stays small."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg_bytes(picture, 88)).decode()}"


def png_uri(data: bytes) -> str:
    """A PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"

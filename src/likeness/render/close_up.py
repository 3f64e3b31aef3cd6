"""Small pictures that people look at side by side: the square of a photo around a face, and a line of text on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likeness.errors import printable
from likeness.geometry.crop import Crop
from likeness.render import draw_points

_INK = (60, 60, 60)


def close_up(image: np.ndarray, landmarks: np.ndarray, side: int, marks: Sequence[np.ndarray] = ()) -> np.ndarray:
    """The square of a photo around 68 landmarks, with points (68, 2) drawn: the first green, the next red."""
    low, high = landmarks.min(0), landmarks.max(0)
    crop = Crop.from_box((low + high) / 2, 1.5 * max(float((high - low).max()), 1.0), side)
    picture = crop.extract(image)
    for points, color in zip(marks, ((0.1, 0.85, 0.35), (1.0, 0.2, 0.2)), strict=False):
        picture = draw_points(picture, crop.to_crop(points), color, max(1.0, side / 160))
    return picture


def labelled(picture: np.ndarray, text: str, size: float = 0.4) -> np.ndarray:
    """The picture with a line of text on its upper left corner, readable on light and dark."""
    import cv2

    out, shown = np.ascontiguousarray(picture), printable(text)  # OpenCV crashes where text is no Unicode
    for thickness, ink in ((3, (255, 255, 255)), (1, _INK)):
        place = (3, round(30 * size) + 1)
        cv2.putText(out, shown, place, cv2.FONT_HERSHEY_SIMPLEX, size, ink, thickness, cv2.LINE_AA)
    return out

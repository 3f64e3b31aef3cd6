"""The pinhole camera.

Conventions (CONVENTIONS.md): a model point ``x`` (mm) lands on ``pixel = K (R x + t)``; camera axes are
OpenCV's (x right, y down, z forward); pixel (0, 0) is the centre of the first pixel, so an image spans
-0.5 … width - 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.geometry.rotation import (
    stack,
)

FOCAL_PER_SIZE = 4.5
"""Focal length of a crop's camera over the crop's size: a head that fills the crop is about 0.9 m away."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion and with square pixels.

    Args:
        focal: focal length, pixels, > 0.
        center: principal point (x, y), pixels (0, 0 is the centre of the first pixel).
        size: the image's (width, height), pixels.
    """

    focal: float
    center: tuple[float, float]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.focal) and self.focal > 0):
            raise ValueError(f"expected a focal length > 0 pixels, got {self.focal}")
        if len(self.center) != 2 or not all(math.isfinite(c) for c in self.center):
            raise ValueError(f"expected a principal point (x, y), got {self.center}")
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"expected an image size (width, height) of at least 1, got {self.size}")

    @classmethod
    def from_fov(cls, fov: float, size: tuple[int, int]) -> Camera:
        """The camera with a field of view of ``fov`` radians (0 … pi) over the longer side, centred."""
        if not 0.0 < fov < math.pi:
            raise ValueError(f"expected a field of view between 0 and pi radians, got {fov}")
        return cls(max(size) / (2.0 * math.tan(fov / 2.0)), image_center(size), size)

    @classmethod
    def from_crop_size(cls, size: int) -> Camera:
        """The camera of a ``size`` × ``size`` crop: fixed focal length, principal point in the middle."""
        return cls(FOCAL_PER_SIZE * size, image_center((size, size)), (size, size))

    @property
    def matrix(self) -> np.ndarray:
        """K, (3, 3) float64: camera axes -> homogeneous pixels."""
        (x, y), f = self.center, self.focal
        return np.array([[f, 0.0, x], [0.0, f, y], [0.0, 0.0, 1.0]])

    def project(self, points: Any) -> Any:
        """Points in camera axes (..., 3) -> pixels (..., 2); ``project`` as a method."""
        return project(self, points)

    def scaled(self, factor: float) -> Camera:
        """The camera of the same view on an image ``factor`` times as large (size rounded, at least 1)."""
        width, height = (max(1, round(side * factor)) for side in self.size)
        x, y = ((c + 0.5) * factor - 0.5 for c in self.center)
        return Camera(self.focal * factor, (x, y), (width, height))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON; ``from_dict`` reads them back."""
        return {
            "focal": float(self.focal),
            "center": [*map(float, self.center)],
            "size": [*map(int, self.size)],
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Camera:
        """The camera that ``to_dict`` wrote.

        Raises:
            ValueError: a field is missing or is not what a camera takes.
        """
        try:
            x, y = fields["center"]
            width, height = fields["size"]
            return cls(float(fields["focal"]), (float(x), float(y)), (int(width), int(height)))
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected a camera with focal, center and size, got {fields!r}") from error


def image_center(size: tuple[int, int]) -> tuple[float, float]:
    """The middle of an image of (width, height): a pixel's centre when the side is odd."""
    return (size[0] - 1) / 2.0, (size[1] - 1) / 2.0


def project(camera: Camera, points: Any) -> Any:
    """Points in camera axes (..., 3) -> pixels (..., 2): x, y over z times the focal length plus centre.

    NumPy arrays and torch tensors alike; a tensor keeps its gradient. Points with z <= 0 are behind the
    camera and their pixels are meaningless.
    """
    x, y = camera.center
    scale = camera.focal / points[..., 2]
    return stack([points[..., 0] * scale + x, points[..., 1] * scale + y], axis=-1)

"""Random smooth warps of crops: other noses, jaws and eyes, with labels that are as exact as before.

A teacher's labels know the faces that it was shown; a warped picture of a face shows one that nobody has, and what is
known of the picture moves along. A warp is a field of displacements: pixel ``p`` of the warped crop shows what lay at
``p + field(p)``.
"""

from __future__ import annotations

import cv2
import numpy as np

WAVES = 1.6
"""Standard deviation, over warps, of the standard deviation of slow random displacements, pixels of a crop of 112."""

GROWTH, STRETCH = 0.16, 0.05
"""Standard deviations of how much a part grows along each axis, and of how much the whole crop does."""

STEEPEST = 0.6
"""No displacement changes by more per pixel: a steeper field is made flatter, far from folding the picture over."""

PARTS = (
    *((range(36, 42),), (range(42, 48),), (range(36, 42), range(42, 48)), (range(48, 68),), (range(27, 31),)),
    *((range(30, 36),), (range(17, 22),), (range(22, 27),), (range(7, 10),), (range(3, 6),), (range(11, 14),)),
)
"""iBUG landmarks about whose middle parts grow: eyes, one or both, mouth, nose and its tip, brows, chin, cheeks."""


def random_warp(landmarks: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth field (size, size, 2) float32 of displacements, pixels.

    Slow waves over the whole crop, a change of its proportions, and one to three parts of the face that grow or
    shrink.

    Args:
        landmarks: (68, 2) crop pixels.
        size: side of the crop.
        rng: draws all of it.
    """
    cells, unit = int(rng.integers(4, 7)), size / 112
    waves = rng.normal(0.0, abs(rng.normal(0.0, WAVES)) * unit, (cells, cells, 2)).astype(np.float32)
    field = cv2.resize(waves, (size, size), interpolation=cv2.INTER_CUBIC)
    ramp = np.arange(size, dtype=np.float32)
    middle = np.full(2, (size - 1) / 2)
    _grow(field, ramp, middle, rng.normal(0.0, STRETCH, 2), None)
    for _ in range(int(rng.integers(1, 4))):
        part = PARTS[int(rng.integers(len(PARTS)))]
        center = np.concatenate([landmarks[list(points)] for points in part]).mean(0)
        _grow(field, ramp, center, rng.normal(0.0, GROWTH, 2), rng.uniform(7.0, 22.0) * unit)
    steepest = max(float(np.abs(np.diff(field, axis=axis)).max()) for axis in (0, 1))
    return field * np.float32(min(1.0, STEEPEST / max(steepest, 1e-6)))


def _grow(field: np.ndarray, ramp: np.ndarray, center: np.ndarray, growth: np.ndarray, radius: float | None) -> None:
    """Add displacements away from a centre, in proportion to the distance along each axis, within a Gaussian."""
    x, y = ramp - np.float32(center[0]), ramp[:, None] - np.float32(center[1])
    weight: np.ndarray | np.float32 = np.float32(1.0)
    if radius is not None:
        scale = np.float32(-0.5 / radius**2)
        weight = np.exp(scale * x * x) * np.exp(scale * y * y)
    field[..., 0] += np.float32(growth[0]) * x * weight
    field[..., 1] += np.float32(growth[1]) * y * weight


def shown(points: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Points (N, 2) of the warped crop -> what they show: points of the crop before. Beyond the edge the field goes
    on as it is there."""
    side = np.float32(len(field) - 1)
    x, y = (np.clip(points[None, :, axis].astype(np.float32), 0.0, side) for axis in (0, 1))
    return np.asarray(points + cv2.remap(field, x, y, cv2.INTER_LINEAR)[0])


def warped(points: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Where points (N, 2) of the crop lie once it is warped: the inverse of :func:`shown`.

    By fixed-point iteration, which converges as a displacement changes by less than one pixel per pixel.
    """
    moved = points.astype(np.float64)
    for _ in range(12):
        moved = moved + points - shown(moved, field)
    return np.asarray(moved, np.float32)

"""Where a head is, from points of a rigid shape: a closed form, repeated for perspective and against outliers."""

from __future__ import annotations

import math

import numpy as np

from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL

ROUNDS = 3
UPRIGHT = 2e-3
"""How firmly points that lie in a plane are held to an upright, frontal head: a share of their spread, mm²."""


def initial_pose(
    points: np.ndarray, pixels: np.ndarray, weights: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation by scaled orthography with perspective iterated (POSIT: DeMenthon and Davis 1995).

    Every round solves ``(1 + ε) p = s (r1, r2) x + const`` by least squares for all points at once, takes the
    nearest rotation, and updates the perspective ``ε = r3 · x / t_z`` and the weights ``1 / (1 + d²/m²)`` of points
    that lie d from where they should, at a median of m.

    Args:
        points: (P, 3) mm, model axes.
        pixels: (P, 2) photo pixels.
        weights: (P,) at least 0.
        camera: of the photo.

    Returns:
        Rotation (3, 3), model axes -> camera axes, and translation (3,) mm.

    Raises:
        ValueError: fewer than three points have a weight, or they lie in one place.
    """
    seen = weights > 0
    if np.count_nonzero(seen) < 3:
        raise ValueError(f"expected at least 3 points that are seen, got {np.count_nonzero(seen)}")
    points, weights = points[seen], weights[seen]
    rays = (pixels[seen] - camera.center) / camera.focal
    trust = weights / weights.sum()
    middle = trust @ points
    points = points - middle
    spread = float(trust @ (points * points).sum(1))
    size = float(np.sqrt(trust @ ((rays - trust @ rays) ** 2).sum(1)))
    if not (spread > 0 and size > 0):
        raise ValueError("expected points that lie apart, in the model and in the photo")
    scale = size / np.sqrt(trust @ (points[:, :2] ** 2).sum(1))
    rotation, far = np.array(FRONTAL), np.zeros(len(points))
    held = np.diag([UPRIGHT * spread] * 3 + [0.0])
    full = np.column_stack([points, np.ones(len(points))])
    for _ in range(ROUNDS):
        weighted = full * trust[:, None]
        toward = np.column_stack([scale * rotation[:2], np.zeros(2)])
        target = rays * (1 + far)[:, None]
        solved = np.linalg.solve(weighted.T @ full + held, weighted.T @ target + held @ toward.T).T
        first, second, scale = _nearest_rows(solved[0, :3], solved[1, :3])
        (a, b, c), (d, e, f) = first, second
        third = np.array([b * f - c * e, c * d - a * f, a * e - b * d])
        rotation = np.stack([first, second, third])
        off = target - full @ np.column_stack([scale * rotation[:2], solved[:, 3]]).T
        distance = (off * off).sum(1)
        median = float(np.partition(distance, len(distance) // 2)[len(distance) // 2])
        trust = weights / (1 + distance / max(median, 1e-12))
        trust /= trust.sum()
        far = points @ rotation[2] * scale
    translation = np.append(solved[:, 3], 1.0) / scale
    return rotation, translation - rotation @ middle


def _nearest_rows(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The orthonormal rows that are nearest two rows (3,) up to a common scale, and that scale (mean singular value).

    ``(M Mᵀ)^(-1/2) M``, with the closed form of the square root of a 2 x 2 matrix S: ``(S + √det S · I) / t``,
    ``t² = tr S + 2 √det S``.
    """
    p, q, r = float(a @ a), float(a @ b), float(b @ b)
    root = math.sqrt(max(p * r - q * q, 1e-18 * p * r))
    trace = math.sqrt(p + r + 2 * root)
    inverse = np.array([[r + root, -q], [-q, p + root]]) / (trace * root)
    first, second = inverse @ np.stack([a, b])
    return first, second, 0.5 * trace

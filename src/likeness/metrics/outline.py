"""How far a face's true outline lies outside of a found one: whether heads are as wide as the people."""

from __future__ import annotations

import numpy as np

from likeness.geometry.landmarks import INNER, JAW_COUNT

SIDES, CHIN = (3, 4, 5, 11, 12, 13), (7, 8, 9)
"""Points of the outline, of the 68 iBUG ones, at the angles of the jaw and at the chin."""


def outward_normals(points: np.ndarray) -> np.ndarray:
    """Unit normals (17, 2) of the outline of points (68, 2) in the plane, away from the middle of the inner ones."""
    outline = points[:JAW_COUNT]
    along = np.gradient(outline, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], 1)
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    away = ((outline - points[INNER.start :].mean(0)) * normal).sum(1, keepdims=True)
    return np.asarray(np.where(away < 0, -normal, normal))


def outline_distances(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How far outside of a found outline the true one lies (17,), along the found one's normals, in the points' unit.

    Where along the outline the points of either lie does not count. NaN where a normal does not meet the true one.

    Args:
        found: (68, 2) found points.
        truth: (T, 2) points along the true outline, in order, joined by straight lines.

    Raises:
        ValueError: other shapes.
    """
    found, truth = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    if found.shape != (68, 2) or truth.ndim != 2 or truth.shape[1:] != (2,) or len(truth) < 2:
        raise ValueError(f"expected points (68, 2) and an outline (T, 2), T > 1, got {found.shape} and {truth.shape}")
    start, along = truth[:-1], np.diff(truth, axis=0)
    distances = np.full(JAW_COUNT, np.nan)
    for row, (point, normal) in enumerate(zip(found[:JAW_COUNT], outward_normals(found), strict=True)):
        # point + s normal = start + u along
        across = along[:, 0] * normal[1] - along[:, 1] * normal[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            away = start - point
            s = (along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0]) / across
            u = (normal[0] * away[:, 1] - normal[1] * away[:, 0]) / across
        met = s[(u >= 0) & (u <= 1)]
        if len(met):
            distances[row] = met[np.abs(met).argmin()]
    return distances

"""A small map of surface points for tests: mirror pairs and points of the middle, spread over the front."""

from __future__ import annotations

import numpy as np

from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap

PAIRS, MIDDLE = 20, 4


def small_map(model: FaceModel) -> PointMap:
    """40 points in mirror pairs and 4 points of the middle plane, on triangles of the front."""
    rng = np.random.default_rng(3)
    mirror, triangles = model.topology.mirror, model.topology.triangles
    assert mirror is not None
    centers = model.mean[triangles].mean(1)
    right = triangles[(centers[:, 0] < -5) & (centers[:, 2] > -50)]
    chosen = right[rng.choice(len(right), PAIRS, replace=False)]
    weights = rng.dirichlet([1.0, 1.0, 1.0], PAIRS)
    # A mirrored triangle runs the other way round.
    other, other_weights = mirror[chosen][:, [0, 2, 1]], weights[:, [0, 2, 1]]
    flat = np.abs(model.mean[triangles][..., 0]) < 1e-3
    plane = np.flatnonzero((flat.sum(1) >= 1) & (centers[:, 2] > 0))[:MIDDLE]
    order = np.argsort(~flat[plane], axis=1, kind="stable")
    first = order[:, :1]
    turned = (first + np.arange(3)) % 3  # the corner in the plane first, the others in their order
    middle = np.take_along_axis(triangles[plane], turned, 1)
    count = 2 * PAIRS + len(middle)
    pairs = np.arange(PAIRS)
    return PointMap(
        np.concatenate([chosen, other, middle]).astype(np.int32),
        np.concatenate([weights, other_weights, np.tile([1.0, 0.0, 0.0], (len(middle), 1))]).astype(np.float32),
        np.concatenate([pairs + PAIRS, pairs, np.arange(2 * PAIRS, count)]).astype(np.int32),
        np.arange(68, dtype=np.int32) % count,
    )


def place(model: FaceModel, count: int, size: float, seed: int = 0) -> np.ndarray:
    """Where the map's points lie (count, P, 2) in small pictures of turned faces, pixels."""
    from likeness.geometry.rotation import FRONTAL, rotation_from_euler

    rng = np.random.default_rng(seed)
    rotation = FRONTAL @ rotation_from_euler(*rng.normal(0, 0.2, (3, count)))
    points = small_map(model).gather(model.vertices(model.space.sample(count, rng)))
    seen = points @ rotation.transpose(0, 2, 1)
    return (0.35 * seen[..., :2] - 0.35 * seen[..., :2].mean(1, keepdims=True) + size / 2).astype(np.float32)

"""Similarities (scale, rotation, translation): as a value with a direction, and estimated from points that lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray

TRIALS = 300
"""Random triples of RANSAC: with half of the points wrong, all triples are bad with a chance of 1e-17."""

REWEIGHTINGS = 12


@dataclass(frozen=True, eq=False)
class Similarity:
    """``y = scale · rotation @ x + translation``; a variable's name says the direction: ``scan_from_model``.

    Args:
        scale: > 0, target units per source unit.
        rotation: (3, 3), no reflection.
        translation: (3,) target units.
    """

    scale: float
    rotation: Array
    translation: Array

    @classmethod
    def identity(cls) -> Similarity:
        """The one that leaves everything where it is."""
        return cls(1.0, np.eye(3), np.zeros(3))

    def apply(self, points: Array) -> Array:
        """Points (..., 3) of the source -> points (..., 3) of the target."""
        return self.scale * np.asarray(points, np.float64) @ self.rotation.T + self.translation

    def inverse(self) -> Similarity:
        """The way back."""
        rotation = self.rotation.T
        return Similarity(1 / self.scale, rotation, -rotation @ self.translation / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """``self ∘ first``: what ``first`` and then this one do."""
        return Similarity(
            self.scale * first.scale, self.rotation @ first.rotation, self.apply(first.translation[None])[0]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON."""
        return {
            "scale": float(self.scale),
            "rotation": np.round(self.rotation, 9).tolist(),
            "translation": np.round(self.translation, 7).tolist(),
        }


def similarity_from_points(
    source: Array, target: Array, weights: Array | None = None, scale: float | None = None
) -> tuple[float, Array, Array]:
    """Least-squares similarity ``target ≈ s R source + t`` (Umeyama 1991).

    Args:
        source, target: (N, 3) corresponding points, N ≥ 3, not on one line.
        weights: (N,) ≥ 0, not all 0; None: all alike.
        scale: s where it is known; None: found.

    Returns:
        scale, rotation (3, 3), translation (3,).
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3 or len(source) < 3:
        raise ValueError(f"expected two (N >= 3, 3) arrays, got {source.shape} and {target.shape}")
    share = np.full(len(source), 1 / len(source)) if weights is None else weights / weights.sum()
    center_a, center_b = share @ source, share @ target
    a, b = source - center_a, target - center_b
    u, s, vt = np.linalg.svd((b * share[:, None]).T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    if scale is None:
        scale = float((s * sign).sum() / (share @ (a * a).sum(1)))
    return scale, rotation, center_b - scale * rotation @ center_a


def robust_similarity(
    source: Array, target: Array, tolerance: float, *, scale: float | None = None, seed: int = 0
) -> tuple[Similarity, Array]:
    """Similarity of points of which some are wrong: RANSAC over triples (Fischler and Bolles 1981), then
    reweighted least squares with Tukey's biweight.

    Args:
        source, target: (N, 3) pairs, N ≥ 4.
        tolerance: the error, target units, beyond which a pair counts as wrong; half of it is ordinary.
        scale: as in :func:`similarity_from_points`.
        seed: of the random triples.

    Returns:
        the similarity, and (N,) weights in [0, 1] of the pairs: 0 for what was taken as wrong.
    """
    if len(source) < 4:
        raise ValueError(f"expected at least 4 pairs of points, got {len(source)}")
    rng = np.random.default_rng(seed)
    best, cost = Similarity(*similarity_from_points(source, target, scale=scale)), np.inf
    for _ in range(TRIALS):
        chosen = rng.choice(len(source), 3, replace=False)
        if np.linalg.matrix_rank(source[chosen] - source[chosen].mean(0), tol=1e-9) < 2:
            continue
        tried = Similarity(*similarity_from_points(source[chosen], target[chosen], scale=scale))
        loss = float(np.minimum(np.linalg.norm(tried.apply(source) - target, axis=1), tolerance).sum())
        if loss < cost:
            best, cost = tried, loss
    weights = np.ones(len(source))
    for _ in range(REWEIGHTINGS):
        error = np.linalg.norm(best.apply(source) - target, axis=1) / (1.5 * tolerance)
        weights = np.where(error < 1, (1 - error**2) ** 2, 0.0)
        if (weights > 0).sum() < 4:
            break
        best = Similarity(*similarity_from_points(source, target, weights, scale))
    return best, weights

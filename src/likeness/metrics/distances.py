"""How far two codes are apart: cosine, angle and Euclidean distance, all from one matrix product.

Every measure is a rising function (the *link*) of a *core* that is a dot product of slightly longer vectors:
``1 − u·v`` for cosine distance and angle, ``|x|² + |y|² − 2 x·y`` for the Euclidean distance. So all pairs of two
blocks of codes cost one matrix product, and whatever only needs the order of distances needs no link at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.errors import listed

MEASURES = ("cosine", "euclidean", "angle")


@dataclass(frozen=True)
class Measure:
    """A distance of codes.

    Args:
        name: ``cosine``: 1 − cos, 0 to 2; ``angle``: radians, 0 to π; ``euclidean``: in the codes' own unit.

    Raises:
        ValueError: another name.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in MEASURES:
            raise ValueError(f"expected a measure of {MEASURES}, got {self.name!r}")

    @property
    def directional(self) -> bool:
        """Whether only directions count."""
        return self.name != "euclidean"

    def prepare(self, codes: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """Codes (N, K) -> float64 (N, K): unit vectors, or offsets from ``origin`` (K,).

        Distances do not depend on the origin, but the rounding of ``|x|² + |y|² − 2 x·y`` grows with the vectors.

        Raises:
            ValueError: a zero code, which has no direction.
        """
        if not self.directional:
            return codes - origin
        length = np.linalg.norm(codes, axis=1, keepdims=True)
        if not length.all():
            bad = np.flatnonzero(length[:, 0] == 0)
            raise ValueError(f"expected codes with a direction, got {len(bad)} that are zero: rows {listed(bad)}")
        return codes / length

    def left(self, prepared: np.ndarray) -> np.ndarray:
        """Prepared codes (N, K) as left factors of a core (N, K + 1 or K + 2)."""
        one = np.ones((len(prepared), 1))
        return np.hstack([prepared, one] if self.directional else [prepared, _squared(prepared), one])

    def right(self, prepared: np.ndarray) -> np.ndarray:
        """Prepared codes (N, K) as right factors: ``left @ right.T`` are cores."""
        one = np.ones((len(prepared), 1))
        return np.hstack([-prepared, one] if self.directional else [-2 * prepared, one, _squared(prepared)])

    def exact(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Cores (n,) of prepared codes (n, K) with (n, K), row by row, from their differences: exact near 0."""
        squared = ((a - b) ** 2).sum(-1)
        return squared / 2 if self.directional else squared

    def link(self, core: np.ndarray) -> np.ndarray:
        """Cores, any shape, to distances; rounding below 0 or above 2 is clipped."""
        core = np.maximum(core, 0)
        if self.name == "cosine":
            return np.minimum(core, 2)
        return np.sqrt(core) if self.name == "euclidean" else 2 * np.arcsin(np.sqrt(np.minimum(core / 2, 1)))

    def core(self, distance: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`link`."""
        if self.name == "cosine":
            return distance
        return distance**2 if self.name == "euclidean" else 2 * np.sin(distance / 2) ** 2

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Distances (n,) of codes (n, K) to codes (n, K), row by row, from their differences: exact near 0.

        Raises:
            ValueError: a zero code where only directions count.
        """
        origin = np.zeros(a.shape[-1])
        return self.link(self.exact(self.prepare(a, origin), self.prepare(b, origin)))


def _squared(vectors: np.ndarray) -> np.ndarray:
    return (vectors * vectors).sum(axis=1, keepdims=True)

"""Identity spaces (where codes live) and the geometry metric (what codes mean in millimetres).

Written with plain arithmetic, so NumPy arrays and torch tensors both work wherever a docstring says "array".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class GaussianSpace:
    """Codes ``c ~ N(0, I)`` of a PCA model: distance is Euclidean, fusing is averaging, every code is valid."""

    size: int

    @property
    def name(self) -> str:
        """What model files call this space."""
        return "gaussian"

    def project(self, codes: Any) -> Any:
        """Codes (..., K) onto the space: unchanged, every vector is a code."""
        self._check(codes)
        return codes

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """``count`` codes (count, K) from the prior, float32."""
        return rng.standard_normal((count, self.size)).astype(np.float32)

    def distance(self, a: Any, b: Any) -> Any:
        """Euclidean distance (...) of codes (..., K); unitless, two random codes are about √(2K) apart."""
        self._check(a)
        self._check(b)
        difference = a - b
        return (difference * difference).sum(-1) ** 0.5

    def fuse(self, codes: Any, weights: Any = None) -> Any:
        """One code (K,) of several (N, K) of one person: their mean, weighted by ``weights`` (N,) if given."""
        self._check(codes)
        if weights is None:
            return codes.mean(0)
        return (codes * weights[:, None]).sum(0) / weights.sum()

    def _check(self, codes: Any) -> None:
        if codes.shape[-1] != self.size:
            raise ValueError(f"expected codes (..., {self.size}), got {tuple(codes.shape)}")


@dataclass(frozen=True)
class GeometryMetric:
    """The isometric embedding ``g = Lᵀ c`` of identity codes, in millimetres (design, section 3.3).

    The root-mean-square distance of the vertices of two codes' shapes, weighted by ``M``, is ``√(Δcᵀ G Δc)``
    with ``G = Wᵀ M W / Σ m``. With ``G = L Lᵀ`` it is the Euclidean distance of the embeddings: K numbers
    instead of 3 V.
    """

    factor: np.ndarray  # (K, K) L

    @classmethod
    def from_basis(cls, basis: np.ndarray, weights: np.ndarray) -> GeometryMetric:
        """Metric of a basis under per-vertex weights.

        Args:
            basis: (K, V, 3) identity basis W, mm per unit of code.
            weights: (V,) M, not negative: usually vertex areas inside a region, 0 outside.
        """
        if basis.ndim != 3 or weights.shape != basis.shape[1:2] or weights.min() < 0 or weights.sum() <= 0:
            raise ValueError(f"expected basis (K, V, 3) and weights (V,) >= 0, got {basis.shape}, {weights.shape}")
        scaled = basis.astype(np.float64) * np.sqrt(weights / weights.sum())[:, None]
        flat = scaled.reshape(len(basis), -1)
        values, vectors = np.linalg.eigh(flat @ flat.T)
        return cls(vectors * np.sqrt(np.maximum(values, 0)))

    def embed(self, codes: Any) -> Any:
        """Codes (..., K) as an array -> millimetre embedding (..., K) as NumPy float64."""
        return np.asarray(codes, np.float64) @ self.factor

    def distance(self, a: Any, b: Any) -> np.ndarray:
        """RMS vertex distance (...) in mm of the shapes of codes (..., K)."""
        difference = self.embed(a) - self.embed(b)
        return np.sqrt((difference * difference).sum(-1))

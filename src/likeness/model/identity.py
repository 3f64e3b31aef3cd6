"""Identity spaces (where codes live) and the geometry metric (what codes mean in millimetres).

Written with plain arithmetic, so NumPy arrays and torch tensors both work wherever a docstring says "array".
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

TINY = 1e-12
"""Added under square roots where a zero vector would give an undefined direction or gradient."""


@dataclass(frozen=True)
class GaussianSpace:
    """Codes ``c ~ N(0, I)`` of a PCA model: distance is Euclidean, fusing is averaging, every code is valid.

    Args:
        size: K, numbers per code.
    """

    size: int
    name: ClassVar[str] = "gaussian"

    def project(self, codes: Any) -> Any:
        """Codes (..., K) onto the space: unchanged, every vector is a code."""
        _check(codes, self.size)
        return codes

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """``count`` codes (count, K) from the prior, float32."""
        return rng.standard_normal((count, self.size)).astype(np.float32)

    def distance(self, a: Any, b: Any) -> Any:
        """Euclidean distance (...) of codes (..., K); unitless, two random codes are about √(2K) apart."""
        _check(a, self.size)
        _check(b, self.size)
        difference = a - b
        return (difference * difference).sum(-1) ** 0.5

    def fuse(self, codes: Any, weights: Any = None) -> Any:
        """One code (K,) of several (N, K) of one person: their mean, weighted by ``weights`` (N,) if given.

        Raises:
            ValueError: no codes, or weights that are not (N,), negative or all zero.
        """
        _check(codes, self.size)
        if weights is None:
            return codes.mean(0)
        _check_weights(codes, weights)
        return (codes * weights[:, None]).sum(0) / weights.sum()

    def interpolate(self, a: Any, b: Any, share: float) -> Any:
        """The code (..., K) on the straight line from ``a`` (share 0) to ``b`` (share 1), arrays (..., K)."""
        _check(a, self.size)
        _check(b, self.size)
        return a + share * (b - a)


@dataclass(frozen=True)
class SphereSpace:
    """Codes on the sphere of radius √K in K dimensions: what counts is direction, as for identity embeddings.

    With this radius a uniformly distributed code has unit variance in every dimension, like a Gaussian one
    (design, section 3.2; our derivation). Any vector but zero stands for the code in its direction; the length that
    a network gave it before :meth:`project` tells how sure it was and is the weight in :meth:`fuse`.

    Args:
        size: K, numbers per code.
    """

    size: int
    name: ClassVar[str] = "sphere"

    @property
    def radius(self) -> float:
        """√K, the length of every code."""
        return math.sqrt(self.size)

    def project(self, codes: Any) -> Any:
        """Vectors (..., K) radially onto the sphere: (..., K). A zero vector has no direction and stays zero."""
        _check(codes, self.size)
        return codes * (self.radius / _length(codes))

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """``count`` codes (count, K), uniform on the sphere, float32."""
        return np.asarray(self.project(rng.standard_normal((count, self.size))), np.float32)

    def distance(self, a: Any, b: Any) -> Any:
        """Angle (...) between codes (..., K), radians in [0, π]; two random codes are about π/2 apart.

        ``2 atan2(|u − v|, |u + v|)`` of the unit vectors: exact near 0 and π, where the arc cosine loses half of
        its digits (Kahan, How Futile are Mindless Assessments of Roundoff, 2006).
        """
        u, v = self.project(a), self.project(b)
        apart, along = u - v, u + v
        sine, cosine = (apart * apart).sum(-1) ** 0.5, (along * along).sum(-1) ** 0.5
        return 2 * (np.arctan2(sine, cosine) if _is_numpy(sine) else sys.modules["torch"].atan2(sine, cosine))

    def fuse(self, codes: Any, weights: Any = None) -> Any:
        """One code (K,) of several (N, K) of one person: the direction of the weighted sum of unit vectors.

        This is the maximum-likelihood mean direction of von Mises-Fisher distributed codes whose concentrations are
        the weights.

        Args:
            codes: (N, K) vectors; their lengths do not matter.
            weights: (N,) concentrations, at least 0; None: all alike.

        Raises:
            ValueError: no codes, weights that are not (N,), negative or all zero, or directions that cancel out.
        """
        units = self.project(codes)
        if weights is None:
            total = units.mean(0)
        else:
            _check_weights(codes, weights)
            total = (units * (weights / weights.sum())[:, None]).sum(0)
        if not bool((_length(total) > 1e-6 * self.radius).all()):
            raise ValueError("expected codes with a common direction, got some that cancel each other out")
        return self.project(total)

    def interpolate(self, a: Any, b: Any, share: float) -> Any:
        """The code (..., K) at ``share`` of the way along the great circle from ``a`` to ``b``, arrays (..., K).

        Raises:
            ValueError: opposite codes: every great circle through the one leads to the other.
        """
        u, v = self.project(a), self.project(b)
        along = u + v
        if bool((_length(along) < 1e-6 * self.radius).any()):
            raise ValueError("expected codes that are not opposite, got a pair between which any way is the shortest")
        half = along * (self.radius / _length(along))
        # Each half of the way spans at most a right angle, where the sine formula (Shoemake 1985) is well behaved.
        start, end, part = (u, half, 2 * share) if share <= 0.5 else (half, v, 2 * share - 1)
        angle = self.distance(start, end)[..., None]
        functions = np if _is_numpy(angle) else sys.modules["torch"]
        sine = functions.sin(angle)
        near = angle < 1e-4
        safe = functions.where(near, functions.ones_like(sine), sine)
        first = functions.where(near, 1 - part + 0 * angle, functions.sin((1 - part) * angle) / safe)
        second = functions.where(near, part + 0 * angle, functions.sin(part * angle) / safe)
        return self.project(first * start + second * end)


SPACES: dict[str, type[GaussianSpace] | type[SphereSpace]] = {s.name: s for s in (GaussianSpace, SphereSpace)}
"""The identity spaces by the names that files use."""


@dataclass(frozen=True)
class Lift:
    """The exact passage from a Gaussian model of K modes to a sphere model of K + 1 (design, section 3.2).

    A code α inside the ball of radius r becomes ``c = (R/r) · (α, √(r² − |α|²))`` with ``R = √(K+1)``, and the basis
    ``(r/R) · [W, 0]``: every shape stays the same. r² is the 99.9 % quantile of χ²_K, so that share of the Gaussian
    prior is inside.

    Args:
        modes: K of the Gaussian model.
    """

    modes: int

    @property
    def space(self) -> SphereSpace:
        """The sphere that codes are lifted to."""
        return SphereSpace(self.modes + 1)

    @property
    def ball(self) -> float:
        """r, the radius of the ball of codes that are lifted exactly.

        The quantile of χ² by Wilson and Hilferty's cube (1931); its error, under 1 % for K ≥ 5, moves the share of
        the prior inside by less than 0.0003.
        """
        spread = 2 / (9 * self.modes)
        return math.sqrt(self.modes * (1 - spread + 3.0902 * math.sqrt(spread)) ** 3)

    def basis(self, basis: np.ndarray) -> np.ndarray:
        """The Gaussian model's basis (K, V, 3) -> the sphere model's (K + 1, V, 3)."""
        scaled = basis * np.asarray(self.ball / self.space.radius, basis.dtype)
        return np.concatenate([scaled, np.zeros_like(basis[:1])])

    def codes(self, codes: np.ndarray) -> np.ndarray:
        """Gaussian codes (..., K) -> sphere codes (..., K + 1); codes outside the ball are first drawn back to it."""
        _check(codes, self.modes)
        squared = (codes * codes).sum(-1, keepdims=True)
        inside = codes * np.minimum(1, self.ball / np.sqrt(np.maximum(squared, TINY)))
        last = np.sqrt(np.maximum(self.ball**2 - (inside * inside).sum(-1, keepdims=True), 0))
        return np.concatenate([inside, last], axis=-1) * (self.space.radius / self.ball)


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
        return cls(_factor(_weighted(basis, weights).reshape(len(basis), -1)))

    @classmethod
    def of_shape(cls, basis: np.ndarray, weights: np.ndarray, positions: np.ndarray) -> GeometryMetric:
        """Metric of shape after the best similarity, linearised at the mean: what turns, moves or scales a head
        is no difference of shape, and no photograph of unknown camera and distance shows it.

        The distance is that of :meth:`from_basis` without the part of a difference that lies in the span of the seven
        fields by which infinitesimal similarities move the mean; the similarity of least squares takes it away, to
        first order.

        Args:
            basis, weights: as :meth:`from_basis` takes them.
            positions: (V, 3) mm, the mean.
        """
        flat = _weighted(basis, weights).reshape(len(basis), -1)
        if positions.shape != basis.shape[1:]:
            raise ValueError(f"expected positions {basis.shape[1:]}, got {positions.shape}")
        share = weights / weights.sum()
        centered = positions.astype(np.float64) - share @ positions
        axes = np.eye(3)
        fields = [np.broadcast_to(axis, centered.shape) for axis in axes]
        fields += [np.cross(axis, centered) for axis in axes]
        moved = np.stack([*fields, centered]) * np.sqrt(share)[:, None]
        span, _ = np.linalg.qr(moved.reshape(len(moved), -1).T)
        return cls(_factor(flat - (flat @ span) @ span.T))

    @property
    def spread(self) -> float:
        """tr G, mm²: half of the expected squared distance of two random faces (codes of unit variance)."""
        return float((self.factor * self.factor).sum())

    def embed(self, codes: Any) -> Any:
        """Codes (..., K) as an array -> millimetre embedding (..., K): NumPy float64, or a tensor like the codes."""
        _check(codes, len(self.factor))
        if not _is_numpy(codes):
            return codes @ codes.new_tensor(self.factor)
        return np.asarray(codes, np.float64) @ self.factor

    def distance(self, a: Any, b: Any) -> Any:
        """RMS vertex distance (...) in mm of the shapes of codes (..., K)."""
        difference = self.embed(a) - self.embed(b)
        return (difference * difference).sum(-1) ** 0.5


def _weighted(basis: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Basis (K, V, 3) times the roots of the vertices' shares."""
    if basis.ndim != 3 or weights.shape != basis.shape[1:2] or weights.min() < 0 or weights.sum() <= 0:
        raise ValueError(f"expected basis (K, V, 3) and weights (V,) >= 0, got {basis.shape}, {weights.shape}")
    return np.asarray(basis.astype(np.float64) * np.sqrt(weights / weights.sum())[:, None])


def _factor(flat: np.ndarray) -> np.ndarray:
    """L (K, K) of ``L Lᵀ = flat flatᵀ`` for rows (K, N)."""
    values, vectors = np.linalg.eigh(flat @ flat.T)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


def _is_numpy(values: Any) -> bool:
    """Whether these are NumPy's (or plain numbers); what else comes in are torch tensors."""
    return isinstance(values, (np.ndarray, np.generic, float, int))


def _length(vectors: Any) -> Any:
    """Lengths (..., 1) of vectors (..., K), never quite 0."""
    return ((vectors * vectors).sum(-1)[..., None] + TINY) ** 0.5


def _check(codes: Any, size: int) -> None:
    if codes.shape[-1] != size:
        raise ValueError(f"expected codes (..., {size}), got {tuple(codes.shape)}")


def _check_weights(codes: Any, weights: Any) -> None:
    good = tuple(weights.shape) == tuple(codes.shape[:1]) and bool((weights >= 0).all()) and bool(weights.sum() > 0)
    if not good:
        raise ValueError(f"expected {len(codes)} weights >= 0 that are not all 0, got {tuple(weights.shape)}")

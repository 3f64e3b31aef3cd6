"""Points seen in one photo, with the uncertainty of each, and what to make of outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from likeness.fit.points import IBUG, Points


@dataclass(frozen=True)
class RobustLoss:
    """How the cost of a point grows with its squared Mahalanobis distance d²; ½ d² for small ones in every kind.

    ``none``: ½ d², least squares. ``student``: ½ (s + 2) log(1 + d²/s), a bivariate Student-t of s degrees of
    freedom.
    ``geman``: ½ d² / (1 + d²/s²), Geman and McClure (1987); what is farther than s has hardly any say.

    Args:
        kind: ``none``, ``student`` or ``geman``.
        scale: s > 0.
    """

    kind: str = "none"
    scale: float = 4.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "student", "geman") or not self.scale > 0:
            raise ValueError(f"expected none, student or geman with a scale > 0, got {self.kind!r}, {self.scale}")

    def cost(self, squared: np.ndarray) -> np.ndarray:
        """Costs (...) in nats of squared distances d² (...)."""
        s = self.scale
        if self.kind == "student":
            return np.asarray(0.5 * (s + 2) * np.log1p(squared / s))
        if self.kind == "geman":
            return np.asarray(0.5 * squared / (1 + squared / s**2))
        return 0.5 * squared

    def weight(self, squared: np.ndarray) -> np.ndarray:
        """Twice the derivative of :meth:`cost`: weights (...) of iteratively reweighted least squares."""
        s = self.scale
        if self.kind == "student":
            return np.asarray((s + 2) / (s + squared))
        if self.kind == "geman":
            return np.asarray(1 / (1 + squared / s**2) ** 2)
        return np.ones_like(squared)


@dataclass(frozen=True, eq=False)
class Observations:
    """Where points were seen in a photo.

    Args:
        pixels: (P, 2) photo pixels, pixel (0, 0) is the first one's centre; rows of weight 0 may be NaN.
        covariance: variance px² of each coordinate, as one number, (P,) or (P, 2, 2).
        points: which points these are; default: the 68 iBUG landmarks.
        weight: (P,) at least 0, divides the covariance; 0: not seen. None: 1 wherever pixels are finite.
        loss: what outliers may do.

    Raises:
        ValueError: arrays that do not fit together, a covariance that is not positive, no point with a weight.
    """

    pixels: np.ndarray
    covariance: np.ndarray | float
    points: Points = field(default=IBUG)
    weight: np.ndarray | None = None
    loss: RobustLoss = field(default=RobustLoss())

    def __post_init__(self) -> None:
        count = len(self.points)
        pixels = np.asarray(self.pixels, np.float64)
        if pixels.shape != (count, 2):
            raise ValueError(f"expected pixels ({count}, 2), got {pixels.shape}")
        finite = np.isfinite(pixels[:, 0]) & np.isfinite(pixels[:, 1])
        weight = finite.astype(np.float64) if self.weight is None else np.asarray(self.weight, np.float64)
        if weight.shape != (count,) or not bool((np.isfinite(weight) & (weight >= 0)).all()):
            raise ValueError(f"expected weights ({count},) of at least 0, got {self.weight!r}")
        if (weight[~finite] > 0).any() or not (weight > 0).any():
            raise ValueError("expected finite pixels for every point with a weight, and one such point at least")
        object.__setattr__(self, "pixels", pixels if finite.all() else np.where(finite[:, None], pixels, 0.0))
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "count", int(np.count_nonzero(weight)))
        object.__setattr__(self, "root", _root(np.asarray(self.covariance, np.float64), weight))

    count: int = field(init=False, repr=False)
    """How many points have a weight."""

    root: np.ndarray = field(init=False, repr=False)
    """(P, 2, 2) what makes residuals white: ``root @ (seen - predicted)`` has the identity as covariance."""


def _root(covariance: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Square roots (P, 2, 2) of the points' precisions: inverse Cholesky factors, times the root of the weights."""
    count = len(weight)
    if covariance.shape not in ((), (count,), (count, 2, 2)):
        raise ValueError(f"expected a covariance (), ({count},) or ({count}, 2, 2), got {covariance.shape}")
    seen, root = weight > 0, np.zeros((count, 2, 2))
    a = covariance[:, 0, 0] if covariance.ndim == 3 else covariance
    b, d = (covariance[:, 0, 1], covariance[:, 1, 1]) if covariance.ndim == 3 else (0.0, a)
    determinant = a * d - b * b
    good = (a > 0) & (determinant > 0) & np.isfinite(determinant)
    if not (good | ~seen).all():
        raise ValueError("expected positive definite covariances")
    a = np.where(seen, a, 1.0)
    root[:, 0, 0] = np.sqrt(weight / a)
    if covariance.ndim < 3:
        root[:, 1, 1] = root[:, 0, 0]
    else:
        root[:, 1, 1] = np.sqrt(weight * a / np.where(seen, determinant, 1.0))
        root[:, 1, 0] = -np.where(seen, b, 0.0) / a * root[:, 1, 1]
    return root


def as_sequence(observations: Observations | Sequence[Observations]) -> tuple[Observations, ...]:
    """One photo's observations as a tuple.

    Raises:
        ValueError: there are none.
    """
    if isinstance(observations, Observations):
        return (observations,)
    if not observations:
        raise ValueError("expected observations, got none")
    return tuple(observations)

"""What is believed of a face before its points are seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from likeness.model.face_model import ARKIT_NAMES, FaceModel


@dataclass(frozen=True, eq=False)
class IdentityPrior:
    """A Gaussian over identity codes, seen as points of R^K: for codes on a sphere too.

    A code of fixed length spends its whole length, sure or not. Here the length is free: the posterior mean of a face
    that little is known of lies inside the sphere, near the mean shape, as the mean of a von Mises-Fisher
    distribution does (``A_K(kappa)`` times its direction).

    Args:
        mean: (K,).
        precision: (K, K) symmetric, positive definite: the inverse of the covariance.

    Raises:
        ValueError: arrays that do not fit, or a precision that is not positive definite.
    """

    mean: np.ndarray
    precision: np.ndarray
    least: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        mean, precision = np.asarray(self.mean, np.float64), np.asarray(self.precision, np.float64)
        if mean.ndim != 1 or precision.shape != (len(mean), len(mean)):
            raise ValueError(f"expected mean (K,) and precision (K, K), got {mean.shape} and {precision.shape}")
        least = float(np.linalg.eigvalsh(precision)[0]) if len(mean) else math.inf
        if not least > 0:
            raise ValueError(f"expected a positive definite precision, its smallest eigenvalue is {least}")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "precision", 0.5 * (precision + precision.T))
        object.__setattr__(self, "least", least)

    @classmethod
    def from_covariance(cls, mean: np.ndarray, covariance: np.ndarray) -> IdentityPrior:
        """The prior with this mean (K,) and covariance (K, K) or (K,), the diagonal of one."""
        covariance = np.asarray(covariance, np.float64)
        covariance = np.diag(covariance) if covariance.ndim == 1 else covariance
        return cls(mean, np.linalg.inv(covariance))

    @classmethod
    def population(cls, model: FaceModel) -> IdentityPrior:
        """N(0, I): what is known of a stranger.

        For Gaussian codes this is the model. For codes spread evenly over a sphere of radius √K it is the Gaussian of
        the same mean and covariance; ``c = 0``, the ball's centre, is the model's mean shape.
        """
        size = len(model.identity_basis)
        return cls(np.zeros(size), np.eye(size))

    @classmethod
    def from_network(cls, code: np.ndarray, covariance: np.ndarray | float, shrink: float = 1.0) -> IdentityPrior:
        """A network's posterior, where it has seen the photo (whose points then must not count as news twice).

        Args:
            code: (K,) the network's code.
            covariance: (K, K), (K,) or one variance of the code about the truth.
            shrink: mean over code, 0 to 1: how long the code may be; for a von Mises-Fisher direction A_K(kappa).
        """
        code = np.asarray(code, np.float64)
        if not 0 <= shrink <= 1:
            raise ValueError(f"expected shrink from 0 to 1, got {shrink}")
        spread = np.asarray(covariance, np.float64)
        return cls.from_covariance(shrink * code, np.full(len(code), spread) if spread.ndim == 0 else spread)


@dataclass(frozen=True, eq=False)
class ExpressionPrior:
    """Expression weights: ``-log p(e) = rate · e + ½ (e - mean)ᵀ precision (e - mean)`` between two bounds.

    With a lower bound of 0 the rate is an exponential distribution's: most weights stay exactly 0, as most muscles
    do.

    Args:
        mean: (E,).
        precision: (E, E) symmetric, positive definite.
        rate: (E,) nats per unit; at least 0 where most weights are to stay 0.
        lower, upper: (E,) bounds; infinite for expressions that have none.

    Raises:
        ValueError: arrays that do not fit together.
    """

    mean: np.ndarray
    precision: np.ndarray
    rate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def __post_init__(self) -> None:
        size = np.shape(self.mean)
        good = len(size) == 1 and np.shape(self.precision) == (*size, *size)
        if not good or any(np.shape(getattr(self, name)) != size for name in ("rate", "lower", "upper")):
            raise ValueError("expected mean, rate, lower and upper (E,) and precision (E, E)")
        if not (np.asarray(self.lower) <= np.asarray(self.upper)).all():
            raise ValueError("expected lower bounds that are not above the upper ones")

    @classmethod
    def sparse(cls, size: int, rate: float = 3.0, spread: float = 0.5) -> ExpressionPrior:
        """Weights from 0 to 1, mostly 0: an exponential density of this rate times a half-normal of this spread."""
        return cls(np.zeros(size), np.eye(size) / spread**2, np.full(size, rate), np.zeros(size), np.ones(size))

    @classmethod
    def gaussian(cls, size: int) -> ExpressionPrior:
        """N(0, I) without bounds: expressions from principal components."""
        endless = np.full(size, math.inf)
        return cls(np.zeros(size), np.eye(size), np.zeros(size), -endless, endless)

    @classmethod
    def neutral(cls, size: int) -> ExpressionPrior:
        """A face known to be at rest: every weight is 0."""
        return cls(np.zeros(size), np.eye(size), np.zeros(size), np.zeros(size), np.zeros(size))

    @classmethod
    def default(cls, model: FaceModel) -> ExpressionPrior:
        """Sparse for ARKit's blendshapes, Gaussian for expressions of any other kind."""
        size = len(model.expression_basis)
        return cls.sparse(size) if model.expression_names == ARKIT_NAMES else cls.gaussian(size)


@dataclass(frozen=True)
class FocalPrior:
    """A focal length that is not known exactly: its logarithm is normal about the camera's.

    The focal length and the distance are told apart by perspective only: ten times as long and ten times as far is
    nearly the same picture. The prior is what keeps the two in place in most photos.

    Args:
        spread: standard deviation of the logarithm, > 0: 0.3 means 30 % either way.
    """

    spread: float = 0.3

    def __post_init__(self) -> None:
        if not self.spread > 0:
            raise ValueError(f"expected a spread > 0, got {self.spread}")

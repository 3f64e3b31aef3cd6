"""How much likelier two codes are if they show one person than if they show two, when both are Gaussian.

A code is a person's own place plus what its photo adds: ``x = y + e``, ``y ~ N(0, B)`` and ``e ~ N(0, W)`` (the
two-covariance model of speaker verification, Brümmer and de Villiers 2010; probabilistic linear discriminant
analysis of Prince and Elder 2007). In axes that make W the identity and B diagonal, with variances b, the logarithm
of the likelihood ratio of two codes is a sum over axes (our derivation)::

    (u + v)^2 b / (2 + 4 b) - (u^2 + v^2) b / (2 + 2 b) - log(1 + 2 b) / 2 + log(1 + b)

So it counts what a cosine does not: that people differ more in some directions than in others, and that a code far
from everybody's mean says more when it is met again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHRINK = 0.2
"""The share of an even scatter in the one within people, as of whitened codes."""

AXES = 96
"""How many axes are kept at most, those in which people differ most for what photos add."""

FLOOR = 15.0
"""A pair of photos is no stronger evidence for two people than this: among a group's pairs the worst photo would
decide else, and one that shows little of a face is as unlike its own person as others are (docs/people.md)."""


@dataclass(frozen=True, eq=False)
class TwoCovariances:
    """The two covariances of one network's codes.

    Args:
        mean: (M,) of everybody's codes.
        axes: (M, A) ``(code - mean) @ axes`` scatters with variance 1 within people.
        spread: (A,) the variances of people.

    Raises:
        ValueError: shapes that do not belong together, or variances that are not positive.
    """

    mean: np.ndarray
    axes: np.ndarray
    spread: np.ndarray

    def __post_init__(self) -> None:
        shapes = self.mean.shape, self.axes.shape, self.spread.shape
        if self.axes.ndim != 2 or shapes[0] != shapes[1][:1] or shapes[2] != shapes[1][1:]:
            raise ValueError(f"expected a mean (M,), axes (M, A) and spreads (A,), got {shapes}")
        if not (self.spread > 0).all():
            raise ValueError("expected positive variances of people")

    def ratios(self, *codes: np.ndarray) -> np.ndarray:
        """(N, N) logarithms of likelihood ratios, softly above -:data:`FLOOR`.

        Args:
            codes: each (N, K), of one kind, whitened; their lengths do not matter.
        """
        placed = (directions(*codes) - self.mean) @ self.axes
        together, alone = self.spread / (2 + 4 * self.spread), self.spread / (2 + 2 * self.spread)
        own = (placed**2) @ (together - alone)
        constant = float((np.log1p(self.spread) - 0.5 * np.log1p(2 * self.spread)).sum())
        ratios = own[:, None] + own[None] + 2 * (placed * together) @ placed.T + constant
        return np.asarray(np.logaddexp(ratios, -FLOOR))

    @classmethod
    def learned(cls, person: np.ndarray, *codes: np.ndarray) -> TwoCovariances:
        """From photos of known people.

        Args:
            person: (N,) whose.
            codes: each (N, K), of one kind, whitened.

        Raises:
            ValueError: nobody has two photos.
        """
        placed = directions(*codes)
        mean = placed.mean(0)
        _, member, count = np.unique(person, return_inverse=True, return_counts=True)
        if len(placed) == len(count):
            raise ValueError("expected several photos of some person, got one of each")
        people = np.zeros((len(count), placed.shape[1]))
        np.add.at(people, member, placed - mean)
        people /= count[:, None]
        rest = placed - mean - people[member]
        within = rest.T @ rest / (len(placed) - len(count))
        within = (1 - SHRINK) * within + SHRINK * np.trace(within) / len(within) * np.eye(len(within))
        several = count > 1
        # Means of few photos scatter more than people do.
        between = people[several].T @ people[several] / several.sum() - within * (1 / count[several]).mean()
        values, vectors = np.linalg.eigh(within)
        whitened = vectors / np.sqrt(values)
        spread, turn = np.linalg.eigh(whitened.T @ between @ whitened)
        kept = [row for row in np.argsort(-spread)[:AXES] if spread[row] > 0]
        return cls(mean, whitened @ turn[:, kept], spread[kept])


def directions(*codes: np.ndarray) -> np.ndarray:
    """(N, M) kinds of codes beside each other, each of length 1: their length says how sure they are, not whose."""
    return np.concatenate([code / np.maximum(np.linalg.norm(code, axis=1, keepdims=True), 1e-9) for code in codes], 1)

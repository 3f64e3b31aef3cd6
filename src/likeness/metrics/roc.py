"""Receiver operating characteristic from counts of genuine and impostor pairs, for one set or many at a time.

Everywhere, ``genuine`` and ``impostor`` are counts (..., B) of pairs whose distance falls in bin b, bins in order of
distance; a pair is accepted when its distance is at most a threshold. Bins that hold one distance each make all of
this exact. Leading dimensions are independent sets (bootstrap replicates).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3, 1e-4)
"""The rates at which the true accept rate is reported."""

MIN_FALSE_ACCEPTS = 30
"""Errors needed to believe a rate: with 30, the true one lies within ±30 % with 90 % confidence (Doddington et al.,
The NIST speaker recognition evaluation, Speech Communication 2000)."""


@dataclass(frozen=True, eq=False)
class Roc:
    """Points of a ROC curve to plot, from (0, 0) to (1, 1).

    Args:
        false_accept: (P,) false accept rate (FPR), 0 to 1, not decreasing.
        true_accept: (P,) true accept rate (TPR), 0 to 1, not decreasing.
        threshold: (P,) the largest accepted distance, in the measure's unit; -inf at (0, 0).
    """

    false_accept: np.ndarray
    true_accept: np.ndarray
    threshold: np.ndarray

    def thinned(self, count: int = 500) -> Roc:
        """At most ``4 * count`` points: evenly spaced in both rates, and in the false accept rate's logarithm."""
        if len(self.threshold) <= 4 * count:
            return self
        even, far = np.linspace(0, 1, count), self.false_accept
        smallest = far[far > 0][0]
        wanted = [
            np.searchsorted(far, even),
            np.searchsorted(self.true_accept, even),
            np.searchsorted(far, np.geomspace(smallest, 1, count)),
        ]
        kept = np.unique(np.clip(np.concatenate([[0], *wanted, [len(far) - 1]]), 0, len(far) - 1))
        return Roc(far[kept], self.true_accept[kept], self.threshold[kept])

    def to_dict(self) -> dict[str, list[float]]:
        """``{"fpr", "tpr"}``, ready for JSON."""
        return {"fpr": self.false_accept.tolist(), "tpr": self.true_accept.tolist()}


def roc_curve(distance: np.ndarray, genuine: np.ndarray, impostor: np.ndarray) -> Roc:
    """The curve of counts (B,) at bins whose largest distances are ``distance`` (B,), rising."""
    far, tar = rates(genuine, impostor)
    return Roc(far, tar, np.concatenate([[-np.inf], distance]))


def counts_of(genuine: np.ndarray, impostor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances of genuine (G,) and impostor (I,) pairs -> distinct distances (B,), rising, and both counts (B,)."""
    values = np.unique(np.concatenate([genuine, impostor]))
    in_bins = [np.diff(np.searchsorted(np.sort(d), values, "right"), prepend=0) for d in (genuine, impostor)]
    return values, in_bins[0], in_bins[1]


def rates(genuine: np.ndarray, impostor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true accept rates (..., B + 1), the first of each 0: nothing accepted."""
    return _share(impostor), _share(genuine)


def auc(genuine: np.ndarray, impostor: np.ndarray) -> np.ndarray:
    """Area under the curve (...): P(genuine distance < impostor distance) + ½ P(equal) (Mann and Whitney)."""
    far, tar = rates(genuine, impostor)
    return (np.diff(far) * (tar[..., 1:] + tar[..., :-1])).sum(-1) / 2


def auc_uncertainty(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """The most by which :func:`auc` may be off when a bin holds different distances: their order is not known."""
    far, tar = rates(genuine, impostor)
    return float((np.diff(far) * np.diff(tar)).sum() / 2)


def equal_error_rate(genuine: np.ndarray, impostor: np.ndarray) -> np.ndarray:
    """The rate (...) at which false accepts and false rejects are equal, linear between two thresholds."""
    far, tar = rates(genuine, impostor)
    surplus = far - (1 - tar)  # rises from -1 to 1
    after = np.maximum((surplus >= 0).argmax(-1), 1)[..., None]
    before = after - 1
    below, above = (np.take_along_axis(surplus, at, -1) for at in (before, after))
    start, end = (np.take_along_axis(far, at, -1) for at in (before, after))
    return (start + (end - start) * -below / np.maximum(above - below, 1e-300))[..., 0]


def true_accept_rate(
    genuine: np.ndarray, impostor: np.ndarray, false_accept: float, smooth: bool = False
) -> np.ndarray:
    """True accept rate (...) at the largest threshold with at most this false accept rate.

    Args:
        genuine, impostor: counts (..., B).
        false_accept: in (0, 1).
        smooth: linear between that threshold and the next, for wide bins.
    """
    far, tar = rates(genuine, impostor)
    at = ((far <= false_accept).sum(-1) - 1)[..., None]
    start = np.take_along_axis(tar, at, -1)
    if not smooth:
        return start[..., 0]
    after = np.minimum(at + 1, far.shape[-1] - 1)
    end, low, high = (np.take_along_axis(values, i, -1) for values, i in ((tar, after), (far, at), (far, after)))
    share = np.clip((false_accept - low) / np.maximum(high - low, 1e-300), 0, 1)
    return (start + share * (end - start))[..., 0]


def moments(distance: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (...) and variance (...) of distances (B,) that occur ``counts`` (..., B) times."""
    total = counts.sum(-1)
    mean = (counts * distance).sum(-1) / total
    squared = (counts * (distance - mean[..., None]) ** 2).sum(-1)
    return mean, squared / total


def sensitivity(distance: np.ndarray, genuine: np.ndarray, impostor: np.ndarray) -> np.ndarray:
    """d′ (...) = (mean impostor − mean genuine) / √((variance of the one + of the other) / 2).

    Infinite for two point masses apart, 0 for two at one place.
    """
    (near, within), (far, between) = moments(distance, genuine), moments(distance, impostor)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(far == near, 0.0, (far - near) / np.sqrt((within + between) / 2))


def too_few_impostors(false_accept: float, pairs: int) -> str:
    """Why this false accept rate cannot be resolved with so many impostor pairs; empty where it can."""
    needed = round(MIN_FALSE_ACCEPTS / false_accept)
    if pairs >= needed:
        return ""
    return f"expected at least {needed:,} impostor pairs ({MIN_FALSE_ACCEPTS} false accepts), got {pairs:,}"


def _share(counts: np.ndarray) -> np.ndarray:
    """Counts (..., B) -> cumulative shares (..., B + 1), from 0 to 1."""
    total = np.cumsum(counts, axis=-1, dtype=np.float64)
    # Replicates weighted to first order may hold slightly negative counts; a curve never falls.
    total = np.maximum.accumulate(total / total[..., -1:], axis=-1)
    return np.concatenate([np.zeros_like(total[..., :1]), np.clip(total, 0, 1)], axis=-1)

"""Cross-photo landmark error: does the shape found in one photo explain the landmarks of another of the person?

Pose and expression are fitted to the other photo anew, so only identity is judged. What the mean face leaves is the
price of knowing nothing; what strangers' shapes leave shows that the measure can tell people apart at all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from likeness.metrics.records import check_names

TRIALS = 2000


@dataclass(frozen=True)
class CrossPhotoError:
    """Means over photos, % of the box of the landmarks.

    Args:
        people, photos: that have a photo of another group (clip).
        own: with the shape found in another photo of the person.
        mean_face: with the mean face.
        stranger: with shapes found in photos of other people.
        ratio: ``own / mean_face``.
        ratio_error: its standard error over people (bootstrap).
        stranger_ratio: ``stranger / mean_face``.
    """

    people: int
    photos: int
    own: float
    mean_face: float
    stranger: float
    ratio: float
    ratio_error: float
    stranger_ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


def cross_photo_pairs(
    labels: np.ndarray, groups: np.ndarray, count: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every photo, photos of the same person in other groups and of other people.

    Args:
        labels: (N,) who.
        groups: (N,) clip or session; numbered within a person.
        count: of each kind, at most.
        seed: of the choice.

    Returns:
        target (M,), own (M,) and stranger (M,): rows of the photos that landmarks are taken from, and that shapes
        are. Photos without a partner are left out.

    Raises:
        ValueError: nobody has photos of two groups, or there is one person only.
    """
    labels = check_names(labels, len(labels), "labels")
    groups = check_names(groups, len(labels), "groups")
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int]] = []
    for target in range(len(labels)):
        own = np.flatnonzero((labels == labels[target]) & (groups != groups[target]))
        others = np.flatnonzero(labels != labels[target])
        number = min(count, len(own), len(others))
        chosen = rng.choice(own, number, replace=False) if number else ()
        strangers = rng.choice(others, number, replace=False) if number else ()
        rows += [(target, int(a), int(b)) for a, b in zip(chosen, strangers, strict=True)]
    if not rows:
        raise ValueError("expected people with photos of two groups and other people, got none")
    target, own, stranger = np.array(rows).T
    return target, own, stranger


def cross_photo_error(
    own: np.ndarray,
    mean_face: np.ndarray,
    stranger: np.ndarray,
    target: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
) -> CrossPhotoError:
    """Sum up errors of pairs; every photo counts alike, however many partners it had.

    Args:
        own, mean_face, stranger: (M,) errors of the pairs, as shares of the box.
        target: (M,) row of the photo that each is on.
        labels: (M,) who is in it.
        seed: of the bootstrap.

    Raises:
        ValueError: lengths that differ.
    """
    errors = np.stack([np.asarray(one, np.float64) for one in (own, mean_face, stranger)])
    if errors.shape != (3, len(target)) or len(labels) != len(target) or not len(target):
        raise ValueError(f"expected as many errors as pairs ({len(target)}), got {errors.shape[1:]}")
    photos, first, index = np.unique(target, return_index=True, return_inverse=True)
    per_photo = np.stack([np.bincount(index, one) for one in errors]) / np.bincount(index)
    people, who = np.unique(np.asarray(labels)[first], return_inverse=True)
    sums = np.stack([np.bincount(who, one, len(people)) for one in per_photo])
    totals = per_photo.mean(1)
    drawn = np.random.default_rng(seed).integers(0, len(people), (TRIALS, len(people)))
    ratios = sums[0][drawn].sum(1) / sums[1][drawn].sum(1)
    return CrossPhotoError(
        people=len(people),
        photos=len(photos),
        own=100 * float(totals[0]),
        mean_face=100 * float(totals[1]),
        stranger=100 * float(totals[2]),
        ratio=float(totals[0] / totals[1]),
        ratio_error=float(ratios.std()),
        stranger_ratio=float(totals[2] / totals[1]),
    )

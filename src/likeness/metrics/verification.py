"""Face verification: are two photos, or two sets of photos, of one person? By code or by geometry.

The protocol of Labeled Faces in the Wild (Huang et al. 2007): the threshold that is best on nine folds decides the
tenth, and the accuracy is the mean over the folds with its standard error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import Excluded, listed
from likeness.metrics.distances import Measure
from likeness.metrics.records import Pairs, check_codes
from likeness.metrics.roc import (
    FALSE_ACCEPT_RATES,
    Roc,
    auc,
    counts_of,
    equal_error_rate,
    roc_curve,
    too_few_impostors,
    true_accept_rate,
)
from likeness.model.face_model import FaceModel


@dataclass(frozen=True, eq=False)
class Verification:
    """How well pairs were verified.

    Args:
        measure: ``cosine``, ``euclidean``, ``angle`` or ``geometry``.
        accuracy: mean over the folds, 0 to 1.
        standard_error: of that mean: standard deviation over the folds / √folds.
        fold_accuracies, fold_thresholds, fold_pairs: of each fold that has pairs.
        auc, eer: over all pairs, 0 to 1.
        true_accept: false accept rate -> true accept rate; None where there are too few pairs of two people.
        pairs, same_pairs: how many were verified, and how many of them are of one person.
        listed_pairs: how many the list held; ``excluded`` tells of every one that is missing, and of empty folds.
        roc: points to plot.
    """

    measure: str
    accuracy: float
    standard_error: float
    fold_accuracies: tuple[float, ...]
    fold_thresholds: tuple[float, ...]
    fold_pairs: tuple[int, ...]
    auc: float
    eer: float
    true_accept: dict[float, float | None]
    pairs: int
    same_pairs: int
    listed_pairs: int
    roc: Roc
    excluded: tuple[Excluded, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, ready for JSON."""
        names = ("measure", "accuracy", "standard_error", "auc", "eer", "pairs", "same_pairs", "listed_pairs")
        return {
            **{name: getattr(self, name) for name in names},
            "folds": [
                {"accuracy": accuracy, "threshold": threshold, "pairs": count}
                for accuracy, threshold, count in zip(
                    self.fold_accuracies, self.fold_thresholds, self.fold_pairs, strict=True
                )
            ],
            "true_accept": {f"{rate:g}": value for rate, value in self.true_accept.items()},
            "roc": self.roc.to_dict(),
            "excluded": [record.to_dict() for record in self.excluded],
        }


def verify(
    pairs: Pairs,
    codes: Mapping[str, np.ndarray],
    *,
    measure: str = "cosine",
    model: FaceModel | None = None,
    exclude: Iterable[str] = (),
) -> Verification:
    """Verify pairs by the distance of their codes.

    Pairs that name a photo without a code (no face was found, say) are left out, counted and listed; so are pairs of
    people to exclude. An evaluation with many of them is not comparable to a published one: look at ``excluded``.

    Args:
        pairs: from :func:`likeness.datasets.pairs.read_lfw_pairs` and its neighbours.
        codes: name -> code (K,), or template (T, K) of T photos or frames of one person, which is fused to one code:
            as the model's space does, else by the mean of unit vectors where directions count, by the mean where not.
        measure: ``cosine``, ``euclidean``, ``angle``, or ``geometry``: RMS vertex distance in mm of the shapes.
        model: whose codes these are; needed for ``geometry``.
        exclude: people or photos to leave out, see :meth:`likeness.metrics.records.Pairs.without`.

    Raises:
        ValueError: another measure, ``geometry`` without a model, codes of different sizes or not finite (says
            which), no pair left, fewer than two folds left, or pairs of one kind only.
    """
    if measure == "geometry" and model is None:
        raise ValueError("expected a face model to measure by geometry, got none")
    how = Measure("euclidean" if measure == "geometry" else measure)
    names = tuple(exclude)
    remaining, left_out = pairs.without(names) if names else (pairs, ())
    remaining, missing = _with_codes(remaining, codes)
    stacked, row = _fused(remaining.names(), codes, model, how)
    if measure == "geometry" and model is not None:
        stacked = model.geometry(stacked)
    a, b = (stacked[[row[name] for name in side]] for side in (remaining.first, remaining.second))
    return verify_distances(remaining, how.between(a, b), measure, len(pairs), (*left_out, *missing))


def verify_distances(
    pairs: Pairs,
    distances: np.ndarray,
    measure: str,
    listed_pairs: int | None = None,
    excluded: tuple[Excluded, ...] = (),
) -> Verification:
    """Verify pairs by distances (n,) from anywhere; smaller is more alike.

    Args:
        pairs: n pairs.
        distances: (n,) finite, any unit; of a similarity, give its negative.
        measure: what to call the distance.
        listed_pairs: how many pairs there were before ``excluded`` ones went; None: n.
        excluded: what was left out before.

    Raises:
        ValueError: another number of distances, one that is not finite, pairs of one kind only or one fold only.
    """
    distances = np.asarray(distances, np.float64)
    if distances.shape != (len(pairs),) or not np.isfinite(distances).all():
        bad = "some not finite" if distances.shape == (len(pairs),) else f"{distances.shape}"
        raise ValueError(f"expected finite distances ({len(pairs)},), got {bad}")
    same = pairs.same
    if same.all() or not same.any():
        raise ValueError(
            f"expected pairs of one person and pairs of two, got {int(same.sum())} of {len(same)} of one"
        )
    accuracies, thresholds, sizes = _cross_validated(pairs, distances)
    values, genuine, impostor = counts_of(distances[same], distances[~same])
    rates = {
        rate: None
        if too_few_impostors(rate, int((~same).sum()))
        else float(true_accept_rate(genuine, impostor, rate))
        for rate in FALSE_ACCEPT_RATES
    }
    return Verification(
        measure=measure,
        accuracy=float(np.mean(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))),
        fold_accuracies=tuple(accuracies),
        fold_thresholds=tuple(thresholds),
        fold_pairs=tuple(sizes),
        auc=float(auc(genuine, impostor)),
        eer=float(equal_error_rate(genuine, impostor)),
        true_accept=rates,
        pairs=len(pairs),
        same_pairs=int(same.sum()),
        listed_pairs=len(pairs) if listed_pairs is None else listed_pairs,
        roc=roc_curve(values, genuine, impostor).thinned(),
        excluded=excluded,
    )


def best_threshold(distances: np.ndarray, same: np.ndarray) -> float:
    """The threshold that classifies most of the pairs (n,) rightly: accepted are distances of at most the threshold.

    Halfway between two distances; of several equally good ones the middle one, so that a gap is cut in its midst.
    """
    order = np.argsort(distances, kind="stable")
    values = distances[order]
    accepted = np.concatenate([[0], np.cumsum(np.where(same[order], 1, -1))])
    accepted[1:-1][values[1:] == values[:-1]] = -len(same) - 1  # a threshold cannot separate equal distances
    best = np.flatnonzero(accepted == accepted.max())
    at = int(best[len(best) // 2])
    low, high = values[max(at - 1, 0)], values[min(at, len(values) - 1)]
    if at == 0:
        return float(np.nextafter(low, -np.inf))
    middle = low + (high - low) / 2
    return float(middle if middle < high or low == high else low)  # neighbouring numbers have no middle


def _cross_validated(pairs: Pairs, distances: np.ndarray) -> tuple[list[float], list[float], list[int]]:
    folds = np.unique(pairs.fold)
    if len(folds) < 2:
        raise ValueError(f"expected pairs in at least two folds, got {len(folds)}")
    accuracies, thresholds, sizes = [], [], []
    for fold in folds:
        tested = pairs.fold == fold
        threshold = best_threshold(distances[~tested], pairs.same[~tested])
        right = (distances[tested] <= threshold) == pairs.same[tested]
        accuracies.append(float(right.mean()))
        thresholds.append(threshold)
        sizes.append(int(tested.sum()))
    return accuracies, thresholds, sizes


def _with_codes(pairs: Pairs, codes: Mapping[str, np.ndarray]) -> tuple[Pairs, tuple[Excluded, ...]]:
    """The pairs whose names have codes, and records of the others, and of folds that lost all pairs."""
    lacking = [[name for name in pair if name not in codes] for pair in zip(pairs.first, pairs.second, strict=True)]
    missing = [
        Excluded(f"{pairs.first[row]} | {pairs.second[row]}", f"no code of {' and '.join(names)}")
        for row, names in enumerate(lacking)
        if names
    ]
    if len(missing) == len(pairs):
        raise ValueError(
            f"expected codes of the photos in the pairs, got none for any of {len(pairs)} pairs; they name "
            f"{listed(pairs.names(), 2)}, the codes {listed(list(codes), 2)}"
        )
    kept = pairs.kept(np.array([not names for names in lacking]))
    gone = np.setdiff1d(pairs.fold, kept.fold)
    return kept, (*missing, *(Excluded(f"fold {fold}", "no pair of it is left") for fold in gone))


def _fused(
    names: tuple[str, ...], codes: Mapping[str, np.ndarray], model: FaceModel | None, measure: Measure
) -> tuple[np.ndarray, dict[str, int]]:
    """One code a name (n, K), float64, and the row of each name."""
    fused: list[np.ndarray] = []
    for name in names:
        template = check_codes(np.atleast_2d(np.asarray(codes[name])), f"codes of {name}")
        if fused and template.shape[1] != len(fused[0]):
            raise ValueError(f"expected codes of {len(fused[0])} numbers, got {template.shape[1]} for {name}")
        if model is not None:
            fused.append(np.asarray(model.space.fuse(model.space.project(template)), np.float64))
        else:
            fused.append(measure.prepare(template, np.zeros(template.shape[1])).mean(0))
    return np.stack(fused), {name: row for row, name in enumerate(names)}

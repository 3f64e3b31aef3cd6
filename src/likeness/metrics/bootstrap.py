"""Intervals by resampling people, from tables of counts per person instead of from the pairs again.

A replicate draws as many people as there are, with replacement (the subsets bootstrap for biometric data: Bolle,
Ratha and Pankanti, Error analysis of pattern recognition systems, CVIU 2004); photos of one person are not
independent, people are. A person drawn w times counts w times in genuine pairs, a pair of people w·w′ times in
impostor pairs.

Two tables are enough for every replicate: genuine pairs by person and distance, impostor pairs by pair of people and
distance, in about 500 bins at quantiles. What is approximate, and only in the intervals:

- Bins: a replicate's statistic is compared with the full sample's from the same bins, so their coarseness cancels.
- Over ``PANEL`` columns: impostor pairs of every row with so many columns stand for all, each person's in proportion.
- Over ``PRODUCT_PEOPLE`` people: weights w·w′ are replaced by w + w′ − 1, its first-order part around 1 (Hájek's
  projection); what is dropped is of relative order 1 / people. Then a table by person is enough.
- The nearest neighbours behind rank-1 are not searched again among the people drawn: its interval is for as many
  other people as there are here (rank-1 falls with their number).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.metrics.pairs import BINS, ROWS, PairSet, Tally, fine_bins, fine_edges
from likeness.metrics.roc import FALSE_ACCEPT_RATES, auc, equal_error_rate, moments, sensitivity, true_accept_rate

PANEL = 4096
PRODUCT_PEOPLE = 256
CHUNK = 50
"""Replicates weighted at once."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Counts that any replicate's distributions are sums of.

    Args:
        distance: (B,) a typical distance of every bin.
        genuine: (P, B) pairs of each person.
        impostor: (P, P, B) pairs of row's and column's person; or (2, P, B) pairs of each person as row and as
            column, where there are too many people for their pairs.
        product: which of the two.
    """

    distance: np.ndarray
    genuine: np.ndarray
    impostor: np.ndarray
    product: bool

    def replicate(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Genuine and impostor counts (R, B) with people weighted by ``weights`` (R, P)."""
        weights = weights.astype(np.float32)
        genuine = weights @ self.genuine
        if self.product:
            people, bins = self.impostor.shape[1:]
            by_column = (weights @ self.impostor.reshape(people, -1)).reshape(-1, people, bins)
            return genuine, np.einsum("rpb,rp->rb", by_column, weights)
        shares = self.impostor / self.impostor.sum(axis=(1, 2), keepdims=True)
        return genuine, (weights @ shares[0] + weights @ shares[1] - shares.sum(axis=(0, 1)) / 2)


def statistics(
    distance: np.ndarray, genuine: np.ndarray, impostor: np.ndarray, smooth: bool = False
) -> dict[str, np.ndarray]:
    """Every statistic (...) of counts (..., B) at distances (B,), by name; ``tar@...`` as text of the rate.

    Args:
        distance: (B,) rising.
        genuine, impostor: (..., B) counts.
        smooth: see :func:`likeness.metrics.roc.true_accept_rate`.
    """
    near, far = moments(distance, genuine)[0], moments(distance, impostor)[0]
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where all faces are alike
        ratio = np.where(near == far, 1.0, far / near)
    return {
        "mean_genuine": near,
        "mean_impostor": far,
        "sir": ratio,
        "d_prime": sensitivity(distance, genuine, impostor),
        "auc": auc(genuine, impostor),
        "eer": equal_error_rate(genuine, impostor),
        **{f"tar@{rate:g}": true_accept_rate(genuine, impostor, rate, smooth) for rate in FALSE_ACCEPT_RATES},
    }


def replicates(pairs: PairSet, counted: Tally, count: int, seed: int) -> dict[str, np.ndarray]:
    """Deviations (count,) of every statistic, and of ``rank1``, in bootstrap replicates from the full sample's.

    Equal seeds and people give equal draws, so deviations of two measures of the same people can be subtracted.
    Replicates without a genuine or an impostor pair (possible with very few people) are NaN.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"expected at least one replicate, got {count}")
    people = len(pairs.people)
    tables = make_tables(pairs, counted, np.random.default_rng([seed, 1]))
    full = statistics(tables.distance, *tables.replicate(np.ones((1, people))), smooth=True)
    right, tried = _first_ranks(pairs, counted)
    rng = np.random.default_rng([seed, 0])
    parts = []
    for start in range(0, count, CHUNK):
        weights = draw(people, min(CHUNK, count - start), rng)
        genuine, impostor = tables.replicate(weights)
        bad = (genuine.sum(1) <= 0) | (impostor.sum(1) <= 0)
        genuine[bad], impostor[bad] = 1, 1
        values = statistics(tables.distance, genuine, impostor, smooth=True)
        with np.errstate(invalid="ignore"):  # infinite minus infinite: no deviation is known
            part = {name: np.where(bad, np.nan, value - full[name]) for name, value in values.items()}
            part["rank1"] = weights @ right / (weights @ tried) - right.sum() / tried.sum()
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def draw(people: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """How often each person is drawn in each replicate: (count, people) float64, every row sums to ``people``."""
    drawn = rng.integers(0, people, (count, people)) + np.arange(count)[:, None] * people
    return np.bincount(drawn.ravel(), minlength=count * people).reshape(count, people).astype(np.float64)


def make_tables(pairs: PairSet, counted: Tally, rng: np.random.Generator) -> Tables:
    """The tables of a set of pairs; ``rng`` draws the panel of columns where there are too many."""
    bins, distance = _coarse_bins(pairs, counted)
    people, largest, size = len(pairs.people), pairs.largest_core, len(distance)
    genuine = np.zeros((people, size), np.float32)
    for rows, start, end in pairs.blocks():
        for _, core, same, _ in pairs.mixed(rows, start, end):
            person = np.broadcast_to(pairs.row_people[rows, None], core.shape)[same]
            _count_by_person(genuine, person, bins[fine_bins(core[same], largest)])
    product = people <= PRODUCT_PEOPLE
    impostor = np.zeros((people, people, size) if product else (2, people, size), np.float32)
    forth = _Side(pairs.rows, pairs.row_people, pairs.columns, pairs.column_people)
    back = _Side(pairs.columns, pairs.column_people, pairs.rows, pairs.row_people)
    if product:
        panel = forth.with_panel(rng)
        _count_impostors(pairs, panel, bins, impostor)
        all_of, some_of = (np.bincount(s.column_people, minlength=people) for s in (forth, panel))
        impostor *= (all_of / np.maximum(some_of, 1))[:, None].astype(np.float32)
    else:
        _count_impostors(pairs, forth.with_panel(rng), bins, impostor[0])
        if pairs.within:
            impostor[1] = impostor[0]
        else:
            _count_impostors(pairs, back.with_panel(rng), bins, impostor[1])
    return Tables(distance, genuine, impostor, product)


@dataclass(frozen=True, eq=False)
class _Side:
    """Rows and the columns that they are compared with."""

    rows: np.ndarray
    row_people: np.ndarray
    columns: np.ndarray
    column_people: np.ndarray

    def with_panel(self, rng: np.random.Generator) -> _Side:
        """At most ``PANEL`` of the columns, evenly spaced from a random start: they are sorted by person, so that
        everybody is there in proportion."""
        count = len(self.columns)
        if count <= PANEL:
            return self
        kept = ((np.arange(PANEL) + rng.random()) * count / PANEL).astype(int)
        return _Side(self.rows, self.row_people, self.columns[kept], self.column_people[kept])


def _coarse_bins(pairs: PairSet, counted: Tally) -> tuple[np.ndarray, np.ndarray]:
    """The coarse bin (BINS,) of every fine one, and the typical distance (B,) of each: cuts at quantiles of both
    kinds of pairs, close together where the smallest impostor distances decide about low false accept rates."""
    even = np.linspace(0, 1, 176)
    far, tar = (np.cumsum(c) / c.sum() for c in (counted.impostor, counted.genuine))
    levels = ((far, even), (tar, even), (far, np.geomspace(1e-6, 1, 160)))
    last = len(far) - 1
    cuts = np.unique(np.minimum(np.concatenate([[last], *(np.searchsorted(f, level) for f, level in levels)]), last))
    ends = counted.distance[cuts]
    at = np.minimum(np.searchsorted(ends, counted.distance), len(ends) - 1)
    weight = counted.genuine / counted.genuine.sum() + counted.impostor / counted.impostor.sum()
    typical = np.bincount(at, weight * counted.typical, len(ends)) / np.bincount(at, weight, len(ends))
    low, high = fine_edges(np.arange(BINS), pairs.largest_core)
    fine = np.searchsorted(pairs.measure.core(ends), (low + high) / 2)
    return np.minimum(fine, len(ends) - 1).astype(np.intp), typical


def _count_by_person(table: np.ndarray, person: np.ndarray, bins: np.ndarray) -> None:
    """Add pairs of people (n,), rising, in bins (n,) to a table (P, B)."""
    if not len(person):
        return
    first, size = int(person.min()), table.shape[1]
    count = int(person.max()) - first + 1
    key = (person - first) * size + bins
    table[first : first + count] += np.bincount(key, minlength=count * size).reshape(count, size)


def _count_impostors(pairs: PairSet, side: _Side, bins: np.ndarray, table: np.ndarray) -> None:
    """Add all pairs of rows and columns of two people to a table (P, B) by row, or (P, P, B) by row and column."""
    left = pairs.measure.left(side.rows).astype(np.float32)
    right = np.ascontiguousarray(pairs.measure.right(side.columns).astype(np.float32).T)
    size, largest = table.shape[-1], pairs.largest_core
    padded = size + 1  # pairs of one person go to a bin that is thrown away
    for start in range(0, len(left), ROWS):
        person = side.row_people[start : start + ROWS]
        found = bins[fine_bins(left[start : start + ROWS] @ right, largest)]
        found[person[:, None] == side.column_people] = size
        if table.ndim == 2:
            local = person - person[0]
            counts = np.bincount((found + local[:, None] * padded).ravel(), minlength=(int(local[-1]) + 1) * padded)
            table[person[0] : person[-1] + 1] += counts.reshape(-1, padded)[:, :size]
            continue
        found += side.column_people * padded
        for one in np.unique(person):
            counts = np.bincount(found[person == one].ravel(), minlength=len(table) * padded)
            table[one] += counts.reshape(-1, padded)[:, :size]


def _first_ranks(pairs: PairSet, counted: Tally) -> tuple[np.ndarray, np.ndarray]:
    """By person (P,): how many probes find their person first, and how many could."""
    possible = np.isfinite(counted.nearest_genuine)
    first = possible & (counted.nearest_genuine < counted.nearest_impostor)
    right, tried = (np.bincount(pairs.row_people[mask], minlength=len(pairs.people)) for mask in (first, possible))
    return right.astype(np.float64), tried.astype(np.float64)

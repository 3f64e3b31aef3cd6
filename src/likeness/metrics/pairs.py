"""All pairs of many codes, block by block: counts of distances, and each code's nearest neighbours.

Codes are sorted by person. Then the pairs of a block of rows with all columns fall into a narrow *mixed* span, where
the row's own people are and every pair is looked at one by one in float64, and *pure* spans of impostor pairs only:
one float32 matrix product each, and a histogram.

The histogram is made of the leading bits of the cores' binary floats (8 of exponent, 15 of mantissa), so that a
bin is 2⁻¹⁵ of its core wide and 2⁻¹⁶ of its Euclidean distance, whatever the scale and with or without outliers, and
finding the bin is one shift. Few pairs (``EXACT_PAIRS``) are all kept instead, in float64.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from queue import SimpleQueue
from typing import Any

import numpy as np

from likeness.metrics.distances import Measure
from likeness.metrics.records import Samples
from likeness.metrics.roc import counts_of

EXACT_PAIRS = 1 << 22
"""Up to so many pairs every distance is kept and sorted."""

ROWS, COLUMNS = 256, 1024
"""Block size: 1 MB of cores, so that the passes over them stay in the cache."""

MAX_THREADS = 16
"""Each holds a histogram of 12 MB and two numbers per code."""

NEARLY_ZERO = 1e-8

MANTISSA_BITS = 15
OCTAVES = 24
BINS = OCTAVES << MANTISSA_BITS
_SHIFT = 23 - MANTISSA_BITS

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class PairSet:
    """The pairs to compare: of rows with columns, both sorted by person.

    Args:
        measure: how far two codes are apart.
        rows: (n, K) float64 codes as the measure prepares them.
        row_people: (n,) indices of people, rising.
        row_groups: (n,) indices of groups; pairs of one group are left out.
        columns, column_people, column_groups: the same of the gallery; the very same arrays when all pairs within
            one set are meant, and then every pair counts once.
        people: names (P,) that the indices refer to.
    """

    measure: Measure
    rows: np.ndarray
    row_people: np.ndarray
    row_groups: np.ndarray
    columns: np.ndarray
    column_people: np.ndarray
    column_groups: np.ndarray
    people: np.ndarray

    @classmethod
    def of(cls, samples: Samples, gallery: Samples | None, measure: Measure) -> PairSet:
        """All pairs of ``samples``, or of them as probes with a gallery.

        Raises:
            ValueError: codes of different sizes, labels or groups of different types, groups on one side only, or a
                zero code where directions count.
        """
        sides = [samples] if gallery is None else [samples, gallery]
        _check_sides(sides)
        people, person = np.unique(np.concatenate([s.labels for s in sides]), return_inverse=True)
        total = len(person)
        group = np.arange(total)
        if samples.groups is not None:
            names = np.unique(np.concatenate([s.groups for s in sides if s.groups is not None]), return_inverse=True)[
                1
            ]
            group = person * total + names
        origin = np.concatenate([s.codes for s in sides]).mean(0)
        parts = []
        for side, start in zip(sides, (0, len(samples)), strict=False):
            order = start + np.argsort(person[start : start + len(side)], kind="stable")
            parts.append((measure.prepare(side.codes, origin)[order - start], person[order], group[order]))
        return cls(measure, *parts[0], *parts[-1], people)

    @property
    def within(self) -> bool:
        """Whether rows and columns are one set."""
        return self.rows is self.columns

    @property
    def total(self) -> int:
        """How many pairs there are, genuine, impostor and left out."""
        n = len(self.rows)
        return n * (n - 1) // 2 if self.within else n * len(self.columns)

    def same_person_pairs(self) -> int:
        """How many pairs are of one person, those within a group included."""
        count = len(self.people)
        rows = np.bincount(self.row_people, minlength=count).astype(np.int64)
        if self.within:
            return int((rows * (rows - 1) // 2).sum())
        return int((rows * np.bincount(self.column_people, minlength=count)).sum())

    @cached_property
    def largest_core(self) -> float:
        """An upper bound of all cores."""
        if self.measure.directional:
            return 2.0
        lengths = [np.linalg.norm(side, axis=1).max() for side in (self.rows, self.columns)]
        return float(max(sum(lengths) ** 2, 1e-30))

    def blocks(self) -> Iterator[tuple[slice, int, int]]:
        """Blocks of rows, each with start and end of its mixed span of columns."""
        for start in range(0, len(self.rows), ROWS):
            rows = slice(start, min(start + ROWS, len(self.rows)))
            people = self.row_people[rows]
            first = start if self.within else int(np.searchsorted(self.column_people, people[0], "left"))
            yield rows, first, int(np.searchsorted(self.column_people, people[-1], "right"))

    def mixed(self, rows: slice, start: int, end: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """Cores of a block with its mixed span: columns, float64 cores (r, c), bool (r, c) genuine and impostor."""
        left = self.measure.left(self.rows[rows])
        person, group = self.row_people[rows, None], self.row_groups[rows, None]
        number = np.arange(rows.start, rows.stop)[:, None]
        for first in range(start, end, COLUMNS):
            columns = slice(first, min(first + COLUMNS, end))
            core = left @ self.measure.right(self.columns[columns]).T
            self.refine(core, rows, columns)
            other = self.column_people[columns]
            genuine = (person == other) & (group != self.column_groups[columns])
            if self.within:  # sorted by person, so that the upper triangle has the larger index on the right
                genuine &= number < np.arange(columns.start, columns.stop)
                yield columns, core, genuine, person < other
            else:
                yield columns, core, genuine, person != other

    def refine(self, core: np.ndarray, rows: slice, columns: slice) -> None:
        """Compute float64 cores (r, c) that are almost 0 again, from differences: the product has lost their digits.

        Its rounding is some 1e-15 of the largest core, so that those above 1e-8 of it keep seven digits.
        """
        i, j = np.nonzero(core < NEARLY_ZERO * self.largest_core)
        step = max(1, (1 << 20) // self.rows.shape[1])
        for first in range(0, len(i), step):
            a, b = i[first : first + step], j[first : first + step]
            core[a, b] = self.measure.exact(self.rows[rows][a], self.columns[columns][b])

    def pure(self, start: int, end: int) -> Iterator[slice]:
        """Columns outside a mixed span, in pieces; within one set only those behind it."""
        spans = [(end, len(self.columns))] if self.within else [(0, start), (end, len(self.columns))]
        for low, high in spans:
            for first in range(low, high, COLUMNS):
                yield slice(first, min(first + COLUMNS, high))


@dataclass(frozen=True, eq=False)
class Tally:
    """What all pairs came to.

    Args:
        distance: (B,) rising: the distances that occur, or the upper ends of histogram bins.
        typical: (B,) the same, or the bins' middles.
        genuine, impostor: (B,) counts.
        exact: whether every bin is one distance.
        nearest_genuine, nearest_impostor: (n,) core of each row's nearest code of the same person (another group) and
            of another person; infinite where there is none.
    """

    distance: np.ndarray
    typical: np.ndarray
    genuine: np.ndarray
    impostor: np.ndarray
    exact: bool
    nearest_genuine: np.ndarray
    nearest_impostor: np.ndarray


class _Kept:
    """Few pairs: every core."""

    dtype = np.float64

    def __init__(self) -> None:
        self.cores: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])

    def add(self, core: np.ndarray, genuine: bool) -> None:
        self.cores[genuine].append(core.ravel().copy())

    def merge(self, other: _Kept) -> None:
        for mine, more in zip(self.cores, other.cores, strict=True):
            mine.extend(more)

    def finish(self, measure: Measure) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        impostor, genuine = (measure.link(np.concatenate(cores or [np.zeros(0)])) for cores in self.cores)
        values, genuine, impostor = counts_of(genuine, impostor)
        return values, values, genuine, impostor


class _Binned:
    """Many pairs: a histogram."""

    dtype = np.float32

    def __init__(self, largest: float) -> None:
        self.largest = largest
        self.counts = np.zeros((2, BINS), np.int64)

    def add(self, core: np.ndarray, genuine: bool) -> None:
        if core.size:
            bins = fine_bins(core, self.largest).ravel()
            first = int(bins.min())  # most blocks span an octave or two: their histograms stay in the cache
            counts = np.bincount(np.subtract(bins, first, out=bins))
            self.counts[int(genuine), first : first + len(counts)] += counts

    def merge(self, other: _Binned) -> None:
        self.counts += other.counts

    def finish(self, measure: Measure) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        used = np.flatnonzero(self.counts.any(axis=0))
        low, high = fine_edges(used, self.largest)
        impostor, genuine = self.counts[:, used]
        return measure.link(high), measure.link((low + high) / 2), genuine, impostor


class _Worker:
    """One thread's counts, neighbours and buffer."""

    def __init__(self, pairs: PairSet, exact: bool) -> None:
        self.sink: Any = _Kept() if exact else _Binned(pairs.largest_core)
        self.near = np.full((2, len(pairs.rows)), np.inf)
        self.buffer = np.empty(ROWS * COLUMNS, self.sink.dtype)

    def count(self, pairs: PairSet, left: np.ndarray, right: np.ndarray, rows: slice, span: tuple[int, int]) -> None:
        """Add the pairs of a block of rows; ``left`` and ``right`` are all factors of the cores."""
        for columns, core, genuine, impostor in pairs.mixed(rows, *span):
            for kind, mask in enumerate((impostor, genuine)):
                self.sink.add(core[mask], bool(kind))
                _approach(self.near[kind], np.where(mask, core, np.inf), rows, columns, pairs.within)
        for columns in pairs.pure(*span):
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            out = self.buffer[: shape[0] * shape[1]].reshape(shape)
            core = np.matmul(left[rows], right[:, columns], out=out)
            if core.dtype == np.float64:
                pairs.refine(core, rows, columns)
            _approach(self.near[0], core, rows, columns, pairs.within)
            self.sink.add(core, False)

    def merge(self, other: _Worker) -> None:
        self.sink.merge(other.sink)
        np.minimum(self.near, other.near, out=self.near)


def tally(pairs: PairSet, exact: bool | None = None, progress: Progress | None = None) -> Tally:
    """Count all pairs, in threads.

    Args:
        pairs: what to compare.
        exact: keep every distance, or make a histogram; None: by ``EXACT_PAIRS``.
        progress: told the share done, 0 to 1, after every block of rows.
    """
    exact = pairs.total <= EXACT_PAIRS if exact is None else exact
    workers = [_Worker(pairs, exact) for _ in range(1 if exact else min(cores(), MAX_THREADS))]
    dtype = workers[0].sink.dtype
    left = pairs.measure.left(pairs.rows).astype(dtype, copy=False)
    right = np.ascontiguousarray(pairs.measure.right(pairs.columns).astype(dtype, copy=False).T)
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def count(block: tuple[slice, int, int]) -> int:
        worker = idle.get()
        try:
            worker.count(pairs, left, right, block[0], block[1:])
        finally:
            idle.put(worker)
        return block[0].stop

    with ThreadPoolExecutor(len(workers)) as pool:
        for done in pool.map(count, pairs.blocks()):
            if progress is not None:
                progress(_done(done, len(pairs.rows), pairs.within))
    total = workers[0]
    for worker in workers[1:]:
        total.merge(worker)
    distance, typical, genuine, impostor = total.sink.finish(pairs.measure)
    return Tally(distance, typical, genuine, impostor, exact, total.near[1], total.near[0])


def fine_bins(core: np.ndarray, largest: float) -> np.ndarray:
    """Histogram bins of cores of at most ``largest``, the same shape, int32: float32's leading bits.

    Cores below ``largest * 2**-OCTAVES`` share the first bin.
    """
    bits = core.astype(np.float32, copy=False).view(np.int32) >> _SHIFT
    bits -= _top(largest) - BINS + 1
    return np.clip(bits, 0, BINS - 1, out=bits)


def fine_edges(bins: np.ndarray, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of bins, cores, float64."""
    bits = (bins + _top(largest) - BINS + 1).astype(np.int32)
    low, high = (
        (number << _SHIFT).astype(np.int32).view(np.float32).astype(np.float64) for number in (bits, bits + 1)
    )
    return np.where(bins == 0, 0.0, low), high


def _top(largest: float) -> int:
    """The leading bits of a number a little above the largest core: rounding may lift a core above the bound."""
    return int(np.float32(largest * 1.001).view(np.int32) >> _SHIFT)


def _approach(near: np.ndarray, core: np.ndarray, rows: slice, columns: slice, within: bool) -> None:
    """Lower the nearest cores of a block's rows, and of its columns where they are rows too."""
    near[rows] = np.minimum(near[rows], core.min(axis=1))
    if within:
        near[columns] = np.minimum(near[columns], core.min(axis=0))


def _done(rows: int, total: int, within: bool) -> float:
    """The share of the pairs that lie in the first rows."""
    left = 1 - rows / total
    return 1 - left * left if within else 1 - left


def _check_sides(sides: list[Samples]) -> None:
    first, last = sides[0], sides[-1]
    if first.codes.shape[1] != last.codes.shape[1]:
        raise ValueError(
            f"expected gallery codes (N, {first.codes.shape[1]}) like the probes', got {last.codes.shape}"
        )
    if (first.groups is None) != (last.groups is None):
        raise ValueError("expected groups for both probes and gallery or for neither, got them for one")
    for what in ("labels", "groups"):
        a, b = getattr(first, what), getattr(last, what)
        if a is not None and b is not None and (a.dtype.kind in "US") != (b.dtype.kind in "US"):
            raise ValueError(
                f"expected {what} of one type, got {a.dtype} for the probes and {b.dtype} for the gallery"
            )


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

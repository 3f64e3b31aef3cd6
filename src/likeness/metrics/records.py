"""What the metrics take and give: labelled codes, numbers with intervals, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import Excluded, listed


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95 % interval.

    Args:
        value: the number; None where the data cannot tell, and ``reason`` says why.
        low, high: the interval's ends; None where there is none.
        reason: why there is no value or no interval; empty where there are both.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """``{"value", "low", "high"}`` and ``"reason"`` where there is one, ready for JSON."""
        numbers: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high}
        return {**numbers, "reason": self.reason} if self.reason else numbers


@dataclass(frozen=True, eq=False)
class Samples:
    """Codes with the people that they are of, checked when made.

    Args:
        codes: (N, K) of numbers, finite, any unit; kept as float64.
        labels: (N,) identities: integers or strings; bytes are taken for UTF-8.
        groups: (N,) integers or strings, the clip or photo session that a code is from; None: every code is a
            group of its own. Only pairs of one person **across** groups count as genuine, because the frames
            of a clip are alike for other reasons than the person. Groups are numbered within a person: clip 0
            of two people is two clips, and pairs of two people are impostor pairs whatever their groups.

    Raises:
        ValueError: lengths that differ, no codes, codes that are not finite, or labels of another type.
    """

    codes: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        codes = check_codes(self.codes)
        object.__setattr__(self, "codes", codes)  # the way into a frozen dataclass
        object.__setattr__(self, "labels", check_names(self.labels, len(codes), "labels"))
        if self.groups is not None:
            object.__setattr__(self, "groups", check_names(self.groups, len(codes), "groups"))

    def __len__(self) -> int:
        return len(self.codes)

    def with_codes(self, codes: np.ndarray) -> Samples:
        """The same people and groups with other codes (N, K')."""
        return Samples(codes, self.labels, self.groups)


def check_codes(values: Any, what: str = "codes") -> np.ndarray:
    """(N, K) finite float64, N and K at least 1; ValueError says what was wrong and where."""
    codes = np.asarray(values)
    if codes.ndim != 2 or codes.dtype.kind not in "fiu" or 0 in codes.shape:
        raise ValueError(f"expected {what} (N >= 1, K >= 1) of numbers, got {codes.dtype} {codes.shape}")
    codes = codes.astype(np.float64, copy=False)
    finite = np.isfinite(codes).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise ValueError(f"expected finite {what}, got {len(bad)} rows that are not: {listed(bad)}")
    return codes


def check_names(values: Any, count: int, what: str) -> np.ndarray:
    """(count,) of integers or strings, those of bytes decoded; ValueError otherwise."""
    names = np.asarray(values)
    if names.dtype.kind == "S":
        names = np.char.decode(names, "utf-8", "surrogateescape")
    if names.ndim != 1 or names.dtype.kind not in "iubUS":
        raise ValueError(f"expected {what} (N,) of integers or strings, got {names.dtype} {names.shape}")
    if len(names) != count:
        raise ValueError(f"expected as many {what} as codes ({count}), got {len(names)}")
    return names


FOLDS = 10


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of photos (or templates) to verify.

    Args:
        first, second: n names each.
        same: (n,) bool: of one person.
        fold: (n,) int, from 0: which part of the cross-validation a pair belongs to.

    Raises:
        ValueError: no pairs, or lengths that differ.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    same: np.ndarray
    fold: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.first)
        if not count:
            raise ValueError("expected pairs, got none")
        if len(self.second) != count or np.shape(self.same) != (count,) or np.shape(self.fold) != (count,):
            got = (count, len(self.second), np.shape(self.same), np.shape(self.fold))
            raise ValueError(f"expected as many first and second names, same and fold, got {got}")

    def __len__(self) -> int:
        return len(self.first)

    def names(self) -> tuple[str, ...]:
        """Every name once, in order of appearance: what codes are needed of."""
        return tuple(dict.fromkeys(name for pair in zip(self.first, self.second, strict=True) for name in pair))

    def kept(self, mask: np.ndarray) -> Pairs:
        """The pairs that a mask (n,) keeps; ValueError where it keeps none."""
        rows = np.flatnonzero(mask)
        first, second = (tuple(names[row] for row in rows) for names in (self.first, self.second))
        return Pairs(first, second, self.same[rows], self.fold[rows])

    def without(self, names: Iterable[str]) -> tuple[Pairs, tuple[Excluded, ...]]:
        """Leave out pairs of some people or photos.

        Args:
            names: photos as the pairs call them, or people: what stands before the last ``/`` of a photo's name.

        Returns:
            the other pairs, and a record of every pair left out.

        Raises:
            ValueError: no pair is left.
        """
        unwanted = set(names)
        hits = [
            [name for name in pair if name in unwanted or name.rpartition("/")[0] in unwanted]
            for pair in zip(self.first, self.second, strict=True)
        ]
        left_out = tuple(
            Excluded(f"{self.first[row]} | {self.second[row]}", f"{hit[0]} is on the list of names to exclude")
            for row, hit in enumerate(hits)
            if hit
        )
        if len(left_out) == len(self):
            raise ValueError(f"expected pairs that are not excluded, got none: all {len(self)} name someone excluded")
        return self.kept(np.array([not hit for hit in hits])), left_out


def dealt_folds(same: np.ndarray, folds: int = FOLDS) -> np.ndarray:
    """(n,) int: pairs dealt out in turn, those of one person and those of two each for themselves."""
    fold = np.zeros(len(same), int)
    for kind in (True, False):
        fold[same == kind] = np.arange((same == kind).sum()) % folds
    return fold


def contiguous_folds(count: int, folds: int = FOLDS) -> np.ndarray:
    """(count,) int: consecutive pairs in ``folds`` parts of nearly the same size, as the `.bin` sets are cut."""
    return np.arange(count) * folds // max(count, 1)

"""What the metrics take and give: labelled codes, numbers with intervals, and what was left out and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


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


@dataclass(frozen=True)
class Excluded:
    """Something that a measurement leaves out, so that no test set becomes smaller in silence.

    Args:
        item: its name: a photo, a pair, a person, a file.
        reason: why it is left out.
    """

    item: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """``{"item", "reason"}``."""
        return {"item": self.item, "reason": self.reason}


@dataclass(frozen=True, eq=False)
class Samples:
    """Codes with the people that they are of, checked when made.

    Args:
        codes: (N, K) of numbers, finite, any unit; kept as float64.
        labels: (N,) identities: integers or strings.
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
    """(count,) of integers or strings; ValueError otherwise."""
    names = np.asarray(values)
    if names.ndim != 1 or names.dtype.kind not in "iubUS":
        raise ValueError(f"expected {what} (N,) of integers or strings, got {names.dtype} {names.shape}")
    if len(names) != count:
        raise ValueError(f"expected as many {what} as codes ({count}), got {len(names)}")
    return names


def listed(items: Sequence[Any] | np.ndarray, limit: int = 5) -> str:
    """``a, b, c and 7 more``: a list in a message, never a long one."""
    first = ", ".join(str(item) for item in items[:limit])
    return first if len(items) <= limit else f"{first} and {len(items) - limit} more"

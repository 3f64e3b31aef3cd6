"""How far long work is: what its callers hear of it, how fast it goes and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

Steps = Callable[[str, int, int], None]
"""Hears what is done, how many of it are done, and of how many."""


def unheard(what: str, done: int, total: int) -> None:
    """Nobody listens."""


def watched(items: Iterable[T], what: str, watch: Steps, count: int | None = None) -> Iterator[T]:
    """The items, while somebody hears how many are done; ``count``: how many they are, if they do not say it."""
    total = len(items) if count is None and isinstance(items, Sized) else count or 0
    for done, item in enumerate(items):
        watch(what, done, total)
        yield item
    watch(what, total, total)


class Pace:
    """How fast one stage of work goes.

    Args:
        done: how many were done when it began (or was resumed).
        clock: seconds.
    """

    def __init__(self, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._clock, self._began = done, clock, clock()

    def rate(self, done: int) -> float:
        """How many a second since it began; 0 where nothing is known yet."""
        return (done - self._first) / max(1e-9, self._clock() - self._began)

    def left(self, done: int, total: int) -> float | None:
        """Seconds that the rest will take at that rate; None where nothing is known yet."""
        rate = self.rate(done)
        return (total - done) / rate if rate > 0 else None


def spoken(seconds: float) -> str:
    """A duration as one says it: "40 s", "12 min", "2 h 5 min"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"

"""What commands that work through many files share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from likeness.cli.display import display
from likeness.progress import watched

T = TypeVar("T")


def progress(items: Iterable[T], what: str = "photos", count: int | None = None) -> Iterator[T]:
    """Many files one after the other, with a bar where there is a terminal; ``count``: how many, if they do not say
    it."""
    total = len(items) if count is None and isinstance(items, Sized) else count or 0
    if total < 3:
        yield from items
        return
    with display(lines=False) as shown:
        yield from watched(items, what, shown, total)

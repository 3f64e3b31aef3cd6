"""What commands that work through many files share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from likeness.cli.display import display
from likeness.progress import watched

T = TypeVar("T")


def progress(items: Sequence[T], what: str = "photos") -> Iterator[T]:
    """Many files one after the other, with a bar where there is a terminal."""
    if len(items) < 3:
        yield from items
        return
    with display(lines=False) as shown:
        yield from watched(items, what, shown)

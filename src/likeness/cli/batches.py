"""What commands that work through many files share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, TypeVar

from likeness.cli.display import display
from likeness.progress import watched

T = TypeVar("T")


def is_there(photo: Any) -> bool:
    """Whether what was given may be a photo: not a folder without any, or a path where nothing is that was meant for
    one, since it is not called like a photo."""
    from likeness.images.header import SUFFIXES

    if not isinstance(photo, Path) or photo.suffix.lower() in SUFFIXES:
        return True
    return photo.exists() and not photo.is_dir()


def progress(
    items: Iterable[T], what: str = "photos", count: int | None = None, *, lines: bool = False
) -> Iterator[T]:
    """Many files one after the other, with a bar where there is a terminal.

    Args:
        items: what is worked on.
        what: they are called.
        count: how many, if they do not say it.
        lines: where there is no terminal, have a line now and then.
    """
    total = len(items) if count is None and isinstance(items, Sized) else count or 0
    if total < 3:
        yield from items
        return
    with display(lines=lines) as shown:
        yield from watched(items, what, shown, total)

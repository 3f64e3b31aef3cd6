"""The errors that a caller may want to tell apart from programming mistakes, and records of what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np

StrPath = str | PathLike[str]


class LikenessError(Exception):
    """Base of the errors that are the input's fault, not the caller's; the command line exits with 2."""


class FileError(LikenessError):
    """A file that cannot be used or written: names it and says what was expected.

    Args:
        path: the file as the user gave it.
        message: what is wrong and what was expected, one line without the path.
    """

    def __init__(self, path: StrPath, message: str) -> None:
        self.path = fspath(path)
        super().__init__(f"{self.path}: {message}")


class FileWarning(UserWarning):
    """Something of a file that could not be used and was left out; the rest of the file is in use.

    Args:
        path: the file as the user gave it.
        message: what was left out and why, one line without the path.
    """

    def __init__(self, path: StrPath, message: str) -> None:
        self.path = fspath(path)
        super().__init__(f"{self.path}: {message}")


PIP_FIRST = {"train": "torch==2.13.0 "}
"""What an extra's pip line installs before it: an unpinned torch may bring gigabytes of GPU libraries."""


class MissingExtraError(LikenessError, ImportError):
    """A feature whose optional dependencies are not installed; says the pip line that installs them."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs more packages: pip install {PIP_FIRST.get(extra, '')}'likeness3d[{extra}]'"
        )


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


def listed(items: Sequence[Any] | np.ndarray, limit: int = 5) -> str:
    """``a, b, c and 7 more``: a list in a message, never a long one."""
    first = ", ".join(str(item) for item in items[:limit])
    return first if len(items) <= limit else f"{first} and {len(items) - limit} more"

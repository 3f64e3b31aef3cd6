"""The errors that a caller may want to tell apart from programming mistakes."""

from __future__ import annotations

from os import PathLike, fspath

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


PIP_FIRST = {"train": "torch==2.13.0 "}
"""What an extra's pip line installs before it: an unpinned torch may bring gigabytes of GPU libraries."""


class MissingExtraError(LikenessError, ImportError):
    """A feature whose optional dependencies are not installed; says the pip line that installs them."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs more packages: pip install {PIP_FIRST.get(extra, '')}'likeness3d[{extra}]'"
        )

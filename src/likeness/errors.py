"""The errors that a caller may want to tell apart from programming mistakes."""

from __future__ import annotations

import re
from os import PathLike, fsdecode, fspath

StrPath = str | PathLike[str]


_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def printable(text: StrPath) -> str:
    r"""A name, or a message with names in it, as any terminal and any file takes it.

    Bytes of a name that are not UTF-8 become ``\xff``, other characters that cannot be printed (line breaks, escapes
    of terminals) ``\n``, ``\x1b``; everything else stays as it is.
    """
    shown = fsdecode(text)
    if shown.isprintable():
        return shown
    shown = _NOT_UTF8.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", shown)
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown)


class LikenessError(Exception):
    """Base of the errors that are the input's fault, not the caller's; the command line exits with 2.

    Attributes:
        reason: what is wrong and what was expected, one line as it can be printed, without the file's name.
    """

    def __init__(self, message: str) -> None:
        self.reason = printable(message)
        super().__init__(self.reason)


class FileError(LikenessError):
    """A file that cannot be used or written: names it and says what was expected.

    Args:
        path: the file as the user gave it.
        message: what is wrong and what was expected, one line without the path.

    Attributes:
        path: the file.
        reason: the message, as it can be printed.
    """

    def __init__(self, path: StrPath, message: str) -> None:
        super().__init__(f"{printable(path)}: {printable(message)}")
        self.path = fspath(path)
        self.reason = printable(message)


PIP_FIRST = {"train": "torch==2.13.0 "}
"""What an extra's pip line installs before it: an unpinned torch may bring gigabytes of GPU libraries."""


class MissingExtraError(LikenessError, ImportError):
    """A feature whose optional dependencies are not installed; says the pip line that installs them."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs more packages: pip install {PIP_FIRST.get(extra, '')}'likeness3d[{extra}]'"
        )

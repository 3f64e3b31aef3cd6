"""The errors that a caller may want to tell apart from programming mistakes, and records of what was left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fsdecode, fspath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

StrPath = str | PathLike[str]


def printable(text: StrPath) -> str:
    r"""A name, or a message with names in it, as any terminal and any file takes it.

    What cannot be printed is escaped: bytes of a name that are not UTF-8 (``\udcff``, as Python keeps the byte 255),
    line breaks (``\n``), escapes of terminals (``\x1b``). Everything else stays as it is.
    """
    shown = fsdecode(text)
    if shown.isprintable():
        return shown
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


_NO_MEMORY = re.compile(r"alloc|out of memory|insufficient memory|failed to map segment", re.IGNORECASE)
"""What OpenCV, ONNX Runtime and the loader of libraries say, whose errors are of no type of their own, where memory
ends."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error, of whatever library, says that memory has ended."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def as_file_error(path: StrPath, error: Exception) -> LikenessError:
    """Whatever went wrong with one file of many, so that the others can go on.

    A :class:`LikenessError` is given back as it is; of others the message is the first line, with the type.
    """
    if isinstance(error, LikenessError):
        return error
    if is_out_of_memory(error):
        return FileError(path, "needs more memory than there is")
    lines = str(error).strip().splitlines()
    told = f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
    return FileError(path, f"cannot be used ({told})")


@contextmanager
def blamed_on(path: StrPath, what: str, problem: str) -> Iterator[None]:
    """While what was read of a file is used, by a library that raises a dozen types where something does not fit.

    Args:
        path: the file.
        what: it should be, for messages: "a regressor".
        problem: what an error within means, one clause.

    Raises:
        FileError: in place of any error within.
    """
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise FileError(path, "needs more memory than there is") from error
        reason = " ".join(str(error).split())[:200]
        raise FileError(path, f"expected {what}, {problem} ({type(error).__name__}: {reason})") from error


class FileWarning(UserWarning):
    """Something of a file that could not be used and was left out; the rest of the file is in use.

    Args:
        path: the file as the user gave it.
        message: what was left out and why, one line without the path.
    """

    def __init__(self, path: StrPath, message: str) -> None:
        self.path = fspath(path)
        super().__init__(f"{printable(path)}: {printable(message)}")


TORCH_FOR_CPU = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
"""From the public package index a plain Linux wheel of torch brings gigabytes of libraries for GPUs."""


class MissingExtraError(LikenessError, ImportError):
    """A feature whose optional dependencies are not installed; says the pip line that installs them."""

    def __init__(self, feature: str, extra: str) -> None:
        first = f"; without a GPU first: {TORCH_FOR_CPU}" if extra == "train" else ""
        super().__init__(f"{feature} needs more packages: pip install 'likeness3d[{extra}]'{first}")


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
    """``a, b, c and 7 more``: a list in a message, never a long one; ``none`` where there is nothing to list."""
    if not len(items):
        return "none"
    first = ", ".join(str(item) for item in items[:limit])
    return first if len(items) <= limit else f"{first} and {len(items) - limit} more"

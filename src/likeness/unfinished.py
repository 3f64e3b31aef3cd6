"""Files and folders in the making, so that what a killed process leaves is known for what it is, and removed.

They have names that no reader takes for a result, and are locked by who makes them. Where somebody makes another one
in the same folder, those are removed that nobody holds. Without locks (Windows, some network file systems) they are
removed when they are a day old.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from likeness.errors import FileError, StrPath

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FILE_PREFIX, FOLDER_PREFIX = ".likeness-", "unfinished-"

_NAMES = re.compile(rf"(?:{re.escape(FILE_PREFIX)}|{FOLDER_PREFIX})[a-z0-9_]{{8}}")
_OLD = 86_400.0  # seconds
_looked_into: set[str] = set()  # folders, by this process: once is enough, and many thousands of files take long


@contextlib.contextmanager
def unfinished_file(folder: StrPath) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file, open for writing, that is gone afterwards unless it was moved by :func:`finish`.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    remove_left_over(folder)
    descriptor, path = _held(lambda: tempfile.mkstemp(prefix=FILE_PREFIX, dir=folder))
    try:
        with open(path if descriptor is None else descriptor, "wb") as stream:
            yield stream, path
    finally:
        path.unlink(missing_ok=True)


def finish(stream: BinaryIO, path: Path, target: Path) -> None:
    """Give an unfinished file its place; OSError where that is not possible."""
    stream.flush()
    if fcntl is None:  # Windows moves no open files
        stream.close()
    os.replace(path, target)


@contextlib.contextmanager
def unfinished_folder(folder: StrPath) -> Iterator[Path]:
    """A new folder within ``folder`` that is gone afterwards, with all that is still in it.

    Raises:
        FileError: the folder cannot be written to.
    """

    def make() -> tuple[int | None, str]:
        name = tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=folder)
        return (None if fcntl is None else os.open(name, os.O_RDONLY)), name

    try:
        remove_left_over(folder)
        descriptor, path = _held(make)
    except OSError as error:
        raise FileError(folder, f"cannot be written to ({error.strerror}); expected a writable folder") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def remove_left_over(folder: StrPath, *, within: bool = False) -> None:
    """Remove what killed processes left in a folder; looks once a process.

    Args:
        folder: may be missing.
        within: also in the folders in it.
    """
    place = os.path.abspath(folder)
    if place in _looked_into:
        return
    _looked_into.add(place)
    for path, folders, files in os.walk(place):
        for name in filter(_NAMES.fullmatch, [*folders, *files]):
            _remove_if_nobodys(Path(path, name))
        folders[:] = [name for name in folders if within and not _NAMES.fullmatch(name)]


@contextlib.contextmanager
def alone_in(folder: StrPath, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder, which must be there; nothing is held where there are no locks.

    Args:
        folder: is no other one for other processes that ask for it; a process must not ask twice.
        wait: for who holds it, however long.

    Raises:
        FileError: another process holds it, or it is missing.
    """
    try:
        descriptor = None if fcntl is None else os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise FileError(folder, f"cannot be opened ({error.strerror or error})") from error
    try:
        if descriptor is not None and not _lock(descriptor, wait):
            raise FileError(folder, "another run is writing here; expected another output (-o), or that it has ended")
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _held(make: Callable[[], tuple[int | None, str]]) -> tuple[int | None, Path]:
    """Make something and lock it; anew where somebody took it for left over in between."""
    while True:
        descriptor, name = make()
        if descriptor is None or (_lock(descriptor) and os.path.lexists(name)):
            return descriptor, Path(name)
        os.close(descriptor)


def _lock(descriptor: int, wait: bool = False) -> bool:
    """Whether nobody else holds what is open; from then on this process does."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _remove_if_nobodys(path: Path) -> None:
    with contextlib.suppress(OSError):  # somebody else was quicker, or it is not ours
        status = os.lstat(path)
        is_folder = stat.S_ISDIR(status.st_mode)
        if not (is_folder or stat.S_ISREG(status.st_mode)):
            return
        if fcntl is None:
            if time.time() - status.st_mtime > _OLD:
                _remove(path, is_folder)
            return
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path, is_folder)
        except BlockingIOError:
            pass
        except OSError:
            if time.time() - status.st_mtime > _OLD:
                _remove(path, is_folder)
        finally:
            os.close(descriptor)


def _remove(path: Path, is_folder: bool) -> None:
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

"""Sets of files, one .npy a label, whose rows are worked on by several processes; half of one is never seen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.unfinished import unfinished_folder

Work = Callable[[range], None]

_work: list[Work] = []  # of this process, where it is one of several


@contextmanager
def whole_set(out: Path, first: str) -> Iterator[Path]:
    """A folder for a set's files; they take their places in ``out`` when all of them are written.

    Args:
        out: is made if missing.
        first: the file that readers open first. It goes first and comes last, so that a set that is replaced is
            missing in between, never half of this and half of that.

    Raises:
        FileError: ``out`` cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(out) as stage:
            yield stage
            (out / first).unlink(missing_ok=True)
            for path in sorted(stage.iterdir(), key=lambda path: path.name == first):
                os.replace(path, out / path.name)
    except OSError as error:
        raise FileError(out, f"cannot be written to ({error.strerror or error})") from error


def reserve(path: StrPath, kind: np.dtype | type, shape: tuple[int, ...]) -> None:
    """Make an ``.npy`` file of zeros to be written to as a memory map; a disk that is full says so now, later it
    would end the process.

    Raises:
        OSError: there is no room.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(kind), shape=shape)
    array.flush()
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, os.path.getsize(path))


def rows_done(work: Work, chunks: list[range], processes: int = 1) -> Iterator[int]:
    """Do the work of each chunk of rows, in order or by several processes; yields how many rows are done.

    Args:
        work: writes what belongs to some rows. It reaches each process once, so it may hold much; where processes
            are not forked it is pickled.
        chunks: the rows.
        processes: 1: this one.
    """
    if processes <= 1:
        for chunk in chunks:
            work(chunk)
            yield chunk.stop
        return
    with ProcessPoolExecutor(processes, initializer=_work.append, initargs=(work,)) as pool:
        for chunk, _ in zip(chunks, pool.map(_work_on, chunks), strict=True):
            yield chunk.stop


def _work_on(chunk: range) -> None:
    _work[-1](chunk)

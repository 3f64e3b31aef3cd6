"""Work on the rows of files, shared out to processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

Work = Callable[[range], None]

_work: list[Work] = []  # of this process, where it is one of several


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

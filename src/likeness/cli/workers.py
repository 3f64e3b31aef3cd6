"""Many tasks shared out to processes, none of which can end the others."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from likeness.errors import LikenessError, as_file_error

Task = TypeVar("Task")
Result = TypeVar("Result")

TRIES = 2
"""How often a task is given to a process before it is given up: the first may have been killed for another's sake."""

AHEAD = 32
"""Results for each process that may wait for an earlier one."""

PATIENCE = 10.0
"""Seconds that a process is given to end what it is at when all is stopped."""


@dataclass
class _Worker:
    """A process and what it is at; ``ready`` once it has said so."""

    process: BaseProcess
    pipe: Connection
    task: int | None = None
    ready: bool = False


class Shared(Generic[Task, Result]):
    """Iterates over results, in the order of the tasks.

    Args:
        make: gives the work on a task, in each process once; it is pickled, and so are tasks and results.
        tasks: what to do.
        jobs: processes.
        given_up: the result of a task with which ``TRIES`` processes ended.

    Raises:
        LikenessError: while iterating; ``make`` raised it, or processes end before they are ready.
    """

    def __init__(
        self,
        make: Callable[[], Callable[[Task], Result]],
        tasks: Sequence[Task],
        jobs: int,
        given_up: Callable[[Task], Result],
    ) -> None:
        self._make, self._tasks, self._jobs, self._given_up = make, tasks, jobs, given_up
        self._waiting = deque(range(len(tasks)))
        self._tries = dict.fromkeys(self._waiting, 0)
        self._results: dict[int, Result] = {}
        self._workers: list[_Worker] = []
        self._done = self._stillborn = 0

    def __iter__(self) -> Iterator[Result]:
        try:
            while self._done < len(self._tasks):
                self._give()
                self._take()
                while self._done in self._results:
                    yield self._results.pop(self._done)
                    self._done += 1
        finally:
            self._end()

    def _give(self) -> None:
        """A task for everyone who has none, and a process for every task that has none."""
        missing = min(self._jobs, len(self._tasks) - self._done) - len(self._workers)
        self._workers += [self._start() for _ in range(missing)]
        furthest = self._done + AHEAD * self._jobs
        for worker in self._workers:
            if worker.ready and worker.task is None and self._waiting and self._waiting[0] < furthest:
                worker.task = self._waiting.popleft()
                with suppress(OSError):  # it has ended, as will be seen when its answer is asked for
                    worker.pipe.send(self._tasks[worker.task])

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")  # threads of ONNX Runtime do not survive a fork
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._make), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _take(self) -> None:
        """Wait for an answer, or for the end of a process."""
        for pipe in wait([worker.pipe for worker in self._workers]):
            worker = next(one for one in self._workers if one.pipe is pipe)
            try:
                answer = worker.pipe.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if not worker.ready:
                if answer:
                    raise LikenessError(answer)
                worker.ready = True
            elif worker.task is not None:
                self._results[worker.task], worker.task = answer, None

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn > self._jobs:
                raise LikenessError("processes end before they can work; expected more memory, or fewer --jobs")
        if worker.task is None:
            return
        self._tries[worker.task] += 1
        if self._tries[worker.task] < TRIES:
            self._waiting.appendleft(worker.task)
        else:
            self._results[worker.task] = self._given_up(self._tasks[worker.task])

    def _end(self) -> None:
        for worker in self._workers:
            worker.pipe.close()  # whoever is idle ends, others do after their task
        for worker in self._workers:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _serve(pipe: Connection, make: Callable[[], Callable[[Any], Any]]) -> None:
    """What a process does; Ctrl-C is for who has started it, whose end is seen here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        try:
            work = make()
        except Exception as error:  # whatever it is, it is told where it can be shown
            pipe.send(str(error) if isinstance(error, LikenessError) else as_file_error("likeness", error).reason)
            return
        pipe.send("")
        while True:
            pipe.send(work(pipe.recv()))

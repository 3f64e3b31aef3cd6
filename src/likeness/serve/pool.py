"""Processes that make heads, and who waits for them."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any

from likeness.errors import LikenessError
from likeness.model.face_model import FaceModel
from likeness.serve.limits import Limits
from likeness.serve.problems import Problem, busy
from likeness.serve.wire import Failed, PeopleTask, PhotoTask, Step, receive, send
from likeness.serve.worker import work_for

START_SECONDS = 180.0
"""For a process to load the networks."""

Told = Callable[[Step], None]


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection

    def end(self) -> None:
        """End it, whatever it is at."""
        self.process.kill()  # first, so that a thread that waits for the pipe sees its end
        self.process.join()
        self.pipe.close()


class Pool:
    """Processes that work on tasks, ``limits.jobs`` at a time; they start when they are needed and stay.

    Args:
        model: the face model of the processes' reconstructors.
        options: of the :class:`likeness.Reconstructor` that each opens.
        limits: of time, of processes, and of tasks that wait.
    """

    def __init__(self, model: FaceModel, options: dict[str, Any], limits: Limits) -> None:
        self._model, self._options, self._limits = model, options, limits
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._free = asyncio.Semaphore(limits.jobs)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(limits.jobs, "likeness-serve")

    async def run(self, task: PhotoTask | PeopleTask, told: Told, wanted: Callable[[], bool]) -> Any:
        """Have a task done.

        Args:
            task: what to do.
            told: is called with every step, in the event loop.
            wanted: is asked before it begins.

        Returns:
            ``PhotoDone`` or ``PeopleDone``.

        Raises:
            Problem: too many wait, nobody waits any more, it takes too long, the process ended, or the task came to
                nothing.
        """
        async with self._turn():
            if not wanted():
                raise Problem("wrong-state", "Nobody waits for this any more.")
            loop = asyncio.get_running_loop()

            def tell(step: Step) -> None:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(told, step)

            result = await loop.run_in_executor(self._threads, self._work, task, tell)
        if isinstance(result, Failed):
            raise Problem(result.kind, result.detail)
        return result

    def end(self) -> None:
        """End all processes, whatever they are at."""
        for worker in tuple(self._all):
            worker.end()
        self._all.clear()
        self._idle.clear()
        self._threads.shutdown()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= self._limits.queue:
            raise busy(f"{self._waiting} photos are waiting already, the most that may; try again in a while.")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()

    def _work(self, task: PhotoTask | PeopleTask, tell: Told) -> Any:
        """In a thread: a task by an idle process, or a new one."""
        worker = self._idle.pop() if self._idle else self._start()
        ended = monotonic() + self._limits.work_seconds
        try:
            send(worker.pipe, task)
            while True:
                if not worker.pipe.poll(max(ended - monotonic(), 0.0)):
                    raise Problem("too-long", f"The work took longer than {self._limits.work_seconds:g} seconds.")
                answer = receive(worker.pipe, self._model)
                if not isinstance(answer, Step):
                    self._idle.append(worker)
                    return answer
                tell(answer)
        except (EOFError, OSError):
            self._drop(worker)
            raise Problem(
                "worker-ended", "The process that worked on it ended; it may need too much memory."
            ) from None
        except Problem:
            self._drop(worker)
            raise

    def _start(self) -> _Worker:
        """A process that is ready.

        Raises:
            Problem: it does not become so.
        """
        context = multiprocessing.get_context("spawn")  # threads of ONNX Runtime do not survive a fork
        ours, theirs = context.Pipe()
        process = context.Process(target=work_for, args=(theirs, self._options), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._all.append(worker)
        try:
            reason = receive(ours, self._model) if ours.poll(START_SECONDS) else "did not start in time"
        except (EOFError, OSError):
            reason = "ended before it could work"
        if reason:
            self._drop(worker)
            raise Problem("worker-ended", f"The process that makes heads cannot work: {reason}.")
        return worker

    def _drop(self, worker: _Worker) -> None:
        worker.end()
        if worker in self._all:
            self._all.remove(worker)

    def warm_up(self) -> None:
        """Start the first process now, so that the first photo need not wait for it.

        Raises:
            LikenessError: it cannot work.
        """
        try:
            self._idle.append(self._start())
        except Problem as problem:
            raise LikenessError(str(problem.detail)) from problem

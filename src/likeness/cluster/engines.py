"""Who does the work on an archive: this process, or actors of a Ray cluster."""

from __future__ import annotations

import logging
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from likeness.cluster.worker import Answer, Task
from likeness.errors import LikenessError
from likeness.extras import import_extra

Work = Callable[[Task], Answer]

Engine = Callable[[Callable[[], Work], Sequence[Task]], Iterable[Answer]]
"""Opens workers and has them do tasks; answers come in any order, and none of a task with which processes ended."""

RETRIES = 2
"""How often a task is done again whose process ended."""


def here(make: Callable[[], Work], tasks: Sequence[Task]) -> Iterator[Answer]:
    """The engine that does everything in this process."""
    return map(make(), tasks)


def by_ray(actors: int | None = None) -> Engine:
    """The engine of Ray Data: a pool of actors, each with a worker of its own.

    The cluster is the one that this process is connected to, else that of ``RAY_ADDRESS``, else this machine. Ray's
    reports of usage are switched off unless ``RAY_USAGE_STATS_ENABLED`` is set.

    Args:
        actors: processes, of one CPU each; None: one for each CPU of the cluster.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of its own processes: ours are asked
    for module in ("ray", "ray.data"):
        import_extra(module, "the engine ray", "cluster")

    def run(make: Callable[[], Work], tasks: Sequence[Task]) -> Iterator[Answer]:
        ray = import_extra("ray", "the engine ray", "cluster")
        is_ours = not ray.is_initialized()
        if is_ours:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            count = actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
            with _without_bars(ray.data.DataContext.get_current()):
                yield from _answers(ray, make, tasks, min(count, len(tasks)))
        finally:
            if is_ours:
                ray.shutdown()

    return run


@contextmanager
def _without_bars(context: Any) -> Iterator[None]:
    """Progress is told by who asked for it. Some versions ask the context of the data, some that of the process."""
    before, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        yield
    finally:
        context.enable_progress_bars = before


def _answers(ray: Any, make: Callable[[], Work], tasks: Sequence[Task], actors: int) -> Iterator[Answer]:
    """A block of data is a task: what is lost with a process is one task, which Ray gives to another one."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    tries = ray.remote(num_cpus=0, max_restarts=-1)(_Tries).remote()
    given = ray.data.from_items(
        [{"number": number, "task": pickle.dumps(task)} for number, task in enumerate(tasks)],
        override_num_blocks=len(tasks),
    )
    done = given.map_batches(
        _Actor,
        fn_constructor_args=(make, tries, actors + RETRIES),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, max_tasks_in_flight_per_actor=2),
        num_cpus=1,
    )
    for row in done.iter_rows():
        if row["answer"]:
            yield pickle.loads(row["answer"])


class _Tries:
    """Counts what was begun, in a process of its own: Ray gives tasks to ever new processes, however many end."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, what: int) -> int:
        """How often it has been begun."""
        self._begun[what] += 1
        return self._begun[what]

    def end(self, what: int) -> None:
        """Begun once less."""
        self._begun[what] -= 1


class _Actor:
    """A worker as Ray Data calls it: columns in, columns out; the answer to a task that is given up is empty.

    Args:
        make: opens the worker.
        tries: the actor of :class:`_Tries`.
        openings: how many may be on their way; with more, processes end while they open.
    """

    def __init__(self, make: Callable[[], Work], tries: Any, openings: int) -> None:
        self._tries = tries
        self._work: Callable[[Task], Answer | None] = _nothing
        if self._ask(tries.begin, _OPENING) > openings:
            return
        try:
            self._work = make()
        except LikenessError as error:
            self._work = partial(_unable, str(error))
        self._ask(tries.end, _OPENING)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"answer": [self._answer(*one) for one in zip(batch["number"], batch["task"], strict=True)]}

    def _answer(self, number: int, task: bytes) -> bytes:
        if self._ask(self._tries.begin, int(number)) > 1 + RETRIES:
            return b""
        answer = self._work(pickle.loads(task))
        return b"" if answer is None else pickle.dumps(answer)

    def _ask(self, method: Any, what: int) -> Any:
        return import_extra("ray").get(method.remote(what))


_OPENING = -1  # no task's number


def _nothing(task: Task) -> None:
    """Of a process that cannot work."""


def _unable(reason: str, task: Task) -> Answer:
    return Answer(task, error=reason)

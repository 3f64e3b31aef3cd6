"""Who does the work on an archive: this process, or actors of a Ray cluster."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from likeness.cluster.worker import Answer, Task
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
    for module in ("ray", "ray.data"):
        import_extra(module, "the engine ray", "cluster")

    def run(make: Callable[[], Work], tasks: Sequence[Task]) -> Iterator[Answer]:
        ray = import_extra("ray", "the engine ray", "cluster")
        is_ours = not ray.is_initialized()
        if is_ours:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            count = actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
            yield from _answers(ray.data, make, tasks, min(count, len(tasks)))
        finally:
            if is_ours:
                ray.shutdown()

    return run


def _answers(data: Any, make: Callable[[], Work], tasks: Sequence[Task], actors: int) -> Iterator[Answer]:
    """A block of data is a task: what is lost with a process is one task, which is done again by another."""
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what is lost is told at the end
    given = data.from_items([{"task": pickle.dumps(task)} for task in tasks], override_num_blocks=len(tasks))
    given.context.max_errored_blocks = -1  # tasks with which processes end are for who asked
    given.context.enable_progress_bars = False
    done = given.map_batches(
        _Actor,
        fn_constructor_args=(make,),
        batch_size=1,
        compute=data.ActorPoolStrategy(min_size=1, max_size=actors, max_tasks_in_flight_per_actor=2),
        ray_remote_args_fn=lambda: {"num_cpus": 1, "max_restarts": -1, "max_task_retries": RETRIES},
    )
    for row in done.iter_rows():
        yield pickle.loads(row["answer"])


class _Actor:
    """A worker as Ray Data calls it: columns in, columns out."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self._work = make()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"answer": [pickle.dumps(self._work(pickle.loads(task))) for task in batch["task"]]}

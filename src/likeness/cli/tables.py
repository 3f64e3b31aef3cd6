"""Tables of the faces of many photos, for `likeness reconstruct --formats parquet` and `--engine ray`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.cli.display import display
from likeness.cli.workers import Shared
from likeness.cluster import Archive, Engine, by_ray, here, list_photos, reconstruct_archive
from likeness.cluster.worker import Answer, Task


@dataclass(frozen=True)
class Tables:
    """What is asked for.

    Args:
        photos: paths and URLs.
        out: path or URL.
        options: of :class:`likeness.Reconstructor`.
        formats: files of each head that are written too.
        max_faces: of each photo.
        by_ray: the engine is Ray, not processes of this machine.
        jobs: processes; None: one, or with Ray one for each CPU.
        overwrite: results of another run.
        texture: side of the heads' textures; None: none.
    """

    photos: Sequence[Path]
    out: Path
    options: Mapping[str, Any]
    formats: Sequence[str]
    max_faces: int | None
    by_ray: bool
    jobs: int | None
    overwrite: bool
    texture: int | None


def reconstruct_tables(asked: Tables) -> Archive:
    """Make them, or go on with what an earlier run has made of them; errors as :func:`reconstruct_archive`."""
    jobs = asked.jobs or 1
    engine = by_ray(asked.jobs) if asked.by_ray else by_processes(jobs) if jobs > 1 else here
    photos = list_photos([as_given(path) for path in asked.photos])
    with display(lines=False) as steps:
        return reconstruct_archive(
            photos,
            as_given(asked.out),
            asked.options,
            max_faces=asked.max_faces,
            formats=asked.formats,
            texture=asked.texture,
            engine=engine,
            overwrite=asked.overwrite,
            steps=steps,
        )


def by_processes(jobs: int) -> Engine:
    """The engine of processes of this machine."""

    def run(make: Callable[[], Callable[[Task], Answer]], tasks: Sequence[Task]) -> Iterator[Answer]:
        answers: Shared[Task, Answer | None] = Shared(make, tasks, jobs, _lost)
        return (answer for answer in answers if answer is not None)

    return run


def as_given(path: Path) -> str:
    """A path, or a URL, of whose two or three slashes ``Path`` has left one."""
    found = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", str(path), re.DOTALL)
    if found is None:
        return str(path)
    return f"{found[1]}://{'/' if found[1].lower() == 'file' else ''}{found[2]}"


def _lost(task: Task) -> None:
    """Of a task with which processes ended: no answer."""

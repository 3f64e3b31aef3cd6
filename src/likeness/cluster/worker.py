"""What one process does: photos in, a file of the result out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from likeness.cluster.photos import PhotoAt, Shard
from likeness.cluster.stores import Output
from likeness.cluster.tables import Row, parquet_bytes, rows_of
from likeness.errors import LikenessError, MissingExtraError, as_file_error, printable
from likeness.extras import one_blas_thread
from likeness.files import digest
from likeness.images.photo import photo_of_content
from likeness.reconstruct.inputs import PhotoResult
from likeness.result_folder import Source
from likeness.result_names import fitted

if TYPE_CHECKING:
    from likeness.reconstruct.reconstructor import Reconstructor
    from likeness.reconstruct.result import Reconstruction

FACES, HEADS = "faces", "heads"
"""Folders of the result: tables, and files of heads."""


@dataclass(frozen=True)
class Settings:
    """What workers do with photos.

    Args:
        place: of the result, a path or URL.
        options: of each worker's :class:`likeness.Reconstructor`.
        max_faces: keep the best of each photo; None: all.
        formats: files of each head that are written; none: only the table is.
        told: metadata of the tables.
        texture: side of the heads' textures, pixels; None: they have the face model's colours.
    """

    place: str
    options: Mapping[str, Any]
    max_faces: int | None
    formats: tuple[str, ...]
    told: Mapping[str, str]
    texture: int | None = None


@dataclass(frozen=True)
class Task:
    """Work for one process.

    Args:
        shard: photos.
        alone: do not write the shard, but give back its rows.
    """

    shard: Shard
    alone: bool = False


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    Args:
        task: the task.
        rows: of the photos, if they were asked for.
        error: why nobody can go on (a full disk, a package that is missing); empty: nothing is wrong.
    """

    task: Task
    rows: tuple[Row, ...] = ()
    error: str = ""


def open_worker(settings: Settings) -> Callable[[Task], Answer]:
    """A worker with a reconstructor of its own, on one thread."""
    from likeness.reconstruct.reconstructor import Reconstructor

    return _Worker(settings, Reconstructor(**{**settings.options, "threads": 1}))


def part_name(number: int) -> str:
    """The file of a shard's table."""
    return f"{FACES}/part-{number:06d}.parquet"


class _Worker:
    def __init__(self, settings: Settings, reconstructor: Reconstructor) -> None:
        self._settings, self._reconstructor = settings, reconstructor
        self._output = Output(settings.place)

    def __call__(self, task: Task) -> Answer:
        try:
            rows = [row for number, photo in enumerate(task.shard.photos) for row in self._rows(task, number, photo)]
            if task.alone:
                return Answer(task, tuple(rows))
            self._output.write(part_name(task.shard.number), parquet_bytes(rows, self._settings.told))
            return Answer(task)
        except LikenessError as error:
            return Answer(task, error=str(error))

    def _rows(self, task: Task, number: int, photo: PhotoAt) -> list[Row]:
        with one_blas_thread():
            sha256, result = self._result(photo)
            count = task.shard.first + number
            heads: list[str] = []
            if self._settings.formats and result.error is None:
                heads = [self._save(face, task.shard.number, count) for face in result.faces]
        return rows_of(count, photo, sha256, result, heads)

    def _result(self, photo: PhotoAt) -> tuple[str, PhotoResult]:
        """The sha256 of a photo's content, and what became of it."""
        sha256 = ""
        try:
            data = photo.read()
            sha256 = digest(data)
            decoded = photo_of_content(data, photo.name)
            result = next(iter(self._reconstructor.batch([decoded], max_faces=self._settings.max_faces)))
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a photo does, the others are done
            return sha256, PhotoResult(photo, photo.name, error=as_file_error(photo.name, error))
        source = Source(photo.name, sha256)
        stem = PurePosixPath(photo.member or photo.source).stem
        return sha256, replace(result, faces=tuple(replace(face, source=source, name=stem) for face in result.faces))

    def _save(self, face: Reconstruction, shard: int, count: int) -> str:
        """Write a head's files; where they are, without suffix."""
        name = f"{HEADS}/{shard:06d}/{fitted(printable(f'{count:08d}-{face.number}-{face.name}'))}"
        with tempfile.TemporaryDirectory() as folder:
            saved = face.save(folder, self._settings.formats, "head", texture=self._settings.texture)
            for format, path in saved.items():
                self._output.write(f"{name}.{format}", Path(path).read_bytes())
        return name

"""Any number of photos to tables of faces: what is to do, what is done already, and what came of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from likeness.assets import asset
from likeness.cluster.engines import Engine, here
from likeness.cluster.photos import PhotoAt, Shard, listing_digest, shards
from likeness.cluster.stores import Output, is_url, parquet_extra
from likeness.cluster.tables import PhotoLine, Row, given_up, parquet_bytes, photo_lines, photos_in
from likeness.cluster.worker import FACES, HEADS, Answer, Settings, Task, open_worker, part_name
from likeness.errors import FileError, LikenessError, StrPath
from likeness.files import file_digest
from likeness.networks.regressor import default_network
from likeness.progress import Steps, unheard
from likeness.readers import read_json
from likeness.version import __version__

MANIFEST = "manifest.json"
MAX_MANIFEST = 1 << 20

SHARD = 64
"""Photos of a table, if nothing else is said: what is done again, at most, after a kill."""

_OWN = re.compile(
    rf"{FACES}/part-\d{{6,}}\.parquet|{HEADS}/\d{{6,}}/\d{{8,}}-\d+-.*\.(?:glb|obj|json|png)", re.DOTALL
)


@dataclass(frozen=True)
class Archive:
    """The result of an archive's photos: ``faces/part-NNNNNN.parquet``, and ``heads/`` if they were asked for.

    Args:
        place: path or URL.
        shards: how many tables there are.
        photos: in them.
    """

    place: str
    shards: int
    photos: int

    @property
    def tables(self) -> list[str]:
        """Their paths or URLs."""
        return [f"{self.place}/{part_name(number)}" for number in range(self.shards)]

    def lines(self) -> Iterator[PhotoLine]:
        """What became of each photo, in order; FileError where a table is missing."""
        output = Output(self.place)
        for number in range(self.shards):
            data = output.read(part_name(number))
            if data is None:
                raise FileError(f"{self.place}/{part_name(number)}", "does not exist; expected a table")
            yield from photo_lines(data)


def reconstruct_archive(
    photos: Sequence[PhotoAt],
    place: StrPath,
    options: Mapping[str, Any] | None = None,
    *,
    max_faces: int | None = None,
    formats: Sequence[str] = (),
    texture: int | None = None,
    shard: int = SHARD,
    engine: Engine = here,
    overwrite: bool = False,
    steps: Steps = unheard,
) -> Archive:
    """Reconstruct the faces of many photos into tables.

    Neither the engine, nor how many processes it has, nor what becomes of them, nor how often the run was ended and
    begun again changes a byte of the tables. A table that is there is never made again.

    Args:
        photos: of :func:`likeness.cluster.list_photos`.
        place: a folder or a URL, where processes of several machines work one that all of them reach.
        options: of :class:`likeness.Reconstructor`, which every process opens for itself, on one thread.
        max_faces: keep the best of each photo.
        formats: files of each head to be written too (:data:`likeness.reconstruct.result.FORMATS`).
        texture: side in pixels of each head's texture of the person's own skin; None: the face model's colours.
        shard: photos of a table.
        engine: who does the work.
        overwrite: replace the result of other photos or other settings.
        steps: hears how many photos are done.

    Raises:
        FileError: the place holds something else and ``overwrite`` is not set, it cannot be written to, or a model
            cannot be used.
        LikenessError: processes end before they can work.
        MissingExtraError: packages for Parquet or the engine are not installed.
        ValueError: no photos, or a size below 1.
    """
    if not photos or shard < 1:
        raise ValueError(f"expected at least one photo and tables of at least one, got {len(photos)} and {shard}")
    parquet_extra("pyarrow.parquet")
    options = {name: _found_anywhere(value) for name, value in (options or {}).items()}
    where = os.fsdecode(place)
    where = where if is_url(where) else os.path.abspath(where)
    output, every = Output(where), shards(photos, shard)
    told = {"likeness": __version__, **_models(options)}
    settings = Settings(where, options, max_faces, tuple(formats), told, texture)
    plan = {
        "command": "reconstruct",
        "photos": len(photos),
        "listing": listing_digest(photos),
        "shard": shard,
        "formats": sorted(formats),
        "texture": texture if formats else None,
        "max_faces": max_faces,
        **told,
    }
    _begin(output, plan, overwrite)
    todo = [one for one in every if photos_in(output.read(part_name(one.number))) != len(one.photos)]
    done = len(photos) - sum(len(one.photos) for one in todo)
    steps("photos", done, len(photos))
    make = partial(open_worker, settings)
    finished = set()
    for answer in engine(make, [Task(one) for one in todo]) if todo else ():
        _check(answer)
        finished.add(answer.task.shard.number)
        done += len(answer.task.shard.photos)
        steps("photos", done, len(photos))
    lost = [one for one in todo if one.number not in finished]
    if lost:
        _one_by_one(lost, partial(engine, make), output, told)
        steps("photos", len(photos), len(photos))
    return Archive(where, len(every), len(photos))


def _found_anywhere(value: Any) -> Any:
    """A file's path so that processes in other folders find it."""
    is_file = isinstance(value, str | os.PathLike) and os.path.exists(value)
    return os.path.abspath(value) if is_file and value != "mediapipe" else value


def _one_by_one(lost: Sequence[Shard], run: Any, output: Output, told: Mapping[str, str]) -> None:
    """Shards with which processes ended: every photo for itself, so that what ends them is given up alone.

    Before a photo is blamed a task without any must be answered, or processes end for another reason.
    """
    nothing = Task(Shard(-1, 0, ()), alone=True)
    single = [
        Task(replace(shard, first=shard.first + number, photos=(photo,)), alone=True)
        for shard in lost
        for number, photo in enumerate(shard.photos)
    ]
    rows: dict[int, tuple[Row, ...]] = {}
    is_able = False
    for answer in run([nothing, *single]):
        _check(answer)
        if answer.task.shard.photos:
            rows[answer.task.shard.first] = answer.rows
        else:
            is_able = True
    if not is_able:
        raise LikenessError("processes end before they can work; expected more memory, or fewer of them")
    for shard in lost:
        found = [
            row
            for number, photo in enumerate(shard.photos, start=shard.first)
            for row in rows.get(number) or given_up(number, photo)
        ]
        output.write(part_name(shard.number), parquet_bytes(found, told))


def _check(answer: Answer) -> None:
    if answer.error:
        raise LikenessError(answer.error)


def _begin(output: Output, plan: Mapping[str, Any], overwrite: bool) -> None:
    """Put the plan of a new run on record, or find that this goes on with one."""
    data = output.read(MANIFEST)
    known = _manifest(data)
    if known == plan:
        return
    own = {name for folder in (FACES, HEADS) for name in output.names(folder) if _OWN.fullmatch(name)}
    if (own or data is not None) and not overwrite:
        raise FileError(
            output.place, f"{_difference(known, plan)}; expected another output (-o), or --overwrite to replace it"
        )
    if known is not None:
        output.remove(MANIFEST)
    for name in sorted(own):
        output.remove(name)
    output.write(MANIFEST, (json.dumps(plan, indent=1) + "\n").encode())


def _manifest(data: bytes | None) -> dict[str, Any] | None:
    if data is None:
        return None
    try:
        found = read_json(MANIFEST, "a manifest", data, MAX_MANIFEST)
    except FileError:
        return None
    return found if isinstance(found, dict) and found.get("command") == "reconstruct" else None


def _difference(known: Mapping[str, Any] | None, plan: Mapping[str, Any]) -> str:
    if known is None:
        return "holds files that are of no run of likeness reconstruct that is known"
    names = [name for name in plan if known.get(name) != plan[name]]
    told = ", ".join(
        "other photos" if name == "listing" else f"{name} {known.get(name)} there, {plan[name]} now" for name in names
    )
    return f"holds the tables of another run ({told})"


def _models(options: Mapping[str, Any]) -> dict[str, str]:
    """What opens as a model, with digests of files, so that one run does not mix two; FileError where one cannot be
    used."""
    from likeness.reconstruct.reconstructor import Reconstructor

    opened = Reconstructor(**{**options, "threads": 1})
    files = {
        "model": asset("face_model.npz"),
        "network": default_network(options.get("precision", "auto")),
        "points": asset("surface_points.npz"),
    }
    given = {name: value for name, value in options.items() if value is not None and name != "threads"}
    told = {
        f"option_{name}": file_digest(value) if os.path.isfile(str(value)) else str(value)
        for name, value in sorted({**files, **given}.items())
    }
    return told | {
        "model": opened.model.name,
        "network": opened.network.name,
        "precision": opened.network.precision,
        "expressions": " ".join(opened.model.expression_names),
        "albedos": " ".join(opened.model.albedo_names),
    }

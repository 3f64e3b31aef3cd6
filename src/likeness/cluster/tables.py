"""The table of an archive: a row for every face, and one for every photo without any, as Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.cluster.photos import PhotoAt
from likeness.cluster.stores import parquet_extra
from likeness.errors import printable

if TYPE_CHECKING:
    from likeness.reconstruct.inputs import PhotoResult
    from likeness.reconstruct.result import Reconstruction

COMPRESSION = "zstd"

Row = dict[str, Any]


@dataclass(frozen=True)
class PhotoLine:
    """What a table says of one photo: how many faces it has, or why it could not be used, and what else to know."""

    name: str
    faces: int = 0
    error: str = ""
    note: str = ""


def rows_of(number: int, photo: PhotoAt, sha256: str, result: PhotoResult, heads: Sequence[str] = ()) -> list[Row]:
    """The rows of one photo.

    Args:
        number: of the photo in the archive, from 0.
        photo: where it lies.
        sha256: of its content, hexadecimal; empty: it could not be read.
        result: what became of it.
        heads: of each face, where its files are, without suffix; empty: nowhere.

    Returns:
        A row a face, best first; if there is none, one whose ``face`` and what follows are null.
    """
    row: Row = {
        "photo": number,
        "source": printable(photo.source),
        "member": printable(photo.member),
        "sha256": sha256,
        "note": result.note,
        "error": "" if result.error is None else str(result.error),
    }
    if result.photo is not None:
        row["width"], row["height"] = result.photo.size
    if not result.faces or result.error is not None:
        return [row]
    names: Sequence[str | None] = heads or [None] * len(result.faces)
    return [row | _face(face) | {"head": head} for face, head in zip(result.faces, names, strict=True)]


def given_up(number: int, photo: PhotoAt) -> list[Row]:
    """The row of a photo with which processes ended again and again."""
    reason = "the processes that worked on it were ended by the system; it may need too much memory"
    return [
        {
            "photo": number,
            "source": printable(photo.source),
            "member": printable(photo.member),
            "sha256": "",
            "note": "",
            "error": f"{printable(photo.name)}: {reason}",
        }
    ]


def parquet_bytes(rows: Sequence[Row], told: Mapping[str, str]) -> bytes:
    """A Parquet file of rows; the same rows give the same bytes.

    Args:
        rows: of :func:`rows_of`.
        told: what the file says of itself (``metadata``).
    """
    arrow, parquet = parquet_extra("pyarrow"), parquet_extra("pyarrow.parquet")
    table = arrow.Table.from_pylist([*rows], schema=schema().with_metadata(dict(told)))
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression=COMPRESSION)
    return sink.getvalue()


def schema() -> Any:
    """The columns (``pyarrow.Schema``); vectors are flat, row by row: ``landmarks`` is (68, 2), ``rotation`` (3, 3).

    Pixels, millimetres and axes are those of CONVENTIONS.md; the camera's principal point is the photo's centre.
    """
    arrow = parquet_extra("pyarrow")
    vector = arrow.list_(arrow.float32())
    kinds = {
        "photo": arrow.int64(),
        "source": arrow.string(),
        "member": arrow.string(),
        "sha256": arrow.string(),
        "width": arrow.int32(),
        "height": arrow.int32(),
        "note": arrow.string(),
        "error": arrow.string(),
        "face": arrow.int32(),
        "score": arrow.float32(),
        "box": vector,
        "landmarks": vector,
        "identity": vector,
        "expression": vector,
        "albedo": vector,
        "light": vector,
        "focal": arrow.float32(),
        "rotation": vector,
        "translation": vector,
        "head": arrow.string(),
    }
    return arrow.schema([arrow.field(name, kind) for name, kind in kinds.items()])


def rows_in(data: bytes) -> list[Row]:
    """The rows of a Parquet file, as they were given to :func:`parquet_bytes`."""
    rows: list[Row] = _table(data).to_pylist()
    return rows


def photos_in(data: bytes | None) -> int:
    """How many photos a Parquet file tells of; -1: it is none, or a damaged one."""
    if data is None:
        return -1
    arrow = parquet_extra("pyarrow")
    try:
        return len({*_columns(data, ["photo"])["photo"]})
    except (arrow.ArrowException, OSError, KeyError):
        return -1


def photo_lines(data: bytes) -> Iterator[PhotoLine]:
    """What a table says of each of its photos, in order."""
    columns = _columns(data, ["photo", "source", "member", "note", "error", "face"])
    numbers = np.asarray(columns["photo"], np.int64)
    for start, number in zip(*_firsts(numbers), strict=True):
        name, member = columns["source"][start], columns["member"][start]
        faces = int(np.sum(numbers == number)) if columns["face"][start] is not None else 0
        yield PhotoLine(
            f"{name}/{member}" if member else name, faces, columns["error"][start], columns["note"][start]
        )


def _firsts(numbers: np.ndarray) -> tuple[list[int], list[int]]:
    """Where each number comes first, and the numbers."""
    values, starts = np.unique(numbers, return_index=True)
    return starts.tolist(), values.tolist()


def _columns(data: bytes, names: list[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = _table(data, names).to_pydict()
    return columns


def _table(data: bytes, names: list[str] | None = None) -> Any:
    """Read on this thread alone: Arrow's own may hold Python's bytes a little longer, and one that gives them back
    while Python ends aborts the process."""
    arrow, parquet = parquet_extra("pyarrow"), parquet_extra("pyarrow.parquet")
    source = parquet.ParquetFile(arrow.BufferReader(data), pre_buffer=False)
    return source.read(columns=names, use_threads=False)


def _face(face: Reconstruction) -> Row:
    found = face.coefficients
    return {
        "face": face.number,
        "score": face.score,
        "box": _flat(face.box),
        "landmarks": _flat(face.landmarks),
        "identity": _flat(found.identity),
        "expression": _flat(found.expression),
        "albedo": _flat(found.albedo),
        "light": _flat(found.light),
        "focal": face.camera.focal,
        "rotation": _flat(face.rotation),
        "translation": _flat(face.translation),
    }


def _flat(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32).ravel()

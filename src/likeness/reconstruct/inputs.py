"""What may be given as a photo, and as many photos."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from likeness.errors import FileError, LikenessError, StrPath, as_file_error
from likeness.files import digest
from likeness.images.header import SUFFIXES
from likeness.images.photo import (
    MAX_BYTES,
    Photo,
    load_photo,
    photo_from_array,
    photo_from_bytes,
    photo_from_pillow,
)
from likeness.result_folder import RECORDS, ResultFolder

if TYPE_CHECKING:
    from likeness.reconstruct.result import Reconstruction

PhotoSource: TypeAlias = StrPath | bytes | bytearray | memoryview | BinaryIO | np.ndarray | Photo | Any
"""A file's path; its content; an open file; pixels (H, W, 3) uint8 RGB; a :class:`Photo`; or a Pillow image."""

UNNAMED = "face"
"""What results of a photo without a name are called."""


@dataclass(frozen=True, eq=False)
class PhotoResult:
    """What became of one photo of many.

    Args:
        given: the photo as it was given; of a folder or a pattern: the file.
        name: what to call it in a message.
        photo: as it was read; None where it could not be.
        faces: found in it, best first.
        error: why it could not be used; None where it could.
    """

    given: PhotoSource
    name: str
    photo: Photo | None = None
    faces: tuple[Reconstruction, ...] = ()
    error: LikenessError | None = None

    @property
    def note(self) -> str:
        """What the user should know of a photo that was used all the same, one line; empty if nothing."""
        return "" if self.photo is None else self.photo.note


def as_photo(given: PhotoSource) -> Photo:
    """Read whatever stands for a photo.

    Raises:
        FileError: it is a file, a file's content or a Pillow image, and no usable photo.
        ValueError: an array of another shape or type, or something else.
    """
    if isinstance(given, Photo):
        return given
    if isinstance(given, np.ndarray):
        return photo_from_array(given)
    if isinstance(given, str | os.PathLike):
        return load_photo(given)
    try:
        if isinstance(given, bytes | bytearray | memoryview):
            return _of_content(bytes(given))
        if callable(getattr(given, "read", None)):
            return _of_content(_content(given))
        if callable(getattr(given, "getexif", None)) and callable(getattr(given, "convert", None)):
            return photo_from_pillow(given)
    except FileError:
        raise
    except Exception as error:  # a stream and Pillow raise what they like
        raise as_file_error(label_of(given), error) from error
    raise ValueError(
        f"expected a photo as a path, bytes, an open file, an array or a Pillow image, got {type(given).__name__}"
    )


def label_of(given: PhotoSource) -> str:
    """What to call a photo in a message."""
    if isinstance(given, str | os.PathLike):
        return os.fsdecode(given)
    name = (
        given.path if isinstance(given, Photo) else getattr(given, "name", None) or getattr(given, "filename", None)
    )
    return name if isinstance(name, str) and name else type(given).__name__


def stem_of(given: PhotoSource) -> str:
    """What to call results of a photo."""
    name = label_of(given)
    return UNNAMED if name == type(given).__name__ else Path(name.strip("<>")).stem or UNNAMED


def photo_files(path: StrPath) -> list[Path]:
    """The photos that a path stands for: itself; a folder's, with those of its folders; a pattern's (``*.jpg``).

    In folders files are taken by their suffix, and hidden ones and results of earlier runs are left out.

    Raises:
        FileError: a folder without photos, or a pattern that nothing matches.
    """
    if os.path.isdir(path):
        found = _in_folder(Path(path))
        if not found:
            raise FileError(path, "is a folder without photos in it")
        return found
    text = os.fsdecode(path)
    if os.path.lexists(path) or not glob.has_magic(text):
        return [Path(path)]
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
    files = [file for match in matches for file in (_in_folder(match) if match.is_dir() else [match])]
    if not files:
        raise FileError(path, "expected photos that match, found none")
    return files


def each_source(given: PhotoSource) -> Iterator[PhotoSource]:
    """A photo, or the photos of a folder or pattern; FileError as :func:`photo_files`."""
    if isinstance(given, str | os.PathLike):
        yield from photo_files(given)
    else:
        yield given


def _of_content(data: bytes) -> Photo:
    try:
        photo = photo_from_bytes(data)
    except ValueError as error:
        raise FileError("a photo", str(error)) from error
    return Photo(photo.image, photo.focal, sha256=digest(data), note=photo.note)


def _content(stream: Any) -> bytes:
    """What is left in an open file, at most ``MAX_BYTES``."""
    pieces, size = [], 0
    while size <= MAX_BYTES and (piece := stream.read(1 << 22)):
        if not isinstance(piece, bytes):
            raise ValueError("expected a file that is open for bytes, not for text")
        pieces.append(piece)
        size += len(piece)
    if size > MAX_BYTES:
        raise ValueError(f"is over {MAX_BYTES >> 20} MiB")
    return b"".join(pieces)


def _in_folder(folder: Path) -> list[Path]:
    found = []
    written: set[str] = set()
    for place, folders, files in os.walk(folder):
        if RECORDS in folders:
            written |= _written(Path(place))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place, name)
            for name in sorted(files)
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
        ]
    return [file for file in found if str(file) not in written and not _is_endless(file)]


def _is_endless(path: Path) -> bool:
    """Whether something is there that may never give an end, or anything: a pipe, a socket, a device."""
    return path.exists() and not path.is_file()


def _written(folder: Path) -> set[str]:
    """Files in a folder of results that this package wrote."""
    results, records = ResultFolder(folder, ""), folder / RECORDS
    names = (file.relative_to(records).as_posix().removesuffix(".json") for file in records.rglob("*.json"))
    owners = (results.owner(name) for name in names)
    return {str(folder / file) for owner in owners if owner is not None for file in owner.files}

"""Which photos an archive has, where each lies, and which of them are done together."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path, PurePosixPath

from likeness.cluster.stores import is_url, joined, list_store, opened
from likeness.datasets.archives import list_members
from likeness.errors import FileError, StrPath
from likeness.images.header import SUFFIXES
from likeness.images.photo import MAX_BYTES
from likeness.reconstruct.inputs import photo_files

TAR = ".tar"


@dataclass(frozen=True)
class PhotoAt:
    """Where one photo lies.

    Args:
        place: a file of this machine, or the URL that was given.
        within: the file in the folder that the URL names; empty: the URL is the file's, or it is no URL.
        member: its name in the tar that this is; empty: it is no tar.
        offset: of the member's content, bytes.
        size: of the member's content, bytes.
    """

    place: str
    within: str = ""
    member: str = ""
    offset: int = 0
    size: int = 0

    @property
    def source(self) -> str:
        """Path or URL of the file or tar."""
        return joined(self.place, self.within)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"{self.source}/{self.member}" if self.member else self.source

    def read(self) -> bytes:
        """The photo's bytes.

        Raises:
            FileError: missing, unreadable, over ``MAX_BYTES``, or a tar that has become shorter.
        """
        with opened(self.place, self.within) as stream:
            if self.member:
                stream.seek(self.offset)
            pieces, wanted = [], min(self.size, MAX_BYTES + 1) if self.member else MAX_BYTES + 1
            while wanted and (piece := stream.read(min(wanted, 1 << 22))):
                pieces.append(piece)
                wanted -= len(piece)
        size = sum(map(len, pieces))
        if size > MAX_BYTES:
            raise FileError(self.name, f"is over {MAX_BYTES >> 20} MiB")
        if self.member and wanted:
            raise FileError(self.name, f"is cut short: expected {self.size} bytes, got {size}")
        return b"".join(pieces)


@dataclass(frozen=True)
class Shard:
    """Photos that are done together, one file of the result.

    Args:
        number: of the shard, from 0.
        first: number of its first photo among all.
        photos: in order.
    """

    number: int
    first: int
    photos: tuple[PhotoAt, ...]


def list_photos(given: Iterable[StrPath]) -> list[PhotoAt]:
    """All photos of files, folders, patterns, uncompressed tars and URLs of all these (but patterns).

    In folders and tars files are taken by their suffix, in folders tars too; hidden ones are left out.

    Args:
        given: paths of this machine and URLs.

    Returns:
        The photos, each once, in the order in which they were given and by name; a file that is missing is among
        them, and its reader says so.

    Raises:
        FileError: a folder without photos, a pattern or URL that stands for nothing, or a tar that is none.
    """
    found: list[PhotoAt] = []
    for one in given:
        path = os.fsdecode(one)
        listed = [*(_in_store(path) if is_url(path) else _on_this_machine(path))]
        if not listed:
            raise FileError(path, "has no photos in it")
        found += listed
    return list(dict.fromkeys(found))


def shards(photos: Sequence[PhotoAt], size: int) -> list[Shard]:
    """The photos in portions of ``size``, the last one smaller."""
    starts = range(0, len(photos), size)
    return [Shard(number, start, tuple(photos[start : start + size])) for number, start in enumerate(starts)]


def listing_digest(photos: Iterable[PhotoAt]) -> str:
    """sha256 of which photos there are, in which order; not of their content."""
    state = hashlib.sha256()
    for photo in photos:
        state.update(json.dumps(astuple(photo)).encode() + b"\n")
    return state.hexdigest()


def _in_store(url: str) -> Iterator[PhotoAt]:
    for within in list_store(url):
        if not within or _is_wanted(within):
            yield from _with_members(PhotoAt(url, within))


def _on_this_machine(path: str) -> Iterator[PhotoAt]:
    found: list[Path] = []
    if os.path.isdir(path):
        found += (tar for tar in sorted(Path(path).rglob(f"*{TAR}")) if _is_wanted(str(tar.relative_to(path))))
    try:
        found += photo_files(path)
    except FileError:
        if not found:
            raise
    for file in found:
        yield from _with_members(PhotoAt(os.path.abspath(file)))


def _with_members(photo: PhotoAt) -> Iterator[PhotoAt]:
    """The photos of a tar; another file as it is."""
    if not photo.source.lower().endswith(TAR):
        yield photo
        return
    with opened(photo.place, photo.within) as stream:
        members, _, _ = list_members(photo.source, stream)
    for name, offset, size in sorted(members):
        if _is_wanted(name) and not name.lower().endswith(TAR):
            yield PhotoAt(photo.place, photo.within, name, offset, size)


def _is_wanted(name: str) -> bool:
    """By its suffix; hidden ones are not."""
    path = PurePosixPath(name)
    return path.suffix.lower() in (*SUFFIXES, TAR) and not any(part.startswith(".") for part in path.parts)

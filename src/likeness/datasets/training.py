"""Any number of sources as one: their people numbered apart, damaged pictures left out and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from os import fspath
from pathlib import Path, PurePosixPath

import numpy as np

from likeness.datasets.image_store import DECODED_LIMIT, ImageStore, Places
from likeness.datasets.listing import Listing
from likeness.datasets.pictures import Frames, Photos
from likeness.datasets.sources import list_source
from likeness.datasets.tars import list_shards, list_tar, shard_base, shard_groups
from likeness.errors import FileError, StrPath, listed


@dataclass(frozen=True, eq=False)
class Opened:
    """What sources hold together.

    Args:
        frames: all pictures with landmarks; None where there are none.
        photos: all pictures without; None where there are none.
        listings: the sources one by one, without the pictures that are damaged.
        left_out: lines about what was not read.
    """

    frames: Frames | None = None
    photos: Photos | None = None
    listings: tuple[Listing, ...] = ()
    left_out: tuple[str, ...] = ()

    def describe(self) -> tuple[str, ...]:
        """Lines for the user: each source's kind, pictures, people, pictures with landmarks, and what is left out."""
        return (*(line for listing in self.listings for line in _lines(listing)), *self.left_out)


def open_sources(paths: Sequence[StrPath], limit: int = DECODED_LIMIT) -> Opened:
    """Open any number of sources, each with what it has.

    A path is a tar (of WebDataset's ``KEY.jpg`` with ``KEY.json`` or ``KEY.cls``, or of ``IDENTITY/NAME.jpg``), a
    pattern for several (``name-{000..012}.tar``, ``*.tar``), or a folder (see
    :func:`~likeness.datasets.folders.list_folder`). Shards of one name are one source, also where the shell has
    expanded the pattern. People of different
    sources are different people. Somebody of whom a source has pictures with landmarks and without is known where
    there are more, and unknown (-1) among the others, because the two parts number people apart.

    Args:
        paths: the sources; none gives neither frames nor photos.
        limit: bytes up to which the pictures are decoded at once, frames and photos each.

    Raises:
        FileError: missing, no source of a known kind, damaged, without pictures, with annotations that cannot be
            used, or more than 1 % of its pictures damaged.
    """
    listings: list[Listing] = []
    left_out: list[str] = []
    for path in _sources_of(paths):
        found, lines = _listings(path)
        if not any(len(listing) for listing in found):
            named = path if isinstance(path, str) else path[0]
            raise FileError(named, "; ".join(("expected pictures to train on, found none", *lines)))
        listings += found
        left_out += lines
    return replace(_opened(listings, limit), left_out=tuple(left_out))


def read_frames(path: StrPath, limit: int = DECODED_LIMIT) -> Frames:
    """Read a WebDataset tar of pictures ``KEY.webp`` (or .jpg, .png), each with ``KEY.json`` = {landmarks,
    identity?, clip?}.

    Raises:
        FileError: no tar, a picture without landmarks, or not 68 of them.
    """
    listing = list_tar(Path(path))
    bare = next((name for n, name in enumerate(listing.places.names) if n not in listing.marked), None)
    if bare is not None:
        raise FileError(path, f"expected 68 landmarks [x, y] of every picture, got none of {bare}")
    frames = _opened([listing], limit).frames
    assert frames is not None
    return frames


def read_photos(path: StrPath, limit: int = DECODED_LIMIT) -> Photos:
    """Read a tar of pictures ``IDENTITY/NAME.webp`` (or .jpg, .png); the folder is the identity. Landmarks, where
    there are any, are not looked at.

    Raises:
        FileError: no tar, or no pictures in it.
    """
    photos = _opened([replace(list_tar(Path(path)), marked={})], limit).photos
    assert photos is not None
    return photos


def _sources_of(paths: Sequence[StrPath]) -> list[str | list[Path]]:
    """The paths; shards that follow one another, as a shell gives them, as one list."""
    found: list[str | list[Path]] = []
    for base, run in groupby([fspath(path) for path in paths], lambda path: shard_base(Path(path))):
        members = [*run]
        shards = [Path(path) for path in members]
        if base is not None and len({*shards}) == len(shards) > 1 and all(path.is_file() for path in shards):
            found.append(shards)
        else:
            found += members
    return found


def _listings(path: str | list[Path]) -> tuple[list[Listing], list[str]]:
    """The sources that one path, or shards, stand for, and lines about what is left out."""
    if not isinstance(path, str):
        return [list_shards(shards, name) for name, shards in shard_groups(path)], []
    return list_source(path, for_training=True)


def _opened(listings: Sequence[Listing], limit: int) -> Opened:
    """The pictures of all sources in two stores, those that turn out damaged left out."""
    checked = [listing.checked() for listing in listings]
    with_landmarks, checked = _held(checked, True, limit)
    without, checked = _held(checked, False, limit)
    return Opened(
        None if with_landmarks is None else _frames(with_landmarks, checked),
        None if without is None else Photos(without, _numbered_apart(checked, False)),
        tuple(checked),
    )


def _rows(listing: Listing, marked: bool) -> np.ndarray:
    """Numbers of a source's pictures with landmarks, or of those without."""
    return np.array([n for n in range(len(listing)) if (n in listing.marked) == marked], np.int64)


def _held(listings: Sequence[Listing], marked: bool, limit: int) -> tuple[ImageStore | None, list[Listing]]:
    """The pictures with landmarks, or those without, of all sources in one store; the sources without what does not
    decode."""
    rows = [_rows(listing, marked) for listing in listings]
    if not sum(map(len, rows)):
        return None, [*listings]
    places = Places.joined([one.places.select(numbers) for one, numbers in zip(listings, rows, strict=True)])
    images, damaged = ImageStore(places).hold(limit)
    left: list[Listing] = []
    start = 0
    for listing, numbers in zip(listings, rows, strict=True):
        end = start + len(numbers)
        left.append(listing.without({int(numbers[n - start]): why for n, why in damaged.items() if start <= n < end}))
        start = end
    return images, left


def _frames(images: ImageStore, listings: Sequence[Listing]) -> Frames:
    marked = [sorted(one.marked) for one in listings]
    several = sum(map(bool, marked)) > 1
    clips = [
        f"{source}: {_clip(listing, row)}" if several else _clip(listing, row)
        for source, (listing, rows) in enumerate(zip(listings, marked, strict=True))
        for row in rows
    ]
    landmarks = np.stack(
        [listing.marked[row] for listing, rows in zip(listings, marked, strict=True) for row in rows]
    )
    return Frames(images, landmarks, _numbered_apart(listings, True), tuple(clips))


def _clip(listing: Listing, row: int) -> str:
    """The clip of a picture; its own name where it is of none."""
    return listing.clip[row] or str(PurePosixPath(listing.places.names[row]).with_suffix(""))


def _numbered_apart(listings: Sequence[Listing], marked: bool) -> np.ndarray:
    """(N,) numbers of the people of all pictures with landmarks, or of those without, in the order of the sources and
    of the names; -1 unknown."""
    found: list[np.ndarray] = []
    first = 0
    for listing in listings:
        elsewhere = _known_elsewhere(listing, marked)
        names = [listing.identity[n] for n in _rows(listing, marked).tolist()]
        known = sorted({name for name in names if name is not None and name not in elsewhere})
        number = {name: first + index for index, name in enumerate(known)}
        first += len(known)
        found.append(np.array([-1 if name is None else number.get(name, -1) for name in names], np.int64))
    return np.concatenate(found)


def _known_elsewhere(listing: Listing, marked: bool) -> set[str]:
    """People of both parts of a source who are known in the other one: there are more pictures of them there."""
    if not 0 < len(listing.marked) < len(listing):
        return set()
    sides = (Counter[str](), Counter[str]())
    for number, name in enumerate(listing.identity):
        if name is not None:
            sides[number in listing.marked][name] += 1
    without, with_landmarks = sides
    both = without.keys() & with_landmarks.keys()
    return {name for name in both if (with_landmarks[name] >= without[name]) != marked}


def _lines(listing: Listing) -> Iterator[str]:
    yield listing.describe()
    if listing.damaged:
        names = listed([f"{one.item} {one.reason}" for one in listing.damaged], 3)
        yield f"{listing.path}: {len(listing.damaged):,} damaged, left out: {names}"
    shared = len(_known_elsewhere(listing, True) | _known_elsewhere(listing, False))
    if shared:
        yield f"{listing.path}: {shared:,} people have pictures with landmarks and without: known in the larger part"
    yield from (f"{listing.path}: {note}" for note in listing.notes)

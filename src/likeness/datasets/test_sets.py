"""Photos to measure on: what training reads, and `.bin` sets, listed first and read one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from likeness.datasets.archives import archive_stem
from likeness.datasets.identities import person_among, unique_names
from likeness.datasets.listing import Listing, people_told
from likeness.datasets.sources import list_source
from likeness.errors import Excluded, FileError, StrPath, as_file_error, printable
from likeness.images.photo import load_photo, photo_from_bytes
from likeness.metrics.records import Pairs


@dataclass(frozen=True, eq=False)
class PhotoItem:
    """One photo of a test set; nothing is decoded before it is asked for.

    Args:
        name: ``IDENTITY/NAME`` without suffix, or as the pairs of the set call it.
        identity: the person; empty where that is not known.
        group: the clip or session, None where every photo is one of its own.
        read: gives the file's bytes; raises FileError.
        path: the file, where it is one.
        landmarks: (68, 2) annotated iBUG points, photo pixels, or None.
    """

    name: str
    identity: str
    group: str | None
    read: Callable[[], bytes]
    path: Path | None = None
    landmarks: np.ndarray | None = None

    def source(self) -> Path | np.ndarray:
        """What the reconstructor takes: the file (whose EXIF tells the focal length) or pixels."""
        return self.path if self.path is not None else decoded(self.read(), self.name)

    def image(self) -> np.ndarray:
        """The upright photo (H, W, 3) uint8 RGB; raises FileError."""
        return load_photo(self.path).image if self.path is not None else decoded(self.read(), self.name)


@dataclass(frozen=True, eq=False)
class PhotoSet:
    """Photos of a test set.

    Args:
        items: the photos.
        excluded: what was left out while listing them.
        pairs: those that the set itself names (`.bin` sets).
        read: lines that say what was taken for what.
        splits: names of the splits that the photos are from.
    """

    items: tuple[PhotoItem, ...]
    excluded: tuple[Excluded, ...] = ()
    pairs: Pairs | None = None
    read: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()

    def of_people(self, people: Iterable[str]) -> PhotoSet:
        """The photos of these people, as folders are called anywhere in their paths; the others are listed."""
        wanted = set(people)
        items = [replace(one, identity=person_among(one.name, wanted, one.identity)) for one in self.items]
        gone = tuple(
            Excluded(item.name, f"no scan of {item.identity}" if item.identity else NOBODY)
            for item in items
            if item.identity not in wanted
        )
        kept = tuple(item for item in items if item.identity in wanted)
        return replace(self, items=kept, excluded=(*self.excluded, *gone))


NOBODY = "no identity: expected a folder per person, or identity in its .json"


def open_photos(path: StrPath) -> PhotoSet:
    """List the photos of whatever training reads (:func:`~likeness.datasets.sources.list_source`), all splits of it,
    or of a `.bin` set.

    Photos beside which something lies that cannot be used are left out and listed. People of several sources in one
    folder are kept apart where they are called alike. Names are printable ones from here on: they go into arrays,
    pictures and reports, not back to the file system.

    Raises:
        FileError: missing, another kind of file, damaged, or without any photo.
    """
    source = Path(path)
    if source.is_file() and source.suffix.lower() == ".bin":
        return _bin_set(source)
    listings, left_out = list_source(str(path), for_training=False)
    found = _photos(source, listings)
    if not found.items:
        first = f"; the first: {found.excluded[0].item}: {found.excluded[0].reason}" if found.excluded else ""
        more = "".join(f"; {line}" for line in left_out)
        raise FileError(path, f"expected photos as IDENTITY/NAME.jpg (or with KEY.json), found none{first}{more}")
    lines = [line for one in listings for line in (one.describe(), *one.notes)]
    if len(listings) > 1:
        who = people_told([item.identity for item in found.items if item.identity], found.splits)
        lines.insert(0, f"{path}: {len(listings)} sources: {len(found.items):,} pictures, {who}")
    return replace(found, read=tuple(printable(line) for line in (*lines, *left_out)))


def _photos(source: Path, listings: list[Listing]) -> PhotoSet:
    """Items of all sources."""
    owners = Counter(name for one in listings for name in {*one.identity} - {None})
    prefixes = [_prefix(source, one) for one in listings]
    full = [
        f"{prefix}{printable(name)}"
        for one, prefix in zip(listings, prefixes, strict=True)
        for name in one.places.names
    ]
    names = iter(_each_once(unique_names(full)))
    items: list[PhotoItem] = []
    excluded: list[Excluded] = []
    for number, listing in enumerate(listings):
        for row, (given, name) in enumerate(zip(listing.places.names, names, strict=False)):
            if row in listing.problems:
                excluded.append(Excluded(f"{prefixes[number]}{printable(given)}", listing.problems[row]))
                continue
            person = listing.identity[row] or ""
            identity = printable(person if owners[person] < 2 else f"{prefixes[number] or f'{number + 1}/'}{person}")
            called = name if "/" in name or not identity else f"{identity}/{name}"
            clip = listing.clip[row]
            path = listing.places.path(row)
            read = partial(listing.places.read, row)
            items.append(
                PhotoItem(
                    called, identity, None if clip is None else printable(clip), read, path, listing.marked.get(row)
                )
            )
    return PhotoSet(tuple(items), tuple(excluded), splits=tuple(sorted({s for one in listings for s in one.splits})))


def _prefix(source: Path, listing: Listing) -> str:
    """Where a source lies below the path that the user named, as a path that ends in ``/``; empty for that itself."""
    try:
        inner = Path(listing.path).relative_to(source)
    except ValueError:
        return ""
    parts = inner.parts and (*inner.parts[:-1], archive_stem(inner))
    return printable("".join(f"{part}/" for part in parts))


def _each_once(names: Iterable[str]) -> list[str]:
    """The names, numbered where shards call two pictures alike."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found


def decoded(data: bytes, name: str) -> np.ndarray:
    """Bytes of an image file -> upright (H, W, 3) uint8 RGB.

    Raises:
        FileError: no image, damaged, too small or too large.
    """
    try:
        return photo_from_bytes(data).image
    except ValueError as error:
        raise FileError(name, str(error)) from error
    except MemoryError as error:
        raise as_file_error(name, error) from error


def _bin_set(source: Path) -> PhotoSet:
    from likeness.datasets.bin_sets import read_bin

    found = read_bin(source)
    items = (
        PhotoItem(f"{number:06d}", "", None, partial(found.images.__getitem__, number))
        for number in range(len(found.images))
    )
    told = f"{printable(source)}: verification set: {len(found.images):,} pictures, {len(found.pairs):,} pairs"
    return PhotoSet(tuple(items), (), found.pairs, (told,))

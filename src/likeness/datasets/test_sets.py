"""Photos by identity: folders, tar archives and `.bin` sets, listed first and read one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from likeness.datasets.archives import list_members
from likeness.datasets.identities import people_of
from likeness.errors import Excluded, FileError, StrPath, as_file_error, printable
from likeness.images.header import SUFFIXES
from likeness.images.photo import load_photo, photo_from_bytes
from likeness.metrics.records import Pairs
from likeness.readers import read_json

PHOTO_SUFFIXES = SUFFIXES
MAX_NOTE_BYTES = 1 << 20
"""The largest .json or .cls beside a photo that is read."""

MAX_MEMBER_BYTES = 1 << 28
"""The largest file of an archive that is read."""


@dataclass(frozen=True, eq=False)
class PhotoItem:
    """One photo of a test set; nothing is decoded before it is asked for.

    Args:
        name: ``IDENTITY/NAME`` without suffix, or as the pairs of the set call it.
        identity: the person; empty where the set does not tell.
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
    """Photos, what was left out while listing them, and the pairs that the set itself names (`.bin` sets)."""

    items: tuple[PhotoItem, ...]
    excluded: tuple[Excluded, ...] = ()
    pairs: Pairs | None = None


def open_photos(path: StrPath) -> PhotoSet:
    """List a folder ``[WRAPPER/]IDENTITY/[GROUP/]NAME.jpg``, a tar of the same or of WebDataset's layout, a `.bin`
    set, or AFLW2000-3D (``NAME.mat`` beside ``NAME.jpg``).

    ``NAME.json`` beside a photo may hold ``identity``, ``clip`` (the group) and ``landmarks`` (68 points [x, y], px).

    Raises:
        FileError: missing, another kind of file, damaged, or without any photo of a known person.
    """
    source = Path(path)
    if source.is_dir():
        found = _aflw2000(source) if next(source.glob("*.mat"), None) is not None else _folder(source)
    elif not source.is_file():
        raise FileError(path, "no such file or folder; expected photos")
    elif source.suffix.lower() == ".bin":
        found = _bin_set(source)
    else:
        found = _tar(source)
    if not found.items:
        first = f"; the first: {found.excluded[0].item}: {found.excluded[0].reason}" if found.excluded else ""
        raise FileError(path, f"expected photos as IDENTITY/NAME.jpg (or with KEY.json), found none{first}")
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


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Paths without their suffixes, but with them where two would be called alike (``a.jpg`` and ``a.png``)."""
    full = list(names)
    bare = [str(PurePosixPath(name).with_suffix("")) for name in full]
    counts: dict[str, int] = {}
    for name in bare:
        counts[name] = counts.get(name, 0) + 1
    return tuple(b if counts[b] == 1 else f for b, f in zip(bare, full, strict=True))


def _folder(source: Path) -> PhotoSet:
    """Photos below a folder, hidden files and folders left out."""
    found = {
        path.relative_to(source).as_posix(): path
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()
    }
    visible = {name: path for name, path in found.items() if not any(p.startswith(".") for p in Path(name).parts)}
    notes = {name: path.with_suffix(".json") for name, path in visible.items()}
    readers = {name: partial(_read_file, path) for name, path in visible.items()}
    known = {name: partial(_read_file, note) for name, note in notes.items() if note.is_file()}
    return _listed(readers, known, visible)


def _tar(source: Path) -> PhotoSet:
    """Photos of an uncompressed tar; nothing is unpacked, members are read from where they lie."""
    members = {name.removeprefix("./"): (offset, size) for name, offset, size in list_members(source)[0]}
    readers: dict[str, Callable[[], bytes]] = {}
    notes: dict[str, Callable[[], bytes]] = {}
    for name in sorted(members):
        suffix = PurePosixPath(name).suffix.lower()
        read = partial(_read_member, source, name, *members[name])
        if suffix in PHOTO_SUFFIXES:
            readers[name] = read
        elif suffix == ".json":
            notes[str(PurePosixPath(name).with_suffix(""))] = read
    known = {name: str(PurePosixPath(name).with_suffix("")) for name in readers}
    return _listed(readers, {name: notes[key] for name, key in known.items() if key in notes}, {})


def _listed(
    readers: Mapping[str, Callable[[], bytes]], notes: Mapping[str, Callable[[], bytes]], paths: Mapping[str, Path]
) -> PhotoSet:
    """Items of files by name; those whose person is not known, or whose annotation is damaged, are left out.

    From here on names are printable ones: they go into arrays, pictures and reports, not back to the file system.
    """
    items, excluded = [], []
    people, clips = people_of([*map(printable, readers)], lone_folder=True)
    for full, name, person, clip in zip(readers, map(printable, unique_names(readers)), people, clips, strict=True):
        identity, group, landmarks = person or "", clip, None
        if full in notes:
            try:
                note = _annotation(notes[full](), name)
            except Exception as error:  # whatever a note holds, the other photos are measured
                excluded.append(Excluded(printable(full), as_file_error(full, error).reason))
                continue
            told = {key: printable(note[key]) for key in ("identity", "clip") if key in note}
            identity, group, landmarks = told.get("identity", identity), told.get("clip", group), note["points"]
        if not identity:
            excluded.append(
                Excluded(printable(full), "no identity: expected a folder per person, or identity in its .json")
            )
            continue
        called = name if "/" in name else f"{identity}/{name}"
        items.append(PhotoItem(called, identity, group, readers[full], paths.get(full), landmarks))
    return PhotoSet(tuple(items), tuple(excluded))


def _annotation(data: bytes, name: str) -> dict[str, Any]:
    """``identity`` and ``clip`` where given, and ``points``: (68, 2) or None, of a photo's .json."""
    try:
        note = read_json(name, "an annotation", data, MAX_NOTE_BYTES)
        found: dict[str, Any] = {
            key: str(note[key]) for key in ("identity", "clip") if isinstance(note.get(key), str | int)
        }
        points = note.get("landmarks")
        found["points"] = None if points is None else np.array(points, np.float64)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise FileError(name, f"its .json cannot be read ({error})") from error
    points = found["points"]
    if points is not None and (points.shape != (68, 2) or not np.isfinite(points).all()):
        raise FileError(name, f"expected 68 finite landmarks [x, y] in its .json, got {points.shape}")
    return found


def _bin_set(source: Path) -> PhotoSet:
    from likeness.datasets.bin_sets import read_bin

    found = read_bin(source)
    items = (
        PhotoItem(f"{number:06d}", "", None, partial(found.images.__getitem__, number))
        for number in range(len(found.images))
    )
    return PhotoSet(tuple(items), (), found.pairs)


def _aflw2000(source: Path) -> PhotoSet:
    from likeness.datasets.annotations import read_aflw2000

    found = read_aflw2000(source)
    items = (
        PhotoItem(
            printable(photo.stem), printable(photo.stem), None, partial(_read_file, photo), photo, points[:, :2]
        )
        for photo, points in zip(found.photos, found.landmarks, strict=True)
    )
    return PhotoSet(tuple(items), found.excluded)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error


def _read_member(source: Path, name: str, offset: int, size: int) -> bytes:
    if size > MAX_MEMBER_BYTES:
        raise FileError(name, f"is over {MAX_MEMBER_BYTES >> 20} MiB; expected a photo")
    try:
        with open(source, "rb") as stream:
            stream.seek(offset)
            data = stream.read(size)
    except OSError as error:
        raise FileError(source, f"cannot be read ({error.strerror or error})") from error
    if len(data) != size:
        raise FileError(name, f"is cut short: expected {size} bytes in {source.name}, got {len(data)}")
    return data

"""Pictures and what lies beside them, in a folder or an archive -> who is in them, and where their landmarks are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from likeness.datasets.annotations import read_aflw2000_points, read_note, read_pts
from likeness.datasets.identities import People, people_of
from likeness.datasets.image_store import Places
from likeness.datasets.listing import Listing
from likeness.errors import FileError

MAX_NOTE_BYTES = 1 << 20
"""The largest .json, .cls or .pts that is read."""

MAX_MAT_BYTES = 1 << 26
"""The largest .mat that is read."""

POINTS = (".pts", ".mat")
BESIDE = (".json", ".cls", *POINTS)
"""Suffixes, in lower case, of what may lie beside ``KEY.jpg``."""

_MIRROR = re.compile(r"_mirror$", re.IGNORECASE)


@dataclass
class _Found:
    """What was found beside one picture."""

    identity: str | None = None
    clip: str | None = None
    landmarks: np.ndarray | None = None
    problem: str = ""


def described(
    path: str, pictures: Places, beside: Places, *, archive: bool, for_training: bool, notes: Iterable[str] = ()
) -> Listing:
    """Pictures ``[WRAPPER/][SPLIT/][IDENTITY/[CLIP/]]KEY.jpg`` of one source, with what lies beside them.

    ``KEY.json`` = {landmarks?, identity?, clip?}, ``KEY.cls`` (a class number, the person), ``KEY.pts`` (300W) and
    ``KEY.mat`` (AFLW2000-3D). Folders of pictures with .pts or .mat are nobody's; elsewhere the path tells who it is
    where nothing beside the picture does (:func:`~likeness.datasets.identities.people_of`). 300W's ``KEY_mirror`` is
    of one clip with ``KEY``.

    Args:
        path: of the source, for messages.
        pictures: where they are.
        beside: where the files with a suffix of :data:`BESIDE` are.
        archive: whether this is an archive, for the user.
        for_training: leave out what is held out, where there are splits for training, and take the pictures of a
            single folder for unlabelled ones; else all splits are read, and a single folder is one person.
        notes: what else the user should know.
    """
    names = list(pictures.names)
    keys = [_key(name) for name in names]
    files = _by_key(beside, set(keys))
    annotated = {key.rpartition("/")[0] for key, own in files.items() if any(suffix in POINTS for suffix in own)}
    people = _people(names, annotated, lone_folder=not for_training)
    found = [_read(beside, files[key]) if key in files else _Found() for key in keys]
    suffixes = {suffix for own in files.values() for suffix in own}
    jaw = ("the jaw's points lie behind the outline of turned heads",) if ".mat" in suffixes else ()
    listing = Listing(
        path,
        _kind(suffixes, any(people.identity), archive),
        pictures,
        tuple(one.identity or person for one, person in zip(found, people.identity, strict=True)),
        tuple(one.clip or clip or _photo(key) for one, clip, key in zip(found, people.clip, keys, strict=True)),
        {row: one.landmarks for row, one in enumerate(found) if one.landmarks is not None},
        tuple(people.split),
        notes=(*notes, *jaw),
        problems={row: one.problem for row, one in enumerate(found) if one.problem},
    )
    return _for_training(listing, people.is_training) if for_training else listing


def _key(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _photo(key: str) -> str | None:
    """The photo that a mirror image is of."""
    return _MIRROR.sub("", key) if _MIRROR.search(key) else None


def _by_key(beside: Places, keys: set[str]) -> dict[str, dict[str, int]]:
    """Key of a picture -> suffix -> number of the file beside it."""
    found: dict[str, dict[str, int]] = {}
    for number, name in enumerate(beside.names):
        key = _key(name)
        if key in keys:
            found.setdefault(key, {})[PurePosixPath(name).suffix.lower()] = number
    return found


def _people(names: list[str], annotated: set[str], *, lone_folder: bool) -> People:
    """As paths tell; nobody in folders of annotated pictures."""
    told = people_of(names, lone_folder=lone_folder)
    for row, name in enumerate(names):
        if name.rpartition("/")[0] in annotated:
            told.identity[row] = told.clip[row] = None
    return told


def _read(beside: Places, own: Mapping[str, int]) -> _Found:
    """What lies beside one picture; what is wrong with it as ``problem``."""
    found = _Found()
    for suffix in BESIDE:
        if suffix not in own:
            continue
        number = own[suffix]
        name = PurePosixPath(beside.names[number]).name
        try:
            data = _limited(beside, number, MAX_MAT_BYTES if suffix == ".mat" else MAX_NOTE_BYTES)
            if suffix == ".json":
                note = read_note(beside.label(number), name, data)
                found = _Found(note.identity, note.clip, note.landmarks)
            elif suffix == ".cls":
                found.identity = found.identity or _class(name, data)
            elif found.landmarks is None:
                found.landmarks = (read_pts if suffix == ".pts" else read_aflw2000_points)(name, data)
        except FileError as error:
            reason = error.reason if suffix in (".json", ".cls") else f"{name}: {error.reason}"
            return _Found(problem=reason)
    return found


def _limited(beside: Places, number: int, limit: int) -> bytes:
    name = PurePosixPath(beside.names[number]).name
    data = b"" if int(beside.size[number]) > limit else beside.read(number)
    if len(data) > limit or int(beside.size[number]) > limit:
        raise FileError(name, f"expected at most {limit >> 10} KiB in {name}")
    return data


def _class(name: str, data: bytes) -> str:
    if not re.fullmatch(rb"\s*\d{1,18}\s*", data):
        raise FileError(name, f"expected a class number in {name}, got {data[:20]!r}")
    return data.decode("ascii").strip()


def _kind(suffixes: set[str], people: bool, archive: bool) -> str:
    """What a source is, for the user."""
    points = [
        title for suffix, title in ((".mat", "AFLW2000-3D"), (".pts", "pictures with .pts")) if suffix in suffixes
    ]
    if points:
        return " and ".join(points)
    if archive:
        return "WebDataset archive" if suffixes else "archive of IDENTITY/NAME" if people else "archive of pictures"
    return "folder of IDENTITY/NAME" if people else "folder of pictures"


def _for_training(listing: Listing, is_training: list[bool]) -> Listing:
    """Without what is held out, or lies beside the splits, where there is a split for training."""
    if not any(is_training):
        return listing
    kept = listing.select(np.flatnonzero(is_training))
    others = len(listing) - len(kept)
    note = f"left out, not for training: {others:,} pictures in folders beside train"
    return replace(kept, notes=(*kept.notes, note)) if others else kept

"""Tar archives: WebDataset's KEY.jpg with KEY.json and KEY.cls, IDENTITY/NAME.jpg, and shards of these."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from glob import glob
from itertools import pairwise, product
from pathlib import Path, PurePosixPath

from likeness.datasets.annotations import Note, read_note
from likeness.datasets.archives import Member, list_members
from likeness.datasets.identities import common_depth, people_of
from likeness.datasets.image_store import Places
from likeness.datasets.listing import HELD_OUT, TRAIN, Listing, Marked, joined
from likeness.datasets.test_sets import PHOTO_SUFFIXES
from likeness.errors import FileError, printable

MAX_NOTE_BYTES = 1 << 20
"""The largest .json or .cls that is read."""

MAX_SHARDS = 100_000

_HELD_OUT = re.compile(r"(?:^|[-_.])(?:val|valid|validation|test)(?:[-_.]?\d+)?$", re.IGNORECASE)


def is_held_out(path: Path) -> bool:
    """Whether a name says that this is not for training: ``photo-val.tar``, ``test-003.tar``."""
    return _HELD_OUT.search(path.stem) is not None


def list_tar(path: Path) -> Listing:
    """The pictures of one tar, in the order of their names.

    ``KEY.json`` = {landmarks?, identity?, clip?} and ``KEY.cls`` (a class number, the person) belong to the picture
    ``KEY.jpg``; where neither tells the person, ``IDENTITY/[CLIP/]NAME.jpg`` does.

    Raises:
        FileError: missing, no tar or a compressed one, damaged, member names that lead out of it or come twice, or
            notes that cannot be used. Pictures are not looked at.
    """
    members, links = _members(path)
    pictures, held_out = _for_training([member for member in members if _is_picture(member[0])])
    keys = [str(PurePosixPath(name).with_suffix("")) for name, _, _ in pictures]
    _no_files_of_others(path, members, set(keys))
    notes, classes, damaged = _sidecars(path, members, set(keys))
    people, clips = people_of([name for name, _, _ in pictures])
    identity: list[str | None] = []
    marked: dict[int, Marked] = {}
    nothing = Note(None, None, None)
    for number, key in enumerate(keys):
        note = notes.get(key, nothing)
        identity.append(note.identity or classes.get(key) or people[number])
        if note.landmarks is not None:
            marked[number] = Marked(note.landmarks, note.clip or clips[number] or key)
    kind = "WebDataset tar" if notes or classes else "tar of IDENTITY/NAME"
    told = [f"{links} links or special files in it left out"] if links else []
    if held_out:
        told.append(f"left out, not for training: {held_out:,} pictures in folders beside train")
    problems = {number: damaged[key] for number, key in enumerate(keys) if key in damaged}
    places = Places.of_members(path, pictures)
    return Listing(str(path), kind, places, tuple(identity), marked, notes=tuple(told), problems=problems)


def list_shards(paths: Sequence[Path], name: str) -> Listing:
    """Tars that are one source: a person's name means the same in all."""
    if len(paths) == 1:
        return list_tar(paths[0])
    parts = [list_tar(path) for path in paths]
    return joined(parts, name, f"{len(parts)} shards, {parts[0].kind}")


def shard_base(path: Path, by_pattern: bool = False) -> Path | None:
    """A shard's path without its number; None for a tar that is no shard, and for what is no tar.

    The number has two digits or more and stands apart (``faces-00.tar``, ``00000.tar``), so that ``set1.tar`` and
    ``set2.tar`` are two sources; in what a pattern of the user's stands for, any number will do.
    """
    base = re.sub(r"[-_.]?\d+$" if by_pattern else r"(?:^|[-_.])\d{2,}$", "", path.stem)
    return None if path.suffix.lower() != ".tar" or base == path.stem else path.with_name(base + path.suffix)


def shard_groups(paths: Sequence[Path], *, by_pattern: bool = False) -> list[tuple[str, list[Path]]]:
    """Tars by their name without a number at its end (:func:`shard_base`): those that share one are one source."""
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(shard_base(path, by_pattern) or path, []).append(path)
    return [
        (str(shards[0]) if len(shards) == 1 else f"{shards[0]} ... {shards[-1].name}", shards)
        for shards in groups.values()
    ]


def expanded(path: str) -> list[Path]:
    """Paths that a pattern stands for: ``{000..012}`` and ``{a,b}`` (all must exist), ``*``, ``?`` and ``[...]``.

    Raises:
        FileError: nothing matches, or a pattern for more than 100,000 files.
    """
    if Path(path).exists():
        return [Path(path)]
    texts = _braces(path)
    found: list[Path] = []
    for text in texts:
        matches = sorted(glob(text)) if re.search(r"[*?\[]", text) else [text]
        if not matches:
            raise FileError(path, "expected files that match, found none")
        found += [Path(match) for match in matches]
    return found


def _braces(pattern: str) -> list[str]:
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    choices: list[list[str]] = []
    count = 1
    for index, piece in enumerate(pieces):
        span = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", piece) if index % 2 else None
        if span is not None:
            first, last = int(span[1]), int(span[2])
            count *= max(0, last - first + 1)
            if not 0 < count <= MAX_SHARDS:
                raise FileError(pattern, f"expected a rising range of at most {MAX_SHARDS:,} files, got {{{piece}}}")
            choices.append([str(number).zfill(len(span[1])) for number in range(first, last + 1)])
        else:
            choices.append(piece.split(",") if index % 2 else [piece])
            count *= len(choices[-1])
        if count > MAX_SHARDS:
            raise FileError(pattern, f"expected a pattern for at most {MAX_SHARDS:,} files")
    return ["".join(parts) for parts in product(*choices)]


def _is_picture(name: str) -> bool:
    """By its suffix; hidden files, such as the ._NAME.jpg of macOS, are none."""
    path = PurePosixPath(name)
    return path.suffix.lower() in PHOTO_SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _members(path: Path) -> tuple[list[Member], int]:
    """Regular files of an uncompressed tar in the order of their names, and how many other members there are."""
    members, others, end = list_members(path)
    _check_end(path, end)
    found = [(_plain_name(path, name), offset, size) for name, offset, size in members]
    found.sort()
    for before, (name, _, _) in pairwise(found):
        if before[0] == name:
            raise FileError(path, f"holds {name} twice; expected every picture and note once")
    return found, others


def _check_end(path: Path, end: int) -> None:
    """tarfile takes a damaged header, or a file that was cut before one, for the archive's end."""
    try:
        with open(path, "rb") as stream:
            stream.seek(end)
            block = stream.read(tarfile.BLOCKSIZE)
    except (OSError, ValueError, OverflowError) as error:
        raise FileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if block.strip(b"\0"):
        raise FileError(path, f"is damaged: expected a tar header at byte {end}")
    if len(block) < tarfile.BLOCKSIZE:
        raise FileError(path, f"is cut short: expected a tar's end marker at byte {end}")


def _plain_name(path: Path, name: str) -> str:
    parts = PurePosixPath(name).parts
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name:
        raise FileError(path, f"expected names of files within the archive, got {name!r}")
    return printable("/".join(parts))


def _for_training(pictures: list[Member]) -> tuple[list[Member], int]:
    """Without those in folders ``val`` and ``test`` beside ``train``, and how many these are."""
    folders = [PurePosixPath(name).parts[:-1] for name, _, _ in pictures]
    depth = common_depth(folders)
    tops = [parts[depth] if len(parts) > depth else "" for parts in folders]
    if not set(tops) & set(TRAIN) or not set(tops) & set(HELD_OUT):
        return pictures, 0
    kept = [picture for picture, top in zip(pictures, tops, strict=True) if top not in HELD_OUT]
    return kept, len(pictures) - len(kept)


def _no_files_of_others(path: Path, members: Sequence[Member], keys: set[str]) -> None:
    """300W-LP and 300W packed up: without their landmarks, their folders would be taken for people."""
    for name, _, _ in members:
        key, _, suffix = name.rpartition(".")
        if suffix in ("mat", "pts") and key in keys:
            raise FileError(path, f"has {name} beside a picture, which is read in folders only; unpack it")


def _sidecars(
    path: Path, members: Sequence[Member], keys: set[str]
) -> tuple[dict[str, Note], dict[str, str], dict[str, str]]:
    """Notes and classes of the pictures that have them, and what is wrong with those that cannot be used, by key."""
    notes: dict[str, Note] = {}
    classes: dict[str, str] = {}
    damaged: dict[str, str] = {}
    for key, name, data in _small(path, members, keys):
        if len(data) > MAX_NOTE_BYTES:
            damaged[key] = f"expected at most {MAX_NOTE_BYTES >> 10} KiB in {name}"
        elif name.endswith(".json"):
            try:
                notes[key] = read_note(path, name, data)
            except FileError as error:
                damaged[key] = error.reason
        elif re.fullmatch(rb"\s*\d{1,18}\s*", data):
            classes[key] = data.decode("ascii").strip()
        else:
            damaged[key] = f"expected a class number in {name}, got {data[:20]!r}"
    return notes, classes, damaged


def _small(path: Path, members: Sequence[Member], keys: set[str]) -> Iterator[tuple[str, str, bytes]]:
    """Key, name and content of the .json and .cls members of pictures; of large ones a byte more than is read."""
    try:
        with open(path, "rb") as stream:
            for name, offset, size in members:
                key, _, suffix = name.rpartition(".")
                if suffix not in ("json", "cls") or key not in keys:
                    continue
                stream.seek(offset)
                yield key, name, stream.read(min(size, MAX_NOTE_BYTES + 1))
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error

"""Archives: WebDataset's KEY.jpg with KEY.json and KEY.cls, IDENTITY/NAME.jpg, and shards of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from glob import glob
from itertools import pairwise, product
from pathlib import Path, PurePosixPath

from likeness.datasets.archives import Member, archive_stem, is_archive, open_archive
from likeness.datasets.described import BESIDE, described
from likeness.datasets.image_store import Places
from likeness.datasets.known_layouts import LP_SETS
from likeness.datasets.listing import Listing, joined
from likeness.errors import FileError, printable
from likeness.images.header import SUFFIXES

MAX_SHARDS = 100_000

_HELD_OUT = re.compile(r"(?:^|[-_.])(?:val|valid|validation|test)(?:[-_.]?\d+)?$", re.IGNORECASE)


def is_held_out(path: Path) -> bool:
    """Whether a name says that this is not for training: ``photo-val.tar``, ``test-003.tgz``."""
    return _HELD_OUT.search(archive_stem(path)) is not None


def list_tar(path: Path, *, for_training: bool = True) -> Listing:
    """The pictures of one archive, in the order of their names; see :func:`~likeness.datasets.described.described`.

    Raises:
        FileError: missing, no archive, damaged, or member names that lead out of it or come twice. Pictures are not
            looked at, and what is wrong beside one of them is the listing's to tell.
    """
    file, members, links = _members(path)
    pictures = [member for member in members if _is_picture(member[0])]
    beside = [member for member in members if PurePosixPath(member[0]).suffix.lower() in BESIDE]
    _no_300w_lp(path, beside)
    told = [f"{links} links or special files in it left out"] if links else []
    places = (Places.of_members(file, wanted) for wanted in (pictures, beside))
    return described(str(path), *places, archive=True, for_training=for_training, notes=told)


def list_shards(paths: Sequence[Path], name: str, *, for_training: bool = True) -> Listing:
    """Archives that are one source: a person's name means the same in all."""
    parts = [list_tar(path, for_training=for_training) for path in paths]
    return parts[0] if len(parts) == 1 else joined(parts, name, f"{len(parts)} shards, {parts[0].kind}")


def shard_base(path: Path, by_pattern: bool = False) -> Path | None:
    """A shard's path without its number; None for an archive that is no shard, and for what is no archive.

    The number has two digits or more and stands apart (``faces-00.tar``, ``00000.tar``), so that ``set1.tar`` and
    ``set2.tar`` are two sources; in what a pattern of the user's stands for, any number will do.
    """
    stem = archive_stem(path)
    base = re.sub(r"[-_.]?\d+$" if by_pattern else r"(?:^|[-_.])\d{2,}$", "", stem)
    return None if not is_archive(path) or base == stem else path.with_name(base + path.name[len(stem) :])


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
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _members(path: Path) -> tuple[Path, list[Member], int]:
    """The file that they lie in, regular files in the order of their names, and how many other members there are."""
    file, members, others = open_archive(path)
    found = [(_plain_name(path, name), offset, size) for name, offset, size in members]
    found.sort()
    for before, (name, _, _) in pairwise(found):
        if before[0] == name:
            raise FileError(path, f"holds {name} twice; expected every picture and note once")
    return file, found, others


def _plain_name(path: Path, name: str) -> str:
    parts = PurePosixPath(name).parts
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name:
        raise FileError(path, f"expected names of files within the archive, got {name!r}")
    return printable("/".join(parts))


def _no_300w_lp(path: Path, beside: Sequence[Member]) -> None:
    """300W-LP packed up: without the landmarks of its own folder, its points would be taken for every picture's."""
    for name, _, _ in beside:
        if name.lower().endswith(".mat") and set(PurePosixPath(name).parts[:-1]) & set(LP_SETS):
            raise FileError(path, f"has {name} of 300W-LP, which is read in folders only; unpack it")

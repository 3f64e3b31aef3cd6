"""Folders: which known data sets one holds, and the pictures of each."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from likeness.datasets.annotations import Note, read_note
from likeness.datasets.identities import people_of
from likeness.datasets.image_store import Places
from likeness.datasets.known_layouts import (
    CELEBA_PEOPLE,
    LP_SETS,
    celeba_lists,
    celeba_pictures,
    list_300w_lp,
    list_annotated,
    list_celeba,
    lp_sets,
)
from likeness.datasets.listing import HELD_OUT, TRAIN, Listing, Marked
from likeness.datasets.tars import is_held_out, list_shards, shard_groups
from likeness.datasets.test_sets import PHOTO_SUFFIXES
from likeness.errors import FileError, listed

_ANNOTATED = (".mat", ".pts")


@dataclass
class _Content:
    """A folder's own content, in the order of the names; hidden files and folders left out."""

    pictures: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    @property
    def tars(self) -> list[str]:
        return sorted(name for name in self.files if name.lower().endswith(".tar"))

    @property
    def is_split(self) -> bool:
        """Whether there are folders for training and others for testing."""
        return any(name in TRAIN for name in self.folders) and any(name in HELD_OUT for name in self.folders)

    @property
    def is_annotated(self) -> bool:
        beside = {name.rpartition(".")[0] for name in self.files if name.endswith(_ANNOTATED)}
        return bool(beside) and any(name.rpartition(".")[0] in beside for name in self.pictures)

    @property
    def is_rendered(self) -> bool:
        return {"rgba.npy", "rotation.npy"} <= self.files

    @property
    def stands_alone(self) -> bool:
        """Whether this is a source of its own within another folder."""
        return bool(
            self.tars
            or self.is_split
            or self.is_annotated
            or self.is_rendered
            or CELEBA_PEOPLE in self.files
            or "Anno" in self.folders  # CelebA's
            or any(name in LP_SETS for name in self.folders)
        )


def list_folder(folder: Path) -> tuple[list[Listing], list[str]]:
    """All sources below a folder, and lines about what is left out.

    CelebA, 300W-LP, AFLW2000-3D, 300W (``.pts``), tars (shards of one name are one source), and everything else as
    pictures ``[IDENTITY/[CLIP/]]NAME.jpg`` with ``NAME.json`` beside where there is more to tell. Not for training,
    so left out: tars named ``*-val``, ``*-test``, and folders ``val``, ``test`` beside ``train``. Links to files are
    followed, links to folders are not.

    Raises:
        FileError: the folder, or an annotation in it, cannot be read.
    """
    found: list[Listing] = []
    left_out: list[str] = []
    todo = [folder]
    while todo:
        root = todo.pop(0)
        content = _content(root)
        lists, sets = celeba_lists(root), lp_sets(root, content.files, content.folders)
        if lists is not None:
            place = celeba_pictures(root)
            found.append(list_celeba(place, _content(place).pictures, lists))
        elif sets:
            found.append(list_300w_lp(root, [(place, _content(place).pictures) for place in sets]))
        elif content.is_rendered:
            left_out.append(f"{root}: rendered faces, which --synthetic takes")
        else:
            sources, further, lines = _general(root, content)
            found += sources
            todo += further
            left_out += lines
    return found, left_out


def _general(root: Path, content: _Content) -> tuple[list[Listing], list[Path], list[str]]:
    """Sources of a folder that is no data set with rules of its own; folders to look at; what is left out."""
    tars = [root / name for name in content.tars]
    held_out = [path.name for path in tars if is_held_out(path)]
    found = [list_shards(shards, name) for name, shards in shard_groups([p for p in tars if p.name not in held_out])]
    further: list[Path] = []
    if content.is_split:
        held_out += [name for name in content.folders if name in HELD_OUT]
        further = [root / name for name in content.folders if name in TRAIN]
    lines = [f"{root}: left out, not for training: {listed(held_out)}"] if held_out else []
    links = [str(root / name) for name in content.links]
    if content.is_annotated:
        found.append(list_annotated(root, content.pictures, content.files))
        further += [root / name for name in content.folders if root / name not in further and name not in held_out]
    elif not content.is_split:
        names, notes, below, more_links = _walk(root, content)
        further += below
        links += more_links
        if names:
            found.append(_list_pictures(root, names, notes))
    if links:
        lines.append(f"{root}: left out, links to folders and to what is missing: {listed(links)}")
    return found, further, lines


def _walk(root: Path, content: _Content) -> tuple[list[str], set[str], list[Path], list[str]]:
    """Pictures and notes below a folder by their paths in it, folders below that stand alone, and links."""
    names, notes = list(content.pictures), {name for name in content.files if name.endswith(".json")}
    alone: list[Path] = []
    links: list[str] = []
    stack = list(reversed(content.folders))
    while stack:
        place = stack.pop()
        inner = _content(root / place)
        if inner.stands_alone:
            alone.append(root / place)
            continue
        names += [f"{place}/{name}" for name in inner.pictures]
        notes |= {f"{place}/{name}" for name in inner.files if name.endswith(".json")}
        links += [str(root / place / name) for name in inner.links]
        stack += [f"{place}/{name}" for name in reversed(inner.folders)]
    return sorted(names), notes, alone, links


def _list_pictures(root: Path, names: list[str], notes: set[str]) -> Listing:
    people, clips = people_of(names)
    identity: list[str | None] = []
    marked: dict[int, Marked] = {}
    problems: dict[int, str] = {}
    for number, name in enumerate(names):
        key = str(PurePosixPath(name).with_suffix(""))
        note = Note(None, None, None)
        try:
            note = _note(root, f"{key}.json") if f"{key}.json" in notes else note
        except FileError as error:
            problems[number] = error.reason
        identity.append(note.identity or people[number])
        if note.landmarks is not None:
            marked[number] = Marked(note.landmarks, note.clip or clips[number] or key)
    kind = "folder of IDENTITY/NAME" if any(people) else "folder of pictures"
    return Listing(str(root), kind, Places.of_files(root, names), tuple(identity), marked, problems=problems)


def _note(root: Path, name: str) -> Note:
    try:
        data = (root / name).read_bytes()
    except OSError as error:
        raise FileError(root / name, f"cannot be read ({error.strerror or error})") from error
    return read_note(root, name, data)


def _content(folder: Path) -> _Content:
    """What a folder holds; FileError if it cannot be read."""
    found = _Content()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.folders.append(entry.name)
                elif not entry.is_file():  # a link to a folder or to nothing, a pipe, a device
                    found.links.append(entry.name)
                elif os.path.splitext(entry.name)[1].lower() in PHOTO_SUFFIXES:
                    found.pictures.append(entry.name)
                else:
                    found.files.add(entry.name)
    except OSError as error:
        raise FileError(folder, f"cannot be read ({error.strerror or error})") from error
    for names in (found.pictures, found.folders, found.links):
        names.sort()
    return found

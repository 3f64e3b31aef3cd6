"""Folders: which known data sets one holds, and the pictures of each."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from likeness.datasets.archives import archive_stem, is_archive
from likeness.datasets.described import BESIDE, POINTS, described
from likeness.datasets.identities import splits_among
from likeness.datasets.image_store import Places
from likeness.datasets.known_layouts import (
    CELEBA_PEOPLE,
    LP_SETS,
    NOW_PICTURES,
    celeba_lists,
    celeba_pictures,
    is_now,
    list_300w_lp,
    list_celeba,
    lp_sets,
)
from likeness.datasets.listing import Listing
from likeness.datasets.tars import is_held_out, list_shards, shard_groups
from likeness.errors import FileError, listed
from likeness.images.header import SUFFIXES


@dataclass
class _Content:
    """A folder's own content, in the order of the names; hidden files and folders left out."""

    pictures: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    @property
    def archives(self) -> list[str]:
        """Archives that are not unpacked beside themselves; compressed ones have to be named outright."""
        return sorted(name for name in self.files if name.lower().endswith(".tar") and not self._is_unpacked(name))

    @property
    def other_archives(self) -> list[str]:
        """What is compressed, or lies unpacked beside itself: it would be read twice."""
        return sorted(name for name in self.files if is_archive(name) and name not in self.archives)

    def _is_unpacked(self, name: str) -> bool:
        return archive_stem(Path(name)) in self.folders

    @property
    def is_annotated(self) -> bool:
        beside = {name.rpartition(".")[0] for name in self.files if name.lower().endswith(POINTS)}
        return bool(beside) and any(name.rpartition(".")[0] in beside for name in self.pictures)

    @property
    def is_rendered(self) -> bool:
        return {"rgba.npy", "rotation.npy"} <= self.files

    @property
    def stands_alone(self) -> bool:
        """Whether this is a source of its own within another folder, whatever its folders hold."""
        return bool(
            self.archives
            or self.is_annotated
            or self.is_rendered
            or CELEBA_PEOPLE in self.files
            or "Anno" in self.folders  # CelebA's
            or any(name in LP_SETS for name in self.folders)
        )


def list_folder(folder: Path, *, for_training: bool = True) -> tuple[list[Listing], list[str]]:
    """All sources below a folder, and lines about what is left out.

    CelebA, 300W-LP, AFLW2000-3D, 300W (``.pts``), NoW, tars (shards of one name are one source), and everything else
    as pictures ``[SPLIT/][IDENTITY/[CLIP/]]NAME.jpg`` with ``NAME.json`` beside where there is more to tell. Links to
    files are followed, links to folders are not.

    Args:
        folder: where to look.
        for_training: leave out what is held out: tars named ``*-val``, ``*-test``, and folders ``val``, ``test``
            beside ``train``; see also :func:`~likeness.datasets.described.described`.

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
            found.append(list_celeba(place, _content(place).pictures, lists, for_training=for_training))
        elif sets:
            found.append(list_300w_lp(root, [(place, _content(place).pictures) for place in sets]))
        elif content.is_rendered:
            left_out.append(f"{root}: rendered faces, which --synthetic takes")
        elif is_now(content.folders):
            todo.append(root / NOW_PICTURES)
        else:
            sources, further, lines = _general(root, content, for_training)
            found += sources
            todo += further
            left_out += lines
    return found, left_out


def _general(root: Path, content: _Content, for_training: bool) -> tuple[list[Listing], list[Path], list[str]]:
    """Sources of a folder that is no data set with rules of its own; folders to look at; what is left out."""
    held_out = _take_held_out(content) if for_training else []
    tars = [root / name for name in content.archives if name not in held_out]
    found = [list_shards(shards, name, for_training=for_training) for name, shards in shard_groups(tars)]
    lines = [f"{root}: left out, not for training: {listed(held_out)}"] if held_out else []
    if content.other_archives and (content.folders or content.pictures or tars):
        lines.append(f"{root}: left out, archives (name them to read them): {listed(content.other_archives)}")
    further: list[Path] = []
    links = [str(root / name) for name in content.links]
    if content.is_annotated:
        found.append(_described(root, content.pictures, [*content.files], for_training))
        further = [root / name for name in content.folders]
    else:
        names, beside, further, more_links = _walk(root, content, for_training)
        links += more_links
        if names:
            found.append(_described(root, names, beside, for_training))
    if links:
        lines.append(f"{root}: left out, links to folders and to what is missing: {listed(links)}")
    return found, further, lines


def _take_held_out(content: _Content) -> list[str]:
    """Take what is not for training out of a folder's content, and tell its names."""
    held_out = [name for name in content.archives if is_held_out(Path(name))]
    splits = splits_among(content.folders)
    if any(splits.values()):
        held_out += [name for name in content.folders if not splits.get(name, False)]
        content.folders = [name for name in content.folders if splits.get(name, False)]
    return held_out


def _walk(root: Path, content: _Content, for_training: bool) -> tuple[list[str], list[str], list[Path], list[str]]:
    """Pictures below a folder and what lies beside them by their paths in it, folders below that stand alone, and
    links."""
    names, beside = list(content.pictures), list(content.files)
    alone: list[Path] = []
    links: list[str] = []
    stack = list(reversed(content.folders))
    while stack:
        place = stack.pop()
        inner = _content(root / place)
        if inner.stands_alone or _has_splits(root / place, inner, for_training):
            alone.append(root / place)
            continue
        names += [f"{place}/{name}" for name in inner.pictures]
        beside += [f"{place}/{name}" for name in inner.files]
        links += [str(root / place / name) for name in inner.links]
        stack += [f"{place}/{name}" for name in reversed(inner.folders)]
    return sorted(names), sorted(beside), alone, links


def _has_splits(folder: Path, content: _Content, for_training: bool) -> bool:
    """Whether a folder within another is a data set with splits; those of a person, without folders, are clips, which
    a training leaves out all the same."""
    splits = splits_among(content.folders)
    if len(splits) < 2:
        return False
    return (for_training and any(splits.values())) or any(_content(folder / name).folders for name in splits)


def _described(root: Path, names: list[str], beside: list[str], for_training: bool) -> Listing:
    kept = [name for name in beside if PurePosixPath(name).suffix.lower() in BESIDE]
    pictures, files = (Places.of_files(root, some) for some in (names, kept))
    return described(str(root), pictures, files, archive=False, for_training=for_training)


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
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    found.pictures.append(entry.name)
                else:
                    found.files.add(entry.name)
    except OSError as error:
        raise FileError(folder, f"cannot be read ({error.strerror or error})") from error
    for names in (found.pictures, found.folders, found.links):
        names.sort()
    return found

"""One path of a user's, whatever it is -> the pictures there: the one door of training and evaluation."""

from __future__ import annotations

from likeness.datasets.archives import is_archive
from likeness.datasets.folders import list_folder
from likeness.datasets.listing import Listing
from likeness.datasets.tars import expanded, is_held_out, list_shards, shard_groups
from likeness.errors import FileError, listed


def list_source(path: str, *, for_training: bool) -> tuple[list[Listing], list[str]]:
    """The sources that one path, or a pattern, stands for, and lines about what is left out.

    Args:
        path: an archive, a pattern for several (see :func:`~likeness.datasets.tars.expanded`), or a folder (see
            :func:`~likeness.datasets.folders.list_folder`).
        for_training: leave out what is held out, see :func:`~likeness.datasets.described.described`.

    Raises:
        FileError: missing, no source of a known kind, or damaged.
    """
    places = expanded(path)
    folders = [place for place in places if place.is_dir()]
    files = [place for place in places if place not in set(folders)]
    wrong = next((place for place in files if not is_archive(place) and place.exists()), None)
    if wrong is not None:
        raise FileError(wrong, "expected a folder or an archive of pictures (.tar, .tgz, .tar.bz2, .tar.xz, .zip)")
    left_out: list[str] = []
    held_out = [place for place in files if is_held_out(place)] if for_training and len(files) > 1 else []
    if held_out and len(held_out) < len(files):  # a pattern that names nothing else means them
        left_out.append(f"{path}: left out, not for training: {listed([place.name for place in held_out])}")
        files = [place for place in files if place not in set(held_out)]
    groups = shard_groups(files, by_pattern=len(files) > 1)
    found = [list_shards(shards, name, for_training=for_training) for name, shards in groups]
    for folder in folders:
        sources, lines = list_folder(folder, for_training=for_training)
        found += sources
        left_out += lines
    return found, left_out

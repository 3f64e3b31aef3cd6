"""Data sets whose folders follow rules of their own: CelebA, 300W-LP, NoW."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from likeness.datasets.annotations import read_300w_lp_points
from likeness.datasets.image_store import Places
from likeness.datasets.listing import Listing, joined
from likeness.errors import FileError
from likeness.files import read_bytes

CELEBA_PEOPLE = "identity_CelebA.txt"
CELEBA_SPLIT = ("list_eval_partition.txt", "list_eval_partition.csv")
_CELEBA_PARTS = {"0": "train", "1": "val", "2": "test"}
_CELEBA_PICTURES = ("img_align_celeba", "img_celeba", "img_align_celeba_png")

NOW_PICTURES = "iphone_pictures"

LP_SETS = tuple(name + flip for name in ("AFW", "HELEN", "IBUG", "LFPW") for flip in ("", "_Flip"))


def celeba_lists(folder: Path) -> Path | None:
    """The folder of CelebA's list of people, where this is CelebA's folder or the one of its pictures."""
    around = [folder, folder / "Anno"]
    if folder.name in _CELEBA_PICTURES:
        above = (folder.parent, folder.parent.parent)
        around += [place for one in above for place in (one, one / "Anno")]
    return next((place for place in around if (place / CELEBA_PEOPLE).is_file()), None)


def list_celeba(folder: Path, names: Sequence[str], lists: Path, *, for_training: bool) -> Listing:
    """CelebA: ``NAME.jpg`` in one folder and ``identity_CelebA.txt`` with lines ``000001.jpg 2880``.

    ``list_eval_partition.txt`` (lines ``000001.jpg 0``; beside it, or in ``Eval``; Kaggle's has the suffix .csv)
    tells the splits.

    Args:
        folder: where the pictures are.
        names: the pictures' names.
        lists: where the list of people is.
        for_training: only what is in the training split, where splits are told.

    Raises:
        FileError: a list has other lines.
    """
    people = _numbers_by_stem(lists / CELEBA_PEOPLE)
    beside = [place / name for place in (lists, lists.parent / "Eval") for name in CELEBA_SPLIT]
    partition = next((path for path in beside if path.is_file()), None)
    part = {} if partition is None else _numbers_by_stem(partition)
    split = [_CELEBA_PARTS.get(part.get(PurePosixPath(name).stem, "")) for name in names]
    kept = [row for row, found in enumerate(split) if not for_training or found in ("train", None)]
    called = [names[row] for row in kept]
    identity = tuple(people.get(PurePosixPath(name).stem) for name in called)
    others = len(names) - len(kept)
    notes = (f"left out, not for training: {others:,} pictures of its validation and test parts",) if others else ()
    return Listing(
        str(folder),
        "CelebA",
        Places.of_files(folder, called),
        identity,
        (None,) * len(called),
        {},
        tuple(split[row] for row in kept),
        notes=notes,
    )


def celeba_pictures(folder: Path) -> Path:
    """The folder of the pictures in CelebA's folder.

    Raises:
        FileError: there is none.
    """
    if folder.name in _CELEBA_PICTURES:
        return folder / folder.name if (folder / folder.name).is_dir() else folder
    for place in (folder, folder / "Img"):
        for name in _CELEBA_PICTURES:
            if (place / name / name).is_dir():  # Kaggle's
                return place / name / name
            if (place / name).is_dir():
                return place / name
    raise FileError(folder, f"has {CELEBA_PEOPLE}; expected CelebA's pictures in {' or '.join(_CELEBA_PICTURES)}")


def lp_sets(folder: Path, files: Collection[str], folders: Collection[str]) -> list[Path]:
    """The folders of 300W-LP's sets, where ``folder`` with this content is 300W-LP or one of its sets."""
    if folder.name in LP_SETS and any(name.endswith(".mat") for name in files):
        return [folder]
    sets = [folder / name for name in LP_SETS if name in folders]
    return sets if sets and next(sets[0].glob("*.mat"), None) is not None else []


def is_now(folders: Collection[str]) -> bool:
    """Whether a folder with these folders is the NoW challenge's release."""
    return NOW_PICTURES in folders and any(
        name in folders for name in ("scans", "scans_lmks_onlypp", "detected_face")
    )


def list_300w_lp(folder: Path, sets: Sequence[tuple[Path, Sequence[str]]]) -> Listing:
    """300W-LP: sets ``AFW``, ``HELEN``, ``IBUG``, ``LFPW`` and each with ``_Flip``, of ``NAME_N.jpg``.

    Landmarks: see :func:`~likeness.datasets.annotations.read_300w_lp_points`. All pictures made of one
    photo, mirrored or not, are of one clip. Who is who is not known.

    Args:
        folder: for messages.
        sets: folders of the sets with the names of their pictures.

    """
    parts = []
    for place, names in sets:
        marked: dict[int, np.ndarray] = {}
        problems: dict[int, str] = {}
        for number, name in enumerate(names):
            stem = PurePosixPath(name).stem
            try:
                points = read_300w_lp_points(place, stem)
            except FileError as error:
                problems[number] = f"{PurePosixPath(error.path).name}: {error.reason}"
                continue
            if points is not None:
                marked[number] = points
        places, nobody = Places.of_files(place, names), (None,) * len(names)
        photos = tuple(PurePosixPath(name).stem.rpartition("_")[0] or PurePosixPath(name).stem for name in names)
        parts.append(Listing(str(place), "300W-LP", places, nobody, photos, marked, nobody, problems=problems))
    found = joined(parts, str(folder), "300W-LP")
    bare = len(found) - len(found.marked)
    note = f"{bare:,} pictures have no landmarks of their own (landmarks/SET/NAME_pts.mat)"
    return replace(found, notes=(note,)) if bare else found


def _numbers_by_stem(path: Path) -> dict[str, str]:
    """Lines ``NAME.jpg NUMBER``, or ``NAME.jpg,NUMBER`` under a title; by stem, because the pictures are published as
    .jpg and as .png."""
    found = {}
    lines = read_bytes(path).decode("latin1").splitlines()
    for count, line in enumerate(lines, 1):
        words = line.replace(",", " ").split()
        if count == 1 and "," in line and len(words) == 2 and not words[1].isdigit():
            continue
        if words and (len(words) != 2 or not words[1].isdigit()):
            raise FileError(path, f"expected lines 'NAME.jpg NUMBER', got {line[:40].strip()!r} in line {count}")
        if words:
            found[PurePosixPath(words[0]).stem] = words[1]
    return found

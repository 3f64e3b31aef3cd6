"""Data sets whose folders follow rules of their own: CelebA, 300W-LP, AFLW2000-3D, 300W."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from likeness.datasets.annotations import read_300w_lp_points, read_aflw2000_points, read_pts
from likeness.datasets.image_store import Places
from likeness.datasets.listing import Listing, Marked, joined
from likeness.errors import FileError

CELEBA_PEOPLE = "identity_CelebA.txt"
CELEBA_SPLIT = "list_eval_partition.txt"
_CELEBA_PICTURES = ("img_align_celeba", "img_celeba", "img_align_celeba_png")

LP_SETS = tuple(name + flip for name in ("AFW", "HELEN", "IBUG", "LFPW") for flip in ("", "_Flip"))


def celeba_lists(folder: Path) -> Path | None:
    """The folder of CelebA's list of people, where this is CelebA's folder or the one of its pictures."""
    around = [folder, folder / "Anno"]
    if folder.name in _CELEBA_PICTURES:
        around += [folder.parent, folder.parent / "Anno", folder.parent.parent / "Anno"]
    return next((place for place in around if (place / CELEBA_PEOPLE).is_file()), None)


def list_celeba(folder: Path, names: Sequence[str], lists: Path) -> Listing:
    """CelebA: ``NAME.jpg`` in one folder and ``identity_CelebA.txt`` with lines ``000001.jpg 2880``.

    With ``list_eval_partition.txt`` (lines ``000001.jpg 0``; beside it, or in ``Eval``) its training part only.

    Args:
        folder: where the pictures are.
        names: the pictures' names.
        lists: where the list of people is.

    Raises:
        FileError: a list has other lines.
    """
    people = _numbers_by_stem(lists / CELEBA_PEOPLE)
    split = next((p for p in (lists / CELEBA_SPLIT, lists.parent / "Eval" / CELEBA_SPLIT) if p.is_file()), None)
    part = {} if split is None else _numbers_by_stem(split)
    kept = [name for name in names if part.get(PurePosixPath(name).stem, "0") == "0"]
    identity = tuple(people.get(PurePosixPath(name).stem) for name in kept)
    others = len(names) - len(kept)
    notes = (f"left out, not for training: {others:,} pictures of its validation and test parts",) if others else ()
    return Listing(str(folder), "CelebA", Places.of_files(folder, kept), identity, {}, notes=notes)


def celeba_pictures(folder: Path) -> Path:
    """The folder of the pictures in CelebA's folder.

    Raises:
        FileError: there is none.
    """
    if folder.name in _CELEBA_PICTURES:
        return folder
    for place in (folder, folder / "Img"):
        for name in _CELEBA_PICTURES:
            if (place / name).is_dir():
                return place / name
    raise FileError(folder, f"has {CELEBA_PEOPLE}; expected CelebA's pictures in {' or '.join(_CELEBA_PICTURES)}")


def lp_sets(folder: Path, files: Collection[str], folders: Collection[str]) -> list[Path]:
    """The folders of 300W-LP's sets, where ``folder`` with this content is 300W-LP or one of its sets."""
    if folder.name in LP_SETS and any(name.endswith(".mat") for name in files):
        return [folder]
    sets = [folder / name for name in LP_SETS if name in folders]
    return sets if sets and next(sets[0].glob("*.mat"), None) is not None else []


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
        marked: dict[int, Marked] = {}
        problems: dict[int, str] = {}
        for number, name in enumerate(names):
            stem = PurePosixPath(name).stem
            try:
                points = read_300w_lp_points(place, stem)
            except FileError as error:
                problems[number] = f"{PurePosixPath(error.path).name}: {error.reason}"
                continue
            if points is not None:
                marked[number] = Marked(points, stem.rpartition("_")[0] or stem)
        places, people = Places.of_files(place, names), (None,) * len(names)
        parts.append(Listing(str(place), "300W-LP", places, people, marked, problems=problems))
    found = joined(parts, str(folder), "300W-LP")
    bare = len(found) - len(found.marked)
    note = f"{bare:,} pictures have no landmarks of their own (landmarks/SET/NAME_pts.mat)"
    return replace(found, notes=(note,)) if bare else found


def list_annotated(folder: Path, names: Sequence[str], beside: Collection[str]) -> Listing:
    """300W and the like (``NAME.pts`` beside ``NAME.jpg``), and AFLW2000-3D (``NAME.mat``), in one flat folder.

    Args:
        folder: where they are.
        names: the pictures.
        beside: names of the other files.

    """
    marked: dict[int, Marked] = {}
    problems: dict[int, str] = {}
    kinds = set()
    for number, name in enumerate(names):
        stem = PurePosixPath(name).stem
        try:
            if f"{stem}.pts" in beside:
                kinds.add("pictures with .pts")
                marked[number] = Marked(read_pts(folder / f"{stem}.pts"), stem)
            elif f"{stem}.mat" in beside:
                kinds.add("AFLW2000-3D")
                marked[number] = Marked(read_aflw2000_points(folder / f"{stem}.mat"), stem)
        except FileError as error:
            problems[number] = f"{PurePosixPath(error.path).name}: {error.reason}"
    kind = " and ".join(sorted(kinds)) or "pictures"
    notes = ("the jaw's points lie behind the outline of turned heads",) if "AFLW2000-3D" in kinds else ()
    places, people = Places.of_files(folder, names), (None,) * len(names)
    return Listing(str(folder), kind, places, people, marked, notes=notes, problems=problems)


def _numbers_by_stem(path: Path) -> dict[str, str]:
    """Lines ``NAME.jpg NUMBER``; by stem, because the pictures are published as .jpg and as .png."""
    found = {}
    try:
        lines = path.read_text("latin1").splitlines()
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    for count, line in enumerate(lines, 1):
        words = line.split()
        if words and (len(words) != 2 or not words[1].isdigit()):
            raise FileError(path, f"expected lines 'NAME.jpg NUMBER', got {line[:40].strip()!r} in line {count}")
        if words:
            found[PurePosixPath(words[0]).stem] = words[1]
    return found

"""`likeness reconstruct --person`, `--people` and `--group`: heads of people from several photos each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.cli.batches import progress
from likeness.cli.output import add_result, add_to_run, complain
from likeness.errors import Excluded, LikenessError, MissingExtraError, as_file_error, printable
from likeness.files import json_bytes, write_atomically
from likeness.reconstruct.inputs import PhotoResult, photo_files
from likeness.reconstruct.people import Groups, people_of, person_of, sight
from likeness.reconstruct.person import Person
from likeness.result_folder import ResultFolder, Source, fitted

if TYPE_CHECKING:
    from likeness.reconstruct.reconstructor import Reconstructor

LISTING = "people"
"""The file that says who is where."""


@dataclass(frozen=True)
class Output:
    """Where results go: as the options of ``likeness reconstruct`` are called."""

    photos: tuple[Path, ...]
    out: Path
    formats: tuple[str, ...]
    texture: int | None
    normal_map: bool
    max_faces: int | None
    overwrite: bool


def one_person(settings: Output, reconstructor: Reconstructor, photos: tuple[Any, ...]) -> int:
    """``--person``: all photos are one person; returns the exit code."""
    paths = sorted(os.path.abspath(photo) for photo in photos if isinstance(photo, Path))
    folders = {os.path.dirname(path) for path in paths}
    name = os.path.basename(folders.pop()) if len(folders) == 1 else ""
    source = Source(os.pathsep.join(paths) or "/dev/stdin")
    results = _noted(reconstructor.batch(progress(photos), max_faces=settings.max_faces))
    person = person_of(reconstructor.model, reconstructor.refiner, sight(results))
    _save(person, settings, [name or "person"], source)
    return 2 if person.left_out else 0


def people_in_folders(settings: Output, reconstructor: Reconstructor) -> int:
    """``--people``: each folder in the given folders is a person; returns the exit code."""
    people = [child for folder in settings.photos for child in _people_in(folder)]
    names = [child.name for child in people]
    failed = 0
    for child in progress(tuple(people), "people"):
        short = [child.name] if names.count(child.name) == 1 else []
        try:
            results = _noted(reconstructor.batch(photo_files(child), max_faces=settings.max_faces))
            person = person_of(reconstructor.model, reconstructor.refiner, sight(results))
            _save(person, settings, [*short, f"{child.parent.name}/{child.name}"], Source(str(child)))
            failed += bool(person.left_out)
        except MissingExtraError:
            raise
        except Exception as error:  # whatever one person's photos do, the others are done
            failed += 1
            told = as_file_error(child, error)
            line = f"{'' if str(child) in str(told) else f'{printable(child)}: '}{told}"
            add_result(child, error=line)
            complain(line)
    return 2 if failed else 0


def _people_in(folder: Path) -> list[Path]:
    """The folders of people in a folder.

    Raises:
        LikenessError: there are none.
    """
    there = Path(os.path.abspath(folder))
    found = sorted(child for child in there.glob("*") if child.is_dir() and not child.name.startswith("."))
    if not found:
        raise LikenessError(
            f"{folder}: expected a folder with a folder for each person, found none "
            "(for photos that lie directly in it: --person, --group, or neither)"
        )
    return found


def mixed(settings: Output, reconstructor: Reconstructor, photos: tuple[Any, ...]) -> int:
    """``--group``: photos are sorted into people first; returns the exit code."""
    results = _noted(reconstructor.batch(progress(photos), max_faces=settings.max_faces))
    found = people_of(reconstructor.model, reconstructor.refiner, sight(results))
    source = Source(os.pathsep.join(sorted(os.path.abspath(one) for one in settings.photos)))
    names = []
    for number, person in enumerate(found.people, start=1):
        names.append(_save(person, settings, [f"person-{number}"], source))
    folder = ResultFolder(settings.out, "reconstruct", overwrite=settings.overwrite)
    _remove_further(folder, len(names), source)
    listing = folder.claim(_candidates([LISTING], source), source)

    told = _listing(found, names)

    def write(stage: Path) -> None:
        write_atomically(stage / f"{listing}.json", json_bytes(told))

    folder.save(listing, source, write)
    add_to_run([settings.out / f"{listing}.json"], told)
    for one in (*found.left_out, *found.unsure):
        _tell(one)
    print(
        f"{len(names)} people in {len(photos)} photos, {len(found.unsure)} faces unsure, {len(found.left_out)} "
        f"photos left out -> {printable(settings.out / listing)}.json"
    )
    return 2 if found.left_out or not names else 0


def _remove_further(folder: ResultFolder, last: int, source: Source) -> None:
    """Remove the people that an earlier run found in the same photos and this one did not."""
    while True:
        last += 1
        owned = [name for name in _candidates([f"person-{last}"], source) if _is_own(folder, name, source)]
        if not owned:
            return
        folder.remove(owned[0], source)


def _is_own(folder: ResultFolder, name: str, source: Source) -> bool:
    owner = folder.owner(name)
    return owner is not None and owner.is_of(folder.command, source.path)


def _listing(found: Groups, names: list[str]) -> dict[str, Any]:
    """Who is where, as plain values."""
    people = [
        {
            "name": printable(name),
            "photos": [
                {"photo": printable(face.source.path or face.name), "face": face.number} for face in one.photos
            ],
        }
        for name, one in zip(names, found.people, strict=True)
    ]
    apart = {
        label: [{"photo": printable(one.item), "reason": printable(one.reason)} for one in rows]
        for label, rows in (("unsure", found.unsure), ("left_out", found.left_out))
    }
    return {"people": people, **apart}


def _save(person: Person, settings: Output, names: list[str], source: Source) -> str:
    """Save a head under the first name that is its own or nobody's, and say what it was made of."""
    folder = ResultFolder(settings.out, "reconstruct", overwrite=settings.overwrite)
    name = folder.claim(_candidates(names, source), source)
    head = person.called(name, source)
    files = head.save(
        settings.out,
        settings.formats,
        name,
        texture=settings.texture,
        normal_map=settings.normal_map,
        overwrite=settings.overwrite,
    )
    for one in person.left_out:
        _tell(one)
    count = len(person.photos)
    print(
        f"{printable(name)}: one head of {count} photo{'s' * (count != 1)}, worth {person.effective:.1f} that err "
        f"independently; {len(person.left_out)} left out -> {printable(settings.out)}"
    )
    figures = {
        "name": printable(name),
        "effective": person.effective,
        "left_out": [{"photo": printable(one.item), "reason": printable(one.reason)} for one in person.left_out],
    }
    add_result(*(one.source.path or one.name for one in person.photos), files=files.values(), figures=figures)
    return name


def _candidates(names: Iterable[str], source: Source) -> list[str]:
    digest = hashlib.sha256(os.fsencode(source.path)).hexdigest()[:12]
    wanted = [fitted(name) for name in names]
    return [*wanted, fitted(f"{wanted[-1]}-{digest}")]


def _tell(one: Excluded) -> None:
    complain(f"{printable(one.item)}: {printable(one.reason)}")


def _noted(results: Iterable[PhotoResult]) -> Iterator[PhotoResult]:
    """Results, with what the user should know of each photo said aside."""
    for result in results:
        if result.note:
            complain(f"{printable(result.name)} {result.note}")
        yield result

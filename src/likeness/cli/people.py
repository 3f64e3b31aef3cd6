"""`likeness reconstruct --person`, `--people` and `--group`: heads of people from several photos each.

A head that is there already, made of the same photos with the same options, is not made again: so a run that was
stopped goes on where it was, and of a folder that grew only those people are done whose photos changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.cli.batches import is_there, progress
from likeness.cli.made_before import NOTE, Keys, found_before
from likeness.cli.output import add_result, add_to_run, complain
from likeness.errors import Excluded, FileError, LikenessError, MissingExtraError, as_file_error, printable
from likeness.files import file_digest, json_bytes, write_atomically
from likeness.images.encode import png_bytes
from likeness.reconstruct.inputs import PhotoResult, photo_files
from likeness.reconstruct.mixed import Groups, people_of
from likeness.reconstruct.people import Sightings, person_of, sight
from likeness.reconstruct.people_sheet import people_sheet
from likeness.reconstruct.person import Person
from likeness.result_folder import Record, ResultFolder, Source
from likeness.result_names import fitted

if TYPE_CHECKING:
    from likeness.reconstruct.reconstructor import Reconstructor

LISTING = "people"
"""The file that says who is where."""

VERSION = 2
"""Of how heads of people are made (:class:`likeness.cli.made_before.Keys`)."""


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
    name: str = ""

    def folder(self) -> ResultFolder:
        """Where results are written."""
        return ResultFolder(self.out, "reconstruct", overwrite=self.overwrite)

    def keys(self, reconstructor: Reconstructor) -> Keys:
        """Of all that heads depend on, beside their photos."""
        return Keys(
            reconstructor,
            VERSION,
            formats=sorted(self.formats),
            texture=self.texture,
            normal_map=self.normal_map,
            max_faces=self.max_faces,
        )


def one_person(settings: Output, reconstructor: Reconstructor, photos: tuple[Any, ...]) -> int:
    """``--person``: all photos are one person; returns the exit code."""
    paths = sorted(os.path.abspath(photo) for photo in photos if isinstance(photo, Path))
    folders = {os.path.dirname(path) for path in paths}
    name = settings.name or (os.path.basename(folders.pop()) if len(folders) == 1 else "")
    source = Source(os.pathsep.join(paths) or "/dev/stdin")
    keys = settings.keys(reconstructor)
    return 2 if _of_one(settings, reconstructor, keys, photos, [name or "person"], source, "photos") else 0


def people_in_folders(settings: Output, reconstructor: Reconstructor) -> int:
    """``--people``: each folder in the given folders is a person; returns the exit code."""
    people = [child for folder in settings.photos for child in _people_in(folder)]
    names = [child.name for child in people]
    keys, failed = settings.keys(reconstructor), 0
    for child in progress(tuple(people), "people", lines=True):
        names_of = [*([child.name] if names.count(child.name) == 1 else []), f"{child.parent.name}/{child.name}"]
        try:
            failed += _of_one(settings, reconstructor, keys, tuple(photo_files(child)), names_of, Source(str(child)))
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
    if not there.exists():
        raise FileError(folder, "does not exist; expected a folder with a folder for each person")
    found = sorted(child for child in there.glob("*") if child.is_dir() and not child.name.startswith("."))
    if not found:
        raise LikenessError(
            f"{folder}: expected a folder with a folder for each person, found none "
            "(for photos that lie directly in it: --person, --group, or neither)"
        )
    return found


def _of_one(
    settings: Output,
    reconstructor: Reconstructor,
    keys: Keys,
    photos: tuple[Any, ...],
    names: list[str],
    source: Source,
    what: str = "",
) -> bool:
    """Make a person's head unless it is there; whether photos were left out. ``what``: they are called so where it is
    shown how far it is."""
    key = _key_of(keys, photos)
    name, record = found_before(settings.folder(), _candidates(names, source), source, key)
    if record is not None:
        _told_again(settings, name, record)
        return bool(record.told["left_out"])
    results = _noted(reconstructor.batch(progress(photos, what) if what else photos, max_faces=settings.max_faces))
    person = person_of(reconstructor.model, reconstructor.refiner, sight(results))
    _save(person, settings, settings.folder().claim(_candidates(names, source), source), source, key)
    return bool(person.left_out)


def _key_of(keys: Keys, photos: Sequence[Any]) -> str:
    """Of a head that is made of all of these; empty where one can be read but once."""
    if not all(isinstance(photo, Path) for photo in photos):
        return ""
    return keys.of([(os.path.abspath(photo), _digest_of(photo)) for photo in photos])


def _digest_of(photo: Path) -> str:
    try:
        return file_digest(photo)
    except FileError:  # the run says so where it is used
        return ""


def mixed(settings: Output, reconstructor: Reconstructor, photos: tuple[Any, ...]) -> int:
    """``--group``: photos are sorted into people first; returns the exit code."""
    results = _noted(reconstructor.batch(progress(photos, lines=True), max_faces=settings.max_faces))
    sightings = sight(results, shown="png" in settings.formats)
    found = people_of(reconstructor.model, reconstructor.refiner, sightings)
    source = Source(os.pathsep.join(sorted(os.path.abspath(one) for one in settings.photos)))
    keys, names = settings.keys(reconstructor), []
    for number, person in enumerate(progress(found.people, "people", lines=True), start=1):
        seen = [(face.source.path, face.source.sha256, face.number) for face in person.photos]
        key = keys.of(seen) if all(sha256 for _, sha256, _ in seen) else ""
        wanted = _candidates([f"person-{number}"], source)
        name, record = found_before(settings.folder(), wanted, source, key)
        if record is None:
            name = settings.folder().claim(wanted, source)
            _save(person, settings, name, source, key)
        else:
            _told_again(settings, name, record)
        names.append(name)
    _remove_further(settings.folder(), len(names), source)
    listing = _save_listing(settings, source, found, names, sightings)
    for one in (*found.left_out, *found.unsure):
        _tell(one)
    _summary(found, sum(map(is_there, photos)), None if listing is None else settings.out / listing)
    return 2 if found.left_out or not names else 0


def _save_listing(
    settings: Output, source: Source, found: Groups, names: list[str], sightings: Sightings
) -> str | None:
    """Write who is where, in numbers and, if pictures are wanted, as one; returns the files' name, None: nobody."""
    folder, told = settings.folder(), _listing(found, names)
    add_to_run(figures=told)
    if not names:
        for name in _candidates([LISTING], source):
            folder.remove(name, source)
        return None
    listing = folder.claim(_candidates([LISTING], source), source)
    made = {f"{listing}.json": json_bytes(told)}
    if "png" in settings.formats:
        made[f"{listing}.png"] = png_bytes(people_sheet(found, [printable(name) for name in names], sightings.faces))
    else:
        folder.remove(listing, source)  # the picture of an earlier run may say something else

    def write(stage: Path) -> None:
        for name, content in made.items():
            write_atomically(stage / name, content)

    folder.save(listing, source, write)
    add_to_run([settings.out / name for name in made])
    return listing


def _summary(found: Groups, photos: int, listing: Path | None) -> None:
    people, unsure, left_out, alike = (
        len(one) for one in (found.people, found.unsure, found.left_out, found.similar)
    )
    parts = [
        f"{people} {'person' if people == 1 else 'people'} in {photos} photo{'s' * (photos != 1)}",
        f"{unsure} face{'s' * (unsure != 1)} unsure",
        f"{left_out} left out",
        *([f"{alike} pair{'s' * (alike != 1)} of people may be one person"] if alike else []),
    ]
    print(", ".join(parts) + ("" if listing is None else f" -> {printable(listing)}.json"))


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
            "chance": round(whole, 2),
            "photos": [
                {
                    "photo": printable(face.source.path or face.name),
                    "face": face.number,
                    "chance": round(float(chance), 2),
                }
                for face, chance in zip(one.photos, chances, strict=True)
            ],
        }
        for name, one, chances, whole in zip(names, found.people, found.chances, found.whole, strict=True)
    ]
    similar = [
        {"people": [printable(names[one]), printable(names[other])], "chance": round(chance, 2)}
        for one, other, chance in found.similar
    ]
    apart = {
        label: [{"photo": printable(one.item), "reason": printable(one.reason)} for one in rows]
        for label, rows in (("unsure", found.unsure), ("left_out", found.left_out))
    }
    return {"people": people, "similar": similar, **apart}


def _told_again(settings: Output, name: str, record: Record) -> None:
    """Say of a head that is there what was said when it was made."""
    _say(settings, name, record.told, [settings.out / file for file in sorted(record.files)], NOTE)


def _save(person: Person, settings: Output, name: str, source: Source, key: str) -> None:
    """Save a head under a name, and say what it was made of."""
    files = person.called(name, source).save(
        settings.out,
        settings.formats,
        name,
        texture=settings.texture,
        normal_map=settings.normal_map,
        overwrite=settings.overwrite,
    )
    told = {
        "photos": [printable(one.source.path or one.name) for one in person.photos],
        "effective": person.effective,
        "left_out": [{"photo": printable(one.item), "reason": printable(one.reason)} for one in person.left_out],
    }
    if key:
        settings.folder().note(name, source, key, told)
    _say(settings, name, told, list(files.values()))


def _say(settings: Output, name: str, told: dict[str, Any], files: list[Path], note: str = "") -> None:
    """A line for a head, and for each photo that has no part in it."""
    for one in told["left_out"]:
        complain(f"{one['photo']}: {one['reason']}")
    count, left_out = len(told["photos"]), len(told["left_out"])
    worth = f" (worth {told['effective']:.1f} independent ones)" if count > 1 else ""
    print(
        f"{printable(name)}: one head of {count} photo{'s' * (count != 1)}{worth}, {left_out} left out"
        f"{f', {note}' if note else ''} -> {printable(settings.out / name)}",
        flush=True,
    )
    figures = {"name": printable(name), "effective": told["effective"], "left_out": told["left_out"]}
    add_result(*told["photos"], files=files, notes=[note], figures=figures)


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

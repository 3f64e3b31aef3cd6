"""`likeness reconstruct` for videos: a head for every person, animated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.cli.display import display
from likeness.cli.made_before import NOTE, Keys, found_before
from likeness.cli.output import add_result, complain
from likeness.errors import FileError, MissingExtraError, as_file_error, printable
from likeness.progress import Steps
from likeness.result_folder import ResultFolder, Source
from likeness.result_names import ResultNames

if TYPE_CHECKING:
    from likeness.reconstruct.reconstructor import Reconstructor

VERSION = 2
"""Of how heads of videos are made (:class:`likeness.cli.made_before.Keys`)."""


@dataclass(frozen=True)
class Output:
    """Where results of videos go; as the options of the command."""

    out: Path
    formats: tuple[str, ...]
    max_faces: int | None
    overwrite: bool

    def folder(self) -> ResultFolder:
        """Where results are written."""
        return ResultFolder(self.out, "reconstruct", overwrite=self.overwrite)


def are_videos(given: Sequence[Any]) -> list[bool]:
    """Which of the inputs are video files; what cannot be read is told later, as a photo."""
    return [isinstance(one, Path) and _is_video(one) for one in given]


def videos(output: Output, reconstructor: Reconstructor, paths: Sequence[Path]) -> int:
    """A head for every person of every video; returns the exit code."""
    names = ResultNames(output.folder(), paths)
    keys = Keys(reconstructor, VERSION, formats=sorted(output.formats), max_faces=output.max_faces)
    people, bad = 0, 0
    for path in paths:
        try:
            with display() as steps:
                found, is_whole = _one(output, reconstructor, keys, path, names, steps)
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a video does, the others are done
            told = as_file_error(path, error)
            add_result(path, error=told)
            complain(told)
            bad += 1
            continue
        people += found
        bad += not (found and is_whole)
    count = len(paths)
    print(f"{people} {'person' if people == 1 else 'people'} in {count} video{'s' * (count != 1)} -> ", end="")
    print(printable(output.out))
    return 2 if bad else 0


def _one(
    output: Output, reconstructor: Reconstructor, keys: Keys, path: Path, names: ResultNames, steps: Steps
) -> tuple[int, bool]:
    """How many people a video shows, and whether it could be read to its end."""
    source = Source.of(path)
    name = names.of(source)
    key = keys.of(source.path, source.sha256)
    told, files = _told_before(output, name, source, key)
    is_new = told is None
    if told is None:
        told, files = _made(output, reconstructor, path, source, names, key, steps)
    people, frames, note = told["people"], told["frames"], told["note"]
    error = None if people else f"{printable(path)}: no face found in {frames} frames"
    if note:
        complain(f"{printable(path)} {note}")
    if error:
        complain(error)
    for one, called in zip(people, told["names"], strict=True):
        print(
            f"{printable(path)}: person {one['number']} in {one['frames']} of {frames} frames, {one['first_s']:.1f} "
            f"to {one['last_s']:.1f} s{'' if is_new else f', {NOTE}'} -> {printable(output.out / called)}"
        )
    figures = {"frames": frames, "people": people}
    add_result(path, files=files, error=error, notes=[note, "" if is_new else NOTE], figures=figures)
    return len(people), not note


def _told_before(output: Output, name: str, source: Source, key: str) -> tuple[dict[str, Any] | None, list[Path]]:
    """What there was to say of a video whose people are all there, made of the same, and their files; None and none
    where they are not."""
    folder = output.folder()
    _, first = found_before(folder, [name], source, key)
    if first is None:
        return None, []
    records = [folder.noted(str(one), source, key) for one in first.told["names"]]
    if any(record is None for record in records):
        return None, []
    return first.told, sorted(output.out / file for record in records if record is not None for file in record.files)


def _made(
    output: Output,
    reconstructor: Reconstructor,
    path: Path,
    source: Source,
    names: ResultNames,
    key: str,
    steps: Steps,
) -> tuple[dict[str, Any], list[Path]]:
    """Make the heads of a video's people; what there is to say of them, and their files."""
    from likeness.reconstruct.video import reconstruct_video

    folder, name = output.folder(), names.of(source)
    folder.check(name, [f"{name}.{format}" for format in output.formats], source)
    found = reconstruct_video(reconstructor, path, max_people=output.max_faces, work=output.out, steps=steps)
    files = found.save(output.out, output.formats, names=names, overwrite=output.overwrite, steps=steps)
    people = [
        {
            "number": person.number,
            "frames": len(person),
            "first_s": float(person.times[0]),
            "last_s": float(person.times[-1]),
        }
        for person in found.people
    ]
    called = [names.of(source, number) for number in range(len(people))]
    told = {"frames": found.frames, "people": people, "note": found.note, "names": called}
    for name in reversed(called) if key else ():  # the first, which says that all are there, at last
        folder.note(name, source, key, told)
    return told, files


def _is_video(path: Path) -> bool:
    from likeness.images.video import is_video

    try:
        return path.is_file() and is_video(path)  # what is read of a pipe is gone
    except FileError:
        return False

"""`likeness reconstruct` for videos: a head for every person, animated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.cli.display import display
from likeness.cli.output import add_result, complain
from likeness.errors import FileError, MissingExtraError, as_file_error, printable
from likeness.progress import Steps
from likeness.result_folder import ResultFolder, Source
from likeness.result_names import ResultNames

if TYPE_CHECKING:
    from likeness.reconstruct.reconstructor import Reconstructor


@dataclass(frozen=True)
class Output:
    """Where results of videos go; as the options of the command."""

    out: Path
    formats: tuple[str, ...]
    max_faces: int | None
    overwrite: bool


def are_videos(given: Sequence[Any]) -> list[bool]:
    """Which of the inputs are video files; what cannot be read is told later, as a photo."""
    return [isinstance(one, Path) and _is_video(one) for one in given]


def videos(output: Output, reconstructor: Reconstructor, paths: Sequence[Path]) -> int:
    """A head for every person of every video; returns the exit code."""
    names = ResultNames(ResultFolder(output.out, "reconstruct"), paths)
    people, bad = 0, 0
    for path in paths:
        try:
            with display() as steps:
                found, is_whole = _one(output, reconstructor, path, names, steps)
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
    output: Output, reconstructor: Reconstructor, path: Path, names: ResultNames, steps: Steps
) -> tuple[int, bool]:
    """How many people a video shows, and whether it could be read to its end."""
    from likeness.reconstruct.video import reconstruct_video

    source = Source.of(path)
    name = names.of(source)
    results = ResultFolder(output.out, "reconstruct", overwrite=output.overwrite)
    results.check(name, [f"{name}.{format}" for format in output.formats], source)
    found = reconstruct_video(reconstructor, path, max_people=output.max_faces, work=output.out, steps=steps)
    files = found.save(output.out, output.formats, names=names, overwrite=output.overwrite, steps=steps)
    error = None if found.people else f"{printable(path)}: no face found in {found.frames} frames"
    if found.note:
        complain(f"{printable(path)} {found.note}")
    if error:
        complain(error)
    people = []
    for person in found.people:
        first, last = float(person.times[0]), float(person.times[-1])
        print(
            f"{printable(path)}: person {person.number} in {len(person)} of {found.frames} frames, {first:.1f} to "
            f"{last:.1f} s"
        )
        people.append({"number": person.number, "frames": len(person), "first_s": first, "last_s": last})
    figures = {"frames": found.frames, "people": people}
    add_result(path, files=files, error=error, notes=[found.note], figures=figures)
    return len(found.people), not found.note


def _is_video(path: Path) -> bool:
    from likeness.images.video import is_video

    try:
        return path.is_file() and is_video(path)  # what is read of a pipe is gone
    except FileError:
        return False

"""`likeness reconstruct PHOTO...`: a head of every face of every photo.

Heads that are there already, of the same photo with the same options and models, are not made again: a run over
thousands of photos that was stopped goes on where it was.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.cli.batches import is_there
from likeness.cli.made_before import NOTE, Keys
from likeness.cli.output import add_result, add_to_run, complain
from likeness.errors import FileError, MissingExtraError, as_file_error, printable
from likeness.extras import one_blas_thread
from likeness.files import file_digest
from likeness.result_folder import Record, Source
from likeness.result_names import ResultNames

if TYPE_CHECKING:
    from likeness.reconstruct.inputs import PhotoResult
    from likeness.reconstruct.reconstructor import Reconstructor

VERSION = 1
"""Of how heads of photos are made (:class:`likeness.cli.made_before.Keys`)."""


@dataclass(frozen=True)
class Output:
    """Where results go: as the options of ``likeness reconstruct`` are called."""

    out: Path
    names: ResultNames
    formats: tuple[str, ...]
    texture: int | None
    normal_map: bool
    max_faces: int | None
    overwrite: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    Args:
        name: of the photo.
        faces: how many were saved.
        error: why it failed; empty: it did not.
        note: what else to say of it.
        heads: each head's name, score, box and files.
        is_photo: whether there was a photo at all.
        before: whether all of it was there already.
    """

    name: str
    faces: int = 0
    error: str = ""
    note: str = ""
    heads: tuple[dict[str, Any], ...] = ()
    is_photo: bool = True
    before: bool = False


@dataclass
class Summary:
    """What happened to a run's photos."""

    faces: int = 0
    photos: int = 0
    without: int = 0
    failed: int = 0
    before: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count a photo, and say what is to be said of it."""
        name = printable(outcome.name)
        error = outcome.error or ("" if outcome.faces else f"{name}: no face found")
        if outcome.note:
            complain(f"{name} {outcome.note}")
        if error:
            self.failed += bool(outcome.error)
            self.without += not outcome.error
            complain(error)
        self.photos += outcome.is_photo
        self.faces += outcome.faces
        self.before += outcome.before
        add_result(
            outcome.name,
            files=[file for head in outcome.heads for file in head["files"]],
            error=error or None,
            notes=[outcome.note, NOTE if outcome.before else ""],
            figures={"faces": outcome.faces, "heads": outcome.heads},
        )

    def report(self, out: Path) -> int:
        """Say what all of it came to; returns the exit code."""
        parts = [
            f"{self.faces} face{'s' * (self.faces != 1)} in {self.photos} photo{'s' * (self.photos != 1)} -> "
            f"{printable(out)}"
        ]
        counts = {"without a face": self.without, "failed": self.failed, NOTE: self.before}
        parts += [f"{count} {what}" for what, count in counts.items() if count]
        print(", ".join(parts))
        add_to_run(
            figures={
                "photos": self.photos,
                "faces": self.faces,
                "without": self.without,
                "failed": self.failed,
                "made_before": self.before,
            }
        )
        return 2 if self.failed or self.without else 0


@dataclass(frozen=True)
class Work:
    """The work on one photo after the other.

    Args:
        reconstructor: that does it.
        output: where results go.
    """

    reconstructor: Reconstructor
    output: Output

    @cached_property
    def keys(self) -> Keys:
        """Of all that heads depend on, beside their photo."""
        output = self.output
        return Keys(
            self.reconstructor,
            VERSION,
            formats=sorted(output.formats),
            texture=output.texture,
            normal_map=output.normal_map,
            max_faces=output.max_faces,
        )

    def __call__(self, photo: Any) -> Outcome:
        """Reconstruct and save one photo, unless its heads are there."""
        with one_blas_thread():
            before = self._before(photo) if isinstance(photo, Path) else None
            if before is not None:
                return before
            result = next(self.reconstructor.batch([photo], max_faces=self.output.max_faces))
            if result.error is not None:
                return Outcome(result.name, error=str(result.error), note=result.note, is_photo=is_there(photo))
            try:
                heads = self._save(result)
            except MissingExtraError:
                raise
            except Exception as error:  # whatever a photo's results do, the other photos are done
                return Outcome(result.name, error=str(as_file_error(result.name, error)), note=result.note)
        return Outcome(result.name, len(heads), note=result.note, heads=tuple(heads))

    def _before(self, photo: Path) -> Outcome | None:
        """What an earlier run made of the same photo, if all of it is there."""
        names, path = self.output.names, os.path.abspath(photo)
        known = names.known(Source(path))
        if not known or not photo.is_file():  # a pipe is read once
            return None
        try:
            source = Source(path, file_digest(photo))
            key = self.keys.of(path, source.sha256)
            records = [names.results.noted(name, source, key) for name in known] if key else [None]
            found = [record for record in records if record is not None]
            if len(found) < len(records) or found[0].told["heads"] != len(found):
                return None
            heads = tuple(self._told(record) for record in found)
            return Outcome(str(photo), len(heads), note=str(found[0].told["note"]), heads=heads, before=True)
        except FileError:  # the work on it says so
            return None
        except (KeyError, TypeError, ValueError):  # a record that somebody changed
            return None

    def _told(self, record: Record) -> dict[str, Any]:
        """What was said of a head when it was made.

        Raises:
            KeyError, TypeError, ValueError: its record was changed since.
        """
        head = record.told["head"]
        if not set(head["files"]) <= set(record.files):
            raise ValueError("expected files that are on record")
        said = {"name": str(head["name"]), "score": float(head["score"]), "box": [float(one) for one in head["box"]]}
        return {**said, "files": self._shown(head["files"])}

    def _save(self, result: PhotoResult) -> list[dict[str, Any]]:
        """Save the faces of a photo, and remove those of an earlier run that are no more; says what each head is."""
        photo, output = result.photo, self.output
        heads: list[dict[str, Any]] = []
        if photo is None or photo.path is None:  # stdin: who sends the same photo again gets the same names
            digest = "" if photo is None else photo.sha256
            source = Source(f"/dev/stdin/{digest[:12]}/stdin", digest)
        else:
            source = Source(os.path.abspath(photo.path), photo.sha256)
        names = [output.names.of(source, number) for number in range(len(result.faces))]
        for name, face in zip(names, result.faces, strict=True):
            files = replace(face, source=source).save(
                output.out,
                output.formats,
                name,
                texture=output.texture,
                normal_map=output.normal_map,
                overwrite=output.overwrite,
            )
            heads.append(
                {
                    "name": printable(name),
                    "score": round(float(face.score), 4),
                    "box": [round(float(edge), 1) for edge in face.box],
                    "files": [file.relative_to(output.out).as_posix() for file in files.values()],
                }
            )
        output.names.remove_from(source, len(result.faces))
        if isinstance(result.given, Path):
            self._note(source, names, heads, result.note)
        return [{**head, "files": self._shown(head["files"])} for head in heads]

    def _note(self, source: Source, names: Sequence[str], heads: Sequence[dict[str, Any]], note: str) -> None:
        """Put on record, when all heads of a photo are there, what they depend on: a rerun finds them by it."""
        key = self.keys.of(source.path, source.sha256)
        for name, head in zip(names, heads, strict=True) if key else ():
            told = {"head": head, "heads": len(heads), "note": note}
            self.output.names.results.note(name, source, key, told)

    def _shown(self, files: Sequence[str]) -> list[str]:
        return [printable(self.output.out / file) for file in files]

"""The command `likeness reconstruct`: photos in, rigged heads out."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from likeness.arguments import MaybeInt, MaybePath
from likeness.cli.batches import progress
from likeness.errors import LikenessError, MissingExtraError, as_file_error, printable
from likeness.files import check_writable
from likeness.result_folder import ResultFolder, ResultNames, Source

if TYPE_CHECKING:
    from likeness.reconstruct.inputs import PhotoResult
    from likeness.reconstruct.reconstructor import Reconstructor

Format = Literal["glb", "obj", "json", "png"]


@dataclass
class Reconstruct:
    """Photographs in, rigged 3D heads out: NAME.glb, NAME.obj, NAME.json and NAME.png for every face."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Photo files (JPEG, PNG, WebP, HEIC, AVIF, JPEG XL, TIFF ...), folders of them, patterns in quotes, or - for
    stdin."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
    person: bool = False
    """All photos are of one person: one head from all of them. Photos that do not belong are named and left out."""
    people: bool = False
    """Each folder in the given folders is a person: one head of each."""
    group: bool = False
    """The photos are of several people: sorted into people first, then one head of each; people.json says who is
    where."""
    formats: tuple[Format, ...] = ("glb", "obj", "json", "png")
    """Which files to write."""
    max_faces: MaybeInt = None
    """Keep only the best faces of each photo."""
    min_score: float = 0.5
    """Drop faces that the network believes less in (0 to 1)."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    network: MaybePath = None
    """Another regressor (.onnx) than the embedded one."""
    yunet: MaybePath = None
    """The file of OpenCV's YuNet face detector, used instead of the embedded one."""
    points: MaybePath = None
    """`mediapipe`: fit heads to the points of MediaPipe's network (extra `points`) instead of our own; or another map
    (.npz) of the points that the network places than the embedded one."""
    mediapipe: MaybePath = None
    """With `--points mediapipe`: its face_landmarker.task, or the folder of its .tflite files; default: those of an
    installed mediapipe package."""
    threads: MaybeInt = None
    """CPU threads of the network."""
    overwrite: bool = False
    """Replace files in the folder that are no earlier results of the same photo, too."""


@dataclass
class Summary:
    """What happened to a run's photos."""

    faces: int = 0
    photos: int = 0
    without: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def reconstruct(settings: Reconstruct) -> int:
    """Run ``likeness reconstruct``; returns the exit code."""
    if not settings.photos:
        raise ValueError("expected at least one photo")
    if settings.person + settings.people + settings.group > 1:
        raise ValueError("expected one of --person, --people and --group, got several")
    check_writable(settings.out)
    from likeness.cli.people import Output, mixed, one_person, people_in_folders
    from likeness.reconstruct.reconstructor import Reconstructor

    reconstructor = Reconstructor(
        settings.model,
        settings.network,
        yunet_model=settings.yunet,
        min_score=settings.min_score,
        threads=settings.threads,
        points=None if settings.points is None else str(settings.points),
        mediapipe=settings.mediapipe,
    )
    output = Output(settings.photos, settings.out, settings.formats, settings.max_faces, settings.overwrite)
    if settings.people:
        return people_in_folders(output, reconstructor)
    photos = _photos(settings.photos)
    if settings.person:
        return one_person(output, reconstructor, photos)
    if settings.group:
        return mixed(output, reconstructor, photos)
    return _each_face(settings, reconstructor, photos)


def _each_face(settings: Reconstruct, reconstructor: Reconstructor, photos: tuple[Any, ...]) -> int:
    """A head for every face of every photo; returns the exit code."""
    summary = Summary()
    names = ResultNames(ResultFolder(settings.out, "reconstruct"), [one for one in photos if isinstance(one, Path)])
    for result in reconstructor.batch(progress(photos), max_faces=settings.max_faces):
        error: LikenessError | None = result.error
        if result.note:
            print(f"likeness: {printable(result.name)} {result.note}", file=sys.stderr)
        if error is None:
            error = _save_faces(result, settings, names)
        if error is not None:
            summary.failed.append(result.name)
            print(f"likeness: {error}", file=sys.stderr)
        elif not result.faces:
            summary.without.append(result.name)
            print(f"likeness: {printable(result.name)}: no face found", file=sys.stderr)
        summary.photos += 1
        summary.faces += len(result.faces) if error is None else 0
    return _report(summary, settings)


def _photos(given: tuple[Path, ...]) -> tuple[Any, ...]:
    """Files of all that is given: files, folders, patterns; ``-`` is stdin. What stands for none is told later."""
    from likeness.reconstruct.inputs import photo_files

    found: list[Any] = []
    for path in given:
        if str(path) == "-":
            found.append(sys.stdin.buffer)
            continue
        try:
            found += photo_files(path)
        except LikenessError:
            found.append(path)
    return tuple(dict.fromkeys(found))


def _save_faces(result: PhotoResult, settings: Reconstruct, names: ResultNames) -> LikenessError | None:
    """Save the faces of a photo, and remove those of an earlier run that are no more; what went wrong, or None."""
    photo = result.photo
    try:
        if photo is None or photo.path is None:  # stdin: who sends the same photo again gets the same names
            digest = "" if photo is None else photo.sha256
            source = Source(f"/dev/stdin/{digest[:12]}/stdin", digest)
        else:
            source = Source(os.path.abspath(photo.path), photo.sha256)
        for number, face in enumerate(result.faces):
            name = names.of(source, number)
            replace(face, source=source).save(settings.out, settings.formats, name, overwrite=settings.overwrite)
        names.remove_from(source, len(result.faces))
    except MissingExtraError:
        raise
    except Exception as error:  # whatever a photo's results do, the other photos are done
        return as_file_error(result.name, error)
    return None


def _report(summary: Summary, settings: Reconstruct) -> int:
    photos = summary.photos
    parts = [
        f"{summary.faces} face{'s' * (summary.faces != 1)} in {photos} photo{'s' * (photos != 1)} -> "
        f"{printable(settings.out)}"
    ]
    if summary.without:
        parts.append(f"{len(summary.without)} without a face")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    print(", ".join(parts))
    return 2 if summary.failed or summary.without else 0

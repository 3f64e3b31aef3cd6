"""The command `likeness reconstruct`: photos in, rigged heads out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from likeness.arguments import MaybeInt, MaybePath, MaybeStr
from likeness.cli.batches import progress
from likeness.cli.output import add_to_run
from likeness.cli.photos import Outcome, Output, Summary, Work
from likeness.errors import FileError, LikenessError
from likeness.files import check_writable
from likeness.result_folder import ResultFolder
from likeness.result_names import ResultNames, is_name

if TYPE_CHECKING:
    from likeness.reconstruct.reconstructor import Reconstructor

VideoFormat = Literal["glb", "csv", "json", "mp4"]
Format = Literal["glb", "obj", "json", "png", "parquet"]
HEAD_FORMATS: tuple[Format, ...] = ("glb", "obj", "json", "png")


@dataclass
class Reconstruct:
    """Photographs in, rigged 3D heads out: NAME.glb, NAME.obj, NAME.json and NAME.png for every face."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Photo files (JPEG, PNG, WebP, HEIC, AVIF, JPEG XL, TIFF ...), folders of them, patterns in quotes, or - for
    stdin; videos (MP4, MOV, WebM, Matroska, AVI, animated GIF). For tables (`--engine ray`, `--formats parquet`) also
    tars, and URLs of object stores (s3://, gs:// ...), but no videos."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
    person: bool = False
    """All photos are of one person: one head from all of them. Photos that do not belong are named and left out."""
    people: bool = False
    """Each folder in the given folders is a person: one head of each."""
    group: bool = False
    """The photos are of several people: sorted into people first, then one head of each; people.json says who is
    where."""
    name: MaybeStr = None
    """With --person: what the head is called; default: as the folder that all photos are in, else person."""
    formats: tuple[Format, ...] = ()
    """Which files to write; default: all but parquet, with `--engine ray` parquet alone. Parquet: tables with a row
    for each face (extra `parquet`); a run that was interrupted goes on where it was."""
    video_formats: tuple[VideoFormat, ...] = ("glb", "csv", "json", "mp4")
    """Which files to write for videos: animated heads, Live Link Face tables, numbers, the video with the heads over
    it."""
    engine: Literal["local", "ray"] = "local"
    """Who does the work: this machine, or a Ray cluster (extra `cluster`), into tables."""
    texture: Literal["1024", "2048", "none"] = "1024"
    """Side of the texture with the person's own skin, in pixels; none: colours of the face model."""
    normal_map: bool = False
    """Also a normal map of wrinkles and pores, from the photo, of the texture's size: in NAME.glb and as
    NAME-normal.png beside NAME.obj."""
    max_faces: MaybeInt = None
    """Keep only the best faces of each photo, and of each video the people who are seen longest."""
    min_score: float = 0.9
    """Drop faces whose chance of being one is below this (0 to 1)."""
    views: Literal[1, 2, 4, "auto"] = "auto"
    """Looks at every face, at least: 1 takes a first look that leaves no doubt (fastest), 4 are steadiest. Frames in
    which a face is followed have one. auto: 1 for photos, 2 for videos."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    network: MaybePath = None
    """Another regressor (.onnx) than the embedded one."""
    precision: Literal["auto", "float", "int8"] = "auto"
    """Of the embedded network: `int8` takes about half of `float`'s time; `auto`: int8, on GPUs float."""
    yunet: MaybePath = None
    """The file of OpenCV's YuNet face detector, used instead of the embedded one."""
    points: MaybePath = None
    """`mediapipe`: fit heads to the points of MediaPipe's network (extra `points`) instead of our own; or another
    map (.npz) of the points that the network places than the embedded one."""
    mediapipe: MaybePath = None
    """With `--points mediapipe`: its face_landmarker.task, or the folder of its .tflite files; default: those of an
    installed mediapipe package."""
    threads: MaybeInt = None
    """CPU threads of the network; default: all, with several processes one each."""
    jobs: MaybeInt = None
    """Processes that share the photos; their number does not change the results. Default: 1, with `--engine ray` one
    for each CPU. Videos, photos from stdin and --person, --people, --group are done by one."""
    overwrite: bool = False
    """Replace files in the folder that are no earlier results of the same photo, too."""


def reconstruct(settings: Reconstruct) -> int:
    """Run ``likeness reconstruct``; returns the exit code."""
    if not settings.photos:
        raise ValueError("expected at least one photo")
    if settings.max_faces is not None and settings.max_faces < 1:
        raise ValueError(f"expected --max-faces of at least 1, got {settings.max_faces}")
    if settings.person + settings.people + settings.group > 1:
        raise ValueError("expected one of --person, --people and --group, got several")
    of_people = settings.person or settings.people or settings.group
    if settings.name is not None and (not settings.person or not is_name(settings.name)):
        raise ValueError(f"expected --name with --person, and a name without a folder, got {settings.name!r}")
    jobs = 1 if settings.jobs is None else settings.jobs
    if jobs < 1 or (of_people and jobs > 1):
        raise ValueError(f"expected --jobs of at least 1, and of 1 with --person, --people or --group, got {jobs}")
    if settings.normal_map and settings.texture == "none":
        raise ValueError("expected --texture 1024 or 2048 with --normal-map, got none")
    if settings.engine == "ray" or "parquet" in settings.formats:
        return _tables(settings)
    check_writable(settings.out)
    if not of_people:
        return _photos_and_videos(replace(settings, jobs=jobs), _photos(settings.photos))
    settings = replace(settings, formats=settings.formats or HEAD_FORMATS, jobs=jobs)
    from likeness.cli.people import Output as PeopleOutput
    from likeness.cli.people import mixed, one_person, people_in_folders

    reconstructor = _reconstructor(settings)
    output = PeopleOutput(
        settings.photos,
        settings.out,
        settings.formats,
        _texture_size(settings),
        settings.normal_map,
        settings.max_faces,
        settings.overwrite,
        settings.name or "",
    )
    if settings.people:
        return people_in_folders(output, reconstructor)
    photos = _photos(settings.photos)
    return (one_person if settings.person else mixed)(output, reconstructor, photos)


def _photos_and_videos(settings: Reconstruct, given: tuple[Any, ...]) -> int:
    """Heads of photos and of videos; returns the exit code."""
    from likeness.cli.video import Output as VideoOutput
    from likeness.cli.video import are_videos, videos

    moving = are_videos(given)
    if all(moving):
        for option, value in (("--formats", settings.formats), ("--normal-map", settings.normal_map)):
            if value:
                raise ValueError(f"expected photos with {option}, got videos only (--video-formats is for videos)")
    settings = replace(settings, formats=settings.formats or HEAD_FORMATS)
    still = tuple(one for one, moves in zip(given, moving, strict=True) if not moves)
    code = _each_face(settings, still) if still else 0
    if any(moving):
        output = VideoOutput(settings.out, settings.video_formats, settings.max_faces, settings.overwrite)
        paths = [one for one, moves in zip(given, moving, strict=True) if moves]
        code = max(code, videos(output, _reconstructor(settings, processes=1, auto_views=2), paths))
    return code


def _each_face(settings: Reconstruct, photos: tuple[Any, ...]) -> int:
    """A head for every face of every photo; returns the exit code."""
    summary, files = Summary(), [one for one in photos if isinstance(one, Path)]
    jobs = min(settings.jobs or 1, len(photos)) if len(files) == len(photos) else 1
    output = Output(
        settings.out,
        ResultNames(ResultFolder(settings.out, "reconstruct"), files),
        settings.formats,
        _texture_size(settings),
        settings.normal_map,
        settings.max_faces,
        settings.overwrite,
    )
    work = partial(_open, settings, jobs, output)
    outcomes: Iterable[Outcome]
    if jobs > 1:
        from likeness.cli.workers import Shared

        outcomes = Shared(work, photos, jobs, _given_up)
    else:
        outcomes = map(work(), photos)
    for outcome in progress(outcomes, count=len(photos)):
        summary.add(outcome)
    return summary.report(settings.out)


def _open(settings: Reconstruct, processes: int, output: Output) -> Work:
    """The work on one photo, with a reconstructor of its own; so many processes do it."""
    return Work(_reconstructor(settings, processes), output)


def _reconstructor(settings: Reconstruct, processes: int = 1, auto_views: int = 1) -> Reconstructor:
    """What reconstructs, on all threads where one process does all the work."""
    from likeness.reconstruct.reconstructor import Reconstructor

    threads = settings.threads if processes == 1 else settings.threads or 1
    return Reconstructor(**_options(settings, auto_views), threads=threads)


def _options(settings: Reconstruct, auto_views: int = 1) -> dict[str, Any]:
    """What a reconstructor is opened with, but for its threads."""
    return {
        "model": settings.model,
        "network": settings.network,
        "yunet_model": settings.yunet,
        "min_score": settings.min_score,
        "views": auto_views if settings.views == "auto" else settings.views,
        "precision": settings.precision,
        "points": None if settings.points is None else str(settings.points),
        "mediapipe": settings.mediapipe,
    }


def _tables(settings: Reconstruct) -> int:
    """Tables of every face of every photo; returns the exit code."""
    if settings.person or settings.people or settings.group:
        raise ValueError("expected no --person, --people or --group with tables (parquet)")
    if settings.threads not in (None, 1):
        raise ValueError("expected --jobs in place of --threads: for tables every process has one thread")
    if settings.normal_map:
        raise ValueError("expected no --normal-map with tables (parquet)")
    if Path("-") in settings.photos:
        raise ValueError("expected files, folders, tars or URLs for tables, got stdin")
    from likeness.cli.tables import Tables, reconstruct_tables

    archive = reconstruct_tables(
        Tables(
            settings.photos,
            settings.out,
            _options(settings),
            [one for one in settings.formats if one != "parquet"],
            settings.max_faces,
            settings.engine == "ray",
            settings.jobs,
            settings.overwrite,
            _texture_size(settings),
        )
    )
    summary = Summary()
    for line in archive.lines():
        summary.add(Outcome(line.name, line.faces, line.error, line.note))
    add_to_run(archive.tables)
    return summary.report(settings.out)


def _given_up(photo: Any) -> Outcome:
    """Of a photo with which processes ended."""
    error = FileError(photo, "the processes that worked on it were ended by the system; it may need too much memory")
    return Outcome(str(photo), error=str(error))


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
    places: dict[Any, Any] = {}
    for one in found:  # each once, however it is spelled
        places.setdefault(os.path.abspath(one) if isinstance(one, Path) else one, one)
    return tuple(places.values())


def _texture_size(settings: Reconstruct) -> int | None:
    return None if settings.texture == "none" else int(settings.texture)

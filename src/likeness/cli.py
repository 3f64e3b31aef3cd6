"""The command line: parse, call, print. Exit code 0: all went well; 2: some input could not be used."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from likeness import LikenessError, __version__

Format = Literal["glb", "obj", "json", "png"]


@dataclass
class Reconstruct:
    """Photographs in, rigged 3D heads out: NAME.glb, NAME.obj, NAME.json and NAME.png for every face."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Photo files: JPEG, PNG, WebP, TIFF or BMP."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
    formats: tuple[Format, ...] = ("glb", "obj", "json", "png")
    """Which files to write."""
    max_faces: int | None = None
    """Keep only the best faces of each photo."""
    min_score: float = 0.5
    """Drop faces that the network believes less in (0 to 1)."""
    model: Path | None = None
    """Another face model (.npz) than the embedded one."""
    network: Path | None = None
    """Another regressor (.onnx) than the embedded one."""
    yunet: Path | None = None
    """The file of OpenCV's YuNet face detector, used instead of the embedded Haar cascades."""
    threads: int | None = None
    """CPU threads of the network."""


@dataclass
class Info:
    """What a face model file holds."""

    file: Annotated[Path, tyro.conf.Positional]


@dataclass
class Summary:
    """What happened to a run's photos."""

    faces: int = 0
    without: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command ``likeness``."""
    given = sys.argv[1:] if arguments is None else arguments
    if given in (["--version"], ["-V"]):
        print(f"likeness {__version__}")
        return
    command: Any = tyro.extras.subcommand_cli_from_dict(
        {"reconstruct": Reconstruct, "model-info": Info}, prog="likeness", args=given, description=__doc__
    )
    try:
        code = reconstruct(command) if isinstance(command, Reconstruct) else model_info(command)
    except (LikenessError, ValueError) as error:
        print(f"likeness: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("likeness: stopped; what was written stays", file=sys.stderr)
        code = 130
    if code:
        sys.exit(code)


def reconstruct(settings: Reconstruct) -> int:
    """Run ``likeness reconstruct``; returns the exit code."""
    if not settings.photos:
        raise ValueError("expected at least one photo")
    _check_writable(settings.out)
    from likeness.predict import Reconstructor

    reconstructor = Reconstructor(
        settings.model,
        settings.network,
        yunet_model=settings.yunet,
        min_score=settings.min_score,
        threads=settings.threads,
    )
    summary = Summary()
    names = _Names()
    for photo in _progress(settings.photos):
        try:
            faces = reconstructor(photo, max_faces=settings.max_faces)
            if not faces:
                summary.without.append(str(photo))
                print(f"likeness: {photo}: no face found", file=sys.stderr)
            for number, face in enumerate(faces):
                face.save(settings.out, settings.formats, names.of(photo, number))
            summary.faces += len(faces)
        except LikenessError as error:
            summary.failed.append(str(photo))
            print(f"likeness: {error}", file=sys.stderr)
    return _report(summary, settings)


def _report(summary: Summary, settings: Reconstruct) -> int:
    photos = len(settings.photos)
    parts = [
        f"{summary.faces} face{'s' * (summary.faces != 1)} in {photos} photo{'s' * (photos != 1)} -> {settings.out}"
    ]
    if summary.without:
        parts.append(f"{len(summary.without)} without a face")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    print(", ".join(parts))
    return 2 if summary.failed or summary.without else 0


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


class _Names:
    """Names of result files: the photo's, with a number where a photo has more faces or two photos share a name."""

    def __init__(self) -> None:
        self._taken: dict[str, Path] = {}

    def of(self, photo: Path, number: int) -> str:
        base = photo.stem if number == 0 else f"{photo.stem}-{number + 1}"
        name, tries = base, 1
        while self._taken.get(name, photo) != photo:
            tries += 1
            name = f"{base}_{tries}"
        self._taken[name] = photo
        return name


def _progress(photos: tuple[Path, ...]) -> Any:
    """A progress bar for many photos; rich is imported only then, it costs start-up time."""
    if len(photos) < 3 or not sys.stderr.isatty():
        return photos
    from rich.console import Console
    from rich.progress import track

    return track(photos, description="photos", console=Console(stderr=True))


def _check_writable(folder: Path) -> None:
    """Say before the work, not after it, that the results could not be written."""
    import os
    import tempfile

    from likeness.errors import FileError

    if folder.exists() and not folder.is_dir():
        raise FileError(folder, "is a file; expected a folder for the results")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder)
    except OSError as error:
        raise FileError(folder, f"cannot be written to ({error.strerror}); expected a writable folder") from error
    os.close(descriptor)
    os.unlink(name)


def model_info(settings: Info) -> int:
    """Run ``likeness model-info``."""
    from likeness.face_model import FaceModel

    model = FaceModel.load(settings.file)
    topology = model.topology
    rows = {
        "name": model.name,
        "identity": f"{len(model.identity_basis)} modes, {model.space.name} space",
        "expression": f"{len(model.expression_basis)} blendshapes",
        "albedo": f"{len(model.albedo_basis)} maps",
        "vertices": str(len(model.mean)),
        "triangles": f"{len(topology.triangles)} ({len(topology.quads)} quadrilaterals)",
        "regions": ", ".join(f"{name} {int(mask.sum())}" for name, mask in topology.regions.items()),
    }
    for key, value in rows.items():
        print(f"{key:11} {value}")
    return 0


if __name__ == "__main__":
    main()

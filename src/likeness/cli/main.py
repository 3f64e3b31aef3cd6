"""The command line: parse, call, print. Exit code 0: all went well; 2: some input could not be used."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from likeness.arguments import MaybeInt, MaybePath
from likeness.cli.fit import Fit
from likeness.cli.train import Train, describe_recipe
from likeness.cli.training import train
from likeness.errors import LikenessError, MissingExtraError, as_file_error, printable
from likeness.evaluate.settings import Evaluate
from likeness.files import check_writable
from likeness.geometry.units import Unit
from likeness.result_folder import ResultFolder, ResultNames, Source
from likeness.version import __version__

if TYPE_CHECKING:
    from likeness.model.face_model import FaceModel

Format = Literal["glb", "obj", "json", "png"]
ScanFormat = Literal["obj", "ply", "json", "png"]


@dataclass
class Reconstruct:
    """Photographs in, rigged 3D heads out: NAME.glb, NAME.obj, NAME.json and NAME.png for every face."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Photo files: JPEG, PNG, WebP, TIFF or BMP."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
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
    """The file of OpenCV's YuNet face detector, used instead of the embedded face finder."""
    threads: MaybeInt = None
    """CPU threads of the network."""
    overwrite: bool = False
    """Replace files in the folder that are no earlier results of the same photo, too."""


@dataclass
class Register:
    """Raw scans in, heads of one topology out: NAME.obj, NAME.json and NAME.png for every scan."""

    scans: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Triangle meshes (.obj, .ply, .stl, .glb) in any units and pose, with holes, hair and shoulders."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
    landmarks: tuple[Path, ...] = ()
    """A text file per scan, in their order: 51 (or 68) iBUG points on the scan, one "x y z" per line. Without, they
    are found by looking at the scan from all sides."""
    units: Annotated[Unit | None, tyro.conf.arg(metavar="m|cm|mm|inch")] = None
    """The scans' unit; without, it is guessed from the faces' size."""
    formats: tuple[ScanFormat, ...] = ("obj", "json", "png")
    """Which files to write."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    network: MaybePath = None
    """Another regressor (.onnx), for the landmarks, than the embedded one."""
    overwrite: bool = False
    """Replace files in the folder that are no earlier results of the same scan, too."""


@dataclass
class Convert:
    """Any face model (BFM, FLAME, ICT, eos, FaceVerse, FaceScape) to likeness's own .npz."""

    source: Annotated[Path, tyro.conf.Positional]
    """The model's file, or the folder of the ICT release."""
    target: Annotated[Path, tyro.conf.Positional]
    """The .npz to write."""
    blendshapes: MaybePath = None
    """Expressions in a file of their own: eos's .bin, or Exp_Pca.bin for BFM 2009."""
    landmarks: MaybePath = None
    """The 68 iBUG points: one of eos's mapping files, or a list of vertices."""
    contours: MaybePath = None
    """eos's contours (.json), for mappings without the points of the jaw line."""
    overwrite: bool = False
    """Replace the target even if it was not written by this command from the same source."""


@dataclass
class Info:
    """What a face model of any format holds."""

    file: Annotated[Path, tyro.conf.Positional]


@dataclass
class Models:
    """Face models: convert other people's, look into a file."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Convert, tyro.conf.subcommand("convert")] | Annotated[Info, tyro.conf.subcommand("info")]
    ]


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
    commands: dict[str, tuple[Any, Any]] = {
        "reconstruct": (Reconstruct, reconstruct),
        "fit": (Fit, fit),
        "register": (Register, register),
        "train": (Train, train),
        "evaluate": (Evaluate, evaluate),
        "models": (Models, models),
    }
    describe_recipe(given)
    command: Any = tyro.extras.subcommand_cli_from_dict(
        {name: kind for name, (kind, _) in commands.items()},
        prog="likeness",
        args=given,
        description="Photographs in, rigged 3D heads out; and the face models and measurements behind them.",
        config=(tyro.conf.OmitArgPrefixes,),
    )
    run = next(run for kind, run in commands.values() if isinstance(command, kind))
    _print_anything()
    try:
        code = run(command)
    except (LikenessError, ValueError) as error:
        print(f"likeness: {printable(str(error))}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("likeness: stopped; what was written stays", file=sys.stderr)
        code = 130
    if code:
        sys.exit(code)


def _print_anything() -> None:
    """A terminal or pipe that cannot show a character gets its number: no message may end what it tells of."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def reconstruct(settings: Reconstruct) -> int:
    """Run ``likeness reconstruct``; returns the exit code."""
    if not settings.photos:
        raise ValueError("expected at least one photo")
    check_writable(settings.out)
    from likeness.reconstruct.reconstructor import Reconstructor

    reconstructor = Reconstructor(
        settings.model,
        settings.network,
        yunet_model=settings.yunet,
        min_score=settings.min_score,
        threads=settings.threads,
    )
    summary = Summary()
    names = ResultNames(ResultFolder(settings.out, "reconstruct"), settings.photos)
    for photo in _progress(settings.photos):
        try:
            faces = reconstructor(photo, max_faces=settings.max_faces)
            if not faces:
                summary.without.append(str(photo))
                print(f"likeness: {printable(photo)}: no face found", file=sys.stderr)
            for number, face in enumerate(faces):
                name = names.of(face.source, number)
                face.save(settings.out, settings.formats, name, overwrite=settings.overwrite)
            names.remove_from(Source.of(photo), len(faces))
            summary.faces += len(faces)
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a photo does, the others are done
            summary.failed.append(str(photo))
            print(f"likeness: {as_file_error(photo, error)}", file=sys.stderr)
    return _report(summary, settings)


def _report(summary: Summary, settings: Reconstruct) -> int:
    photos = len(settings.photos)
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


def fit(settings: Fit) -> int:
    """Run ``likeness fit``; returns the exit code."""
    from likeness.cli.fit import fit as fit_points

    check_writable(settings.out)
    return fit_points(settings, print, lambda line: print(f"likeness: {line}", file=sys.stderr))


def register(settings: Register) -> int:
    """Run ``likeness register``; returns the exit code."""
    scans, landmarks = settings.scans, settings.landmarks
    if not scans:
        raise ValueError("expected at least one scan")
    if landmarks and len(landmarks) != len(scans):
        raise ValueError(f"expected a landmark file for each of {len(scans)} scans, got {len(landmarks)}")
    check_writable(settings.out)
    from likeness.assets import asset
    from likeness.model.face_model import FaceModel
    from likeness.reconstruct.reconstructor import Reconstructor
    from likeness.register import register_scan

    model = FaceModel.load(asset("face_model.npz") if settings.model is None else settings.model)
    # A network belongs to a face model; the embedded one finds landmarks for any.
    own = None if settings.network is None else settings.model
    reconstructor = None if landmarks else Reconstructor(own, settings.network)
    names, failed = ResultNames(ResultFolder(settings.out, "register"), scans), 0
    for scan, points in zip(_progress(scans, "scans"), landmarks or (None,) * len(scans), strict=True):
        try:
            result = register_scan(scan, model, landmarks=points, units=settings.units, reconstructor=reconstructor)
            name = names.of(result.source)
            result.save(settings.out, settings.formats, name, overwrite=settings.overwrite)
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a scan does, the others are done
            failed += 1
            print(f"likeness: {as_file_error(scan, error)}", file=sys.stderr)
            continue
        quality = result.quality
        print(
            f"{printable(name)}: scan in {result.units}, face within {quality.scan_to_mesh_median:.2f} mm (median) "
            f"and {quality.scan_to_mesh_p95:.2f} mm (95 %), {quality.seconds:.1f} s"
        )
    print(f"{_counted(len(scans) - failed, 'head')} of {_counted(len(scans), 'scan')} -> {printable(settings.out)}")
    return 2 if failed else 0


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _progress(photos: tuple[Path, ...], what: str = "photos") -> Any:
    """A progress bar for many photos (or ``what``); rich is imported only then, it costs start-up time."""
    if len(photos) < 3 or not sys.stderr.isatty():
        return photos
    from rich.console import Console
    from rich.progress import track

    return track(photos, description=what, console=Console(stderr=True))


def evaluate(settings: Evaluate) -> int:
    """Run ``likeness evaluate``."""
    command = settings.action
    check_writable(command.out)
    from rich.console import Console

    from likeness.cli.terminal import closing_lines, progress_steps, rich_tables
    from likeness.evaluate.run import evaluate as run_evaluation

    with progress_steps(Console(stderr=True)) as steps:
        evaluation = run_evaluation(command, steps=steps)
    # A file or a pipe gets whole lines: numbers must not be folded to a width that nobody looks at.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(*rich_tables(evaluation.outcome), sep="\n")
    for line in closing_lines(evaluation):
        print(line)
    return 0


def models(settings: Models) -> int:
    """Run ``likeness models convert`` or ``likeness models info``."""
    from likeness.errors import FileError
    from likeness.model.formats import load_model

    action = settings.action
    if isinstance(action, Info):
        _describe(load_model(action.file))
        return 0
    if action.target.suffix != ".npz":
        raise FileError(action.target, "expected a name that ends in .npz")
    _converted(action).check(action.target.name, [action.target.name], Source.of(action.source))
    model = load_model(
        action.source, blendshapes=action.blendshapes, landmarks=action.landmarks, contours=action.contours
    )
    _write_model(action, model)
    _describe(model)
    print(f"{'written to':11} {printable(action.target)}")
    return 0


def _converted(action: Convert) -> ResultFolder:
    return ResultFolder(action.target.parent, "models convert", overwrite=action.overwrite)


def _write_model(action: Convert, model: FaceModel) -> None:
    name = action.target.name
    _converted(action).save(name, Source.of(action.source), lambda stage: model.save(stage / name))


def _describe(model: FaceModel) -> None:
    topology = model.topology
    names = ", ".join(model.expression_names[:6]) + (", ..." if len(model.expression_names) > 6 else "")
    rows = {
        "name": model.name,
        "identity": f"{len(model.identity_basis)} modes, {model.space.name} space",
        "expression": f"{len(model.expression_basis)} blendshapes" + f" ({names})" * bool(names),
        "albedo": f"{len(model.albedo_basis)} maps",
        "vertices": str(len(model.mean)),
        "triangles": f"{len(topology.triangles)} ({len(topology.quads)} quadrilaterals)",
        "landmarks": "none" if topology.landmarks is None else "68 iBUG points",
        "regions": ", ".join(f"{name} {int(mask.sum())}" for name, mask in topology.regions.items()) or "none",
    }
    for key, value in rows.items():
        print(f"{key:11} {value}")


if __name__ == "__main__":
    main()

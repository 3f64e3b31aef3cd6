"""The command line: parse, call, print. Exit code 0: all went well; 2: some input could not be used."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from likeness.arguments import MaybePath
from likeness.cli.batches import progress
from likeness.cli.fit import Fit
from likeness.cli.models import Models, models
from likeness.cli.reconstruct import Reconstruct, reconstruct
from likeness.cli.serve import Serve, serve
from likeness.cli.streams import lasting_streams
from likeness.cli.train import Train, describe_recipe
from likeness.cli.training import train
from likeness.errors import FileWarning, LikenessError, MissingExtraError, as_file_error, is_out_of_memory, printable
from likeness.evaluate.settings import Evaluate
from likeness.files import check_writable
from likeness.geometry.units import Unit
from likeness.result_folder import ResultFolder, ResultNames
from likeness.version import __version__

ScanFormat = Literal["obj", "ply", "glb", "json", "png"]


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
    """Which files to write; glb has the model's blendshapes."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    network: MaybePath = None
    """Another regressor (.onnx), for the landmarks, than the embedded one."""
    overwrite: bool = False
    """Replace files in the folder that are no earlier results of the same scan, too."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command ``likeness``."""
    given = sys.argv[1:] if arguments is None else arguments
    with lasting_streams() as lost:
        if given in (["--version"], ["-V"]):
            print(f"likeness {__version__}")
            return
        code = _exit_code(*_parsed(given))
    if lost:
        print(f"likeness: what was printed is not all there ({lost[0]})", file=sys.stderr)
        code = code or 2
    if code:
        sys.exit(code)


def _parsed(given: list[str]) -> tuple[Callable[[Any], int], Any]:
    """What to run, and its settings; SystemExit where they cannot be understood, or help is asked for."""
    commands: dict[str, tuple[Any, Any]] = {
        "reconstruct": (Reconstruct, reconstruct),
        "fit": (Fit, fit),
        "register": (Register, register),
        "train": (Train, train),
        "evaluate": (Evaluate, evaluate),
        "models": (Models, models),
        "serve": (Serve, serve),
    }
    describe_recipe(given)
    command: Any = tyro.extras.subcommand_cli_from_dict(
        {name: kind for name, (kind, _) in commands.items()},
        prog="likeness",
        args=given,
        description="Photographs in, rigged 3D heads out; and the face models and measurements behind them.",
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return next(run for kind, run in commands.values() if isinstance(command, kind)), command


def _exit_code(run: Callable[[Any], int], command: Any) -> int:
    """Run a command; what ends it early is a line."""
    try:
        with _defects_told():
            return run(command)
    except KeyboardInterrupt:
        print("likeness: stopped; what was written stays", file=sys.stderr)
        return 130
    except (LikenessError, ValueError) as error:
        message = printable(str(error))
    except Exception as error:
        if not (isinstance(error, OSError) or is_out_of_memory(error)):
            raise
        message = as_file_error("this machine", error).reason
    print(f"likeness: {message}", file=sys.stderr)
    return 2


@contextmanager
def _defects_told() -> Iterator[None]:
    """A line for each file of which something was left out, in place of Python's two with a line of code."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", FileWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, FileWarning):
                print(f"likeness: {message}", file=sys.stderr)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


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
    for scan, points in zip(progress(scans, "scans"), landmarks or (None,) * len(scans), strict=True):
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


def evaluate(settings: Evaluate) -> int:
    """Run ``likeness evaluate``."""
    command = settings.action
    check_writable(command.out)
    from rich.console import Console

    from likeness.cli.display import display
    from likeness.cli.terminal import closing_lines, rich_tables
    from likeness.evaluate.run import evaluate as run_evaluation

    with display(lines=False) as steps:
        evaluation = run_evaluation(command, steps=steps)
    # A file or a pipe gets whole lines: numbers must not be folded to a width that nobody looks at.
    console = Console(width=None if sys.stdout.isatty() else 200)
    for line in evaluation.read:
        print(line)
    console.print(*rich_tables(evaluation.outcome), sep="\n")
    for line in closing_lines(evaluation):
        print(line)
    return 0


if __name__ == "__main__":
    main()

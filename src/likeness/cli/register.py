"""The command `likeness register`: raw scans in, heads of one topology out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from likeness.arguments import MaybePath
from likeness.cli.batches import progress
from likeness.cli.output import add_result, complain
from likeness.errors import MissingExtraError, as_file_error, printable
from likeness.files import check_writable
from likeness.geometry.units import Unit
from likeness.result_folder import ResultFolder
from likeness.result_names import ResultNames

if TYPE_CHECKING:
    from likeness.register.result import Registration

ScanFormat = Literal["obj", "ply", "glb", "json", "png"]


@dataclass
class Register:
    """Raw scans in, heads of one topology out: NAME.obj, NAME.glb, NAME.json and NAME.png for every scan."""

    scans: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Triangle meshes (.obj, .ply, .stl, .glb) in any units and pose, with holes, hair and shoulders."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
    landmarks: tuple[Path, ...] = ()
    """A text file per scan, in their order: 51 (or 68) iBUG points on the scan, one "x y z" per line. Without, they
    are found by looking at the scan from all sides."""
    units: Annotated[Unit | None, tyro.conf.arg(metavar="m|cm|mm|inch")] = None
    """The scans' unit; without, it is guessed from the faces' size."""
    formats: tuple[ScanFormat, ...] = ("obj", "glb", "json", "png")
    """Which files to write; glb is the whole head with blendshapes and joints, 2.4 MB."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    network: MaybePath = None
    """Another regressor (.onnx), for the landmarks, than the embedded one."""
    overwrite: bool = False
    """Replace files in the folder that are no earlier results of the same scan, too."""


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
            files = result.save(settings.out, settings.formats, name, overwrite=settings.overwrite)
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a scan does, the others are done
            failed += 1
            told = as_file_error(scan, error)
            add_result(scan, error=told)
            complain(told)
            continue
        _tell(scan, name, result, files)
    print(f"{_counted(len(scans) - failed, 'head')} of {_counted(len(scans), 'scan')} -> {printable(settings.out)}")
    return 2 if failed else 0


def _tell(scan: Path, name: str, result: Registration, files: dict[str, Path]) -> None:
    quality = result.quality
    print(
        f"{printable(name)}: scan in {result.units}, face within {quality.scan_to_mesh_median:.2f} mm (median) "
        f"and {quality.scan_to_mesh_p95:.2f} mm (95 %), {quality.seconds:.1f} s"
    )
    figures = {
        "name": printable(name),
        "units": result.units,
        "median_mm": quality.scan_to_mesh_median,
        "p95_mm": quality.scan_to_mesh_p95,
        "seconds": quality.seconds,
    }
    add_result(scan, files=files.values(), figures=figures)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"

"""The command `likeness models`: other people's face models converted, looked into, and people moved between them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from likeness.arguments import MaybePath
from likeness.errors import FileError, MissingExtraError, as_file_error, printable
from likeness.result_folder import ResultFolder, ResultNames, Source

if TYPE_CHECKING:
    from likeness.model.face_model import FaceModel
    from likeness.register.coefficients import Correspondence, Transferred

TransferFormat = Literal["obj", "glb", "ply", "json"]

MESHES = (".obj", ".ply", ".glb", ".stl")
DRAWN = 20
"""People drawn from the first model's prior where no file says whom to move."""

UNIT_SLACK = 0.2
"""How far the decimal logarithm of a mesh's size against its model's may be from a whole number: a face is up to 1.6
times as large as another, units differ by 10 or 1000."""


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
    """The 68 iBUG points: one of eos's mapping files, a list of vertices, or FLAME's landmark_embedding.npy."""
    contours: MaybePath = None
    """eos's contours (.json), for mappings without the points of the jaw line."""
    masks: MaybePath = None
    """FLAME's FLAME_masks.pkl, whose masks become regions; without, that beside the model."""
    overwrite: bool = False
    """Replace the target even if it was not written by this command from the same source."""


@dataclass
class Info:
    """What a face model of any format holds."""

    file: Annotated[Path, tyro.conf.Positional]


@dataclass
class Transfer:
    """People of face model A as people of face model B: codes and meshes of A in, codes and meshes of B out."""

    source: Annotated[Path, tyro.conf.Positional]
    """Model A, in any format."""
    target: Annotated[Path, tyro.conf.Positional]
    """Model B, in any format."""
    people: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Codes of A (.json of reconstruct, fit, register or this command; .npz with "identity" (N, K) and, if known,
    "expression" (N, E)) or meshes of A's vertices (.obj, .ply, .glb) in any axes. Without, twenty people drawn from A
    tell how well B can be them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
    formats: tuple[TransferFormat, ...] = ("obj", "json")
    """Which files to write for each person; for an .npz of codes it is an .npz."""
    overwrite: bool = False
    """Replace files in the folder that are no earlier results of the same file, too."""


@dataclass
class Models:
    """Face models: convert other people's, look into a file, move people from one to another."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Convert, tyro.conf.subcommand("convert")]
        | Annotated[Info, tyro.conf.subcommand("info")]
        | Annotated[Transfer, tyro.conf.subcommand("transfer")]
    ]


def models(settings: Models) -> int:
    """Run ``likeness models convert``, ``info`` or ``transfer``; returns the exit code."""
    from likeness.model.formats import load_model

    action = settings.action
    if isinstance(action, Transfer):
        return _transfer(action)
    if isinstance(action, Info):
        _describe(load_model(action.file))
        return 0
    if action.target.suffix != ".npz":
        raise FileError(action.target, "expected a name that ends in .npz")
    _converted(action).check(action.target.name, [action.target.name], Source.of(action.source))
    model = load_model(
        action.source,
        blendshapes=action.blendshapes,
        landmarks=action.landmarks,
        contours=action.contours,
        masks=action.masks,
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


def _transfer(settings: Transfer) -> int:
    from likeness.model.formats import load_model
    from likeness.register import Correspondence

    source, target = load_model(settings.source), load_model(settings.target)
    pairs = Correspondence.between(source, target)
    print(f"{source.name} -> {target.name}: {len(pairs.weights)} points in common ({pairs.how})")
    if not settings.people:
        _drawn(source, target, pairs)
        return 0
    results = ResultFolder(settings.out, "models transfer", overwrite=settings.overwrite)
    names, failed = ResultNames(results, settings.people), 0
    for path in settings.people:
        try:
            print(_moved(settings, path, source, target, pairs, results, names))
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a file does, the others are done
            failed += 1
            _complain(str(as_file_error(path, error)))
    return 2 if failed else 0


def _complain(line: str) -> None:
    import sys

    print(f"likeness: {line}", file=sys.stderr)


def _drawn(source: FaceModel, target: FaceModel, pairs: Correspondence) -> None:
    """Print how well the target can be people drawn from the source's prior."""
    from likeness.register.coefficients import transfer_shape

    people = source.space.sample(DRAWN, np.random.default_rng(0))
    errors = [transfer_shape(target, pairs, shape, shape).rms for shape in source.vertices(people)]
    mean = transfer_shape(target, pairs, source.mean, source.mean).rms
    print(f"the mean: {mean:.2f} mm RMS; {DRAWN} people drawn from {source.name}: {np.mean(errors):.2f} mm RMS")


def _moved(
    settings: Transfer,
    path: Path,
    source: FaceModel,
    target: FaceModel,
    pairs: Correspondence,
    results: ResultFolder,
    names: ResultNames,
) -> str:
    """Move all people of one file, write them, and the line about it."""
    from likeness.register.coefficients import transfer_shape

    shapes, alone = _shapes(path, source)
    moved = [transfer_shape(target, pairs, *shape) for shape in shapes]
    origin = Source.of(path)
    name = names.of(origin)
    if alone:
        results.save(name, origin, lambda stage: _write_person(stage, name, settings.formats, moved[0], target))
        return f"{printable(name)}: {moved[0].rms:.2f} mm RMS"
    results.save(name, origin, lambda stage: _write_people(stage / f"{name}.npz", moved))
    rms = np.array([one.rms for one in moved])
    return f"{printable(name)}: {len(moved)} people, {rms.mean():.2f} mm RMS, at most {rms.max():.2f}"


def _shapes(path: Path, model: FaceModel) -> tuple[list[tuple[np.ndarray, np.ndarray | None]], bool]:
    """The shapes (V, 3) in a file, each with that at rest if it is known, and whether the file is of one person.

    Raises:
        FileError: nothing of the model's, or damaged.
    """
    if path.suffix.lower() in MESHES:
        return [(_mesh_vertices(path, model), None)], True
    identity, expression = _codes(path, model)
    alone = identity.ndim == 1
    rest = model.vertices(np.atleast_2d(identity))
    if expression is None:
        return [(shape, shape) for shape in rest], alone
    moved = model.vertices(np.atleast_2d(identity), np.atleast_2d(expression))
    return list(zip(moved, rest, strict=True)), alone


def _mesh_vertices(path: Path, model: FaceModel) -> np.ndarray:
    """A mesh's vertices in mm, whatever power of ten its unit is."""
    from likeness.geometry.similarity import similarity_from_points
    from likeness.mesh import Mesh

    vertices = Mesh.load(path).vertices.astype(np.float64)
    if vertices.shape != model.mean.shape:
        raise FileError(path, f"expected a mesh of {model.name}'s {len(model.mean)} vertices, got {len(vertices)}")
    scale = similarity_from_points(vertices, model.mean.astype(np.float64))[0]
    power = np.log10(scale) if scale > 0 else np.inf
    if not np.isfinite(power) or abs(power - round(power)) > UNIT_SLACK:
        raise FileError(
            path, f"expected a head of {model.name} in a decimal unit, got one {1 / scale:.3g} times as large"
        )
    return vertices * 10.0 ** round(power)


def _codes(path: Path, model: FaceModel) -> tuple[np.ndarray, np.ndarray | None]:
    """Identity (K,) or (N, K) and expression (E,) or (N, E) of a .json or .npz file.

    Raises:
        FileError: missing, damaged, or of another model.
    """
    from likeness.readers import read_json, read_npz

    if path.suffix.lower() == ".json":
        try:
            content = read_json(path, 'codes as "identity"')
            identity = np.array(content["identity"], np.float64)
            weights: Any = content.get("expression")
            if isinstance(weights, dict):
                weights = [float(weights.get(name, 0.0)) for name in model.expression_names]
            expression = None if weights is None else np.array(weights, np.float64)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise FileError(
                path, f'expected codes as "identity" ({type(error).__name__}: {str(error)[:80]})'
            ) from error
    elif path.suffix.lower() == ".npz":
        arrays = read_npz(path, 'codes as "identity"')
        if "identity" not in arrays:
            raise FileError(path, f'expected codes as "identity", got {", ".join(arrays)[:80] or "none"}')
        identity, expression = arrays["identity"], arrays.get("expression")
    else:
        raise FileError(path, f"expected codes (.json, .npz) or a mesh ({', '.join(MESHES)})")
    sizes = len(model.identity_basis), len(model.expression_basis)
    for what, values, size in (("identity", identity, sizes[0]), ("expression", expression, sizes[1])):
        if values is None:
            continue
        shape = (*identity.shape[:-1], size)
        if values.dtype.kind not in "fiu" or values.shape != shape or values.ndim not in (1, 2):
            raise FileError(path, f"expected {what} of {model.name} ({size}), got {values.dtype} {values.shape}")
        if not np.isfinite(values).all():
            raise FileError(path, f"expected finite {what}")
    return identity, expression


def _write_person(stage: Path, name: str, formats: tuple[str, ...], person: Transferred, model: FaceModel) -> None:
    from likeness.files import output_paths, write_atomically

    head = model.mesh(person.identity, person.expression)
    for format, path in output_paths(stage, name, formats, ("obj", "glb", "ply", "json")).items():
        if format != "json":
            head.save(path)
            continue
        weights = (round(float(weight), 5) for weight in person.expression)
        fields = {
            "model": model.name,
            "rms_mm": round(person.rms, 4),
            "model_from_source": person.model_from_source.to_dict(),
            "identity": np.round(person.identity.astype(np.float64), 5).tolist(),
            "expression": dict(zip(model.expression_names, weights, strict=True)),
        }
        write_atomically(path, (json.dumps(fields, indent=1) + "\n").encode())


def _write_people(path: Path, people: list[Transferred]) -> None:
    import io

    from likeness.files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        identity=np.stack([one.identity for one in people]),
        expression=np.stack([one.expression for one in people]),
        rms_mm=np.array([one.rms for one in people]),
    )
    write_atomically(path, buffer.getvalue())

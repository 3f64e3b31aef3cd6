"""What `likeness models transfer` does: people read, moved from one face model to another, and saved."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from likeness.cli.code_files import read_codes
from likeness.cli.output import add_result, add_to_run, complain
from likeness.errors import FileError, MissingExtraError, as_file_error, printable
from likeness.files import json_bytes, output_paths, write_atomically
from likeness.result_folder import ResultFolder, Source
from likeness.result_names import ResultNames

if TYPE_CHECKING:
    from likeness.cli.models import Transfer
    from likeness.model.face_model import FaceModel
    from likeness.register.coefficients import Correspondence, Transferred

MESHES = (".obj", ".ply", ".glb", ".stl")
DRAWN = 20
"""People drawn from the first model's prior where no file says whom to move."""

UNIT_SLACK = 0.2
"""How far the decimal logarithm of a mesh's size against its model's may be from a whole number: a face is up to 1.6
times as large as another, units differ by 10 or 1000."""


def transfer(settings: Transfer) -> int:
    """Run ``likeness models transfer``; returns the exit code."""
    from likeness.model.formats import load_model
    from likeness.register import Correspondence

    source, target = load_model(settings.source), load_model(settings.target)
    pairs = Correspondence.between(source, target)
    print(f"{source.name} -> {target.name}: {len(pairs.weights)} points in common ({pairs.how})")
    add_to_run(figures={"source": source.name, "target": target.name, "points": len(pairs.weights), "how": pairs.how})
    if not settings.people:
        _drawn(source, target, pairs)
        return 0
    results = ResultFolder(settings.out, "models transfer", overwrite=settings.overwrite)
    names, failed = ResultNames(results, settings.people), 0
    for path in settings.people:
        try:
            _move(settings, path, source, target, pairs, results, names)
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a file does, the others are done
            failed += 1
            told = as_file_error(path, error)
            add_result(path, error=told)
            complain(told)
    return 2 if failed else 0


def _drawn(source: FaceModel, target: FaceModel, pairs: Correspondence) -> None:
    """Print how well the target can be people drawn from the source's prior."""
    from likeness.register.coefficients import transfer_shape

    people = source.space.sample(DRAWN, np.random.default_rng(0))
    errors = [transfer_shape(target, pairs, shape, shape).rms for shape in source.vertices(people)]
    mean = transfer_shape(target, pairs, source.mean, source.mean).rms
    print(f"the mean: {mean:.2f} mm RMS; {DRAWN} people drawn from {source.name}: {np.mean(errors):.2f} mm RMS")
    add_to_run(figures={"mean_rms_mm": mean, "drawn": DRAWN, "drawn_rms_mm": np.mean(errors)})


def _move(
    settings: Transfer,
    path: Path,
    source: FaceModel,
    target: FaceModel,
    pairs: Correspondence,
    results: ResultFolder,
    names: ResultNames,
) -> None:
    """Move all people of one file, write them, and tell."""
    from likeness.register.coefficients import transfer_shape

    shapes, alone = _shapes(path, source)
    moved = [transfer_shape(target, pairs, *shape) for shape in shapes]
    origin = Source.of(path)
    name, rms = names.of(origin), np.array([one.rms for one in moved])
    if alone:
        files = results.save(
            name, origin, lambda stage: _write_person(stage, name, settings.formats, moved[0], target)
        )
        print(f"{printable(name)}: {moved[0].rms:.2f} mm RMS")
    else:
        files = results.save(name, origin, lambda stage: _write_people(stage / f"{name}.npz", moved))
        print(f"{printable(name)}: {len(moved)} people, {rms.mean():.2f} mm RMS, at most {rms.max():.2f}")
    figures = {"name": printable(name), "people": len(moved), "rms_mm": rms.mean(), "largest_rms_mm": rms.max()}
    add_result(path, files=files, figures=figures)


def _shapes(path: Path, model: FaceModel) -> tuple[list[tuple[np.ndarray, np.ndarray | None]], bool]:
    """The shapes (V, 3) in a file, each with that at rest if it is known, and whether the file is of one person.

    Raises:
        FileError: nothing of the model's, or damaged.
    """
    if path.suffix.lower() in MESHES:
        return [(_mesh_vertices(path, model), None)], True
    identity, expression = read_codes(path, model)
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


def _write_person(stage: Path, name: str, formats: tuple[str, ...], person: Transferred, model: FaceModel) -> None:
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
        write_atomically(path, json_bytes(fields))


def _write_people(path: Path, people: list[Transferred]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        identity=np.stack([one.identity for one in people]),
        expression=np.stack([one.expression for one in people]),
        rms_mm=np.array([one.rms for one in people]),
    )
    write_atomically(path, buffer.getvalue())

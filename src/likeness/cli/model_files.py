"""What `likeness models` does: other people's face models converted and looked into."""

from __future__ import annotations

from typing import Any

from likeness.cli.models import Convert, Info, Models, Transfer
from likeness.cli.output import add_result
from likeness.cli.transfer import transfer
from likeness.errors import FileError, printable
from likeness.model.face_model import FaceModel
from likeness.model.formats import load_model
from likeness.result_folder import ResultFolder, Source


def models(settings: Models) -> int:
    """Run ``likeness models convert``, ``info`` or ``transfer``; returns the exit code."""
    action = settings.action
    if isinstance(action, Transfer):
        return transfer(action)
    if isinstance(action, Info):
        add_result(action.file, figures=_describe(load_model(action.file)))
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
    add_result(action.source, files=[action.target], figures=_describe(model))
    print(f"{'written to':11} {printable(action.target)}")
    return 0


def _converted(action: Convert) -> ResultFolder:
    return ResultFolder(action.target.parent, "models convert", overwrite=action.overwrite)


def _write_model(action: Convert, model: FaceModel) -> None:
    name = action.target.name
    _converted(action).save(name, Source.of(action.source), lambda stage: model.save(stage / name))


def _describe(model: FaceModel) -> dict[str, Any]:
    """Print what a model holds, and give it as figures."""
    topology = model.topology
    names = ", ".join(model.expression_names[:6]) + (", ..." if len(model.expression_names) > 6 else "")
    regions = {name: int(mask.sum()) for name, mask in topology.regions.items()}
    rows = {
        "name": printable(model.name),
        "identity": f"{len(model.identity_basis)} modes, {model.space.name} space",
        "expression": f"{len(model.expression_basis)} blendshapes" + f" ({printable(names)})" * bool(names),
        "albedo": f"{len(model.albedo_basis)} maps",
        "vertices": str(len(model.mean)),
        "triangles": f"{len(topology.triangles)} ({len(topology.quads)} quadrilaterals)",
        "landmarks": "none" if topology.landmarks is None else "68 iBUG points",
        "regions": ", ".join(f"{printable(name)} {count}" for name, count in regions.items()) or "none",
    }
    for key, value in rows.items():
        print(f"{key:11} {value}")
    return {
        "name": printable(model.name),
        "space": model.space.name,
        "identity": len(model.identity_basis),
        "expression_names": [printable(name) for name in model.expression_names],
        "expression": len(model.expression_basis),
        "albedo": len(model.albedo_basis),
        "vertices": len(model.mean),
        "triangles": len(topology.triangles),
        "quads": len(topology.quads),
        "landmarks": 0 if topology.landmarks is None else 68,
        "regions": regions,
    }

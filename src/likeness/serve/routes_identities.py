"""``/v1/identities`` and ``/v1/model``: people who are made up, and the model that they are made of."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from likeness.mesh.assembly import Assembly
from likeness.model.face_model import FaceModel
from likeness.model.head import following, has_whole_head, head_glb, head_obj_files, whole_head
from likeness.serve.answers import MaybeSession, TheStudio, accepted
from likeness.serve.bodies import Adjust, Caricature, Identities, Mesh, Random, Walk
from likeness.serve.heads import MEDIA_TYPES, without_materials
from likeness.serve.problems import Problem
from likeness.serve.studio import Studio

router = APIRouter(prefix="/v1")

NUMBERS: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}}}}


@router.post("/identities/random", summary="Random people")
def random_people(body: Random, studio: TheStudio) -> Identities:
    """People drawn from the face model's population."""
    seed = secrets.randbits(63) if body.seed is None else body.seed
    return _identities(studio, studio.exploration.random(body.count, np.random.default_rng(seed)))


@router.post("/identities/walk", summary="From one person to another")
def walk(body: Walk, studio: TheStudio, session: MaybeSession) -> Identities:
    """People on the great circle from one to another (``likeness.model.exploration``)."""
    start, end = body.start.code(studio, session), body.end.code(studio, session)
    return _identities(studio, _checked(studio.exploration.walk, start, end, np.array(body.shares)))


@router.post("/identities/caricature", summary="More or less of a person")
def caricature(body: Caricature, studio: TheStudio, session: MaybeSession) -> Identities:
    """People on the great circle from the average head through a person, and beyond."""
    code = body.of.code(studio, session)
    return _identities(studio, _checked(studio.exploration.caricature, code, np.array(body.strengths)))


@router.post("/identities/adjust", summary="Set single directions of a person")
def adjust(body: Adjust, studio: TheStudio, session: MaybeSession) -> Identities:
    """A person with some directions of shape set, the others in their proportions."""
    code = _checked(studio.exploration.adjusted, body.of.code(studio, session), body.strengths)
    return _identities(studio, code[None])


@router.post(
    "/identities/mesh",
    summary="The head of a code",
    responses={200: {"content": {MEDIA_TYPES["glb"]: {}, MEDIA_TYPES["obj"]: {}}}},
)
def mesh(request: Request, body: Mesh, studio: TheStudio, session: MaybeSession) -> Response:
    """A head as GLB (whole, with all expressions), OBJ (whole) or JSON (vertices of the model's surface), as
    ``Accept`` says."""
    form, model = accepted(request, ("glb", "obj", "json")), studio.model
    code = np.asarray(body.of.code(studio, session), np.float32)
    unknown = set(body.expression) - set(model.expression_names)
    if unknown:
        raise Problem("bad-value", f"There is no expression called {sorted(unknown)[0][:60]!r}.")
    weights = np.array([body.expression.get(name, 0.0) for name in model.expression_names], np.float32)
    if form == "json":
        vertices = model.vertices(code, weights)
        return JSONResponse({"vertices": np.round(vertices.astype(np.float64), 4).tolist()})
    colours = np.zeros(len(model.albedo_names), np.float32)
    if form == "obj":
        data = without_materials(head_obj_files("head", model, model.mesh(code, albedo=colours), weights)["head.obj"])
    else:
        extras = {"model": model.name, "identity": np.round(code.astype(np.float64), 5).tolist()}
        data = head_glb(model, model.mesh(code, albedo=colours), weights, "head", extras)
    headers = {"Content-Disposition": f'attachment; filename="head.{form}"'}
    return Response(data, media_type=MEDIA_TYPES[form], headers=headers)


@router.get("/model", summary="The face model")
def read_model(studio: TheStudio) -> JSONResponse:
    """Its sizes, names, and by how many millimetres a deviation along each direction of shape moves the face."""
    model = studio.model
    return JSONResponse(
        {
            "name": model.name,
            "identity_space": model.identity_space,
            "vertices": len(model.mean),
            "directions": len(model.identity_basis),
            "expressions": list(model.expression_names),
            "millimetres": np.round(studio.exploration.millimetres, 4).tolist(),
        }
    )


@router.get("/model/basis", summary="The face model's shapes", responses=NUMBERS)
def read_basis(studio: TheStudio) -> Response:
    """Little-endian float32: the mean head (V, 3), then the identity basis (K, V, 3), mm. A head of a code ``c`` is
    ``mean + sum over k of c[k] basis[k]``; what the page moves heads with, without asking anew."""
    model = studio.model
    data = model.mean.astype("<f4").tobytes() + model.identity_basis.astype("<f4").tobytes()
    headers = {"Cache-Control": "private, max-age=3600"}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/model/whole", summary="Whole heads' shapes", responses=NUMBERS)
def read_whole(studio: TheStudio) -> Response:
    """As ``/v1/model/basis``, of whole heads: skin, mouth, eyes, teeth and tongue as in a head's ``pack``, (W, 3) and
    (K, W, 3); to first order, since eyes and teeth are placed by skin and lips."""
    model = studio.model
    if has_whole_head(model):
        mean: np.ndarray = _whole_mean(model).joined().vertices
        basis = following(model, model.identity_basis)
    else:
        mean, basis = model.mean, model.identity_basis
    data = mean.astype("<f4").tobytes() + basis.astype("<f4").tobytes()
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "private, max-age=3600"})


def _whole_mean(model: FaceModel) -> Assembly:
    return whole_head(model, model.mesh(np.zeros(len(model.identity_basis), np.float32)))


def _checked(explore: Callable[..., np.ndarray], *arguments: Any) -> np.ndarray:
    """What a walk gives; ValueError is what was asked of it."""
    try:
        return explore(*arguments)
    except ValueError as error:
        raise Problem("bad-value", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


def _identities(studio: Studio, codes: np.ndarray) -> Identities:
    exploration, metric = studio.exploration, studio.model.shape_metric
    strengths = np.stack([exploration.strengths(code) for code in codes])
    return Identities(
        identities=np.round(np.asarray(codes, np.float64), 5).tolist(),
        strengths=np.round(strengths, 4).tolist(),
        from_average_mm=np.round(metric.distance(codes, np.zeros_like(codes)), 4).tolist(),
    )

"""A head that is whole, built around a face model's: skin, the mouth's inside, eyes, teeth and tongue with joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.mesh import Mesh
from likeness.mesh.assembly import Assembly, Material, Part, vertex_colors
from likeness.model.face_model import FaceModel
from likeness.model.head.anatomy import Anatomy, anatomy_of
from likeness.model.head.closing import with_closed_neck
from likeness.model.head.eyes import Eyeball, eyeball_mesh, fitted_eyeball, gaze_shapes
from likeness.model.head.jaw import Jaw, fitted_jaw
from likeness.model.head.lids import fit_lids
from likeness.model.head.lips import closed_lips
from likeness.model.head.mouth import Mouth, mouth_of
from likeness.model.head.shapes import skin_shapes
from likeness.model.head.skeleton import EYE_LEFT, EYE_RIGHT, HEAD, JAW, follows, skeleton, skin_influence
from likeness.model.head.teeth import LOWER, UPPER, arch_mesh
from likeness.model.head.tongue import JAW_SHARE, tongue_mesh

IRIS = (0.075, 0.05, 0.035)
"""Linear reflectance of an iris of which nothing is known."""

FLESH, DEEP = (0.30, 0.09, 0.085), (0.03, 0.008, 0.008)
"""Linear reflectance of the mouth's inside behind the lips, and far back, where no light comes."""

DEEP_MM = 38.0
"""How far behind the lips that is."""

STILL_MM = 0.005
"""Displacements below this are none: they cost as much in a file as large ones."""


def whole_head(model: FaceModel, head: Mesh, iris: np.ndarray | None = None) -> Assembly:
    """The whole head of a person.

    Args:
        model: the face model.
        head: the person's head at rest in its topology, mm, with colours or a texture.
        iris: (3,) linear reflectance of the irises; None: as the head's colours have it (:func:`iris_color`).

    Returns:
        parts ``skin``, ``mouth`` (its inside), ``eyes``, ``teeth`` and ``tongue``, each with those of ARKit's
        shapes that move it, ``skin`` with all 52; joints ``root``, ``neck``, ``head``, ``jaw``, ``eyeLeft`` and
        ``eyeRight``. Skin and mouth are the model's vertices in their order, in two pieces; lips that are not quite
        closed are closed (:mod:`likeness.model.head.lips`).

    Raises:
        ValueError: another topology, or a model that does not know enough
            (:func:`likeness.model.head.has_whole_head`).
    """
    if head.vertices.shape != model.mean.shape:
        raise ValueError(f"expected a head of {len(model.mean)} vertices, got {len(head.vertices)}")
    anatomy = anatomy_of(model)
    rest = head.vertices.astype(np.float64)
    rest += closed_lips(model, anatomy, rest)
    head = head.with_vertices(rest.astype(np.float32))
    shapes = skin_shapes(model, anatomy)
    left, right = (fitted_eyeball(rest, lids) for lids in anatomy.lids)
    skin = model.topology.triangles[anatomy.skin[model.topology.triangles].all(1)]
    drawn_back = [
        fit_lids(rest, skin, eye, lids, shapes) for eye, lids in zip((left, right), anatomy.lids, strict=True)
    ]
    jaw, mouth = fitted_jaw(model, anatomy, rest), mouth_of(model, anatomy, rest)
    influence = skin_influence(model, anatomy, jaw.influence(rest, shapes["jawOpen"]))
    color = iris_color(model, head) if iris is None else np.asarray(iris, np.float64)
    parts = (
        *_skin(model, anatomy, head, shapes, influence),
        _eyes((left, right), drawn_back, color),
        _teeth(mouth, jaw),
        _tongue(mouth, jaw),
    )
    return Assembly(parts, skeleton(model, rest, jaw, (left, right)))


def iris_color(model: FaceModel, head: Mesh) -> np.ndarray:
    """(3,) linear reflectance of the irises that a head's colours or texture have: the mean of the vertices around
    the model's irises; :data:`IRIS` where the model knows none, or the head has no colours."""
    if "irisLight" not in model.albedo_names or (head.colors is None and head.texture is None):
        return np.asarray(IRIS)
    ring = np.abs(model.albedo_basis[model.albedo_names.index("irisLight")]).max(1) > 0
    if head.colors is not None:
        return np.asarray(linear_from_srgb(head.colors[ring]).mean(0), np.float64)
    return _painted_iris(model, head, ring)


def _painted_iris(model: FaceModel, head: Mesh, ring: np.ndarray) -> np.ndarray:
    """The same of a texture: between pupil and edge, half-way from the middle of the ring to each of its vertices."""
    triangles, uv_triangles = model.topology.triangles, model.topology.uv_triangles
    uv = np.zeros((len(head.vertices), 2))
    uv[triangles.ravel()] = model.topology.uv[uv_triangles.ravel()]
    found = []
    for side in (1.0, -1.0):
        mine = ring & (side * model.mean[:, 0] > 0)
        if mine.any():
            middle = uv[mine].mean(0)
            found += [middle + share * (uv[mine] - middle) for share in (0.55, 0.7)]
    places = np.concatenate(found)
    sampled = Mesh(
        np.zeros((len(places), 3)), np.repeat(np.arange(len(places))[:, None], 3, 1), uv=places, texture=head.texture
    )
    return np.asarray(np.median(linear_from_srgb(vertex_colors(sampled)), axis=0), np.float64)


def _skin(
    model: FaceModel, anatomy: Anatomy, head: Mesh, shapes: dict[str, np.ndarray], influence: np.ndarray
) -> tuple[Part, Part]:
    """The outside with a closed neck, and the mouth's inside."""
    triangles = model.topology.triangles
    outside, inside = surfaces(model, anatomy)
    skin, source = with_closed_neck(_piece(head, outside))
    rows = np.unique(triangles[outside])[source]
    cavity = np.unique(triangles[inside])
    depth = np.clip((head.vertices[cavity, 2].max() - head.vertices[cavity, 2]) / DEEP_MM, 0, 1)[:, None]
    colors = np.asarray(FLESH) * (np.asarray(DEEP) / FLESH) ** depth
    mouth = replace(_piece(head, inside), uv=None, uv_triangles=None, texture=None, colors=srgb_from_linear(colors))
    parts = []
    for name, mesh, used, roughness in (("skin", skin, rows, 0.55), ("mouth", mouth, cavity, 0.6)):
        own = {key: _steady(shape[used]) for key, shape in shapes.items()}
        if name != "skin":
            own = {key: shape for key, shape in own.items() if shape.any()}
        parts.append(Part(name, mesh, Material(name, roughness), own, influence[used]))
    return parts[0], parts[1]


def surfaces(model: FaceModel, anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Which of the model's triangles are skin, and which the mouth's inside: (F,) bool each."""
    triangles = model.topology.triangles
    inside = anatomy.cavity[triangles].any(1)
    return anatomy.skin[triangles].all(1) & ~inside, inside


def _piece(head: Mesh, kept: np.ndarray) -> Mesh:
    """The triangles (F,) bool of a mesh and their vertices, in their order."""
    triangles = head.triangles[kept]
    used = np.unique(triangles)
    uv, uv_triangles = head.uv, head.uv_triangles
    if uv is not None and uv_triangles is not None:
        corners = np.unique(uv_triangles[kept])
        uv, uv_triangles = uv[corners], np.searchsorted(corners, uv_triangles[kept])
    return Mesh(
        head.vertices[used],
        np.searchsorted(used, triangles),
        uv=uv,
        uv_triangles=uv_triangles,
        colors=None if head.colors is None else head.colors[used],
        texture=head.texture,
    )


def _eyes(eyes: tuple[Eyeball, Eyeball], drawn_back: list[float], iris: np.ndarray) -> Part:
    meshes = [eyeball_mesh(eye, iris) for eye in eyes]
    shapes = []
    for eye, mesh, back in zip(eyes, meshes, drawn_back, strict=True):
        moved = gaze_shapes(eye, mesh.vertices)
        if back:
            moved[f"eyeBlink{eye.side}"] = np.broadcast_to([0.0, 0.0, -back], mesh.vertices.shape)
        shapes.append(moved)
    count = len(meshes[0].vertices)
    influence = np.vstack([follows(count, EYE_LEFT), follows(count, EYE_RIGHT)])
    return Part("eyes", _joined(meshes), Material("eyes", 0.12), _joined_shapes(meshes, shapes), influence)


def _teeth(mouth: Mouth, jaw: Jaw) -> Part:
    meshes = [arch_mesh(mouth, arch) for arch in (UPPER, LOWER)]
    moved = jaw.shapes(meshes[1].vertices.astype(np.float64))
    moved["tongueOut"] = JAW_SHARE * moved["jawOpen"]
    influence = np.vstack(
        [follows(len(mesh.vertices), joint) for mesh, joint in zip(meshes, (HEAD, JAW), strict=True)]
    )
    return Part("teeth", _joined(meshes), Material("teeth", 0.35), _joined_shapes(meshes, [{}, moved]), influence)


def _tongue(mouth: Mouth, jaw: Jaw) -> Part:
    mesh, out = tongue_mesh(mouth)
    moved = {**jaw.shapes(mesh.vertices.astype(np.float64)), "tongueOut": out}
    shapes = {name: _steady(shape) for name, shape in moved.items()}
    return Part("tongue", mesh, Material("tongue", 0.42), shapes, follows(len(mesh.vertices), JAW))


def _joined(meshes: list[Mesh]) -> Mesh:
    """Coloured meshes with the same groups as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])[:-1]
    faces = np.cumsum([0, *(len(mesh.triangles) for mesh in meshes)])[:-1]
    names = dict.fromkeys(name for mesh in meshes for name in mesh.groups or {})
    groups = {
        name: np.concatenate(
            [mesh.groups[name] + face for mesh, face in zip(meshes, faces, strict=True) if mesh.groups]
        )
        for name in names
    }
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]),
        colors=np.concatenate([vertex_colors(mesh) for mesh in meshes]),
        groups=groups,
    )


def _joined_shapes(meshes: list[Mesh], shapes: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Shapes of meshes as those of all of them together."""
    names = dict.fromkeys(name for own in shapes for name in own)
    return {
        name: np.concatenate(
            [
                _steady(own[name]) if name in own else np.zeros(mesh.vertices.shape, np.float32)
                for mesh, own in zip(meshes, shapes, strict=True)
            ]
        )
        for name in names
    }


def _steady(shape: np.ndarray) -> np.ndarray:
    """Displacements (N, 3) float32 without those that nobody sees."""
    return np.where(np.linalg.norm(shape, axis=1, keepdims=True) < STILL_MM, 0, shape).astype(np.float32)

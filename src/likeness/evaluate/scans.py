"""Scans and the shapes that are measured against them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from likeness.datasets.identities import people_of, person_among, unique_names
from likeness.datasets.scan_landmark_files import LANDMARK_SUFFIXES, landmark_file, read_landmarks
from likeness.errors import Excluded, FileError, LikenessError, StrPath, printable
from likeness.evaluate.collection import Collection as Faces
from likeness.evaluate.inputs import MESH_SUFFIXES, read_vertex_numbers
from likeness.files import digest, file_digest
from likeness.geometry.landmarks import INNER_COUNT
from likeness.mesh import Mesh
from likeness.metrics.scan_landmarks import FaceLandmarks
from likeness.model.face_model import FaceModel

_MICC = re.compile(r"(?:^|/)(?P<person>[^/]+)/Model/(?P<scan>[^/]+)/")

HIDDEN_REGIONS = ("eyes", "mouth")
"""Eyeballs and the inside of the mouth: no scan has them, so that measuring from mesh to scan leaves them out."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A face to measure.

    Args:
        name, identity: whose.
        load: the mesh and its landmarks; raises LikenessError or ValueError.
        signature: changes whenever the mesh or its landmarks do.
    """

    name: str
    identity: str
    load: Callable[[], tuple[Mesh, FaceLandmarks]]
    signature: str


@dataclass(frozen=True)
class Scan:
    """A person's scan: its file and the file of its landmarks."""

    path: Path
    landmarks: Path

    def load(self) -> tuple[Mesh, FaceLandmarks]:
        """Mesh and landmarks; raises FileError."""
        return Mesh.load(self.path), read_landmarks(self.landmarks)


def find_scans(folder: StrPath) -> tuple[dict[str, Scan], list[Excluded]]:
    """Identity -> scan, of ``IDENTITY.ply`` or ``IDENTITY/SCAN.ply`` with a landmark file of the same name
    (:func:`~likeness.datasets.scan_landmark_files.landmark_file`), or of the NoW challenge's or MICC's release as
    they lie (``scans`` beside ``scans_lmks_onlypp``; ``subject_01/Model/frontal1/obj``, the one that is taken).

    Raises:
        FileError: no such folder, no usable scan, or two scans of one person.
    """
    source = Path(folder)
    if not source.is_dir():
        raise FileError(folder, "no such folder; expected scans (IDENTITY.ply or IDENTITY/SCAN.ply)")
    scans: dict[str, Scan] = {}
    excluded = []
    files = [p for p in sorted(source.rglob("*")) if p.suffix.lower() in MESH_SUFFIXES and p.is_file()]
    names = [printable(path.relative_to(source).as_posix()) for path in files]
    for path, name, person in zip(files, names, people_of(names, lone_folder=True).identity, strict=True):
        micc = _MICC.search(name)
        identity = micc["person"] if micc else person or printable(path.stem)
        points = landmark_file(path)
        if micc and micc["scan"].lower() != "frontal1":
            excluded.append(Excluded(name, f"another scan of {identity}: frontal1 is taken"))
        elif points is None:
            excluded.append(Excluded(name, f"no landmarks beside it ({', '.join(LANDMARK_SUFFIXES)})"))
        elif identity in scans:
            raise FileError(path, f"expected one scan of {identity}, got {scans[identity].path.name} too")
        else:
            scans[identity] = Scan(path, points)
    if not scans:
        first = f"; the first: {excluded[0].item}: {excluded[0].reason}" if excluded else ""
        raise FileError(folder, f"expected scans (IDENTITY.ply or IDENTITY/SCAN.ply), found none{first}")
    return scans, excluded


def shapes_of_meshes(
    folder: StrPath, numbers: StrPath | None = None, people: Collection[str] = ()
) -> tuple[list[Shape], list[Excluded]]:
    """Meshes of another method, ``IDENTITY/NAME.obj``, with a landmark file each or the same vertices in all.

    Args:
        folder: of the meshes.
        numbers: text file of the landmarks' vertices; None: each mesh has a landmark file.
        people: of whom there are scans: any folder may be called like them.

    Raises:
        FileError: no such folder or no usable mesh.
    """
    source = Path(folder)
    if not source.is_dir():
        raise FileError(folder, "no such folder; expected meshes (IDENTITY/NAME.obj or .ply)")
    vertices = None if numbers is None else read_vertex_numbers(numbers)
    files = [p for p in sorted(source.rglob("*")) if p.suffix.lower() in MESH_SUFFIXES and p.is_file()]
    full = [printable(path.relative_to(source).as_posix()) for path in files]
    shapes, excluded = [], []
    told = people_of(full, lone_folder=True).identity
    for path, long, name, person in zip(files, full, unique_names(full), told, strict=True):
        identity, points = person_among(long, people, person or ""), landmark_file(path)
        if not identity or (vertices is None and points is None):
            missing = "no landmarks beside it (or give --mesh-landmarks)" if identity else "no folder of a person"
            excluded.append(Excluded(long, missing))
            continue
        try:
            beside = str(vertices.tolist()) if vertices is not None else file_digest(points or path)
            signature = f"{file_digest(path)} {beside}"
        except FileError as error:
            excluded.append(Excluded(long, error.reason))
            continue
        shapes.append(Shape(name, identity, partial(_load_mesh, path, points, vertices), signature))
    if not shapes:
        first = f"; the first: {excluded[0].item}: {excluded[0].reason}" if excluded else ""
        raise FileError(folder, f"expected meshes as IDENTITY/NAME.obj (or .ply), found none{first}")
    return shapes, excluded


def shapes_of_codes(collection: Faces, fuse: bool, covered: bool) -> list[Shape]:
    """Neutral shapes of a face model's codes: one a face, or one a person of the fused codes.

    Args:
        collection: with codes and a model that knows its landmarks.
        fuse: one shape a person.
        covered: leave out what no scan has (``HIDDEN_REGIONS``).

    Raises:
        ValueError: no face model, or one without landmarks.
    """
    model = collection.model
    if model is None or collection.codes is None:
        raise ValueError("expected a face model (--model) to measure the shapes of codes, got none")
    landmarks = model.landmark_map  # raises where there are none
    space = model.space
    codes = np.asarray(space.project(collection.codes), np.float64)
    entries = [(n, str(p), code) for n, p, code in zip(collection.names, collection.labels, codes, strict=True)]
    if fuse:
        people = sorted(set(map(str, collection.labels)))
        entries = [(p, p, np.asarray(space.fuse(codes[collection.labels == p]), np.float64)) for p in people]
    base = digest(
        model.mean.tobytes()
        + model.identity_basis.tobytes()
        + model.topology.triangles.tobytes()
        + landmarks.inner_vertices.tobytes()
    )
    return [
        Shape(name, person, partial(_load_code, model, code, covered), f"{base} {digest(code.tobytes())} {covered}")
        for name, person, code in entries
    ]


def _load_mesh(path: Path, points: Path | None, vertices: np.ndarray | None) -> tuple[Mesh, FaceLandmarks]:
    mesh = Mesh.load(path)
    if vertices is None:
        if points is None:
            raise LikenessError(f"{path}: no landmarks beside it")
        return mesh, read_landmarks(points)
    if vertices.max() >= len(mesh.vertices):
        raise FileError(path, f"has {len(mesh.vertices)} vertices; the landmarks name {vertices.max()}")
    return mesh, FaceLandmarks.from_points(mesh.vertices[vertices])


def _load_code(model: FaceModel, code: np.ndarray, covered: bool) -> tuple[Mesh, FaceLandmarks]:
    marks = FaceLandmarks.from_points(model.landmark_points(code)[:INNER_COUNT])
    mesh = Mesh(model.vertices(code), model.topology.triangles)
    if not covered:
        return mesh, marks
    hidden = np.zeros(len(mesh.vertices), bool)
    for name in HIDDEN_REGIONS:
        hidden |= model.topology.regions.get(name, hidden)
    return mesh.submesh(~hidden), marks

"""Registered meshes to learn a face model from, and their coordinates in a few hundred dimensions.

In the coordinates that :class:`Reduction` gives, Euclidean distance is root-mean-square vertex distance in mm, so
losses on shapes, and the smoothness and symmetry of a basis, cost hundreds of numbers a mesh instead of 3 V.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.datasets.listing import MAX_DAMAGED
from likeness.errors import FileError, LikenessError, StrPath, as_file_error, listed
from likeness.mesh import Mesh
from likeness.model.codes import importance
from likeness.model.face_model import FaceModel
from likeness.progress import Steps, unheard, watched
from likeness.readers import NpzArrays, read_table
from likeness.register import graph_laplacian

NEUTRAL = "neutral"
"""The expression label of a face at rest in ``table.csv``."""

PEOPLE, WITH_EXPRESSION = 3200, 4
"""People that are drawn of a face model's prior, and their meshes with an expression, besides the one at rest."""

DRAWN_AT_ONCE = 500

_ARRAYS = {"vertices": np.float32, "identity": np.int64, "weights": np.float32, "held_out": np.bool_}


@dataclass(frozen=True, eq=False)
class RegisteredMeshes:
    """Meshes of one topology with labels.

    Args:
        vertices: (N, V, 3) float32 mm, model axes.
        identity: (N,) int64 person.
        weights: (N, 52) ARKit weights; 0 at rest; a row of NaN where the expression's weights are not known.
        held_out: (N,) bool: never trained on. A person is held out as a whole.

    Raises:
        ValueError: arrays of other kinds or shapes, vertices that are not finite, or a person in both parts.
    """

    vertices: np.ndarray
    identity: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.vertices) if self.vertices.ndim == 3 else 0
        for name, kinds, tail in (
            ("vertices", "f", self.vertices.shape[1:]),
            ("identity", "iu", ()),
            ("weights", "f", self.weights.shape[1:2]),
            ("held_out", "b", ()),
        ):
            array = getattr(self, name)
            if array.dtype.kind not in kinds or array.shape != (count, *tail):
                raise ValueError(f"expected {name} of {count} meshes, got {array.dtype} {array.shape}")
        if not np.isfinite(self.vertices).all():
            raise ValueError("expected finite vertices")
        if set(self.identity[self.held_out]) & set(self.identity[~self.held_out]):
            raise ValueError("expected people that are held out as a whole, some are in both parts")

    @property
    def at_rest(self) -> np.ndarray:
        """(N,) bool: neutral faces."""
        return np.asarray((self.weights == 0).all(1))

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(np.unique(self.identity))

    def first_people(self, count: int) -> RegisteredMeshes:
        """The meshes of the first people by number, so many of those that are held out and so many of the others as
        the shares of both say.

        Raises:
            ValueError: fewer than two people.
        """
        if count < 2:
            raise ValueError(f"expected two people at least, got {count}")
        everyone, apart = np.unique(self.identity), np.unique(self.identity[self.held_out])
        held_out = min(len(apart), round(count * len(apart) / len(everyone)))
        others = np.setdiff1d(everyone, apart)[: count - held_out]
        return self.subset(np.isin(self.identity, np.concatenate([others, apart[:held_out]])))

    def subset(self, rows: np.ndarray) -> RegisteredMeshes:
        """The meshes of some rows, (n,) indices or (N,) bool."""
        return RegisteredMeshes(self.vertices[rows], self.identity[rows], self.weights[rows], self.held_out[rows])


def read_meshes(
    data: StrPath,
    template: FaceModel,
    *,
    people: int = PEOPLE,
    held_out: int = 300,
    seed: int = 0,
    watch: Steps = unheard,
) -> RegisteredMeshes:
    """Meshes to train on, from any of three kinds of data.

    - a folder with ``table.csv`` (columns ``file, identity, expression`` and, if you like, ``held_out`` 0 or 1) and
      the mesh files that it names, all in the template's topology, mm; expression ``neutral`` is a face at rest,
      ARKit names with a weight (``jawOpen:0.7 mouthSmileLeft:0.3``) are known weights, anything else is unknown;
    - an ``.npz`` with the arrays of :class:`RegisteredMeshes`;
    - a face model (``.npz``), from whose prior ``people`` people are drawn, at rest and with four expressions each; a
      fifth of them at most are held out.

    Raises:
        FileError: nothing of that kind, or something in it that cannot be used.
    """
    path = Path(data)
    if path.is_dir():
        return _from_folder(path, template, held_out, watch)
    if not path.is_file():
        raise FileError(path, "no such file or folder; expected registered meshes or a face model")
    found = NpzArrays(path, "registered meshes or a face model")
    if "vertices" not in found:
        return sample_meshes(FaceModel.load(path), template, people, min(held_out, people // 5), seed, watch)
    return _from_arrays(path, {name: found[name] for name in _ARRAYS}, template)


def drawn_people(size: int, budget: int) -> int:
    """How many people are drawn of a face model's prior for a training: a small one does not see the meshes of all
    :data:`PEOPLE`.

    Args:
        size: K; so many people are needed, and more that are held out.
        budget: meshes that are seen.
    """
    return min(PEOPLE, max(2 * size, 40, budget // (1 + WITH_EXPRESSION)))


def sample_meshes(
    model: FaceModel, template: FaceModel, people: int, held_out: int, seed: int, watch: Steps = unheard
) -> RegisteredMeshes:
    """People of a model's prior, each at rest and with four expressions; the last ``held_out`` are held out."""
    from likeness.train.generate.rendered import sample_expression

    if model.mean.shape != template.mean.shape:
        raise ValueError(f"expected a model of {len(template.mean)} vertices, {model.name!r} has {len(model.mean)}")
    rng = np.random.default_rng(seed)
    each = 1 + WITH_EXPRESSION
    codes = np.repeat(model.space.sample(people, rng), each, axis=0)
    weights = np.stack([sample_expression(rng, model.expression_names) for _ in range(len(codes))])
    weights[::each] = 0
    identity = np.repeat(np.arange(people), each)
    vertices = np.empty((len(codes), *model.mean.shape), np.float32)
    for start in range(0, len(codes), DRAWN_AT_ONCE):
        watch("drawing meshes", start, len(codes))
        some = slice(start, start + DRAWN_AT_ONCE)
        vertices[some] = model.vertices(codes[some], weights[some])
    watch("drawing meshes", len(codes), len(codes))
    return RegisteredMeshes(vertices, identity, weights, identity >= people - held_out)


def _from_arrays(path: Path, arrays: dict[str, np.ndarray], template: FaceModel) -> RegisteredMeshes:
    count, expressions = len(np.atleast_1d(arrays["vertices"])), len(template.expression_names)
    wanted = {
        "vertices": ((count, *template.mean.shape), "f"),
        "identity": ((count,), "iu"),
        "weights": ((count, expressions), "f"),
        "held_out": ((count,), "b"),
    }
    for name, (shape, kinds) in wanted.items():
        values = arrays[name]
        if values.shape != shape or values.dtype.kind not in kinds:
            raise FileError(path, f"expected {name} {shape} of the template, got {values.dtype} {values.shape}")
    if not np.isfinite(arrays["vertices"]).all() or np.isinf(arrays["weights"]).any():
        raise FileError(path, "expected vertices and weights of finite numbers (weights may be NaN)")
    try:
        return RegisteredMeshes(**{name: arrays[name].astype(kind, copy=False) for name, kind in _ARRAYS.items()})
    except ValueError as error:
        raise FileError(path, str(error)) from error


def _from_folder(folder: Path, template: FaceModel, held_out: int, watch: Steps = unheard) -> RegisteredMeshes:
    table = folder / "table.csv"
    rows = read_table(table, ("file", "identity", "expression"))
    people = {name: number for number, name in enumerate(sorted({row["identity"] for row in rows}))}
    identity = np.array([people[row["identity"]] for row in rows], np.int64)
    vertices = np.empty((len(rows), *template.mean.shape), np.float32)
    damaged: dict[int, LikenessError] = {}
    for number, row in enumerate(watched(rows, "reading meshes", watch)):
        try:
            vertices[number] = _vertices_of(folder / str(row["file"]), template)
        except Exception as error:  # whatever a mesh does, a few of many do not end the training
            damaged[number] = as_file_error(folder / str(row["file"]), error)
            if len(damaged) > MAX_DAMAGED * len(rows):
                raise next(iter(damaged.values())) from error
    if damaged:
        warnings.warn(f"left out, {len(damaged)} of {len(rows)}: {listed([*damaged.values()], 3)}", stacklevel=2)
        kept = [number for number in range(len(rows)) if number not in damaged]
        rows, identity, vertices = [rows[number] for number in kept], identity[kept], vertices[kept]
    weights = np.stack([_weights_of(row["expression"], template.expression_names) for row in rows])
    if "held_out" in rows[0]:
        apart = np.array([row["held_out"].strip() not in ("", "0") for row in rows])
    else:  # the last people by name, a tenth at most
        apart = identity >= len(people) - min(held_out, len(people) // 10)
    try:
        return RegisteredMeshes(vertices, identity, weights, apart)
    except ValueError as error:
        raise FileError(table, str(error)) from error


def _vertices_of(path: Path, template: FaceModel) -> np.ndarray:
    mesh = Mesh.load(path)
    if mesh.vertices.shape != template.mean.shape:
        raise FileError(path, f"expected {len(template.mean)} vertices, got {len(mesh.vertices)}")
    return mesh.vertices


def _weights_of(label: str, names: tuple[str, ...]) -> np.ndarray:
    """An expression's label -> its weights (52,); NaN if it does not say them."""
    weights = np.zeros(len(names), np.float32)
    if label.strip() in (NEUTRAL, ""):
        return weights
    for part in label.split():
        name, _, value = part.partition(":")
        try:
            weights[names.index(name)] = float(value)
        except ValueError:
            return np.full(len(names), np.nan, np.float32)
    return weights


@dataclass(frozen=True, eq=False)
class Reduction:
    """An isometry from weighted meshes to P coordinates, as good as P directions can be.

    Args:
        center: (V, 3) mm, where all coordinates are 0.
        directions: (P, 3 V) orthonormal rows over vertices scaled by ``root``.
        root: (V, 1) square roots of the vertex weights, which sum to 1.
    """

    center: np.ndarray
    directions: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, meshes: RegisteredMeshes, template: FaceModel, size: int, seed: int = 0) -> Reduction:
        """The ``size`` directions of most weighted variance, the span of the expression shapes kept whole.

        Found by a randomised range finder with two power iterations (Halko, Martinsson and Tropp 2011).
        """
        weights = importance(template.mean, template.topology.triangles, template.topology.regions)
        root = np.sqrt(weights / weights.sum())[:, None].astype(np.float32)
        center = meshes.vertices[meshes.at_rest].mean(0)
        flat = ((meshes.vertices - center) * root).reshape(len(meshes.vertices), -1)
        moves = (template.expression_basis * root).reshape(len(template.expression_basis), -1)
        start = np.random.default_rng(seed).standard_normal((size + 20, len(flat))).astype(np.float32)
        sketch = start @ flat
        for _ in range(2):
            sketch = np.linalg.qr(sketch.T)[0].T
            sketch = (sketch @ flat.T) @ flat
        found = np.linalg.qr(np.concatenate([moves, sketch]).T)[0].T
        inside = found @ flat.T
        values, vectors = np.linalg.eigh((inside @ inside.T).astype(np.float64))
        kept = vectors[:, ::-1][:, : min(size, len(values))].T.astype(np.float32) @ found
        whole = np.linalg.qr(np.concatenate([kept, moves]).T)[0].T
        return cls(center, whole.astype(np.float32), root)

    def reduce(self, vertices: np.ndarray) -> np.ndarray:
        """Meshes (..., V, 3) mm -> coordinates (..., P)."""
        return self.offsets(vertices - self.center)

    def offsets(self, fields: np.ndarray) -> np.ndarray:
        """Displacements (..., V, 3) mm -> their coordinates (..., P)."""
        scaled = (fields * self.root).astype(np.float32)
        return scaled.reshape(*fields.shape[:-2], -1) @ self.directions.T

    def expand(self, coordinates: np.ndarray) -> np.ndarray:
        """Coordinates (..., P) -> displacements (..., V, 3) mm."""
        flat = coordinates.astype(np.float32) @ self.directions
        return flat.reshape(*coordinates.shape[:-1], -1, 3) / self.root

    def roughness(self, triangles: np.ndarray) -> np.ndarray:
        """(P, P) matrix Q: ``d Q dᵀ`` is the mean squared graph Laplacian, mm², of the displacement of d (P,)."""
        laplacian: Any = graph_laplacian(triangles, len(self.root))
        fields = self.expand(np.eye(len(self.directions), dtype=np.float32))
        bent = np.stack([laplacian @ field for field in fields]).reshape(len(fields), -1)
        return np.asarray(bent @ bent.T / len(self.root), np.float32)

    def mirroring(self, mirror: np.ndarray) -> np.ndarray:
        """(P, P) matrix F: ``d F`` are the coordinates of the mirror image of the displacement of d (P,)."""
        fields = self.expand(np.eye(len(self.directions), dtype=np.float32))
        return np.asarray(self.offsets(fields[:, mirror] * np.array([-1, 1, 1], np.float32)), np.float32)

"""A mesh of a glTF file with its morph targets, written (glTF 2.0: 3.7.2 meshes)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from likeness.images.color import linear_from_srgb
from likeness.mesh.fields import MeshFields
from likeness.mesh.glb_content import INDICES, VERTICES, Content
from likeness.mesh.normals import vertex_normals
from likeness.mesh.seams import split_seams
from likeness.mesh.tangents import vertex_tangents

STILL = 1e-4
"""mm; a morph target leaves alone the vertices that it moves less (numerical noise of the model's arithmetic)."""

UNTURNED = 0.03
"""A morph target leaves alone normals that it turns by less, radians."""


def gltf_mesh(
    content: Content,
    mesh: MeshFields,
    shapes: Mapping[str, np.ndarray],
    weights: Sequence[float] | np.ndarray | None,
    name: str,
    *,
    material: int = 0,
    with_normals: bool = False,
    with_tangents: bool = False,
    influence: np.ndarray | None = None,
) -> dict[str, Any]:
    """A mesh's arrays put into the binary chunk, and its entry in ``meshes``.

    Args:
        content: the binary chunk.
        mesh: at least one triangle of three different corners.
        shapes: name -> (V, 3) displacements in mm.
        weights: (S,) default ones; None: zeros.
        name: of the mesh.
        material: its number.
        with_normals: give the targets normals too.
        with_tangents: give the vertices tangents, for a normal map.
        influence: (V, J) of joints; None: no skin.

    Raises:
        ValueError: no such triangles, shapes or weights of the wrong kind, or tangents of a mesh without a texture.
    """
    mesh = _drawn(mesh)
    source, triangles, uv = split_seams(mesh)
    index_type = np.uint16 if len(source) <= 65535 else np.uint32  # the type's largest value is reserved
    attributes = _attributes(content, mesh, source, uv)
    if with_tangents:
        attributes["TANGENT"] = _tangents(content, mesh, source, triangles, uv)
    if influence is not None:
        attributes |= _influence(content, influence[source])
    primitive: dict[str, Any] = {
        "attributes": attributes,
        "indices": content.add(triangles.reshape(-1, 1), INDICES, index_type),
        "material": material,
    }
    written: dict[str, Any] = {"name": name, "primitives": [primitive]}
    extras: dict[str, Any] = {}
    if shapes:
        checked = _checked(mesh, shapes)
        moved = {"POSITION": _add_targets(content, [shape * 1e-3 for shape in checked], STILL * 1e-3, source)}
        if with_normals:
            moved["NORMAL"] = _add_targets(content, _turned(mesh, checked), UNTURNED, source)
        primitive["targets"] = [
            {kind: accessors[row] for kind, accessors in moved.items()} for row in range(len(checked))
        ]
        written["weights"] = _weights(weights, len(shapes))
        extras["targetNames"] = list(shapes)
    elif weights is not None and len(weights):
        raise ValueError(f"expected no weights without shapes, got {len(weights)}")
    if len(source) > len(mesh.vertices):
        extras["seamSources"] = source[len(mesh.vertices) :].tolist()
    if extras:
        written["extras"] = extras
    return written


def _drawn(mesh: MeshFields) -> MeshFields:
    """The part of a mesh that a renderer uses: triangles of three different corners, uv of a texture."""
    is_whole = (mesh.triangles != np.roll(mesh.triangles, 1, axis=1)).all(axis=1)
    if not is_whole.any():
        raise ValueError(f"expected a mesh with triangles for a GLB file, got none among {len(is_whole)}")
    has_texture = mesh.texture is not None
    if is_whole.all() and (has_texture or mesh.uv is None):
        return mesh
    kept = mesh.uv_triangles[is_whole] if has_texture and mesh.uv_triangles is not None else None
    return replace(
        mesh,
        triangles=mesh.triangles[is_whole],
        uv=mesh.uv if has_texture else None,
        uv_triangles=kept,
        quads=None,
        groups=None,
    )


def _normals(mesh: MeshFields) -> np.ndarray:
    normals = vertex_normals(mesh.vertices.astype(np.float64), mesh.triangles)  # float32 overflows sooner
    lost = ~normals.any(axis=1)
    if lost.any():  # glTF allows unit vectors only
        normals[lost] = (0, 0, 1)
    return normals


def _attributes(content: Content, mesh: MeshFields, source: np.ndarray, uv: np.ndarray | None) -> dict[str, int]:
    """The accessors of what vertices carry; ``source`` (N,) numbers of the mesh's vertices, ``uv`` (N, 2)."""
    attributes = {
        "POSITION": content.add((mesh.vertices * 1e-3)[source], VERTICES, bounds=True),
        "NORMAL": content.add(_normals(mesh)[source], VERTICES),
    }
    if uv is not None:
        attributes["TEXCOORD_0"] = content.add(np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), VERTICES)
    if mesh.colors is not None and mesh.texture is None:
        attributes["COLOR_0"] = content.add(linear_from_srgb(mesh.colors)[source], VERTICES)
    return attributes


def _tangents(
    content: Content, mesh: MeshFields, source: np.ndarray, triangles: np.ndarray, uv: np.ndarray | None
) -> int:
    """The accessor of tangents; ``source``, ``triangles`` and ``uv`` as :func:`split_seams` gives them."""
    if uv is None:
        raise ValueError("expected a normal map on a mesh with a texture, got one on a mesh without")
    places = mesh.vertices.astype(np.float64)[source]
    return content.add(vertex_tangents(places, _normals(mesh)[source], triangles, uv), VERTICES)


def _influence(content: Content, influence: np.ndarray) -> dict[str, int]:
    """The accessors of joints and weights, (N, J) with at most four joints for each vertex."""
    order = np.argsort(-influence, axis=1, kind="stable")[:, :4]
    order = np.pad(order, ((0, 0), (0, 4 - order.shape[1])))
    weights = np.take_along_axis(influence, order, axis=1).astype(np.float64)
    weights[:, influence.shape[1] :] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    joints = np.where(weights > 0, order, 0)
    return {
        "JOINTS_0": content.add(joints, VERTICES, np.uint8),
        "WEIGHTS_0": content.add(weights, VERTICES),
    }


def _checked(mesh: MeshFields, shapes: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The displacements as arrays."""
    checked = []
    for name, displacement in shapes.items():
        shape = np.asarray(displacement)
        if shape.shape != mesh.vertices.shape or shape.dtype.kind not in "fiu":
            raise ValueError(
                f"expected shape {name!r} of numbers {mesh.vertices.shape}, got {shape.dtype} {shape.shape}"
            )
        if not np.isfinite(shape).all():
            raise ValueError(f"expected shape {name!r} to be finite, got values that are not")
        checked.append(shape)
    return checked


def _turned(mesh: MeshFields, shapes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(V, 3) of each shape: by how much normals change at weight 1."""
    rest = _normals(mesh)
    return [_normals(replace(mesh, vertices=mesh.vertices + shape)) - rest for shape in shapes]


def _add_targets(
    content: Content, displacements: Sequence[np.ndarray], still: float, source: np.ndarray
) -> list[int]:
    """The accessors of displacements (V, 3), 0 where they are below ``still``: sparse where that is smaller than
    N x 3 floats."""
    index_type = np.uint16 if len(source) <= 65535 else np.uint32
    accessors: list[int] = []
    sparse: list[tuple[int, np.ndarray, np.ndarray]] = []
    for shape in displacements:
        moves = np.abs(shape).max(axis=1) >= still
        moved = np.flatnonzero(moves[source])
        if len(moved) * (np.dtype(index_type).itemsize + 12) >= len(source) * 12:
            dense = np.where(moves[:, None], shape, 0)[source]
            accessors.append(content.add(dense, VERTICES, bounds=True))
            continue
        if not len(moved):
            moved = np.zeros(1, dtype=np.int64)  # a sparse accessor must hold something: a vertex that stays
        delta = shape[source[moved]].astype(np.float32) * moves[source[moved], None]
        low, high = delta.min(axis=0), delta.max(axis=0)
        if len(moved) < len(source):
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        content.accessors.append(
            {"componentType": 5126, "count": len(source), "type": "VEC3", "min": low.tolist(), "max": high.tolist()}
        )
        accessors.append(len(content.accessors) - 1)
        sparse.append((accessors[-1], moved, delta))
    content.add_sparse(sparse, index_type)
    return accessors


def _weights(weights: Sequence[float] | np.ndarray | None, count: int) -> list[float]:
    values = np.zeros(count) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ValueError(f"expected one finite weight per shape ({count}), got {values.tolist()}")
    return values.tolist()

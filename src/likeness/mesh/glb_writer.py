"""Binary glTF 2.0, written: one file that three.js, Blender and Unity open as an animatable head.

After the Khronos specification (glTF 2.0: 3.6 accessors and sparse accessors, 3.7.2.2 morph targets, 3.9 materials,
4.4 the GLB container). glTF's unit is the metre, so millimetres are divided by 1000; the axes are the package's own.
The reader is in `likeness.mesh.glb_reader` and offered here as `read_glb`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from likeness.errors import StrPath
from likeness.files import write_atomically
from likeness.geometry.quaternions import continuous_quaternions
from likeness.images.color import linear_from_srgb
from likeness.images.encode import jpeg_bytes, png_bytes
from likeness.mesh.animation import Animation
from likeness.mesh.fields import MeshFields
from likeness.mesh.glb_reader import read_glb
from likeness.mesh.normals import vertex_normals
from likeness.mesh.seams import split_seams

__all__ = ["glb_bytes", "read_glb", "write_glb"]

_STILL = 1e-4
"""mm; a morph target leaves alone the vertices that it moves less (numerical noise of the model's arithmetic)."""

_ROUGHNESS = 0.6
_VERTICES, _INDICES = 34962, 34963  # targets of buffer views: ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER
_COMPONENTS = {"float32": 5126, "uint32": 5125, "uint16": 5123}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_LINEAR, _LINEAR_MIPMAP_LINEAR = 9729, 9987  # texture filters


def write_glb(
    path: StrPath,
    mesh: MeshFields,
    shapes: Mapping[str, np.ndarray] | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
    name: str = "head",
    extras: Mapping[str, Any] | None = None,
    *,
    jpeg_quality: int | None = None,
    animation: Animation | None = None,
) -> None:
    """Write a GLB file with a mesh and its morph targets (blendshapes).

    Args:
        path: the file.
        mesh: at least one triangle of three different corners; others are left out. Vertex i of the mesh is vertex i
            of the file; copies that uv seams need follow after the last. Colours are written only without a texture
            (glTF would multiply them), uv only with one (nothing would use them).
        shapes: name -> (V, 3) displacements in mm at weight 1; in the file by these names
            (``mesh.extras.targetNames``) and in this order. Displacements under 0.0001 mm are dropped.
        weights: (S,) default weights of the targets; None: zeros.
        name: of the node and the mesh.
        extras: anything JSON can hold; the node's ``extras`` (three.js: userData, Blender: custom properties).
        jpeg_quality: 1..100: embed the texture as JPEG; None: as PNG, without loss.
        animation: how weights and place of the head change; its weights are those of ``shapes``.

    Raises:
        ValueError: no such triangles, or shapes, weights, animation or extras of the wrong kind.
        FileError: cannot be written; nothing is left half-written.
    """
    write_atomically(
        path, glb_bytes(mesh, shapes, weights, name, extras, jpeg_quality=jpeg_quality, animation=animation)
    )


def glb_bytes(
    mesh: MeshFields,
    shapes: Mapping[str, np.ndarray] | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
    name: str = "head",
    extras: Mapping[str, Any] | None = None,
    *,
    jpeg_quality: int | None = None,
    animation: Animation | None = None,
) -> bytes:
    """The content of the file that `write_glb` writes; same arguments."""
    mesh = _drawn(mesh)
    shapes = {} if shapes is None else shapes
    source, triangles, uv = split_seams(mesh)
    content = _Content(len(source))
    index_type = np.uint16 if len(source) <= 65535 else np.uint32  # the type's largest value is reserved
    primitive: dict[str, Any] = {
        "attributes": _attributes(content, mesh, source, uv),
        "indices": content.add(triangles.reshape(-1, 1), _INDICES, index_type),
        "material": 0,
    }
    gltf_mesh: dict[str, Any] = {"name": name, "primitives": [primitive]}
    mesh_extras: dict[str, Any] = {}
    if shapes:
        primitive["targets"] = [{"POSITION": i} for i in _add_targets(content, mesh, shapes, source, index_type)]
        gltf_mesh["weights"] = _weights(weights, len(shapes))
        mesh_extras["targetNames"] = list(shapes)
    elif weights is not None and len(weights):
        raise ValueError(f"expected no weights without shapes, got {len(weights)}")
    if len(source) > len(mesh.vertices):
        mesh_extras["seamSources"] = source[len(mesh.vertices) :].tolist()
    if mesh_extras:
        gltf_mesh["extras"] = mesh_extras
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "likeness"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [gltf_mesh],
        "materials": [_material()],
    }
    if extras:
        document["nodes"][0]["extras"] = extras
    if mesh.texture is not None:
        texture = png_bytes(mesh.texture) if jpeg_quality is None else jpeg_bytes(mesh.texture, jpeg_quality)
        _add_texture(content, document, texture, jpeg_quality is not None)
    if animation is not None:
        document["animations"] = [_animation(content, animation, len(shapes))]
    return content.container(document)


class _Content:
    """The binary chunk, and the accessors and buffer views that describe it."""

    def __init__(self, n_vertices: int) -> None:
        self.n_vertices = n_vertices
        self.parts: list[bytes] = []
        self.size = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes at a multiple of 4; the index of their buffer view."""
        self.views.append({"buffer": 0, "byteOffset": self.size, "byteLength": len(data)})
        if target is not None:
            self.views[-1]["target"] = target
        padded = data + b"\0" * (-len(data) % 4)
        self.parts.append(padded)
        self.size += len(padded)
        return len(self.views) - 1

    def add(self, rows: np.ndarray, target: int | None, kind: type = np.float32, *, bounds: bool = False) -> int:
        """Append an array (N, 1..4) as ``kind``; the index of its accessor."""
        stored = np.ascontiguousarray(rows, dtype=np.dtype(kind).newbyteorder("<"))
        accessor: dict[str, Any] = {
            "bufferView": self.view(stored.tobytes(), target),
            "componentType": _COMPONENTS[np.dtype(kind).name],
            "count": len(stored),
            "type": _TYPES[stored.shape[1]],
        }
        if bounds:
            accessor["min"], accessor["max"] = stored.min(axis=0).tolist(), stored.max(axis=0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_sparse(self, pieces: Sequence[tuple[int, np.ndarray, np.ndarray]], kind: type) -> None:
        """Fill in the accessors listed in ``pieces``: (accessor, moved vertices (M,), their displacements (M, 3) m).

        All share one buffer view of indices and one of values. Without a buffer view of its own a sparse accessor is
        zero wherever it says nothing.
        """
        if not pieces:
            return
        stored = np.dtype(kind).newbyteorder("<")
        indices = self.view(b"".join(moved.astype(stored).tobytes() for _, moved, _ in pieces))
        values = self.view(b"".join(delta.astype("<f4").tobytes() for _, _, delta in pieces))
        before = 0
        for accessor, moved, _ in pieces:
            self.accessors[accessor]["sparse"] = {
                "count": len(moved),
                "indices": {
                    "bufferView": indices,
                    "byteOffset": before * stored.itemsize,
                    "componentType": _COMPONENTS[np.dtype(kind).name],
                },
                "values": {"bufferView": values, "byteOffset": before * 12},
            }
            before += len(moved)

    def container(self, document: dict[str, Any]) -> bytes:
        """The GLB file: header, JSON chunk padded with spaces, binary chunk."""
        whole = {
            **document,
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": self.size}],
        }
        try:
            text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected extras and a name that JSON can hold, got others ({error})") from error
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self.size
        if total >= 2**32:
            raise ValueError(f"expected a mesh that fits into GLB's 4 GiB, got {total} bytes")
        head = struct.pack("<4sIII4s", b"glTF", 2, total, len(text), b"JSON")
        return b"".join([head, text, struct.pack("<I4s", self.size, b"BIN\0"), *self.parts])


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


def _attributes(content: _Content, mesh: MeshFields, source: np.ndarray, uv: np.ndarray | None) -> dict[str, int]:
    """The accessors of what vertices carry; ``source`` (N,) numbers of the mesh's vertices, ``uv`` (N, 2)."""
    attributes = {
        "POSITION": content.add((mesh.vertices * 1e-3)[source], _VERTICES, bounds=True),
        "NORMAL": content.add(_normals(mesh)[source], _VERTICES),
    }
    if uv is not None:
        attributes["TEXCOORD_0"] = content.add(np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), _VERTICES)
    if mesh.colors is not None and mesh.texture is None:
        attributes["COLOR_0"] = content.add(linear_from_srgb(mesh.colors)[source], _VERTICES)
    return attributes


def _add_targets(
    content: _Content, mesh: MeshFields, shapes: Mapping[str, np.ndarray], source: np.ndarray, index_type: type
) -> list[int]:
    """The accessors of the displacements: sparse where that is smaller than N x 3 floats."""
    accessors: list[int] = []
    sparse: list[tuple[int, np.ndarray, np.ndarray]] = []
    for name, displacement in shapes.items():
        shape = np.asarray(displacement)
        if shape.shape != mesh.vertices.shape or shape.dtype.kind not in "fiu":
            raise ValueError(
                f"expected shape {name!r} of numbers {mesh.vertices.shape}, got {shape.dtype} {shape.shape}"
            )
        moves = np.abs(shape).max(axis=1) >= _STILL
        if not np.isfinite(shape).all():
            raise ValueError(f"expected shape {name!r} to be finite, got values that are not")
        moved = np.flatnonzero(moves[source])
        if len(moved) * (np.dtype(index_type).itemsize + 12) >= len(source) * 12:
            dense = np.where(moves[:, None], shape * 1e-3, 0)[source]
            accessors.append(content.add(dense, _VERTICES, bounds=True))
            continue
        if not len(moved):
            moved = np.zeros(1, dtype=np.int64)  # a sparse accessor must hold something: a vertex that stays
        delta = (shape[source[moved]] * 1e-3).astype(np.float32) * moves[source[moved], None]
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


def _animation(content: _Content, animation: Animation, shapes: int) -> dict[str, Any]:
    """Samplers and channels (glTF 2.0, 3.11) of node 0, all linear over one array of times."""
    if np.shape(animation.weights)[1] != shapes:
        raise ValueError(f"expected an animation of {shapes} weights, got {np.shape(animation.weights)[1]}")
    outputs: list[tuple[str, np.ndarray]] = []
    if shapes:
        outputs.append(("weights", np.reshape(animation.weights, (-1, 1))))
    if animation.rotation is not None:
        outputs.append(("rotation", continuous_quaternions(animation.rotation)))
    if animation.translation is not None:
        outputs.append(("translation", np.asarray(animation.translation, np.float64) * 1e-3))
    if not outputs:
        raise ValueError("expected an animation of shapes or of the head's place, got neither")
    times = content.add(np.reshape(animation.times, (-1, 1)), None, bounds=True)
    return {
        "name": animation.name,
        "samplers": [
            {"input": times, "interpolation": "LINEAR", "output": content.add(rows, None)} for _, rows in outputs
        ],
        "channels": [
            {"sampler": number, "target": {"node": 0, "path": path}} for number, (path, _) in enumerate(outputs)
        ],
    }


def _material() -> dict[str, Any]:
    return {"name": "surface", "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": _ROUGHNESS}}


def _add_texture(content: _Content, document: dict[str, Any], image: bytes, is_jpeg: bool) -> None:
    mime = "image/jpeg" if is_jpeg else "image/png"
    document["images"] = [{"bufferView": content.view(image), "mimeType": mime}]
    document["samplers"] = [{"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR}]
    document["textures"] = [{"source": 0, "sampler": 0}]
    document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}

"""Binary glTF 2.0, read: our own files whole, other people's as far as a `Mesh` and morph targets can hold them."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.images.color import srgb_from_linear
from likeness.images.texture import decode_texture
from likeness.mesh.fields import MeshFields
from likeness.readers import read_json

_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_TRIANGLES = 4
_MAX_TARGETS, _MAX_MORPH_BYTES = 4096, 1 << 30  # a small file can claim any number of empty targets
_HARMLESS = ("KHR_materials_", "KHR_mesh_quantization", "KHR_lights_punctual", "KHR_animation_pointer", "KHR_xmp")
_MALFORMED = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, MemoryError),
    struct.error,
)


def read_glb(path: StrPath) -> tuple[MeshFields, dict[str, np.ndarray], np.ndarray]:
    """Read the first mesh of a GLB file's scene: all its triangle primitives, in the scene's coordinates.

    Kept: positions, triangles, first-set uv, COLOR_0, a base-colour image that all primitives share, position morph
    targets. Copies of vertices that `likeness.mesh.glb_writer.write_glb` made at uv seams are joined again. Materials
    beyond that, skins, animations and unknown extensions are ignored.

    Returns:
        mesh: millimetres (glTF's metres times 1000); sRGB colours.
        shapes: name -> (V, 3) displacements in mm, in the file's order; targets without a name are "target0" ...
        weights: (S,) the default weights.

    Raises:
        FileError: unreadable, damaged, without triangles, or with compressed or external geometry.
    """
    data = read_bytes(path)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found not to be finite
            return _read(path, _Document(path, data))
    except _MALFORMED as error:
        reason = " ".join(str(error).split())[:200]
        raise FileError(path, f"not a usable GLB file ({type(error).__name__}: {reason})") from error


class _Document:
    """The two chunks of a GLB file, with access that trusts neither."""

    def __init__(self, path: StrPath, data: bytes) -> None:
        if len(data) < 20 or data[:4] != b"glTF":
            raise FileError(path, "expected a GLB file (binary glTF), it does not begin like one")
        version, total, length = struct.unpack_from("<III", data, 4)
        if version != 2:
            raise FileError(path, f"expected glTF version 2, got {version}")
        if total > len(data) or 20 + length > total or data[16:20] != b"JSON":
            raise FileError(path, f"cut short or damaged: expected {total} bytes, got {len(data)}")
        self.json = read_json(path, "a GLB file's description", data[20 : 20 + length])
        self.binary = b""
        at = 20 + length
        if at + 8 <= total and data[at + 4 : at + 8] == b"BIN\0":
            size = struct.unpack_from("<I", data, at)[0]
            if at + 8 + size > total:
                raise FileError(path, f"cut short: expected {size} bytes of binary data, got {total - at - 8}")
            self.binary = data[at + 8 : at + 8 + size]
        required = self.json.get("extensionsRequired", [])
        unknown = [name for name in required if not str(name).startswith(_HARMLESS)]
        if unknown:
            raise FileError(
                path, f"expected a plain GLB file, got one that needs {', '.join(map(str, unknown))[:80]}"
            )

    def item(self, kind: str, index: object) -> dict[str, Any]:
        """``document[kind][index]``, an object; the index must be one."""
        items = self.json.get(kind, [])
        found = items[_whole(index)]
        if not isinstance(found, dict):
            raise ValueError(f"{kind} {index} is no object")
        return found

    def blob(self, index: object) -> memoryview:
        """The bytes of a buffer view, not copied."""
        view = self.item("bufferViews", index)
        if _whole(view["buffer"]) != 0 or "uri" in self.item("buffers", 0):
            raise ValueError("geometry outside the file is not supported")
        start, length = _whole(view.get("byteOffset", 0)), _whole(view["byteLength"])
        if start + length > len(self.binary):
            raise ValueError(f"buffer view {index} ends behind the data")
        return memoryview(self.binary)[start : start + length]

    def rows(self, index: object, offset: object, kind: object, width: int, count: int) -> np.ndarray:
        """(count, width) numbers from a buffer view, one row every byteStride."""
        blob, dtype = self.blob(index), np.dtype(_COMPONENTS[_whole(kind)])
        stride = _whole(self.item("bufferViews", index).get("byteStride", 0)) or dtype.itemsize * width
        start = _whole(offset)
        if count and start + stride * (count - 1) + dtype.itemsize * width > len(blob):
            raise ValueError(f"buffer view {index} is too short for {count} rows")
        return np.ndarray(
            (count, width), dtype, blob if count else b"", start if count else 0, (stride, dtype.itemsize)
        )

    def accessor(self, index: object, widths: tuple[int, ...], count: int | None = None) -> np.ndarray:
        """An accessor's rows; normalized integers as floats. ``count`` is demanded where the caller knows it."""
        spec = self.item("accessors", index)
        width, n = _WIDTHS[spec["type"]], _whole(spec["count"])
        if width not in widths or (count is not None and n != count):
            raise ValueError(f"accessor {index} is {n} x {spec['type']}, expected {count or 'any number'} of others")
        kind = spec["componentType"]
        if "bufferView" in spec:
            values = self.rows(spec["bufferView"], spec.get("byteOffset", 0), kind, width, n)
        elif count is None:  # zeros, of which a small file can claim any number
            raise ValueError(f"accessor {index} has no data")
        else:
            values = np.zeros((n, width), dtype=_COMPONENTS[_whole(kind)])
        if "sparse" in spec:
            sparse = spec["sparse"]
            some, where, what = _whole(sparse["count"]), sparse["indices"], sparse["values"]
            places = self.rows(where["bufferView"], where.get("byteOffset", 0), where["componentType"], 1, some)
            values = values.copy()
            values[places.ravel()] = self.rows(what["bufferView"], what.get("byteOffset", 0), kind, width, some)
        if not np.isfinite(values).all():
            raise ValueError(f"accessor {index} has numbers that are not finite")
        if spec.get("normalized") and values.dtype.kind in "iu":
            return np.maximum(values / np.iinfo(values.dtype).max, -1)
        return values


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a whole number, got {str(value)[:40]}")
    return value


def _read(path: StrPath, document: _Document) -> tuple[MeshFields, dict[str, np.ndarray], np.ndarray]:
    node, matrix = _first_node(document)
    gltf_mesh = document.item("meshes", node.get("mesh", 0))
    primitives = [p for p in gltf_mesh["primitives"] if p.get("mode", _TRIANGLES) == _TRIANGLES]
    if not primitives:
        raise FileError(path, "expected a GLB file with triangles, found none")
    n_targets = len(primitives[0].get("targets", []))
    blocks: dict[str, _Block] = {}
    triangles = []
    offset = 0
    for primitive in primitives:
        key = json.dumps([primitive["attributes"], primitive.get("targets")], sort_keys=True)
        if key not in blocks:
            blocks[key] = _Block(document, primitive, n_targets, offset)
            offset += len(blocks[key].positions)
        triangles.append(_triangles(document, primitive, blocks[key]))
    parts = list(blocks.values())
    linear = 1000 * matrix[:3, :3]
    vertices = np.concatenate([part.positions for part in parts]) @ linear.T + 1000 * matrix[:3, 3]
    faces = np.concatenate(triangles)
    if np.linalg.det(linear) < 0:
        faces = faces[:, ::-1]
    names = _target_names(gltf_mesh, n_targets)
    deltas = [np.concatenate([part.targets[i] for part in parts]) @ linear.T for i in range(n_targets)]
    shapes = {name: delta.astype(np.float32) for name, delta in zip(names, deltas, strict=True)}
    if not all(np.isfinite(shape).all() for shape in shapes.values()):
        raise ValueError("morph targets are not finite after the node's transform")
    weights = np.array(node.get("weights", gltf_mesh.get("weights", [0.0] * n_targets)), dtype=np.float64)
    if weights.shape != (n_targets,) or not np.isfinite(weights).all():
        raise ValueError(f"expected {n_targets} finite weights")
    uv = _joined([part.uv for part in parts])
    mesh = MeshFields(
        vertices.astype(np.float32),
        faces,
        uv=uv,
        colors=_joined([part.colors for part in parts]),
        texture=_texture(path, document, primitives) if uv is not None else None,
    )
    return *_join_seams(mesh, shapes, gltf_mesh.get("extras")), weights


class _Block:
    """The vertices of one primitive, or of several that share them; the first is number ``offset`` of the mesh."""

    def __init__(self, document: _Document, primitive: dict[str, Any], n_targets: int, offset: int) -> None:
        attributes = primitive["attributes"]
        self.offset = offset
        self.positions = document.accessor(attributes["POSITION"], (3,)).astype(np.float64)
        count = len(self.positions)
        self.uv: np.ndarray | None = None
        if "TEXCOORD_0" in attributes:
            self.uv = document.accessor(attributes["TEXCOORD_0"], (2,), count) * [1.0, -1.0] + [0.0, 1.0]
        self.colors: np.ndarray | None = None
        if "COLOR_0" in attributes:
            self.colors = srgb_from_linear(document.accessor(attributes["COLOR_0"], (3, 4), count)[:, :3])
        targets = primitive.get("targets", [])
        if n_targets > _MAX_TARGETS or n_targets * count * 12 > _MAX_MORPH_BYTES:
            raise ValueError(f"{n_targets} morph targets of {count} vertices are too many")
        if len(targets) != n_targets:
            raise ValueError(f"expected primitives of equally many morph targets, got {n_targets} and {len(targets)}")
        self.targets = [
            document.accessor(target["POSITION"], (3,), count) if "POSITION" in target else np.zeros((count, 3))
            for target in targets
        ]


def _triangles(document: _Document, primitive: dict[str, Any], block: _Block) -> np.ndarray:
    if "indices" in primitive:
        corners = document.accessor(primitive["indices"], (1,)).ravel().astype(np.int64)
    else:
        corners = np.arange(len(block.positions))
    if len(corners) % 3 or (len(corners) and corners.max() >= len(block.positions)):
        raise ValueError(f"expected triangles of vertices 0..{len(block.positions) - 1}, got others")
    return corners.reshape(-1, 3) + block.offset


def _first_node(document: _Document) -> tuple[dict[str, Any], np.ndarray]:
    """The scene's first node with a mesh, depth first, and its (4, 4) matrix in the scene."""
    if not document.json.get("nodes"):
        return {}, np.eye(4)
    scenes = document.json.get("scenes")
    scene = document.item("scenes", document.json.get("scene", 0)) if scenes else {}
    waiting = [(index, np.eye(4)) for index in reversed(scene.get("nodes", []) or [0])]
    seen: set[int] = set()
    while waiting:
        index, parent = waiting.pop()
        node = document.item("nodes", index)
        if index in seen:
            continue
        seen.add(index)
        matrix = parent @ _local_matrix(node)
        if not np.isfinite(matrix).all():
            raise ValueError(f"node {index} has a transform that is not finite")
        if "mesh" in node:
            return node, matrix
        waiting += [(child, matrix) for child in reversed(node.get("children", []))]
    raise ValueError("no node of the scene has a mesh")


def _local_matrix(node: dict[str, Any]) -> np.ndarray:
    """A node's transform: its matrix (column by column), or translation * rotation (x y z w) * scale."""
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    x, y, z, w = (float(value) for value in node.get("rotation", (0, 0, 0, 1)))
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), dtype=np.float64).reshape(3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), dtype=np.float64).reshape(3)
    return matrix


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present and len(present) == len(parts) else None


def _target_names(gltf_mesh: dict[str, Any], count: int) -> list[str]:
    extras = gltf_mesh.get("extras")
    names = extras.get("targetNames") if isinstance(extras, dict) else None
    if isinstance(names, list) and len(names) == count and len(set(map(str, names))) == count:
        return [str(name) for name in names]
    return [f"target{i}" for i in range(count)]


def _texture(path: StrPath, document: _Document, primitives: list[dict[str, Any]]) -> np.ndarray | None:
    """The base-colour image that all primitives share; None if there is none, several, or one outside the file."""
    images = set()
    for primitive in primitives:
        material = document.item("materials", primitive["material"]) if "material" in primitive else {}
        reference = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
        usable = reference is not None and reference.get("texCoord", 0) == 0
        images.add(document.item("textures", reference["index"]).get("source") if usable else None)
    image = images.pop() if len(images) == 1 else None
    if image is None or "bufferView" not in document.item("images", image):
        return None
    return decode_texture(path, bytes(document.blob(document.item("images", image)["bufferView"])))


def _join_seams(
    mesh: MeshFields, shapes: dict[str, np.ndarray], extras: object
) -> tuple[MeshFields, dict[str, np.ndarray]]:
    """Undoes the copies of vertices at uv seams that our writer appended and noted in the mesh's extras."""
    noted = extras.get("seamSources") if isinstance(extras, dict) else None
    count = len(mesh.vertices) - len(noted) if isinstance(noted, list) else 0
    if not noted or count <= 0 or mesh.uv is None or not all(type(i) is int and 0 <= i < count for i in noted):
        return mesh, shapes
    source = np.concatenate([np.arange(count), noted])
    moving = [mesh.vertices, *shapes.values()]
    if not all(np.array_equal(values, values[source]) for values in moving):  # edited since
        return mesh, shapes
    joined = MeshFields(
        mesh.vertices[:count],
        source[mesh.triangles],
        uv=mesh.uv,
        uv_triangles=mesh.triangles,
        colors=None if mesh.colors is None else mesh.colors[:count],
        texture=mesh.texture,
    )
    return joined, {name: values[:count] for name, values in shapes.items()}

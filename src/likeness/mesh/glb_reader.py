"""Binary glTF 2.0, read: our own files whole, other people's as far as a `Mesh` and morph targets can hold them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.images.color import srgb_from_linear
from likeness.mesh.defects import Defects, kept_vertices, reported, usable_colors, usable_fields
from likeness.mesh.fields import MeshFields
from likeness.mesh.glb_document import Document
from likeness.mesh.glb_primitive import Primitive, check_target_count, is_surface
from likeness.mesh.glb_scene import Placed, placed_meshes
from likeness.mesh.glb_texture import shared_texture

MALFORMED = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, MemoryError),
    struct.error,
)


def read_glb(path: StrPath) -> tuple[MeshFields, dict[str, np.ndarray], np.ndarray]:
    """Read all meshes of a GLB file's scene, joined into one, where the scene's nodes have them.

    Kept: triangles, strips and fans, in the scene's coordinates (skins at rest); uv, through KHR_texture_transform;
    COLOR_0, white where only some parts have it; a base-colour image that all parts share, WebP too; position morph
    targets, those of the same name in several meshes as one. Quantised, sparse and, with the ``meshes`` extra,
    Draco's and meshopt's packed geometry is understood. Copies of vertices that `likeness.mesh.glb_writer.write_glb`
    made at uv seams are joined again. Materials beyond that, animations and cameras are ignored.

    Left out with a :class:`likeness.FileWarning`: textures that cannot be read, or of which there are several; uv
    that only some parts have; colours that make no sense; vertices that are no numbers and that no face has.

    Returns:
        mesh: millimetres (glTF's metres times 1000); sRGB colours.
        shapes: name -> (V, 3) displacements in mm, in the file's order; targets without a name are "target0" ...
        weights: (S,) the default weights.

    Raises:
        FileError: unreadable, damaged, without triangles, with geometry outside the file or in an extension that is
            not understood; or packed by Draco or meshopt without the ``meshes`` extra, which it then names.
    """
    data = read_bytes(path)
    try:
        with (
            np.errstate(over="ignore", invalid="ignore"),
            reported(path) as defects,
        ):  # the checks find what overflows
            return _read(Document(path, data), defects)
    except MALFORMED as error:
        reason = " ".join(str(error).split())[:200]
        raise FileError(path, f"not a usable GLB file ({type(error).__name__}: {reason})") from error


@dataclass(frozen=True, eq=False)
class _Part:
    """A primitive's vertices where a node has them: mm, scene axes; the first is number ``offset`` of the whole."""

    primitive: Primitive
    offset: int
    vertices: np.ndarray
    deltas: dict[str, np.ndarray]


def _read(document: Document, defects: Defects) -> tuple[MeshFields, dict[str, np.ndarray], np.ndarray]:
    placed = placed_meshes(document)
    parts: list[_Part] = []
    triangles: list[np.ndarray] = []
    materials: list[dict[str, Any]] = []
    cache: dict[str, Primitive] = {}
    names = _Names()
    offset = face_count = 0
    for place in placed:
        spec = document.item("meshes", place.mesh)
        surfaces = [item for item in spec["primitives"] if is_surface(item)]
        if not surfaces:
            continue
        labels = names.of(place, spec, len(surfaces[0].get("targets", [])))
        here: dict[str, _Part] = {}
        for item in surfaces:
            key = Primitive.key(document, item)
            if key not in here:
                if key not in cache:
                    cache[key] = Primitive(document, item, len(labels))
                here[key] = _placed(cache[key], place, labels, offset)
                offset += len(here[key].vertices)
            triangles.append(_turned(here[key].primitive.triangles(document, item), place) + here[key].offset)
            face_count += len(triangles[-1])
            if max(offset, face_count) > document.most:
                raise ValueError(
                    f"nodes share meshes so often that there are more than {document.most} vertices or faces"
                )
            materials.append(document.item("materials", item["material"]) if "material" in item else {})
        parts += here.values()
    if not triangles:
        raise FileError(document.path, "expected a GLB file with triangles, found none")
    shapes = _shapes(parts, names, offset)
    vertices, faces = np.concatenate([part.vertices for part in parts]), np.concatenate(triangles)
    kept = kept_vertices(defects, vertices, faces)
    if kept is not None:
        shapes = {name: values[kept] for name, values in shapes.items()}
    if not all(np.isfinite(values).all() for values in shapes.values()):
        raise ValueError("morph targets are not finite after the node's transform")
    uv = _uv(defects, parts)
    mesh = usable_fields(
        defects,
        vertices,
        faces,
        uv=uv,
        colors=_colors(defects, parts),
        texture=None if uv is None else shared_texture(document, defects, materials),
    )
    extras = document.item("meshes", placed[0].mesh).get("extras") if len(placed) == 1 else None
    return *_join_seams(mesh, shapes, extras), names.weights()


class _Names:
    """The morph targets of all meshes: one of a name that several have."""

    def __init__(self) -> None:
        self._weights: dict[str, float] = {}
        self._nameless: dict[int, list[str]] = {}

    def of(self, place: Placed, spec: dict[str, Any], count: int) -> list[str]:
        """The names of a mesh's ``count`` targets."""
        extras = spec.get("extras")
        names = extras.get("targetNames") if isinstance(extras, dict) else None
        if not (isinstance(names, list) and len(names) == count and len(set(map(str, names))) == count):
            known = sum(map(len, self._nameless.values()))
            names = self._nameless.setdefault(place.mesh, [f"target{known + i}" for i in range(count)])
        weights = np.array(place.node.get("weights", spec.get("weights", [0.0] * count)), dtype=np.float64)
        if weights.shape != (count,) or not np.isfinite(weights).all():
            raise ValueError(f"expected {count} finite weights")
        for name, weight in zip(names, weights.tolist(), strict=True):
            self._weights.setdefault(str(name), weight)
        return [str(name) for name in names]

    def all(self) -> list[str]:
        """In the file's order."""
        return list(self._weights)

    def weights(self) -> np.ndarray:
        """(S,) default weights; where meshes differ, the first one's."""
        return np.array(list(self._weights.values()), dtype=np.float64)


def _placed(primitive: Primitive, place: Placed, labels: list[str], offset: int) -> _Part:
    matrices = primitive.skin_matrices(place.joints)
    matrix = place.matrix if matrices is None else matrices
    linear, shift = 1000 * matrix[..., :3, :3], 1000 * matrix[..., :3, 3]

    def turned(values: np.ndarray) -> np.ndarray:
        if linear.ndim == 2:
            return values @ linear.T
        return np.einsum("vij,vj->vi", linear, values)

    deltas = {
        name: turned(delta).astype(np.float32)
        for name, delta in zip(labels, primitive.targets, strict=True)
        if delta is not None
    }
    return _Part(primitive, offset, (turned(primitive.positions) + shift).astype(np.float32), deltas)


def _turned(triangles: np.ndarray, place: Placed) -> np.ndarray:
    """Triangles turned round where the node mirrors."""
    matrix = place.matrix if place.joints is None else place.joints[0]
    return triangles[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else triangles


def _shapes(parts: list[_Part], names: _Names, count: int) -> dict[str, np.ndarray]:
    check_target_count(len(names.all()), count)
    shapes = {name: np.zeros((count, 3), np.float32) for name in names.all()}
    for part in parts:
        for name, delta in part.deltas.items():
            shapes[name][part.offset : part.offset + len(delta)] = delta
    return shapes


def _uv(defects: Defects, parts: list[_Part]) -> np.ndarray | None:
    found = [part.primitive.uv for part in parts]
    present = [uv for uv in found if uv is not None]
    if present and len(present) < len(found):
        defects.add(f"no uv ({len(present)} of {len(found)} parts have some)")
    return np.concatenate(present) if present and len(present) == len(found) else None


def _colors(defects: Defects, parts: list[_Part]) -> np.ndarray | None:
    """sRGB colours; a part without is white where others have some, as glTF multiplies them."""
    if all(part.primitive.colors is None for part in parts):
        return None
    linear = [
        np.ones((len(part.vertices), 3)) if part.primitive.colors is None else part.primitive.colors for part in parts
    ]
    usable = usable_colors(defects, np.concatenate(linear))
    return None if usable is None else srgb_from_linear(usable)


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

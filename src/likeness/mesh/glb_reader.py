"""Binary glTF 2.0, read: our own files whole, other people's as far as a `Mesh` and morph targets can hold them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.mesh.defects import Defects, kept_vertices, reported, usable_fields
from likeness.mesh.fields import MeshFields
from likeness.mesh.glb_document import Document
from likeness.mesh.glb_paint import Surface, joined_paint
from likeness.mesh.glb_primitive import Primitive, check_target_count, is_surface
from likeness.mesh.glb_scene import Placed, placed_meshes

MALFORMED = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, MemoryError),
    struct.error,
)


def read_glb(path: StrPath) -> tuple[MeshFields, dict[str, np.ndarray], np.ndarray]:
    """Read all meshes of a GLB file's scene, joined into one, where the scene's nodes have them.

    Kept: triangles, strips and fans, in the scene's coordinates (skins at rest); uv, through KHR_texture_transform;
    COLOR_0, white where only some parts have it; a base-colour image that all parts share, WebP too (where they
    differ, the images' colours at the vertices, times base colours); position morph targets, those of the same name
    in several meshes as one. Quantised, sparse and, with the ``meshes`` extra,
    Draco's and meshopt's packed geometry is understood. Copies of vertices that `likeness.mesh.glb_writer.write_glb`
    made at uv seams are joined again. Materials beyond that, animations and cameras are ignored.

    Told with a :class:`likeness.FileWarning`: textures that became colours of vertices; and left out, textures that
    cannot be read; uv that only some parts have; colours that make no sense; vertices that are no numbers and that no
    face has.

    Returns:
        mesh: millimetres (glTF's metres times 1000); sRGB colours.
        shapes: name -> (V, 3) displacements in mm, in the file's order; targets without a name are "target0" ...
        weights: (S,) the default weights.

    Raises:
        FileError: unreadable, damaged, without triangles, with geometry outside the file or in an extension that is
            not understood; or packed by Draco or meshopt without the ``meshes`` extra, which it then names.
    """
    read = _read_file(path, False)
    return read.mesh, read.shapes, read.weights


@dataclass(frozen=True, eq=False)
class PartlyTextured:
    """Joined meshes of a file, of which a texture may cover a part.

    Args:
        mesh: mm; with a texture that covers only some triangles it has colours everywhere; uv of the others are 0.
        shapes: name -> (V, 3) displacements in mm.
        weights: (S,) the default weights.
        covered: (F,) bool, the triangles that the texture is for; None: all.
    """

    mesh: MeshFields
    shapes: dict[str, np.ndarray]
    weights: np.ndarray
    covered: np.ndarray | None


def read_partly_textured_glb(path: StrPath) -> PartlyTextured:
    """Read a GLB file as :func:`read_glb` does, with the texture that only some parts have, for who can draw it.

    Raises:
        FileError: as :func:`read_glb`.
    """
    return _read_file(path, True)


def _read_file(path: StrPath, keeps_part: bool) -> PartlyTextured:
    data = read_bytes(path)
    try:
        with (
            np.errstate(over="ignore", invalid="ignore"),
            reported(path) as defects,
        ):  # the checks find what overflows
            return _read(Document(path, data), defects, keeps_part)
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


def _read(document: Document, defects: Defects, keeps_part: bool) -> PartlyTextured:
    names = _Names()
    parts, surfaces, copies = _gathered(document, names)
    if not surfaces:
        raise FileError(document.path, "expected a GLB file with triangles, found none")
    count = sum(len(part.vertices) for part in parts)
    shapes = _shapes(parts, names, count)
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([surface.triangles for surface in surfaces])
    kept = kept_vertices(defects, vertices, faces)
    if kept is not None:
        shapes = {name: values[kept] for name, values in shapes.items()}
    if not all(np.isfinite(values).all() for values in shapes.values()):
        raise ValueError("morph targets are not finite after the node's transform")
    paint = joined_paint(document, defects, surfaces, count)
    mesh = usable_fields(defects, vertices, faces, uv=paint.uv, colors=paint.colors, texture=paint.texture)
    if kept is None:
        mesh, shapes = _join_seams(mesh, shapes, copies)
    covered = paint.covered if mesh.texture is not None else None
    if paint.mixed and not (keeps_part and covered is not None):
        defects.add(f"textures as colours of vertices ({paint.mixed})")
        if covered is not None:
            mesh, covered = _bare(mesh, surfaces), None
    return PartlyTextured(mesh, shapes, names.weights(), covered)


def _gathered(document: Document, names: _Names) -> tuple[list[_Part], list[Surface], list[tuple[_Part, object]]]:
    """What the scene has, and which parts are whole meshes, with the meshes' extras."""
    parts: list[_Part] = []
    surfaces: list[Surface] = []
    whole_meshes: list[tuple[_Part, object]] = []
    cache: dict[str, Primitive] = {}
    offset = face_count = 0
    for place in placed_meshes(document):
        spec = document.item("meshes", place.mesh)
        items = [item for item in spec["primitives"] if is_surface(item)]
        if not items:
            continue
        labels = names.of(place, spec, len(items[0].get("targets", [])))
        here: dict[str, _Part] = {}
        for item in items:
            key = Primitive.key(document, item)
            if key not in here:
                if key not in cache:
                    cache[key] = Primitive(document, item, len(labels))
                here[key] = _placed(cache[key], place, labels, offset)
                offset += len(here[key].vertices)
            part = here[key]
            triangles = _turned(part.primitive.triangles(document, item), place) + part.offset
            material = document.item("materials", item["material"]) if "material" in item else {}
            surfaces.append(Surface(part.primitive, part.offset, triangles, material))
            face_count += len(triangles)
            if max(offset, face_count) > document.most:
                raise ValueError(
                    f"nodes share meshes so often that there are more than {document.most} vertices or faces"
                )
        parts += here.values()
        if len(here) == 1:
            whole_meshes.append((next(iter(here.values())), spec.get("extras")))
    return parts, surfaces, whole_meshes


def _bare(mesh: MeshFields, surfaces: list[Surface]) -> MeshFields:
    """A mesh without its texture, and without uv if not all surfaces have some."""
    if all(surface.primitive.uv is not None for surface in surfaces):
        return replace(mesh, texture=None)
    return replace(mesh, uv=None, uv_triangles=None, texture=None)


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


def _join_seams(
    mesh: MeshFields, shapes: dict[str, np.ndarray], whole_meshes: list[tuple[_Part, object]]
) -> tuple[MeshFields, dict[str, np.ndarray]]:
    """Undoes the copies of vertices at uv seams that our writer appended and noted in the meshes' extras."""
    everything = np.arange(len(mesh.vertices))
    source = everything.copy()
    moving = [mesh.vertices, *shapes.values()]
    for part, extras in whole_meshes:
        noted = extras.get("seamSources") if isinstance(extras, dict) else None
        count = len(part.vertices) - len(noted) if isinstance(noted, list) else 0
        if not noted or count <= 0 or mesh.uv is None or not all(type(i) is int and 0 <= i < count for i in noted):
            continue
        copies = slice(part.offset + count, part.offset + len(part.vertices))
        originals = part.offset + np.array(noted)
        if all(np.array_equal(values[copies], values[originals]) for values in moving):  # not edited since
            source[copies] = originals
    kept = source == everything
    if kept.all():
        return mesh, shapes
    joined = MeshFields(
        mesh.vertices[kept],
        (np.cumsum(kept) - 1)[source[mesh.triangles]],
        uv=mesh.uv,
        uv_triangles=mesh.triangles,
        colors=None if mesh.colors is None else mesh.colors[kept],
        texture=mesh.texture,
    )
    return joined, {name: values[kept] for name, values in shapes.items()}

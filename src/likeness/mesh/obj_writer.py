"""Wavefront OBJ files out of meshes, with material and texture beside them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from likeness.errors import StrPath
from likeness.files import write_atomically
from likeness.images.encode import jpeg_bytes, png_bytes
from likeness.mesh.fields import MeshFields
from likeness.mesh.normals import vertex_normals
from likeness.mesh.polygons import polygon_corners, polygons

JPEG_QUALITY = 93
"""Of textures that are stored as JPEG: a fifth of a PNG's size, and no difference to be seen."""


FIRST = "# likeness, millimetres\n"
"""The first line of our files."""


def write_obj(path: StrPath, mesh: MeshFields, *, image: str | None = None) -> None:
    """Write a Wavefront OBJ file: quads as quads, uv, normals, vertex colours and groups.

    A texture is written beside it as NAME.png or under the name of ``image`` (ending in .png, or in .jpg: JPEG of
    quality :data:`JPEG_QUALITY`), its material as NAME.mtl; what a line cannot hold of these names becomes "_".
    Numbers have 9 digits, so single precision comes back exactly; colours have 5. White space in a group's name
    becomes "_"; a quad belongs to the groups of its first triangle.

    Raises:
        FileError: cannot be written; the OBJ file comes last, so it never names files that are not there.
    """
    target = Path(path)
    for name, data in obj_files(target.stem, mesh, image=image, suffix=target.suffix).items():
        write_atomically(target.with_name(name), data)


def obj_files(
    stem: str,
    mesh: MeshFields,
    *,
    image: str | None = None,
    suffix: str = ".obj",
    normal_map: np.ndarray | None = None,
) -> dict[str, bytes]:
    """What :func:`write_obj` writes: the files' names -> their content, the OBJ file last; the normal map (H, W, 3)
    uint8 of a mesh with a texture (:class:`likeness.mesh.assembly.Material`) becomes NAME-normal.png."""
    files: dict[str, bytes] = {}
    text = [FIRST]
    if mesh.texture is not None:
        beside = referable(stem)
        material = "_".join(beside.split())
        image = f"{beside}.png" if image is None else referable(image)
        files[image] = image_bytes(mesh.texture, image)
        properties = f"newmtl {material}\nKd 1 1 1\nKs 0 0 0\nmap_Kd {image}\n"
        if normal_map is not None:
            properties += normal_map_lines(files, beside, normal_map)
        files[f"{beside}.mtl"] = properties.encode(errors="surrogateescape")
        text.append(f"mtllib {beside}.mtl\nusemtl {material}\n")
    text += [vertex_lines(mesh), face_lines(mesh)]
    return {**files, f"{stem}{suffix}": "".join(text).encode(errors="surrogateescape")}


def normal_map_lines(files: dict[str, bytes], stem: str, normal_map: np.ndarray) -> str:
    """Put a normal map (H, W, 3) uint8 to the files, and what a material says of it: ``norm`` for who knows it, and
    ``map_Bump``, which Blender takes for a normal map."""
    name = f"{stem}-normal.png"
    files[name] = png_bytes(normal_map)
    return f"norm {name}\nmap_Bump {name}\n"


def image_bytes(texture: np.ndarray, name: str) -> bytes:
    """A texture as the file of that name holds it, JPEG or PNG."""
    return jpeg_bytes(texture, JPEG_QUALITY) if name.endswith(".jpg") else png_bytes(texture)


def vertex_lines(mesh: MeshFields) -> str:
    """Vertices with their colours, uv and normals."""
    numbers = "%.9g %.9g %.9g"
    if mesh.colors is None:
        text = _rows(f"v {numbers}\n", mesh.vertices)
    else:
        text = _rows(f"v {numbers} %.5g %.5g %.5g\n", np.hstack([mesh.vertices, mesh.colors]))
    if mesh.uv is not None:
        text += _rows("vt %.9g %.9g\n", mesh.uv)
    return text + _rows("vn %.4f %.4f %.4f\n", vertex_normals(mesh.vertices, mesh.triangles))


def referable(name: str) -> str:
    """A file's name as a line of OBJ or MTL can hold it: what would end it, or be taken for more than one blank, a
    comment or an option, becomes "_"."""
    return re.sub(r"[\x00-\x1f\x7f\\]|^[ -]|(?<= )[ #]", "_", name)


def _rows(line: str, table: np.ndarray) -> str:
    """All rows of ``table`` through one format; one big ``%`` is several times faster than one per row."""
    return line * len(table) % tuple(table.ravel().tolist())


def face_lines(mesh: MeshFields, before: int = 0, before_uv: int = 0) -> str:
    """Faces, of a mesh that so many vertices and uv of the file come before."""
    corners, counts = polygon_corners(mesh, mesh.triangles)
    kinds = [corners + before, corners + before]  # vertex, normal
    corner = " %d//%d"
    if mesh.uv is not None:
        uv = mesh.triangles if mesh.uv_triangles is None else mesh.uv_triangles
        kinds.insert(1, polygon_corners(mesh, uv)[0] + before_uv)
        corner = " %d/%d/%d"
    formats = {3: "f" + 3 * corner + "\n", 4: "f" + 4 * corner + "\n"}
    lines = [formats[count] for count in counts.tolist()]
    names: list[tuple[str, ...]] = [()] * len(mesh.triangles)
    for name, members in (mesh.groups or {}).items():
        label = "_".join(name.split()) or "_"
        for triangle in members.tolist():
            names[triangle] += (label,)
    current: tuple[str, ...] = ()
    for i, start in enumerate(polygons(mesh.triangles, mesh.quads)[0].tolist()):
        if names[start] != current:
            current = names[start]
            lines[i] = " ".join(["g", *current]).replace("%", "%%") + "\n" + lines[i]
    used = np.arange(4) < counts[:, None]
    return "".join(lines) % tuple((np.stack(kinds, axis=-1)[used] + 1).ravel().tolist())

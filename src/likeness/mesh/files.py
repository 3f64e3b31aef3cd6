"""Mesh files: `load_mesh` and `save_mesh`, the suffix decides which reader and writer.

OBJ lives in `likeness.mesh.obj`, PLY in `likeness.mesh.ply`, GLB in `likeness.mesh.glb_reader` and
`likeness.mesh.glb_writer`. No format but GLB knows its unit of length: the numbers are taken and written as they are,
millimetres in this package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from likeness.errors import FileError, StrPath
from likeness.mesh.fields import MeshFields
from likeness.mesh.glb_reader import read_glb
from likeness.mesh.glb_writer import write_glb
from likeness.mesh.obj import read_obj
from likeness.mesh.obj_writer import write_obj
from likeness.mesh.ply import read_ply, write_ply
from likeness.mesh.stl import read_stl, write_stl

Reader = Callable[[StrPath], MeshFields]
Writer = Callable[[StrPath, MeshFields], None]

_FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".obj": (read_obj, write_obj),
    ".ply": (read_ply, write_ply),
    ".stl": (read_stl, write_stl),
    ".glb": (lambda path: read_glb(path)[0], lambda path, mesh: write_glb(path, mesh, name=Path(path).stem)),
}


def load_mesh(path: StrPath) -> MeshFields:
    """Read a mesh; the suffix, in any case, decides how.

    Polygons with more than four corners are cut into fans. What each format carries:

    - .obj: quads, uv with seams, vertex colours, groups, and the texture if its material file and image lie
      in the file's folder or below.
    - .ply (ascii or binary): quads, vertex colours, uv per vertex. Without faces, a mesh without triangles.
    - .stl: triangles; corners at the same place become one vertex.
    - .glb: all meshes of the scene, joined, in millimetres; where their textures differ, colours at the vertices
      instead. `likeness.mesh.glb_writer.read_glb` also gives their morph targets.

    What does not touch the geometry and cannot be used (a texture, uv, colours, faces of two corners, vertices that
    no face has) is left out; one :class:`likeness.FileWarning` says so.

    Raises:
        FileError: missing, empty, another suffix, or damaged; for OBJ names the line.
    """
    return _reader_and_writer(path)[0](path)


def save_mesh(path: StrPath, mesh: MeshFields) -> None:
    """Write a mesh; the suffix, in any case, decides how.

    - .obj: everything a `Mesh` holds; a texture goes to NAME.png beside it, its material to NAME.mtl.
    - .ply (binary little-endian): quads, vertex colours in 8 bits, uv where there is one per vertex.
    - .stl (binary): triangles only.
    - .glb: triangles, texture with its uv or else vertex colours; millimetres to metres. With morph targets:
      `likeness.mesh.glb_writer.write_glb`.

    Raises:
        FileError: another suffix, or the file cannot be written; nothing is left half-written.
        ValueError: the format cannot hold the mesh (.stl and .glb need triangles).
    """
    _reader_and_writer(path)[1](path, mesh)


def _reader_and_writer(path: StrPath) -> tuple[Reader, Writer]:
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        expected = " or ".join(", ".join(_FORMATS).rsplit(", ", 1))
        raise FileError(path, f"expected a mesh file ending in {expected}, got {suffix or 'no suffix'}")
    return _FORMATS[suffix]

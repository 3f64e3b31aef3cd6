"""Mesh files: `load_mesh` and `save_mesh` by suffix, STL, and what the readers and writers share.

OBJ lives in `likeness.mesh.obj`, PLY in `likeness.mesh.ply`, GLB in `likeness.mesh.glb_writer`. No format but GLB
knows its unit of length: the numbers are taken and written as they are, millimetres in this package.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import write_atomically
from likeness.images.header import read_header
from likeness.mesh.mesh import Mesh

_SUFFIXES = ".obj, .ply, .stl or .glb"
_MAX_TEXTURE_SIDE = 16384  # what graphics cards take; a hostile header would make the decoder allocate gigabytes


def load_mesh(path: StrPath) -> Mesh:
    """Read a mesh; the suffix, in any case, decides how.

    Polygons with more than four corners are cut into fans. What each format carries:

    - .obj: quads, uv with seams, vertex colours, groups, and the texture if its material file and image lie
      in the file's folder or below.
    - .ply (ascii or binary): quads, vertex colours, uv per vertex. Without faces, a mesh without triangles.
    - .stl: triangles; corners at the same place become one vertex.
    - .glb: the first mesh of the scene in millimetres; `likeness.mesh.glb_writer.read_glb` also gives its morph
      targets.

    Raises:
        FileError: missing, empty, another suffix, or damaged; for OBJ names the line.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".obj":
        from likeness.mesh.obj import read_obj

        return read_obj(path)
    if suffix == ".ply":
        from likeness.mesh.ply import read_ply

        return read_ply(path)
    if suffix == ".stl":
        return read_stl(path)
    if suffix == ".glb":
        from likeness.mesh.glb_writer import read_glb

        return read_glb(path)[0]
    raise FileError(path, f"expected a mesh file ending in {_SUFFIXES}, got {suffix or 'no suffix'}")


def save_mesh(path: StrPath, mesh: Mesh) -> None:
    """Write a mesh; the suffix, in any case, decides how.

    - .obj: everything a `Mesh` holds; a texture goes to NAME.png beside it, its material to NAME.mtl.
    - .ply (binary little-endian): quads, vertex colours in 8 bits, uv where there is one per vertex.
    - .stl (binary): triangles only.
    - .glb: triangles, uv, texture or else vertex colours; millimetres to metres. With morph targets:
      `likeness.mesh.glb_writer.write_glb`.

    Raises:
        FileError: another suffix, or the file cannot be written; nothing is left half-written.
        ValueError: the format cannot hold the mesh (.stl and .glb need triangles).
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".obj":
        from likeness.mesh.obj import write_obj

        write_obj(path, mesh)
    elif suffix == ".ply":
        from likeness.mesh.ply import write_ply

        write_ply(path, mesh)
    elif suffix == ".stl":
        write_stl(path, mesh)
    elif suffix == ".glb":
        from likeness.mesh.glb_writer import write_glb

        write_glb(path, mesh, name=Path(path).stem)
    else:
        raise FileError(path, f"expected a mesh file ending in {_SUFFIXES}, got {suffix or 'no suffix'}")


def read_stl(path: StrPath) -> Mesh:
    """Read an ascii or binary STL file; corners at exactly the same place become one vertex."""
    import trimesh

    data = read_bytes(path)
    try:
        soup = trimesh.load_mesh(io.BytesIO(data), file_type="stl", process=False)
        corners = np.asarray(soup.vertices, dtype=np.float64)[np.asarray(soup.faces)].reshape(-1, 3)
    except Exception as error:  # a parser of ours it is not: whatever it raises, the file is at fault
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileError(path, f"expected an STL file, could not read it ({reason[:200]})") from error
    if not len(corners):
        raise FileError(path, "expected an STL file with triangles, found none")
    _, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    with blaming(path):
        return Mesh(corners[first[order]], rank[inverse.ravel()].reshape(-1, 3))


def write_stl(path: StrPath, mesh: Mesh) -> None:
    """Write a binary STL file: single precision, triangles only (ValueError for a mesh without any)."""
    import trimesh

    if not len(mesh.triangles):
        raise ValueError("expected a mesh with triangles for an STL file, got none")
    body = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    write_atomically(path, body.export(file_type="stl"))


def read_bytes(path: StrPath) -> bytes:
    """A file's content; FileError if it is missing, a folder, unreadable or empty."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not data:
        raise FileError(path, "expected some content, got an empty file")
    return data


@contextmanager
def blaming(path: StrPath) -> Iterator[None]:
    """Turns a ValueError about a mesh's arrays into a FileError about the file they were read from."""
    try:
        yield
    except ValueError as error:
        raise FileError(path, f"holds no usable mesh: {error}") from error


def cut_polygons(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fans of triangles for polygons given one after the other.

    Args:
        counts: (P,) corners of each polygon, >= 3.

    Returns:
        corners: (F, 3) positions in the row of all polygons' corners, every fan around its polygon's first.
        starts: (P,) each polygon's first triangle.
        quads: (Q,) the first triangles of the polygons with four corners, as `Mesh.quads`.
    """
    fans = counts - 2
    starts = np.cumsum(fans) - fans
    first = np.repeat(np.cumsum(counts) - counts, fans)
    step = np.arange(int(fans.sum())) - np.repeat(starts, fans)
    return np.stack([first, first + step + 1, first + step + 2], axis=1), starts, starts[counts == 4]


def polygon_corners(mesh: Mesh, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A mesh's faces as modelled: their corners (P, 4) out of ``indices`` (F, 3), and (P,) how many count."""
    starts, is_quad = mesh.polygons()
    fourth = indices[np.minimum(starts + 1, len(indices) - 1), 2] if len(starts) else starts
    return np.column_stack([indices[starts], fourth]), np.where(is_quad, 4, 3)


def decode_texture(path: StrPath, data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a PNG, JPEG or other common image; FileError, naming ``path``, if it is none.

    As stored: a texture is laid out by its uv, not by the orientation that a camera may have noted in it.
    """
    import cv2

    try:
        header = read_header(data)
        if max(header.size) > _MAX_TEXTURE_SIDE:
            width, height = header.size
            raise ValueError(f"expected sides up to {_MAX_TEXTURE_SIDE} pixels, got {width} x {height}")
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(header.decodable, np.uint8), flags)
    except (ValueError, cv2.error) as error:
        raise FileError(path, f"the texture cannot be used: {' '.join(str(error).split())}") from error
    if image is None:
        raise FileError(path, "the texture cannot be used: expected an image, could not decode it")
    return np.ascontiguousarray(image[:, :, ::-1])


def encode_texture(texture: np.ndarray, jpeg_quality: int | None = None) -> bytes:
    """A PNG file of an (H, W, 3) uint8 RGB image, or a JPEG file of that quality (1..100)."""
    import cv2

    kind, options = ".png", [cv2.IMWRITE_PNG_COMPRESSION, 3]
    if jpeg_quality is not None:
        kind, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
    done, data = cv2.imencode(kind, texture[:, :, ::-1], options)
    if not done:
        raise ValueError(f"expected a texture that fits into a {kind} file, got {texture.shape}")
    return data.tobytes()

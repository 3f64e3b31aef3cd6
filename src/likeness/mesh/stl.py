"""STL, ascii or binary: triangles without a topology."""

from __future__ import annotations

import io

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes, without_mark, write_atomically
from likeness.mesh.checks import blaming
from likeness.mesh.fields import MeshFields


def read_stl(path: StrPath) -> MeshFields:
    """Read an ascii or binary STL file; corners at exactly the same place become one vertex."""
    import trimesh

    data = read_bytes(path)
    data = without_mark(data) if b"solid" in data[:8] else data
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
        return MeshFields(corners[first[order]], rank[inverse.ravel()].reshape(-1, 3))


def write_stl(path: StrPath, mesh: MeshFields) -> None:
    """Write a binary STL file: single precision, triangles only (ValueError for a mesh without any)."""
    import trimesh

    if not len(mesh.triangles):
        raise ValueError("expected a mesh with triangles for an STL file, got none")
    body = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    write_atomically(path, body.export(file_type="stl"))

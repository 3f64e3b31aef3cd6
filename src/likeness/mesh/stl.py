"""STL, ascii or binary: triangles without a topology."""

from __future__ import annotations

import re

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes, without_mark, write_atomically
from likeness.mesh.checks import blaming
from likeness.mesh.fields import MeshFields

_HEADER = 80
_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_VERTEX = re.compile(rb"(?i)^[ \t]*vertex[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]*\r?$", re.MULTILINE)


def read_stl(path: StrPath) -> MeshFields:
    """Read an ascii or binary STL file; corners at exactly the same place become one vertex.

    Layout: 80 bytes, the number of triangles (uint32), and 50 bytes each: a normal, three corners (float32, little
    endian), two bytes more. A file of that length is binary whatever it begins with; else it is text from ``solid``
    on.

    Raises:
        FileError: missing, cut short, neither of the two, or without triangles.
    """
    data = read_bytes(path)
    count = int.from_bytes(data[_HEADER : _HEADER + 4], "little") if len(data) >= _HEADER + 4 else -1
    if len(data) == _HEADER + 4 + count * _RECORD.itemsize:
        corners = np.frombuffer(data, _RECORD, count, _HEADER + 4)["corners"].reshape(-1, 3).astype(np.float64)
    elif without_mark(data[:120]).lstrip()[:5].lower() == b"solid":
        corners = _corners_of_text(path, without_mark(data))
    else:
        raise FileError(
            path, f"expected an STL file, got {len(data)} bytes where its header announces {count} triangles"
        )
    if not len(corners):
        raise FileError(path, "expected an STL file with triangles, found none")
    _, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    with blaming(path):
        return MeshFields(corners[first[order]], rank[inverse.ravel()].reshape(-1, 3))


def _corners_of_text(path: StrPath, data: bytes) -> np.ndarray:
    """(3 F, 3) corners of an ascii STL."""
    found = _VERTEX.findall(data)
    facets = len(re.findall(rb"(?i)^[ \t]*facet\b", data, re.MULTILINE))
    if len(found) != 3 * facets or not re.search(rb"(?i)^[ \t]*endsolid\b", data, re.MULTILINE):
        raise FileError(
            path, f"expected an ascii STL file to its endsolid, got {len(found)} corners of {facets} facets"
        )
    try:
        return np.array(found).astype(np.float64).reshape(-1, 3)
    except ValueError as error:
        raise FileError(path, f"expected numbers as corners ({error})") from error


def write_stl(path: StrPath, mesh: MeshFields) -> None:
    """Write a binary STL file: single precision, triangles only (ValueError for a mesh without any)."""
    if not len(mesh.triangles):
        raise ValueError("expected a mesh with triangles for an STL file, got none")
    records = np.zeros(len(mesh.triangles), _RECORD)
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    records["normal"] = normals / np.where(length > 0, length, 1)
    records["corners"] = corners
    write_atomically(path, bytes(_HEADER) + len(records).to_bytes(4, "little") + records.tobytes())

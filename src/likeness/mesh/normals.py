"""Normals of vertices and triangles."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit vertex normals of one or many meshes of one topology.

    Args:
        vertices: (..., V, 3) float.
        triangles: (F, 3) vertex indices, counter-clockwise from outside.

    Returns:
        (..., V, 3), of the vertices' type; zero where no triangle of non-zero area meets the vertex.
    """
    if vertices.ndim < 2 or vertices.shape[-1] != 3:
        raise ValueError(f"expected vertices (..., V, 3), got {vertices.shape}")
    a, b, c = np.ascontiguousarray(triangles.T, dtype=np.intp)
    count = vertices.shape[-2]
    normals = np.empty(vertices.shape, dtype=np.result_type(vertices.dtype, np.float32))
    # Mesh by mesh and axis by axis: temporaries stay in the cache, and bincount is far faster than np.add.at.
    for shape, normal in zip(vertices.reshape(-1, count, 3), normals.reshape(-1, count, 3), strict=True):
        u, w = [], []
        for axis in np.ascontiguousarray(shape.T):
            origin = axis.take(a)
            u.append(axis.take(b) - origin)
            w.append(axis.take(c) - origin)
        total = np.empty((3, count))
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            cross = u[j] * w[k] - u[k] * w[j]
            total[i] = sum(np.bincount(corner, cross, count) for corner in (a, b, c))
        length = np.sqrt((total * total).sum(axis=0))
        normal[:] = (total / np.where(length > 0, length, 1)).T
    return normals


def triangle_normals_of(vertices: Array, triangles: Array) -> Array:
    """Unit triangle normals (F, 3); zero for triangles of zero area."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)

"""Tangents of vertices: the frames in which normal maps are read."""

from __future__ import annotations

import numpy as np


def vertex_tangents(vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """The direction of growing u at every vertex, as glTF has it (2.0: 3.7.2.1).

    Means over the triangles around, by their areas in the plane of uv times their own; MikkTSpace weighs by angles,
    which differs little on smooth meshes.

    Args:
        vertices: (N, 3), one for each pair of vertex and uv (:func:`likeness.mesh.seams.split_seams`).
        normals: (N, 3) unit.
        triangles: (F, 3).
        uv: (N, 2), origin bottom left.

    Returns:
        (N, 4): unit tangent t, perpendicular to the normal n, and w, 1 or -1: ``w * cross(n, t)`` points to growing v
        (upwards in the picture). Where uv says nothing t is any such vector and w is 1.
    """
    a, b, c = triangles.T
    first, second = vertices[b] - vertices[a], vertices[c] - vertices[a]
    along, across = uv[b] - uv[a], uv[c] - uv[a]
    turn = np.sign(along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0])[:, None]
    growing_u = turn * (across[:, 1:] * first - along[:, 1:] * second)
    growing_v = turn * (along[:, :1] * second - across[:, :1] * first)
    count = len(vertices)
    corners, every = triangles.ravel(), np.repeat(np.column_stack([growing_u, growing_v]), 3, axis=0)
    sums = np.stack([np.bincount(corners, column, count) for column in every.T], axis=1)
    tangents = _across(sums[:, :3], normals)
    lost = ~(np.linalg.norm(tangents, axis=1) > 1e-12)
    axis = np.eye(3)[np.argmin(np.abs(normals[lost]), axis=1)]
    tangents[lost] = _across(axis, normals[lost])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    handed = (np.cross(normals, tangents) * sums[:, 3:]).sum(axis=1)
    return np.column_stack([tangents, np.where(handed < 0, -1.0, 1.0)])


def _across(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """What of vectors (N, 3) is perpendicular to unit normals (N, 3)."""
    return np.asarray(vectors - (vectors * normals).sum(axis=1, keepdims=True) * normals, np.float64)

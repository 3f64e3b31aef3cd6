"""Faces with more than three corners: cut into triangles when read, joined again when written."""

from __future__ import annotations

import numpy as np

from likeness.mesh.fields import MeshFields


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


def cut_strip(corners: np.ndarray) -> np.ndarray:
    """Triangles (F, 3) of a strip's corners (N,): from the third on each makes one with the two before it.

    Every other one is turned round. Triangles with two corners at one vertex, which only lead from one piece to the
    next, are left out.
    """
    if len(corners) < 3:
        return np.zeros((0, 3), np.int64)
    a, b, c = corners[:-2], corners[1:-1], corners[2:]
    odd = np.arange(len(a)) % 2 == 1
    triangles = np.stack([a, np.where(odd, c, b), np.where(odd, b, c)], axis=1)
    return triangles[(a != b) & (b != c) & (c != a)]


def polygon_corners(mesh: MeshFields, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A mesh's faces as modelled: their corners (P, 4) out of ``indices`` (F, 3), and (P,) how many count."""
    starts, is_quad = polygons(mesh.triangles, mesh.quads)
    fourth = indices[np.minimum(starts + 1, len(indices) - 1), 2] if len(starts) else starts
    return np.column_stack([indices[starts], fourth]), np.where(is_quad, 4, 3)


def polygons(triangles: np.ndarray, quads: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The faces as modelled, in the order of their triangles.

    Args:
        triangles: (F, 3).
        quads: (Q,) as `Mesh.quads`.

    Returns:
        starts: (P,) the (first) triangle of each face.
        is_quad: (P,) bool; where True the face is ``(*triangles[t], triangles[t + 1, 2])``, t its start.
    """
    is_quad = np.zeros(len(triangles), dtype=bool)
    starts = np.ones(len(triangles), dtype=bool)
    if quads is not None:
        is_quad[quads] = True
        starts[quads + 1] = False
    return np.flatnonzero(starts), is_quad[starts]

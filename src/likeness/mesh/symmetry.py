"""Mirror maps: which vertex is each vertex's mirror image."""

from __future__ import annotations

import numpy as np

from likeness.extras import import_extra
from likeness.mesh.mesh import Mesh


def mirror_map(
    vertices: np.ndarray,
    triangles: np.ndarray,
    axis: int = 0,
    *,
    quads: np.ndarray | None = None,
    tolerance: float | None = None,
) -> np.ndarray:
    """Each vertex's partner on a mesh that is symmetric, in shape and topology, across ``x[axis] = 0``.

    Starts from the vertex nearest to each mirror image. Where several lie close (touching lips,
    seams), that one wins which has most edges to the partners of the vertex's own neighbours. The result is
    checked: it is its own inverse, and every face's mirror image, its corners reversed, is a face.

    Args:
        vertices: (V, 3) float, mm.
        triangles: (F, 3) vertex indices.
        axis: 0, 1 or 2.
        quads: as in `Mesh`; these are compared as quadrilaterals: their diagonals need not mirror.
        tolerance: mm, the largest distance of a partner from the mirror image; None: half the mean edge.

    Returns:
        (V,) int32; a vertex on the plane is its own partner.

    Raises:
        ValueError: not symmetric; says how many vertices and faces failed.
        MissingExtraError: scipy is not installed.
    """
    mesh = Mesh(vertices, triangles, quads=quads)
    if axis not in (0, 1, 2):
        raise ValueError(f"expected axis 0, 1 or 2, got {axis}")
    if not len(mesh.triangles):
        raise ValueError("expected triangles, got none")
    starts, is_quad = mesh.polygons()
    first = starts[is_quad]
    fours = np.column_stack([mesh.triangles[first], mesh.triangles[first + 1, 2]])
    faces = [mesh.triangles[starts[~is_quad]].astype(np.int64), fours.astype(np.int64)]
    edges = np.concatenate([np.stack([f, np.roll(f, -1, axis=1)], axis=-1).reshape(-1, 2) for f in faces])
    if tolerance is None:
        span = mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]]
        tolerance = 0.5 * float(np.linalg.norm(span, axis=1).mean())
    distances, candidates = _nearest_to_mirrored(mesh.vertices, axis)
    far = int((distances[:, 0] > tolerance).sum())
    partner = _vote(np.where(distances <= tolerance, candidates, candidates[:, :1]), edges)
    torn = int((partner[partner] != np.arange(len(partner))).sum())
    lost = sum(len(_cycles(partner[f][:, ::-1]) - _cycles(f)) for f in faces)
    if far or torn or lost:
        raise ValueError(
            f"expected a mesh symmetric across {'xyz'[axis]} = 0, got {far} of {len(partner)} vertices "
            f"without a partner within {tolerance:.3g} mm, {torn} whose partner has another one, and {lost} of "
            f"{sum(map(len, faces))} faces whose mirror image is not a face"
        )
    return partner.astype(np.int32)


def _nearest_to_mirrored(vertices: np.ndarray, axis: int, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices, (V, k) each, of the k vertices nearest to each vertex's mirror image."""
    KDTree = import_extra("scipy.spatial", "the mirror map").KDTree
    sign = np.where(np.arange(3) == axis, -1.0, 1.0)
    columns = range(1, min(count, len(vertices)) + 1)
    distances, candidates = KDTree(vertices).query(vertices * sign, k=list(columns))
    return distances, candidates


def _vote(candidates: np.ndarray, edges: np.ndarray, rounds: int = 50) -> np.ndarray:
    """Of each vertex's ``candidates`` ((V, k), nearest first) the one that fits its neighbours' partners."""
    count, width = candidates.shape
    rows = np.arange(count)
    both = np.concatenate([edges, edges[:, ::-1]])
    known = np.unique(both[:, 0] * count + both[:, 1])
    partner = candidates[:, 0]
    for _ in range(rounds):
        keys = candidates[both[:, 0]] * count + partner[both[:, 1], None]
        found = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys
        votes = np.stack([np.bincount(both[:, 0], found[:, i], count) for i in range(width)], axis=1)
        improved = candidates[rows, votes.argmax(axis=1)]  # argmax takes the first, the nearest, of equals
        if np.array_equal(improved, partner):
            break
        partner = improved
    return partner


def _cycles(faces: np.ndarray) -> set[tuple[int, ...]]:
    """The faces (N, k) as cyclic sequences: turned so that the smallest index comes first."""
    order = faces.argmin(axis=1)[:, None] + np.arange(faces.shape[1])
    return set(map(tuple, np.take_along_axis(faces, order % faces.shape[1], axis=1).tolist()))

"""Smooth fields on meshes and in space: Laplacians, carrying values on, warping through points."""

from __future__ import annotations

from typing import Any

import numpy as np

from likeness.extras import import_extra
from likeness.mesh.checks import check_indices

Array = np.ndarray


def warp_through_points(points: Array, source: Array, target: Array) -> Array:
    """Smooth warp of space that takes ``source`` to ``target``: biharmonic kernel ``|r|`` plus an affine part.

    Args:
        points: (V, 3) what to warp.
        source, target: (N, 3) corresponding points, N ≥ 4 and not in one plane.

    Returns:
        (V, 3) warped points; ``source`` itself lands on ``target``.
    """
    count = len(source)
    kernel = np.linalg.norm(source[:, None] - source[None], axis=-1)
    affine = np.hstack([np.ones((count, 1)), source])
    system = np.block([[kernel, affine], [affine.T, np.zeros((4, 4))]])
    weights = np.linalg.solve(system, np.vstack([target, np.zeros((4, 3))]))
    distance = np.linalg.norm(points[:, None] - source[None], axis=-1)
    return distance @ weights[:count] + np.hstack([np.ones((len(points), 1)), points]) @ weights[count:]


def graph_laplacian(triangles: Array, count: int) -> Any:
    """Uniform graph Laplacian ``I - D⁻¹A`` of a mesh's edges as a SciPy CSR matrix (count, count)."""
    sparse = import_extra("scipy.sparse")
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    degree = np.maximum(np.bincount(pairs[:, 0], minlength=count), 1)
    weights = 1.0 / degree[pairs[:, 0]]
    adjacency = sparse.csr_matrix((weights, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return (sparse.identity(count) - adjacency).tocsr()


def carry_smoothly(known: Array, values: Array, triangles: Array, detail: Array | None = None) -> Array:
    """Extend values given at some vertices to all: the smoothest field (least ``|L x − L detail|²``).

    Args:
        known: (V,) bool.
        values: (V, C); the rows outside ``known`` are ignored.
        triangles: (F, 3).
        detail: (V, C) a field whose shape the unknown part keeps, moved to meet the known part; None: flat.

    Returns:
        (V, C) equal to ``values`` where known. A component without a known vertex gets ``detail`` (or 0).
    """
    sparse, factor = import_extra("scipy.sparse"), import_extra("scipy.sparse.linalg")
    count = len(known)
    laplacian = graph_laplacian(triangles, count)
    normal = (laplacian.T @ laplacian).tocsr()
    free = np.flatnonzero(~known)
    result: Array = values.astype(np.float64).copy()
    if not len(free):
        return result
    base = np.zeros_like(values) if detail is None else detail
    difference = np.where(known[:, None], values - base, 0.0)
    right = -(normal[free][:, np.flatnonzero(known)] @ difference[known])
    system = (normal[free][:, free] + 1e-9 * sparse.identity(len(free))).tocsc()
    result[free] = base[free] + factor.splu(system).solve(np.asarray(right))
    return result


def grown(mask: Array, triangles: Array, rings: int = 1) -> Array:
    """(V,) bool: a set of vertices and those within ``rings`` edges of it."""
    for _ in range(rings):
        mask = mask.copy()
        mask[triangles[mask[triangles].any(1)]] = True
    return mask


def components(triangles: Array, count: int) -> Array:
    """(count,) int: the number of the connected piece that each vertex belongs to."""
    sparse = import_extra("scipy.sparse")
    graph = import_extra("scipy.sparse.csgraph")
    edges = triangles[:, [[0, 1], [1, 2]]].reshape(-1, 2)
    adjacency = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    return np.asarray(graph.connected_components(adjacency, directed=False)[1])


def laplacian(triangles: Array, n_vertices: int) -> Any:
    """Graph Laplacian ``D - A``, a SciPy CSR array (V, V) float64: symmetric, positive semi-definite, rows sum to 0.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    sparse = import_extra("scipy.sparse", "the mesh Laplacian")
    i, j = edges_of(check_indices(triangles, (None, 3), n_vertices, "triangles"), n_vertices).T
    rows, columns = np.concatenate([i, j, i, j]), np.concatenate([j, i, i, j])
    values = np.repeat([-1.0, -1.0, 1.0, 1.0], len(i))
    return sparse.coo_array((values, (rows, columns)), shape=(n_vertices, n_vertices)).tocsr()


def edges_of(triangles: np.ndarray, count: int) -> np.ndarray:
    pairs = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    keys = np.unique((low * count + high)[low < high])
    return np.stack([keys // count, keys % count], axis=1).astype(np.int32)

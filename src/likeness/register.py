"""Surface in another topology -> the same surface in ours: similarity, smooth warp, non-rigid closest points.

Needs the ``scans`` extra (SciPy, libigl). Vertices are millimetres throughout, arrays float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import MissingExtraError

Array = np.ndarray


def similarity_from_points(source: Array, target: Array) -> tuple[float, Array, Array]:
    """Least-squares similarity ``target ≈ s R source + t`` (Umeyama 1991).

    Args:
        source, target: (N, 3) corresponding points, N ≥ 3, not on one line.

    Returns:
        scale, rotation (3, 3), translation (3,).
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3 or len(source) < 3:
        raise ValueError(f"expected two (N >= 3, 3) arrays, got {source.shape} and {target.shape}")
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / (a * a).sum())
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


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


@dataclass(frozen=True)
class ClosestPoints:
    """Closest points on a triangle mesh: where, on which triangle, and there with which weights."""

    points: Array  # (N, 3) mm
    distance: Array  # (N,) mm
    triangle: Array  # (N,) int
    barycentric: Array  # (N, 3)

    def interpolate(self, triangles: Array, values: Array) -> Array:
        """Values (..., V, C) of the mesh's vertices at the closest points: (..., N, C)."""
        corners = values[..., triangles[self.triangle], :]
        return (corners * self.barycentric[..., None]).sum(axis=-2)


def closest_points(points: Array, vertices: Array, triangles: Array) -> ClosestPoints:
    """Closest points on a mesh by libigl's AABB tree.

    Args:
        points: (N, 3) queries.
        vertices, triangles: the mesh, (V, 3) and (F, 3).
    """
    igl = _import("igl")
    vertices = np.ascontiguousarray(vertices, np.float64)
    triangles = np.ascontiguousarray(triangles, np.int64)
    squared, index, nearest = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points, np.float64), vertices, triangles
    )[:3]
    corner = [np.ascontiguousarray(vertices[triangles[index, k]]) for k in range(3)]
    barycentric = igl.barycentric_coordinates(np.ascontiguousarray(nearest), *corner)
    return ClosestPoints(nearest, np.sqrt(squared), index, np.clip(barycentric, 0, 1))


def graph_laplacian(triangles: Array, count: int) -> Any:
    """Uniform graph Laplacian ``I - D⁻¹A`` of a mesh's edges as a SciPy CSR matrix (count, count)."""
    sparse = _import("scipy.sparse")
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    degree = np.maximum(np.bincount(pairs[:, 0], minlength=count), 1)
    weights = 1.0 / degree[pairs[:, 0]]
    adjacency = sparse.csr_matrix((weights, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return (sparse.identity(count) - adjacency).tocsr()


@dataclass(frozen=True)
class NonRigid:
    """Settings of :func:`register_nonrigid`: one entry of ``stiffness`` per iteration, falling."""

    stiffness: tuple[float, ...] = tuple(np.geomspace(60.0, 0.15, 26))
    landmark_weight: float = 4.0
    reach: float = 12.0  # mm; a closest point farther away is not believed
    normal_cosine: float = 0.6  # nor one whose surface looks elsewhere
    tangential: float = 0.12  # weight of sliding along the surface against moving onto it


def register_nonrigid(
    vertices: Array,
    triangles: Array,
    target_vertices: Array,
    target_triangles: Array,
    *,
    weights: Array,
    landmarks: tuple[Array, Array] | None = None,
    mirror: Array | None = None,
    settings: NonRigid | None = None,
) -> Array:
    """Deform a template onto a surface: closest points with a smooth displacement (optimal step non-rigid ICP).

    Every iteration minimises, over the displacement d of the template's vertices, ``Σ wᵢ (nᵢ·rᵢ)² + τ wᵢ |rᵢ|²
    + λ |L d|² + μ Σ |landmark residual|²`` with rᵢ the residual to the closest point, nᵢ its normal, L the graph
    Laplacian, and λ falling (after Amberg et al. 2007, with point-to-plane distances).

    Args:
        vertices: (V, 3) the template, already near the target (see :func:`warp_through_points`).
        triangles: (F, 3) the template's.
        target_vertices, target_triangles: the surface.
        weights: (V,) in [0, 1]; 0 where a vertex only follows its neighbours (inside the mouth, say).
        landmarks: template vertex indices (N,) and their target points (N, 3).
        mirror: (V,) each vertex's mirror image across x = 0, for targets that are symmetric: the result is then
            symmetric too.

    Returns:
        (V, 3) deformed vertices.
    """
    settings = settings or NonRigid()
    sparse, factor = _import("scipy.sparse"), _import("scipy.sparse.linalg")
    count = len(vertices)
    laplacian = graph_laplacian(triangles, count)
    smooth = sparse.kron(laplacian.T @ laplacian, sparse.identity(3), format="csc")
    target_normals = _triangle_normals(target_vertices, target_triangles)
    at = np.asarray(vertices, np.float64).copy()
    for stiffness in settings.stiffness:
        nearest = closest_points(at, target_vertices, target_triangles)
        normals = target_normals[nearest.triangle]
        agree = (vertex_normals_of(at, triangles) * normals).sum(1)
        believed = weights * (agree > settings.normal_cosine) * (nearest.distance < settings.reach)
        blocks = believed[:, None, None] * (
            normals[:, :, None] * normals[:, None, :] + settings.tangential * np.eye(3)
        )
        residual = nearest.points - at
        right = (blocks @ residual[:, :, None])[:, :, 0]
        if landmarks is not None:
            index, points = landmarks
            np.add.at(blocks, index, settings.landmark_weight * np.eye(3))
            np.add.at(right, index, settings.landmark_weight * (points - at[index]))
        data = sparse.bsr_matrix((blocks, np.arange(count), np.arange(count + 1)), shape=(3 * count,) * 2)
        system = (data + stiffness * smooth + 1e-6 * sparse.identity(3 * count)).tocsc()
        at = at + factor.splu(system, permc_spec="MMD_AT_PLUS_A").solve(right.reshape(-1)).reshape(-1, 3)
        if mirror is not None:
            at = 0.5 * (at + at[mirror] * [-1.0, 1.0, 1.0])
    return at


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
    sparse, factor = _import("scipy.sparse"), _import("scipy.sparse.linalg")
    count = len(known)
    laplacian = graph_laplacian(triangles, count)
    normal = (laplacian.T @ laplacian).tocsr()
    free = np.flatnonzero(~known)
    base = np.zeros_like(values) if detail is None else detail
    difference = np.where(known[:, None], values - base, 0.0)
    right = -(normal[free][:, np.flatnonzero(known)] @ difference[known])
    system = (normal[free][:, free] + 1e-9 * sparse.identity(len(free))).tocsc()
    result = values.astype(np.float64).copy()
    result[free] = base[free] + factor.splu(system).solve(np.asarray(right))
    return result


def folded_triangles(before: Array, after: Array, triangles: Array) -> Array:
    """Triangles (N,) that a deformation turned inside out against their neighbours.

    A triangle counts as folded when its normal turned by more than 90° against the mean turn of its vertices'
    normals, that is when it looks away from the surface around it although it did not before.
    """
    folded = []
    for vertices in (before, after):
        normals = _triangle_normals(vertices, triangles)
        around = vertex_normals_of(vertices, triangles)[triangles].mean(1)
        folded.append((normals * around).sum(1) < 0)
    return np.flatnonzero(folded[1] & ~folded[0])


def vertex_normals_of(vertices: Array, triangles: Array) -> Array:
    """Area-weighted unit vertex normals (V, 3)."""
    from likeness.mesh import vertex_normals

    return vertex_normals(vertices, triangles)


def _triangle_normals(vertices: Array, triangles: Array) -> Array:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError("registration", "scans") from error

"""A template deformed onto a surface: closest points with a smooth displacement, for surfaces without gaps.

For raw scans, with holes and hair, see :mod:`likeness.register.drape`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.extras import import_extra
from likeness.mesh.closest import closest_points
from likeness.mesh.laplacians import graph_laplacian
from likeness.mesh.normals import triangle_normals_of, vertex_normals

Array = np.ndarray


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
    sparse, factor = import_extra("scipy.sparse"), import_extra("scipy.sparse.linalg")
    count = len(vertices)
    laplacian = graph_laplacian(triangles, count)
    smooth = sparse.kron(laplacian.T @ laplacian, sparse.identity(3), format="csc")
    target_normals = triangle_normals_of(target_vertices, target_triangles)
    at = np.asarray(vertices, np.float64).copy()
    for stiffness in settings.stiffness:
        nearest = closest_points(at, target_vertices, target_triangles)
        normals = target_normals[nearest.triangle]
        agree = (vertex_normals(at, triangles) * normals).sum(1)
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


def folded_triangles(before: Array, after: Array, triangles: Array) -> Array:
    """Triangles (N,) that a deformation turned inside out against their neighbours.

    A triangle counts as folded when its normal turned by more than 90° against the mean turn of its vertices'
    normals, that is when it looks away from the surface around it although it did not before.
    """
    folded = []
    for vertices in (before, after):
        normals = triangle_normals_of(vertices, triangles)
        around = vertex_normals(vertices, triangles)[triangles].mean(1)
        folded.append((normals * around).sum(1) < 0)
    return np.flatnonzero(folded[1] & ~folded[0])

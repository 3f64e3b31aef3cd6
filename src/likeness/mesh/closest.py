"""Surfaces that are asked for closest points: once, or many times through a tree that is kept (libigl)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from likeness.extras import import_extra
from likeness.mesh.normals import triangle_normals_of, vertex_normals

Array = np.ndarray

ON_EDGE = 0.999
"""A closest point whose corners on the boundary weigh more than this lies on a hole's rim or an outer edge."""


def one_blas_thread() -> Any:
    """A context in which matrix products use one thread: the matrices here are small, and several threads would spend
    most of their time waiting for each other, on a busy machine five times as long as one takes for the work."""
    return import_extra("threadpoolctl").threadpool_limits(1, user_api="blas")


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


class Surface:
    """A triangle mesh with a tree for closest points; for many queries of one surface.

    Args:
        vertices: (V, 3) mm.
        triangles: (F, 3), F ≥ 1.
    """

    def __init__(self, vertices: Array, triangles: Array) -> None:
        igl = import_extra("igl")
        self.vertices = np.ascontiguousarray(vertices, np.float64)
        self.triangles = np.ascontiguousarray(triangles, np.int64)
        self._tree = igl.AABB()
        self._tree.init(self.vertices, self.triangles)

    def closest(self, points: Array) -> ClosestPoints:
        """Closest points of (N, 3) queries."""
        queries = np.ascontiguousarray(points, np.float64)
        squared, index, nearest = self._tree.squared_distance(self.vertices, self.triangles, queries)[:3]
        return _with_weights(squared, index, nearest, self.vertices, self.triangles)

    @cached_property
    def triangle_normals(self) -> Array:
        """(F, 3) unit normals."""
        return triangle_normals_of(self.vertices, self.triangles)

    @cached_property
    def vertex_normals(self) -> Array:
        """(V, 3) unit area-weighted normals."""
        return vertex_normals(self.vertices, self.triangles)

    @cached_property
    def boundary(self) -> Array:
        """(V,) bool: vertices of edges that only one triangle has."""
        return boundary_vertices(self.triangles, len(self.vertices))

    def on_boundary(self, closest: ClosestPoints) -> Array:
        """(N,) bool: closest points on the surface's rim, so that the query lies beyond it or over a hole."""
        weight = self.boundary[self.triangles[closest.triangle]] * closest.barycentric
        return weight.sum(1) > ON_EDGE


def closest_points(points: Array, vertices: Array, triangles: Array) -> ClosestPoints:
    """Closest points on a mesh by libigl's AABB tree.

    Args:
        points: (N, 3) queries.
        vertices, triangles: the mesh, (V, 3) and (F, 3).
    """
    igl = import_extra("igl")
    vertices = np.ascontiguousarray(vertices, np.float64)
    triangles = np.ascontiguousarray(triangles, np.int64)
    queries = np.ascontiguousarray(points, np.float64)
    squared, index, nearest = igl.point_mesh_squared_distance(queries, vertices, triangles)[:3]
    return _with_weights(squared, index, nearest, vertices, triangles)


def boundary_vertices(triangles: Array, count: int) -> Array:
    """(count,) bool: vertices of edges that only one triangle has."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64), axis=1)
    keys, uses = np.unique(edges[:, 0] * count + edges[:, 1], return_counts=True)
    rim = keys[uses == 1]
    mask = np.zeros(count, bool)
    mask[rim // count] = mask[rim % count] = True
    return mask


def _with_weights(squared: Array, index: Array, nearest: Array, vertices: Array, triangles: Array) -> ClosestPoints:
    igl = import_extra("igl")
    corner = [np.ascontiguousarray(vertices[triangles[index, k]]) for k in range(3)]
    barycentric = np.clip(np.nan_to_num(igl.barycentric_coordinates(np.ascontiguousarray(nearest), *corner)), 0, 1)
    return ClosestPoints(nearest, np.sqrt(np.maximum(squared, 0)), index, barycentric)

"""Surfaces that are asked for closest points: once, or many times through a tree that is kept (libigl)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from likeness.extras import import_extra
from likeness.mesh.normals import triangle_normals_of, vertex_normals

Array = np.ndarray

FEATURE = "closest points on a surface"

ON_EDGE = 0.999
"""A closest point whose corners on the boundary weigh more than this lies on a hole's rim or an outer edge."""


@dataclass(frozen=True, eq=False)
class ClosestPoints:
    """Closest points on a triangle mesh: where, how far, and on which triangle.

    Args:
        points: (N, 3) mm, on the mesh.
        distance: (N,) mm, from the queries.
        triangle: (N,) int, of the mesh's.
        corners: (N, 3, 3) mm, of those triangles.
    """

    points: Array
    distance: Array
    triangle: Array
    corners: Array

    @cached_property
    def barycentric(self) -> Array:
        """(N, 3) weights of the triangles' corners."""
        igl = import_extra("igl", FEATURE)
        corner = [np.ascontiguousarray(self.corners[:, k]) for k in range(3)]
        weights = igl.barycentric_coordinates(np.ascontiguousarray(self.points), *corner)
        return np.clip(np.nan_to_num(weights), 0, 1)

    def interpolate(self, triangles: Array, values: Array) -> Array:
        """Values (..., V, C) of the mesh's vertices at the closest points: (..., N, C)."""
        corners = values[..., triangles[self.triangle], :]
        return (corners * self.barycentric[..., None]).sum(axis=-2)


class Surface:
    """A triangle mesh that is asked for closest points again and again (libigl's AABB tree, built once).

    Triangles without an area are never found: they have no plane, and what they cover their neighbours' edges cover.

    Args:
        vertices: (V, 3) mm, finite.
        triangles: (F, 3) vertex indices.

    Raises:
        ValueError: no triangle has an area.
        MissingExtraError: libigl is not installed.
    """

    def __init__(self, vertices: Array, triangles: Array) -> None:
        igl = import_extra("igl", FEATURE)
        self.vertices = np.ascontiguousarray(vertices, np.float64)
        self.triangles = np.ascontiguousarray(triangles, np.int64)
        self._solid = np.flatnonzero(triangle_normals_of(self.vertices, self.triangles).any(axis=1))
        if not len(self._solid):
            raise ValueError(f"expected triangles with an area, got none among {len(self.triangles)}")
        self._searched = self.triangles[self._solid]
        self._tree = igl.AABB()
        self._tree.init(self.vertices, self._searched)

    def closest(self, points: Array) -> ClosestPoints:
        """Closest points of (N, 3) queries."""
        queries = np.ascontiguousarray(points, np.float64)
        squared, index, nearest = self._tree.squared_distance(self.vertices, self._searched, queries)[:3]
        distance = np.sqrt(np.maximum(squared, 0.0))
        return ClosestPoints(nearest, distance, self._solid[index], self.vertices[self._searched[index]])

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
    """Closest points on a mesh that is asked once.

    Args:
        points: (N, 3) queries.
        vertices, triangles: the mesh, (V, 3) and (F, 3).
    """
    return Surface(vertices, triangles).closest(points)


def boundary_vertices(triangles: Array, count: int) -> Array:
    """(count,) bool: vertices of edges that only one triangle has."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64), axis=1)
    keys, uses = np.unique(edges[:, 0] * count + edges[:, 1], return_counts=True)
    rim = keys[uses == 1]
    mask = np.zeros(count, bool)
    mask[rim // count] = mask[rim % count] = True
    return mask

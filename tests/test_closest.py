"""The one surface that is asked for closest points, and the one table of units."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from likeness.geometry.units import UNITS, Unit
from likeness.mesh.closest import Surface, closest_points

pytest.importorskip("igl")


def terrain(seed: int = 0, side: int = 7) -> tuple[np.ndarray, np.ndarray]:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(side), np.arange(side)))
    vertices = np.stack([x, y, np.random.default_rng(seed).uniform(0, 1, side * side)], axis=1).astype(float)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    lower = np.stack([corner, corner + 1, corner + side], axis=1)
    return vertices, np.concatenate([lower, np.stack([corner + 1, corner + side + 1, corner + side], axis=1)])


def test_weights_lead_back_to_the_points_and_nothing_is_nearer() -> None:
    vertices, triangles = terrain()
    queries = np.random.default_rng(1).uniform(-1, 8, (40, 3))
    found = Surface(vertices, triangles).closest(queries)
    np.testing.assert_allclose(found.barycentric.sum(1), 1.0)
    np.testing.assert_allclose(found.interpolate(triangles, vertices), found.points, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(queries - found.points, axis=1), found.distance)
    weights = np.random.default_rng(2).dirichlet(np.ones(3), (len(triangles), 50))
    others = (weights @ vertices[triangles]).reshape(-1, 3)
    apart = np.linalg.norm(queries[:, None] - others[None], axis=-1).min(1)
    assert (found.distance <= apart + 1e-9).all()


def test_asking_once_and_asking_a_kept_tree_agree() -> None:
    vertices, triangles = terrain(3)
    queries = np.random.default_rng(4).uniform(-1, 8, (40, 3))
    once, kept = closest_points(queries, vertices, triangles), Surface(vertices, triangles).closest(queries)
    np.testing.assert_array_equal(once.points, kept.points)
    np.testing.assert_array_equal(once.triangle, kept.triangle)


def test_triangles_without_area_are_never_found_and_the_numbers_stay_those_given() -> None:
    vertices, triangles = terrain(5)
    queries = np.random.default_rng(6).uniform(-1, 8, (40, 3))
    flat = np.repeat(triangles[:1, :1], 3, axis=1)
    plain = Surface(vertices, triangles).closest(queries)
    mixed = Surface(vertices, np.concatenate([flat, triangles]))
    found = mixed.closest(queries)
    np.testing.assert_allclose(found.distance, plain.distance)
    assert found.triangle.min() >= 1
    np.testing.assert_allclose(np.linalg.norm(mixed.triangle_normals[found.triangle], axis=1), 1.0)
    with pytest.raises(ValueError, match="triangles with an area, got none among 1"):
        Surface(vertices, flat)


def test_every_unit_that_can_be_named_is_in_the_table() -> None:
    assert set(get_args(Unit)) == set(UNITS)

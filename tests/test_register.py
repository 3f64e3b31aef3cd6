"""Laws of registration on surfaces with known answers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("igl")

from likeness.geometry.rotation import rotation_from_euler
from likeness.register import (
    NonRigid,
    carry_smoothly,
    closest_points,
    folded_triangles,
    register_nonrigid,
    similarity_from_points,
    warp_through_points,
)


def sphere(rings: int, radius: float = 50.0) -> tuple[np.ndarray, np.ndarray]:
    """A sphere without its poles: (V, 3), (F, 3), counter-clockwise from outside."""
    polar = np.linspace(0.35, np.pi - 0.35, rings)
    around = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = np.meshgrid(polar, around, indexing="ij")
    points = radius * np.stack([np.sin(t) * np.cos(p), np.cos(t), -np.sin(t) * np.sin(p)], -1).reshape(-1, 3)
    index = np.arange(rings * 2 * rings).reshape(rings, 2 * rings)
    a, b = index[:-1], index[1:]
    quads = np.stack([a, b, np.roll(b, -1, 1), np.roll(a, -1, 1)], -1).reshape(-1, 4)
    return points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def bumps(points: np.ndarray) -> np.ndarray:
    """A smooth, known deformation."""
    return points * (1 + 0.08 * np.sin(points[:, :1] / 18) + 0.06 * np.cos(points[:, 1:2] / 15))


def test_similarity_is_recovered() -> None:
    rng = np.random.default_rng(0)
    source = rng.standard_normal((20, 3))
    rotation = rotation_from_euler(0.5, -0.2, 0.8)
    scale, found, translation = similarity_from_points(source, 2.5 * source @ rotation.T + [1, 2, 3])
    assert np.isclose(scale, 2.5)
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(translation, [1, 2, 3], atol=1e-9)


def test_similarity_never_mirrors() -> None:
    source = np.random.default_rng(1).standard_normal((10, 3))
    _, rotation, _ = similarity_from_points(source, source * [-1, 1, 1])
    assert np.isclose(np.linalg.det(rotation), 1)


def test_similarity_needs_three_pairs() -> None:
    with pytest.raises(ValueError, match="N >= 3"):
        similarity_from_points(np.zeros((2, 3)), np.zeros((2, 3)))


def test_warp_hits_its_points_and_keeps_affine_maps() -> None:
    rng = np.random.default_rng(2)
    source, points = rng.standard_normal((12, 3)), rng.standard_normal((30, 3))
    target = source + 0.2 * rng.standard_normal((12, 3))
    np.testing.assert_allclose(warp_through_points(source, source, target), target, atol=1e-8)
    matrix = rng.standard_normal((3, 3))
    np.testing.assert_allclose(
        warp_through_points(points, source, source @ matrix + 4), points @ matrix + 4, atol=1e-7
    )


def test_closest_points_of_surface_points_are_themselves() -> None:
    vertices, triangles = sphere(8)
    middles = vertices[triangles].mean(1)
    found = closest_points(middles, vertices, triangles)
    np.testing.assert_allclose(found.distance, 0, atol=1e-6)
    np.testing.assert_allclose(found.interpolate(triangles, vertices), middles, atol=1e-6)


def test_nonrigid_registration_lands_on_the_surface_without_folds() -> None:
    vertices, triangles = sphere(14)
    fine, fine_triangles = sphere(40)
    settings = NonRigid(stiffness=tuple(np.geomspace(40, 0.5, 10)))
    fitted = register_nonrigid(
        vertices, triangles, bumps(fine), fine_triangles, weights=np.ones(len(vertices)), settings=settings
    )
    before = closest_points(vertices, bumps(fine), fine_triangles).distance
    after = closest_points(fitted, bumps(fine), fine_triangles).distance
    assert before.mean() > 1.5
    assert after.mean() < 0.1
    assert not len(folded_triangles(vertices, fitted, triangles))


def test_landmarks_and_weights_are_obeyed() -> None:
    vertices, triangles = sphere(14)
    weights = np.ones(len(vertices))
    weights[vertices[:, 0] > 0] = 0  # only follows
    index = np.array([10, 200])
    target = vertices[index] * 1.1
    fitted = register_nonrigid(
        vertices, triangles, 1.1 * vertices, triangles, weights=weights, landmarks=(index, target)
    )
    np.testing.assert_allclose(fitted[index], target, atol=0.05)
    assert np.linalg.norm(fitted, axis=1).min() > 52  # the side without data came along


def test_carry_keeps_what_is_known_and_extends_constants() -> None:
    vertices, triangles = sphere(10)
    known = vertices[:, 1] > 0
    values = np.where(known[:, None], [1.0, 2.0, 3.0], np.nan_to_num(np.inf))
    carried = carry_smoothly(known, values, triangles)
    np.testing.assert_allclose(carried, np.broadcast_to([1.0, 2.0, 3.0], carried.shape), atol=1e-5)


def test_carry_moves_detail_rigidly() -> None:
    vertices, triangles = sphere(10)
    known = vertices[:, 1] > 10
    detail = bumps(vertices)
    carried = carry_smoothly(known, detail + [5.0, 0, 0], triangles, detail)
    np.testing.assert_allclose(carried, detail + [5.0, 0, 0], atol=1e-4)


def test_a_fold_is_seen() -> None:
    vertices, triangles = sphere(10)
    folded = vertices.copy()
    folded[95] = vertices[95] + 1.9 * (vertices[97] - vertices[95])
    assert len(folded_triangles(vertices, folded, triangles))
    assert not len(folded_triangles(vertices, vertices * 1.3, triangles))

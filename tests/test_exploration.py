"""Walks on the sphere: ends are the people, the middle is as far from both, beyond is more of the same."""

from __future__ import annotations

import numpy as np
import pytest

from likeness import FaceModel
from likeness.assets import asset
from likeness.model.exploration import FARTHEST, Exploration


@pytest.fixture(scope="module")
def exploration() -> Exploration:
    return Exploration(FaceModel.load(asset("face_model.npz")))


@pytest.fixture(scope="module")
def people(exploration: Exploration) -> np.ndarray:
    """Two codes inside the sphere, as found faces have them."""
    return 0.6 * exploration.random(2, np.random.default_rng(5)).astype(np.float64)


def shape_distance(exploration: Exploration, a: np.ndarray, b: np.ndarray) -> float:
    return float(exploration.model.shape_metric.distance(a, b))


def test_lifting_changes_no_head(exploration: Exploration, people: np.ndarray) -> None:
    model = exploration.model
    for code in (*people, np.zeros(model.space.size)):
        lifted = exploration.lift(code)
        assert np.linalg.norm(lifted) == pytest.approx(model.space.radius)
        assert model.metric_of(None).distance(lifted, code) < 0.1
        np.testing.assert_allclose(exploration.lift(lifted), lifted, atol=1e-6)
    assert np.linalg.norm(exploration.lift(100 * people[0])) == pytest.approx(model.space.radius)


def test_a_walk_is_a_great_circle_through_both(exploration: Exploration, people: np.ndarray) -> None:
    space = exploration.model.space
    start, middle, end, beyond = exploration.walk(*people, np.array([0.0, 0.5, 1.0, 1.2]))
    np.testing.assert_allclose(start, exploration.lift(people[0]), atol=1e-6)
    np.testing.assert_allclose(end, exploration.lift(people[1]), atol=1e-6)
    assert space.distance(start, middle) == pytest.approx(space.distance(middle, end))
    assert space.distance(start, beyond) == pytest.approx(1.2 * space.distance(start, end), rel=1e-6)
    there = exploration.walk(people[0], people[1], np.array([0.3]))
    back = exploration.walk(people[1], people[0], np.array([0.7]))
    np.testing.assert_allclose(there, back, atol=1e-6)


def test_caricatures_grow_and_end_where_the_sphere_does(exploration: Exploration, people: np.ndarray) -> None:
    found = exploration.caricature(people[0], np.array([0.0, 0.5, 1.0, 1.5, 4.0, 9.0]))
    apart = [shape_distance(exploration, code, exploration.average) for code in found]
    assert apart[:5] == sorted(apart[:5])
    assert shape_distance(exploration, found[2], people[0]) < 0.1
    np.testing.assert_allclose(found[4], found[5], atol=1e-9)


def test_directions_are_set_and_the_others_keep_their_proportions(
    exploration: Exploration, people: np.ndarray
) -> None:
    before = exploration.strengths(people[0])
    after = exploration.strengths(exploration.adjusted(people[0], {1: 2.0, 4: -1.0}))
    assert after[[1, 4]] == pytest.approx([2.0, -1.0])
    others = np.setdiff1d(np.arange(len(before)), [1, 4])
    assert np.ptp(after[others] / before[others]) < 1e-6
    assert (np.diff(exploration.millimetres) <= 1e-9).all()
    for wrong in ({-1: 0.0}, {0: FARTHEST + 1}, {0: float("nan")}, dict.fromkeys(range(100), 4.0)):
        with pytest.raises(ValueError, match="expected"):
            exploration.adjusted(people[0], wrong)


def test_gaussian_spaces_are_walked_straight(small_model: FaceModel) -> None:
    exploration = Exploration(small_model)
    a, b = exploration.random(2, np.random.default_rng(1)).astype(np.float64)
    np.testing.assert_allclose(exploration.walk(a, b, np.array([1.5]))[0], a + 1.5 * (b - a))
    np.testing.assert_allclose(exploration.caricature(a, np.array([2.0]))[0], 2 * a)
    code = exploration.adjusted(a, {2: 3.0})
    assert exploration.strengths(code)[2] == pytest.approx(3.0)
    np.testing.assert_allclose(np.delete(exploration.strengths(code), 2), np.delete(exploration.strengths(a), 2))

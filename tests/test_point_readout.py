"""Lids and lips read from points: invariances, what is learned is what was there, opposites exclude each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dense_points import small_map

from likeness.errors import FileError
from likeness.fit import ExpressionPrior
from likeness.model.face_model import ARKIT_NAMES, FaceModel
from likeness.model.point_readout import PointReadout, upright
from likeness.model.surface_points import PointMap, default_point_map
from likeness.reconstruct.expressions import OPPOSITES, READ_SPREAD, expression_prior
from likeness.train.photos.point_readout import KNOTS, LIPS, MOUTH, learn_readout, lip_distances

POINTS = 44


def made(seed: int = 0) -> PointReadout:
    """Of 44 points; lips that are seen 0.1 apart touch."""
    rng = np.random.default_rng(seed)
    return PointReadout(
        ("eyeBlinkLeft", "jawOpen"),
        0.3 * rng.standard_normal((2, 2 * POINTS)),
        np.array([0.4, 0.5]),
        np.array([0.1, 0.0]),
        np.array([0, 20]),
        np.array([1, 21]),
        np.array([[2, 3], [4, 5]]),
        np.array([0.1, 0.4]),
        np.array([0.0, 0.3]),
    )


def test_weights_do_not_change_with_place_turn_and_size() -> None:
    rng, readout = np.random.default_rng(1), made()
    points = rng.normal(100.0, 20.0, (5, POINTS, 2))
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(
        readout.weights(2.5 * points @ turn.T + [30.0, -4.0]), readout.weights(points), atol=1e-9
    )
    level = readout.features(points).reshape(5, 2, POINTS)
    np.testing.assert_allclose(level[:, 1, 0], level[:, 1, 20], atol=1e-9)
    assert (level[:, 0, 20] > level[:, 0, 0]).all()


def test_lips_move_to_their_distance_about_their_middles() -> None:
    readout = made()
    points = np.random.default_rng(2).normal(0.0, 1.0, (POINTS, 2))
    points[[1, 21]] = [[0.0, 0.0], [10.0, 0.0]]
    points[[2, 3, 4, 5]] = [[4.0, 1.0], [4.0, 1.5], [6.0, 1.0], [6.0, 6.0]]  # 0.05 and 0.5 of the mouth's width
    moved = readout.closed(points)
    np.testing.assert_allclose(moved[[2, 3]], [[4.0, 1.25], [4.0, 1.25]])
    np.testing.assert_allclose(moved[[4, 5]], [[6.0, 1.5], [6.0, 5.5]])  # 0.4: a tenth less, as at the last knot
    others = np.setdiff1d(np.arange(POINTS), [2, 3, 4, 5])
    np.testing.assert_array_equal(moved[others], points[others])


def test_what_weights_and_lips_are_is_learned() -> None:
    known, rng = default_point_map(), np.random.default_rng(3)
    level = np.array([known.ibug[36], known.ibug[45]])
    base = rng.normal(0.0, 30.0, (478, 2))
    base = 0.5 * (base + base[known.mirror] * [-1.0, 1.0])
    true = base + np.einsum("nm,mpx->npx", rng.standard_normal((300, 10)), rng.normal(0.0, 0.5, (10, 478, 2)))
    upper, lower = np.array(LIPS).T
    true[:, [*MOUTH]] = [[-10.0, 0.0], [10.0, 0.0]]
    share = rng.choice([0.0, 0.2], 300)[:, None]  # closed or wide open
    true[:, upper], true[:, lower] = (
        np.stack([np.tile(np.linspace(-5, 5, 9), (300, 1)), sign * 10 * share + np.zeros((300, 9))], 2)
        for sign in (-1, 1)
    )
    found = true.copy()
    found[:, lower, 1] += 0.6 * (share == 0)  # seen 0.03 apart
    mix = rng.standard_normal(2 * 478) * (rng.random(2 * 478) < 0.05)
    blink = upright(found, level) @ mix
    other = upright(found[:, known.mirror] * [-1.0, 1.0], level) @ mix
    weights = np.zeros((300, 52))
    names = list(ARKIT_NAMES)
    weights[:, names.index("eyeBlinkLeft")], weights[:, names.index("eyeBlinkRight")] = blink, other
    readout = learn_readout(found, true, weights, ARKIT_NAMES, known)
    read = readout.features(found) @ readout.weight.T + readout.bias
    assert np.corrcoef(read[:, readout.names.index("eyeBlinkLeft")], blink)[0, 1] > 0.95
    assert np.corrcoef(read[:, readout.names.index("eyeBlinkRight")], other)[0, 1] > 0.95
    gaps = lip_distances(readout.closed(found))
    np.testing.assert_allclose(gaps, lip_distances(true), atol=0.01)
    assert set(readout.seen) <= set(KNOTS)
    with pytest.raises(ValueError, match="as many faces"):
        learn_readout(found, true[:10], weights, ARKIT_NAMES, known)


def test_a_map_keeps_its_readout(small_model: FaceModel, tmp_path: Path) -> None:
    known, readout = small_map(small_model), made()
    replace(known, readout=readout).save(tmp_path / "map.npz")
    again = PointMap.load(tmp_path / "map.npz").readout
    assert again is not None
    points = np.random.default_rng(5).normal(0.0, 1.0, (3, POINTS, 2))
    np.testing.assert_allclose(again.weights(points), readout.weights(points), atol=1e-5)
    np.testing.assert_allclose(again.closed(points), readout.closed(points), atol=1e-5)
    arrays = dict(np.load(tmp_path / "map.npz"))
    del arrays["readout_rest"]
    np.savez(tmp_path / "less.npz", **arrays)
    with pytest.raises(FileError, match="rest is missing"):
        PointMap.load(tmp_path / "less.npz")
    with pytest.raises(ValueError, match="a readout of"):
        replace(default_point_map(), readout=readout)


def test_landmarks_close_with_the_points_lips(small_model: FaceModel) -> None:
    known = small_map(small_model)
    ibug = known.ibug.copy()
    ibug[[62, 66]] = 2, 3
    points = np.random.default_rng(6).normal(0.0, 1.0, (POINTS, 2))
    points[[1, 21]], points[[2, 3]] = [[0.0, 0.0], [10.0, 0.0]], [[4.0, 1.0], [4.0, 1.5]]
    open_lips = replace(known, ibug=ibug)
    closed = replace(open_lips, readout=made()).ibug_landmarks(points)
    np.testing.assert_allclose(closed[62], closed[66], atol=1e-9)
    rest = np.setdiff1d(np.arange(68), [62, 66])
    np.testing.assert_array_equal(closed[rest], open_lips.ibug_landmarks(points)[rest])


def test_of_opposites_one_may_move(small_model: FaceModel) -> None:
    free = np.random.default_rng(7).random(52)
    points = np.random.default_rng(8).normal(0.0, 1.0, (POINTS, 2))
    prior = expression_prior(small_model, free, points, None)
    names = list(ARKIT_NAMES)
    for one, other in OPPOSITES:
        assert min(prior.upper[names.index(one)], prior.upper[names.index(other)]) == 0.0
    assert prior.upper.sum() > 30
    readout = made()
    told = expression_prior(small_model, np.zeros(52), points, readout)
    row = names.index("eyeBlinkLeft")
    assert told.mean[row] == pytest.approx(readout.weights(points)[0])
    assert told.precision[row, row] == pytest.approx(READ_SPREAD**-2)
    assert told.rate[row] == 0.0


def test_other_expressions_have_their_own_prior(small_model: FaceModel) -> None:
    other = replace(small_model, expression_names=tuple(f"mode{number}" for number in range(52)))
    prior = expression_prior(other, np.zeros(52), np.zeros((POINTS, 2)), None)
    expected = ExpressionPrior.default(other)
    np.testing.assert_array_equal(prior.upper, expected.upper)
    np.testing.assert_array_equal(prior.precision, expected.precision)

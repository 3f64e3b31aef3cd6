"""Lids and lips read from points: invariances, what is learned is what was there, opposites exclude each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dense_points import small_map

from likeness.assets import asset
from likeness.errors import FileError
from likeness.fit import ExpressionPrior, Start
from likeness.geometry.camera import Camera, project
from likeness.model.face_model import ARKIT_NAMES, FaceModel
from likeness.model.point_readout import TOUCHING, PointReadout, upright
from likeness.model.surface_points import PointMap, default_point_map
from likeness.reconstruct.expressions import OPPOSITES, READ_SPREAD, TOUCH_MM, expression_prior, with_lips_closed
from likeness.reconstruct.refine import Refiner
from likeness.train.photos.point_readout import KNOTS, LIPS, MOUTH, learn_readout, lip_distances

POINTS = 44


def closed_by(readout: PointReadout, points: np.ndarray) -> np.ndarray:
    """Points (..., P, 2) with lips as far apart as they are."""
    return readout.part(points, readout.lips, readout.nearer(points))


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
    moved = closed_by(readout, points)
    np.testing.assert_allclose(moved[[2, 3]], [[4.0, 1.25], [4.0, 1.25]])
    np.testing.assert_allclose(moved[[4, 5]], [[6.0, 1.5], [6.0, 5.5]])  # 0.4: a tenth less, as at the last knot
    others = np.setdiff1d(np.arange(POINTS), [2, 3, 4, 5])
    np.testing.assert_array_equal(moved[others], points[others])


def test_lips_that_hardly_part_by_the_teacher_touch() -> None:
    readout = replace(made(), seen=np.array([0.02, 0.04, 0.4]), true=np.array([0.5 * TOUCHING, 0.04, 0.4]))
    points = np.zeros((POINTS, 2))
    points[[1, 21]] = [[0.0, 0.0], [10.0, 0.0]]
    for seen, true in ((0.01, 0.0), (0.02, 0.0), (0.03, 0.02), (0.04, 0.04), (0.2, 0.2), (0.7, 0.7)):
        points[[2, 3]] = [[4.0, 1.0], [4.0, 1.0 + 10 * seen]]
        moved = closed_by(readout, points)
        np.testing.assert_allclose(moved[3] - moved[2], [0.0, 10 * true], atol=1e-9)


def test_closed_lips_are_one_observation_more() -> None:
    rng, size = np.random.default_rng(4), 8
    upper = np.array([1.0] * 7 + [0.0])
    prior = ExpressionPrior(0.1 * rng.random(size) * upper, np.eye(size), np.full(size, 3.0), np.zeros(size), upper)
    parting, closed = rng.normal(0.0, 2.0, (3, size)), np.array([True, False, True])
    known = with_lips_closed(prior, parting, closed)

    def cost(of: ExpressionPrior, e: np.ndarray) -> float:
        return float(of.rate @ e + 0.5 * (e - of.mean) @ of.precision @ (e - of.mean))

    apart = 0.5 * (parting[0] + parting[2])
    one, other = rng.random((2, size)) * upper
    gained = [cost(known, e) - cost(prior, e) - 0.5 * (apart @ e / TOUCH_MM) ** 2 for e in (one, other)]
    assert gained[0] == pytest.approx(gained[1], abs=1e-6)
    assert with_lips_closed(prior, parting, ~np.ones(3, bool)) is prior


def test_heads_close_lips_that_are_seen_to_touch() -> None:
    model, known = FaceModel.load(asset("face_model.npz")), default_point_map()
    refiner = Refiner(model, known, None)
    camera, rng = Camera(1500.0, (255.5, 255.5), (512, 512)), np.random.default_rng(6)
    start = Start(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 1200.0]))
    free = replace(refiner.map, readout=None)
    gaps = []
    for _ in range(4):
        code = model.space.sample(1, rng)[0]
        places = known.gather(model.vertices(code))
        pixels = project(camera, places @ start.rotation.T + start.translation) + rng.normal(0.0, 2.0, (478, 2))
        assert known.readout is not None
        upper, lower = known.readout.lips.T
        pixels[lower] = pixels[upper] + [0.0, 0.02 * np.linalg.norm(pixels[61] - pixels[291])]
        assert (known.readout.nearer(pixels)[:3] < 0.5).all()
        weights = [
            one.express(pixels, np.full(478, 2.0), camera, replace(start, expression=np.zeros(52)), code).expression
            for one in (refiner, Refiner(model, free, None))
        ]
        gaps.append([abs(float(refiner.parting[:3].mean(0) @ e)) for e in weights])
    closed, ajar = np.mean(gaps, axis=0)
    assert closed < 0.15
    assert closed < 0.5 * ajar


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
    gaps = lip_distances(closed_by(readout, found))
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
    np.testing.assert_allclose(closed_by(again, points), closed_by(readout, points), atol=1e-5)
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

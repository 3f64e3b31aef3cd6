"""Heads fitted to points: exact points give the head back, fusion is what it says, landmarks follow the points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from likeness.assets import asset
from likeness.fit import Start
from likeness.geometry.camera import Camera, project
from likeness.geometry.landmarks import MIRRORED
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap, default_point_map
from likeness.networks.regressor import Fusion
from likeness.reconstruct.refine import Refiner, circumstances

SCALE = 3.0


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


def seen(model: FaceModel, code: np.ndarray, yaw: float = 0.0) -> tuple[np.ndarray, Camera, Start]:
    """The 478 points of a head at rest, where a camera at 1.5 m sees them."""
    camera = Camera(1500.0, (255.5, 255.5), (512, 512))
    rotation = FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0)
    translation = np.array([10.0, -5.0, 1500.0])
    points = default_point_map().gather(model.vertices(code))
    return project(camera, points @ rotation.T + translation), camera, Start(rotation, translation)


def rms(model: FaceModel, a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(model.geometry(a) - model.geometry(b)))


@pytest.mark.parametrize("yaw", [0.0, 0.4])
def test_exact_points_bring_a_head_nearer_to_the_truth_than_the_mean_face_is(model: FaceModel, yaw: float) -> None:
    refiner = Refiner(model, default_point_map(), None)
    for seed in range(3):
        code = model.space.sample(1, np.random.default_rng(seed))[0]
        pixels, camera, start = seen(model, code, yaw)
        found = refiner(pixels, np.full(478, 0.1), SCALE, camera, start)
        assert rms(model, found.identity, code) < 0.75 * rms(model, 0 * code, code)
        assert np.linalg.norm(found.identity) < np.linalg.norm(code)  # what is not seen is not made up
        assert found.expression.sum() < 1.0


def test_surer_points_say_more(model: FaceModel) -> None:
    refiner = Refiner(model, default_point_map(), None)
    code = model.space.sample(1, np.random.default_rng(4))[0]
    pixels, camera, start = seen(model, code)
    lengths = [
        np.linalg.norm(refiner(pixels, np.full(478, deviation), SCALE, camera, start).identity)
        for deviation in (0.2, 5.0, 40.0)
    ]
    assert lengths[0] > lengths[1] > lengths[2]


def test_fusion_adds_the_means_and_the_fits_parts(model: FaceModel) -> None:
    code = model.space.sample(1, np.random.default_rng(5))[0]
    pixels, camera, start = seen(model, code)
    size = len(code)
    alone = Refiner(model, default_point_map(), None)(pixels, np.full(478, 0.5), SCALE, camera, start)
    half = Fusion(np.stack([0.5 * np.eye(size)] + [np.zeros((size, size))] * 3))
    mean = np.linspace(-1, 1, size)
    refiner = Refiner(model, default_point_map(), half)
    fused = refiner(pixels, np.full(478, 0.5), SCALE, camera, start, mean)
    assert refiner.mirror is not None
    assert refiner.fusion is not None
    symmetric = 0.5 * (mean + mean @ refiner.mirror)  # the mean is of views and their mirror images
    added = refiner.fusion.matrices[0] @ alone.identity
    np.testing.assert_allclose(fused.identity, symmetric + added, atol=1e-4)
    assert rms(model, added, 0.5 * alone.identity) < 0.1
    # The pose fits the head that is given, whose size is another.
    points = default_point_map().gather(model.vertices(fused.identity, fused.expression))
    off = project(camera, points @ fused.rotation.T + fused.translation) - pixels
    assert np.linalg.norm(off.mean(0)) < 0.5


def test_circumstances_are_bounded_and_middling_ones_nothing(model: FaceModel) -> None:
    refiner = Refiner(model, default_point_map(), None)
    code = 0.3 * model.space.sample(1, np.random.default_rng(6))[0]
    from likeness.fit import IdentityPrior, Observations, fit_face

    pixels, camera, start = seen(model, code, 1.2)
    observed = Observations(pixels[refiner.rows], 1.0, refiner.points)
    fit = fit_face(model, observed, camera, identity=IdentityPrior.population(model), start=start)
    turned, wild = circumstances(fit, -0.2), circumstances(fit, 50.0)
    assert turned[0] == wild[0] == 1.0
    assert turned[1] == pytest.approx(3.5)  # clipped
    assert turned[2] == pytest.approx(0.0)
    assert wild[2] == pytest.approx(2.0)


def test_landmarks_turn_and_stretch_with_the_points(model: FaceModel) -> None:
    points, _, _ = seen(model, model.space.sample(1, np.random.default_rng(7))[0])
    shift = np.array([40.0, -7.0])
    similar, affine = np.array([[0.3, -1.2], [1.2, 0.3]]), np.array([[0.3, -1.2], [1.5, 0.2]])
    for known, matrix in (
        (default_point_map(), similar),
        (replace(default_point_map(), readout=None), affine),  # how far lips are apart is read in faces as they are
    ):
        moved = known.ibug_landmarks(points @ matrix.T + shift)
        np.testing.assert_allclose(moved, known.ibug_landmarks(points) @ matrix.T + shift, atol=1e-5)


def test_landmarks_of_a_mirrored_face_are_mirrored(model: FaceModel) -> None:
    points, _, _ = seen(model, model.space.sample(1, np.random.default_rng(8))[0], 0.2)
    known = default_point_map()
    mirrored = known.ibug_landmarks(known.mirrored(points, 512))
    expected = known.ibug_landmarks(points)[MIRRORED] * [-1.0, 1.0] + [511.0, 0.0]
    assert np.abs(mirrored - expected).max() < 0.35  # half floats


def test_a_map_is_read_as_it_was_written(tmp_path, model: FaceModel) -> None:  # type: ignore[no-untyped-def]
    known = default_point_map()
    known.save(tmp_path / "map.npz")
    again = PointMap.load(tmp_path / "map.npz")
    np.testing.assert_allclose(again.landmarks, known.landmarks, atol=2e-4)
    np.testing.assert_allclose(again.with_head, known.with_head, atol=1e-3)
    bare = replace(known, landmarks=None, with_head=None)
    bare.save(tmp_path / "bare.npz")
    assert PointMap.load(tmp_path / "bare.npz").landmarks is None
    assert PointMap.load(tmp_path / "bare.npz").with_head is None
    for name, shape in (("landmarks", (68, len(known))), ("with_head", (2, 68, len(known) + 68))):
        with pytest.raises(ValueError, match=f"{name} .* rows that sum to 1"):
            replace(known, **{name: np.zeros(shape)})


def test_landmarks_go_over_from_the_points_to_the_head_as_it_turns(model: FaceModel) -> None:
    points = default_point_map()
    refiner = Refiner(model, points, None)
    code = model.space.sample(1, np.random.default_rng(7))[0]
    shares = []
    for yaw in np.radians([0.0, 30.0, 55.0, 80.0]):
        pixels, camera, start = seen(model, code, yaw)
        found = refiner(pixels, np.full(478, 0.3), SCALE, camera, start)
        head = model.landmark_points(found.identity, found.expression) @ found.rotation.T + found.translation
        of_head = model.landmark_map.project(camera, head, found.rotation)
        of_points = points.ibug_landmarks(pixels, of_head)
        way = of_head - of_points
        share = float((way * (found.landmarks - of_points)).sum() / (way * way).sum())
        np.testing.assert_allclose(found.landmarks, of_points + share * way, atol=1e-2)
        shares.append(share)
    assert shares[:2] == pytest.approx([0.0, 0.0], abs=1e-4)
    assert 0.3 < shares[2] < 0.7
    assert shares[3] == pytest.approx(1.0, abs=1e-4)

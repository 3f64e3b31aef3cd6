"""The refiner: points of one face and a network's mean to one head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dense_points import small_map
from fit_data import CAMERA, Truth, photographed

from likeness.fit import Start, SurfacePoints
from likeness.geometry.camera import project
from likeness.model.face_model import FaceModel
from likeness.networks.regressor import Fusion
from likeness.reconstruct.refine import Refiner, circumstances
from likeness.reconstruct.test_time import mirrored_names

SCALE = 4.0


def face(model: FaceModel, seed: int, yaw: float = 0.1, noise: float = 0.3) -> tuple[Truth, np.ndarray, np.ndarray]:
    """A face, where a network sees its points, and how sure it says it is."""
    rng, points = np.random.default_rng(seed), small_map(model)
    surface = SurfacePoints(points.vertices, points.weights)
    truth = photographed(model, surface, rng, yaw=yaw)
    return truth, truth.pixels + rng.normal(0, noise, truth.pixels.shape), np.full(len(points), noise, np.float32)


def start(truth: Truth) -> Start:
    return Start(truth.rotation, truth.translation * [1.0, 1.0, 1.1])


def test_without_fusion_the_code_is_the_fits_own(small_model: FaceModel) -> None:
    truth, pixels, deviation = face(small_model, 0)
    refiner = Refiner(small_model, small_map(small_model), None)
    found = refiner(pixels, deviation, SCALE, CAMERA, start(truth))
    fit = refiner.fit(pixels, deviation, CAMERA, start(truth))
    np.testing.assert_allclose(found.identity, fit.identity, atol=1e-6)
    assert found.landmarks.shape == (68, 2)
    surface = small_map(small_model).gather(small_model.vertices(found.identity, found.expression))
    seen = project(CAMERA, surface @ found.rotation.T + found.translation)
    assert np.sqrt(((seen - truth.pixels) ** 2).mean()) < 1.5


@pytest.mark.parametrize("seed", [1, 2])
def test_the_code_is_mean_plus_matrices_and_pose_follows_it(small_model: FaceModel, seed: int) -> None:
    truth, pixels, deviation = face(small_model, seed, yaw=0.5)
    rng = np.random.default_rng(seed)
    fusion, mean = Fusion(0.1 * rng.standard_normal((4, 12, 12))), 0.2 * rng.standard_normal(12)
    refiner = Refiner(small_model, small_map(small_model), fusion)
    found = refiner(pixels, deviation, SCALE, CAMERA, start(truth), mean)
    fit = refiner.fit(pixels, deviation, CAMERA, start(truth))
    q = circumstances(fit, float(np.log(deviation[refiner.rows] / SCALE).mean()))
    expected = mean + sum(q[j] * fusion.matrices[j] @ fit.identity for j in range(4))
    assert refiner.mirror is None  # the model has no mirror images of its heads
    np.testing.assert_allclose(found.identity, expected, atol=1e-4)
    at = Start(fit.rotation, fit.translation, fit.expression)
    held = refiner.express(pixels, deviation, CAMERA, at, expected)
    np.testing.assert_allclose(held.identity, expected, atol=0.02)  # a code that is not to change hardly does
    assert abs(held.translation[2] - found.translation[2]) < 5.0


def test_a_mirrored_photo_shows_the_mirrored_head(small_model: FaceModel) -> None:
    known, partner = small_map(small_model), small_model.topology.mirror
    half = small_model.identity_basis[:6]
    mirrored_half = half[:, partner] * np.array([-1.0, 1.0, 1.0], np.float32)
    shapes = small_model.expression_basis
    turned = shapes[mirrored_names(small_model.expression_names)][:, partner] * np.array([-1.0, 1.0, 1.0], np.float32)
    small_model = replace(
        small_model,
        identity_basis=np.concatenate([half, mirrored_half]),
        expression_basis=0.5 * (shapes + turned),
    )
    rng = np.random.default_rng(4)
    fusion, mean = Fusion(0.1 * rng.standard_normal((4, 12, 12))), 0.2 * rng.standard_normal(12)
    refiner = Refiner(small_model, known, fusion)
    assert refiner.mirror is not None
    np.testing.assert_allclose(refiner.mirror, np.roll(np.eye(12), 6, axis=0), atol=1e-4)
    truth, pixels, deviation = face(small_model, 4, yaw=0.3)
    begin, flip = start(truth), np.diag([-1.0, 1.0, 1.0])
    found = refiner(pixels, deviation, SCALE, CAMERA, begin, mean)
    mirrored = known.mirrored(pixels, 2 * CAMERA.center[0] + 1)
    other = Start(flip @ begin.rotation @ flip, begin.translation @ flip)
    again = refiner(mirrored, deviation[known.mirror], SCALE, CAMERA, other, mean)
    head = small_model.vertices(found.identity)
    other_side = head[partner] @ flip
    missed, apart = (np.abs(other_side - one).max() for one in (small_model.vertices(again.identity), head))
    assert missed < 0.05 * apart  # as far as fits converge


def test_circumstances_grow_with_turn_unsureness_and_expression(small_model: FaceModel) -> None:
    refiner = Refiner(small_model, small_map(small_model), None)
    found = []
    for yaw in (0.0, 0.7):
        truth, pixels, deviation = face(small_model, 3, yaw=yaw)
        fit = refiner.fit(pixels, deviation, CAMERA, start(truth))
        found.append([refiner.circumstances(fit, share * deviation) for share in (1.0, 2.0)])
    (front, unsure), (turned, _) = found
    assert front[0] == turned[0] == 1.0
    assert turned[1] > front[1] + 0.5
    assert unsure[2] > front[2]
    assert unsure[1] == front[1]


def test_the_reconstructor_fuses(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    from test_train_dense import network

    from likeness.networks.regressor import Network
    from likeness.reconstruct.reconstructor import Reconstructor
    from likeness.train.photos.export import onnx_bytes

    net, path = network(small_model, fused=4), tmp_path / "regressor.onnx"
    with torch.no_grad():
        assert net.mean is not None
        net.mean.weight.zero_()
        net.mean.bias.copy_(torch.linspace(-0.5, 0.5, 12))
    path.write_bytes(onnx_bytes(net, "test", "small", half=False))
    assert Network.load(path).fusion is not None
    photo = np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    finder = Reconstructor(small_model, path, points=small_map(small_model))
    found = finder(photo, boxes=np.array([[20.0, 30.0, 110.0, 130.0]]))[0]
    # Matrices of zeros: the mean alone is believed, whatever the points say.
    np.testing.assert_allclose(found.coefficients.identity, np.linspace(-0.5, 0.5, 12), atol=1e-5)
    assert found.landmarks.shape == (68, 2)
    assert np.isfinite(found.translation).all()

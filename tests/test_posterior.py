"""How sure a head is: samples spread as the uncertainty says, surer points and more photos shrink it, errors of made
faces are as large as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fit_data import CAMERA, Truth, front_points, noisy, photographed

from likeness.fit import ExpressionPrior, FaceFit, Start, SurfacePoints, fit_face, fit_person, vertex_std
from likeness.geometry.similarity import similarity_from_points
from likeness.model.face_model import FaceModel
from likeness.reconstruct.posterior import ShapePosterior

NEUTRAL = ExpressionPrior.neutral(52)


def seen(model: FaceModel, seed: int, identity: np.ndarray | None = None) -> tuple[Truth, SurfacePoints]:
    """A face at rest and points of it."""
    points = front_points(model, 60, np.random.default_rng(0))
    rng = np.random.default_rng(seed)
    return photographed(model, points, rng, identity=identity, expression=np.zeros(52)), points


def fitted(model: FaceModel, seed: int, noise: float) -> tuple[FaceFit, Truth]:
    truth, points = seen(model, seed)
    observed = noisy(truth, points, noise, np.random.default_rng(seed + 1000))
    start = Start(truth.rotation, truth.translation)
    return fit_face(model, observed, CAMERA, expression=NEUTRAL, start=start), truth


def posterior(model: FaceModel, fit: FaceFit) -> ShapePosterior:
    return ShapePosterior(model, fit.identity, fit, 1.0)


def test_samples_spread_as_the_uncertainty_says(small_model: FaceModel) -> None:
    found = posterior(small_model, fitted(small_model, 1, 2.0)[0])
    heads = found.sample(3000, seed=4)
    mean = small_model.vertices(found.identity)
    np.testing.assert_allclose(heads.mean(0), mean, atol=0.1 * found.uncertainty.max())
    spread = np.sqrt(((heads - mean) ** 2).mean((0, 2)))
    np.testing.assert_allclose(spread, found.uncertainty, rtol=0.06)
    np.testing.assert_array_equal(heads[:5], found.sample(3000, seed=4)[:5])
    assert np.abs(heads[:5] - found.sample(5, seed=5)).max() > 0
    with pytest.raises(ValueError, match="one head or more"):
        found.sample(0)


def test_surer_points_and_more_photos_shrink_it(small_model: FaceModel) -> None:
    rough, fine = (posterior(small_model, fitted(small_model, 2, noise)[0]) for noise in (4.0, 1.0))
    assert (fine.uncertainty < rough.uncertainty).mean() > 0.99
    assert fine.size.deviation < rough.size.deviation
    code = np.random.default_rng(2).standard_normal(len(small_model.identity_basis))
    photos = [seen(small_model, number, code) for number in range(4)]
    observed = [noisy(truth, points, 4.0, np.random.default_rng(n)) for n, (truth, points) in enumerate(photos)]
    starts = [Start(truth.rotation, truth.translation) for truth, _ in photos]
    doubts = []
    for count in (1, 4):
        person = fit_person(
            small_model, observed[:count], [CAMERA] * count, expression=NEUTRAL, starts=starts[:count]
        )
        doubts.append(ShapePosterior(small_model, person.identity, person, 1.0).uncertainty.mean())
    assert doubts[1] < 0.8 * doubts[0]


def test_errors_are_as_large_as_it_says(small_model: FaceModel) -> None:
    face = small_model.topology.regions["face"]
    squared, expected, sizes = 0.0, 0.0, []
    for seed in range(40):
        fit, truth = fitted(small_model, 10 + seed, 3.0)
        found = posterior(small_model, fit)
        head, true = (small_model.vertices(code)[face].astype(float) for code in (found.identity, truth.identity))
        _, rotation, shift = similarity_from_points(true, head, scale=1.0)
        moved = true @ rotation.T + shift
        squared += float(((head - moved) ** 2).mean())
        expected += float((found.uncertainty[face] ** 2).mean())
        real = ShapePosterior(small_model, truth.identity, fit, 1.0).size.interocular
        sizes.append((found.size.interocular - real) / found.size.deviation)
    assert 0.7 < squared / expected < 1.4
    assert 0.6 < np.square(sizes).mean() < 1.8  # of 40: more by chance, and the approximation is Gaussian


def test_the_face_is_part_of_the_head(small_model: FaceModel) -> None:
    found = posterior(small_model, fitted(small_model, 4, 2.0)[0])
    face = small_model.topology.regions["face"]
    assert 0 < face.sum() < len(face)
    np.testing.assert_allclose(found.face_uncertainty, found.uncertainty[face], rtol=1e-4)


def test_a_known_code_leaves_nothing_open(small_model: FaceModel) -> None:
    """Covariances without an inverse: none, and of one direction only."""
    basis, size = small_model.identity_basis, len(small_model.identity_basis)
    assert not vertex_std(basis, np.zeros((size, size))).any()
    axis = np.eye(size)[2]
    expected = 2.0 * np.sqrt((basis[2].astype(float) ** 2).mean(-1))
    np.testing.assert_allclose(vertex_std(basis, 4.0 * np.outer(axis, axis)), expected, rtol=1e-4, atol=1e-5)


def test_place_and_turn_are_not_counted(small_model: FaceModel) -> None:
    fit, _ = fitted(small_model, 3, 2.0)
    found = posterior(small_model, fit)
    shift = np.broadcast_to(np.array([3.0, 1.0, -2.0], np.float32), small_model.mean.shape)
    moving = replace(small_model, identity_basis=small_model.identity_basis + shift)
    np.testing.assert_allclose(ShapePosterior(moving, found.identity, fit, 1.0).moves, found.moves, atol=1e-2)
    assert ShapePosterior(small_model, fit.identity, fit, 4.0).uncertainty == pytest.approx(2 * found.uncertainty)

"""Many photos of one person: one shape, and a bad photo that must not spoil it."""

from __future__ import annotations

import numpy as np
import pytest
from fit_data import CAMERA, front_points, noisy, photographed

from likeness.fit import FocalPrior, Observations, Stopping, fit_face, fit_person
from likeness.fit.factors import ManyFactor, OneFactor, factorised
from likeness.model.face_model import FaceModel

EXACT = Stopping(1e-10, 200)


def _photos(model: FaceModel, count: int, rng: np.random.Generator, sigma: float = 1.0) -> tuple[np.ndarray, list]:
    points, code = front_points(model, 80, rng), rng.standard_normal(len(model.identity_basis))
    truths = [photographed(model, points, rng, identity=code) for _ in range(count)]
    return code, [noisy(truth, points, sigma, rng) for truth in truths]


def test_steps_are_those_of_the_dense_joint_problem(small_model: FaceModel) -> None:
    """Without active bounds the Schur complement's step solves the whole system; with them its gradient says so."""
    rng = np.random.default_rng(0)
    _, photos = _photos(small_model, 3, rng)
    found = fit_person(small_model, photos, [CAMERA] * 3, focal=FocalPrior(0.1), stopping=Stopping(1e9, 3))
    cost, problem = found.faces[0].minimum.cost, found.faces[0].problem
    factor = factorised(problem, cost)
    assert isinstance(factor, ManyFactor)
    step = factor.step(cost)
    K, size = 12, 52 + 7
    dense = np.zeros((K + 3 * size,) * 2)
    dense[:K, :K] = problem.prior.precision
    for number, matrix in enumerate(problem.matrices(cost)):
        index = np.r_[:K, K + number * size : K + (number + 1) * size]
        dense[np.ix_(index, index)] += matrix
    gradient = np.concatenate([cost.gradient, *(photo.gradient for photo in cost.photos)])
    move = np.concatenate([step.identity, *step.photos])
    slope = gradient + dense @ move
    lower = np.concatenate(
        [np.full(K, -np.inf), *(np.r_[-s.expression, np.full(7, -np.inf)] for s in cost.state.photos)]
    )
    upper = np.concatenate(
        [np.full(K, np.inf), *(np.r_[1 - s.expression, np.full(7, np.inf)] for s in cost.state.photos)]
    )
    scale = np.sqrt(dense.diagonal())
    free = (move > lower + 1e-12) & (move < upper - 1e-12)
    assert 0 < (~free).sum() < 3 * 52
    assert (move >= lower).all()
    assert (move <= upper).all()
    assert np.abs(slope / scale)[free].max() < 1e-4 * np.abs(gradient / scale).max()
    assert (slope[move <= lower] > -1e-6).all()
    assert (slope[move >= upper] < 1e-6).all()
    assert step.decrease == pytest.approx(-(gradient @ move + 0.5 * move @ dense @ move), rel=1e-4)
    covariance = np.linalg.inv(dense)[:K, :K]
    assert (np.linalg.eigvalsh(found.covariance - covariance) < 1e-6).all()  # bounds tell something, too


def test_one_photo_is_the_same_either_way(small_model: FaceModel) -> None:
    rng = np.random.default_rng(1)
    _, photos = _photos(small_model, 1, rng)
    face = fit_face(small_model, photos[0], CAMERA, stopping=EXACT)
    cost, problem = face.minimum.cost, face.problem
    priors = [terms.expression_prior for terms in problem.photos]
    matrices = problem.matrices(cost)
    size = problem.photos[0].size
    away = fit_face(small_model, photos[0], CAMERA, stopping=Stopping(1e9, 2)).minimum.cost
    one, many = (kind(matrices, problem.prior, priors, size) for kind in (OneFactor, ManyFactor))
    a, b = one.step(away), many.step(away)
    np.testing.assert_allclose(a.identity, b.identity, atol=1e-7)
    np.testing.assert_allclose(a.photos[0], b.photos[0], atol=1e-7)
    assert a.decrease == pytest.approx(b.decrease)
    np.testing.assert_allclose(one.determined(cost), many.determined(cost))


def test_a_photo_given_twice_is_one_with_half_the_variance(small_model: FaceModel) -> None:
    rng = np.random.default_rng(2)
    _, photos = _photos(small_model, 2, rng)
    once = fit_person(small_model, photos, [CAMERA] * 2, photo_freedom=None, stopping=EXACT)
    halves = [Observations(o.pixels, 2.0, o.points) for o in photos]
    both = [[half, half] for half in halves]
    again = fit_person(small_model, both[::-1], [CAMERA] * 2, photo_freedom=None, stopping=EXACT)
    np.testing.assert_allclose(again.identity, once.identity, atol=1e-4)
    np.testing.assert_allclose(again.covariance, once.covariance, atol=1e-5)
    np.testing.assert_allclose(again.faces[1].expression, once.faces[0].expression, atol=1e-3)


def test_more_photos_say_more_and_the_posterior_is_calibrated(small_model: FaceModel) -> None:
    rng = np.random.default_rng(3)
    chi, misses = [], {1: 0.0, 6: 0.0}
    for _ in range(12):
        code, photos = _photos(small_model, 6, rng, sigma=2.0)
        for count in misses:
            found = fit_person(small_model, photos[:count], [CAMERA] * count, photo_freedom=None)
            away = code - found.identity
            misses[count] += float(np.linalg.norm(small_model.geometry(away)))
        chi.append(away @ np.linalg.solve(found.covariance, away))
    assert misses[6] < 0.75 * misses[1]
    assert np.mean(chi) == pytest.approx(12, abs=5 * np.sqrt(24 / 12))


def test_somebody_else_among_the_photos_loses_their_say(small_model: FaceModel) -> None:
    rng = np.random.default_rng(4)
    code, photos = _photos(small_model, 8, rng)
    photos = photos[:7]
    points = photos[0].points
    for number in range(7):
        photos[number] = noisy(photographed(small_model, points, rng, identity=code), points, 1.0, rng)
    stranger = noisy(photographed(small_model, points, rng), points, 1.0, rng)
    clean = fit_person(small_model, photos, [CAMERA] * 7)
    robust = fit_person(small_model, [*photos, stranger], [CAMERA] * 8)
    trusting = fit_person(small_model, [*photos, stranger], [CAMERA] * 8, photo_freedom=None)

    def miss(found: object) -> float:
        return float(np.linalg.norm(small_model.geometry(code - found.identity)))  # type: ignore[attr-defined]

    assert robust.trust[-1] < 0.6 * robust.trust[:-1].min()
    assert miss(robust) < miss(trusting)
    assert miss(robust) < miss(clean) + 0.7 * (miss(trusting) - miss(clean))
    np.testing.assert_array_equal(trusting.trust, 1.0)


def test_focal_lengths_are_each_photo_s_own(small_model: FaceModel) -> None:
    rng = np.random.default_rng(5)
    _, photos = _photos(small_model, 3, rng)
    found = fit_person(small_model, photos, [CAMERA] * 3, focal=FocalPrior(0.05))
    focals = [face.camera.focal for face in found.faces]
    assert len(set(focals)) == 3
    assert all(0.8 < focal / CAMERA.focal < 1.25 for focal in focals)


def test_photos_and_cameras_must_be_as_many(small_model: FaceModel) -> None:
    with pytest.raises(ValueError, match="a camera"):
        fit_person(small_model, [], [])
    with pytest.raises(ValueError, match="a camera"):
        fit_person(small_model, [Observations(np.ones((68, 2)), 1.0)], [])

"""A person whose code is known: only expression and pose are found, as with a code that is held fast."""

from __future__ import annotations

import numpy as np
import pytest
from fit_data import CAMERA, angle_between, front_points, noisy, photographed

from likeness.fit import IBUG, IdentityPrior, Observations, Stopping, fit_face, fit_person
from likeness.model.face_model import FaceModel

EXACT = Stopping(1e-12, 200)


@pytest.mark.parametrize("landmarks", [False, True])
def test_a_known_code_is_a_code_held_by_an_endless_precision(small_model: FaceModel, landmarks: bool) -> None:
    rng = np.random.default_rng(3)
    points = IBUG if landmarks else front_points(small_model, 150, rng)
    for _ in range(3):
        truth = photographed(small_model, points, rng)
        seen = noisy(truth, points, 1.0, rng)
        held = IdentityPrior(truth.identity, 1e9 * np.eye(12))
        one = fit_face(small_model, seen, CAMERA, code=truth.identity, stopping=EXACT)
        other = fit_face(small_model, seen, CAMERA, identity=held, stopping=EXACT)
        np.testing.assert_array_equal(one.identity, truth.identity)
        np.testing.assert_allclose(one.expression, other.expression, atol=1e-3)
        assert angle_between(one.rotation, other.rotation) < 1e-4
        assert np.linalg.norm(one.translation - other.translation) < 0.05


def test_exact_points_of_a_known_person_give_back_the_distance(small_model: FaceModel) -> None:
    rng = np.random.default_rng(4)
    points = front_points(small_model, 150, rng)
    truth = photographed(small_model, points, rng)
    face = fit_face(
        small_model, Observations(truth.pixels, 1e-4, points), CAMERA, code=truth.identity, stopping=EXACT
    )
    assert np.linalg.norm(face.translation - truth.translation) < 0.5
    np.testing.assert_allclose(face.expression, truth.expression, atol=0.02)
    assert not face.covariance.any()
    assert face.joint_covariance().shape == (58, 58)


def test_a_known_person_in_several_photos(small_model: FaceModel) -> None:
    rng = np.random.default_rng(5)
    points = front_points(small_model, 150, rng)
    truth = [photographed(small_model, points, rng, identity=np.ones(12)) for _ in range(3)]
    seen = [noisy(one, points, 1.0, rng) for one in truth]
    person = fit_person(small_model, seen, [CAMERA] * 3, code=np.ones(12), photo_freedom=None, stopping=EXACT)
    for face, one in zip(person.faces, seen, strict=True):
        alone = fit_face(small_model, one, CAMERA, code=np.ones(12), stopping=EXACT)
        np.testing.assert_allclose(face.expression, alone.expression, atol=1e-3)
        assert np.linalg.norm(face.translation - alone.translation) < 0.05


def test_codes_that_do_not_fit_are_refused(small_model: FaceModel) -> None:
    seen = Observations(np.zeros((68, 2)), 1.0)
    with pytest.raises(ValueError, match="got both"):
        fit_face(small_model, seen, CAMERA, identity=IdentityPrior.population(small_model), code=np.zeros(12))
    with pytest.raises(ValueError, match=r"finite code \(12,\)"):
        fit_face(small_model, seen, CAMERA, code=np.zeros(11))

"""Offsets and covariances of a detector's points, learned from fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fit_data import CAMERA, front_points, photographed

from likeness.fit import ExpressionPrior, Observations, SurfacePoints, calibrate_offsets, fit_face, fit_person
from likeness.fit.calibration import PointCalibration
from likeness.model.face_model import FaceModel


def _detected(
    model: FaceModel, rng: np.random.Generator, error: np.ndarray, people: int, each: int
) -> tuple[SurfacePoints, np.ndarray, list[np.ndarray], np.ndarray]:
    """Points with true offsets, pixels of photos by a detector that errs by (P, 2, 2) root covariances in px."""
    ours = front_points(model, 60, rng)
    offsets = rng.normal(0, 2.0, (60, 3))
    theirs = replace(ours, offsets=offsets)
    pixels, who = [], np.repeat(np.arange(people), each)
    for _ in range(people):
        code = rng.standard_normal(12)
        for _ in range(each):
            weights = np.where(rng.random(52) < 0.05, 0.5, 0.0)
            truth = photographed(model, theirs, rng, identity=code, expression=weights)
            pixels.append(truth.pixels + (error @ rng.standard_normal((60, 2, 1)))[..., 0])
    return ours, offsets, pixels, who


def _calibrated(
    model: FaceModel, points: SurfacePoints, pixels: list[np.ndarray], who: np.ndarray | None, rounds: int = 4
) -> PointCalibration:
    calibration = PointCalibration(points, np.tile(4 * np.eye(2), (len(points), 1, 1)), 1.0)
    for _ in range(rounds):
        fits = [fit_face(model, calibration.observe(model, one), CAMERA) for one in pixels]
        calibration = calibrate_offsets(fits, who)
    return calibration


def test_offsets_and_errors_are_found(small_model: FaceModel) -> None:
    rng = np.random.default_rng(0)
    error = np.array([[1.0, 0.0], [0.3, 0.6]]) * rng.uniform(0.7, 2.0, (60, 1, 1))
    points, offsets, pixels, _ = _detected(small_model, rng, error, 30, 2)
    found = _calibrated(small_model, points, pixels, None)
    left = found.points.offsets - offsets
    assert np.abs(left.mean(0)).max() < 1.5  # what moves all points is nearly a pose
    assert np.sqrt((left**2).mean()) < 0.7 * np.sqrt((offsets**2).mean())
    true = error @ error.transpose(0, 2, 1) / 1.5**2  # about 1.5 px per mm
    sizes = [np.trace(c, axis1=1, axis2=2) for c in (found.covariance, true)]
    assert np.corrcoef(*sizes)[0, 1] > 0.8
    assert 0.7 < sizes[0].sum() / sizes[1].sum() < 1.5
    assert (found.covariance[:, 0, 1] > 0).mean() > 0.8


def test_calibrated_points_give_better_shapes(small_model: FaceModel) -> None:
    rng = np.random.default_rng(1)
    error = np.tile(np.eye(2), (60, 1, 1))
    points, offsets, pixels, _ = _detected(small_model, rng, error, 40, 1)
    calibration = _calibrated(small_model, points, pixels, None)
    misses = {"plain": 0.0, "calibrated": 0.0}
    for _ in range(10):
        truth = photographed(small_model, replace(points, offsets=offsets), rng)
        seen = truth.pixels + rng.normal(0, 1, (60, 2))
        plain = Observations(seen, 4.0, points)
        for name, observed in (("plain", plain), ("calibrated", calibration.observe(small_model, seen))):
            away = fit_face(small_model, observed, CAMERA).identity - truth.identity
            misses[name] += float(np.linalg.norm(small_model.geometry(away)))
    assert misses["calibrated"] < 0.8 * misses["plain"]


def test_errors_in_common_inflate(small_model: FaceModel) -> None:
    """Independent errors need no inflation; errors that neighbouring points share do, by people seen twice."""
    rng = np.random.default_rng(2)
    points = front_points(small_model, 60, rng)
    places = points.bases(small_model).mean
    near = np.exp(-((places[:, None] - places) ** 2).sum(-1) / (2 * 20.0**2))
    mix = np.linalg.cholesky(near + 1e-6 * np.eye(60))
    inflations, rest = [], ExpressionPrior.neutral(52)
    for together in (False, True):
        fits, who = [], []
        for person in range(40):
            code = rng.standard_normal(12)
            for _ in range(2):
                truth = photographed(small_model, points, rng, identity=code, expression=np.zeros(52))
                noise = 2 * rng.standard_normal((60, 2))
                seen = truth.pixels + (mix @ noise if together else noise)
                fits.append(fit_face(small_model, Observations(seen, 4.0, points), CAMERA, expression=rest))
                who.append(person)
        inflations.append(calibrate_offsets(fits, who).inflation)
    assert inflations[0] < 1.5
    assert inflations[1] > 1.6 * inflations[0]


def test_covariances_turn_and_grow_with_the_head(small_model: FaceModel) -> None:
    points = front_points(small_model, 40, np.random.default_rng(3))
    calibration = PointCalibration(points, np.tile(np.diag([1.0, 4.0]), (40, 1, 1)), 1.0)
    front = points.bases(small_model).mean[:, :2] * [1, -1]
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    upright, turned = (calibration.observe(small_model, 3.0 * front @ turn.T) for turn in (np.eye(2), quarter))
    np.testing.assert_allclose(upright.covariance, np.tile(np.diag([9.0, 36.0]), (40, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(turned.covariance, np.tile(np.diag([36.0, 9.0]), (40, 1, 1)), atol=1e-6)


def test_fits_of_several_photos_are_refused(small_model: FaceModel) -> None:
    rng = np.random.default_rng(4)
    points = front_points(small_model, 40, rng)
    seen = [Observations(photographed(small_model, points, rng).pixels, 1.0, points) for _ in range(2)]
    person = fit_person(small_model, seen, [CAMERA] * 2)
    with pytest.raises(ValueError, match="one photo each"):
        calibrate_offsets(person.faces)
    with pytest.raises(ValueError, match="people"):
        calibrate_offsets([fit_face(small_model, seen[0], CAMERA)], [0, 1])

"""Points of one photo -> coefficients: recovery, derivatives, calibration, bounds, invariances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fit_data import CAMERA, angle_between, front_points, noisy, photographed

from likeness.assets import asset
from likeness.fit import (
    IBUG,
    ExpressionPrior,
    FocalPrior,
    IdentityPrior,
    LandmarkPoints,
    Observations,
    RobustLoss,
    Start,
    Stopping,
    SurfacePoints,
    fit_face,
    vertex_std,
)
from likeness.fit.initial_pose import initial_pose
from likeness.fit.photo_terms import Detail, PhotoState, PhotoTerms
from likeness.fit.points import bases_of
from likeness.fit.problem import Problem, State
from likeness.geometry.camera import Camera
from likeness.model.face_model import FaceModel

EXACT = Stopping(1e-12, 200)


@pytest.fixture(scope="module")
def real_model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


def test_exact_points_give_back_everything_but_size(small_model: FaceModel) -> None:
    rng = np.random.default_rng(0)
    points = front_points(small_model, 120, rng)
    for _ in range(3):
        truth = photographed(small_model, points, rng)
        weak = IdentityPrior(np.zeros(12), 1e-6 * np.eye(12))
        free = ExpressionPrior.sparse(52, rate=1e-6, spread=1e3)
        seen = Observations(truth.pixels, 1e-4, points)
        face = fit_face(small_model, seen, CAMERA, identity=weak, expression=free, stopping=EXACT)
        found, real = face.vertices().astype(float), small_model.vertices(truth.identity, truth.expression)
        size = face.translation[2] / truth.translation[2]
        assert face.minimum.converged
        assert np.abs(face.residuals[0]).max() < 1e-3
        assert angle_between(face.rotation, truth.rotation) < 1e-3
        assert np.abs(face.translation / size - truth.translation).max() < 0.5
        face_region = small_model.topology.regions["face"]
        assert np.abs(found / size - real)[face_region].max() < 0.5


def test_gradient_and_jacobian_are_the_derivatives(small_model: FaceModel) -> None:
    rng = np.random.default_rng(1)
    sets = [front_points(small_model, 30, rng), IBUG]
    truths = [photographed(small_model, points, rng, yaw=0.5) for points in sets]
    seen = tuple(
        Observations(
            truth.pixels + rng.normal(0, 3, truth.pixels.shape),
            np.array([[2.0, 0.7], [0.7, 1.0]]) * rng.uniform(0.5, 2, (len(points), 1, 1)),
            points,
            rng.uniform(0, 1, len(points)),
            loss,
        )
        for points, truth, loss in zip(
            sets, truths, (RobustLoss("student", 3.0), RobustLoss("geman", 4.0)), strict=True
        )
    )
    bases = tuple(bases_of(small_model, o.points) for o in seen)
    terms = PhotoTerms(bases, seen, CAMERA, ExpressionPrior.sparse(52), FocalPrior(0.2), photo_freedom=5.0)
    problem = Problem(IdentityPrior.population(small_model), (terms,))
    truth = truths[0]
    photo = PhotoState(rng.uniform(0.2, 0.8, 52), truth.rotation, truth.translation, 1.1 * CAMERA.focal)
    state = State(truth.identity, (photo,))
    cost = problem.cost(state, (20.0,))
    rows = [tuple(points.rows for points in cost.photos[0].seen)]
    analytic = np.concatenate([cost.gradient, cost.photos[0].gradient])

    def at(step: np.ndarray) -> State:
        return State(state.identity + step[:12], (photo.moved(step[12:], terms.expression_prior),))

    size = 1e-5
    jacobians = [
        terms.jacobian(b, o, points, photo) / np.sqrt(points.weight)[:, None, None]
        for b, o, points in zip(bases, seen, cost.photos[0].seen, strict=True)
    ]
    for number, step in enumerate(size * np.eye(12 + 52 + 7)):
        up, down = (problem.cost(at(sign * step), (20.0,), rows) for sign in (1, -1))
        slope = (up.total - down.total) / (2 * size)
        assert slope == pytest.approx(analytic[number], rel=1e-5, abs=1e-4)
        for which, jacobian in enumerate(jacobians):
            change = (up.photos[0].seen[which].white - down.photos[0].seen[which].white) / (2 * size)
            np.testing.assert_allclose(jacobian[..., number], change, rtol=1e-5, atol=1e-4)


def test_float32_matrix_is_the_float64_matrix_and_coarse_its_first_modes(real_model: FaceModel) -> None:
    rng = np.random.default_rng(2)
    points = front_points(real_model, 90, rng)
    truth = photographed(real_model, points, rng)
    terms = PhotoTerms(
        (bases_of(real_model, points),), (noisy(truth, points, 1.0, rng),), CAMERA, ExpressionPrior.sparse(52)
    )
    photo = PhotoState(truth.expression, truth.rotation, truth.translation, CAMERA.focal)
    cost = terms.cost(truth.identity, photo)
    double, single, coarse = (
        terms.normal(cost, photo, detail) for detail in (Detail.DOUBLE, Detail.SINGLE, Detail.COARSE)
    )
    root = np.sqrt(np.maximum(double.diagonal(), 1e-3))  # the tongue moves no point of the face
    scale = np.outer(root, root)
    assert np.abs((single - double) / scale).max() < 1e-5
    kept = np.r_[:64, 128 : len(double)]
    assert np.abs((coarse - double[np.ix_(kept, kept)]) / scale[np.ix_(kept, kept)]).max() < 1e-5


@pytest.mark.parametrize("known", [False, True])
def test_rounded_points_find_the_same_face(real_model: FaceModel, known: bool) -> None:
    rng = np.random.default_rng(8)
    points = front_points(real_model, 200, rng)
    truth = photographed(real_model, points, rng)
    seen, code = noisy(truth, points, 1.0, rng), truth.identity if known else None
    stopping = Stopping(1e-6, 100)
    exact, near = (
        fit_face(real_model, seen, CAMERA, stopping=stopping, code=code, rounded=rounded) for rounded in (False, True)
    )
    np.testing.assert_allclose(near.identity, exact.identity, atol=0.02)  # of deviations of about one
    np.testing.assert_allclose(near.expression, exact.expression, atol=2e-3)
    assert angle_between(near.rotation, exact.rotation) < 1e-4
    np.testing.assert_allclose(near.covariance, exact.covariance, atol=0.02)


def test_posterior_is_calibrated(real_model: FaceModel) -> None:
    """Codes and weights from the priors, noise as stated: chi² is K, truth on prediction has slope 1, size too."""
    rng = np.random.default_rng(3)
    points, prior = front_points(real_model, 200, rng), ExpressionPrior.sparse(52, 6.0, 0.5)
    chi, above, below = [], 0.0, 0.0
    for _ in range(24):
        weights = np.minimum(rng.exponential(1 / 7.0, 52), 1.0)
        truth = photographed(real_model, points, rng, expression=weights)
        face = fit_face(real_model, noisy(truth, points, 1.5, rng), CAMERA, expression=prior)
        away = truth.identity - face.identity
        chi.append(away @ np.linalg.solve(face.covariance, away))
        above += real_model.geometry(face.identity) @ real_model.geometry(truth.identity)
        below += real_model.geometry(face.identity) @ real_model.geometry(face.identity)
    size = len(truth.identity)
    assert np.mean(chi) == pytest.approx(size, abs=5 * np.sqrt(2 * size / len(chi)))
    assert above / below == pytest.approx(1.0, abs=0.1)


def test_an_unsure_face_lies_nearer_the_mean(real_model: FaceModel) -> None:
    rng = np.random.default_rng(4)
    points = front_points(real_model, 200, rng)
    truth = photographed(real_model, points, rng)
    noise = rng.standard_normal(truth.pixels.shape)
    lengths, spreads = [], []
    for sigma in (0.3, 3.0, 30.0):
        face = fit_face(real_model, Observations(truth.pixels + sigma * noise, sigma**2, points), CAMERA)
        lengths.append(np.linalg.norm(face.identity))
        spreads.append(vertex_std(real_model.identity_basis, face.covariance).mean())
    assert lengths[0] > lengths[1] > lengths[2]
    assert spreads[0] < spreads[1] < spreads[2] < vertex_std(real_model.identity_basis, np.eye(128)).mean()


def test_vertex_std_is_the_spread_of_samples(small_model: FaceModel) -> None:
    rng = np.random.default_rng(5)
    mix = rng.standard_normal((12, 12)) / 4
    samples = rng.standard_normal((4000, 12)) @ mix.T
    shapes = small_model.vertices(samples) - small_model.mean
    expected = np.sqrt((shapes**2).mean((0, 2)))
    np.testing.assert_allclose(vertex_std(small_model.identity_basis, mix @ mix.T), expected, rtol=0.06)


def test_weights_stay_within_their_bounds(small_model: FaceModel) -> None:
    rng = np.random.default_rng(6)
    points = front_points(small_model, 120, rng)
    truth = photographed(small_model, points, rng)
    face = fit_face(small_model, noisy(truth, points, 2.0, rng), CAMERA, stopping=EXACT)
    assert (face.expression >= 0).all()
    assert (face.expression <= 1).all()
    assert ((face.expression == 0).sum()) > 10
    gradient = face.minimum.cost.photos[0].gradient[:52]
    inside = (face.expression > 0) & (face.expression < 1)
    assert np.abs(gradient[inside]).max() < 1e-2
    assert (gradient[face.expression == 0] > -1e-2).all()
    neutral = fit_face(small_model, noisy(truth, points, 2.0, rng), CAMERA, expression=ExpressionPrior.neutral(52))
    assert not neutral.expression.any()
    assert np.isfinite(neutral.covariance).all()


def test_order_and_repetition_do_not_matter(small_model: FaceModel) -> None:
    rng = np.random.default_rng(7)
    points = front_points(small_model, 80, rng)
    seen = noisy(photographed(small_model, points, rng), points, 1.0, rng)
    order = rng.permutation(80)
    shuffled = SurfacePoints(points.vertices[order], points.weights[order])
    twice = SurfacePoints(np.tile(points.vertices, (2, 1)), np.tile(points.weights, (2, 1)))
    once = fit_face(small_model, seen, CAMERA, stopping=EXACT)
    for other in (
        Observations(seen.pixels[order], 1.0, shuffled),
        Observations(np.tile(seen.pixels, (2, 1)), 2.0, twice),
        [Observations(seen.pixels, 2.0, points)] * 2,
        Observations(seen.pixels, 0.5, points, np.full(80, 0.5)),
        Observations(seen.pixels, np.tile(np.eye(2), (80, 1, 1)), points),
    ):
        again = fit_face(small_model, other, CAMERA, stopping=EXACT)
        np.testing.assert_allclose(again.identity, once.identity, atol=1e-4)
        np.testing.assert_allclose(again.covariance, once.covariance, atol=1e-4)


def test_points_that_are_not_seen_do_not_count(small_model: FaceModel) -> None:
    rng = np.random.default_rng(8)
    truth = photographed(small_model, IBUG, rng)
    seen = noisy(truth, IBUG, 1.0, rng)
    inner = np.arange(68) >= 17
    hidden = seen.pixels.copy()
    hidden[~inner] = np.nan
    wild = np.where(inner[:, None], seen.pixels, 1e4)
    a = fit_face(small_model, Observations(hidden, 1.0), CAMERA, stopping=EXACT)
    b = fit_face(small_model, Observations(wild, 1.0, weight=inner.astype(float)), CAMERA, stopping=EXACT)
    np.testing.assert_allclose(a.identity, b.identity, atol=1e-6)


def test_the_network_posterior_is_where_a_fit_without_news_ends(small_model: FaceModel) -> None:
    rng = np.random.default_rng(9)
    code = rng.standard_normal(12)
    prior = IdentityPrior.from_network(code, 0.3, shrink=0.8)
    truth = photographed(small_model, IBUG, rng, identity=code)
    face = fit_face(small_model, noisy(truth, IBUG, 500.0, rng), CAMERA, identity=prior)
    np.testing.assert_allclose(face.identity, 0.8 * code, atol=0.05)
    np.testing.assert_allclose(face.covariance, 0.3 * np.eye(12), atol=0.05)


def test_a_start_from_elsewhere_ends_in_the_same_place(small_model: FaceModel) -> None:
    rng = np.random.default_rng(10)
    points = front_points(small_model, 120, rng)
    truth = photographed(small_model, points, rng)
    seen = noisy(truth, points, 1.0, rng)
    start = Start(truth.rotation, truth.translation, truth.expression)
    a = fit_face(small_model, seen, CAMERA, stopping=EXACT)
    b = fit_face(small_model, seen, CAMERA, start=start, stopping=EXACT)
    np.testing.assert_allclose(a.identity, b.identity, atol=1e-2)
    np.testing.assert_allclose(a.expression, b.expression, atol=1e-2)


def test_size_and_distance_are_one(small_model: FaceModel) -> None:
    """A larger head farther away gives the same picture: nothing but the prior says how large it is."""
    rng = np.random.default_rng(11)
    points = front_points(small_model, 120, rng)
    truth = photographed(small_model, points, rng)
    larger = replace(
        small_model,
        mean=small_model.mean * 1.3,
        identity_basis=small_model.identity_basis * 1.3,
        expression_basis=small_model.expression_basis * 1.3,
    )
    seen = noisy(truth, points, 1.0, rng)
    a = fit_face(small_model, seen, CAMERA, stopping=EXACT)
    b = fit_face(larger, seen, CAMERA, stopping=EXACT)
    np.testing.assert_allclose(b.residuals[0], a.residuals[0], atol=1e-2)
    np.testing.assert_allclose(b.translation, 1.3 * a.translation, rtol=1e-3)
    np.testing.assert_allclose(b.identity, a.identity, atol=1e-2)


def test_focal_length_and_distance_are_nearly_one(small_model: FaceModel) -> None:
    """Seen from the front a face tells f / t_z well and f hardly: the prior holds it; from near it tells more."""
    rng = np.random.default_rng(12)
    points = front_points(small_model, 120, rng)
    prior = FocalPrior(0.3)
    unsure = []
    for depth in (2500.0, 300.0):
        truth = photographed(small_model, points, rng, yaw=0.0)
        camera = Camera(1500.0 * depth / 1000, CAMERA.center, CAMERA.size)
        placed = points.bases(small_model).positions(np.concatenate([truth.identity, truth.expression]))
        pixels = camera.project(placed @ truth.rotation.T + [0.0, 20.0, depth])
        seen = Observations(pixels + rng.normal(0, 0.7, pixels.shape), 0.49, points)
        wrong = Camera(1.2 * camera.focal, camera.center, camera.size)
        face = fit_face(small_model, seen, wrong, focal=prior)
        spread = np.sqrt(face.joint_covariance()[-1, -1])
        assert abs(np.log(face.camera.focal / camera.focal)) < 4 * spread
        scale = face.camera.focal / face.translation[2] / (camera.focal / depth)
        assert 0.9 < scale < 1.1
        unsure.append(spread)
    assert unsure[0] > 0.5 * prior.spread
    assert unsure[0] > 1.4 * unsure[1]


def test_contour_points_that_slide_recover_turned_heads_better(real_model: FaceModel) -> None:
    rng = np.random.default_rng(13)
    lines = real_model.landmark_map
    first = lines.contour_index(
        Camera.from_crop_size(256).project(
            real_model.landmark_points(np.zeros(128)) @ np.diag([1, -1, -1]) + [0, 0, 900]
        ),
        np.diag([1.0, -1.0, -1.0]),
    )
    frontal = lines.contour_vertices[np.arange(17), first], lines.contour_weights[np.arange(17), first]
    fixed = SurfacePoints(
        np.concatenate([frontal[0], lines.inner_vertices]), np.concatenate([frontal[1], lines.inner_weights])
    )
    errors = {"slides": [], "fixed": []}
    for _ in range(12):
        truth = photographed(real_model, IBUG, rng, yaw=rng.choice([-1, 1]) * 0.6)
        pixels = truth.pixels + rng.normal(0, 1.0, (68, 2))
        for name, points in (("slides", IBUG), ("fixed", fixed)):
            face = fit_face(real_model, Observations(pixels, 1.0, points), CAMERA)
            errors[name].append(np.linalg.norm(real_model.geometry(face.identity - truth.identity)))
    assert np.mean(errors["slides"]) < 0.9 * np.mean(errors["fixed"])


def test_offsets_move_what_is_seen(small_model: FaceModel) -> None:
    rng = np.random.default_rng(14)
    offsets = rng.normal(0, 3, (68, 3))
    plain, moved = photographed(small_model, IBUG, np.random.default_rng(1)), LandmarkPoints(offsets)
    bases, shape = bases_of(small_model, moved), np.concatenate([plain.identity, plain.expression])
    points = bases.positions(shape)
    rows = bases.selected(CAMERA.project(points @ plain.rotation.T + plain.translation), plain.rotation)
    without = bases_of(small_model, IBUG).positions(shape)[rows]
    np.testing.assert_allclose(points[rows] - without, offsets, atol=1e-9)


def test_outliers_lose_their_say(small_model: FaceModel) -> None:
    rng = np.random.default_rng(15)
    points = front_points(small_model, 150, rng)
    truth = photographed(small_model, points, rng)
    pixels = truth.pixels + rng.normal(0, 1.0, truth.pixels.shape)
    spoiled = pixels.copy()
    wild = rng.choice(150, 20, replace=False)
    spoiled[wild] += rng.normal(0, 60, (20, 2))

    def miss(face: object) -> float:
        return float(np.linalg.norm(small_model.geometry(face.identity - truth.identity)))  # type: ignore[attr-defined]

    clean = miss(fit_face(small_model, Observations(pixels, 1.0, points), CAMERA))
    plain = miss(fit_face(small_model, Observations(spoiled, 1.0, points), CAMERA))
    for kind in ("student", "geman"):
        face = fit_face(small_model, Observations(spoiled, 1.0, points, loss=RobustLoss(kind, 4.0)), CAMERA)
        assert miss(face) < 0.5 * plain
        assert miss(face) < 1.5 * clean + 0.3


def test_initial_pose_is_exact_for_the_right_shape(small_model: FaceModel) -> None:
    rng = np.random.default_rng(16)
    points = front_points(small_model, 60, rng)
    truth = photographed(small_model, points, rng, yaw=0.6)
    shape = points.bases(small_model).positions(np.concatenate([truth.identity, truth.expression]))
    rotation, translation = initial_pose(shape, truth.pixels, np.ones(60), CAMERA)
    assert angle_between(rotation, truth.rotation) < 0.03
    assert np.abs(translation / truth.translation - 1)[2] < 0.03


@pytest.mark.parametrize(
    "wrong",
    [
        {"pixels": np.zeros((67, 2))},
        {"covariance": -1.0},
        {"covariance": np.ones(3)},
        {"covariance": np.full((68, 2, 2), 1.0)},
        {"weight": np.full(68, -1.0)},
        {"weight": np.zeros(68)},
        {"pixels": np.full((68, 2), np.nan)},
    ],
)
def test_observations_that_do_not_fit_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        Observations(**({"pixels": np.zeros((68, 2)), "covariance": 1.0} | wrong))


def test_points_and_priors_that_do_not_fit_are_refused(small_model: FaceModel) -> None:
    seen = Observations(np.zeros((2, 2)), 1.0, SurfacePoints.at_vertices(np.array([0, 1])))
    with pytest.raises(ValueError, match="at least 3 points"):
        fit_face(small_model, seen, CAMERA)
    with pytest.raises(ValueError, match="vertices below"):
        SurfacePoints.at_vertices(np.array([10**6])).bases(small_model)
    with pytest.raises(ValueError, match="prior of 12"):
        fit_face(
            small_model, Observations(np.ones((68, 2)), 1.0), CAMERA, identity=IdentityPrior(np.zeros(3), np.eye(3))
        )
    with pytest.raises(ValueError, match="positive definite"):
        IdentityPrior(np.zeros(2), np.diag([1.0, -1.0]))

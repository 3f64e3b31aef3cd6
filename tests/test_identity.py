"""Laws of identity spaces and of the geometry metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import FaceModel, GaussianSpace
from likeness.geometry.rotation import rotation_from_vector
from likeness.mesh import Mesh
from likeness.model.identity import GeometryMetric, Lift, SphereSpace


@given(st.integers(1, 40), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_distance_is_a_metric(size: int, seed: int) -> None:
    space = GaussianSpace(size)
    a, b, c = space.sample(3, np.random.default_rng(seed)).astype(np.float64)
    assert space.distance(a, a) == 0
    assert np.isclose(space.distance(a, b), space.distance(b, a))
    assert space.distance(a, c) <= space.distance(a, b) + space.distance(b, c) + 1e-9


def test_fuse_is_the_mean_and_one_photo_stays_itself() -> None:
    space = GaussianSpace(5)
    codes = space.sample(4, np.random.default_rng(0)).astype(np.float64)
    np.testing.assert_allclose(space.fuse(codes), codes.mean(0))
    np.testing.assert_allclose(space.fuse(codes[:1]), codes[0])
    np.testing.assert_allclose(space.fuse(codes, np.array([0.0, 0.0, 2.0, 0.0])), codes[2])


def test_samples_have_unit_variance() -> None:
    codes = GaussianSpace(20).sample(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(codes.std(0), 1, atol=0.03)


def test_numpy_and_torch_agree() -> None:
    torch = pytest.importorskip("torch")
    space = GaussianSpace(6)
    a, b = space.sample(2, np.random.default_rng(3))
    assert np.isclose(space.distance(a, b), float(space.distance(torch.tensor(a), torch.tensor(b))), atol=1e-6)


def test_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\.\.\., 5"):
        GaussianSpace(5).distance(np.zeros(5), np.zeros(6))


@given(st.integers(1, 12), st.integers(2, 30), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_embedding_distance_is_rms_vertex_distance(modes: int, count: int, seed: int) -> None:
    """Also for bases that are not orthogonal and for regions that leave vertices out."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((modes, count, 3))
    weights = rng.random(count) * (rng.random(count) > 0.3) + 1e-3
    metric = GeometryMetric.from_basis(basis, weights)
    a, b = rng.standard_normal((2, modes))
    moved = ((np.tensordot(a - b, basis, 1) ** 2).sum(-1) * weights).sum() / weights.sum()
    np.testing.assert_allclose(metric.distance(a, b), np.sqrt(moved), rtol=1e-5)


def test_weights_must_fit() -> None:
    with pytest.raises(ValueError, match="weights"):
        GeometryMetric.from_basis(np.zeros((2, 5, 3)), np.ones(4))


def test_the_embedding_of_tensors_carries_gradients() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    metric = GeometryMetric.from_basis(rng.standard_normal((4, 9, 3)), np.ones(9))
    codes = torch.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    np.testing.assert_allclose(metric.embed(codes).detach(), metric.embed(codes.detach().numpy()), atol=1e-12)
    assert torch.autograd.gradcheck(metric.embed, codes)


def test_spread_is_half_the_expected_squared_distance() -> None:
    rng = np.random.default_rng(1)
    metric = GeometryMetric.from_basis(rng.standard_normal((6, 20, 3)), np.ones(20))
    a, b = rng.standard_normal((2, 40_000, 6))
    np.testing.assert_allclose((metric.distance(a, b) ** 2).mean(), 2 * metric.spread, rtol=0.02)


sizes_and_seeds = (st.integers(2, 130), st.integers(0, 10_000))


@given(*sizes_and_seeds)
@settings(max_examples=40, deadline=None)
def test_sphere_projection_is_radial_and_idempotent(size: int, seed: int) -> None:
    space = SphereSpace(size)
    codes = np.random.default_rng(seed).standard_normal((7, size)) * 3
    on = space.project(codes)
    np.testing.assert_allclose(np.linalg.norm(on, axis=-1), np.sqrt(size))
    np.testing.assert_allclose(space.project(on), on)
    np.testing.assert_allclose(space.project(2.5 * codes), on)
    assert ((on * codes).sum(-1) > 0).all()


def test_sphere_samples_are_uniform_with_unit_variance() -> None:
    codes = SphereSpace(30).sample(20_000, np.random.default_rng(0)).astype(float)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), np.sqrt(30), rtol=1e-6)
    np.testing.assert_allclose(codes.T @ codes / len(codes), np.eye(30), atol=0.04)


@given(*sizes_and_seeds, st.floats(1e-7, np.pi - 1e-7))
@settings(max_examples=60, deadline=None)
def test_sphere_distance_is_the_angle(size: int, seed: int, angle: float) -> None:
    """Also for angles whose cosine is 1 to all digits."""
    space = SphereSpace(size)
    a, other = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, 2)))[0].T
    b = np.cos(angle) * a + np.sin(angle) * other
    np.testing.assert_allclose(space.distance(3 * a, 0.2 * b), angle, rtol=1e-6)


@given(*sizes_and_seeds, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_interpolation_walks_the_great_circle_at_even_speed(size: int, seed: int, share: float) -> None:
    space = SphereSpace(size)
    a, b = space.sample(2, np.random.default_rng(seed)).astype(float)
    between = space.interpolate(a, b, share)
    whole = space.distance(a, b)
    np.testing.assert_allclose(space.distance(a, between), share * whole, atol=1e-6)
    np.testing.assert_allclose(space.distance(between, b), (1 - share) * whole, atol=1e-6)


def test_interpolation_ends_at_its_ends_and_bears_equal_codes() -> None:
    space = SphereSpace(9)
    a, b = space.sample(2, np.random.default_rng(2)).astype(float)
    np.testing.assert_allclose(space.interpolate(a, b, 0.0), a)
    np.testing.assert_allclose(space.interpolate(a, b, 1.0), b)
    np.testing.assert_allclose(space.interpolate(a, a, 0.3), a)
    with pytest.raises(ValueError, match="opposite"):
        space.interpolate(a, -a, 0.5)
    straight = GaussianSpace(9).interpolate(a, b, 0.25)
    np.testing.assert_allclose(straight, 0.75 * a + 0.25 * b)


def test_fusing_on_the_sphere_follows_the_weights_and_the_rotation() -> None:
    space = SphereSpace(12)
    rng = np.random.default_rng(4)
    codes, weights = space.sample(5, rng).astype(float), rng.random(5)
    fused = space.fuse(codes, weights)
    np.testing.assert_allclose(np.linalg.norm(fused), np.sqrt(12))
    turn = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    np.testing.assert_allclose(space.fuse(codes @ turn, weights), fused @ turn, atol=1e-9)
    np.testing.assert_allclose(space.fuse(codes, np.array([0.0, 0, 3, 0, 0])), codes[2])
    np.testing.assert_allclose(space.fuse(7 * codes, weights), fused)
    with pytest.raises(ValueError, match="cancel"):
        space.fuse(np.stack([codes[0], -codes[0]]))
    for bad in (np.array([1.0, 1.0]), -weights, 0 * weights):
        with pytest.raises(ValueError, match="weights"):
            space.fuse(codes, bad)


def test_sphere_numpy_and_torch_agree_with_gradients() -> None:
    torch = pytest.importorskip("torch")
    space = SphereSpace(6)
    pair = space.sample(2, np.random.default_rng(3)).astype(float)
    a, b = (torch.tensor(code, requires_grad=True) for code in pair)
    np.testing.assert_allclose(space.distance(*pair), space.distance(a, b).detach())
    np.testing.assert_allclose(space.interpolate(*pair, 0.3), space.interpolate(a, b, 0.3).detach())
    np.testing.assert_allclose(space.fuse(pair), space.fuse(torch.stack([a, b])).detach())
    assert torch.autograd.gradcheck(space.distance, (a, b))
    assert torch.autograd.gradcheck(space.project, (a,))


@given(st.integers(1, 129), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_lift_leaves_every_shape_inside_the_ball_as_it_is(modes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lift = Lift(modes)
    basis = rng.normal(0, 3, (modes, 20, 3))
    codes = rng.standard_normal((8, modes))
    codes *= np.minimum(1, lift.ball / np.linalg.norm(codes, axis=1, keepdims=True))
    lifted = lift.codes(codes)
    np.testing.assert_allclose(np.linalg.norm(lifted, axis=-1), np.sqrt(modes + 1))
    before, after = np.tensordot(codes, basis, 1), np.tensordot(lifted, lift.basis(basis), 1)
    np.testing.assert_allclose(after, before, atol=1e-4)  # mm


def test_a_code_outside_the_ball_is_lifted_to_the_nearest_inside() -> None:
    lift = Lift(10)
    code = np.full(10, 5.0)
    lifted = lift.codes(code)
    assert lifted[-1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(np.linalg.norm(lifted), np.sqrt(11))


@pytest.mark.parametrize("modes", [5, 39, 127])
def test_the_ball_holds_999_of_1000_codes(modes: int) -> None:
    chi2 = pytest.importorskip("scipy.stats").chi2
    assert chi2.cdf(Lift(modes).ball ** 2, modes) == pytest.approx(0.999, abs=3e-4)


def test_a_lifted_model_keeps_its_shapes_and_its_file(small_model: FaceModel, tmp_path: Path) -> None:
    lifted = small_model.lifted()
    codes = np.random.default_rng(5).standard_normal((4, len(small_model.identity_basis)))
    on_sphere = Lift(codes.shape[1]).codes(codes)
    np.testing.assert_allclose(lifted.vertices(on_sphere), small_model.vertices(codes), atol=1e-3)
    assert lifted.space == SphereSpace(codes.shape[1] + 1)
    lifted.save(tmp_path / "sphere.npz")
    assert FaceModel.load(tmp_path / "sphere.npz").space == lifted.space
    with pytest.raises(ValueError, match="Gaussian"):
        lifted.lifted()


def test_the_metric_of_a_region_sees_that_region_only(small_model: FaceModel) -> None:
    a, b = np.random.default_rng(6).standard_normal((2, len(small_model.identity_basis)))
    whole, face = small_model.metric_of(None), small_model.metric_of("face")
    np.testing.assert_allclose(face.embed(a), small_model.geometry(a))
    assert whole.distance(a, b) != pytest.approx(float(face.distance(a, b)))
    with pytest.raises(ValueError, match="region"):
        small_model.metric_of("moustache")


def _moved(points: np.ndarray, scale: float, turn: np.ndarray, shift: np.ndarray, step: float) -> np.ndarray:
    turned = points @ rotation_from_vector(step * turn).T
    return (1.0 + step * scale) * turned + step * shift


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_head_that_is_moved_turned_or_scaled_keeps_its_shape_to_first_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, weights = rng.normal(0, 50, (30, 3)), rng.uniform(0, 1, 30)
    scale, turn, shift = rng.normal(), rng.standard_normal(3), rng.normal(0, 20, 3)
    left = []
    for step in (1e-2, 1e-3):
        basis = (_moved(points, scale, turn, shift, step) - points)[None]
        whole, rest = (
            float(metric.distance(np.ones(1), np.zeros(1)))
            for metric in (GeometryMetric.from_basis(basis, weights), GeometryMetric.of_shape(basis, weights, points))
        )
        assert rest < 3 * step * whole * (1 + np.abs(turn).sum() + abs(scale))
        left.append(rest)
    assert left[1] <= 0.02 * left[0] + 1e-9  # a tenth of the step leaves a hundredth


def test_the_metric_of_shape_is_the_distance_after_the_best_similarity(small_model: FaceModel) -> None:
    weights = Mesh(small_model.mean, small_model.topology.triangles).vertex_areas()
    weights = weights * small_model.topology.regions["face"]
    face = weights > 0
    mean, root = small_model.mean[face].astype(float), np.sqrt(weights[face] / weights.sum())[:, None]
    for code in 1e-3 * np.random.default_rng(0).standard_normal((5, 12)):
        head = mean + np.tensordot(code, small_model.identity_basis[:, face].astype(float), 1)
        middle = [(root**2 * some).sum(0) for some in (mean, head)]
        a, b = (root * (some - center) for some, center in zip((mean, head), middle, strict=True))
        u, values, vt = np.linalg.svd(a.T @ b)
        assert np.linalg.det(u @ vt) > 0
        rest = b - values.sum() / (a * a).sum() * a @ u @ vt
        distance = float(small_model.shape_metric.distance(code, 0 * code))
        assert distance == pytest.approx(float(np.linalg.norm(rest)), rel=0.01)
        assert distance < float(small_model.metric.distance(code, 0 * code))


def test_positions_must_be_those_of_the_basis() -> None:
    with pytest.raises(ValueError, match=r"expected positions \(4, 3\)"):
        GeometryMetric.of_shape(np.zeros((2, 4, 3)), np.ones(4), np.zeros((3, 3)))

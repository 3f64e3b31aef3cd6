"""Laws of identity spaces and of the geometry metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import GaussianSpace
from likeness.identity import GeometryMetric


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

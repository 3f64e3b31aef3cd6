"""Laws of compactness, generalisation, specificity, evenness and clustering."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from likeness.metrics import Samples, clustering, code_statistics, compactness, generalisation, specificity
from likeness.metrics.shape_space import identity_centres, uniformity_of_uniform
from likeness.model.face_model import FaceModel
from likeness.model.identity import SphereSpace


def turned(model: FaceModel, seed: int = 0) -> FaceModel:
    """The same model with its code axes turned."""
    count = len(model.identity_basis)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((count, count)))[0]
    return replace(model, identity_basis=np.tensordot(turn, model.identity_basis, 1).astype(np.float32))


def others(model: FaceModel, count: int = 6) -> np.ndarray:
    """Shapes that the model was not made from: its own, bent a little."""
    shapes = model.vertices(model.space.sample(count, np.random.default_rng(5))).astype(np.float64)
    return shapes + 2 * np.sin(shapes / 15)


def test_compactness_is_the_variance_of_samples(small_model: FaceModel) -> None:
    found = compactness(small_model)
    codes = small_model.space.sample(20_000, np.random.default_rng(0))
    sampled = np.linalg.eigvalsh(np.cov(small_model.geometry(codes).T))[::-1]
    np.testing.assert_allclose(found.variance, sampled, rtol=0.06, atol=1e-3)
    assert found.variance.sum() == pytest.approx(small_model.metric.spread)
    assert (np.diff(found.share) >= 0).all()
    assert found.share[-1] == pytest.approx(1)
    assert found.modes_for(0) == 1
    assert found.modes_for(1) == 12
    assert found.share[found.modes_for(0.9) - 1] >= 0.9 > found.share[found.modes_for(0.9) - 2]


def test_compactness_is_of_the_shapes_not_of_their_axes(small_model: FaceModel) -> None:
    np.testing.assert_allclose(
        compactness(turned(small_model)).variance, compactness(small_model).variance, rtol=1e-4
    )


def test_shapes_of_the_model_are_represented_exactly(small_model: FaceModel) -> None:
    shapes = small_model.vertices(small_model.space.sample(5, np.random.default_rng(1)))
    found = generalisation(small_model, shapes, [0, 6, 12])
    assert found.errors[2].max() < 1e-4
    assert found.valid_errors.max() < 1e-4
    assert (np.diff(found.errors, axis=0) <= 0).all()
    mean_error = found.errors[0] ** 2
    codes = np.linalg.norm(small_model.geometry(np.zeros(12)) - 0)
    assert codes == 0
    assert (mean_error > 1).all()


def test_generalisation_is_least_squares(small_model: FaceModel) -> None:
    shapes, weights = others(small_model), small_model.mesh(np.zeros(12)).vertex_areas()
    found = generalisation(small_model, shapes, [12], region=None)
    scale = np.repeat(np.sqrt(weights / weights.sum()), 3)
    basis = small_model.identity_basis.reshape(12, -1) * scale
    for shape, error in zip(shapes, found.errors[0], strict=True):
        offset = (shape - small_model.mean).ravel() * scale
        codes = np.linalg.lstsq(basis.T, offset, rcond=None)[0]
        assert error == pytest.approx(np.linalg.norm(offset - codes @ basis), rel=1e-4)


def test_generalisation_does_not_depend_on_the_axes(small_model: FaceModel) -> None:
    a, b = (generalisation(m, others(small_model)) for m in (small_model, turned(small_model)))
    np.testing.assert_allclose(a.errors, b.errors, rtol=1e-3)
    assert a.modes[0] == 1
    assert a.modes[-1] == 12
    json.dumps(a.to_dict(), allow_nan=False)


def test_a_lifted_model_represents_what_it_did(small_model: FaceModel) -> None:
    """The lift loses nothing inside the ball, also among the codes that are really on the sphere."""
    shapes = others(small_model)
    before, after = (generalisation(m, shapes, [12]) for m in (small_model, small_model.lifted()))
    np.testing.assert_allclose(after.errors, before.errors, rtol=1e-4)
    np.testing.assert_allclose(after.valid_errors, before.valid_errors, rtol=1e-4)


def test_a_sphere_cannot_be_left(small_model: FaceModel) -> None:
    """Ten times the largest face is in the span of a lifted model but has no code."""
    codes = 10 * small_model.space.sample(3, np.random.default_rng(0))
    found = generalisation(small_model.lifted(), small_model.vertices(codes), [13])
    assert found.errors.max() < 0.01
    assert found.valid_errors.min() > 10


def test_specificity_against_many_samples_is_small(small_model: FaceModel) -> None:
    real = small_model.vertices(small_model.space.sample(300, np.random.default_rng(1)))
    few, many = (specificity(small_model, shapes, samples=200, seed=2) for shapes in (real[:5], real))
    assert many.mean < few.mean
    assert (many.samples, many.meshes) == (200, 300)
    own = small_model.vertices(small_model.space.sample(200, np.random.default_rng(2)))
    assert specificity(small_model, own, samples=200, seed=2).mean < 1e-2  # the samples themselves


def test_other_topologies_and_modes_are_refused(small_model: FaceModel) -> None:
    with pytest.raises(ValueError, match="282"):
        generalisation(small_model, np.zeros((2, 281, 3)))
    with pytest.raises(ValueError, match="282"):
        specificity(small_model, np.zeros((2, 281, 3)))
    with pytest.raises(ValueError, match="0 to 12"):
        generalisation(small_model, others(small_model), [13])
    with pytest.raises(ValueError, match="region"):
        generalisation(small_model, others(small_model), region="tail")
    with pytest.raises(ValueError, match="one sample"):
        specificity(small_model, others(small_model), samples=0)


@pytest.mark.parametrize("size", [2, 3, 20, 128])
def test_even_codes_are_as_even_as_can_be(size: int) -> None:
    codes = SphereSpace(size).sample(3000, np.random.default_rng(0))
    found = code_statistics(codes)
    assert found.uniformity == pytest.approx(found.uniform, abs=0.02)
    assert found.norm_variation == pytest.approx(0, abs=1e-6)
    assert found.norm_mean == pytest.approx(math.sqrt(size))


def test_uniformity_is_its_definition() -> None:
    codes = np.random.default_rng(0).standard_normal((30, 5))
    units = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    pairs = [np.exp(-2 * ((a - b) ** 2).sum()) for i, a in enumerate(units) for b in units[:i]]
    assert code_statistics(codes).uniformity == pytest.approx(math.log(np.mean(pairs)))


def test_codes_on_one_side_are_uneven() -> None:
    codes = np.random.default_rng(0).standard_normal((500, 10))
    uneven = code_statistics(codes + 5)
    assert uneven.uniformity > code_statistics(codes).uniformity + 1
    assert code_statistics(codes).norm_variation == pytest.approx(1 / math.sqrt(20), rel=0.1)
    assert uniformity_of_uniform(1) == pytest.approx(math.log((1 + math.exp(-8)) / 2))  # u·v is ±1


def test_statistics_need_two_codes_with_directions() -> None:
    with pytest.raises(ValueError, match="two codes"):
        code_statistics(np.ones((1, 3)))
    with pytest.raises(ValueError, match="direction"):
        code_statistics(np.zeros((3, 3)))


def test_centres_are_the_fused_codes(small_model: FaceModel) -> None:
    codes = small_model.space.sample(6, np.random.default_rng(0))
    centres, people = identity_centres(small_model, Samples(codes, np.array(list("bbaabb"))))
    assert people.tolist() == ["a", "b"]
    np.testing.assert_allclose(centres[0], codes[2:4].astype(np.float64).mean(0))


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_clusters_are_found_or_not(measure: str) -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 6)
    centres = rng.standard_normal((8, 10))[labels]
    tight = clustering(Samples(centres + 0.02 * rng.standard_normal((48, 10)), labels), measure)
    loose = clustering(Samples(rng.standard_normal((48, 10)), labels), measure)
    assert (tight.nmi, tight.rank1) == (pytest.approx(1), 1)
    assert tight.silhouette > 0.9 > 0.1 > loose.silhouette
    assert loose.nmi < 0.7
    assert loose.rank1 < 0.4
    assert clustering(Samples(centres, labels), measure, seed=3).people == 8


def test_what_cannot_be_clustered_is_refused() -> None:
    pytest.importorskip("sklearn")
    codes = np.random.default_rng(0).standard_normal((4, 3))
    with pytest.raises(ValueError, match="at least two people"):
        clustering(Samples(codes, np.zeros(4, int)))
    with pytest.raises(ValueError, match="more codes than people"):
        clustering(Samples(codes, np.arange(4)))
    with pytest.raises(ValueError, match="measure"):
        clustering(Samples(codes, np.array([0, 0, 1, 1])), "angle")

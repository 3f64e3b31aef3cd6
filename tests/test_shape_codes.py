"""Laws of codes of meshes: what a model made is found again, and no code on the space comes nearer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import FaceModel, FileError
from likeness.model.codes import ShapeEncoder, codes_of_vertices, importance, nearest_on_sphere


@pytest.mark.parametrize("space", ["gaussian", "sphere"])
@pytest.mark.parametrize("with_expression", [False, True])
def test_the_codes_of_a_models_own_shapes_are_found(
    small_model: FaceModel, space: str, with_expression: bool
) -> None:
    model = small_model.lifted() if space == "sphere" else small_model
    rng = np.random.default_rng(0)
    codes = model.space.sample(5, rng)
    weights = rng.random((5, 52)).astype(np.float32) * 0.5 if with_expression else None
    meshes = model.vertices(codes, weights)
    found = codes_of_vertices(model, meshes, with_expression=with_expression)
    assert found.identity.shape == codes.shape
    np.testing.assert_allclose(found.vertices, meshes, atol=0.05)  # mm
    # The small model's 12 identity fields are not spanned by its 52 expressions, so neutral shapes come back too.
    np.testing.assert_allclose(model.vertices(found.identity), model.vertices(codes), atol=0.3)


def test_an_expression_is_not_taken_for_identity_when_both_are_solved(small_model: FaceModel) -> None:
    code = small_model.space.sample(1, np.random.default_rng(1))[0]
    smiling = small_model.vertices(code, np.eye(52, dtype=np.float32)[23])
    plain = codes_of_vertices(small_model, smiling).identity
    joint = codes_of_vertices(small_model, smiling, with_expression=True).identity
    assert np.linalg.norm(joint - code) < 0.2 * np.linalg.norm(plain - code)


@given(st.integers(2, 12), st.integers(0, 10_000), st.sampled_from(["full", "null axis", "hard case", "inside"]))
@settings(max_examples=80, deadline=None)
def test_no_code_on_the_sphere_is_nearer(size: int, seed: int, kind: str) -> None:
    """Against many random codes and small moves; a null axis moves nothing (a lifted model has one), in the hard
    case nothing tells the direction of the weakest mode, inside the shape asked for is near the mean."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((size, 20)) * np.geomspace(3, 0.1, size)[:, None]
    if kind == "null axis":
        basis[-1] = 0
    normal = basis @ basis.T
    right = (rng.standard_normal((3, 20)) * (0.1 if kind == "inside" else 4)) @ basis.T
    if kind == "hard case":
        weakest = np.linalg.eigh(normal)[1][:, 0]
        right = 0.01 * (right - np.outer(right @ weakest, weakest))
    radius = np.sqrt(size)
    found = nearest_on_sphere(normal, right, radius)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), radius, rtol=1e-9)

    def cost(codes: np.ndarray) -> np.ndarray:
        return ((codes @ normal) * codes).sum(-1) - 2 * (codes * right).sum(-1)

    best = cost(found)
    for others in (rng.standard_normal((300, 3, size)), found + 1e-3 * rng.standard_normal((300, 3, size))):
        others = others * radius / np.linalg.norm(others, axis=-1, keepdims=True)
        assert (cost(others) >= best - 1e-9 * np.abs(best).max()).all()


def test_weights_decide_which_vertices_count(small_model: FaceModel) -> None:
    rng = np.random.default_rng(2)
    code = small_model.space.sample(1, rng)[0]
    mesh = small_model.vertices(code).copy()
    face = small_model.topology.regions["face"]
    mesh[~face] += rng.normal(0, 20, (int((~face).sum()), 3))
    found = codes_of_vertices(small_model, mesh, weights=face.astype(float))
    np.testing.assert_allclose(found.vertices[face], small_model.vertices(code)[face], atol=0.05)


def test_wrong_meshes_and_weights_are_the_callers_mistake(small_model: FaceModel) -> None:
    count = len(small_model.mean)
    with pytest.raises(ValueError, match="vertices"):
        codes_of_vertices(small_model, np.zeros((count + 1, 3)))
    with pytest.raises(ValueError, match="finite"):
        codes_of_vertices(small_model, np.full((count, 3), np.nan))
    with pytest.raises(ValueError, match="weights"):
        codes_of_vertices(small_model, small_model.mean, weights=np.zeros(count))


def test_importance_is_area_with_the_face_first(small_model: FaceModel) -> None:
    regions = small_model.topology.regions
    weights = importance(small_model.mean, small_model.topology.triangles, regions)
    plain = importance(small_model.mean, small_model.topology.triangles, {})
    assert weights.min() > 0
    hidden = regions["mouth"] | regions["eyes"]
    for mask, factor in ((regions["face"] & ~hidden, 4.0), (~regions["face"] & ~hidden, 1.0)):
        np.testing.assert_allclose(weights[mask], factor * plain[mask])
    assert (weights[hidden] < plain[hidden]).all()


def test_an_encoder_comes_back_from_its_file(small_model: FaceModel, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    encoder = ShapeEncoder(
        small_model.mean, rng.standard_normal((7, *small_model.mean.shape)).astype(np.float32), np.ones(7, np.float32)
    )
    encoder.save(tmp_path / "encoder.npz")
    meshes = small_model.vertices(small_model.space.sample(4, rng)).reshape(2, 2, -1, 3)
    codes = ShapeEncoder.load(tmp_path / "encoder.npz")(meshes)
    np.testing.assert_array_equal(codes, encoder(meshes))
    np.testing.assert_allclose(np.linalg.norm(codes, axis=-1), np.sqrt(7), rtol=1e-5)
    (tmp_path / "bad.npz").write_bytes(b"no encoder")
    with pytest.raises(FileError, match=r"bad\.npz"):
        ShapeEncoder.load(tmp_path / "bad.npz")

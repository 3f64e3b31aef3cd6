"""Laws of the face model: linear in its coefficients, the same through a file, isometric in its metric."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from likeness import ARKIT_NAMES, Coefficients, FaceModel, FileError
from likeness.mesh import Mesh


def random_codes(model: FaceModel, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, len(model.identity_basis))).astype(np.float32)


def test_arkit_has_52_different_names() -> None:
    assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52


def test_vertices_are_affine_in_identity_and_expression(small_model: FaceModel) -> None:
    a, b = random_codes(small_model, 2)
    weights = np.random.default_rng(1).random(52)
    mean = small_model.vertices(np.zeros_like(a))
    together = small_model.vertices(a + b, weights)
    apart = small_model.vertices(a) + small_model.vertices(b) + small_model.vertices(0 * a, weights) - 2 * mean
    np.testing.assert_allclose(together, apart, atol=1e-3)
    np.testing.assert_allclose(mean, small_model.mean, atol=1e-6)


def test_batches_equal_one_by_one(small_model: FaceModel) -> None:
    codes = random_codes(small_model, 6).reshape(2, 3, -1)
    batch = small_model.vertices(codes)
    assert batch.shape == (2, 3, *small_model.mean.shape)
    np.testing.assert_allclose(batch[1, 2], small_model.vertices(codes[1, 2]), atol=1e-4)


def test_landmark_points_are_gathered_vertices(small_model: FaceModel) -> None:
    code, weights = random_codes(small_model, 1)[0], np.linspace(0, 1, 52)
    direct = small_model.landmark_map.gather(small_model.vertices(code, weights))
    np.testing.assert_allclose(small_model.landmark_points(code, weights), direct, atol=1e-3)


def test_geometry_distance_is_the_rms_vertex_distance_of_the_face(small_model: FaceModel) -> None:
    codes = random_codes(small_model, 8)
    embedded = small_model.geometry(codes)
    vertices = small_model.vertices(codes).astype(np.float64)
    areas = Mesh(small_model.mean, small_model.topology.triangles).vertex_areas()
    weights = areas * small_model.topology.regions["face"]
    squared = ((vertices[0] - vertices[1:]) ** 2).sum(-1)
    direct = np.sqrt((squared * weights).sum(-1) / weights.sum())
    np.testing.assert_allclose(np.linalg.norm(embedded[0] - embedded[1:], axis=-1), direct, rtol=1e-4)


def test_albedo_is_reflectance_and_its_logs_add(small_model: FaceModel) -> None:
    weights = np.random.default_rng(2).normal(0, 0.1, len(small_model.albedo_names))
    albedo = small_model.albedo(weights)
    assert albedo.min() > 0
    assert albedo.max() <= 1
    log = small_model.albedo_mean + np.tensordot(weights, small_model.albedo_basis, 1)
    np.testing.assert_allclose(np.log(albedo), np.minimum(log, 0), atol=1e-4)


def test_a_saved_model_is_the_same_model(small_model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    small_model.save(path)
    loaded = FaceModel.load(path)
    code, weights = random_codes(small_model, 1)[0], np.linspace(0, 1, 52)
    np.testing.assert_allclose(loaded.vertices(code, weights), small_model.vertices(code, weights), atol=0.02)
    assert loaded.name == small_model.name
    assert loaded.albedo_names == small_model.albedo_names
    for name, mask in small_model.topology.regions.items():
        np.testing.assert_array_equal(loaded.topology.regions[name], mask)
    np.testing.assert_array_equal(loaded.topology.triangles, small_model.topology.triangles)


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5, 0.99])
def test_a_truncated_model_file_is_named(small_model: FaceModel, tmp_path: Path, keep: float) -> None:
    path = tmp_path / "model.npz"
    small_model.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 10 else keep * len(data))])
    with pytest.raises(FileError, match=r"model\.npz"):
        FaceModel.load(path)


def test_a_pickle_in_a_model_file_is_not_executed(small_model: FaceModel, tmp_path: Path) -> None:
    path, trap = tmp_path / "model.npz", tmp_path / "trap"

    class Bomb:
        def __reduce__(self) -> tuple:
            return (open, (str(trap), "w"))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    small_model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("bomb.npy", buffer.getvalue())
    with pytest.raises(FileError):
        FaceModel.load(path)
    assert not trap.exists()


def test_an_index_out_of_range_is_refused(small_model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    small_model.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["triangles"] = arrays["triangles"].copy()
    arrays["triangles"][0, 0] = 10**6
    np.savez(path, **arrays)
    with pytest.raises(FileError, match="triangles"):
        FaceModel.load(path)


def test_wrong_code_lengths_are_the_callers_mistake(small_model: FaceModel) -> None:
    with pytest.raises(ValueError, match="identity"):
        small_model.vertices(np.zeros(len(small_model.identity_basis) + 1))
    with pytest.raises(ValueError, match="expression"):
        small_model.vertices(np.zeros(len(small_model.identity_basis)), np.zeros(51))


def test_coefficients_share_their_batch() -> None:
    fields = {"identity": np.zeros((4, 7)), "expression": np.zeros((4, 52)), "albedo": np.zeros((4, 3))}
    batch = Coefficients(**fields, light=np.zeros((4, 9, 3)))
    assert batch[1].identity.shape == (7,)
    assert batch[1].light.shape == (9, 3)
    with pytest.raises(ValueError, match="light"):
        Coefficients(**fields, light=np.zeros((3, 9, 3)))

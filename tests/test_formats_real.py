"""ICT's and eos's real files, where they lie beside the repository; ICT's released folder, rebuilt from its data."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from likeness import ARKIT_NAMES, FaceModel
from likeness.mesh import Mesh
from likeness.model.formats import load_model

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
ICT, EOS = DATA / "ict-face-model.npz", DATA / "eos" / "sfm_shape_3448.bin"
needs_ict = pytest.mark.skipif(not ICT.is_file(), reason="the ICT model is not in ../shared/data")
needs_eos = pytest.mark.skipif(not EOS.is_file(), reason="eos's files are not in ../shared/data")


@pytest.fixture(scope="module")
def ict() -> FaceModel:
    return load_model(ICT)


@pytest.fixture(scope="module")
def surrey() -> FaceModel:
    return load_model(EOS)


def assert_a_face(model: FaceModel) -> None:
    """Our axes, millimetres, the origin between the eyes, the surface's outside outside."""
    points = model.landmark_map.gather(model.mean)[:51]
    right_eye, left_eye = points[19:25].mean(0), points[25:31].mean(0)
    assert right_eye[0] < -25 < 25 < left_eye[0]
    assert 55 < np.linalg.norm(left_eye - right_eye) < 75
    np.testing.assert_allclose((right_eye + left_eye)[:2], 0, atol=5)
    nose = points[13]
    assert nose[1] < 0 < nose[2]
    normals = Mesh(model.mean, model.topology.triangles).vertex_normals()
    assert normals[np.linalg.norm(model.mean - nose, axis=1).argmin()][2] > 0.7
    assert len(model.landmark_map.gather(model.mean)) == 51 + 17 * 14


def assert_contours_march(model: FaceModel) -> None:
    """Each line leads outwards and backwards; their ends go down from beside the eyes to the chin and up again."""
    lines = model.landmark_map.gather(model.mean)[51:].reshape(17, -1, 3)
    out = (lines * model.landmark_map.outward[:, None]).sum(-1)
    assert (out[:, -1] > out[:, 0] + 8).all()
    assert (lines[:, -1, 2] < lines[:, 0, 2]).all()
    heights = lines[:, -1, 1]
    assert (np.diff(heights[:9]) < 3).all()
    assert (np.diff(heights[8:]) > -3).all()


@needs_ict
def test_ict_is_its_own_formula(ict: FaceModel) -> None:
    arrays = np.load(ICT)
    rng = np.random.default_rng(0)
    codes, weights = rng.standard_normal(100), rng.random(52)
    names = [str(name) for name in arrays["expression_names"]]
    own = np.zeros(len(names))
    for weight, name in zip(weights, ARKIT_NAMES, strict=True):
        for i, source in enumerate(names):
            if source in (name, f"{name}_L", f"{name}_R") or (
                source.replace("_L", "Left").replace("_R", "Right") == name
            ):
                own[i] = weight
    assert (own > 0).sum() == 53  # all but the pupils' and cheekRaiser's two
    identity = arrays["identity_q"] / 32767 * arrays["identity_scale"][:, None, None]
    expression = arrays["expression_q"] / 32767 * arrays["expression_scale"][:, None, None]
    expected = 10 * (arrays["mean"] + np.tensordot(codes, identity, 1) + np.tensordot(own, expression, 1))
    expected -= 10 * np.mean([arrays["mean"][arrays["part"] == part].mean(0) for part in (2, 3)], axis=0)
    assert np.abs(ict.vertices(codes, weights) - expected).max() < 1e-3


@needs_ict
def test_ict_is_a_face(ict: FaceModel) -> None:
    assert ict.expression_names == ARKIT_NAMES
    assert not ict.expression_basis[51].any()  # tongueOut
    assert {name: int(mask.sum()) for name, mask in ict.topology.regions.items()} == {
        "face": 6706, "skin": 11248, "eyes": 3140,
    }  # fmt: skip
    vertices = np.load(ICT)["landmarks68"]
    np.testing.assert_array_equal(ict.landmark_map.gather(ict.mean)[:51], ict.mean[vertices[17:]])
    jaw = ict.landmark_map.gather(ict.mean)[51:].reshape(17, -1, 3)
    assert np.linalg.norm(jaw - ict.mean[vertices[:17], None], axis=-1).min(1).max() < 4
    assert_a_face(ict)
    assert_contours_march(ict)


@needs_ict
def test_ict_round_trip(ict: FaceModel, tmp_path: Path) -> None:
    ict.save(tmp_path / "ict.npz")
    loaded = FaceModel.load(tmp_path / "ict.npz")
    rng = np.random.default_rng(1)
    codes, weights = rng.standard_normal((4, 100)), rng.random((4, 52))
    assert np.abs(loaded.vertices(codes, weights) - ict.vertices(codes, weights)).max() < 0.005


def runs_ict() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ict", ROOT / "runs" / "ict.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["ict"] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["ict"]
    return module


@needs_ict
def test_the_build_reads_the_same_shapes(ict: FaceModel) -> None:
    built = runs_ict().Ict.load(ICT)
    assert set(built.expression) == set(ARKIT_NAMES) - {"tongueOut"}
    for name in ("browInnerUp", "jawLeft", "mouthSmileLeft"):
        np.testing.assert_allclose(ict.expression_basis[ARKIT_NAMES.index(name)], built.expression[name], atol=1e-4)


@needs_ict
def test_the_released_folder_is_the_same_model(ict: FaceModel, tmp_path: Path) -> None:
    arrays = np.load(ICT)
    source = arrays["source_vertex"]

    def write(name: str, offsets: np.ndarray) -> None:
        vertices = np.zeros((26719, 3))
        vertices[:, 2] = -5
        vertices[source] = arrays["mean"] + offsets
        Mesh(vertices, source[arrays["triangles"]]).save(tmp_path / f"{name}.obj")

    write("generic_neutral_mesh", np.zeros_like(arrays["mean"]))
    for mode in range(2):
        write(f"identity{mode:03d}", arrays["identity_q"][mode] / 32767 * arrays["identity_scale"][mode])
    names = [str(name) for name in arrays["expression_names"]]
    chosen = ["jawOpen", "browInnerUp_L", "browInnerUp_R", "mouthSmile_L"]
    for name in chosen:
        row = names.index(name)
        write(name, arrays["expression_q"][row] / 32767 * arrays["expression_scale"][row])
    (tmp_path / "vertex_indices.json").write_text(json.dumps({"expressions": chosen}))
    model = load_model(tmp_path)
    assert len(model.mean) == 26719
    weights = np.zeros(52)
    for name in ("jawOpen", "browInnerUp", "mouthSmileLeft"):
        weights[ARKIT_NAMES.index(name)] = 0.7
    codes = np.array([1.5, -0.5])
    expected = ict.vertices(np.concatenate([codes, np.zeros(98)]), weights)
    np.testing.assert_allclose(model.vertices(codes, weights)[source], expected, atol=1e-3)
    np.testing.assert_allclose(
        model.landmark_map.gather(model.mean)[:51], ict.landmark_map.gather(ict.mean)[:51], atol=1e-3
    )
    assert model.topology.regions["face"].sum() == 6706


@needs_eos
def test_eos_is_its_own_formula(surrey: FaceModel) -> None:
    data = EOS.read_bytes()
    count, modes = 3448, 63
    mean = np.frombuffer(data, "<f4", 3 * count, 12)
    basis = np.frombuffer(data, "<f4", 3 * count * modes, 12 + 12 * count + 8).reshape(modes, -1)
    variances = np.frombuffer(data, "<f4", modes, 12 + 12 * count + 8 + 12 * count * modes + 8)
    shapes = (EOS.parent / "expression_blendshapes_3448.bin").read_bytes()
    names, offsets, position = [], [], 8
    for _ in range(struct.unpack_from("<Q", shapes)[0]):
        (length,) = struct.unpack_from("<Q", shapes, position)
        names.append(shapes[position + 8 : position + 8 + length].decode())
        offsets.append(np.frombuffer(shapes, "<f4", 3 * count, position + 16 + length))
        position += 16 + length + 12 * count
    assert surrey.expression_names == tuple(names)
    assert names == ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]
    rng = np.random.default_rng(0)
    codes, weights = rng.standard_normal(modes), rng.random(6)
    expected = (mean + (np.sqrt(variances) * codes) @ basis + weights @ np.array(offsets)).reshape(-1, 3)
    lids = mean.reshape(-1, 3)[[177, 172, 191, 181, 173, 174, 614, 624, 605, 610, 607, 606]].mean(0)
    assert np.abs(surrey.vertices(codes, weights) - (expected - lids)).max() < 1e-3


@needs_eos
def test_eos_is_a_face(surrey: FaceModel, tmp_path: Path) -> None:
    assert_a_face(surrey)
    assert_contours_march(surrey)
    points = surrey.landmark_map.gather(surrey.mean)[:51]
    np.testing.assert_allclose(points[13], surrey.mean[114])
    corner, inner = points[31], points[43]  # the inner corner of the mouth, which eos leaves out
    assert 0 < inner[0] - corner[0] < 6
    assert surrey.topology.uv[114, 1] > surrey.topology.uv[33, 1]  # origin bottom left: the nose above the chin
    surrey.save(tmp_path / "surrey.npz")
    loaded = FaceModel.load(tmp_path / "surrey.npz")
    codes = np.random.default_rng(1).standard_normal((4, 63))
    assert np.abs(loaded.vertices(codes) - surrey.vertices(codes)).max() < 0.005
    np.testing.assert_allclose(loaded.landmark_points(codes[0]), surrey.landmark_points(codes[0]), atol=0.01)


@needs_eos
def test_eos_with_its_companions_elsewhere(surrey: FaceModel, tmp_path: Path) -> None:
    alone = tmp_path / "model.bin"
    alone.write_bytes(EOS.read_bytes())
    assert load_model(alone).topology.landmarks is None
    model = load_model(
        alone,
        blendshapes=EOS.parent / "expression_blendshapes_3448.bin",
        landmarks=EOS.parent / "ibug_to_sfm.txt",
        contours=EOS.parent / "sfm_model_contours.json",
    )
    np.testing.assert_array_equal(model.expression_basis, surrey.expression_basis)
    np.testing.assert_array_equal(model.landmark_map.contour_weights, surrey.landmark_map.contour_weights)

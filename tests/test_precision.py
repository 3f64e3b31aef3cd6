"""The embedded network's quantised twin: near it, tied to it, and the same whatever the batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from likeness import FaceModel, FileError, Reconstructor, assets
from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.networks import session
from likeness.networks.regressor import CropAnswer, Network, default_network
from likeness.render.shading import render_image

FLOAT, INT8 = "regressor.onnx", "regressor_int8.onnx"
LARGEST_WEIGHT = 64
"""Of 8 bits without sign times this, two products fit into 16 bits: no processor's sums overflow."""


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Faces (16, 112, 112, 3) uint8 of random people, moved, turned and placed at random."""
    model, rng = FaceModel.load(assets.asset("face_model.npz")), np.random.default_rng(7)
    camera, made = Camera.from_crop_size(112), []
    for code in model.space.sample(16, rng):
        expression = np.where(rng.random(52) < 0.1, rng.random(52), 0.0)
        albedo = model.albedo(0.5 * rng.standard_normal(len(model.albedo_names)))
        rotation = FRONTAL @ rotation_from_euler(*rng.uniform(-0.4, 0.4, 3))
        place = np.array([0.0, -35.0, 940.0]) + rng.normal(0.0, 6.0, 3)
        vertices, background = model.vertices(code, expression), rng.uniform(0.2, 0.8, 3)
        made.append(
            render_image(vertices, model.topology.triangles, albedo, camera, rotation, place, background=background)
        )
    return np.stack(made)


@pytest.fixture(scope="module")
def twins() -> tuple[Network, Network]:
    exact, small = (Network.load(assets.asset(name), 1) for name in (FLOAT, INT8))
    return exact, small


def test_a_face_is_nearly_the_same(twins: tuple[Network, Network], crops: np.ndarray) -> None:
    exact, small = (network(crops) for network in twins)
    assert exact.score.min() > 0.5
    assert exact.points is not None
    assert small.points is not None
    assert exact.mean is not None
    assert small.mean is not None
    moved = np.linalg.norm(small.points - exact.points, axis=-1)
    assert 0 < np.sqrt((moved**2).mean()) < 0.4  # pixels of the crop
    spread = np.sqrt(((exact.mean - exact.mean.mean(0)) ** 2).sum(-1).mean())
    assert np.sqrt(((small.mean - exact.mean) ** 2).sum(-1).mean()) < 0.25 * spread
    np.testing.assert_allclose(small.expression, exact.expression, atol=0.15)
    np.testing.assert_allclose(small.score, exact.score, atol=0.05)
    np.testing.assert_array_less(np.abs(np.log(small.deviation / exact.deviation)).mean(), 0.05)


def test_both_say_the_same_of_themselves(twins: tuple[Network, Network]) -> None:
    exact, small = twins
    assert (exact.precision, small.precision) == ("float", "int8")
    assert (exact.name, exact.model_name, exact.size, exact.points) == (
        small.name,
        small.model_name,
        small.size,
        small.points,
    )
    assert exact.fusion is not None
    assert small.fusion is not None
    np.testing.assert_array_equal(small.fusion.matrices, exact.fusion.matrices)


def test_a_batch_is_its_crops_and_each_run_the_same(twins: tuple[Network, Network], crops: np.ndarray) -> None:
    network = twins[1]
    together, again = network(crops), network(crops)
    singles = [network(crop[np.newaxis]) for crop in crops]
    for name in CropAnswer._fields:
        values = getattr(together, name)
        if values is not None:
            np.testing.assert_array_equal(values, getattr(again, name))
            alone = np.concatenate([getattr(one, name) for one in singles])
            np.testing.assert_allclose(values, alone, rtol=1e-4, atol=1e-3)


def copied(folder: Path) -> Path:
    for name in (FLOAT, INT8):
        shutil.copyfile(assets.asset(name), folder / name)
    return folder / INT8


def test_the_twin_of_another_network_is_refused(tmp_path: Path) -> None:
    path = copied(tmp_path)
    assert Network.load(path, 1).precision == "int8"
    other = bytearray((tmp_path / FLOAT).read_bytes())
    other[len(other) // 2] ^= 1
    (tmp_path / FLOAT).write_bytes(bytes(other))
    with pytest.raises(FileError, match=rf"{INT8}: was quantised from another network than .*{FLOAT}"):
        Network.load(path, 1)
    for wrong in (b"", bytes(other[: len(other) // 2])):
        (tmp_path / FLOAT).write_bytes(wrong)
        with pytest.raises(FileError, match=INT8):
            Network.load(path, 1)
    (tmp_path / FLOAT).unlink()
    with pytest.raises(FileError, match=INT8):
        Network.load(path, 1)


def test_it_reads_from_folders_that_cannot_be_written_and_through_links(tmp_path: Path, crops: np.ndarray) -> None:
    path = copied(tmp_path)
    expected = Network.load(path, 1)(crops[:1])
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in (FLOAT, INT8):
        (linked / name).symlink_to(tmp_path / name)
        (tmp_path / name).chmod(0o444)
    linked.chmod(0o555)
    np.testing.assert_array_equal(Network.load(linked / INT8, 1)(crops[:1]).points, expected.points)
    linked.chmod(0o755)


def test_the_embedded_network_comes_in_the_precision_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Reconstructor(precision="float", threads=1).network.precision == "float"
    assert Reconstructor(precision="int8", threads=1).network.precision == "int8"
    monkeypatch.setattr(session, "has_gpu", lambda: False)
    monkeypatch.setattr("likeness.networks.regressor.has_gpu", lambda: False)
    assert default_network().name == INT8
    monkeypatch.setattr("likeness.networks.regressor.has_gpu", lambda: True)
    assert default_network().name == FLOAT
    assert default_network("int8").name == INT8


def test_a_network_of_ones_own_is_used_as_it_is() -> None:
    assert Reconstructor(network=assets.asset(FLOAT), threads=1).network.precision == "float"
    assert Reconstructor(network=assets.asset(INT8), threads=1).network.precision == "int8"
    with pytest.raises(ValueError, match="expected precision='auto' with another network"):
        Reconstructor(network=assets.asset(FLOAT), precision="int8")
    with pytest.raises(ValueError, match=r"expected a precision of .*'int8'"):
        Reconstructor(precision="half")  # type: ignore[arg-type]


def test_no_processors_sums_overflow() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(assets.asset(INT8), load_external_data=False)
    weights = [
        onnx.numpy_helper.to_array(one) for one in model.graph.initializer if one.data_type == onnx.TensorProto.INT8
    ]
    large = [values for values in weights if values.ndim == 4]
    assert len(large) == sum(node.op_type == "Conv" for node in model.graph.node) - 1 > 20  # all but the first
    assert max(np.abs(values.astype(int)).max() for values in large) == LARGEST_WEIGHT
    stored = {one.name for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL}
    assert stored  # what is no convolution's is the other file's
    assert all(one.data_type == onnx.TensorProto.FLOAT16 for one in model.graph.initializer if one.name in stored)

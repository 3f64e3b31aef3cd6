"""The network and its ONNX file: where it starts, what it puts out, and that both say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.networks.session import import_onnxruntime  # noqa: E402
from likeness.reconstruct.proposals import CROP_PER_LANDMARK_BOX  # noqa: E402
from likeness.train.losses.reconstruction import LandmarkHead  # noqa: E402
from likeness.train.photos.export import onnx_bytes  # noqa: E402
from likeness.train.photos.network import CROP_SIZE, NetSettings, Prediction, Regressor  # noqa: E402


def network(model: FaceModel) -> Regressor:
    """A network whose normalisations have seen something and whose heads answer something."""
    torch.manual_seed(0)
    net = Regressor(NetSettings.for_model(model))
    with torch.no_grad():
        for head in net.heads.values():
            head.weight.mul_(5.0)
        for _ in range(3):
            net(images(8))
    return net.eval()


def images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, CROP_SIZE, CROP_SIZE, 3), dtype=torch.uint8, generator=generator)


def test_outputs_are_what_their_names_promise(small_model: FaceModel) -> None:
    with torch.no_grad():
        out = network(small_model)(images(3))
    shapes = [(3, 12), (3, 52), (3, 3, 3), (3, 3), (3, 5), (3, 9, 3), (3,)]
    assert [tuple(value.shape) for value in out] == shapes
    assert out.expression.min() >= 0
    assert out.expression.max() <= 1
    identity = torch.eye(3).expand(3, 3, 3)
    torch.testing.assert_close(out.rotation @ out.rotation.transpose(1, 2), identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(out.rotation), torch.ones(3), atol=1e-5, rtol=0)
    assert (out.translation[:, 2] > 0).all()


@pytest.mark.parametrize("space", ["gaussian", "sphere"])
def test_an_untrained_network_puts_the_mean_face_into_the_middle_of_the_crop(
    small_model: FaceModel, space: str
) -> None:
    torch.manual_seed(0)
    model = small_model.lifted() if space == "sphere" else small_model
    net = Regressor(NetSettings.for_model(model)).eval()
    with torch.no_grad():
        prediction = net(images(2))
        points = LandmarkHead(model)(prediction).numpy()
    codes = prediction.identity.numpy()
    np.testing.assert_allclose(model.vertices(codes), np.broadcast_to(model.mean, (2, *model.mean.shape)), atol=1.0)
    if space == "sphere":
        np.testing.assert_allclose(np.linalg.norm(codes, axis=1), model.space.radius, rtol=1e-5)
    low, high = points.min(1), points.max(1)
    assert np.abs(0.5 * (low + high) - (CROP_SIZE - 1) / 2).max() < 5
    size = np.sqrt(np.prod(high - low, axis=1))
    assert np.abs(size * CROP_PER_LANDMARK_BOX / CROP_SIZE - 1).max() < 0.2


def test_the_default_network_fits_the_size_budget() -> None:
    network = Regressor(NetSettings(identity=120, expression=52, albedo=30))
    assert sum(parameter.numel() for parameter in network.parameters()) <= 3_200_000


def test_answers_do_not_depend_on_the_rest_of_the_batch(small_model: FaceModel) -> None:
    net, batch = network(small_model), images(4)
    with torch.no_grad():
        together, alone = net(batch), net(batch[2:3])
    for name, a, b in zip(Prediction._fields, together, alone, strict=True):
        torch.testing.assert_close(a[2:3], b, atol=1e-3, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("half", [False, True])
def test_onnx_says_what_torch_says(small_model: FaceModel, half: bool) -> None:
    pytest.importorskip("onnx")
    onnxruntime = import_onnxruntime()

    net = network(small_model)
    session = onnxruntime.InferenceSession(onnx_bytes(net, "test", "small", half))
    assert [output.name for output in session.get_outputs()] == list(Prediction._fields)
    for count in (1, 5):
        got = session.run(None, {"image": images(count).numpy()})
        with torch.no_grad():
            want = net(images(count))
        want = want._replace(score=torch.sigmoid(want.score))
        for name, a, b in zip(Prediction._fields, got, want, strict=True):
            # Half floats round weights by up to 1/2048 of themselves; errors add up like noise.
            scale = max(1.0, float(b.abs().max()))
            difference = float(np.abs(a - b.numpy()).max()) / scale
            assert difference < (2e-3 if half else 2e-5), f"{name}: largest difference {difference:.2e}"


def test_half_floats_halve_the_file_and_metadata_names_the_models(small_model: FaceModel) -> None:
    onnx = pytest.importorskip("onnx")
    net = network(small_model)
    half, single = onnx_bytes(net, "test", "small"), onnx_bytes(net, "test", "small", half=False)
    assert len(half) < 0.52 * len(single)
    loaded = onnx.load_model_from_string(half)
    metadata = {item.key: item.value for item in loaded.metadata_props}
    assert metadata == {"name": "test", "face_model": "small", "crop_size": "112"}
    assert "BatchNormalization" not in {node.op_type for node in loaded.graph.node}


def test_weights_too_large_for_half_floats_are_refused(small_model: FaceModel) -> None:
    pytest.importorskip("onnx")
    net = network(small_model)
    with torch.no_grad():
        net.heads["identity"].weight[0, 0] = 1e6
    with pytest.raises(ValueError, match="65504"):
        onnx_bytes(net, "test", "small")


def test_the_file_is_what_the_reconstructor_opens(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from likeness.networks.regressor import Network

    path = tmp_path / "regressor.onnx"
    path.write_bytes(onnx_bytes(network(small_model), "test", "small"))
    opened = Network.load(path)
    assert (opened.size, opened.name, opened.model_name) == (CROP_SIZE, "test", "small")
    assert opened(images(2).numpy()).identity.shape == (2, 12)

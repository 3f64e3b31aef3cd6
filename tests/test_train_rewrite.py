"""The rewritten graph of an exported network answers what the network does."""

from __future__ import annotations

import numpy as np
import pytest
from dense_points import small_map

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.networks.session import import_onnxruntime  # noqa: E402
from likeness.train.photos.export import onnx_bytes  # noqa: E402
from likeness.train.photos.network import NetSettings, Regressor  # noqa: E402
from likeness.train.photos.onnx_rewrite import join_own_products  # noqa: E402


@pytest.fixture
def network(small_model: FaceModel) -> Regressor:
    torch.manual_seed(0)
    return Regressor(NetSettings.for_model(small_model, dense=small_map(small_model), shrink=2)).eval()


def test_own_products_are_joined_and_say_the_same(network: Regressor) -> None:
    data = onnx_bytes(network, "net", "small", half=False)
    graph = onnx.load_model_from_string(data).graph
    constants = {one.name: one.dims for one in graph.initializer}
    assert not [n for n in graph.node if n.op_type == "MatMul" and len(constants.get(n.input[1], ())) == 3]
    assert {f"network.dense.{part}.weight" for part in ("first", "second")} <= set(constants)
    session = import_onnxruntime().InferenceSession(data)
    for count in (1, 3):
        images = np.random.default_rng(count).integers(0, 256, (count, 112, 112, 3), np.uint8)
        points, deviation = session.run(["points", "deviation"], {"image": images})
        with torch.no_grad():
            dense = network(torch.from_numpy(images), whole=True).dense
        np.testing.assert_allclose(points, dense.points.numpy(), atol=2e-3)
        np.testing.assert_allclose(deviation, dense.deviation.numpy(), rtol=2e-3)


def test_a_graph_without_such_products_stays_as_it_is(network: Regressor) -> None:
    model = onnx.load_model_from_string(onnx_bytes(network, "net", "small", half=False))
    before = model.SerializeToString()
    assert join_own_products(model) == 0
    assert model.SerializeToString() == before

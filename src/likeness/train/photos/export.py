"""A trained regressor -> one ONNX file that runs without torch.

    likeness train export --run FOLDER --out regressor.onnx

Batch normalisation is folded into the convolutions and the weights are stored as half floats, each followed by a
cast: half the size on disk, single precision when it runs.
"""

from __future__ import annotations

import io
import warnings
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from likeness.errors import MissingExtraError, StrPath
from likeness.files import write_atomically
from likeness.networks.regressor import DENSE_OUTPUTS, FUSION_OUTPUT, MEAN_OUTPUT
from likeness.train.checkpoint import load_regressor
from likeness.train.photos.network import CROP_SIZE, Prediction, Regressor
from likeness.train.photos.onnx_rewrite import join_own_products

OPSET = 17
HALF_FROM = 1024
"""Constants with fewer numbers than this stay single floats: biases, and where points begin, which half floats would
round to a sixteenth of a pixel."""


class _Exported(nn.Module):
    """The network as the file has it: outputs in order, the score as a probability, dense points if it places any."""

    def __init__(self, network: Regressor) -> None:
        super().__init__()
        self.network = deepcopy(network).eval()
        _fold_linear_normalisation(self.network.backbone)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        prediction, _, dense, mean, _ = self.network(image, whole=True)
        placed = () if dense is None else (dense.points, dense.deviation)
        fused = () if mean is None else (mean,)
        return (*prediction[:-1], torch.sigmoid(prediction.score), *placed, *fused)


def _fold_linear_normalisation(layers: nn.Sequential) -> None:
    """Normalisations after linear layers become part of them; the exporter does this for convolutions only."""
    for number in range(len(layers) - 1):
        linear, normalisation = layers[number], layers[number + 1]
        if isinstance(linear, nn.Linear) and isinstance(normalisation, nn.BatchNorm1d):
            layers[number] = fuse_linear_bn_eval(linear, normalisation)
            layers[number + 1] = nn.Identity()


def onnx_bytes(network: Regressor, name: str, face_model: str, half: bool = True) -> bytes:
    """The ONNX file of a network.

    Input ``image`` (n, 112, 112, 3) uint8 RGB; outputs by the names of
    :class:`likeness.train.photos.network.Prediction`, with ``score`` in [0, 1], and where the network places dense
    points ``points`` (n, P, 2) and ``deviation`` (n, P), crop pixels; where they are fused with the features
    ``mean`` (n, K) and the constant ``fusion`` (Q, K, K). Metadata: ``name``, ``face_model``, ``crop_size``.

    Args:
        network: in evaluation mode.
        name: what results are labelled with.
        face_model: the name of the face model that the coefficients are for.
        half: store weights as half floats; results then differ by their rounding, about 1/1000 of a weight.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("the export to ONNX", "train") from error
    module = _Exported(network).eval()
    sample = torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8)
    outputs = [*Prediction._fields, *(() if network.dense is None else DENSE_OUTPUTS)]
    outputs += [] if network.mean is None else [MEAN_OUTPUT]
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecation and of constants it folds
        torch.onnx.export(
            module,
            (sample,),
            buffer,  # type: ignore[arg-type]  # its annotation forgets files
            input_names=["image"],
            output_names=outputs,
            dynamic_axes={key: {0: "n"} for key in ("image", *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    join_own_products(model)
    if network.mean is not None:
        _add_constant(model, FUSION_OUTPUT, network.fusion.numpy())
    if half:
        _store_half(model)
    onnx.helper.set_model_props(model, {"name": name, "face_model": face_model, "crop_size": str(CROP_SIZE)})
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def _add_constant(model: Any, name: str, values: np.ndarray) -> None:
    """An output that is the same for every image."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(values, f"{name}_values"))
    graph.node.append(helper.make_node("Identity", [f"{name}_values"], [name], name=f"{name}_output"))
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))


def _store_half(model: Any) -> None:
    """Large single-float constants become half floats followed by a cast; what runs is single precision."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < HALF_FROM:
            continue
        largest = float(np.abs(values).max())
        if largest > float(np.finfo(np.float16).max):
            raise ValueError(f"expected weights below 65504 to store as half, got {largest:g} in {tensor.name}")
        stored = f"{tensor.name}_half"
        casts.append(helper.make_node("Cast", [stored], [tensor.name], name=f"{stored}_cast", to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def export_regressor(checkpoint: StrPath, out: StrPath, name: str = "likeness-regressor") -> None:
    """Write the averaged network of a training's ``checkpoint.pt`` as ONNX.

    Raises:
        FileError: the checkpoint cannot be read, or the file cannot be written.
    """
    network, state = load_regressor(checkpoint)
    write_atomically(out, onnx_bytes(network, name, state["face_model"]))

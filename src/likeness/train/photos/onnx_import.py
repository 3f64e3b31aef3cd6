"""An exported regressor -> a network that can be trained on.

The file has no batch normalisations any more: they are folded into the layers before them. They come back as ones
that change nothing, with statistics estimated anew (:func:`restore_statistics`), so that a network in training begins
with what it answered when it was exported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from likeness.errors import FileError, MissingExtraError
from likeness.train.photos.network import CROP_SIZE, Regressor


def import_regressor(path: Path, network: Regressor) -> list[nn.Module]:
    """Take the weights of an exported network; a decoder or a teacher's head that the file lacks stays as it is.

    Args:
        path: what :func:`likeness.train.photos.export.export_regressor` wrote.
        network: of the same sizes.

    Returns:
        The normalisations that were folded away, for :func:`restore_statistics`.

    Raises:
        FileError: the file is missing or damaged, or of a network of other sizes.
    """
    constants, convolutions, products = _read(path)
    named = {name.removeprefix("network."): values for name, values in constants.items()}
    layers = _layers_in_order(network)
    try:
        has_decoder = "dense.start" in named
        if has_decoder and network.dense is None:
            raise ValueError("it places surface points, for which this one has no decoder")
        if not has_decoder:
            trunk = set(network.backbone.modules())
            layers = [pair for pair in layers if pair[0] in trunk]
        folded = _take_convolutions(layers, convolutions)
        with torch.no_grad():
            for name, parameter in network.state_dict().items():
                if name in named:
                    _fill(parameter, named[name])
            # Files of earlier versions hold these matrices turned, and without a name.
            reads = [part.read.weight for part in _windows(network)] if has_decoder and products else []
            for weight, values in zip(reads, products, strict=True):
                _fill(weight, values.T)
            linear = next(n for n, layer in enumerate(network.backbone) if isinstance(layer, nn.Linear))
            normalisation = network.backbone[linear + 1]
            assert isinstance(normalisation, nn.BatchNorm1d)
            _make_neutral(normalisation, named[f"backbone.{linear}.bias"])
    except (KeyError, ValueError) as error:
        raise FileError(path, f"expected an exported network of the same sizes ({error})") from error
    return [*folded, normalisation]


@torch.no_grad()
def restore_statistics(network: Regressor, normalisations: list[nn.Module], images: Tensor) -> None:
    """Let normalisations know their inputs' mean and variance, and answer as before.

    Args:
        network: in any mode; it comes back in evaluation mode.
        normalisations: what :func:`import_regressor` gave.
        images: (n, 112, 112, 3) uint8, a few hundred crops of the kind that is trained on.
    """
    network.eval()
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].transpose(0, 1).flatten(1)
        seen[module] = values.mean(1), values.var(1, correction=0)

    hooks = [module.register_forward_pre_hook(keep) for module in normalisations]
    network(images, whole=True)
    for hook in hooks:
        hook.remove()
    for module, (mean, variance) in seen.items():
        assert isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
        assert module.running_mean is not None
        assert module.running_var is not None
        scale = module.weight * (module.running_var + module.eps).rsqrt()
        module.bias.add_(scale * (mean - module.running_mean))
        module.weight.copy_(scale * (variance + module.eps).sqrt())
        module.running_mean.copy_(mean)
        module.running_var.copy_(variance)


def _read(path: Path) -> tuple[dict[str, np.ndarray], list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
    """An ONNX file's constants by name, weights and biases of its convolutions, and the matrices without a name that
    it multiplies by, each in the order in which they are used."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("a start from an exported network", "train") from error
    try:
        graph = onnx.load(path).graph
        constants = {one.name: onnx.numpy_helper.to_array(one).astype(np.float32) for one in graph.initializer}
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    except Exception as error:  # protobuf raises its own untyped errors for damaged files
        raise FileError(path, "cannot be read as ONNX") from error
    for node in graph.node:  # half floats are followed by a cast, equal constants are shared
        if node.op_type in ("Cast", "Identity") and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    # One that has no bias of its own reads points' windows, by a weight that is there under its name too.
    convolutions = [node.input[1:] for node in graph.node if node.op_type == "Conv" and len(node.input) > 2]
    products = [node.input[1] for node in graph.node if node.op_type == "MatMul"]
    missing = {name for names in convolutions for name in names} - set(constants)
    if missing or not convolutions:
        raise FileError(path, "expected an exported network, whose convolutions have constant weights and biases")
    return (
        constants,
        [(constants[weight], constants[bias]) for weight, bias in convolutions],
        [constants[name] for name in products if name.startswith("onnx::") and name in constants],
    )


def _layers_in_order(network: Regressor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and their normalisations as they are run, which is the order of an exported file."""
    pairs = dict(_normalised(network))
    order: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def note(module: nn.Module, _: Any) -> None:
        assert isinstance(module, nn.Conv2d)
        order.append((module, pairs[module]))

    hooks = [convolution.register_forward_pre_hook(note) for convolution in pairs]
    training = network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8), whole=True)
    network.train(training)
    for hook in hooks:
        hook.remove()
    return order


def _normalised(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for layer, following in zip(module, [*module][1:], strict=False):
                if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                    yield layer, following


def _take_convolutions(
    layers: list[tuple[nn.Conv2d, nn.BatchNorm2d]], constants: list[tuple[np.ndarray, np.ndarray]]
) -> list[nn.Module]:
    """Fill convolutions; the normalisations behind them, neutral but for the bias."""
    if len(constants) != len(layers):
        raise ValueError(f"{len(constants)} convolutions, not {len(layers)}")
    filled: list[nn.Module] = []
    with torch.no_grad():
        for (layer, normalisation), (weight, bias) in zip(layers, constants, strict=True):
            _fill(layer.weight, weight)
            _make_neutral(normalisation, bias)
            filled.append(normalisation)
    return filled


def _make_neutral(normalisation: nn.BatchNorm1d | nn.BatchNorm2d, bias: np.ndarray) -> None:
    """Let a normalisation, with the statistics that it has, add a bias and do nothing else."""
    assert normalisation.running_mean is not None
    assert normalisation.running_var is not None
    normalisation.weight.fill_(1.0)
    _fill(normalisation.bias, bias)
    normalisation.running_mean.zero_()
    normalisation.running_var.fill_(1.0 - normalisation.eps)


def _windows(network: Regressor) -> list[Any]:
    assert network.dense is not None
    return [network.dense.first, network.dense.second]


def _fill(parameter: Tensor, values: np.ndarray) -> None:
    if tuple(parameter.shape) != values.shape:
        raise ValueError(f"weights of shape {values.shape}, not {tuple(parameter.shape)}")
    parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))

"""A regressor's convolutions in 8 bits: about half the time of a pass on a processor with instructions for them.

    python runs/quantize.py NETWORK.onnx PHOTOS.tar OUT.onnx [--crops 240] [--judge PHOTOS.tar]

OUT lies beside NETWORK: what is not a convolution's weight it reads from there (ONNX's external data), so that
nothing is stored twice; its metadata holds NETWORK's sha256, and :meth:`likeness.networks.regressor.Network.load`
refuses any other. Activations are 8 bits without sign, weights 7 with one, a scale for every channel: with the eighth
bit, the sums of two products that processors without such instructions form in 16 bits could overflow, and answers
would depend on the machine. Ranges are those of crops of PHOTOS, as the program cuts them at its second look, half of
them mirrored, of eight at a time in the mean. The first convolution stays as it is: in 8 bits it is no faster, and
where pixels are rounded all is a little off. What that moves is printed: crops of ``--judge`` (other people), against
NETWORK.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from likeness import Reconstructor
from likeness.datasets.test_sets import open_photos
from likeness.files import write_atomically
from likeness.networks.regressor import FLOAT_DIGEST, FLOAT_FILE, CropAnswer, Network
from likeness.networks.session import import_onnxruntime
from likeness.reconstruct.proposals import crop_from_proposal, largest_faces

BATCH = 8
SURE = 0.9
"""Scores of crops that are looked at, if nothing else is asked for: faces, as nearly all that the network sees."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Quantise the convolutions of an exported regressor.")
    parser.add_argument("network", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--crops", type=int, default=240, help="by which ranges are found")
    parser.add_argument("--judge", type=Path, help="photos on which the difference is measured")
    parser.add_argument("--min-score", type=float, default=SURE, help="of faces that are looked at, 0 to 1")
    parser.add_argument("--model", type=Path, help="the face model that the network is for")
    parser.add_argument("--points", type=Path, help="the map of the points that it places")
    arguments = parser.parse_args()
    if arguments.out.resolve().parent != arguments.network.resolve().parent:
        parser.error(f"expected OUT beside {arguments.network}, from which it reads, got {arguments.out}")
    look = Reconstructor(arguments.model, arguments.network, points=arguments.points, threads=1)
    crops = second_looks(look, arguments.photos, arguments.crops, arguments.min_score)
    data = quantised(arguments.network, crops)
    write_atomically(arguments.out, data)
    print(f"{arguments.out}: {len(data)} bytes, ranges of {len(crops)} crops")
    if arguments.judge is not None:
        seen = second_looks(look, arguments.judge, arguments.crops, arguments.min_score)
        exact, moved = (answers(Network.load(path, 1), seen) for path in (arguments.network, arguments.out))
        print(f"{len(seen)} crops of {arguments.judge.name}:", difference(exact, moved))


def second_looks(look: Reconstructor, photos: Path, count: int, least: float) -> np.ndarray:
    """Crops (N, S, S, 3) uint8 around the best face of up to ``count`` photos, every second one mirrored, of
    scores from ``least`` on."""
    items = open_photos(photos).items
    crops: list[np.ndarray] = []
    for number in np.random.default_rng(0).permutation(len(items)):
        image = items[number].image()
        proposals = largest_faces(image, 1)
        faces = look.regress(image, [crop_from_proposal(one, look.network.size) for one in proposals[:1]])
        if not faces or faces[0].score < least:
            continue
        pixels = faces[0].next_crop().extract(image)
        crops.append(pixels[:, ::-1] if len(crops) % 2 else pixels)
        if len(crops) == count:
            break
    return np.stack(crops)


def answers(network: Network, crops: np.ndarray) -> CropAnswer:
    """What a network says of crops, a batch at a time."""
    parts = [network(crops[start : start + BATCH]) for start in range(0, len(crops), BATCH)]
    return CropAnswer(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name, values in parts[0]._asdict().items()
            if values is not None
        }
    )


def difference(exact: CropAnswer, moved: CropAnswer) -> str:
    """How far the second answer is from the first."""
    code, other = (one.identity if one.mean is None else one.mean for one in (exact, moved))
    spread = np.sqrt(((code - code.mean(0)) ** 2).sum(1).mean())
    parts = [f"code {np.sqrt(((other - code) ** 2).sum(1).mean()) / spread:.4f} of its spread"]
    parts.append(f"weights {np.sqrt(((moved.expression - exact.expression) ** 2).mean()):.4f}")
    parts.append(f"score {np.abs(moved.score - exact.score).max():.5f} at most")
    if exact.points is not None and moved.points is not None:
        off = moved.points - exact.points
        size = np.linalg.norm(off, axis=-1)
        parts.append(
            f"points {np.sqrt((size**2).mean()):.3f} px RMS, {np.median(size):.3f} median, "
            f"{np.linalg.norm(off.mean(0), axis=-1).mean():.3f} offset"
        )
    return "; ".join(parts)


def quantised(path: Path, crops: np.ndarray) -> bytes:
    """The ONNX file of a network's quantised twin, to lie beside it.

    Args:
        path: the network, as ``likeness train`` exports it.
        crops: (N, S, S, 3) uint8, whose activations are the ranges.
    """
    import onnx

    onnxruntime = import_onnxruntime()
    from onnxruntime import quantization

    data = path.read_bytes()
    model, halves = single_precision(onnx.load_model_from_string(data))
    kinds = ("Conv", "Relu")
    chosen = [[node.name for node in model.graph.node if node.op_type == kind][1:] for kind in kinds]

    class Crops(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = (crops[i : i + BATCH] for i in range(0, len(crops), BATCH))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"image": batch}

    onnxruntime.set_default_logger_severity(3)
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "float.onnx", Path(name) / "int8.onnx"
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            out,
            Crops(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(kinds),
            nodes_to_quantize=[name for names in chosen for name in names],
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},
        )
        small = onnx.load(out)
    refer(small, halves, data, path.name)
    properties = {one.key: one.value for one in model.metadata_props}
    properties |= {FLOAT_FILE: path.name, FLOAT_DIGEST: hashlib.sha256(data).hexdigest()}
    onnx.helper.set_model_props(small, properties)
    result: bytes = small.SerializeToString()
    return result


def single_precision(model: Any) -> tuple[Any, dict[str, Any]]:
    """The model with constants in place of casts of half floats and of what convolutions' weights are made of, and
    the half floats by the names of their casts."""
    import onnx
    from onnx import numpy_helper

    graph = model.graph
    stored = {one.name: onnx.TensorProto.FromString(one.SerializeToString()) for one in graph.initializer}
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]
    halves = {node.output[0]: stored[node.input[0]] for node in casts}
    for node in casts:
        graph.node.remove(node)
    for name, half in halves.items():
        graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), name))
    known = {one.name for one in graph.initializer}
    for node in [one for one in graph.node if one.op_type == "Conv"]:
        if node.input[1] not in known:
            weight = numpy_helper.from_array(evaluated(model, node.input[1]), f"{node.input[1]}_constant")
            graph.initializer.append(weight)
            node.input[1] = weight.name
    drop_unused(graph)
    return model, halves


def evaluated(model: Any, name: str) -> np.ndarray:
    """The value of a tensor that depends on constants only."""
    from onnx import ModelProto, helper
    from onnx.reference import ReferenceEvaluator

    maker = {output: node for node in model.graph.node for output in node.output}
    needed: set[str] = set()
    open_names = [name]
    while open_names:
        node = maker.get(open_names.pop())
        if node is not None and node.output[0] not in needed:
            needed.add(node.output[0])
            open_names += node.input
    part = ModelProto()
    part.CopyFrom(model)
    nodes = [node for node in model.graph.node if node.output[0] in needed]
    del part.graph.node[:], part.graph.input[:], part.graph.output[:]
    part.graph.node.extend(nodes)
    part.graph.output.append(helper.make_empty_tensor_value_info(name))
    return np.asarray(ReferenceEvaluator(part).run(None, {})[0])


def drop_unused(graph: Any) -> None:
    """Nodes and constants whose values nobody reads go."""
    wanted = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            nodes.append(node)
    constants = [one for one in graph.initializer if one.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(constants)


def refer(model: Any, halves: dict[str, Any], data: bytes, location: str) -> None:
    """Constants that stayed in single precision become casts of the half floats in a file.

    Args:
        model: changed in place.
        halves: the half floats by the names of the constants.
        data: the file's content.
        location: its name.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    stayed = [one for one in graph.initializer if one.name in halves]
    casts = []
    for tensor in stayed:
        half = halves[tensor.name]
        graph.initializer.remove(tensor)
        there = graph.initializer.add(name=half.name, data_type=half.data_type, dims=half.dims)
        there.data_location = TensorProto.EXTERNAL
        place = {"location": location, "offset": data.index(half.raw_data), "length": len(half.raw_data)}
        for key, value in place.items():
            there.external_data.add(key=key, value=str(value))
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], f"{half.name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


if __name__ == "__main__":
    main()

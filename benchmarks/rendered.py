"""Shapes of rendered faces, where the truth is known: how far off the network is, and what of a shape it finds.

    python benchmarks/rendered.py SYNTHETIC [--model FILE --network FILE] [--json FILE]

SYNTHETIC is the folder of ``likeness train synthetic``, made with the same identity basis; its last 400
faces, which ``likeness train photos`` leaves out of the training, are looked at once each, in their own crops. Errors
are RMS over the face in mm, size included; the mean face's is that of the truth's own mean. Correlations are along
the directions in which these faces differ most, strongest first.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from likeness import FaceModel
from likeness.assets import asset
from likeness.datasets import SyntheticFaces
from likeness.networks.regressor import Network
from likeness.train.photos.labels import Sources
from likeness.train.photos.samples import SampleMaker
from likeness.train.photos.validation import RENDERED_HELD_OUT
from likeness.train.settings import AugmentSettings

STRONGEST = 6
PLAIN = AugmentSettings(shift=0.0, log_scale=0.0, angle=0.0, turned=0.0, photometric=0.0, occlusion=0.0)


def measure(network: Network, model: FaceModel, folder: Path) -> dict[str, float]:
    """The table's numbers."""
    faces = SyntheticFaces(folder, model)
    maker = SampleMaker(Sources(model, synthetic=faces), PLAIN)
    numbers = range(len(faces) - RENDERED_HELD_OUT, len(faces))
    samples = [maker.synthetic(number, np.random.default_rng(number)) for number in numbers]
    found = model.geometry(network(np.stack([sample.image for sample in samples])).identity)
    truth = model.geometry(np.stack([sample.labels["identity"] for sample in samples]))
    mean = truth.mean(0)
    directions = np.linalg.eigh(np.cov(truth.T))[1][:, ::-1][:, :STRONGEST]
    result = {
        "faces": len(samples),
        "shape_mm": float(np.linalg.norm(found - truth, axis=1).mean()),
        "mean_face_mm": float(np.linalg.norm(mean - truth, axis=1).mean()),
    }
    for number, direction in enumerate(directions.T, 1):
        result[f"correlation, direction {number}"] = float(np.corrcoef(found @ direction, truth @ direction)[0, 1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Shapes of rendered faces against the truth.")
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--model", type=Path, default=asset("face_model.npz"))
    parser.add_argument("--network", type=Path, default=asset("regressor.onnx"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(Network.load(arguments.network), FaceModel.load(arguments.model), arguments.synthetic)
    for key, value in result.items():
        print(f"{key:28} {value:.3f}" if isinstance(value, float) else f"{key:28} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

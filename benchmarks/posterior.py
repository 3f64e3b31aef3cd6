"""Is the uncertainty of heads as large as their errors? Rendered people, whose heads are known.

    python benchmarks/posterior.py [--people 300] [--network FILE --model FILE] [--work DIR] [--json FILE]

The people are those of ``benchmarks/fidelity.py``, part b. ``variance ratio``: squared errors over the face after
rigid alignment, over what :attr:`likeness.Reconstruction.uncertainty` expects: 1 is right, and
``likeness.reconstruct.posterior.CALIBRATION`` times this is what it should be. ``correlation``: of errors and
expectations over people. ``size ratio``: the same as the first of the interocular distance. ``covered``: vertices
nearer to the truth along an axis than two standard deviations, 0.954 if errors were Gaussian.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from likeness import FaceModel, Reconstructor
from likeness.assets import asset
from likeness.datasets.rendered_people import read_rendered_people
from likeness.evaluate.fidelity.rendered import face_mask
from likeness.geometry.landmarks import INNER, LEFT_EYE, RIGHT_EYE
from likeness.geometry.similarity import similarity_from_points
from likeness.train.generate.rendered_people import render_people


def interocular(model: FaceModel, vertices: np.ndarray) -> float:
    """mm between the middles of the eyes of a head (V, 3)."""
    points = model.landmark_map.gather(vertices)
    right, left = (points[[index - INNER.start for index in eye]].mean(0) for eye in (RIGHT_EYE, LEFT_EYE))
    return float(np.linalg.norm(right - left))


def main() -> None:
    parser = argparse.ArgumentParser(description="Uncertainty against errors.")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--limit", type=int, help="look at the first so many")
    parser.add_argument("--network", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "likeness-fidelity")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder = arguments.work / f"people-{arguments.people}"
    render_people(FaceModel.load(asset("face_model.npz")), folder, arguments.people)
    people = read_rendered_people(folder)
    look = Reconstructor(arguments.model, arguments.network, threads=1)
    mask = face_mask(look.model)
    errors, expected, sizes, covered = [], [], [], []
    for number in range(len(people.photos))[: arguments.limit]:
        face = look(people.photos[number], landmarks=people.landmarks[number][None])[0]
        head, true = (one[mask].astype(np.float64) for one in (face.vertices(neutral=True), people.vertices[number]))
        _, rotation, shift = similarity_from_points(true, head, scale=1.0)
        off = head - true @ rotation.T - shift
        unsure = face.uncertainty[mask]
        errors.append(float((off**2).mean()))
        expected.append(float((unsure**2).mean()))
        covered.append(float((np.abs(off) < 2 * unsure[:, None]).mean()))
        sizes.append((face.size.interocular - interocular(look.model, people.vertices[number])) / face.size.deviation)
    result = {
        "people": len(errors),
        "error_mm": float(np.sqrt(np.mean(errors))),
        "expected_mm": float(np.sqrt(np.mean(expected))),
        "variance_ratio": float(np.mean(errors) / np.mean(expected)),
        "correlation": float(np.corrcoef(errors, expected)[0, 1]),
        "size_ratio": float(np.square(sizes).mean()),
        "covered": float(np.mean(covered)),
    }
    for key, value in result.items():
        print(f"{key:16} {value:.3f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What a network's surface points tell of lids and lips: into the map of the points.

    python runs/point_readout.py NETWORK.onnx PEOPLE.tar LABELS.npz MAP.npz [--model MODEL.npz] [--count 1600]

LABELS holds, by the pictures' names in PEOPLE, MediaPipe's ``points`` and ``weights`` with ``expression_names``; MAP
is completed in place, and is ready then for ``runs/landmark_weights.py``. The network looks at faces as the program
does. Pictures that the network was trained on serve as well as others.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from likeness import Reconstructor
from likeness.datasets.dense_labels import key_of, read_point_labels
from likeness.datasets.test_sets import open_photos
from likeness.model.face_model import ARKIT_NAMES
from likeness.model.surface_points import PointMap
from likeness.readers import read_npz
from likeness.train.photos.point_readout import learn_readout

LARGEST = 8 << 30
LEAST_PRESENCE = 2.0
"""Logit; below, MediaPipe's points are not trusted."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn to read lids, lips and other movements from surface points.")
    parser.add_argument("network", type=Path)
    parser.add_argument("people", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("map", type=Path)
    parser.add_argument("--model", type=Path, help="the face model that the network is for")
    parser.add_argument("--count", type=int, default=1600, help="pictures to look at, at most")
    arguments = parser.parse_args()
    points = PointMap.load(arguments.map)
    labels, weights = labelled(arguments.labels, len(points))
    look = Reconstructor(arguments.model, arguments.network, points=replace(points, readout=None), refine=False)
    items = [item for item in open_photos(arguments.people).items if key_of(item.name) in labels]
    chosen = np.random.default_rng(0).permutation(len(items))[: arguments.count]
    found, known, told = [], [], []
    for item in (items[number] for number in chosen):
        places = labels[key_of(item.name)]
        face = look(item.image(), landmarks=places[points.ibug][None])[0]
        assert face.points is not None
        found.append(face.points)
        known.append(places)
        told.append(weights[key_of(item.name)])
    readout = learn_readout(np.array(found), np.array(known), np.array(told), ARKIT_NAMES, points)
    replace(points, readout=readout).save(arguments.map)
    print(
        f"{len(found)} pictures; lips",
        *(f"{a:.2f}->{b:.3f}" for a, b in zip(readout.seen, readout.true, strict=True)),
    )


def labelled(path: Path, count: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """By the pictures' keys: points (P, 2) and the 52 weights; of faces that are seen from the front or nearly so."""
    labels = read_point_labels(path, count)
    arrays = read_npz(path, "labels with expression weights", LARGEST)
    names = arrays["expression_names"].tolist()
    values = arrays["weights"][:, [names.index(name) if name in names else 0 for name in ARKIT_NAMES]]
    unit = 1 / 255 if values.dtype.kind == "u" else 1.0
    good = arrays["presence"] > LEAST_PRESENCE
    good &= ~arrays.get("profile", np.zeros(len(good), bool))
    weights = {key: row * unit for key, row, kept in zip(arrays["key"].tolist(), values, good, strict=True) if kept}
    return {key: at for key, at in zip(labels.key, labels.points, strict=True) if key in weights}, weights


if __name__ == "__main__":
    main()

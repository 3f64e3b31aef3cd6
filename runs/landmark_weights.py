"""Which combinations of a network's surface points the 68 landmarks are, as annotators place them: into the map.

    python runs/landmark_weights.py NETWORK.onnx FRAMES.tar MAP.npz [--model MODEL.npz]

FRAMES are annotated pictures that the network has trained on or not; MAP, which has its readout already
(``runs/point_readout.py``), is completed in place. The network looks at
the annotated faces as the program does and a head is fitted to its points, so what is learned is how both relate to
annotations, their own habits among them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from likeness import Reconstructor
from likeness.datasets.training import read_frames
from likeness.model.surface_points import PointMap
from likeness.train.photos.landmark_weights import landmark_weights, weights_with_head


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the 68 landmarks from surface points.")
    parser.add_argument("network", type=Path)
    parser.add_argument("frames", type=Path)
    parser.add_argument("map", type=Path)
    parser.add_argument("--model", type=Path, help="the face model that the network is for")
    arguments = parser.parse_args()
    known = PointMap.load(arguments.map)
    look = Reconstructor(arguments.model, arguments.network, points=known)
    frames = read_frames(arguments.frames)
    placed, heads = [], []
    for number in range(len(frames.images)):
        face = look(np.asarray(frames.images[number]), landmarks=frames.landmarks[number][None])[0]
        head, pose = face.coefficients, (face.camera, face.rotation, face.translation)
        placed.append(face.points)
        heads.append(look.model.seen_landmarks(head.identity, head.expression, *pose))
    points, truth = np.array(placed, np.float64), np.asarray(frames.landmarks, np.float64)
    both = weights_with_head(points, np.array(heads), truth, known.mirror, known.ibug)
    alone = landmark_weights(points, truth, known.mirror, known.ibug)
    replace(known, landmarks=alone, with_head=both).save(arguments.map)


if __name__ == "__main__":
    main()

"""Which combinations of a network's surface points the 68 landmarks are, as annotators place them: into the map.

    python runs/landmark_weights.py NETWORK.onnx FRAMES.tar MAP.npz [--model MODEL.npz]

FRAMES are annotated pictures that the network has trained on or not; MAP is completed in place. The network looks at
the annotated faces as the program does, so what is learned is how its points relate to annotations, its own habits
among them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from likeness import Reconstructor
from likeness.datasets.training import read_frames
from likeness.model.surface_points import PointMap
from likeness.train.photos.landmark_weights import landmark_weights


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the 68 landmarks from surface points.")
    parser.add_argument("network", type=Path)
    parser.add_argument("frames", type=Path)
    parser.add_argument("map", type=Path)
    parser.add_argument("--model", type=Path, help="the face model that the network is for")
    arguments = parser.parse_args()
    known = PointMap.load(arguments.map)
    look = Reconstructor(arguments.model, arguments.network, points=known, refine=False)
    frames = read_frames(arguments.frames)
    placed = []
    for number in range(len(frames.images)):
        face = look(np.asarray(frames.images[number]), landmarks=frames.landmarks[number][None])[0]
        placed.append(face.points)
    weights = landmark_weights(np.array(placed), np.asarray(frames.landmarks), known.mirror, known.ibug)
    replace(known, landmarks=weights).save(arguments.map)


if __name__ == "__main__":
    main()

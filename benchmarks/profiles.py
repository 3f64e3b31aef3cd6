"""Faces turned to a side, up to profiles: found, how far turned, and where the 68 points are.

    python benchmarks/profiles.py DATA [--network FILE | --version SRC] [--count N] [--out FOLDER] [--json FILE]

No photograph of a profile says how far it is turned. So heads are rendered whose every label is known, in the
skins of people of ``DATA/photos/photo-val.tar`` (no training has seen them), with hair, shapes drawn from the
model, and in every light. They are found by the program as photographs are, or by that of another version, whose
``src`` folder is given (of a git worktree, say), with its own assets. Errors of yaw are signed, positive:
read as turned too far. NME is the mean distance of the 68 points, also of those that cannot be seen,
over the root of their box's area (AFLW2000-3D's convention), percent; of faces that are found.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

import numpy as np
from finder import overlaps
from turns import square

from likeness import FaceModel, Reconstructor
from likeness.datasets import read_photos
from likeness.files import write_atomically
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.images.encode import png_bytes
from likeness.train.generate.rendered import Sample, SyntheticFaces, Variety
from likeness.train.generate.rendered_people import landmarks_of, over_background
from likeness.train.generate.skins import Skins, skins_of

SIDE = 320
"""Pixels of the pictures; faces are about half as high."""

YAWS = (0, 30, 60, 75, 90)


class TurnedFaces(SyntheticFaces):
    """Rendered people whose yaw is drawn evenly from -90 to 90 degrees."""

    def _varied(
        self, expression: np.ndarray, rotation: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        angles = np.radians([rng.uniform(-90, 90), rng.normal(0, 8), rng.normal(0, 6)])
        return expression, FRONTAL @ rotation_from_euler(*angles)


def picture_of(face: Sample, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A picture (320, 320, 3) of which the rendered one is the middle half or more, and where that begins."""
    small = over_background(face.rgba, rng)
    around = np.asarray(np.clip(rng.normal(128, 30, 3), 0, 255), np.uint8)
    picture = np.full((SIDE, SIDE, 3), around, np.uint8)
    first = (SIDE - len(small)) // 2
    picture[first : first + len(small), first : first + len(small)] = small
    return picture, float(first)


def yaw_of(rotation: np.ndarray) -> float:
    """Degrees."""
    return float(np.degrees(np.arctan2(rotation[0, 2], -rotation[2, 2])))


class Found(Protocol):
    """A face that a program has found."""

    @property
    def landmarks(self) -> np.ndarray:
        """The 68 points (68, 2), pixels."""

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) model axes -> camera axes."""


Finder = Callable[[np.ndarray], Sequence[Found]]
"""From a picture (H, W, 3) uint8 RGB to its faces, best first."""


class AnotherVersion:
    """The program of another version, in a process of its own.

    Args:
        source: its folder ``src``.
    """

    PROGRAM = """
import json, sys, cv2, likeness
reconstruct = likeness.Reconstructor(threads=1)
for line in sys.stdin:
    faces = reconstruct(cv2.imread(line.strip())[..., ::-1].copy())
    print(json.dumps([[face.landmarks.tolist(), face.rotation.tolist()] for face in faces]), flush=True)
"""

    def __init__(self, source: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM],
            env={**os.environ, "PYTHONPATH": str(source.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, picture: np.ndarray) -> list[Found]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(png_bytes(picture))
            file.flush()
            self._process.stdin.write(f"{file.name}\n")
            self._process.stdin.flush()
            told = json.loads(self._process.stdout.readline())
        return [SimpleNamespace(landmarks=np.array(points), rotation=np.array(turn)) for points, turn in told]


def error_of(face: Found, truth: np.ndarray) -> float:
    """Mean distance of the 68 points, percent of the root of the true ones' box."""
    apart = np.linalg.norm(face.landmarks - truth, axis=1).mean()
    return float(100 * apart / np.sqrt(np.prod(np.ptp(truth, axis=0))))


def measure(find: Finder, model: FaceModel, skins: Skins, count: int) -> np.ndarray:
    """(n, 4): true yaw, whether it was found, the error of yaw, and NME."""
    faces = TurnedFaces(model, 224, Variety(skins, skinned=1.0, haired=0.7, asleep=0.0))
    rows = []
    for number in range(count):
        face = faces(977_000_000 + number)
        picture, first = picture_of(face, np.random.default_rng([977, number]))
        truth, yaw = landmarks_of(face, model) + first, yaw_of(face.rotation)
        found = [
            one for one in find(picture) if overlaps(square(one.landmarks)[None], square(truth)[None])[0, 0] > 0.4
        ]
        if not found:
            rows.append((yaw, 0.0, np.nan, np.nan))
            continue
        read = np.sign(yaw) * yaw_of(found[0].rotation)
        rows.append((yaw, 1.0, read - abs(yaw), error_of(found[0], truth)))
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall, yaw and points by how far a head is turned.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", type=Path, help="another network (.onnx) than the embedded one")
    parser.add_argument("--version", type=Path, help="the folder src of another version, whose program is measured")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--out", type=Path, help="folder for the skins, so that they need not be taken anew")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    reconstruct = Reconstructor(network=arguments.network, threads=1)
    kept = None if arguments.out is None else arguments.out / "skins.npz"
    if kept is not None and kept.exists():
        skins = Skins.load(kept, reconstruct.model)
    else:
        skins = skins_of(read_photos(arguments.data / "photos" / "photo-val.tar"), Reconstructor(), each=4)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            skins.save(kept)
            faces = TurnedFaces(reconstruct.model, 224, Variety(skins, skinned=1.0, haired=0.7, asleep=0.0))
            shown = [over_background(faces(977_000_000 + n).rgba, np.random.default_rng([977, n])) for n in range(24)]
            sheet = np.concatenate([np.concatenate(shown[n : n + 8], axis=1) for n in range(0, 24, 8)])
            write_atomically(arguments.out / "faces.png", png_bytes(sheet))
    find = reconstruct if arguments.version is None else AnotherVersion(arguments.version)
    rows = measure(find, reconstruct.model, skins, arguments.count)
    result = {}
    print("yaw         faces  found %  error of yaw, degrees: median  of size  NME %")
    for low, high in itertools.pairwise(YAWS):
        some = rows[(np.abs(rows[:, 0]) >= low) & (np.abs(rows[:, 0]) < high)]
        figures = {
            "faces": len(some),
            "found_percent": 100 * float(some[:, 1].mean()),
            "yaw_error_median": float(np.nanmedian(some[:, 2])),
            "yaw_error_size": float(np.nanmedian(np.abs(some[:, 2]))),
            "nme_percent": float(np.nanmean(some[:, 3])),
        }
        result[f"{low} to {high}"] = figures
        one = figures
        print(
            f"{low:2} to {high:2}  {one['faces']:7}  {one['found_percent']:7.1f}  {one['yaw_error_median']:30.1f}"
            f"  {one['yaw_error_size']:7.1f}  {one['nme_percent']:5.2f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

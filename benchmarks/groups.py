"""Errors by group of adults: faces missed, and how far the network's surface points lie from MediaPipe's.

    python benchmarks/groups.py DATA [--every 2] [--json FILE]

DATA/photos/groups-eval.tar holds single faces with labels {age, gender, group}, partly estimated by the set's
authors; there are no landmarks, so MediaPipe's points (DATA/teachers/mediapipe; extra ``points``) are what is
compared with, each point's offset on all people taken out. MediaPipe has errors by group of its own: equal figures
here do not prove equal errors, unequal ones are worth a look.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from likeness import Reconstructor
from likeness.model.surface_points import default_point_map
from likeness.networks.mediapipe import FaceLandmarker
from likeness.reconstruct.teacher_points import FACE, teacher_points

AGES = ((18, 29), (30, 44), (45, 59), (60, 120))


def read(path: Path) -> list[tuple[dict[str, object], bytes]]:
    """Labels and encoded pictures of a WebDataset tar."""
    parts: dict[str, dict[str, bytes]] = defaultdict(dict)
    with tarfile.open(path) as archive:
        for member in archive:
            stem, _, suffix = member.name.rpartition(".")
            handle = archive.extractfile(member)
            if handle is not None:
                parts[stem][suffix] = handle.read()
    return [
        (json.loads(part["json"]), next(data for suffix, data in part.items() if suffix != "json"))
        for _, part in sorted(parts.items())
        if "json" in part and len(part) == 2
    ]


def classes(note: dict[str, object]) -> tuple[str, ...]:
    """Which rows a person counts in."""
    age = int(str(note["age"]))
    years = next(
        (f"{low}-{high}" if high < 100 else f"{low} and over" for low, high in AGES if low <= age <= high), "?"
    )
    return ("all", str(note["group"]), str(note["gender"]), years)


def main() -> None:
    parser = argparse.ArgumentParser(description="Errors by group of adults.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every so manieth picture")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    look, known = Reconstructor(threads=1), default_point_map()
    network = FaceLandmarker.load(arguments.data / "teachers" / "mediapipe")
    missed: dict[str, list[bool]] = defaultdict(list)
    differences, rows = [], []
    for note, data in read(arguments.data / "photos" / "groups-eval.tar")[:: arguments.every]:
        image = _decoded(data)
        faces = look(image, max_faces=1)
        for name in classes(note):
            missed[name].append(not faces)
        if not faces or faces[0].points is None:
            continue
        theirs = teacher_points(image, faces[0].landmarks, network, known)
        if theirs.chance < 0.5:
            continue
        size = float(np.sqrt(np.prod(np.ptp(theirs.points[known.ibug, :2], axis=0))))
        differences.append((faces[0].points[:FACE] - theirs.points[:FACE, :2]) / size)
        rows.append(classes(note))
    free = np.array(differences) - np.mean(differences, axis=0)
    error = 100 * np.linalg.norm(free, axis=-1).mean(1)
    table = {}
    for name in missed:
        mine = np.array([name in row for row in rows])
        spread = error[mine].std() / max(1, mine.sum()) ** 0.5
        table[name] = {
            "people": len(missed[name]),
            "missed_percent": 100 * float(np.mean(missed[name])),
            "points_percent": float(error[mine].mean()),
            "standard_error": float(spread),
        }
        print(
            f"{name:14} {len(missed[name]):5} people, {table[name]['missed_percent']:5.1f} % missed, points "
            f"{table[name]['points_percent']:.2f} ± {spread:.2f} % of the box from MediaPipe's"
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


def _decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("expected a picture")
    return np.ascontiguousarray(image[..., ::-1])


if __name__ == "__main__":
    main()

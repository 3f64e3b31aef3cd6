"""Photos turned by any angle: found, the right way up, and with the same pose?

    python benchmarks/turns.py DATA [--network FILE] [--photos N] [--step DEGREES] [--json FILE]

Photographs of ``DATA/photos/photo-val.tar``, evenly chosen, are turned about their middles, the corners grey. What
the program says of the photo as it is, turned along, is what is expected: found is a face whose box shares 40 % with
the expected one (intersection over union); on its head, a found one that is rolled more than 90 degrees off; the
pose's error is the angle between the two rotations. Photos in which the program finds no face as they are stay out,
and are counted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from face_scenes import turned_picture
from finder import overlaps

from likeness import Reconstruction, Reconstructor
from likeness.geometry.rotation import FRONTAL, euler_from_rotation
from likeness.images.photo import photo_from_bytes
from likeness.reconstruct.proposals import crop_from_landmarks

YAWS = (0, 20, 40, 90)


def photos(tar: Path, count: int) -> list[np.ndarray]:
    """So many photos, evenly through the archive."""
    with tarfile.open(tar) as archive:
        members = sorted((m for m in archive if m.isfile()), key=lambda member: member.name)
        chosen = [members[n] for n in np.linspace(0, len(members) - 1, count).round().astype(int)]
        streams = [archive.extractfile(member) for member in chosen]
        return [photo_from_bytes(stream.read()).image for stream in streams if stream is not None]


def square(landmarks: np.ndarray) -> np.ndarray:
    """(3,) middle and size of the upright box."""
    crop = crop_from_landmarks(landmarks, 64, upright=True)
    return np.array([*crop.center, crop.side])


def compare(found: list[Reconstruction], landmarks: np.ndarray, rotation: np.ndarray) -> tuple[bool, float, float]:
    """Whether the expected face was found, how far it is rolled off and how far its pose is off, degrees."""
    shared = [float(overlaps(square(face.landmarks)[None], square(landmarks)[None])[0, 0]) for face in found]
    if not shared or max(shared) < 0.4:
        return False, np.nan, np.nan
    face = found[int(np.argmax(shared))]
    here, there = (points[42:48].mean(0) - points[36:42].mean(0) for points in (face.landmarks, landmarks))
    roll = abs(np.angle(complex(*here) / complex(*there)))
    pose = np.arccos(np.clip((np.trace(face.rotation @ rotation.T) - 1) / 2, -1, 1))
    return True, float(np.degrees(roll)), float(np.degrees(pose))


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall and pose error by turn.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", type=Path, help="another network (.onnx) than the embedded one")
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--step", type=int, default=15, help="degrees from turn to turn")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    reconstruct = Reconstructor(network=arguments.network, threads=1)
    rows, missed, extra = [], 0, 0
    for image in photos(arguments.data / "photos" / "photo-val.tar", arguments.photos):
        known = reconstruct(image, max_faces=1)
        if not known:
            missed += 1
            continue
        yaw = abs(np.degrees(euler_from_rotation(FRONTAL @ known[0].rotation)[0]))
        for turn in range(0, 360, arguments.step):
            angle = np.radians(turn)
            picture, matrix = turned_picture(image, angle)
            found = reconstruct(picture)
            extra += max(0, len(found) - 1)
            c, s = np.cos(angle), np.sin(angle)
            expected = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ known[0].rotation
            landmarks = known[0].landmarks @ matrix[:, :2].T + matrix[:, 2]
            rows.append((turn, yaw, *compare(found, landmarks, expected)))
    table = np.array(rows, float)
    result: dict[str, Any] = {"photos": arguments.photos, "no face as they are": missed, "further faces": extra}
    print(result)
    print(f"{'':16} photos  found %  on its head  pose error, degrees: median  90 %")
    for turn in range(0, 360, arguments.step):
        result[f"turned by {turn}"] = summary(f"turned by {turn}", table[table[:, 0] == turn])
    for low, high in itertools.pairwise(YAWS):
        name = f"yaw {low} to {high}"
        result[name] = summary(name, table[(table[:, 1] >= low) & (table[:, 1] < high)])
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def summary(name: str, rows: np.ndarray) -> dict[str, float]:
    """One line of the table; printed too."""
    found = rows[rows[:, 2] > 0]
    if not len(found):
        return {"photos": len(rows), "found_percent": 0.0}
    middle, most = (float(np.percentile(found[:, 4], part)) for part in (50, 90))
    heads, percent = int((found[:, 3] > 90).sum()), 100 * len(found) / len(rows)
    print(f"{name:16} {len(rows):6}  {percent:7.1f}  {heads:11}  {middle:27.2f}  {most:4.1f}")
    return {
        "photos": len(rows),
        "found_percent": percent,
        "on_its_head": heads,
        "pose_error_degrees_median": middle,
        "pose_error_degrees_p90": most,
    }


if __name__ == "__main__":
    main()

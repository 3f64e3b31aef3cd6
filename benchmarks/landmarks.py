"""Landmark error of the whole program on annotated video frames: faces found by the program itself.

    python benchmarks/landmarks.py DATA/photos/video-val.tar [--json FILE] [--worst DIR] [--network FILE --model FILE]

NME: mean distance of the 68 points over the square root of the area of the annotated points' box, in percent. A frame
counts as missed when no found face lies on the annotated one (box overlap under 0.3); the mean is over found frames,
and beside it stands the mean with every missed frame counted as 100 %. ``--true-crops`` leaves detection out.

Groups: by how far the head is turned, and by thirds of the skin's melanin, both as the network sees them (the frames
carry no such labels, so a group is only as right as the network is).
"""

from __future__ import annotations

import argparse
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from likeness import Reconstruction, Reconstructor
from likeness.metrics.landmark_error import errors_without_side
from likeness.reconstruct.reconstructor import MIN_SCORE


def frames(tar: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(key, image (H, W, 3), landmarks (68, 2)) of every frame."""
    import cv2

    images: dict[str, np.ndarray] = {}
    points: dict[str, np.ndarray] = {}
    with tarfile.open(tar) as archive:
        for member in archive:
            key, _, kind = member.name.rpartition(".")
            stream = archive.extractfile(member)
            if stream is None:
                continue
            data = stream.read()
            if kind == "json":
                points[key] = np.array(json.loads(data)["landmarks"], float)
            else:
                decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                images[key] = cv2.cvtColor(np.asarray(decoded), cv2.COLOR_BGR2RGB)
    return [(key, images[key], points[key]) for key in sorted(points)]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x0 y0 x1 y1."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(high - low, 0))
    return float(common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common))


def measure(reconstruct: Reconstructor, tar: Path, true_crops: bool) -> tuple[dict[str, Any], list[Any]]:
    """The table's numbers, and (error, key, image, truth, landmarks) per found frame."""
    rows, seen, extra, missed = [], [], 0, []
    for key, image, truth in frames(tar):
        box = np.concatenate([truth.min(0), truth.max(0)])
        found = reconstruct(image, landmarks=truth[None]) if true_crops else reconstruct(image)
        fits = [face for face in found if overlap(face.box, box) > 0.3]
        extra += len(found) - len(fits)
        if not fits:
            missed.append(key)
            continue
        face = max(fits, key=lambda face: overlap(face.box, box))
        size = np.sqrt(np.prod(box[2:] - box[:2]))
        error = np.linalg.norm(face.landmarks - truth, axis=1) / size * 100
        rows.append((error, key, image, truth, face.landmarks))
        seen.append((abs(yaw_degrees(face)), face.coefficients.albedo[face.model.albedo_names.index("melanin")]))
    errors = np.array([row[0] for row in rows])
    count = len(rows) + len(missed)
    result = {
        "data": tar.name,
        "frames": count,
        "crops": "annotated" if true_crops else "found by the program",
        "nme_percent": errors.mean(),
        "nme_inner51_percent": errors[:, 17:].mean(),
        **without_side(rows),
        "nme_median_percent": np.median(errors.mean(1)),
        "nme_p95_percent": np.percentile(errors.mean(1), 95),
        "nme_missed_as_100_percent": (errors.mean(1).sum() + 100 * len(missed)) / count,
        "missed": len(missed),
        "missed_percent": 100 * len(missed) / count,
        "false_faces_per_frame": extra / count,
        "missed_keys": missed,
        **by_group(errors.mean(1), np.array(seen)),
    }
    return result, sorted(rows, key=lambda row: -row[0].mean())


def without_side(rows: list[Any]) -> dict[str, float]:
    """How far the annotations of the rows of :func:`measure` lie to the right, percent, and the error without that.

    The program's answer is a mean over crop and mirror image, so it has no side of its own: what all inner points of
    all frames have in common is the annotators' (:mod:`likeness.train.photos.landmark_bias`).
    """
    truth, found = (np.array([row[column] for row in rows]) for column in (3, 4))
    side, rest = errors_without_side(found, truth)
    return {"annotations_to_the_right_percent": 100 * side, "nme_percent, side taken out": 100 * float(rest.mean())}


def yaw_degrees(face: Reconstruction) -> float:
    """How far the head is turned to its left, degrees."""
    forward = face.rotation @ [0.0, 0.0, 1.0]
    return float(np.degrees(np.arctan2(forward[0], -forward[2])))


def by_group(errors: np.ndarray, seen: np.ndarray) -> dict[str, Any]:
    """NME in percent, and frames, by yaw in degrees and by thirds of melanin (light to dark)."""
    yaw, melanin = seen.T
    low, high = np.quantile(melanin, [1 / 3, 2 / 3])
    groups = {
        "yaw 0-15": yaw < 15,
        "yaw 15-30": (yaw >= 15) & (yaw < 30),
        "yaw 30-90": yaw >= 30,
        "light third": melanin < low,
        "middle third": (melanin >= low) & (melanin < high),
        "dark third": melanin >= high,
    }
    return {
        f"nme_percent, {name} ({int(chosen.sum())} frames)": float(errors[chosen].mean())
        for name, chosen in groups.items()
        if chosen.any()
    }


def draw_worst(rows: list[Any], folder: Path) -> None:
    """The 24 worst frames as one picture: truth green, ours red."""
    import cv2

    from likeness.geometry.crop import Crop
    from likeness.render import draw_points

    tiles = []
    for error, key, image, truth, points in rows[:24]:
        crop = Crop.from_box((truth.min(0) + truth.max(0)) / 2, 1.9 * float(np.ptp(truth, axis=0).max()), 224)
        tile = draw_points(crop.extract(image), crop.to_crop(truth), (0.1, 0.9, 0.2), 1.5)
        tile = draw_points(tile, crop.to_crop(points), (1.0, 0.2, 0.2), 1.5)
        cv2.putText(tile, f"{key} {error.mean():.1f}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1)
        tiles.append(tile)
    folder.mkdir(parents=True, exist_ok=True)
    grid = np.concatenate([np.concatenate(tiles[i : i + 8], 1) for i in range(0, len(tiles) - 7, 8)])
    cv2.imwrite(str(folder / "worst_landmarks.png"), grid[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Landmark error on annotated frames.")
    parser.add_argument("tar", type=Path)
    parser.add_argument("--true-crops", action="store_true", help="cut by the annotated points, no detection")
    parser.add_argument("--network", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="of faces that are looked at, 0 to 1")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worst", type=Path, help="folder for a picture of the worst frames")
    arguments = parser.parse_args()
    reconstruct = Reconstructor(arguments.model, arguments.network, min_score=arguments.min_score)
    result, rows = measure(reconstruct, arguments.tar, arguments.true_crops)
    for key, value in result.items():
        print(f"{key:42} {value:.3f}" if isinstance(value, float) else f"{key:42} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.worst:
        draw_worst(rows, arguments.worst)


if __name__ == "__main__":
    main()

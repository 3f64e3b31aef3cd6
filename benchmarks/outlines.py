"""Whether heads are as wide as the people: how far true outlines of faces lie outside of the heads' own.

    python benchmarks/outlines.py DATA [--network FILE --model FILE] [--json FILE]

On the hand-placed outlines of DATA/portraits and on the annotated ones of frames of DATA/photos/video-val.tar that
are turned by less than 25 degrees (both sides of a face averaged: annotation is a little to one side). Millimetres at
the head, under the found pose; the mean and standard error over people, at the angles of the jaw (each side) and the
chin; and the true widths against those of the heads: correlation, and the slope of truth on what was found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from likeness import Reconstruction, Reconstructor
from likeness.datasets.hand_placed import read_portraits, read_tem
from likeness.datasets.test_sets import open_photos
from likeness.geometry.rotation import FRONTAL, euler_from_rotation
from likeness.images.photo import load_photo
from likeness.metrics.outline import CHIN, SIDES, outline_distances

HAND_PLACED = (111, *range(125, 134), 114)
"""Of the 189 points: the jaw's curve."""

TURNED = 25.0
"""Degrees of yaw."""

Outline = tuple[str, Reconstruction, np.ndarray]
"""Whose, the face, and the true outline (T, 2), pixels."""


def portraits(look: Reconstructor, folder: Path) -> Iterator[Outline]:
    """The neutral portraits."""
    for photo in read_portraits(folder).photos:
        image = load_photo(photo).image
        placed = read_tem(photo.with_suffix(".tem"), image.shape[1])
        yield photo.stem, look(image, max_faces=1)[0], placed[list(HAND_PLACED)]


def frames(look: Reconstructor, archive: Path) -> Iterator[Outline]:
    """Annotated frames that are not turned far."""
    for item in open_photos(archive).items:
        if item.landmarks is None:
            continue
        face = look(item.image(), landmarks=item.landmarks[None])[0]
        if abs(np.degrees(euler_from_rotation(FRONTAL @ face.rotation)[0])) < TURNED:
            yield item.identity, face, item.landmarks[:17]


def measured(outlines: Iterator[Outline]) -> dict[str, float]:
    """The figures of the head of this file."""
    people, rows = [], []
    for person, face, truth in outlines:
        code = face.coefficients
        head = face.model.seen_landmarks(code.identity, code.expression, face.camera, face.rotation, face.translation)
        per_mm = face.camera.focal / float(face.translation[2])
        away = outline_distances(head, truth) / per_mm
        both = np.nanmean([away, away[::-1]], axis=0)
        half = len(SIDES) // 2
        width = np.linalg.norm(head[list(SIDES[:half])] - head[list(SIDES[half:])[::-1]], axis=1).mean() / per_mm
        people.append(person)
        rows.append([np.nanmean(both[list(SIDES)]), np.nanmean(both[list(CHIN)]), width])
    table = np.array(rows)
    table = table[np.isfinite(table).all(1)]
    _, member = np.unique(np.array(people)[np.isfinite(np.array(rows)).all(1)], return_inverse=True)
    means = np.stack([np.bincount(member, column) / np.bincount(member) for column in table.T], 1)
    error = means.std(0, ddof=1) / np.sqrt(len(means))
    truth = table[:, 2] + 2 * table[:, 0]
    return {
        "pictures": float(len(table)),
        "people": float(len(means)),
        "jaw, mm outside": float(means[:, 0].mean()),
        "jaw, standard error": float(error[0]),
        "chin, mm outside": float(means[:, 1].mean()),
        "chin, standard error": float(error[1]),
        "width, correlation": float(np.corrcoef(truth, table[:, 2])[0, 1]),
        "width, slope": float(np.polyfit(table[:, 2], truth, 1)[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="True outlines of faces against those of the heads.")
    parser.add_argument("data", type=Path, help="the folder with portraits and photos")
    parser.add_argument("--network", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    look = Reconstructor(arguments.model, arguments.network, threads=1)
    found = {
        "portraits": measured(portraits(look, arguments.data / "portraits")),
        "video-val": measured(frames(look, arguments.data / "photos" / "video-val.tar")),
    }
    for name, figures in found.items():
        print(f"{name}: " + ", ".join(f"{what} {value:.2f}" for what, value in figures.items()))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

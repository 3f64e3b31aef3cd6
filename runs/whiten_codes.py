"""How the codes of a network scatter from photo to photo of one person: learned on training people.

    python runs/whiten_codes.py NETWORK.onnx DATA/photos OUT.npz [--model MODEL.npz --points MAP.npz] [--processes 2]

Looks at photos of ``photo-train.tar`` and frames of ``video-train.tar`` as the program does, a few of each person,
and writes what :mod:`likeness.reconstruct.whitening` holds. An OUT that is embedded is entered in the
``provenance.json`` beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np

from likeness import Reconstructor
from likeness.datasets.test_sets import open_photos
from likeness.files import file_digest, json_bytes, write_atomically
from likeness.model.surface_points import PointMap
from likeness.reconstruct.whitening import Whitening

SETS = {"photo-train.tar": 12, "video-train.tar": 6}
"""How many pictures of each person are looked at."""

Codes = tuple[np.ndarray, np.ndarray]
"""Of a head (K,), and what the features alone say (K,)."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn how codes of one person's photos scatter.")
    parser.add_argument("network", type=Path)
    parser.add_argument("photos", type=Path, help="the folder with " + " and ".join(SETS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    identity, features, person = [], [], []
    people = 0
    for name, count in SETS.items():
        path = arguments.photos / name
        items = open_photos(path).items
        names = sorted({item.identity for item in items})
        rows, own = [], []
        for number, one in enumerate(names):
            shown = [row for row, item in enumerate(items) if item.identity == one]
            least = max(2, round(arguments.share * count))
            chosen = np.unique(np.linspace(0, len(shown) - 1, least).round().astype(int))
            rows += [shown[place] for place in chosen]
            own += [people + number] * len(chosen)
        people += len(names)
        found = looked_at(path, rows, arguments)
        kept = [place for place, codes in enumerate(found) if codes is not None]
        identity += [found[place][0] for place in kept]
        features += [found[place][1] for place in kept]
        person += [own[place] for place in kept]
        print(f"{name}: {len(kept)} of {len(rows)} pictures of {len(names)} people show a face")
    learned = Whitening.learned(
        file_digest(arguments.network), np.stack(identity), np.stack(features), np.array(person)
    )
    learned.save(arguments.out)
    print(f"{arguments.out}: {learned.evidence}")
    entered(arguments.out)


def looked_at(path: Path, rows: list[int], arguments: argparse.Namespace) -> list[Codes | None]:
    """The codes of each picture's best face; None where there is none."""
    if arguments.processes == 1:
        return _codes(path, rows, arguments)
    parts = [part.tolist() for part in np.array_split(rows, arguments.processes)]
    with ProcessPoolExecutor(arguments.processes) as pool:
        return [one for part in pool.map(_codes, repeat(path), parts, repeat(arguments)) for one in part]


def _codes(path: Path, rows: list[int], arguments: argparse.Namespace) -> list[Codes | None]:
    points = None if arguments.points is None else PointMap.load(arguments.points)
    look = Reconstructor(arguments.model, arguments.network, points=points, threads=1)
    items, found = open_photos(path).items, []
    for row in rows:
        faces = look(items[row].image(), max_faces=1)
        cues = faces[0].cues if faces else None
        kinds = None if cues is None else (faces[0].coefficients.identity, cues.features)
        found.append(None if kinds is None else (kinds[0].astype(np.float64), kinds[1].astype(np.float64)))
    return found


def entered(path: Path) -> None:
    """Its sha256 and size in the ``provenance.json`` beside it, where it is one of the files named there."""
    provenance = path.with_name("provenance.json")
    if not provenance.is_file():
        return
    told = json.loads(provenance.read_text(encoding="utf-8"))
    data = path.read_bytes()
    told["sha256"][path.name] = hashlib.sha256(data).hexdigest()
    told["bytes"][path.name] = len(data)
    write_atomically(provenance, json_bytes(told))


if __name__ == "__main__":
    main()

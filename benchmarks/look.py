"""Pages to look at: random faces, the worst by landmarks, the most confused people. Numbers do not see all.

    python benchmarks/look.py DATA OUT [--model FILE --network FILE]

OUT gets ``random.png`` (60 faces of video-val and photo-val: photo, overlay, neutral head from two sides),
``worst.png`` (the 20 largest landmark errors of video-val), ``confused.png`` (the 20 pairs of two people with the
nearest shapes, and beside them the 20 pairs of one person with the farthest), and ``groups.json``: landmark
error by how dark the skin is found, how far the head is turned and how wide the mouth is open, in thirds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from likeness import Reconstruction, Reconstructor
from likeness.datasets.test_sets import PhotoItem, open_photos
from likeness.geometry.rotation import FRONTAL

PANEL = 120
RANDOM, WORST, PAIRS = 60, 20, 20


@dataclass(frozen=True, eq=False)
class Seen:
    """A photo of somebody, what the program made of it, and the landmark error in percent (None: no truth known)."""

    item: PhotoItem
    face: Reconstruction
    error: float | None


def look(photos: Sequence[PhotoItem], reconstruct: Reconstructor) -> tuple[list[Seen], list[str]]:
    """The face of every photo (the annotated one where it is known which), and the names of those without."""
    seen, missed = [], []
    for item in photos:
        faces = reconstruct(item.image())
        if item.landmarks is not None:
            faces = sorted(faces, key=lambda face, item=item: _error(face, item.landmarks))  # type: ignore[misc]
        if not faces:
            missed.append(item.name)
            continue
        seen.append(Seen(item, faces[0], None if item.landmarks is None else _error(faces[0], item.landmarks)))
    return seen, missed


def _error(face: Reconstruction, truth: np.ndarray) -> float:
    """Mean distance over sqrt(w h) of the true landmarks' box, percent."""
    size = float(np.sqrt(np.prod(truth.max(0) - truth.min(0))))
    return 100 * float(np.linalg.norm(face.landmarks - truth, axis=1).mean()) / size


def row(one: Seen, text: str) -> np.ndarray:
    """A face's sheet with a line of text."""
    picture = np.ascontiguousarray(one.face.overview(PANEL))
    return _titled(picture, text)


def _titled(picture: np.ndarray, text: str) -> np.ndarray:
    band = np.full((14, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(band, text, (2, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([band, picture])


def page(rows: list[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size in columns."""
    rows = rows + [np.full_like(rows[0], 255)] * (-len(rows) % columns)
    lines = [np.concatenate(rows[i : i + columns], axis=1) for i in range(0, len(rows), columns)]
    return np.concatenate(lines)


def confused(seen: list[Seen]) -> list[np.ndarray]:
    """Rows: a pair of two people whose shapes are nearest | a pair of one person whose shapes are farthest apart."""
    model = seen[0].face.model
    codes = model.geometry(np.stack([one.face.coefficients.identity for one in seen]))
    people = np.array([one.item.identity for one in seen])
    distance = np.linalg.norm(codes[:, None] - codes[None], axis=-1)
    upper = np.triu(np.ones_like(distance, bool), 1)
    same = people[:, None] == people[None]
    nearest = _distinct(np.where(upper & ~same, distance, np.inf), people)
    farthest = _distinct(np.where(upper & same, -distance, np.inf), people)
    rows = []
    for (a, b), (c, d) in zip(nearest, farthest, strict=False):
        left, right = (_pair(seen[i], seen[j], float(distance[i, j])) for i, j in ((a, b), (c, d)))
        rows.append(np.concatenate([left, np.full((left.shape[0], 20, 3), 255, np.uint8), right], axis=1))
    return rows


def _distinct(cost: np.ndarray, people: np.ndarray) -> list[tuple[int, int]]:
    """The cheapest pairs, at most one of each two people: frames of a clip are alike."""
    found: list[tuple[int, int]] = []
    taken: set[frozenset[str]] = set()
    for flat in np.argsort(cost, axis=None):
        i, j = (int(index) for index in np.unravel_index(flat, cost.shape))
        if len(found) == PAIRS or not np.isfinite(cost[i, j]):
            break
        who = frozenset((str(people[i]), str(people[j])))
        if who not in taken:
            taken.add(who)
            found.append((i, j))
    return found


def _pair(a: Seen, b: Seen, apart: float) -> np.ndarray:
    text = f"{a.item.identity} {b.item.identity}: {apart:.1f} mm"
    return _titled(np.concatenate([np.ascontiguousarray(one.face.overview(PANEL)) for one in (a, b)], axis=1), text)


def groups(seen: list[Seen]) -> dict[str, list[dict[str, float]]]:
    """Landmark errors in thirds of what the program itself found: melanin, yaw, the jaw's opening."""
    known = [one for one in seen if one.error is not None]
    names = known[0].face.model
    jaw, melanin = names.expression_names.index("jawOpen"), names.albedo_names.index("melanin")
    values = {
        "melanin": [float(one.face.coefficients.albedo[melanin]) for one in known],
        "turn, degrees": [_turn(one.face) for one in known],
        "jaw open": [float(one.face.coefficients.expression[jaw]) for one in known],
    }
    errors = np.array([one.error for one in known])
    found = {}
    for name, value in values.items():
        order = np.argsort(value)
        thirds = np.array_split(order, 3)
        found[name] = [
            {"from": value[part[0]], "to": value[part[-1]], "faces": len(part), "nme": float(errors[part].mean())}
            for part in thirds
        ]
    return found


def _turn(face: Reconstruction) -> float:
    """How far the head is turned from the camera, degrees."""
    towards = (FRONTAL.T @ face.rotation)[2, 2]
    return float(np.degrees(np.arccos(np.clip(towards, -1, 1))))


def main() -> None:
    parser = argparse.ArgumentParser(description="Pages to look at.")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    reconstruct = Reconstructor(arguments.model, arguments.network)
    video, lost = look(open_photos(arguments.data / "photos" / "video-val.tar").items, reconstruct)
    photo, also = look(open_photos(arguments.data / "photos" / "photo-val.tar").items, reconstruct)
    everybody = video + photo
    rng = np.random.default_rng(arguments.seed)
    chosen = [everybody[i] for i in rng.choice(len(everybody), RANDOM, replace=False)]
    worst = sorted(video, key=lambda one: -(one.error or 0.0))[:WORST]
    pages = {
        "random": page([row(one, f"{one.item.name}  {one.face.score:.2f}") for one in chosen], 3),
        "worst": page([row(one, f"{one.item.name}  NME {one.error:.1f} %") for one in worst], 2),
        "confused": page(confused(photo), 1),
    }
    for name, picture in pages.items():
        cv2.imwrite(str(arguments.out / f"{name}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    found = groups(video)
    (arguments.out / "groups.json").write_text(json.dumps(found, indent=1) + "\n")
    for name, thirds in found.items():
        print(name, " | ".join(f"{one['from']:.2f} to {one['to']:.2f}: {one['nme']:.2f} %" for one in thirds))
    print(f"{len(lost) + len(also)} photos without a face: {', '.join([*lost, *also][:12])}")


if __name__ == "__main__":
    main()

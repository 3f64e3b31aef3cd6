"""Textures: is what is in front of skin left out, and are several photos better than one?

    python benchmarks/texture.py DATA [--only front,several,time] [--photos N] [--out DIR] [--json FILE]

(front) Photos of held-out people (``photos/photo-val.tar``) with hands, glasses, hair and things drawn into them
(:mod:`likeness.train.generate.occluders`): how well the texels that these cover are found (intersection over union of
what is in front, and the share of the skin that is lost), and how far the texture's colours are from those of the
photo as it is, there and elsewhere. ``--out`` gets ``front.png``: photo, mask, head.

(several) Textures of 1, 2 and 4 photos of a person against one more photo, laid on the same texture plane, each of
the photos in turn being that one: mean difference of log reflectance where that shows skin, the whole face's colour
apart; how far that colour is off; and by how much either is less than with fewer photos, with the standard error over
people.

(time, only if asked for) Processor time of textures of three portraits (``portraits/``), seconds: the first one, for
which coordinates are met, and best and median of five more of each. Run it with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness import Reconstruction, Reconstructor
from likeness.datasets.test_sets import open_photos
from likeness.evaluate.fidelity.judge import drawn_head
from likeness.reconstruct.texture import texture_of
from likeness.reconstruct.texture.atlas import Atlas, atlas_of
from likeness.reconstruct.texture.blend import filled
from likeness.reconstruct.texture.fill import resized
from likeness.reconstruct.texture.front import uncovered
from likeness.reconstruct.texture.laid import base_of, laid
from likeness.reconstruct.texture.layers import layer_of
from likeness.reconstruct.texture.skin import agreeing
from likeness.reconstruct.texture.view import View
from likeness.train.generate.occluders import KINDS, occluded

SIZE, SEVERAL_SIZE = 512, 256
COUNTS = (1, 2, 4)
TIMED = (512, 1024, 2048)
SHOWN = 6
LEAST_SKIN = 0.002
"""Of the texture: what a photo must show of skin to be compared with."""


def faces_of(path: Path, photos: int) -> list[list[Reconstruction]]:
    """Of every person so many faces, spread over the photos."""
    reconstruct, people = Reconstructor(threads=1), defaultdict(list)
    for item in open_photos(path).items:
        people[item.identity].append(item)
    found = []
    for _, items in sorted(people.items()):
        rows = np.unique(np.linspace(0, len(items) - 1, photos).round().astype(int))
        found.append([face for row in rows for face in reconstruct(items[row].source(), max_faces=1)])
    return found


def measure_front(people: Sequence[Sequence[Reconstruction]], out: Path | None) -> dict[str, dict[str, float]]:
    """By kind of thing, and of photos as they are."""
    faces, rng = [face for own in people for face in own[:2]], np.random.default_rng(0)
    atlas = atlas_of(faces[0].model, SIZE)
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    pictures: list[np.ndarray] = []
    for number, face in enumerate(faces):
        view, albedo = face.texture_view(), face.model.albedo(face.coefficients.albedo)
        plain = texture_of(face.model, albedo, [view], SIZE)
        rows["nothing"].append(_told(atlas, albedo, view, np.zeros(view.photo.shape[:2], np.float32), plain, plain))
        for kind in KINDS:
            other = faces[int(rng.integers(len(faces)))].photo
            assert view.landmarks is not None
            photo, alpha = occluded(view.photo, view.landmarks, rng, other, kind)
            changed = replace(view, photo=photo)
            texture = texture_of(face.model, albedo, [changed], SIZE)
            rows[kind].append(_told(atlas, albedo, changed, alpha, texture, plain))
            if out is not None and number < SHOWN:
                pictures.append(_shown(face, changed, atlas, albedo, texture))
    if out is not None:
        _save(out / "front.png", pictures, len(KINDS))
    return {kind: {key: _mean([row[key] for row in own]) for key in own[0]} for kind, own in rows.items()}


def _mean(values: list[float]) -> float:
    """Of those that could be measured."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def masks_of(atlas: Atlas, albedo: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How well texels are seen, what of that is skin by colour alone, and by the network, (C, C) each."""
    found, base = laid(atlas, albedo, view), base_of(atlas, albedo)
    by_color = agreeing(atlas, base, found.color, found.weight)[0]
    learned = uncovered(atlas, found.color - base, found.weight)
    return found.weight, by_color, by_color if learned is None else learned


def _told(
    atlas: Atlas, albedo: np.ndarray, view: View, alpha: np.ndarray, texture: np.ndarray, plain: np.ndarray
) -> dict[str, float]:
    import cv2

    weight, by_color, skin = masks_of(atlas, albedo, view)
    places = laid(atlas, albedo, view).pixels
    front = cv2.remap(alpha, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    seen, true, clear = weight > 0.3, front > 0.5, front < 0.05
    found = {}
    for name, mask in (("colour alone", by_color), ("network", skin)):
        wrong = mask < 0.5
        union = (seen & (true | wrong)).sum()
        found[f"IoU, {name}"] = float((seen & true & wrong).sum() / union) if (seen & true).sum() > 20 else np.nan
        found[f"skin lost, {name}"] = float((seen & clear & wrong).sum() / max((seen & clear).sum(), 1))
    apart = np.abs(texture.astype(float) - plain).mean(axis=2)
    apart = resized(apart.astype(np.float32), len(weight))
    for name, where in (("behind it", seen & true), ("elsewhere", seen & clear)):
        found[f"colours off, {name}"] = float(apart[where].mean()) if where.sum() > 20 else np.nan
    return found


def _shown(face: Reconstruction, view: View, atlas: Atlas, albedo: np.ndarray, texture: np.ndarray) -> np.ndarray:
    import cv2

    weight, _, skin = masks_of(atlas, albedo, view)
    plane = np.repeat((255 * weight * skin).astype(np.uint8)[..., None], 3, axis=2)
    head = drawn_head(face, texture)[0]
    return np.concatenate([cv2.resize(one, (160, 160)) for one in (view.photo, plane, head)], axis=1)


def _save(path: Path, pictures: Sequence[np.ndarray], columns: int) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [np.concatenate(pictures[n : n + columns], axis=1) for n in range(0, len(pictures), columns)]
    cv2.imwrite(str(path), np.concatenate(lines)[..., ::-1])


def measure_several(people: Sequence[Sequence[Reconstruction]]) -> dict[str, dict[str, float]]:
    """How far textures are from one more photo, by the number of photos."""
    kept = [rows for own in people if len(own) > max(COUNTS) and (rows := _told_of_one_more(own)) is not None]
    found: dict[str, dict[str, float]] = {}
    before: np.ndarray | None = None
    for column, count in enumerate((0, *COUNTS)):
        own = np.array([rows[column] for rows in kept])
        found[str(count)] = {"people": len(own), "log reflectance": own[:, 0].mean(), "whole face": own[:, 1].mean()}
        gain = np.full_like(own, np.nan) if before is None else before - own
        for name, values in zip(("gain", "gain, whole face"), gain.T, strict=True):
            found[str(count)] |= {name: values.mean(), f"{name}, error": values.std(ddof=1) / np.sqrt(len(values))}
        before = own
    return {count: {name: float(value) for name, value in row.items()} for count, row in found.items()}


def _told_of_one_more(own: Sequence[Reconstruction]) -> np.ndarray | None:
    """(1 + counts, 2) mean difference of log reflectance over the skin of one more photo, and of the whole face's
    colour, by the number of photos, 0 first; the mean over which photo that is. None: no photo shows enough skin."""
    model = own[0].model
    albedo = model.albedo(np.mean([face.coefficients.albedo for face in own], axis=0))
    atlas = atlas_of(model, SEVERAL_SIZE)
    base, views = base_of(atlas, albedo), [face.texture_view() for face in own]
    layers = [layer_of(atlas, albedo, base, view) for view in views]
    rows = []
    for number, view in enumerate(views):
        color = laid(atlas, albedo, view).color
        weight, _, learned = masks_of(atlas, albedo, view)
        skin = weight * learned > 0.5
        if skin.sum() < LEAST_SKIN * skin.size:
            continue
        others = [*layers[number + 1 :], *layers[:number]]
        row = []
        for count in (0, *COUNTS):
            off = (np.clip(filled(atlas, base, others[:count]), np.log(1e-3), 0) - color)[skin]
            whole = np.median(off, axis=0)
            row.append([np.abs(off - whole).mean(), np.abs(whole).mean()])
        rows.append(row)
    return np.mean(rows, axis=0) if rows else None


def measure_time(portraits: Path) -> dict[str, dict[str, float]]:
    """By side of the texture."""
    reconstruct = Reconstructor(threads=1)
    files = sorted(portraits.glob("*-smile.jpg"))[:3]
    faces = [face for path in files for face in reconstruct(path, max_faces=1)]
    found = {}
    for size in TIMED:
        first, spent = _seconds(faces[0], size), [[_seconds(face, size) for _ in range(5)] for face in faces]
        best, usual = np.min(spent, axis=1).mean(), np.median(spent, axis=1).mean()
        found[str(size)] = {"first": first, "best of five": float(best), "median": float(usual)}
    return found


def _seconds(face: Reconstruction, size: int) -> float:
    begun = time.process_time()
    face.texture(size)
    return time.process_time() - begun


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description="What textures leave out, and what further photos add.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="front,several")
    parser.add_argument("--photos", type=int, default=5, help="of each person")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    looks = {"front", "several"} & set(arguments.only.split(","))
    people = faces_of(arguments.data / "photos" / "photo-val.tar", arguments.photos) if looks else []
    results: dict[str, Any] = {}
    if "time" in arguments.only:
        results["time"] = measure_time(arguments.data / "portraits")
    if "front" in arguments.only:
        results["front"] = measure_front(people, arguments.out)
    if "several" in arguments.only:
        results["several"] = measure_several(people)
    for name, rows in results.items():
        keys = list(next(iter(rows.values())))
        table = Table(name, *keys)
        for label, row in rows.items():
            table.add_row(label, *(f"{row[key]:.3f}" for key in keys))
        Console().print(table)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The colour of a face's skin: is it the person's, and how much of it is the light's?

    python benchmarks/skin_colour.py DATA [--only portraits,people,rendered] [--out DIR] [--json FILE]

Each measure is of what the network reads (``network``), of what the photo leaves under the network's light
(``photo``), and of both weighed (``weighed``, :mod:`likeness.reconstruct.skin_color`); colours are CIE L*a*b* (D65)
of linear reflectance.

(portraits) Studio portraits (``portraits/``), all under one light and exposure, so that people differ in the photos
as they do in truth: cheeks and forehead of textures against the photos' pixels: correlation, slope, and mean absolute
difference once the mean difference of all is taken off. ``--out`` gets ``portraits.png``: photo, head before, after.

(people) Held-out people in many lights (``photos/photo-val.tar``, ``video-val.tar``): share of the variance that is
between people (intra-class correlation, ICC), and how often two photos of one person are nearer to each other than
two of two people (AUC); the same of means of up to four photos.

(rendered) 300 rendered faces: root mean square difference from the truth, and the mean difference of L* by thirds of
it. Melanin is as even in them as it is in no set of photographs.

(groups, only if asked for) Adults of ``photos/groups-eval.tar``: mean L*, a*, b* by group. Never to choose by.

(constants, only if asked for) ``MIDDLE``, ``LINE`` and the medians of photo less network, of the training photos.

(time, only if asked for) Milliseconds a face, processor time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from groups import read

from likeness import Reconstruction, Reconstructor
from likeness.datasets.test_sets import PhotoItem, decoded, open_photos
from likeness.evaluate.fidelity.judge import drawn_head
from likeness.images.color import linear_from_srgb
from likeness.metrics.roc import auc, counts_of
from likeness.reconstruct.skin_color import plain_skin, shown_skin, skin_vertices, with_own_skin
from likeness.train.generate.rendered import SEEDS, SyntheticFaces
from likeness.train.generate.rendered_people import SEED, over_background

KINDS = ("network", "photo", "weighed")
EACH, HALF = 12, 4
RENDERED, SIZE = 300, 512
CONSTANTS = (("photo-train", 40), ("video-train", 8), ("people-train", 6))
TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


class Reading(Reconstructor):
    """Leaves the skin as the network reads it."""

    carry_back = Reconstructor._carried_back


@dataclass(frozen=True, eq=False)
class Colors:
    """Log reflectance (N, 3) by kind, and whose."""

    kinds: dict[str, np.ndarray]
    person: np.ndarray


def lab(log_reflectance: np.ndarray) -> np.ndarray:
    """(..., 3) CIE L*a*b* of log of linear RGB."""
    xyz = np.exp(log_reflectance) @ (TO_XYZ / TO_XYZ.sum(axis=1, keepdims=True)).T
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def three(face: Reconstruction) -> dict[str, np.ndarray] | None:
    """Of a face as the network reads it; None: nothing is seen, or the photo is grey."""
    shown = shown_skin(face)
    if shown is None:
        return None
    return dict(zip(KINDS, (plain_skin(face), shown, plain_skin(with_own_skin(face))), strict=True))


def colors_of(photos: Iterator[tuple[str, np.ndarray | Path]]) -> Colors:
    """Of the best face of each photo that is named with its person."""
    reconstruct, found, person = Reading(threads=1), defaultdict(list), []
    for name, photo in photos:
        for face in reconstruct(photo, max_faces=1):
            kinds = three(face)
            if kinds is not None:
                person.append(name)
                for kind, color in kinds.items():
                    found[kind].append(color)
    return Colors({kind: np.array(values) for kind, values in found.items()}, np.array(person))


def spread_photos(path: Path, each: int) -> Iterator[tuple[str, np.ndarray | Path]]:
    """Of every person up to so many photos, of clips one each."""
    people: dict[str, dict[str, PhotoItem]] = defaultdict(dict)
    for item in open_photos(path).items:
        people[item.identity].setdefault(item.group or item.name, item)
    for name, own in sorted(people.items()):
        items = list(own.values())
        for row in np.unique(np.linspace(0, len(items) - 1, each).round().astype(int)) if len(items) > 1 else ():
            yield name, items[row].source()


def measure_people(path: Path) -> dict[str, dict[str, float]]:
    """By kind."""
    found = colors_of(spread_photos(path, EACH))
    rows = {}
    for kind in KINDS:
        color = lab(found.kinds[kind])
        between, within = variances(color, found.person)
        share = between / np.maximum(between + within, 1e-9)
        rows[kind] = dict(zip(("ICC L*", "ICC a*", "ICC b*"), share.tolist(), strict=True))
        rows[kind] |= {
            "ICC": float(between.sum() / (between + within).sum()),
            "AUC": told_by_one(color, found.person),
            "AUC of means": told_by_means(color, found.person),
            "photos": len(color),
        }
    return rows


def variances(values: np.ndarray, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C,) between people and within them, of values (N, C): one-way analysis of variance."""
    names, group = np.unique(person, return_inverse=True)
    count = np.bincount(group)
    mean = np.stack([values[group == one].mean(axis=0) for one in range(len(names))])
    within = ((values - mean[group]) ** 2).sum(axis=0) / (len(values) - len(names))
    usual = (len(values) - (count**2).sum() / len(values)) / (len(names) - 1)
    between = (count[:, None] * (mean - values.mean(axis=0)) ** 2).sum(axis=0) / (len(names) - 1)
    return np.maximum((between - within) / usual, 0), within


def told_apart(far: np.ndarray, same: np.ndarray) -> float:
    """AUC of distances (N,) and whether each is one person's (N,)."""
    return float(auc(*counts_of(far[same], far[~same])[1:]))


def told_by_one(color: np.ndarray, person: np.ndarray) -> float:
    """AUC of all pairs of photos."""
    first, second = np.triu_indices(len(color), 1)
    return told_apart(np.linalg.norm(color[first] - color[second], axis=1), person[first] == person[second])


def told_by_means(color: np.ndarray, person: np.ndarray, rounds: int = 20) -> float:
    """Of means of up to :data:`HALF` photos against means of as many others, mean over draws."""
    rng, found = np.random.default_rng(0), []
    for _ in range(rounds):
        halves = []
        for name in np.unique(person):
            rows = rng.permutation(np.flatnonzero(person == name))
            count = min(HALF, len(rows) // 2)
            if count:
                halves.append((color[rows[:count]].mean(axis=0), color[rows[count : 2 * count]].mean(axis=0)))
        one, other = (np.array(side) for side in zip(*halves, strict=True))
        far = np.linalg.norm(one[:, None] - other[None], axis=2)
        found.append(told_apart(far.ravel(), np.eye(len(one), dtype=bool).ravel()))
    return float(np.mean(found))


def measure_rendered() -> dict[str, dict[str, float]]:
    """By kind."""
    reconstruct, true, found = Reading(threads=1), [], defaultdict(list)
    faces = SyntheticFaces(reconstruct.model, 256)
    for number in range(RENDERED):
        sample = faces(SEED * SEEDS + number)
        picture = over_background(sample.rgba, np.random.default_rng([SEED, number]))
        for face in reconstruct(picture, max_faces=1):
            kinds = three(face)
            if kinds is not None:
                truth = replace(face, coefficients=replace(face.coefficients, albedo=sample.albedo), tint=None)
                true.append(plain_skin(truth))
                for kind, color in kinds.items():
                    found[kind].append(color)
    truth_lab, rows = lab(np.array(true)), {}
    low, high = np.quantile(truth_lab[:, 0], [1 / 3, 2 / 3])
    for kind in KINDS:
        off = lab(np.array(found[kind])) - truth_lab
        row = dict(zip(("L*", "a*", "b*"), np.sqrt((off**2).mean(axis=0)).tolist(), strict=True))
        for name, lowest, highest in (("dark", -np.inf, low), ("middle", low, high), ("light", high, np.inf)):
            third = (truth_lab[:, 0] > lowest) & (truth_lab[:, 0] <= highest)
            row[f"L* off, {name}"] = float(off[third, 0].mean())
        rows[kind] = row
    return rows


def measure_portraits(folder: Path, out: Path | None) -> dict[str, dict[str, float]]:
    """Textures before and after."""
    reconstruct, shown = Reading(threads=1), []
    found: dict[str, list[np.ndarray]] = {"network": [], "weighed": []}
    pictures = []
    for path in sorted(folder.glob("*.jpg")):
        for face in reconstruct(path, max_faces=1):
            own = with_own_skin(face)
            both = {kind: one.texture(SIZE) for kind, one in (("network", face), ("weighed", own))}
            shown.append(_photo_color(face))
            for kind, texture in both.items():
                found[kind].append(_texture_color(face, texture))
            if out is not None and path.stem.endswith("neutral"):
                heads = [drawn_head(face, texture)[0] for texture in both.values()]
                pictures.append(np.concatenate([_square(one) for one in (face.photo, *heads)], axis=1))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        half = -(-len(pictures) // 2)
        rest = pictures[half:] + [np.full_like(pictures[0], 255)] * (2 * half - len(pictures))
        sheet = np.concatenate([np.concatenate(pictures[:half]), np.concatenate(rest)], axis=1)
        cv2.imwrite(str(out / "portraits.png"), sheet[..., ::-1])
    photo = lab(np.array(shown))
    rows = {}
    for kind, colors in found.items():
        color = lab(np.array(colors))
        off = color - photo
        row = {}
        for axis, name in enumerate(("L*", "a*", "b*")):
            row[f"r {name}"] = float(np.corrcoef(color[:, axis], photo[:, axis])[0, 1])
            row[f"slope {name}"] = float(np.polyfit(photo[:, axis], color[:, axis], 1)[0])
            row[f"off {name}"] = float(np.abs(off[:, axis] - off[:, axis].mean()).mean())
        rows[kind] = row
    return rows


def _square(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.asarray(cv2.resize(picture[top : top + side, left : left + side], (200, 200)))


def _photo_color(face: Reconstruction) -> np.ndarray:
    """(3,) log of linear RGB of what a photo shows of cheeks and forehead."""
    pixels = np.rint(face.texture_view().pixels[skin_vertices(face.model)]).astype(int)
    row, column = np.clip(pixels[:, ::-1], 0, np.array(face.photo.shape[:2]) - 1).T
    return _log_median(face.photo[row, column])


def _texture_color(face: Reconstruction, texture: np.ndarray) -> np.ndarray:
    """(3,) of a texture, where the same vertices are."""
    topology, side = face.model.topology, len(texture)
    corner = {
        int(vertex): int(place)
        for vertex, place in zip(topology.triangles.ravel(), topology.uv_triangles.ravel(), strict=True)
    }
    uv = topology.uv[[corner[int(vertex)] for vertex in skin_vertices(face.model)]]
    column, row = np.clip(np.rint(uv * [side, -side] + [-0.5, side - 0.5]), 0, side - 1).astype(int).T
    return _log_median(texture[row, column])


def _log_median(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(np.log(np.maximum(linear_from_srgb(pixels / 255), 1e-3)), axis=0))


def measure_groups(path: Path) -> dict[str, dict[str, float]]:
    """Mean colours by group and kind."""
    notes = read(path)
    found = colors_of((str(note["group"]), decoded(data, "photo")) for note, data in notes)
    rows = {}
    for group in sorted(set(found.person.tolist())):
        for kind in KINDS:
            color = lab(found.kinds[kind][found.person == group])
            rows[f"{group}, {kind}"] = {
                "photos": float(len(color)),
                **dict(zip(("L*", "a*", "b*"), color.mean(axis=0).tolist(), strict=True)),
                "L* deviation": float(color[:, 0].std()),
            }
    return rows


def measure_constants(photos: Path) -> dict[str, dict[str, float]]:
    """Of g, and of red and blue over it; lines from covariances of a photo's colour with the mean of the person's
    other photos, each person counting once."""
    sets = [colors_of(spread_photos(photos / f"{name}.tar", each)) for name, each in CONSTANTS]
    person = np.concatenate([np.char.add(str(n), one.person) for n, one in enumerate(sets)])
    network, photo = (_axes(np.concatenate([one.kinds[kind] for one in sets])) for kind in ("network", "photo"))
    names, group = np.unique(person, return_inverse=True)
    count = np.bincount(group)[group]
    sums = np.stack([np.bincount(group, column) for column in photo.T], axis=1)
    several = count > 2
    others = (sums[group] - photo)[several] / (count[several, None] - 1)
    share = 1 / count[several]
    green = photo[several, 0] - np.average(photo[several, 0], weights=share)
    line = (share * green) @ (others - np.average(others, axis=0, weights=share))
    rows = {"middle": np.average(network, axis=0, weights=1 / count), "line": line / line[0]}
    rows["photo less network"] = np.median(photo - network, axis=0)
    return {
        name: {"people": float(len(names)), **dict(zip(("g", "red", "blue"), row.tolist(), strict=True))}
        for name, row in rows.items()
    }


def _axes(log_color: np.ndarray) -> np.ndarray:
    return np.stack([log_color[:, 1], log_color[:, 0] - log_color[:, 1], log_color[:, 2] - log_color[:, 1]], axis=1)


def measure_time(folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds a face."""
    reconstruct, spent = Reading(threads=1), []
    for path in sorted(folder.glob("*-neutral.jpg")):
        for face in reconstruct(path, max_faces=1):
            with_own_skin(face)
            begun = time.process_time()
            for _ in range(20):
                with_own_skin(face)
            spent.append((time.process_time() - begun) / 20 * 1e3)
    return {"a face": {"best, ms": float(np.min(spent)), "median, ms": float(np.median(spent))}}


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description="The colour of a face's skin.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="portraits,people,rendered")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    photos, portraits = arguments.data / "photos", arguments.data / "portraits"
    parts: dict[str, Sequence[tuple[str, Callable[[], dict[str, dict[str, float]]]]]] = {
        "portraits": [("portraits", partial(measure_portraits, portraits, arguments.out))],
        "people": [(name, partial(measure_people, photos / f"{name}.tar")) for name in ("photo-val", "video-val")],
        "rendered": [("rendered", measure_rendered)],
        "groups": [("groups", partial(measure_groups, photos / "groups-eval.tar"))],
        "constants": [("constants", partial(measure_constants, photos))],
        "time": [("time", partial(measure_time, portraits))],
    }
    results: dict[str, Any] = {}
    for part in arguments.only.split(","):
        for name, measure in parts[part]:
            results[name] = rows = measure()
            keys = list(next(iter(rows.values())))
            table = Table(name, *keys)
            for label, row in rows.items():
                table.add_row(label, *(f"{row[key]:.3f}" for key in keys))
            Console().print(table)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

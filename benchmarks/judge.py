"""Does a face recogniser know whose head it is shown? Made from one photo, told among other photos of many people.

    python benchmarks/judge.py DATA [--recogniser sface] [--people N] [--out DIR] [--json FILE]

Of every person one photo becomes a head at rest (of portraits the smiling one); the recogniser sees it from the front
and turned by 30 degrees, with the photo's texture, with the face model's colours, and grey, and says which of all the
people's other photos it is. Sets are ``portraits`` and the held-out people of ``photos/photo-val.tar`` and
``photos/video-val.tar`` (another clip); ``--people`` adds as many of ``photos/people-train.tar``, on which to choose.

The default recogniser, ``teachers/dlib-resnet.onnx``, is the judge: it measures what is finished. Who chooses by it
has no judge left; choose with ``--recogniser sface``.

``--out`` gets ``worst-SET.png``: photo, head and who it was taken for, those of whom the recogniser is least sure.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from likeness import Reconstruction, Reconstructor
from likeness.datasets.test_sets import PhotoItem, open_photos
from likeness.evaluate.fidelity.judge import EXPECTED, Judge, drawn_head, told
from likeness.metrics.roc import auc, counts_of
from likeness.networks.recogniser import aligned_to, five_of

RECOGNISERS = {"judge": "dlib-resnet.onnx", "sface": "sface.onnx"}
YAWS = {"front": 0.0, "30 degrees": np.radians(30.0)}
WORST = 8


@dataclass(frozen=True, eq=False)
class Person:
    """Two photos of a person: what the head is made from, and what stands in the gallery."""

    name: str
    probe: Reconstruction
    gallery: Reconstruction


def portraits(folder: Path, find: Callable[[Any], Reconstruction | None]) -> list[Person]:
    """The smiling photo becomes the head."""
    names = sorted(path.name.partition("-")[0] for path in folder.glob("*-smile.jpg"))
    return kept((name, find(folder / f"{name}-smile.jpg"), find(folder / f"{name}-neutral.jpg")) for name in names)


def people_of(path: Path, find: Callable[[Any], Reconstruction | None], limit: int | None = None) -> list[Person]:
    """The first photo of each person, and the first of another clip, where there are clips."""
    by_person: dict[str, list[PhotoItem]] = defaultdict(list)
    for item in open_photos(path).items:
        by_person[item.identity].append(item)
    pairs = []
    for name, items in sorted(by_person.items()):
        other = [item for item in items[1:] if item.group is None or item.group != items[0].group]
        if other:
            pairs.append((name, items[0], other[0]))
    return kept((name, find(one.source()), find(two.source())) for name, one, two in pairs[:limit])


def kept(pairs: Iterable[tuple[str, Reconstruction | None, Reconstruction | None]]) -> list[Person]:
    """Those of whom both faces were found."""
    return [Person(name, one, two) for name, one, two in pairs if one is not None and two is not None]


def first_face(reconstructor: Reconstructor, photo: Any) -> Reconstruction | None:
    """The best face of a photo; None: there is none."""
    found = reconstructor(photo, max_faces=1)
    return found[0] if found else None


def measure(people: list[Person], judge: Judge) -> tuple[dict[str, dict[str, float]], np.ndarray]:
    """Figures by how heads are drawn, and likeness (N, N) of the textured heads from the front to all photos."""
    gallery = np.stack([judge(person.gallery.photo, person.gallery.landmarks) for person in people])
    textures = [person.probe.texture() for person in people]
    probes = {"the photo itself": np.stack([judge(one.probe.photo, one.probe.landmarks) for one in people])}
    for label, yaw in YAWS.items():
        for surface in ("texture", "albedo", "grey"):
            drawn = [
                drawn_head(person.probe, texture if surface == "texture" else surface, yaw)
                for person, texture in zip(people, textures, strict=True)
            ]
            probes[f"{surface}, {label}"] = np.stack([judge(*one) for one in drawn])
    found = {}
    for name, codes in probes.items():
        likeness, own = codes @ gallery.T, np.eye(len(people), dtype=bool)
        found[name] = {
            "people": len(people),
            "rank1": told(codes, gallery)[0],
            "auc": float(auc(*counts_of(1 - likeness[own], 1 - likeness[~own])[1:])),
            "apart": apart(likeness),
            "own_cosine": float(likeness[own].mean()),
        }
    return found, probes["texture, front"] @ gallery.T


def apart(likeness: np.ndarray) -> float:
    """AUC of likeness (N, N), heads by photos, less what the photo is like the other people's heads: some photos are
    like all grey heads."""
    own = np.eye(len(likeness), dtype=bool)
    left = likeness - np.where(own, 0.0, likeness).sum(0) / (len(likeness) - 1)
    return float(auc(*counts_of(1 - left[own], 1 - left[~own])[1:]))


def worst_picture(people: list[Person], likeness: np.ndarray) -> np.ndarray:
    """Rows of photo, head and the person it was taken for, whose lead over the own photo is largest."""
    others = np.where(np.eye(len(people), dtype=bool), -np.inf, likeness)
    lead = others.max(1) - np.diag(likeness)
    rows = []
    for number in np.argsort(-lead)[:WORST]:
        person, taken_for = people[number], people[int(others[number].argmax())]
        head = drawn_head(person.probe, "texture")
        shown = [(person.probe.photo, person.probe.landmarks), head, (person.gallery.photo, person.gallery.landmarks),
                 (taken_for.gallery.photo, taken_for.gallery.landmarks)]  # fmt: skip
        rows.append(np.concatenate([portrait(*one) for one in shown], axis=1))
    return np.concatenate(rows)


def portrait(image: np.ndarray, landmarks: np.ndarray, side: int = 220) -> np.ndarray:
    """A face with its surroundings, (side, side, 3)."""
    expected = (EXPECTED[150] - 75) * side / 150 * 0.6 + side / 2
    return aligned_to(image, five_of(np.asarray(landmarks, np.float64)), expected, side)


def main() -> None:
    import cv2
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description="Whose head is it?")
    parser.add_argument("data", type=Path)
    parser.add_argument("--recogniser", choices=RECOGNISERS, default="judge")
    parser.add_argument("--people", type=int, default=0, help="of people-train, besides")
    parser.add_argument("--only", default="portraits,photo-val,video-val", help="sets, by commas")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    find = partial(first_face, Reconstructor(threads=arguments.threads))
    judge = Judge(arguments.data / "teachers" / RECOGNISERS[arguments.recogniser], arguments.threads)
    photos, results = arguments.data / "photos", {}
    sets = {
        "portraits": partial(portraits, arguments.data / "portraits", find),
        "photo-val": partial(people_of, photos / "photo-val.tar", find),
        "video-val": partial(people_of, photos / "video-val.tar", find),
        "people-train": partial(people_of, photos / "people-train.tar", find, arguments.people),
    }
    wanted = arguments.only.split(",") + (["people-train"] if arguments.people else [])
    for name in wanted:
        people = sets[name]()
        results[name], likeness = measure(people, judge)
        table = Table("shown", "people", "rank-1", "AUC", "AUC, apart", "cosine to the own photo", title=name)
        for label, row in results[name].items():
            table.add_row(
                label, str(row["people"]), *(f"{row[key]:.3f}" for key in ("rank1", "auc", "apart", "own_cosine"))
            )
        Console().print(table)
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            picture = worst_picture(people, likeness)
            cv2.imwrite(str(arguments.out / f"worst-{name}.png"), picture[..., ::-1])
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

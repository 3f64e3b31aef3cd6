"""What photos of one person have in common and what not, for a network: learned on training and rendered people.

    python runs/several_photos.py NETWORK.onnx DATA/photos OUT [--fusion RUN] [--model MODEL.npz --points MAP.npz]

RUN is the folder in which ``likeness train fusion`` made NETWORK: how codes shrink is then learned from all the
rendered faces that it looked at. Looks at photos of ``photo-train.tar``, frames of ``video-train.tar`` and, if it is
there, photos of ``people-train.tar`` as the program does, a few of each person, and at rendered people. Writes
``whitening.npz`` (:mod:`likeness.reconstruct.whitening`, :mod:`likeness.reconstruct.two_covariances`) and
``shared_errors.npz`` (:mod:`likeness.reconstruct.shared_errors`) into the folder OUT. If a ``provenance.json`` is
there, they are entered.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likeness import Reconstruction, Reconstructor
from likeness.datasets.test_sets import open_photos
from likeness.files import json_bytes, write_atomically
from likeness.model.surface_points import PointMap
from likeness.reconstruct.reconstructor import MIN_SCORE
from likeness.reconstruct.shared_errors import circumstances, counted
from likeness.reconstruct.whitening import Whitening
from likeness.train.checkpoint import CHECKPOINT, load_regressor
from likeness.train.generate.rendered import SEEDS, SyntheticFaces
from likeness.train.generate.rendered_people import SIZE, landmarks_of, over_background
from likeness.train.photos.fusion_looks import LOOKS, read_looks
from likeness.train.photos.shared_errors import PersonLooks, learn_shared_errors

SETS = {"photo-train.tar": 12, "video-train.tar": 6}
"""How many pictures of each person are looked at."""

MORE = {"people-train.tar": 8}
"""The same of further people, by whom photos of two people are told from those of one."""

SHOTS = 8
"""Of each rendered person."""

SEED = 4243
"""Of rendered people; benchmarks look at others."""

KINDS = ("fitted", "code", "features", "rotation", "precision")


@dataclass(frozen=True)
class Program:
    """What looks at pictures: the files of its network, face model and points; and the least chance of a face."""

    network: Path
    model: Path | None
    points: Path | None
    min_score: float

    def start(self) -> Reconstructor:
        points = None if self.points is None else PointMap.load(self.points)
        return Reconstructor(self.model, self.network, points=points, min_score=self.min_score, threads=1)


Seen = tuple[np.ndarray, ...]
"""Of one face, in the order of KINDS."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn what photos of one person have in common and what not.")
    parser.add_argument("network", type=Path)
    parser.add_argument("photos", type=Path, help="the folder with " + " and ".join(SETS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--fusion", type=Path, help="folder of the fusion that made the network")
    parser.add_argument("--rendered", type=int, default=240, help="rendered people")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="of faces in photos")
    arguments = parser.parse_args()
    program = Program(arguments.network, arguments.model, arguments.points, arguments.min_score)
    arguments.out.mkdir(parents=True, exist_ok=True)
    started = program.start()
    network, model = started.network.digest, started.model
    person, seen = photographed(program, arguments.photos, SETS, arguments.processes)
    whitening = Whitening.learned(network, seen["code"], seen["features"], person)
    if all((arguments.photos / name).is_file() for name in MORE):
        others, further = photographed(program, arguments.photos, MORE, arguments.processes)
        every = {kind: np.concatenate([seen[kind], further[kind]]) for kind in ("code", "features")}
        everybody = np.concatenate([person, others + person.max() + 1])
        whitening = whitening.with_people(every["code"], every["features"], everybody)
        print(f"whitening.npz: people {whitening.people_evidence}")
    whitening.save(arguments.out / "whitening.npz")
    print(f"whitening.npz: {whitening.evidence}")
    photos = PersonLooks(**_measured(seen), person=np.unique(person, return_inverse=True)[1])
    rendered = rendered_looks(program, arguments.rendered, arguments.processes)
    strangers = None if arguments.fusion is None else strangers_of(arguments.fusion, started)
    errors = learn_shared_errors(network, model, rendered, photos, strangers)
    errors.save(arguments.out / "shared_errors.npz")
    own, shared = (float(np.sqrt(np.trace(matrix) / 2)) for matrix in (errors.own, errors.shared))
    print(f"shared_errors.npz: {own:.2f} mm of each photo's own, {shared:.2f} mm shared")
    for name in ("whitening.npz", "shared_errors.npz"):
        entered(arguments.out / name)


def photographed(
    program: Program, photos: Path, sets: dict[str, int], processes: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Whose faces were seen in pictures of training people (N,), and what was seen, N of each kind."""
    person: list[int] = []
    found: list[Seen] = []
    for name, count in sets.items():
        path, first = photos / name, max(person, default=-1) + 1
        items = open_photos(path).items
        names = sorted({item.identity for item in items})
        rows, own = [], []
        for number, one in enumerate(names):
            shown = [row for row, item in enumerate(items) if item.identity == one]
            chosen = np.unique(np.linspace(0, len(shown) - 1, count).round().astype(int))
            rows += [shown[place] for place in chosen]
            own += [first + number] * len(chosen)
        seen = _shared_out(_look_at_photos, rows, processes, program, path)
        person += [number for number, one in zip(own, seen, strict=True) if one is not None]
        found += [one for one in seen if one is not None]
        with_face = sum(one is not None for one in seen)
        print(f"{name}: {with_face} of {len(rows)} pictures of {len(names)} people show a face")
    if not found:
        raise SystemExit(f"{photos}: expected photos with a face of at least {program.min_score:g}, found none")
    return np.array(person), _stacked(found)


def rendered_looks(program: Program, people: int, processes: int) -> PersonLooks:
    """What is seen of rendered people, whose shapes are known."""
    found = _shared_out(_look_at_rendered, list(range(people)), processes, program)
    person = np.repeat(np.arange(people), SHOTS)
    truth = np.stack([truth for truth, _ in found])[person]
    print(f"{people} rendered people, {SHOTS} pictures of each")
    return PersonLooks(
        **_measured(_stacked([one for _, faces in found for one in faces])), person=person, truth=truth
    )


def strangers_of(run: Path, program: Reconstructor) -> PersonLooks:
    """What the program would have made of the rendered faces that a fusion looked at, one picture of each."""
    looks, refiner = read_looks(run / LOOKS), program.refiner
    assert looks is not None
    assert refiner is not None
    assert refiner.fusion is not None
    network = load_regressor(run / CHECKPOINT)[0]
    with torch.inference_mode():
        mean = network.mean_code(torch.from_numpy(looks.rendered.features)).numpy()
    seen = looks.rendered.circumstances
    fitted = looks.rendered.code.astype(np.float64)
    fused = np.stack([refiner.fusion(code, about) for code, about in zip(fitted, seen, strict=True)])
    print(f"{len(seen)} rendered faces that the fusion looked at")
    return PersonLooks(
        fitted,
        refiner.symmetric(mean) + fused,
        seen[:, :2],
        counted(np.exp(-seen[:, 2])),
        np.arange(len(seen)),
        looks.truth.astype(np.float64),
    )


def _shared_out(look: Callable[..., list[Any]], rows: list[int], processes: int, *given: Any) -> list[Any]:
    """``look(rows, *given)`` in several processes."""
    if processes == 1:
        return list(look(rows, *given))
    parts = [part.tolist() for part in np.array_split(rows, 8 * processes) if len(part)]
    with ProcessPoolExecutor(processes) as pool:
        return [one for part in pool.map(look, parts, *map(repeat, given)) for one in part]


def _look_at_photos(rows: list[int], program: Program, path: Path) -> list[Seen | None]:
    look, items = program.start(), open_photos(path).items
    faces = (look(items[row].image(), max_faces=1) for row in rows)
    return [_seen(face[0]) if face else None for face in faces]


def _look_at_rendered(rows: list[int], program: Program) -> list[tuple[np.ndarray, list[Seen]]]:
    look, found = program.start(), []
    render = SyntheticFaces(look.model, SIZE)
    for person in rows:
        first, seen = render(SEED * SEEDS + person * SHOTS), []
        for number in range(person * SHOTS, (person + 1) * SHOTS):
            face = render(SEED * SEEDS + number, first)
            picture = over_background(face.rgba, np.random.default_rng([SEED, number]))
            seen.append(_seen(look(picture, landmarks=landmarks_of(face, look.model)[None])[0]))
        found.append((first.identity.astype(np.float64), seen))
    return found


def _seen(face: Reconstruction) -> Seen:
    cues = face.cues
    assert cues is not None
    kinds = (cues.fitted, face.coefficients.identity, cues.features, face.rotation, cues.precision)
    return tuple(np.asarray(kind, np.float64) for kind in kinds)


def _stacked(seen: list[Seen]) -> dict[str, np.ndarray]:
    return {kind: np.stack([one[place] for one in seen]) for place, kind in enumerate(KINDS)}


def _measured(seen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arguments of :class:`PersonLooks`."""
    return {
        "fitted": seen["fitted"],
        "code": seen["code"],
        "circumstances": circumstances(seen["rotation"]),
        "precision": counted(seen["precision"]),
    }


def entered(path: Path) -> None:
    """Its sha256 and size in the ``provenance.json`` beside it, if there is one."""
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

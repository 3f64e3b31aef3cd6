"""The chance that a face is one: fitted on training pictures, and checked where the program was never fitted.

    python benchmarks/face_chance.py fit DATA [--network FILE] [--scenes N]
    python benchmarks/face_chance.py check DATA [--network FILE] [--scenes N] [--empty N] [--json FILE]

DATA holds photos/video-train.tar and video-val.tar, and for ``fit`` people-train.tar with people-train-labels.npz
(478 points each). ``fit`` prints the constants of :mod:`likeness.reconstruct.chance`: a logistic function of the
evidence of readings, of faces (as they are, turned, masked, small, pasted) and of what is none (a face read the wrong
way up, drawings, letters, scikit-image's pictures, parts of photos beside their faces). ``check`` runs the whole
program on held-out pictures of the same kinds, with other sample pictures: how often a face of a score is one, and
how many false faces a picture without any gets.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from face_scenes import read_faces, scene_of, scenes, turned_picture
from finder import overlaps

from likeness import Reconstructor
from likeness.model.surface_points import default_point_map
from likeness.reconstruct.proposals import crop_from_proposal, find_faces
from likeness.reconstruct.search import Face, Looks, quarter_turned, readings
from likeness.train.detector.scenes import Scene

FIT_KINDS = ("frames", "turned", "masked", "pasted", "textures")
CHECK_KINDS = ("frames", "turned", "masked", "pasted")
MOST_PROPOSALS = 4
"""Of one picture, drawn at random, each with one of its quarter turns."""

MORE_EMPTY = 4
"""So many times as many pictures without faces: few of them give hopeful readings."""

EMPTY_WEIGHT = 3.0
"""A reading of a picture without faces counts so many times: in use more proposals are read, in all four turns."""

BINS = (0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 1.001)
SEED_FIT, SEED_CHECK = 1, 2


def labelled_people(photos: Path, count: int) -> Iterator[Scene]:
    """Photographs of ``people-train.tar`` where their labels see a face, three in ten of them turned by any angle."""
    labels = np.load(photos / "people-train-labels.npz")
    keys, points = labels["key"], labels["points"][..., :2] / 16.0
    seen, ibug = np.flatnonzero(labels["presence"] >= 0), default_point_map().ibug
    rng = np.random.default_rng(SEED_FIT)
    with tarfile.open(photos / "people-train.tar") as archive:
        members = {member.name.rsplit(".", 1)[0]: member for member in archive if member.isfile()}
        for row in rng.choice(seen, count, replace=False):
            stream = archive.extractfile(members[str(keys[row])])
            assert stream is not None
            image = np.asarray(cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR))[..., ::-1]
            angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.3 else 0.0
            picture, matrix = turned_picture(np.ascontiguousarray(image), angle)
            yield scene_of(picture, points[row][ibug] @ matrix[:, :2].T + matrix[:, 2])


def square(face: Any) -> np.ndarray:
    """(4,) middle x, y, size and angle of the landmarks' upright box, as scenes have them."""
    crop = face.next_crop() if isinstance(face, Face) else face
    return np.array([*crop.center, crop.side / 1.5, crop.angle])


def judged(scene: Scene, found: np.ndarray) -> float:
    """Whether an answer (4,) is right: 1, 0, or NaN where it cannot be said, as beside the face of a frame: there are
    people in the background whom nobody annotated."""
    if not len(scene.faces) and not len(scene.ignored):
        return 0.0
    shared = np.append(overlaps(found[None, :3], scene.faces[:, :3])[0], 0.0)
    apart = np.abs(np.angle(np.exp(1j * (found[3] - np.append(scene.faces[:, 3], 0.0)))))[shared.argmax()]
    if shared.max() > 0.2 and apart > np.pi / 3:
        return 0.0
    return 1.0 if shared.max() > 0.5 and apart < np.pi / 9 else np.nan


def gather(reconstruct: Reconstructor, pictures: Iterator[Scene]) -> tuple[np.ndarray, np.ndarray]:
    """Evidence (n, 2) and truth (n,) of readings of proposals, as the search makes them."""
    rows, truth = [], []
    rng = np.random.default_rng(SEED_FIT)
    for scene in pictures:
        image = np.ascontiguousarray(scene.image)
        crops = [crop_from_proposal(p, reconstruct.network.size) for p in find_faces(image, thorough=True)]
        chosen = [crops[n] for n in rng.permutation(len(crops))[:MOST_PROPOSALS]]
        turned = [quarter_turned(crop, int(rng.integers(1, 4))) for crop in chosen]
        look = partial(reconstruct.regress, image)
        for face in readings(chosen + turned, Looks(look, None, partial(look, final=True))):
            rows.append(face.answer.evidence)
            truth.append(judged(scene, square(face)))
    known = np.isfinite(truth)
    return np.array(rows).reshape(-1, 2)[known], np.array(truth)[known]


def fit(arguments: argparse.Namespace) -> None:
    """Print the constants."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    photos = arguments.data / "photos"
    reconstruct = Reconstructor(network=arguments.network, threads=1, refine=False)
    bank = read_faces(photos, "train")
    counts = {kind: arguments.scenes * (MORE_EMPTY if kind == "textures" else 1) for kind in FIT_KINDS}
    sources = {kind: scenes(kind, bank, count, SEED_FIT) for kind, count in counts.items()}
    sources["people"] = labelled_people(photos, arguments.scenes)
    parts = []
    for kind, pictures in sources.items():
        parts.append(gather(reconstruct, pictures))
        print(f"{kind:10} {len(parts[-1][1])} readings, {int(parts[-1][1].sum())} of them right", flush=True)
    seen, truth = (np.concatenate(values) for values in zip(*parts, strict=True))
    weights = [np.full(len(part[1]), EMPTY_WEIGHT if kind == "textures" else 1.0) for kind, part in
               zip(sources, parts, strict=True)]  # fmt: skip
    weight = np.concatenate(weights)
    if arguments.readings:
        np.savez(arguments.readings, evidence=seen, truth=truth)
    model = LogisticRegression(C=10.0, max_iter=5000)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    guess = cross_val_predict(model, seen, truth, cv=folds, method="predict_proba", params={"sample_weight": weight})[
        :, 1
    ]
    model.fit(seen, truth, sample_weight=weight)
    wrong = [f"{(guess[truth == 0] > 0.5).sum()} of {(truth == 0).sum()} false ones above 0.5"]
    wrong += [f"{(guess[truth == 1] < 0.5).sum()} of {(truth == 1).sum()} right ones below"]
    print(f"log loss {log_loss(truth, guess, sample_weight=weight):.4f} nats (five-fold); {', '.join(wrong)}")
    print(f"OFFSET = {model.intercept_[0]:.2f}\nWEIGHTS = np.array({np.round(model.coef_[0], 2).tolist()})")


def answers(reconstruct: Reconstructor, image: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Score and square of every face that the program finds, down to the lowest of :data:`BINS`."""
    found = reconstruct._find(np.ascontiguousarray(image))
    return [(face.score, square(face)) for face in found]


def check(arguments: argparse.Namespace) -> None:
    """Print recall, false faces and the reliability diagram."""
    bank = read_faces(arguments.data / "photos", "val")
    reconstruct = Reconstructor(network=arguments.network, threads=1, refine=False, min_score=BINS[0])
    result: dict[str, Any] = {}
    scored: list[tuple[float, float]] = []
    for kind in CHECK_KINDS:
        faces = hits = wrong = 0
        for scene in scenes(kind, bank, arguments.scenes, SEED_CHECK):
            found = answers(reconstruct, scene.image)
            right = [judged(scene, at) for _, at in found]
            scored += [(score, one) for (score, _), one in zip(found, right, strict=True) if np.isfinite(one)]
            kept = np.array([at for score, at in found if score >= 0.5]).reshape(-1, 4)
            turn = np.angle(np.exp(1j * (kept[:, None, 3] - scene.faces[None, :, 3])))
            hits += int(((overlaps(kept[:, :3], scene.faces[:, :3]) > 0.4) & (np.abs(turn) < np.pi / 6)).any(0).sum())
            faces += len(scene.faces)
            wrong += sum(one == 0 and score >= 0.5 for (score, _), one in zip(found, right, strict=True))
        result[kind] = {
            "pictures": arguments.scenes,
            "faces": faces,
            "recall_percent": 100 * hits / faces,
            "wrong_way_up": wrong,
        }
        print(kind, result[kind], flush=True)
    worst: list[float] = []
    for scene in scenes("kept textures", bank, arguments.empty, SEED_CHECK):
        found = answers(reconstruct, scene.image)
        worst += [score for score, _ in found]
        scored += [(score, 0.0) for score, _ in found]
    false = sum(score >= 0.5 for score in worst)
    result["without faces"] = {
        "pictures": arguments.empty,
        "false": false,
        "false_per_picture": false / max(1, arguments.empty),
        "false_from_0.9": sum(score >= 0.9 for score in worst),
    }
    print("without faces", result["without faces"])
    result["reliability"] = reliability(np.array(scored))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def reliability(scored: np.ndarray) -> list[dict[str, float]]:
    """Rows (score, right) (n, 2) by :data:`BINS`; printed too."""
    rows = []
    print("score          faces  mean score  right")
    for low, high in itertools.pairwise(BINS):
        chosen = scored[(scored[:, 0] >= low) & (scored[:, 0] < high)]
        if len(chosen):
            score, right = (float(value) for value in chosen.mean(0))
            rows.append({"from": low, "to": min(high, 1.0), "faces": len(chosen), "score": score, "right": right})
            print(f"{low:.2f} to {min(high, 1.0):.2f}  {len(chosen):6}      {score:.3f}  {right:.3f}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="The chance of a face: fit it, check it.")
    parser.add_argument("what", choices=("fit", "check"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", type=Path, help="another network (.onnx) than the embedded one")
    parser.add_argument("--scenes", type=int, default=200, help="pictures of every kind")
    parser.add_argument("--empty", type=int, default=1000, help="pictures without faces")
    parser.add_argument("--readings", type=Path, help="fit: keep what was fitted (.npz)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    (fit if arguments.what == "fit" else check)(arguments)


if __name__ == "__main__":
    main()

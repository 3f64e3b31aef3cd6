"""Faithful against recognisable: the curve between them, for the estimates that one frozen network's looks allow.

    python benchmarks/knee.py RUN FUSION DATA --synthetic FOLDER --labels LABELS.npz ... [--colours RUN] [--json FILE]

RUN is a training with ``--recipe points``, FUSION what ``likeness train fusion RUN`` wrote: its looks and people's
shapes are taken from there, so every row costs a minute. DATA holds photos/{video,photo,people}-train.tar, which the
estimates are learned from, photos/{video,photo}-val.tar and portraits, which they are measured on; LABELS are the
points of all five archives (``likeness train label-points``); DATA/scans and DATA/scan hold the scans.

Columns: how 14 portraits differ from the front, explained by the neutral head, of neutral and smiling photos; RMS mm
over the face by which held-out rendered faces are missed after a similarity (of crops that strayed, so larger than
in ``benchmarks/fidelity.py``), with the mean face's, the spread kept and the slope; AUC by code and by shape across
clips (video-val) and photos (photo-val); of the two real scans, photographed, the median distance over the mean
face's, and that of the worst photo. Crops lie about labelled points, not about faces found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from fidelity import data_of

from likeness import FaceModel, Reconstructor
from likeness.assets import asset
from likeness.datasets import SyntheticFaces, open_sources
from likeness.datasets.dense_labels import match_points, read_point_labels
from likeness.datasets.hand_placed import IBUG_POINTS, PROPORTIONS, Portraits, read_portraits
from likeness.evaluate.fidelity.portraits import smiling_photos
from likeness.evaluate.fidelity.scan_photos import all_views, landmarks_seen, photograph
from likeness.evaluate.fidelity.scans import PreparedScan, ScanSource, error_of, prepared_scan
from likeness.images.photo import load_photo
from likeness.metrics.fidelity_points import front_points, hand_placed_fidelity
from likeness.metrics.roc import auc, counts_of
from likeness.model.surface_points import default_point_map
from likeness.reconstruct.proposals import crop_from_landmarks
from likeness.train.checkpoint import CHECKPOINT, load_regressor
from likeness.train.photos.augment import cut
from likeness.train.photos.evidence import placed_faces
from likeness.train.photos.fusion import learn
from likeness.train.photos.fusion_inputs import FusionInputs, Looker, look_at_photos
from likeness.train.photos.fusion_trainer import FusionRun, Material, finished, gather
from likeness.train.photos.labels import Sources
from likeness.train.photos.network import CROP_SIZE
from likeness.train.settings import FusionSettings

TRAINED = ("video-train", "photo-train", "people-train")
SHIPPED = FusionSettings()
ROWS: dict[str, FusionSettings] = {
    "features and points, no identity term": replace(SHIPPED, sir=0.0, within=0.0, points=0.0, strength=0.0),
    "a fifth of it drawn towards the points": replace(SHIPPED, sir=0.0, within=0.0, points=0.2, strength=0.0),
    "identity term, photos of a person alike": replace(SHIPPED, points=0.0, strength=0.0),
    "three tenths towards the points": replace(SHIPPED, strength=0.0),
    "and filtered at 0.07: shipped": SHIPPED,
    "shipped, jaws no wider": replace(SHIPPED, wider=0.0),
    "half towards the points": replace(SHIPPED, points=0.5),
    "filter 0.3": replace(SHIPPED, strength=0.3),
    "filter 1": replace(SHIPPED, strength=1.0),
    "identity term twice, evidence half, nothing towards the points": replace(
        SHIPPED, evidence=1.0, sir=1.2, points=0.0
    ),
    "five times the identity term, nothing towards the points": replace(SHIPPED, sir=3.0, points=0.0),
}
Estimate = Callable[[FusionInputs], np.ndarray]
"""Looks -> codes (n, K)."""


class Judged:
    """Looks at people who were not learned from, and what estimates are worth on them.

    Args:
        model: the face model.
        looker: with the network.
        data, labels: folder and files, see the head of this file.
        material: whose held-out rendered faces are taken.
    """

    def __init__(self, model: FaceModel, looker: Looker, data: Path, labels: list[Path], material: Material) -> None:
        self.model, self.rendered = model, material.held_out
        self.factor = model.shape_metric.factor
        self.people = {name: _people(looker, data, labels, name) for name in ("video-val", "photo-val")}
        self.portraits = read_portraits(data / "portraits")
        self.portrait_looks = _portraits(looker, self.portraits)
        self.scans = [_scan(looker, source) for source in data_of(data, data, [], 0).scans]

    def row(self, estimate: Estimate) -> dict[str, float]:
        """The columns."""
        codes = estimate(self.portrait_looks)
        half = len(codes) // 2
        neutral, smile = (
            hand_placed_fidelity(
                front_points(self.model, some)[:, list(IBUG_POINTS)],
                self.portraits.points,
                in_photo=False,
                proportions=PROPORTIONS,
            )
            for some in (codes[:half], codes[half:])
        )
        found = {"front": float(neutral.explained), "front, smiling": float(smile.explained)}
        looks, truth = self.rendered
        true, said = truth @ self.factor, estimate(looks) @ self.factor
        centred, moved = true - true.mean(0), said - said.mean(0)
        found["rendered mm"] = float(np.sqrt(((said - true) ** 2).sum(1).mean()))
        found["mean face mm"] = float(np.sqrt((true**2).sum(1).mean()))
        found["spread"] = float(np.sqrt((moved**2).sum() / (centred**2).sum()))
        found["slope"] = float((centred * moved).sum() / (moved**2).sum())
        for name, (seen, person, clip) in self.people.items():
            for what, value in zip(("code", "shape"), self._aucs(estimate(seen), person, clip), strict=True):
                found[f"AUC {what}, {name}"] = value
        for scan, looks, base in self.scans:
            errors = [error_of(scan, self.model, code).median / base for code in estimate(looks)]
            found |= {scan.name: float(np.mean(errors)), f"{scan.name}, worst": float(np.max(errors))}
        return found

    def _aucs(self, codes: np.ndarray, person: np.ndarray, clip: np.ndarray) -> tuple[float, float]:
        first, second = np.triu_indices(len(codes), 1)
        same, apart = person[first] == person[second], clip[first] != clip[second]
        units, shapes = codes / np.linalg.norm(codes, axis=1, keepdims=True), codes @ self.factor
        distances = (
            1.0 - (units[first] * units[second]).sum(1),
            np.linalg.norm(shapes[first] - shapes[second], axis=1),
        )
        by_code, by_shape = (float(auc(*counts_of(d[same & apart], d[~same])[1:])) for d in distances)
        return by_code, by_shape


def _people(looker: Looker, data: Path, labels: list[Path], name: str) -> tuple[FusionInputs, np.ndarray, np.ndarray]:
    """Looks at an archive's people, (N,) who they are and (N,) in which clip; photographs are clips of their own."""
    sources = _sources(looker.model, data, labels, (name,))
    faces = placed_faces(sources)
    seen = look_at_photos(looker, faces, sources)
    number = faces.number[seen.rows]
    clip = number if sources.frames is None else np.asarray(sources.frames.clip)[number]
    return seen.inputs, faces.person[seen.rows], clip


def _portraits(looker: Looker, portraits: Portraits) -> FusionInputs:
    """Looks at neutral photos, then at smiling ones; faces are where the program finds them."""
    look, crops = Reconstructor(), []
    for photos in (portraits.photos, smiling_photos(portraits.photos)):
        for path in photos:
            image = load_photo(path).image
            face = look(image, max_faces=1)[0]
            crops.append(cut(image, crop_from_landmarks(face.landmarks, CROP_SIZE, upright=True)))
    return looker.inputs(looker.answers(np.stack(crops), mirrored=True))


def _scan(looker: Looker, source: ScanSource) -> tuple[PreparedScan, FusionInputs, float]:
    """A scan, looks at its photos, and the mean face's median distance, mm."""
    scan, crops = prepared_scan(source, looker.model), []
    for view in all_views():
        picture, camera, rotation, translation = photograph(scan.shown, scan.model, view)
        landmarks = landmarks_seen(scan.head, scan.model, camera, rotation, translation)
        crops.append(cut(picture, crop_from_landmarks(landmarks, CROP_SIZE, upright=True)))
    base = error_of(scan, looker.model, np.zeros(len(looker.model.identity_basis))).median
    return scan, looker.inputs(looker.answers(np.stack(crops), mirrored=True)), base


def _sources(model: FaceModel, data: Path, labels: list[Path], names: tuple[str, ...]) -> Sources:
    points = default_point_map()
    opened = open_sources([data / "photos" / f"{name}.tar" for name in names])
    known = [read_point_labels(path, len(points)) for path in labels if any(name in path.name for name in names)]
    stores = [None if one is None else one.images for one in (opened.frames, opened.photos)]
    return Sources(model, opened.frames, None, opened.photos, None, points, *match_points(known, stores))


def main() -> None:
    parser = argparse.ArgumentParser(description="The curve between faithful and recognisable.")
    parser.add_argument("run", type=Path)
    parser.add_argument("fusion", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--synthetic", type=Path, required=True)
    parser.add_argument("--labels", type=Path, nargs="+", required=True)
    parser.add_argument("--colours", type=Path, help="as it was given to likeness train fusion")
    parser.add_argument("--steps", type=int, default=FusionSettings.steps)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model = FaceModel.load(asset("face_model.npz"))
    sources = _sources(model, arguments.data, arguments.labels, TRAINED)
    sources = replace(sources, synthetic=SyntheticFaces(arguments.synthetic, model))
    run = FusionRun(arguments.run, arguments.fusion, colours=arguments.colours, resume=True)
    material = gather(run, sources, print)
    looker = Looker(load_regressor(arguments.run / CHECKPOINT)[0], model, default_point_map())
    judged = Judged(model, looker, arguments.data, arguments.labels, material)
    table = {"the points' fit alone": judged.row(lambda looks: np.asarray(looks.code, np.float64))}
    print(*table["the points' fit alone"], sep=" | ")
    learned, known = None, material.known
    for name, settings in ROWS.items():
        bare = replace(settings, points=0.0, strength=0.0, wider=0.0, steps=arguments.steps)
        if learned is None or learned[0] != bare:
            learned = bare, learn(known, judged.factor, bare, whole=model.metric.factor)
        table[name] = judged.row(finished(learned[1], known, model, settings))
        print(name, *(f"{value:.3f}" for value in table[name].values()), sep=" | ", flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()

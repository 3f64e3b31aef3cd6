"""What several photos of a person are worth: figures against the number of photos that are fused.

    python benchmarks/fusion.py DATA [--network FILE --model FILE] [--only r,s,p,c,g,m] [--work DIR] [--json FILE]

Parts, see docs/people.md: (r) rendered people; (s) two real scans, photographed; (p) verification by shape and by
code on ``photos/photo-val.tar``, fused photos against one more; (c) landmarks of other clips
(``photos/video-val.tar``) explained by shapes fused of others; (g) sorting mixed photos; (m) photos that do not
belong. ``--calibrate`` prints the figures that :mod:`likeness.reconstruct.agreement` holds, measured anew on
``photos/photo-train.tar`` and rendered people.

What is seen in a photo is kept in ``--work``: a rerun costs seconds, with another network the pictures are looked
at anew.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fidelity import LPS_MILLIMETRES, RAW_SCAN_MILLIMETRES
from fusion_albums import SHOTS, Album, Looker, photo_album, rendered_album
from fusion_people import measure_groups, measure_heads, measure_merges, measure_mixes

from likeness.assets import asset
from likeness.evaluate.cache import Cache
from likeness.evaluate.fidelity.refit import refit
from likeness.evaluate.fidelity.scan_photos import all_views, landmarks_seen, photograph
from likeness.evaluate.fidelity.scans import ScanSource, error_of, prepared_scan
from likeness.evaluate.predictions import open_predictor
from likeness.files import digest
from likeness.metrics.fidelity_shapes import shape_fidelity
from likeness.metrics.roc import auc, counts_of
from likeness.model.face_model import FaceModel
from likeness.reconstruct.agreement import BANDS, Agreement, resemblance
from likeness.reconstruct.people import fused_identity
from likeness.reconstruct.result import Reconstruction

COUNTS = (1, 2, 4, 8, 16)


def fused_code(look: Looker, faces: Iterable[Reconstruction]) -> np.ndarray:
    """What the program makes of these faces of a person."""
    chosen = list(faces)
    cues = [face.cues for face in chosen if face.cues is not None]
    refiner: Any = look.predictor.reconstruct.refiner  # type: ignore[attr-defined]
    return np.asarray(fused_identity(refiner, chosen, cues)[1])


def measure_rendered(look: Looker, album: Album) -> dict[int, dict[str, float]]:
    """RMS mm after a similarity, of disjoint sets of N photos (four of each person at most)."""
    model, found = look.predictor.model, {}
    from likeness.evaluate.fidelity.rendered import face_mask

    for count in COUNTS:
        sets = [(p, album.of(p)[n * count :][:count]) for p in album.people for n in range(min(4, SHOTS // count))]
        codes = np.stack([fused_code(look, [album.faces[row] for row in rows]) for _, rows in sets])
        truth = album.known["truth"][[p for p, _ in sets]]
        shape = shape_fidelity(model.vertices(codes), truth, face_mask(model))
        found[count] = {"mm": shape.rms, "ratio": shape.ratio, "spread": shape.spread, "slope": shape.slope or 0.0}
    return found


def measure_scans(look: Looker, data: Path, steps: Callable[[str], None]) -> dict[str, dict[int, float]]:
    """Median distance over the mean face's, means over sets of N of the fifteen photos."""
    model = FaceModel.load(asset("face_model.npz"))
    raw = data / "scan" / "raw-scan.ply"
    sources = (
        ScanSource(data / "scans" / "lps.obj", None, LPS_MILLIMETRES),
        ScanSource(raw, raw.with_name("raw-scan-landmarks51.txt"), RAW_SCAN_MILLIMETRES),
    )
    found: dict[str, dict[int, float]] = {}
    for source in sources:
        scan, faces = prepared_scan(source, model), []
        for view in all_views():
            steps(f"{scan.name}: {view.name}")
            picture, camera, rotation, translation = photograph(scan.shown, scan.model, view)
            landmarks = landmarks_seen(scan.head, scan.model, camera, rotation, translation)
            face = look(partial(np.copy, picture), digest(picture.tobytes()), landmarks)
            assert face is not None
            faces.append(face)
        base = error_of(scan, look.predictor.model, np.zeros(len(look.predictor.model.identity_basis))).median
        order, ratios = np.random.default_rng(0).permutation(len(faces)), {}
        for count in (*COUNTS[:-1], len(faces)):
            sets = [order[n * count :][:count] for n in range(min(4, len(faces) // count))]
            codes = [fused_code(look, [faces[row] for row in rows]) for rows in sets]
            ratios[count] = float(np.mean([error_of(scan, look.predictor.model, c).median / base for c in codes]))
        found[scan.name] = ratios
    return found


def measure_verification(look: Looker, album: Album, rounds: int = 2) -> dict[int, dict[str, float]]:
    """AUC of fused N photos against one more photo, of the same person or another."""
    factor, rng, found = look.predictor.model.shape_metric.factor, np.random.default_rng(0), {}
    galleries: dict[int, list[np.ndarray]] = {count: [] for count in COUNTS}
    probes, owners = [], []
    for person in album.people:
        for _ in range(rounds):
            rows = rng.permutation(album.of(person))
            if len(rows) <= max(COUNTS):
                continue
            owners.append(person)
            probes.append(fused_code(look, [album.faces[rows[-1]]]))
            for count in COUNTS:
                galleries[count].append(fused_code(look, [album.faces[row] for row in rows[:count]]))
    own = np.array(owners)[:, None] == np.array(owners)[None]
    diagonal = np.eye(len(owners), dtype=bool)
    for count in COUNTS:
        a, b = np.stack(galleries[count]), np.stack(probes)
        both = np.concatenate([a, b])
        shapes = np.linalg.norm((a[:, None] - b[None]) @ factor, axis=-1)
        found[count] = {
            "code": _auc(1 - resemblance(both)[: len(a), len(a) :], own, diagonal),
            "shape": _auc(shapes, own, diagonal),
            "shape, angle": _auc(1 - resemblance(both @ factor)[: len(a), len(a) :], own, diagonal),
        }
    return found


def _auc(distance: np.ndarray, own: np.ndarray, diagonal: np.ndarray) -> float:
    return float(auc(*counts_of(distance[diagonal], distance[~own])[1:]))


def measure_cross_photo(look: Looker, album: Album) -> dict[int, dict[str, float]]:
    """Landmarks explained by the shape fused of up to N photos of other clips, error over the mean face's; of photos
    with four photos in other clips at least."""
    group, landmarks, rng = album.known["group"], album.known["landmarks"], np.random.default_rng(0)
    targets, others = [], []
    for row, who in enumerate(album.who):
        rows = np.flatnonzero((album.who == who) & (group != group[row]))
        if len(rows) >= 4:
            targets.append(row)
            others.append(rng.permutation(rows))
    model, points = look.predictor.model, landmarks[targets]
    size = len(model.identity_basis)
    base = refit(model, np.zeros((len(targets), size)), points).errors.mean()
    found = {}
    for count in COUNTS[:-1]:
        codes = np.stack([fused_code(look, [album.faces[row] for row in rows[:count]]) for rows in others])
        found[count] = {
            "ratio": float(refit(model, codes, points).errors.mean() / base),
            "photos": float(np.mean([min(count, len(rows)) for rows in others])),
        }
    return found


def calibrated(real: Album, rendered: Album, model: FaceModel) -> dict[str, list[float]]:
    """The figures of :mod:`likeness.reconstruct.agreement`, by band."""
    agreement, found = Agreement.of(model), {}
    ends = np.ceil(np.array(BANDS) * len(agreement.known) / BANDS[-1]).astype(int)
    bands = [slice(a, b) for a, b in zip((0, *ends[:-1]), ends, strict=True)]
    for name, album in (("real", real), ("rendered", rendered)):
        codes = np.stack([face.coefficients.identity for face in album.faces]) @ agreement.axes
        means = np.stack([codes[album.of(p)].mean(0) for p in album.people])
        rest = codes - means[np.searchsorted(album.people, album.who)]
        within = (rest**2).sum(0) / (len(codes) - len(means))
        total = ((codes - codes.mean(0)) ** 2).mean(0)
        found[f"stable, {name}"] = [1 - float(within[b].sum() / total[b].sum()) for b in bands]
        found[f"within mm, {name}"] = [float(np.sqrt((within * agreement.millimetres**2).sum()))]
    seen = np.stack([face.coefficients.identity for face in rendered.faces]) @ agreement.axes
    true = rendered.known["codes"][rendered.who] @ agreement.axes
    found["known"] = [
        float((seen[:, b] * true[:, b]).sum() ** 2 / (seen[:, b] ** 2).sum() / (true[:, b] ** 2).sum()) for b in bands
    ]
    for count in (1, 7):
        same, other = resemblances(real, count)
        found[f"same, other; their mean variance, of {count}"] = [
            float(same.mean()), float(other.mean()), float(same.var() + other.var()) / 2
        ]  # fmt: skip
    return found


def resemblances(album: Album, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean plain resemblance of faces to so many others of the same person, and to so many of another."""
    codes = np.stack([face.coefficients.identity for face in album.faces])
    features = np.stack([face.cues.features for face in album.faces if face.cues is not None])
    alike, rng = resemblance(codes, features), np.random.default_rng(0)
    found: tuple[list[float], list[float]] = ([], [])
    for row, who in enumerate(album.who):
        for person in album.people:
            others = album.of(person)[album.of(person) != row]
            if len(others) >= count:
                found[int(person != who)].append(alike[row, rng.choice(others, count, replace=False)].mean())
    return np.array(found[0]), np.array(found[1])


def lines(figures: dict[Any, Any]) -> list[str]:
    """Figures as a table: a column for each number of photos, or a line for each name."""
    if all(isinstance(one, dict) for one in figures.values()):
        names = list(dict.fromkeys(name for one in figures.values() for name in one))
        rows = [[name, *(one.get(name, float("nan")) for one in figures.values())] for name in names]
        return ["".join(f"{column!s:>18}" for column in ("", *figures)), *map(_line, rows)]
    every = ((name, value if isinstance(value, list) else [value]) for name, value in figures.items())
    return [_line([name, *values]) for name, values in every]


def _line(row: list[Any]) -> str:
    return f"{row[0]!s:>18}" + "".join(f"{value:18.3f}" for value in row[1:])


def main() -> None:
    from rich.console import Console

    parser = argparse.ArgumentParser(description="What several photos of a person are worth.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", default="r,s,p,c,g,m", help="parts, by commas")
    parser.add_argument("--people", type=int, default=40, help="rendered people")
    parser.add_argument("--photos", type=int, default=18, help="of each person of photo-val")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "likeness-fidelity")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console(stderr=True)
    look = Looker(
        open_predictor(arguments.model, arguments.network, threads=arguments.threads),
        Cache(arguments.work / "cache"),
    )
    found = measured(look, arguments, console.print)
    for part, figures in found.items():
        print(f"\n{part}")
        print("\n".join(lines(figures)))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def measured(look: Looker, arguments: argparse.Namespace, steps: Callable[[str], None]) -> dict[str, Any]:
    """The parts that are asked for."""
    only, photos = arguments.only.split(","), arguments.data / "photos"
    found: dict[str, Any] = {}
    if "r" in only:
        found["rendered people"] = measure_rendered(look, rendered_album(look, arguments.people, steps))
    if "s" in only:
        found["scans, over the mean face's"] = measure_scans(look, arguments.data, steps)
    if set(only) & set("pgm"):
        album = photo_album(look, photos / "photo-val.tar", steps, arguments.photos)
        if "p" in only:
            found["verification, photos"] = measure_verification(look, album)
        if "g" in only:
            whole = photo_album(look, photos / "photo-val.tar", steps)
            found["groups, photos"] = measure_groups(album)
            found["heads, photos"], found["merged, photos"] = measure_heads(whole), measure_merges(whole)
        if "m" in only:
            found["mixed, photos"] = measure_mixes(album)
    if set(only) & set("cgm"):
        album = photo_album(look, photos / "video-val.tar", steps)
        if "c" in only:
            found["landmarks of another clip, over the mean face's"] = measure_cross_photo(look, album)
        if "g" in only:
            found["groups, clips"] = measure_groups(album)
            found["heads, clips"], found["merged, clips"] = measure_heads(album), measure_merges(album)
        if "m" in only:
            found["mixed, clips"] = measure_mixes(album)
    if arguments.calibrate:
        real = photo_album(look, photos / "photo-train.tar", steps, 8)
        found["agreement"] = calibrated(real, rendered_album(look, arguments.people, steps), look.predictor.model)
    return found


if __name__ == "__main__":
    main()

"""Fidelity beside recognisability: all measures of a network that the given data allow, and one table of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.assets import asset
from likeness.datasets.hand_placed import read_portraits
from likeness.datasets.rendered_people import read_rendered_people
from likeness.datasets.test_sets import open_photos
from likeness.evaluate.cache import Cache
from likeness.evaluate.fidelity.frames import collected, measure_cross_photo, measure_identity, measure_landmarks
from likeness.evaluate.fidelity.judge import Judge, judged
from likeness.evaluate.fidelity.portraits import measure_portraits, smiling_photos
from likeness.evaluate.fidelity.rendered import measure_rendered
from likeness.evaluate.fidelity.scans import ScanSource, measure_scans, prepared_scan
from likeness.evaluate.predictions import Predictor
from likeness.evaluate.tables import Table, number
from likeness.model.face_model import FaceModel
from likeness.progress import Steps

PARTS = ("a", "b", "c", "d", "e", "f", "g")
"""a: hand-placed points; b: rendered people; c: real scans; d: cross-photo landmark error; e: blinks and landmarks;
f: recognisability; g: the judge."""


@dataclass(frozen=True)
class FidelityData:
    """What there is to measure on; None or empty: left out.

    Args:
        portraits: folder of portraits with hand-placed points (a, g).
        rendered: folder of rendered people (b).
        scans: real scans (c).
        frames: photos with landmarks and people in several clips (d, e, f).
        photos: photos of people without landmarks (f).
        judge: a recogniser that had no part in training (g).
    """

    portraits: Path | None = None
    rendered: Path | None = None
    scans: tuple[ScanSource, ...] = ()
    frames: Path | None = None
    photos: Path | None = None
    judge: Path | None = None


def measure_fidelity(
    data: FidelityData,
    predictor: Predictor,
    only: Collection[str] = PARTS,
    cache: Cache | None = None,
    steps: Steps | None = None,
    *,
    bootstrap: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures that the data allow, by part, as plain numbers.

    Args:
        data: what to measure on.
        predictor: what reconstructs photos.
        only: the parts that are wanted, of :data:`PARTS`.
        cache: of reconstructions.
        steps: told of the progress.
        bootstrap: replicates for intervals over people of the AUC.
        seed: of everything random.

    Returns:
        Part -> figures; ``left_out``: part -> why the photos with landmarks and people do not allow it.

    Raises:
        ValueError: an unknown part, or data that cannot be measured.
        FileError: data that cannot be read.
        MissingExtraError: scans without the ``scans`` extra.
    """
    unknown = set(only) - set(PARTS)
    if unknown:
        raise ValueError(f"expected parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    found: dict[str, Any] = {}
    if "a" in only and data.portraits is not None:
        found["portraits"] = measure_portraits(read_portraits(data.portraits), predictor, steps).to_dict()
    if "b" in only and data.rendered is not None:
        found["rendered"] = measure_rendered(read_rendered_people(data.rendered), predictor, cache, steps).to_dict()
    if "c" in only and data.scans:
        model = FaceModel.load(asset("face_model.npz"))
        prepared = [prepared_scan(source, model) for source in data.scans]
        found["scans"] = {one.name: one.to_dict() for one in measure_scans(prepared, predictor, steps)}
    if data.frames is not None and set(only) & set("def"):
        faces = collected(open_photos(data.frames), predictor, cache, steps)
        parts: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
            "d": ("cross_photo", lambda: measure_cross_photo(faces, seed=seed).to_dict()),
            "e": ("landmarks", lambda: measure_landmarks(faces)),
            "f": ("clips", lambda: measure_identity(faces, bootstrap=bootstrap, seed=seed)),
        }
        found |= _those_that_can_be_measured({name: part for key, (name, part) in parts.items() if key in only})
    if "f" in only and data.photos is not None:
        faces = collected(open_photos(data.photos), predictor, cache, steps)
        found["photos"] = measure_identity(faces, bootstrap=bootstrap, seed=seed)
    if "g" in only and data.judge is not None and data.portraits is not None:
        found["judge"] = _judge(data.portraits, data.judge, predictor)
    return found


def _those_that_can_be_measured(parts: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, Any]:
    """Figures by name; of those that need more than the photos tell (who is in them, clips, landmarks) ``left_out``
    has the reason.

    Raises:
        ValueError: none can be measured.
    """
    found: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, measure in parts.items():
        try:
            found[name] = measure()
        except ValueError as error:
            reasons[name] = str(error)
    if not found:
        raise ValueError("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))
    return found | ({"left_out": reasons} if reasons else {})


def _judge(portraits: Path, path: Path, predictor: Predictor) -> dict[str, Any]:
    neutral = read_portraits(portraits).photos
    smiling = smiling_photos(neutral)
    if len(smiling) != len(neutral):
        raise ValueError(f"expected a second photo (NAME-smile) of each of {len(neutral)} people, got {len(smiling)}")
    faces = []
    for photos in (neutral, smiling):
        found = [predictor.reconstruct(photo) for photo in photos]
        missed = [photo.name for photo, one in zip(photos, found, strict=True) if not one]
        if missed:
            raise ValueError(f"expected a face in every portrait, got none in {missed[0]}")
        faces.append([one[0] for one in found])
    return judged(Judge(path), faces[0], faces[1]).to_dict()


def mean_face_column(found: Mapping[str, Any]) -> dict[str, Any]:
    """What knows nothing has, of a network's figures: the same shape for everyone."""
    column: dict[str, Any] = {}
    if "portraits" in found:
        column["portraits"] = {"front": found["portraits"]["mean_face"]}
    if "rendered" in found:
        column["rendered"] = {"rms": found["rendered"]["mean_face_rms"], "ratio": 1.0, "spread": 0.0}
    if "scans" in found:
        keys = ("median", "mean", "std")
        column["scans"] = {
            name: {**{key: one[f"mean_face_{key}"] for key in keys}, "ratio": 1.0, "worst_ratio": 1.0}
            for name, one in found["scans"].items()
        }
    if "cross_photo" in found:
        column["cross_photo"] = {"own": found["cross_photo"]["mean_face"], "ratio": 1.0}
    return column


Row = tuple[str, tuple[str, ...], int]

_POINTS = (("spread", "spread", 2), ("slope of truth on prediction", "slope", 2))
_PROPORTIONS = ("nose width", "inner eye distance", "mouth width", "upper lip")


def _hand_placed_rows() -> list[Row]:
    """Those of the portraits' hand-placed points."""
    rows: list[Row] = []
    for label, key in (("found points", "found"), ("neutral head from the front", "front")):
        at = ("portraits", key)
        rows += [
            (f"hand-placed points, explained by the {label}", (*at, "explained"), 2),
            ("  standard error", (*at, "explained_error"), 2),
            ("  whose true points are nearest (rank-1)", (*at, "rank1"), 2),
            ("  own nearer than another's", (*at, "nearer"), 2),
            ("  error without offsets, % of the box", (*at, "error_percent"), 2),
            ("  the same after a similarity", (*at, "error_aligned_percent"), 2),
            *((f"  {name}", (*at, name_), digits) for name, name_, digits in _POINTS),
            *((f"  correlation: {name}", (*at, "proportions", name), 2) for name in _PROPORTIONS),
        ]
    return rows


def _rows(scans: Collection[str]) -> list[Row]:
    """Label, place in :func:`measure_fidelity`'s result, digits."""
    rows = _hand_placed_rows()
    rows += [
        ("  of the smiling photo, explained", ("portraits", "front_of_smile", "explained"), 2),
        ("rank-1 by shape, neutral and smiling photo", ("portraits", "rank1_across"), 2),
        ("rendered people, RMS mm after a similarity", ("rendered", "rms"), 2),
        ("  over the mean face's", ("rendered", "ratio"), 3),
        ("  spread kept", ("rendered", "spread"), 2),
        ("  slope of truth on prediction", ("rendered", "slope"), 2),
    ]
    for name in scans:
        at = ("scans", name)
        rows += [
            (f"scan {name}, median mm", (*at, "median"), 2),
            ("  mean", (*at, "mean"), 2),
            ("  standard deviation", (*at, "std"), 2),
            ("  over the mean face's", (*at, "ratio"), 2),
            ("  of the worst photo", (*at, "worst_ratio"), 2),
            ("  with the focal lengths told", (*at, "told_ratio"), 2),
            ("  of the worst photo", (*at, "told_worst_ratio"), 2),
        ]
    rows += [
        ("landmarks of another clip, % of the box", ("cross_photo", "own"), 3),
        ("  over the mean face's", ("cross_photo", "ratio"), 3),
        ("  standard error", ("cross_photo", "ratio_error"), 3),
        ("  a stranger's", ("cross_photo", "stranger_ratio"), 3),
        ("landmark error (NME), %", ("landmarks", "nme_percent"), 2),
        ("  with the annotations' side taken out", ("landmarks", "nme_without_side_percent"), 2),
        ("blink weight and eye opening, correlation", ("landmarks", "blink_correlation"), 2),
        ("lip gap on neutral portraits, % of mouth width", ("portraits", "lip_gap_percent"), 2),
        ("sum of expression weights on neutral portraits", ("portraits", "weight_sum"), 2),
    ]
    for label, key in (("clips", "clips"), ("photos", "photos")):
        rows += [
            (f"AUC by code, {label}", (key, "auc_code"), 3),
            ("  by shape", (key, "auc_shape"), 3),
            ("  SIR metric by shape", (key, "sir_shape"), 2),
            ("  pairs told rightly, by shape", (key, "accuracy_shape"), 3),
        ]
    rows += [
        ("judge: whose head (rank-1)", ("judge", "rank1"), 2),
        ("  own photo more like it than another's", ("judge", "nearer"), 2),
        ("  rank-1 of the photos themselves", ("judge", "photos_rank1"), 2),
    ]
    return rows


def fidelity_table(columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """One table of the figures of several networks.

    Args:
        columns: name -> what :func:`measure_fidelity` gave, or some of it.
    """
    scans = sorted({name for found in columns.values() for name in found.get("scans", {})})
    rows = []
    for label, place, digits in _rows(scans):
        values = [_at(found, place) for found in columns.values()]
        if any(value is not None for value in values):
            rows.append((label, *(number(value, digits) for value in values)))
    note = "Means over people; standard errors are over people, and do not know of other photos of the same."
    return Table("Fidelity x recognisability", ("measure", *columns), tuple(rows), note)


def _at(found: Mapping[str, Any], place: tuple[str, ...]) -> float | None:
    value: Any = found
    for key in place:
        if value is None:
            return None
        value = value.get(key)
    return None if value is None else float(np.asarray(value))

"""Fidelity beside recognisability: all measures of a network that the given data allow, and one table of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.datasets.hand_placed import read_portraits
from likeness.datasets.rendered_people import read_rendered_people
from likeness.evaluate.cache import Cache
from likeness.evaluate.portrait_fidelity import measure_portraits
from likeness.evaluate.predictions import Predictor, Steps
from likeness.evaluate.rendered_fidelity import measure_rendered
from likeness.evaluate.tables import Table, number

PARTS = ("a", "b")
"""a: hand-placed points; b: rendered people."""


@dataclass(frozen=True)
class FidelityData:
    """What there is to measure on; None: left out.

    Args:
        portraits: folder of portraits with hand-placed points.
        rendered: folder of rendered people.
    """

    portraits: Path | None = None
    rendered: Path | None = None


def measure_fidelity(
    data: FidelityData,
    predictor: Predictor,
    only: Collection[str] = PARTS,
    cache: Cache | None = None,
    steps: Steps | None = None,
) -> dict[str, Any]:
    """All figures that the data allow, by part, as plain numbers.

    Args:
        data: what to measure on.
        predictor: what reconstructs photos.
        only: the parts that are wanted, of :data:`PARTS`.
        cache: of reconstructions.
        steps: told of the progress.

    Raises:
        ValueError: an unknown part, or data that cannot be measured.
        FileError: data that cannot be read.
    """
    unknown = set(only) - set(PARTS)
    if unknown:
        raise ValueError(f"expected parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    found: dict[str, Any] = {}
    if "a" in only and data.portraits is not None:
        found["portraits"] = measure_portraits(read_portraits(data.portraits), predictor, steps).to_dict()
    if "b" in only and data.rendered is not None:
        found["rendered"] = measure_rendered(read_rendered_people(data.rendered), predictor, cache, steps).to_dict()
    return found


ROWS: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("hand-placed points, explained by found points", ("portraits", "found", "explained"), 3),
    ("  standard error", ("portraits", "found", "explained_error"), 3),
    ("  whose true points are nearest (rank-1)", ("portraits", "found", "rank1"), 3),
    ("  own nearer than another's", ("portraits", "found", "nearer"), 3),
    ("  error without offsets, % of the box", ("portraits", "found", "error_percent"), 2),
    ("  the same after a similarity", ("portraits", "found", "error_aligned_percent"), 2),
    ("  spread", ("portraits", "found", "spread"), 2),
    ("  slope of truth on prediction", ("portraits", "found", "slope"), 2),
    ("  correlation: nose width", ("portraits", "found", "proportions", "nose width"), 2),
    ("  correlation: inner eye distance", ("portraits", "found", "proportions", "inner eye distance"), 2),
    ("  correlation: mouth width", ("portraits", "found", "proportions", "mouth width"), 2),
    ("  correlation: upper lip", ("portraits", "found", "proportions", "upper lip"), 2),
    ("neutral head from the front, explained", ("portraits", "front", "explained"), 3),
    ("  standard error", ("portraits", "front", "explained_error"), 3),
    ("  rank-1", ("portraits", "front", "rank1"), 3),
    ("  own nearer than another's", ("portraits", "front", "nearer"), 3),
    ("  spread", ("portraits", "front", "spread"), 2),
    ("  slope of truth on prediction", ("portraits", "front", "slope"), 2),
    ("  correlation: nose width", ("portraits", "front", "proportions", "nose width"), 2),
    ("  correlation: inner eye distance", ("portraits", "front", "proportions", "inner eye distance"), 2),
    ("  correlation: mouth width", ("portraits", "front", "proportions", "mouth width"), 2),
    ("  correlation: upper lip", ("portraits", "front", "proportions", "upper lip"), 2),
    ("  from the smiling photo, explained", ("portraits", "front_of_smile", "explained"), 3),
    ("rank-1 by shape, neutral and smiling photo", ("portraits", "rank1_across"), 3),
    ("lip gap on neutral portraits, % of mouth width", ("portraits", "lip_gap_percent"), 2),
    ("sum of expression weights on neutral portraits", ("portraits", "weight_sum"), 2),
    ("rendered people, RMS mm after a similarity", ("rendered", "rms"), 3),
    ("  the mean face's", ("rendered", "mean_face_rms"), 3),
    ("  over the mean face's", ("rendered", "ratio"), 3),
    ("  spread kept", ("rendered", "spread"), 3),
    ("  slope of truth on prediction", ("rendered", "slope"), 3),
)
"""Label, place in :func:`measure_fidelity`'s result, digits."""


def fidelity_table(columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """One table of the figures of several networks.

    Args:
        columns: name -> what :func:`measure_fidelity` gave.
    """
    rows = []
    for label, place, digits in ROWS:
        values = [_at(found, place) for found in columns.values()]
        if any(value is not None for value in values):
            rows.append((label, *(number(value, digits) for value in values)))
    return Table("Fidelity x recognisability", ("measure", *columns), tuple(rows))


def _at(found: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    value: Any = found
    for key in place:
        if value is None:
            return None
        value = value.get(key)
    return value

"""Where a face is in a scan: its landmarks as given, or found by looking at it, and what unit that proves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.geometry.landmarks import INNER_COUNT
from likeness.geometry.similarity import Similarity, robust_similarity, similarity_from_points
from likeness.geometry.units import UNITS
from likeness.model.face_model import FaceModel
from likeness.register.scan import guess_units

Array = np.ndarray

TOLERANCE = 14.0
"""mm by which a landmark may miss the mean face's and still belong to a face; people differ by half of it."""

LEAST = 8
"""Landmarks that must be known."""

LEAST_SHARE = 0.6
"""The part of the known landmarks that must have a face's shape."""

MAX_LANDMARK_BYTES = 1_000_000


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a face is in a scan, before any fitting.

    Args:
        scan_from_model: model axes in mm -> the scan's own axes and units.
        units: a key of :data:`likeness.geometry.units.UNITS`, or "unknown" where the face fits none.
        landmarks: (N, 3) points in the scan's own axes and units.
        index: (N,) which of the 51 inner landmarks (iBUG 17 to 67) they are.
        found: whether they were found by the photo network, and not given.
    """

    scan_from_model: Similarity
    units: str
    landmarks: Array
    index: Array
    found: bool

    @property
    def known_scale(self) -> bool:
        """Whether the scale is a unit's, so that the face's true size shows."""
        return self.units in UNITS

    def moved(self, move: Similarity) -> Placement:
        """The same in other axes: ``move`` takes the scan's axes to them."""
        return replace(self, scan_from_model=move.after(self.scan_from_model), landmarks=move.apply(self.landmarks))

    def in_units(self, units: str) -> Placement:
        """The same, with the unit that the caller knows (a key of :data:`likeness.geometry.units.UNITS`).

        Raises:
            ValueError: the face would be smaller or larger than any.
        """
        size = self.scan_from_model.scale * UNITS[units]
        if not 0.5 < size < 2.0:
            raise ValueError(
                f"expected a face of about an adult's size in {units}, got one {size:.3g} times as large"
            )
        return replace(self, units=units)


def place_by_landmarks(landmarks: Array, model: FaceModel) -> Placement:
    """A placement from landmarks.

    Args:
        landmarks: (51, 3) the inner iBUG points 17 to 67, or (68, 3) all (the jaw's are not used: on the surface they
            are not defined); the scan's own axes and units; rows of NaN for points that are not known.
        model: the face model whose mean is placed.

    Raises:
        ValueError: another shape, too few points, or points that have no face's shape.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape not in ((51, 3), (68, 3)):
        raise ValueError(f"expected landmarks (51, 3) or (68, 3), got {points.shape}")
    inner = points[-INNER_COUNT:]
    index = np.flatnonzero(np.isfinite(inner).all(1))
    if len(index) < LEAST:
        raise ValueError(f"expected at least {LEAST} finite landmarks, got {len(index)}")
    template = model.landmark_bases[0][:INNER_COUNT].astype(np.float64)[index]
    model_from_scan, weights = robust_similarity(inner[index], template, TOLERANCE)
    if (weights > 0).mean() < LEAST_SHARE:
        raise ValueError(
            f"expected landmarks in the shape of a face (iBUG order, the scan's axes), only {(weights > 0).sum()} of "
            f"{len(index)} fit one"
        )
    scan_from_model = model_from_scan.inverse()
    return Placement(scan_from_model, guess_units(scan_from_model.scale), inner[index], index, found=False)


def with_scale(placement: Placement, model: FaceModel, scale: float) -> Placement:
    """The placement whose pose is fitted again at a known scale (scan units per mm of the model)."""
    template = model.landmark_bases[0][:INNER_COUNT].astype(np.float64)[placement.index]
    error = np.linalg.norm(placement.scan_from_model.apply(template) - placement.landmarks, axis=1)
    weights = 1 / (1 + (error / (0.5 * TOLERANCE * placement.scan_from_model.scale)) ** 2)
    pose = similarity_from_points(template, placement.landmarks, weights, scale)
    return replace(placement, scan_from_model=Similarity(*pose))


def read_landmarks(path: StrPath) -> Array:
    """Landmarks (51, 3) or (68, 3) of a text file: a point per line, three numbers with blanks or commas between.

    ``nan nan nan`` stands for a point that is not known; lines that begin with ``#`` are comments.

    Raises:
        FileError: missing, no such numbers, or another count.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_LANDMARK_BYTES + 1)
        if len(data) > MAX_LANDMARK_BYTES:
            raise ValueError("a larger file")
        lines = [line.replace(",", " ").replace(";", " ").split() for line in data.decode().splitlines()]
        rows = [[float(number) for number in line] for line in lines if line and not line[0].startswith("#")]
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise FileError(path, f"expected landmarks as lines of three numbers, got {str(error)[:80]}") from error
    counts = {len(row) for row in rows}
    if len(rows) not in (51, 68) or counts != {3}:
        raise FileError(path, f"expected 51 or 68 lines of three numbers, got {len(rows)} of {sorted(counts)}")
    return np.array(rows)

"""Landmark errors: NME with its normaliser named, cumulative distribution, AUC and failure rate; AFLW2000-3D."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath, as_file_error, printable
from likeness.formats.mat import MATLAB_ORIGIN, read_mat
from likeness.metrics.records import Excluded, listed

NORMALISERS = ("box", "inter-ocular", "inter-pupil")
FAILURE = 0.08
"""Normalised error above which a face counts as failed, and up to which the AUC goes: 8 %."""

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
OUTER_CORNERS = (36, 45)
MAX_MAT_BYTES = 1 << 26
YAW_BINS = ((0.0, 30.0), (30.0, 60.0), (60.0, 90.0))
"""Degrees of |yaw|, lower end excluded but for 0: the bins in which errors on AFLW2000-3D are published."""


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """Normalised mean errors of a test set.

    Args:
        normaliser: ``box``, ``inter-ocular`` or ``inter-pupil``.
        errors: (N,) mean distance of the points over the normaliser, as a share (0.05 is 5 %); infinite where no face
            was found.
        limit: error above which a face counts as failed.
    """

    normaliser: str
    errors: np.ndarray
    limit: float = FAILURE

    @property
    def missed(self) -> int:
        """Faces that were not found. They count in the distribution, the AUC and the failures, not in the means."""
        return int(np.isinf(self.errors).sum())

    @property
    def mean(self) -> float | None:
        """NME of the faces found, a share; None where none was."""
        found = self.errors[np.isfinite(self.errors)]
        return float(found.mean()) if len(found) else None

    @property
    def median(self) -> float | None:
        """Median error of the faces found, a share; None where none was."""
        found = self.errors[np.isfinite(self.errors)]
        return float(np.median(found)) if len(found) else None

    @property
    def failure_rate(self) -> float:
        """Share of faces with an error above the limit, or not found."""
        return float((self.errors > self.limit).mean())

    @property
    def auc(self) -> float:
        """Area under the cumulative error distribution from 0 to the limit, over the limit: 1 is perfect.

        ``mean(max(0, 1 − error / limit))``: the integral of the step curve, exactly.
        """
        return float(np.maximum(0, 1 - self.errors / self.limit).mean())

    def curve(self, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
        """Cumulative error distribution (CED): errors (points,) from 0 to the limit, shares of faces up to there."""
        at = np.linspace(0, self.limit, points)
        return at, np.searchsorted(np.sort(self.errors), at, "right") / len(self.errors)

    def to_dict(self) -> dict[str, Any]:
        """The figures and the curve as plain numbers, ready for JSON."""
        at, share = self.curve()
        return {
            "normaliser": self.normaliser,
            "faces": len(self.errors),
            "missed": self.missed,
            "nme": self.mean,
            "median": self.median,
            "limit": self.limit,
            "auc": self.auc,
            "failure_rate": self.failure_rate,
            "curve": {"error": at.tolist(), "share": share.tolist()},
        }


def landmark_errors(
    found: np.ndarray,
    truth: np.ndarray,
    normaliser: str = "box",
    *,
    boxes: np.ndarray | None = None,
    points: np.ndarray | None = None,
    limit: float = FAILURE,
) -> LandmarkErrors:
    """Errors of the 68 iBUG landmarks.

    Args:
        found: (N, 68, 2 or more) pixels, of which x and y count; NaN throughout where a face was not found.
        truth: (N, 68, 2 or more) pixels.
        normaliser: ``box``: √(width · height) of the box around the true landmarks (AFLW2000-3D, Zhu et al. 2016), or
            of ``boxes``; ``inter-ocular``: distance of the outer eye corners (300-W, Sagonas et al. 2013);
            ``inter-pupil``: distance of the means of the six points of each eye.
        boxes: (N, 4) x0 y0 x1 y1, pixels, for ``box``.
        points: indices of the landmarks to compare, ``range(17, 68)`` for the 51 inner ones; None: all.
        limit: error above which a face counts as failed.

    Raises:
        ValueError: shapes that differ, another normaliser, a truth that is not finite or has no extent, or a face
            found in part (some NaN, not all).
    """
    found, truth = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    if found.ndim != 3 or truth.ndim != 3 or found.shape[:2] != truth.shape[:2] or truth.shape[1] != 68:
        raise ValueError(f"expected found and true landmarks (N, 68, 2), got {found.shape} and {truth.shape}")
    if not len(truth) or min(found.shape[2], truth.shape[2]) < 2:
        raise ValueError(f"expected at least one face and x and y, got {found.shape} and {truth.shape}")
    found, truth = found[..., :2], truth[..., :2]
    if not np.isfinite(truth).all():
        raise ValueError("expected finite true landmarks, got some that are not")
    known = np.isfinite(found).all(axis=(1, 2))
    partly = np.flatnonzero(~known & ~np.isnan(found).all(axis=(1, 2)))
    if len(partly):
        raise ValueError(f"expected faces found or NaN throughout, got some NaN in faces {listed(partly)}")
    length = _normalising_length(truth, normaliser, boxes)
    flat = np.flatnonzero(~(length > 0))
    if len(flat):
        raise ValueError(f"expected true faces with an extent, got {normaliser} of 0 for faces {listed(flat)}")
    chosen = np.arange(68) if points is None else np.asarray(points)
    distance = np.linalg.norm(found[:, chosen] - truth[:, chosen], axis=-1).mean(-1) / length
    return LandmarkErrors(normaliser, np.where(known, distance, np.inf), limit)


@dataclass(frozen=True, eq=False)
class Aflw2000:
    """AFLW2000-3D (Zhu et al., Face Alignment Across Large Poses, CVPR 2016), or a part of it.

    Args:
        photos: N photo files.
        landmarks: (N, 68, 3) `pt3d_68`, pixels from 0 where the files count from 1 (points behind the face are where
            they are, not where the outline is), z up to an offset.
        yaw: (N,) radians, of the annotation's `Pose_Para`.
        excluded: files that could not be read, and why.
    """

    photos: tuple[Path, ...]
    landmarks: np.ndarray
    yaw: np.ndarray
    excluded: tuple[Excluded, ...]

    def in_yaw_bin(self, low: float, high: float) -> np.ndarray:
        """(N,) bool: |yaw| over ``low`` (at least, if 0) and at most ``high`` degrees; see :data:`YAW_BINS`."""
        degrees = np.degrees(np.abs(self.yaw))
        return ((degrees > low) | (low == 0)) & (degrees <= high)


def read_aflw2000(folder: StrPath) -> Aflw2000:
    """Read a folder of `NAME.mat` beside `NAME.jpg`.

    Annotations that are damaged or have no photo are left out and listed.

    Raises:
        FileError: no such folder, no annotation in it, or none that can be read.
    """
    directory = Path(folder)
    if not directory.is_dir():
        raise FileError(folder, "no such folder; expected AFLW2000-3D (.mat and .jpg)")
    files = sorted(directory.glob("*.mat"))
    if not files:
        raise FileError(folder, "has no .mat files; expected AFLW2000-3D (.mat and .jpg)")
    photos, landmarks, yaws, excluded = [], [], [], []
    for file in files:
        photo = file.with_suffix(".jpg")
        try:
            if not photo.is_file():
                raise FileError(file, "has no .jpg beside it")
            points, yaw = read_aflw2000_mat(file)
        except Exception as error:  # whatever a file holds, the others are measured
            excluded.append(Excluded(printable(file.name), as_file_error(file, error).reason))
            continue
        photos.append(photo)
        landmarks.append(points)
        yaws.append(yaw)
    if not photos:
        raise FileError(folder, f"none of {len(files)} annotations can be used; {files[0].name} {excluded[0].reason}")
    return Aflw2000(tuple(photos), np.stack(landmarks), np.array(yaws), tuple(excluded))


def read_aflw2000_mat(path: StrPath) -> tuple[np.ndarray, float]:
    """Landmarks (68, 3), pixels (0 is the centre of the first), and yaw, radians, of one annotation.

    Raises:
        FileError: missing, damaged, or without `pt3d_68` (3, 68) and `Pose_Para`.
    """
    if not Path(path).is_file():
        raise FileError(path, "no such file; expected an annotation of AFLW2000-3D (.mat)")
    if Path(path).stat().st_size > MAX_MAT_BYTES:
        raise FileError(path, f"is over {MAX_MAT_BYTES >> 20} MiB; expected an annotation of AFLW2000-3D (.mat)")
    content = read_mat(path, ("pt3d_68", "Pose_Para"))
    points, pose = (content.get(key, np.zeros(0)) for key in ("pt3d_68", "Pose_Para"))
    if points.shape != (3, 68) or points.dtype.kind not in "fiu" or not np.isfinite(points).all():
        raise FileError(path, f"expected pt3d_68 (3, 68) of finite numbers, got {points.dtype} {points.shape}")
    if pose.size < 3 or pose.dtype.kind not in "fiu" or not np.isfinite(pose).all():
        raise FileError(path, f"expected Pose_Para (1, 7) of finite numbers, got {pose.dtype} {pose.shape}")
    landmarks = points.T.astype(np.float64) - [MATLAB_ORIGIN, MATLAB_ORIGIN, 0.0]
    return landmarks, float(pose.ravel()[1])  # pitch, yaw, roll, translation, scale


def _normalising_length(truth: np.ndarray, normaliser: str, boxes: np.ndarray | None) -> np.ndarray:
    """(N,) pixels."""
    if normaliser not in NORMALISERS:
        raise ValueError(f"expected a normaliser of {NORMALISERS}, got {normaliser!r}")
    if boxes is not None and (normaliser != "box" or np.shape(boxes) != (len(truth), 4)):
        raise ValueError(f"expected boxes ({len(truth)}, 4) with the normaliser box only, got {np.shape(boxes)}")
    if normaliser == "inter-ocular":
        return np.linalg.norm(truth[:, OUTER_CORNERS[0]] - truth[:, OUTER_CORNERS[1]], axis=-1)
    if normaliser == "inter-pupil":
        return np.linalg.norm(truth[:, RIGHT_EYE].mean(1) - truth[:, LEFT_EYE].mean(1), axis=-1)
    sides = truth.max(1) - truth.min(1) if boxes is None else np.asarray(boxes)[:, 2:] - np.asarray(boxes)[:, :2]
    return np.sqrt(np.prod(np.maximum(sides, 0), axis=-1))

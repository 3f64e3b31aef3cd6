"""Landmark errors: NME with its normaliser named, cumulative distribution, AUC and failure rate; AFLW2000-3D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import listed
from likeness.geometry.landmarks import INNER, LEFT_EYE, OUTER_EYE_CORNERS, RIGHT_EYE

NORMALISERS = ("box", "inter-ocular", "inter-pupil")
FAILURE = 0.08
"""Normalised error above which a face counts as failed, and up to which the AUC goes: 8 %."""

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


def errors_without_side(found: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """How far annotations lie to one side, and the errors (normaliser ``box``) without that.

    What predicts by a face and its mirror image alike has no side of its own, so the median over the inner points of
    all faces is the annotators' (:mod:`likeness.train.photos.landmark_bias`).

    Args:
        found, truth: (N, 68, 2) pixels, all faces found.

    Returns:
        the side, a share of the box to the image's right, and the errors (N,), shares.
    """
    size = np.sqrt(np.prod(np.ptp(truth, axis=1), axis=-1))
    differences = (truth - found) / size[:, None, None]
    side = float(np.median(differences[:, list(INNER), 0]))
    return side, np.linalg.norm(differences - [side, 0.0], axis=-1).mean(-1)


def _normalising_length(truth: np.ndarray, normaliser: str, boxes: np.ndarray | None) -> np.ndarray:
    """(N,) pixels."""
    if normaliser not in NORMALISERS:
        raise ValueError(f"expected a normaliser of {NORMALISERS}, got {normaliser!r}")
    if boxes is not None and (normaliser != "box" or np.shape(boxes) != (len(truth), 4)):
        raise ValueError(f"expected boxes ({len(truth)}, 4) with the normaliser box only, got {np.shape(boxes)}")
    if normaliser == "inter-ocular":
        return np.linalg.norm(truth[:, OUTER_EYE_CORNERS[0]] - truth[:, OUTER_EYE_CORNERS[1]], axis=-1)
    if normaliser == "inter-pupil":
        return np.linalg.norm(truth[:, RIGHT_EYE].mean(1) - truth[:, LEFT_EYE].mean(1), axis=-1)
    sides = truth.max(1) - truth.min(1) if boxes is None else np.asarray(boxes)[:, 2:] - np.asarray(boxes)[:, :2]
    return np.sqrt(np.prod(np.maximum(sides, 0), axis=-1))

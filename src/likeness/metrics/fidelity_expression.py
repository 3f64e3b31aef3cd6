"""Do expression weights follow what is seen? Blinks against the lids' measured opening."""

from __future__ import annotations

import numpy as np

UPPER_LIDS = ((37, 38), (43, 44))
LOWER_LIDS = ((41, 40), (47, 46))
CORNERS = ((36, 39), (42, 45))
"""iBUG points of the subject's right and left eye; lids in pairs, one above another."""


def eye_opening(landmarks: np.ndarray) -> np.ndarray:
    """How far the eyes are open: mean distance of upper and lower lid over the eye's width (Soukupova and Cech,
    Real-Time Eye Blink Detection using Facial Landmarks, 2016).

    Args:
        landmarks: (..., 68, 2) iBUG points, any unit.

    Returns:
        (..., 2), the subject's right and left eye.
    """
    points = np.asarray(landmarks, np.float64)
    opening = []
    for upper, lower, corners in zip(UPPER_LIDS, LOWER_LIDS, CORNERS, strict=True):
        gap = np.linalg.norm(points[..., upper, :] - points[..., lower, :], axis=-1).mean(-1)
        opening.append(gap / np.linalg.norm(points[..., corners[0], :] - points[..., corners[1], :], axis=-1))
    return np.stack(opening, axis=-1)


def blink_correlation(blink: np.ndarray, landmarks: np.ndarray) -> float | None:
    """Correlation over photos of the mean blink weight with the mean opening of the eyes: -1 would be perfect. None
    where one of them does not vary.

    Args:
        blink: (N, 2) weights of eyeBlinkRight and eyeBlinkLeft.
        landmarks: (N, 68, 2) annotated iBUG points.
    """
    weights, opening = np.asarray(blink, np.float64).mean(-1), eye_opening(landmarks).mean(-1)
    if weights.shape != opening.shape or len(weights) < 2:
        raise ValueError(f"expected blink (N >= 2, 2) and landmarks (N, 68, 2), got {np.shape(blink)}")
    if min(np.ptp(weights), np.ptp(opening)) < 1e-9:
        return None
    return float(np.corrcoef(weights, opening)[0, 1])

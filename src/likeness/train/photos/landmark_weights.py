"""Landmarks as annotators place them, as combinations of surface points that a network places.

Weights that sum to 1 move, turn and stretch with the points, so what is learned on one set of faces holds wherever a
face is in a picture.
"""

from __future__ import annotations

import numpy as np

from likeness.geometry.landmarks import JAW_COUNT, MIRRORED

SUM = 1e3
"""How much a sum other than 1 costs, over what a misplaced landmark does."""


GENTLE, FIRM = 0.3, 10.0
"""Strengths of the pull towards the points that stand for landmarks. The weaker one averages more points, for what
matters more than where each one lies: in blurred pictures (inner points of video-val 2.09 -> 2.07 % of the box), and
for the jaw, which no point stands for (3.75 -> 3.39 %). In clear pictures it is too weak: between 14 portraits it
explains 0.60 of the differences, the stronger one 0.64."""

OF_HEAD = 3.0
"""Strength of the pull towards nothing of the fitted head's landmarks. With less of it the head's and the points'
differences are enlarged more than tenfold, and with them which side of the faces the annotators prefer."""

JAW = np.arange(JAW_COUNT)


def landmark_weights(
    points: np.ndarray,
    landmarks: np.ndarray,
    mirror: np.ndarray,
    start: np.ndarray,
    strength: float | np.ndarray = FIRM,
) -> np.ndarray:
    """Ridge regression from surface points to landmarks, towards the points that stand for them.

    Every face counts with its mirror image, so annotations that lie to one side of all faces leave no trace.

    Args:
        points: (N, P, 2) pixels of N faces.
        landmarks: (N, 68, 2) pixels, annotated.
        mirror: (P,) the point that each is on a mirrored face.
        start: (68,) the points that stand for the landmarks.
        strength: of the pull, in units of a squared share of the face's size; (P,): of each point.

    Returns:
        (68, P), rows sum to 1.
    """
    size = np.sqrt(np.prod(np.ptp(landmarks, axis=1), axis=-1))[:, None, None]
    center = points.mean(1, keepdims=True)
    points, landmarks = (points - center) / size, (landmarks - center) / size
    other = np.array([-1.0, 1.0])
    seen = np.concatenate([points, points[:, mirror] * other])
    wanted = np.concatenate([landmarks, landmarks[:, MIRRORED] * other])
    rows, values = (np.concatenate([each[..., 0], each[..., 1]]) for each in (seen, wanted))
    begin = np.zeros((landmarks.shape[1], points.shape[1]))
    begin[np.arange(len(begin)), start] = 1.0
    count = points.shape[1]
    normal = rows.T @ rows + strength * np.eye(count) + SUM**2 * np.ones((count, count))
    change = np.linalg.solve(normal, rows.T @ (values - rows @ begin.T)).T
    weights = begin + change
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def weights_with_head(
    points: np.ndarray, heads: np.ndarray, landmarks: np.ndarray, mirror: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Weights of surface points and of a fitted head's landmarks, for clear and for blurred pictures.

    Args:
        points: (N, P, 2) pixels of N faces.
        heads: (N, 68, 2) pixels, where the heads fitted to them have their landmarks.
        landmarks: (N, 68, 2) pixels, annotated.
        mirror, start: as of :func:`landmark_weights`.

    Returns:
        (2, 68, P + 68), rows sum to 1.
    """
    count = points.shape[1]
    both = np.concatenate([points, heads], axis=1)
    mirrors = np.concatenate([mirror, count + MIRRORED])
    pull = np.repeat([GENTLE, OF_HEAD], [count, landmarks.shape[1]])
    blurred = landmark_weights(both, landmarks, mirrors, start, pull)
    # Lips are where the points say, in clear pictures, and nowhere else.
    clear = np.pad(landmark_weights(points, landmarks, mirror, start, FIRM), ((0, 0), (0, landmarks.shape[1])))
    clear[JAW] = blurred[JAW]
    return np.stack([clear, blurred])

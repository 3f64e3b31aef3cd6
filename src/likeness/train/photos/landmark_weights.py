"""Landmarks as annotators place them, as combinations of surface points that a network places.

Weights that sum to 1 move, turn and stretch with the points, so what is learned on one set of faces holds wherever a
face is in a picture.
"""

from __future__ import annotations

import numpy as np

from likeness.geometry.landmarks import MIRRORED

SUM = 1e3
"""How much a sum other than 1 costs, over what a misplaced landmark does."""


def landmark_weights(
    points: np.ndarray, landmarks: np.ndarray, mirror: np.ndarray, start: np.ndarray, strength: float = 10.0
) -> np.ndarray:
    """Ridge regression from surface points to landmarks, towards the points that stand for them.

    Every face counts with its mirror image, so annotations that lie to one side of all faces leave no trace.

    Args:
        points: (N, P, 2) pixels of N faces.
        landmarks: (N, 68, 2) pixels, annotated.
        mirror: (P,) the point that each is on a mirrored face.
        start: (68,) the points that stand for the landmarks.
        strength: of the pull, in units of a squared share of the face's size.

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

"""Learning :class:`likeness.model.point_readout.PointReadout`: from points that a network places in photographs whose
points and weights a teacher knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likeness.model.point_readout import PointReadout, upright
from likeness.model.surface_points import PointMap
from likeness.reconstruct.test_time import mirrored_names

LIPS = (
    (13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (80, 88), (310, 318), (191, 95), (415, 324),
)  # fmt: skip
"""MediaPipe's points of the upper and lower lip that touch where lips are closed."""

MOUTH = (61, 291)
"""Its corners of the mouth."""

READ = {
    "eyeBlink": 0.05,
    "mouthSmile": 0.10,
    "jawOpen": 0.02,
    "browDown": 0.15,
    "browInnerUp": 0.07,
    "browOuterUp": 0.07,
}
"""What the blendshape teacher is good for, and what it says of faces at rest."""

KNOTS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.09, 0.13, 0.2, 0.3)
"""Distances of lips over the mouth's width about which is looked at how far apart they are."""

STRENGTH = 0.3
"""Of the ridge, in units of features; their sum of squares is P per face."""

LEAST = 20
"""Pairs of lips that tell of a distance."""


def learn_readout(
    found: np.ndarray, known: np.ndarray, weights: np.ndarray, names: Sequence[str], points: PointMap
) -> PointReadout:
    """Ridge regression of weights on points, every face with its mirror image, and medians of the lips' distances.

    Args:
        found: (N, P, 2) points as the network places them, pixels.
        known: (N, P, 2) as the teacher does.
        weights: (N, W) the teacher's.
        names: W expressions.
        points: the map of the points, MediaPipe's.

    Raises:
        ValueError: no faces, or arrays that do not fit together.
    """
    if found.shape != known.shape or len(weights) != len(found) or not len(found):
        raise ValueError(f"expected as many faces of each, got {found.shape}, {known.shape}, {weights.shape}")
    wanted = [number for number, name in enumerate(names) if name.startswith(tuple(READ))]
    level = np.array([points.ibug[36], points.ibug[45]])
    features = np.concatenate([upright(found, level), upright(found[:, points.mirror] * [-1.0, 1.0], level)])
    answers = np.concatenate([weights, weights[:, mirrored_names(names)]])[:, wanted]
    middle, mean = features.mean(0), answers.mean(0)
    centered = features - middle
    normal = centered.T @ centered + STRENGTH * np.eye(features.shape[1])
    weight = np.linalg.solve(normal, centered.T @ (answers - mean)).T
    chosen = tuple(names[number] for number in wanted)
    rest = np.array([next(value for start, value in READ.items() if name.startswith(start)) for name in chosen])
    seen, true = lip_curve(lip_distances(found), lip_distances(known))
    lips, corners = np.array(LIPS), np.array(MOUTH)
    return PointReadout(chosen, weight, mean - weight @ middle, rest, level, corners, lips, seen, true)


def lip_distances(points: np.ndarray) -> np.ndarray:
    """Distances (N, M) of :data:`LIPS` over the mouth's width, of points (N, P, 2)."""
    upper, lower = np.array(LIPS).T
    width = np.linalg.norm(points[:, MOUTH[0]] - points[:, MOUTH[1]], axis=-1)
    return np.asarray(np.linalg.norm(points[:, upper] - points[:, lower], axis=-1) / width[:, None])


def lip_curve(found: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots (n,) and what lies behind distances near them (n,): medians, made to increase. Most lips that are seen
    nearly closed are closed; a mean would leave them ajar.

    Raises:
        ValueError: too few faces.
    """
    middles = 0.5 * (np.array(KNOTS[1:]) + KNOTS[:-1])
    place = np.searchsorted(middles, found.ravel())
    told = [(knot, known.ravel()[place == number]) for number, knot in enumerate(KNOTS)]
    enough = [(knot, float(np.median(values))) for knot, values in told if len(values) >= LEAST]
    if not enough:
        raise ValueError(f"expected {LEAST} lips that are about as far apart, got {found.size} in all")
    seen, true = np.array(enough).T
    return seen, np.maximum.accumulate(true)

"""The chance that a crop shows a face the right way up, from how the looks at it agree.

A network that places surface points places them on gravel too, but never twice at the same places: looks at one crop
(:mod:`likeness.reconstruct.test_time`) put the points of a true face within half a percent of its size, those of
anything else, and of a face that is read upside down, several percent apart. With how unsure the network calls its
points, and with its own score, a logistic function makes a chance of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

OFFSET = -15.3
WEIGHTS = np.array([-1.88, -1.18, 0.82])
"""Of the columns of :func:`evidence`: a logistic regression, as ``benchmarks/face_chance.py fit`` does it, on 788
readings, 506 of them right, of 250 pictures with faces (as they are, turned, masked, pasted, of many people) and 240
without, by the first network that placed points. Another network is fitted anew."""

SURE_SCORE = 6.0
"""The network's log odds are cut off at this, on either side."""


def disagreement(answers: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """How far apart several looks put the points of the same n crops, (n,).

    The mean distance of a point from its mean over the looks, over the size ``sqrt(w h)`` of the mean points' box.

    Args:
        answers: with ``points`` (n, P, 2), all in the pixels of the crops that are asked about.
    """
    points = np.stack([answer["points"] for answer in answers])
    middle = points.mean(axis=0)
    apart = np.linalg.norm(points - middle, axis=-1).mean(axis=(0, 2))
    return np.asarray(apart / box_sizes(middle))


def evidence(apart: np.ndarray, answer: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the chance depends on, (n, 3): the logarithms of the disagreement and of the mean deviation of the points
    over their box's size, and the log odds of the network's score.

    Args:
        apart: (n,) the :func:`disagreement` of the looks.
        answer: their mean: ``points`` (n, P, 2), ``deviation`` (n, P) and ``score`` (n,).
    """
    score = np.clip(answer["score"].astype(np.float64), 1e-9, 1.0 - 1e-9)
    unsure = answer["deviation"].mean(axis=-1) / box_sizes(answer["points"])
    odds = np.clip(np.log(score / (1.0 - score)), -SURE_SCORE, SURE_SCORE)
    return np.stack([np.log(np.maximum(apart, 1e-6)), np.log(np.maximum(unsure, 1e-6)), odds], axis=-1)


def chance_of_face(seen: np.ndarray) -> np.ndarray:
    """The chance (...,) that crops show a face the right way up, from their :func:`evidence` (..., 3)."""
    return np.asarray(1.0 / (1.0 + np.exp(-(OFFSET + seen @ WEIGHTS))))


def box_sizes(points: np.ndarray) -> np.ndarray:
    """The sizes ``sqrt(w h)`` (n,) of the upright boxes around points (n, P, 2), at least a pixel."""
    return np.maximum(np.sqrt(np.prod(np.ptp(points, axis=-2), axis=-1)), 1.0)

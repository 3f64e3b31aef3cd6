"""The chance that a crop shows a face the right way up, from how the views of it agree.

A network that places surface points places them on gravel too, but never twice at the same places: views of one crop
(:mod:`likeness.reconstruct.test_time`) put the points of a true face within half a percent of its size, those of
anything else, and of a face that is read upside down, several percent apart. With the network's own score a logistic
function makes a chance of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

OFFSET = -19.90
WEIGHTS = np.array([-4.55, 0.6])
"""Of the columns of :func:`evidence`: a logistic regression, by ``benchmarks/face_chance.py fit``, on 2,736 readings
by the embedded network, 2,079 of them right (faces as they are, turned, masked, pasted, of many people; pictures
without). Another network is fitted anew. The deviations that the network states were tried as a third column on an
earlier network and said nothing more (log loss 0.079 nats with them, 0.077 without; here 0.041 without)."""

SURE_SCORE = 6.0
"""The network's log odds are cut off at this, on either side."""


def disagreement(placed: Sequence[np.ndarray]) -> np.ndarray:
    """How far apart several views put the points of the same n crops, (n,).

    The mean distance of a point from its mean over the views, over the size ``sqrt(w h)`` of the mean points' box,
    at least a pixel.

    Args:
        placed: a view's points (n, P, 2) each, all in the pixels of the crops that are asked about.
    """
    points = np.stack(placed)
    middle = points.mean(axis=0)
    x, y = (points[..., axis] - middle[..., axis] for axis in (0, 1))
    apart = np.hypot(x, y).mean(axis=(0, 2))
    size = np.sqrt(np.ptp(middle[..., 0], axis=-1) * np.ptp(middle[..., 1], axis=-1))
    return np.asarray(apart / np.maximum(size, 1.0))


def evidence(apart: np.ndarray, score: np.ndarray) -> np.ndarray:
    """What the chance depends on, (..., 2): the logarithm of the views' :func:`disagreement` and the log odds of the
    network's mean score, both (...,)."""
    score = np.clip(score.astype(np.float64), 1e-9, 1.0 - 1e-9)
    odds = np.clip(np.log(score / (1.0 - score)), -SURE_SCORE, SURE_SCORE)
    return np.stack([np.log(np.maximum(apart, 1e-6)), odds], axis=-1)


def chance_of_face(seen: np.ndarray) -> np.ndarray:
    """The chance (...,) that crops show a face the right way up, from their :func:`evidence` (..., 2)."""
    return np.asarray(1.0 / (1.0 + np.exp(-(OFFSET + seen @ WEIGHTS))))

"""What is believed of a photo's expression before pose and weights are fitted to its points for the last time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from likeness.fit import ExpressionPrior
from likeness.model.face_model import ARKIT_NAMES, FaceModel
from likeness.model.point_readout import PointReadout

RATE = 8.0
"""Nats per unit of a weight: what does not fit of a person's own shape is not to be made up by small grimaces."""

SEEN_RATE = 3.0
"""Of movements that points show well."""

SEEN = ("eyeBlink", "mouthSmile", "jawOpen", "browDown", "browInnerUp", "browOuterUp")

FAINT_RATE = 20.0
"""Of movements that points on the surface hardly show, or that other things look like: the gaze moves lids."""

FAINT = ("cheek", "noseSneer", "jawForward", "tongueOut", "eyeLook")

SPREAD = 0.5
READ_SPREAD = 0.05
"""Standard deviation of weights about what is read from the points: little, as the fit would explain away what it
knows less well."""

OPPOSITES = (
    ("jawOpen", "mouthClose"),
    ("jawLeft", "jawRight"),
    ("mouthLeft", "mouthRight"),
    *((f"mouthSmile{side}", f"mouthFrown{side}") for side in ("Left", "Right")),
    *((f"eyeBlink{side}", f"eyeWide{side}") for side in ("Left", "Right")),
    *((f"eyeSquint{side}", f"eyeWide{side}") for side in ("Left", "Right")),
    *((f"eyeLookUp{side}", f"eyeLookDown{side}") for side in ("Left", "Right")),
    *((f"eyeLookIn{side}", f"eyeLookOut{side}") for side in ("Left", "Right")),
    *((f"browDown{side}", f"browOuterUp{side}") for side in ("Left", "Right")),
    ("mouthFunnel", "mouthPucker"),
    ("mouthShrugLower", "mouthLowerDownLeft"),
    ("mouthShrugLower", "mouthLowerDownRight"),
)
"""Movements that exclude each other: the one that a first fit finds less of is not looked for."""
TOUCH_MM = 0.2
"""How far apart lips that touch may be, as a standard deviation: a tenth of what single points are off."""


_RATES = np.array(
    [FAINT_RATE if name.startswith(FAINT) else SEEN_RATE if name.startswith(SEEN) else RATE for name in ARKIT_NAMES]
)
_OPPOSITES = [(ARKIT_NAMES.index(one), ARKIT_NAMES.index(other)) for one, other in OPPOSITES]


def expression_prior(
    model: FaceModel, free: np.ndarray, points: np.ndarray, readout: PointReadout | None
) -> ExpressionPrior:
    """The prior of a photo's weights.

    Args:
        model: the face model; if its expressions are not ARKit's, the prior is :meth:`ExpressionPrior.default`.
        free: (52,) weights of a first fit.
        points: (P, 2) pixels.
        readout: what can be read from them; None: nothing.
    """
    if model.expression_names != ARKIT_NAMES:
        return ExpressionPrior.default(model)
    mean, upper = np.zeros(len(free)), np.ones(len(free))
    rate, spread = _RATES.copy(), np.full(len(free), SPREAD)
    likely = np.array(free, np.float64)
    if readout is not None:
        rows = [ARKIT_NAMES.index(name) for name in readout.names]
        mean[rows] = likely[rows] = readout.weights(points)
        rate[rows], spread[rows] = 0.0, READ_SPREAD
    for first, second in _OPPOSITES:
        less = first if likely[first] < likely[second] else second
        upper[less] = mean[less] = likely[less] = 0.0
    return ExpressionPrior(mean, np.diag(spread**-2.0), rate, np.zeros(len(free)), upper)


def with_lips_closed(prior: ExpressionPrior, parting: np.ndarray, closed: np.ndarray) -> ExpressionPrior:
    """The prior where lips are seen to touch: together, weights leave them at their place at rest.

    Single points are not that sure: by them alone many faint weights add up to lips that are ajar.

    Args:
        prior: of a photo's weights (E,).
        parting: (M, E) mm by which each weight parts pairs of points of the upper and the lower lip.
        closed: (M,) which pairs touch.
    """
    if not closed.any():
        return prior
    apart = parting[closed].mean(0) * (prior.upper > 0)
    seen = np.outer(apart, apart) / TOUCH_MM**2
    # ½ (apart · e)² / TOUCH_MM², about the prior's mean
    return replace(prior, precision=prior.precision + seen, rate=prior.rate + seen @ prior.mean)

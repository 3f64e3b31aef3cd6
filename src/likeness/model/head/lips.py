"""Lips that are closed at rest: many heads of a linear model keep a slit of a fraction of a millimetre."""

from __future__ import annotations

import numpy as np

from likeness.mesh.laplacians import edges_of
from likeness.model.face_model import FaceModel
from likeness.model.head.anatomy import Anatomy

TOUCH_MM = 0.8
"""How far closed lips lie into each other."""

LOWER_LIP = 0.45
"""Lips that ``jawOpen`` lowers by this share of the most are the lower one's."""

STEP_MM = 1.0
"""How densely the slit is measured from corner to corner."""

WIDTH = 0.95
"""Up to where, of the lips' width, the slit is looked for: both lips are one in the corners."""

FADE_MM = 7.0
"""How far above and below the slit skin comes along."""


def closed_lips(model: FaceModel, anatomy: Anatomy, rest: np.ndarray) -> np.ndarray:
    """(V, 3) mm that close the lips of a head (V, 3) at rest where they are open, half by either lip."""
    lips = model.topology.regions["lips"]
    drop = -model.expression_basis[model.expression_names.index("jawOpen"), :, 1].astype(np.float64)
    mobile = (lips | anatomy.cavity) & (model.mean[:, 2] > model.mean[lips, 2].min())
    is_lower = drop > LOWER_LIP * drop[lips].max()
    # In the corners both lips hardly move apart: what lies below the corners' height is the lower one's.
    edges = edges_of(model.topology.triangles, len(rest))
    edges = edges[mobile[edges].all(1)]
    lower, upper = edges[is_lower[edges].all(1)], edges[~is_lower[edges].any(1)]
    half = WIDTH * float(np.ptp(rest[lips, 0])) / 2
    places = float(rest[lips, 0].mean()) + np.arange(-half, half + STEP_MM, STEP_MM)
    above = np.array([-_highest(rest * [1, -1, 1], upper, place) for place in places])
    below = np.array([_highest(rest, lower, place) for place in places])
    found = np.isfinite(above) & np.isfinite(below)
    if not found.any():
        return np.zeros_like(rest)
    places, above, below = places[found], above[found], below[found]
    across = np.interp(rest[:, 0], places, np.maximum(above - below + TOUCH_MM, 0), left=0.0, right=0.0)
    seam = np.interp(rest[:, 0], places, (above + below) / 2)
    away = np.abs(rest[:, 1] - seam) / FADE_MM
    near = anatomy.skin & (rest[:, 2] > rest[lips, 2].min() - 6)
    share = np.where(near, np.clip(1 - away, 0, 1), 0.0)
    share = share * share * (3 - 2 * share)
    moved = np.zeros_like(rest)
    moved[:, 1] = np.where(is_lower | (rest[:, 1] < seam - 2), 0.5, -0.5) * across * share
    return moved


def _highest(points: np.ndarray, edges: np.ndarray, place: float) -> float:
    """The largest y of edges (E, 2) where they cross the plane at x; -inf where none does."""
    start, end = points[edges[:, 0]], points[edges[:, 1]]
    crosses = (start[:, 0] - place) * (end[:, 0] - place) <= 0
    start, end = start[crosses], end[crosses]
    if not len(start):
        return -np.inf
    share = (place - start[:, 0]) / np.where(end[:, 0] == start[:, 0], 1.0, end[:, 0] - start[:, 0])
    return float((start[:, 1] + share * (end[:, 1] - start[:, 1])).max())

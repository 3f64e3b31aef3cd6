"""Lids that close on a person's eyeballs, and shapes that leave the eyeballs behind the lids."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from likeness.model.head.anatomy import Eyelids
from likeness.model.head.eyes import Eyeball

CLEAR_MM, FRONT_MM = 0.25, 0.6
"""How far in front of the eyeball closed lids are, the lower lid's edge and the upper one's, which lies over it."""

OVERLAP_MM = 0.8
"""How far the upper lid's edge comes below the lower's where lids are closed."""

TAPER_MM = 1.5
"""Towards the corners both become less within this distance."""

AROUND_MM = np.array([-0.8, 0.0, 0.8])
"""The upper lid comes below the lower's edge at these distances to both sides too, since both are polygons."""

SKIN_MM = 0.4
"""How far in front of the eyeball the lids' skin stays."""

LEAST_MM, DEEPEST_MM = 1.0, 4.0
"""How far an eyeball draws back behind closing lids at least (living eyes do too) and at most."""

HALF_WAY = np.linspace(0.1, 1.0, 10)
"""Weights of a blink at which the lids must be in front of the eyeball."""

LID_SHAPES = (
    "eyeBlink",
    "eyeSquint",
    "eyeWide",
    "eyeLookDown",
    "eyeLookIn",
    "eyeLookOut",
    "eyeLookUp",
    "cheekSquint",
)
"""Shapes of one side that move lids."""


def fit_lids(
    rest: np.ndarray, triangles: np.ndarray, eye: Eyeball, lids: Eyelids, shapes: Mapping[str, np.ndarray]
) -> float:
    """Change shapes, in place, so that lids meet on the eyeball at ``eyeBlink`` 1 and skin stays in front of it.

    Args:
        rest: (V, 3) mm.
        triangles: (F, 3) of the skin.
        eye: the eyeball behind these lids.
        lids: which vertices they are.
        shapes: name -> (V, 3) float64 displacements in mm.

    Returns:
        mm by which the eyeball must draw back at ``eyeBlink`` 1: lids move on straight lines, and half-way these
        lines lie behind a sphere's surface.
    """
    blink = shapes[f"eyeBlink{eye.side}"]
    _close(rest, eye, lids, blink)
    for name in LID_SHAPES:
        shape = shapes[name + eye.side]
        closing = name == "eyeBlink"
        rows = np.concatenate([lids.outer, lids.edge]) if closing else lids.outer
        # Skin that lies within the eyeball at rest, in the corners, may stay as deep.
        least = np.where(closing, SKIN_MM, np.minimum(SKIN_MM, _height(eye, rest[rows])))
        shape[rows] += _out(eye, rest[rows] + shape[rows], least)
    return _drawn_back(rest, triangles, eye, lids, blink)


def _height(eye: Eyeball, points: np.ndarray) -> np.ndarray:
    """(N,) mm of points (N, 3) outside the eyeball."""
    return np.linalg.norm(points - eye.center, axis=-1) - eye.radius


def _out(eye: Eyeball, points: np.ndarray, least: np.ndarray) -> np.ndarray:
    """(N, 3): what moves points (N, 3) to at least (N,) mm outside the eyeball."""
    away = points - eye.center
    length = np.linalg.norm(away, axis=1, keepdims=True)
    return np.maximum(eye.radius + least[:, None] - length, 0) * away / length


def _close(rest: np.ndarray, eye: Eyeball, lids: Eyelids, blink: np.ndarray) -> None:
    """Move the edges of both lids to where they meet, and what follows them."""
    goal = {int(row): rest[row] + blink[row] for row in lids.edge}
    for row in lids.lower:
        goal[int(row)] = goal[int(row)] + _out(eye, goal[int(row)][None], np.array([CLEAR_MM]))[0]
    line = np.stack([goal[int(row)] for row in lids.lower]) - eye.center
    order = np.argsort(line[:, 0])
    across, lift = line[order, 0], np.arctan2(line[order, 1], line[order, 2])
    for row in lids.upper:
        x = float(np.clip(goal[int(row)][0] - eye.center[0], across[0], across[-1]))
        taper = np.clip(min(x - across[0], across[-1] - x) / TAPER_MM, 0.5, 1)
        front = CLEAR_MM + taper * (FRONT_MM - CLEAR_MM)
        angle = np.interp(x + AROUND_MM, across, lift).min() - taper * OVERLAP_MM / eye.radius
        deep = np.sqrt(max((eye.radius + front) ** 2 - x * x, 1.0))
        goal[int(row)] = eye.center + np.array([x, deep * np.sin(angle), deep * np.cos(angle)])
    change = np.stack([goal[int(row)] - rest[row] - blink[row] for row in lids.edge])
    blink[lids.moved] += lids.follow @ change


def _drawn_back(rest: np.ndarray, triangles: np.ndarray, eye: Eyeball, lids: Eyelids, blink: np.ndarray) -> float:
    """The least that takes the eyeball behind the lids' skin, corners, edges and middles of its triangles, at every
    weight of a blink."""
    is_lid = np.zeros(len(rest), bool)
    is_lid[lids.outer] = True
    inside = triangles[is_lid[triangles].all(1)]
    mixes = np.concatenate([np.eye(3), (1 - np.eye(3)) / 2, np.full((1, 3), 1 / 3)])
    start, move = (np.einsum("km,fmc->fkc", mixes, values[inside]).reshape(-1, 3) for values in (rest, blink))
    start = start - eye.center
    touched = np.linalg.norm(start, axis=1) - eye.radius > 0.0
    start, move = start[touched], move[touched]
    for back in np.arange(LEAST_MM, DEEPEST_MM, 0.1):
        placed = start + HALF_WAY[:, None, None] * (move + [0.0, 0.0, back])
        if (np.linalg.norm(placed, axis=2) > eye.radius - 0.02).all():
            return float(back)
    return DEEPEST_MM

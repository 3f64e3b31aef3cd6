"""Lids that close on a person's eyeballs, and shapes that leave the eyeballs behind the lids."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from likeness.geometry.rotation import rotation_from_vector
from likeness.model.head.anatomy import Eyelids
from likeness.model.head.eyes import GAZE, Eyeball, gaze_turn, pupil_rim

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

BESIDE_MM, ALONG_MM = 0.8, 7.0
"""How far lids stay off the pupil of an eye that looks elsewhere, and over which length of a lid they make way."""

WIDEST_MM = 5.5
"""How far they make way at most."""

SQUINTS = ("eyeSquint", "cheekSquint")
"""Shapes that close lids too, but not by themselves: with a blink they add up."""

UNDER_MM, OVER_MM = 0.1, 0.25
"""Where both act: how far in front of the eyeball the lower lid's edge is, and how far in front of the lower lid's
skin the upper lid's edge."""

FADE_MM = 5.0
"""Within this of the corners, where lids meet anyway, both become less."""

THICKEST_MM = 3.0
"""How far a squint lifts the upper lid's edge off the eyeball at most."""

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
    for way in GAZE:
        _uncover(rest, eye, lids, gaze_turn(eye.side, way), shapes[f"eyeLook{way}{eye.side}"])
    for name in LID_SHAPES:
        shape = shapes[name + eye.side]
        closing = name == "eyeBlink"
        rows = np.concatenate([lids.outer, lids.edge]) if closing else lids.outer
        # Skin that lies within the eyeball at rest, in the corners, may stay as deep.
        least = np.where(closing, SKIN_MM, np.minimum(SKIN_MM, _height(eye, rest[rows])))
        shape[rows] += _out(eye, rest[rows] + shape[rows], least)
    lower = _lower_skin(rest, triangles, lids)
    squints = [shapes[name + eye.side] for name in SQUINTS]
    for shape in squints:
        _draw_under(rest, eye, lids, blink, shape)
    for number, shape in enumerate(squints):
        others = sum((one for one in squints[:number]), np.zeros_like(blink))
        _lift_over(rest, lower, eye, lids, (blink, blink + others), shape)
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


def _uncover(rest: np.ndarray, eye: Eyeball, lids: Eyelids, turn: np.ndarray, shape: np.ndarray) -> None:
    """Change a gaze, in place, so that lids do not cut the pupil of the eye that turns (3, 3) with it: their edges
    turn about the eye's middle as far as they must."""
    x, y, z = (pupil_rim(eye) @ turn.T).T
    lift = np.arctan2(y, z)
    change = np.zeros((len(lids.edge), 3))
    place = {int(row): number for number, row in enumerate(lids.edge)}
    inwards = _from_corners(rest, lids)
    for rows, upwards in ((lids.upper, 1.0), (lids.lower[1:-1], -1.0)):
        points = rest[rows] + shape[rows] - eye.center
        order = np.argsort(points[:, 0])
        lid = np.arctan2(points[order, 1], points[order, 2])
        missing = upwards * (lift - np.interp(x, points[order, 0], lid)) + BESIDE_MM / eye.radius
        near = np.clip(1.4 * (1 - np.abs(points[:, :1] - x) / ALONG_MM), 0, 1)
        wanted = (missing * near * near * (3 - 2 * near)).max(1)
        numbers = np.array([place[int(row)] for row in rows])
        wanted = inwards[numbers] * np.clip(wanted, 0.0, WIDEST_MM / eye.radius)
        for number, point, angle in zip(numbers, points, wanted, strict=True):
            raised = rotation_from_vector(np.array([-upwards * angle, 0.0, 0.0]))
            change[number] = raised @ point - point
    shape[lids.moved] += lids.follow @ change


def _draw_under(rest: np.ndarray, eye: Eyeball, lids: Eyelids, closed: np.ndarray, shape: np.ndarray) -> None:
    """Change a squint, in place, so that the lower lid's edge does all of the closing, next to the eyeball where the
    lids are closed already, and the upper lid's edge stays where it is.

    Args:
        rest: (V, 3) mm.
        eye, lids: the eye.
        closed: (V, 3) displacements that close the lids.
        shape: (V, 3) the squint's.
    """
    place = {int(row): number for number, row in enumerate(lids.edge)}
    change = np.zeros((len(lids.edge), 3))
    order = lids.upper[np.argsort(rest[lids.upper, 0])]
    inwards = _from_corners(rest, lids)
    for row in lids.lower[1:-1]:
        drop = np.interp(rest[row, 0], rest[order, 0], -shape[order, 1])
        new = inwards[place[int(row)]] * (shape[row] + [0.0, max(float(drop), 0.0), 0.0])
        away = rest[row] + closed[row] + new - eye.center
        new += away * min((eye.radius + UNDER_MM) / np.linalg.norm(away) - 1, 0.0)
        change[place[int(row)]] = new - shape[row]
    for row in lids.upper:
        change[place[int(row)]] = -shape[row]
    shape[lids.moved] += lids.follow @ change


def _lift_over(
    rest: np.ndarray,
    lower: np.ndarray,
    eye: Eyeball,
    lids: Eyelids,
    closed: tuple[np.ndarray, ...],
    shape: np.ndarray,
) -> None:
    """Change a squint, in place, so that it lifts the upper lid's edge off the eyeball as far as the lower lid's skin
    comes up under it where the lids are closed in any of some ways, (V, 3) displacements each; ``lower`` are the
    triangles (F, 3) of the lower lid's skin."""
    place = {int(row): number for number, row in enumerate(lids.edge)}
    lift = np.zeros((len(lids.edge), 3))
    inwards = _from_corners(rest, lids)
    for way in closed:
        placed = rest + way + shape - eye.center
        for row in lids.upper:
            far, number = np.linalg.norm(placed[row]), place[int(row)]
            wanted = min(max(_farthest(placed[lower], placed[row] / far) + OVER_MM - far, 0.0), THICKEST_MM)
            if inwards[number] * wanted > np.linalg.norm(lift[number]):
                lift[number] = inwards[number] * wanted * placed[row] / far
    shape[lids.moved] += lids.follow @ lift


def _from_corners(rest: np.ndarray, lids: Eyelids) -> np.ndarray:
    """(E,) 0 in the corners of the lids' edge, 1 from :data:`FADE_MM` on."""
    corners = rest[[lids.edge[0], lids.edge[lids.inner]]]
    apart = np.linalg.norm(rest[lids.edge][:, None] - corners, axis=2).min(1)
    return np.asarray(np.clip(apart / FADE_MM, 0.0, 1.0))


def _lower_skin(rest: np.ndarray, triangles: np.ndarray, lids: Eyelids) -> np.ndarray:
    """The triangles (F, 3) of the lids' skin below the line between their corners."""
    is_lid = np.zeros(len(rest), bool)
    is_lid[lids.outer] = is_lid[lids.edge] = True
    near = triangles[is_lid[triangles].all(1)]
    middle = rest[near].mean(1)
    ends = rest[[lids.edge[0], lids.edge[lids.inner]]]
    ends = ends[np.argsort(ends[:, 0])]
    return near[middle[:, 1] < np.interp(middle[:, 0], ends[:, 0], ends[:, 1])]


def _farthest(corners: np.ndarray, direction: np.ndarray) -> float:
    """How far from the origin a ray meets triangles (F, 3, 3) at most; 0 where it meets none (Möller and Trumbore,
    Fast, minimum storage ray/triangle intersection, 1997)."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(direction, second)
    volume = (first * normal).sum(1)
    volume = np.where(np.abs(volume) < 1e-9, np.inf, volume)
    u = -(corners[:, 0] * normal).sum(1) / volume
    across = np.cross(-corners[:, 0], first)
    v = across @ direction / volume
    distance = (second * across).sum(1) / volume
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & np.isfinite(volume)
    return float(distance[hit].max(initial=0.0))


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

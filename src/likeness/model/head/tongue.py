"""A tongue that lies behind the lower teeth, and comes out between teeth and lips."""

from __future__ import annotations

import numpy as np

from likeness.images.color import srgb_from_linear
from likeness.mesh import Mesh
from likeness.model.head.mouth import Mouth

PINK = (0.42, 0.13, 0.13)
"""Linear reflectance."""

JAW_SHARE = 0.4
"""How far, of ``jawOpen`` 1, lips and lower teeth make way at ``tongueOut`` 1."""

# From the root to the tip: z from the upper incisors' front and y from the lips' seam of the middle, half its width
# and half its thickness, mm, for a mouth of usual width.
AT_REST = np.array(
    [
        (-64, -21, 15, 9.0),
        (-54, -17, 18, 9.0),
        (-42, -14, 19, 8.5),
        (-30, -12.5, 18, 8.0),
        (-22, -12, 17, 6.5),
        (-16, -11.5, 15, 5.0),
        (-11, -11, 13, 4.0),
        (-7.5, -10.5, 11, 3.2),
    ]
)
OUT = np.array(
    [
        (-64, -21, 15, 9.0),
        (-48, -16, 18, 8.5),
        (-30, -11.5, 18, 6.0),
        (-15, -8.0, 15, 4.0),
        (-2, -7.0, 13.5, 3.0),
        (8, -7.5, 14, 3.0),
        (17, -11, 14.5, 3.6),
        (25, -18, 13, 3.4),
    ]
)

ROUND = 0.72
"""From which share of the way on the tip is rounded."""

STATIONS, AROUND = 16, 14
"""Rings from root to tip, and vertices of each."""

STEPS = ((0, -4.0), (-1, 0.4))
"""How far beyond the first and the last ring the ends are, mm."""

GROOVE = 0.35
"""How deep the furrow along its back is, of half its thickness."""


def tongue_mesh(mouth: Mouth) -> tuple[Mesh, np.ndarray]:
    """The tongue at rest, coloured, and its displacements (N, 3) mm at ``tongueOut`` 1."""
    rest, out = (_placed(_surface(line), mouth) for line in (AT_REST, OUT))
    faces = _faces()
    tip = np.repeat(np.linspace(0.75, 1.0, STATIONS), AROUND)
    colors = np.outer(np.concatenate([[0.75], tip, [1.0]]), PINK)
    return Mesh(rest.astype(np.float32), faces, colors=srgb_from_linear(colors)), out - rest


def _placed(points: np.ndarray, mouth: Mouth) -> np.ndarray:
    return points * mouth.scale + [mouth.middle, mouth.seam, mouth.front]


def _surface(line: np.ndarray) -> np.ndarray:
    """(N, 3) about the seam's middle at the incisors' front: the root's end, rings, the tip."""
    share = 1 - (1 - np.linspace(0, 1, STATIONS)) ** 1.5
    table = np.stack([_smooth(share, column) for column in line.T], axis=1)
    beyond = np.clip((share - ROUND) / (1 - ROUND), 0, 0.985)
    table[:, 2:] *= np.sqrt(1 - beyond**2)[:, None]
    slope = np.gradient(table[:, :2], axis=0)
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    turn = 2 * np.pi * np.arange(AROUND) / AROUND
    furrow = 1 - GROOVE * np.exp(-((np.cos(turn) / 0.35) ** 2)) * (np.sin(turn) > 0)
    high = table[:, 3:4] * np.sin(turn) * furrow
    wide = table[:, 2:3] * np.cos(turn)
    rings = np.stack([wide, table[:, 1:2] + high * slope[:, :1], table[:, :1] - high * slope[:, 1:2]], axis=2)
    ends = [[0.0, table[end, 1] + step * slope[end, 1], table[end, 0] + step * slope[end, 0]] for end, step in STEPS]
    return np.vstack([ends[0], rings.reshape(-1, 3), ends[1]])


def _smooth(share: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Values at shares of the way along a row of equally spaced ones, through all of them (Catmull-Rom)."""
    padded = np.concatenate([[2 * column[0] - column[1]], column, [2 * column[-1] - column[-2]]])
    at = share * (len(column) - 1)
    start = np.minimum(at.astype(int), len(column) - 2)
    t = at - start
    a, b, c, d = (padded[start + k] for k in range(4))
    return np.asarray(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))


def _faces() -> np.ndarray:
    here = np.arange(AROUND)
    after = (here + 1) % AROUND
    last = 1 + AROUND * (STATIONS - 1)
    parts = [np.column_stack([np.zeros(AROUND, int), 1 + after, 1 + here])]
    for ring in range(STATIONS - 1):
        a, b = 1 + ring * AROUND, 1 + (ring + 1) * AROUND
        parts += [np.column_stack([a + here, a + after, b + after]), np.column_stack([a + here, b + after, b + here])]
    parts.append(np.column_stack([last + here, last + after, np.full(AROUND, last + AROUND)]))
    return np.concatenate(parts).astype(np.int32)

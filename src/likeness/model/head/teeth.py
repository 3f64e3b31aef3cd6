"""Upper and lower teeth, one by one along their arches, in their gums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from likeness.images.color import srgb_from_linear
from likeness.mesh import Mesh
from likeness.model.head.mouth import Mouth

IVORY, GUM = (0.72, 0.66, 0.54), (0.36, 0.11, 0.10)
"""Linear reflectance."""

SHADED, SHADED_MM = 0.75, 24.0
"""How much darker teeth are far back, where lips and cheeks keep light away, and how far behind the incisors that
is."""

AROUND = 10
"""Vertices around a tooth, and around the gums."""


class _Tooth(NamedTuple):
    """Width, height of the crown, half the depth at the gum and at the edge, and how far below the lips' seam the
    edge is, mm."""

    width: float
    height: float
    base: float
    edge: float
    drop: float


@dataclass(frozen=True)
class _Arch:
    """Half an ellipse: half its width and its depth, mm, how far behind the upper incisors' front it begins, the
    teeth of one side from the middle on, and whether they point down."""

    half_width: float
    depth: float
    behind: float
    teeth: tuple[_Tooth, ...]
    is_upper: bool


UPPER = _Arch(
    29.0,
    42.0,
    0.0,
    (
        _Tooth(8.5, 10.3, 3.0, 1.0, 3.6),
        _Tooth(6.6, 9.0, 2.8, 1.0, 3.0),
        _Tooth(7.6, 10.0, 3.4, 1.3, 3.2),
        _Tooth(7.0, 8.5, 4.0, 3.0, 1.8),
        _Tooth(6.8, 8.0, 4.2, 3.3, 1.5),
        _Tooth(10.0, 7.5, 5.0, 4.3, 1.2),
        _Tooth(9.0, 7.0, 5.0, 4.3, 1.0),
    ),
    is_upper=True,
)
LOWER = _Arch(
    27.0,
    40.0,
    2.3,
    (
        _Tooth(5.3, 8.8, 2.6, 0.8, 0.0),
        _Tooth(5.9, 9.0, 2.6, 0.8, 0.0),
        _Tooth(6.8, 10.0, 3.0, 1.0, 0.2),
        _Tooth(7.0, 8.5, 3.6, 2.6, 2.0),
        _Tooth(7.0, 8.0, 3.8, 3.0, 2.0),
        _Tooth(10.6, 7.5, 4.8, 4.2, 1.8),
        _Tooth(9.8, 7.0, 4.8, 4.2, 1.8),
    ),
    is_upper=False,
)
"""Usual sizes of an adult's teeth, for a mouth of usual width."""


def arch_mesh(mouth: Mouth, arch: _Arch) -> Mesh:
    """The teeth of one jaw with their gums, coloured; groups are called ``teeth`` and ``gums``."""
    parts = [_tooth(arch, number, side) for side in (1.0, -1.0) for number in range(len(arch.teeth))]
    parts.append(_gums(arch))
    counts = np.cumsum([0, *(len(points) for points, _ in parts)])
    points = np.concatenate([points for points, _ in parts])
    triangles = np.concatenate([faces + start for (_, faces), start in zip(parts, counts[:-1], strict=True)])
    placed = points * mouth.scale + [mouth.middle, mouth.seam, mouth.front]
    colors = np.where(np.arange(len(points))[:, None] < counts[-2], IVORY, GUM)
    back = np.clip(-points[:, 2:] / SHADED_MM, 0, 1)
    colors = colors * (1 - SHADED * back * (2 - back))
    is_tooth = triangles[:, 0] < counts[-2]
    groups = {"teeth": np.flatnonzero(is_tooth), "gums": np.flatnonzero(~is_tooth)}
    return Mesh(placed.astype(np.float32), triangles.astype(np.int32), colors=srgb_from_linear(colors), groups=groups)


def _along(arch: _Arch, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 2) and outward normals (N, 2), x and z, at distances (N,) mm from the arch's middle, to the left."""
    turn = np.linspace(0, np.pi / 2, 400)
    curve = np.column_stack([arch.half_width * np.sin(turn), arch.depth * (np.cos(turn) - 1)])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    angle = np.interp(distance, length, turn)
    points = np.column_stack([arch.half_width * np.sin(angle), arch.depth * (np.cos(angle) - 1)])
    normal = np.column_stack([np.sin(angle) / arch.half_width, np.cos(angle) / arch.depth])
    return points, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _tooth(arch: _Arch, number: int, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3), about the seam's middle at the incisors' front, and triangles of one tooth."""
    tooth = arch.teeth[number]
    start = sum(before.width for before in arch.teeth[:number])
    (middle,), (out,) = _along(arch, np.array([start + tooth.width / 2]))
    along = np.array([out[1], -out[0]])
    turn = 2 * np.pi * np.arange(AROUND) / AROUND
    # A superellipse: flat sides, round corners.
    c, s = (np.sign(wave) * np.abs(wave) ** 0.6 for wave in (np.cos(turn), np.sin(turn)))
    up = 1.0 if arch.is_upper else -1.0
    rings = []
    for share, width, depth in ((1.15, 0.80, 1.0), (0.7, 0.94, 0.95), (0.25, 0.99, 0.55), (0.0, 0.90, 0.0)):
        half = tooth.edge + depth * (tooth.base - tooth.edge)
        # The front stays in the arch, the back grows: teeth are wedges.
        across = c[:, None] * (0.49 * tooth.width * width) * along + (s[:, None] * half - tooth.base) * out
        height = np.full(AROUND, up * share * tooth.height - tooth.drop)
        flat = middle + across
        rings.append(np.column_stack([side * flat[:, 0], height, flat[:, 1] - arch.behind]))
    tip = rings[-1].mean(0) - [0, up * 0.35, 0]
    faces = _tube(len(rings), AROUND)
    cap = 3 * AROUND + np.arange(AROUND)
    faces = np.concatenate([faces, np.column_stack([cap, np.roll(cap, -1), np.full(AROUND, 4 * AROUND)])])
    return np.vstack([*rings, tip]), faces if up * side > 0 else faces[:, ::-1]


def _gums(arch: _Arch) -> tuple[np.ndarray, np.ndarray]:
    """A tube along the roots of an arch's teeth."""
    total = sum(tooth.width for tooth in arch.teeth)
    distance = np.linspace(0, total, 12)
    ends = np.cumsum([tooth.width for tooth in arch.teeth]) - [tooth.width / 2 for tooth in arch.teeth]
    height = np.interp(
        distance, ends, [tooth.height - (tooth.drop if arch.is_upper else -tooth.drop) for tooth in arch.teeth]
    )
    depth = np.interp(distance, ends, [tooth.base for tooth in arch.teeth])
    points, out = _along(arch, distance)
    points = points - depth[:, None] * out
    sides = [np.column_stack([sign * values[:, :1], values[:, 1:]]) for sign, values in ((-1, points), (1, points))]
    points = np.concatenate([sides[0][:0:-1], sides[1]])
    out = np.concatenate([(out * [-1, 1])[:0:-1], out])
    height, depth = (np.concatenate([values[:0:-1], values]) for values in (height, depth))
    turn = 2 * np.pi * np.arange(AROUND) / AROUND
    up = 1.0 if arch.is_upper else -1.0
    across = (depth[:, None] + 0.5) * np.cos(turn)
    flat = points[:, None] + across[..., None] * out[:, None]
    lift = up * (height[:, None] + 1.2 + 3.0 * np.sin(turn))
    tube = np.stack([flat[..., 0], lift, flat[..., 1] - arch.behind], axis=2)
    caps = np.stack([tube[0].mean(0), tube[-1].mean(0)])
    faces = _tube(len(tube), AROUND)
    first, last = np.arange(AROUND), (len(tube) - 1) * AROUND + np.arange(AROUND)
    end = len(tube) * AROUND
    faces = np.concatenate(
        [
            faces,
            np.column_stack([np.roll(first, -1), first, np.full(AROUND, end)]),
            np.column_stack([last, np.roll(last, -1), np.full(AROUND, end + 1)]),
        ]
    )
    return np.vstack([tube.reshape(-1, 3), caps]), faces if up < 0 else faces[:, ::-1]


def _tube(rings: int, around: int) -> np.ndarray:
    """(F, 3): the sides between rings of vertices, one after the other."""
    here = np.arange(around)
    after = (here + 1) % around
    parts = []
    for ring in range(rings - 1):
        a, b = ring * around, (ring + 1) * around
        parts += [np.column_stack([a + here, a + after, b + after]), np.column_stack([a + here, b + after, b + here])]
    return np.concatenate(parts)

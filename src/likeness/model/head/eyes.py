"""Eyeballs: spheres that fit a person's lids, with round irises and pupils that follow gaze."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.geometry.rotation import rotation_from_vector
from likeness.images.color import srgb_from_linear
from likeness.mesh import Mesh
from likeness.model.head.anatomy import Eyelids, sphere_through

GAZE = {"Down": np.radians(25.0), "In": np.radians(25.0), "Out": np.radians(30.0), "Up": np.radians(20.0)}
"""How far an eye turns at weight 1 of a shape ``eyeLook...``: as far as the model's lids go with it, up and down."""

IRIS_MM, PUPIL_MM = 5.9, 2.1
"""Radii of iris and pupil; adults' irises hardly differ."""

LIMBUS = 0.5
"""How much darker the iris' outer edge is than the iris, linear reflectance."""

PUPIL, SCLERA = (0.012, 0.012, 0.012), (0.62, 0.56, 0.52)
"""Linear reflectance of the pupil and of the white."""

CORNER, CORNER_MM = 0.45, (6.5, 11.0)
"""How much darker the white is where lids shade it, and from where to where, mm from the gaze."""

SEGMENTS = 40
"""Vertices around the eyeball."""

LID_TRUST = 3.0
"""How much a vertex of the lids' edge counts against one of the model's eyeball where the sphere is fitted."""


@dataclass(frozen=True)
class Eyeball:
    """One eye.

    Args:
        side: ``Left`` or ``Right``.
        center: (3,) mm.
        radius: mm.
    """

    side: str
    center: np.ndarray
    radius: float


def fitted_eyeball(vertices: np.ndarray, lids: Eyelids) -> Eyeball:
    """The sphere that a person's lids (V, 3) touch as those of the mean head do, and that is close to the model's
    eyeball, which identity moves and stretches by itself. Gauss-Newton on four numbers."""
    points = vertices.astype(np.float64)
    center, radius = sphere_through(points[lids.eyeball])
    rows = np.concatenate([lids.eyeball, lids.edge])
    wanted = np.concatenate([np.zeros(len(lids.eyeball)), lids.contact])
    trust = np.concatenate([np.ones(len(lids.eyeball)), np.full(len(lids.edge), LID_TRUST)])
    for _ in range(5):
        away = points[rows] - center
        length = np.linalg.norm(away, axis=1)
        slope = np.column_stack([-away / length[:, None], -np.ones(len(rows))])
        step = np.linalg.lstsq(slope * trust[:, None], -(length - radius - wanted) * trust, rcond=None)[0]
        center, radius = center + step[:3], radius + float(step[3])
    return Eyeball(lids.side, center, radius)


def eyeball_mesh(eye: Eyeball, iris: np.ndarray) -> Mesh:
    """A sphere about the gaze (z), coloured; denser in front.

    Args:
        eye: where it is.
        iris: (3,) linear reflectance.
    """
    polar = _rings(eye.radius)
    around = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    sine, cosine = np.sin(polar), np.cos(polar)
    ring = np.stack(np.broadcast_arrays(np.cos(around), np.sin(around)), axis=1)
    sides = np.concatenate(
        [sine[:, None, None] * ring, np.broadcast_to(cosine[:, None, None], (len(polar), SEGMENTS, 1))], axis=2
    )
    unit = np.vstack([[0, 0, 1], sides.reshape(-1, 3), [0, 0, -1]])
    colors = _colors(unit, eye.radius, np.asarray(iris, np.float64))
    vertices = (eye.center + eye.radius * unit).astype(np.float32)
    triangles = _sphere_triangles(len(polar))
    reach = np.where(unit[:, 2] > 0, eye.radius * np.hypot(unit[:, 0], unit[:, 1]), np.inf)[triangles].max(1)
    groups = {
        "pupil": np.flatnonzero(reach < PUPIL_MM),
        "iris": np.flatnonzero((reach >= PUPIL_MM) & (reach < IRIS_MM)),
        "white": np.flatnonzero(reach >= IRIS_MM),
    }
    return Mesh(vertices, triangles, colors=srgb_from_linear(colors), groups=groups)


def _rings(radius: float) -> np.ndarray:
    """Angles from the gaze of the sphere's rings; two close ones where a colour ends."""
    edges = [PUPIL_MM - 0.15, PUPIL_MM + 0.1, 3.2, 4.3, IRIS_MM - 0.7, IRIS_MM - 0.15, IRIS_MM + 0.25]
    front = np.arcsin(np.clip(np.array([1.2, *edges]) / radius, 0, 0.95))
    behind = np.linspace(front[-1], np.pi, 9)[1:-1]
    return np.concatenate([front, behind])


def _sphere_triangles(rings: int) -> np.ndarray:
    """(F, 3): a pole, rings of :data:`SEGMENTS`, the other pole."""
    here = np.arange(SEGMENTS)
    after = (here + 1) % SEGMENTS
    first, last = np.zeros(SEGMENTS, int), 1 + SEGMENTS * (rings - 1)
    parts = [np.column_stack([first, 1 + here, 1 + after])]
    for ring in range(rings - 1):
        a, b = 1 + ring * SEGMENTS, 1 + (ring + 1) * SEGMENTS
        parts += [np.column_stack([a + here, b + here, b + after]), np.column_stack([a + here, b + after, a + after])]
    parts.append(np.column_stack([last + here, np.full(SEGMENTS, last + SEGMENTS), last + after]))
    return np.concatenate(parts).astype(np.int32)


def _colors(unit: np.ndarray, radius: float, iris: np.ndarray) -> np.ndarray:
    """(N, 3) linear reflectance at directions (N, 3)."""
    reach = radius * np.hypot(unit[:, 0], unit[:, 1])
    reach = np.where(unit[:, 2] > 0, reach, np.inf)[:, None]
    turn = np.arctan2(unit[:, 1], unit[:, 0])[:, None]
    fibres = 1 + 0.12 * np.sin(7 * turn) * np.sin(13 * turn + 1) + 0.1 * np.sin(24 * turn)
    inner = 1.35 - 0.35 * np.clip((reach - PUPIL_MM) / (IRIS_MM - PUPIL_MM), 0, 1)
    edge = 1 - LIMBUS * np.clip((reach - IRIS_MM + 1.6) / 1.4, 0, 1)
    color = np.where(reach < PUPIL_MM, PUPIL, iris * fibres * inner * edge)
    away = np.clip((reach - CORNER_MM[0]) / (CORNER_MM[1] - CORNER_MM[0]), 0, 1)
    white = np.asarray(SCLERA) * (1 - CORNER * away * away * (3 - 2 * away))
    return np.clip(np.where(reach < IRIS_MM, color, white), 0, 1)


def gaze_shapes(eye: Eyeball, vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Displacements (N, 3) of an eyeball's vertices for its four ``eyeLook...`` shapes."""
    local = vertices.astype(np.float64) - eye.center
    return {
        f"eyeLook{way}{eye.side}": (local @ gaze_turn(eye.side, way).T - local).astype(np.float32) for way in GAZE
    }


def gaze_turn(side: str, way: str) -> np.ndarray:
    """(3, 3) how the eye of a side is turned at weight 1 of ``eyeLook`` in a way of :data:`GAZE`."""
    outward = 1.0 if side == "Left" else -1.0
    axis = {"Down": (1, 0, 0), "Up": (-1, 0, 0), "Out": (0, outward, 0), "In": (0, -outward, 0)}[way]
    return rotation_from_vector(GAZE[way] * np.array(axis, np.float64))


def pupil_rim(eye: Eyeball) -> np.ndarray:
    """(16, 3) mm: the pupil's rim about the eye's middle, where it looks straight ahead."""
    turn = 2 * np.pi * np.arange(16) / 16
    away = np.sqrt(max(eye.radius**2 - PUPIL_MM**2, 1.0))
    return np.column_stack([PUPIL_MM * np.cos(turn), PUPIL_MM * np.sin(turn), np.full(16, away)])

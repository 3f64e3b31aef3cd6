"""Which vertices of the face model are lids, mouth and neck, and how what is next to them follows them.

All of it is read off the model's regions and its mean, once per model; nothing is known by number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from likeness.geometry.landmarks import JAW_COUNT, MOUTH_CORNERS
from likeness.mesh.laplacians import edges_of, grown
from likeness.model.face_model import ARKIT_NAMES, FaceModel

LID_RINGS = 6
"""How many rings of vertices around a lid's edge are moved with it."""

CORNER_MM = 0.8
"""How far behind and between the mouth's corners lips are no longer seen."""

SOCKET_MM = 25.0
"""How far from an eyeball's middle the skin behind its lids lies at most."""


@dataclass(frozen=True, eq=False)
class Eyelids:
    """The lids of one eye.

    Args:
        side: ``Left`` or ``Right``, the subject's, as shapes' names end.
        eyeball: (N,) vertices of the model's own eyeball.
        edge: (E,) vertices of the lids' edge, where they touch the eyeball: from the outer corner over the upper lid
            to the inner corner, and back along the lower lid.
        inner: which of ``edge`` is the inner corner; the outer is the first.
        contact: (E,) mm: how far outside the eyeball the edge is on the mean head.
        outer: (O,) vertices of the lids' skin around the edge, without it.
        moved: (M,) vertices that follow the edge, among them ``edge``.
        follow: (M, E): how they follow it.
    """

    side: str
    eyeball: np.ndarray
    edge: np.ndarray
    inner: int
    contact: np.ndarray
    outer: np.ndarray
    moved: np.ndarray
    follow: np.ndarray

    @property
    def upper(self) -> np.ndarray:
        """Vertices of the upper lid's edge without the corners."""
        return self.edge[1 : self.inner]

    @property
    def lower(self) -> np.ndarray:
        """Vertices of the lower lid's edge with both corners, from the inner to the outer."""
        return np.append(self.edge[self.inner :], self.edge[0])


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A face model as the whole head needs it.

    Args:
        skin: (V,) bool, the connected piece that has the face, with the mouth's inside.
        cavity: (V,) bool, the mouth's inside without the tongue, with what of the lips is behind its corners.
        lids: of the left and of the right eye.
    """

    skin: np.ndarray
    cavity: np.ndarray
    lids: tuple[Eyelids, Eyelids]


def has_whole_head(model: FaceModel) -> bool:
    """Whether a model knows what a whole head is built around: eyeballs, mouth, lips, neck, landmarks, ARKit's
    shapes."""
    known = model.topology.regions
    regions = ("face", "skin", "eyes", "mouth", "lips", "neck", "ears")
    if model.expression_names != ARKIT_NAMES or model.topology.landmarks is None:
        return False
    return all(name in known and bool(known[name].any()) for name in regions)


@lru_cache(maxsize=2)
def anatomy_of(model: FaceModel) -> Anatomy:
    """The anatomy of a model, worked out once.

    Raises:
        ValueError: the model does not know enough (:func:`has_whole_head`).
    """
    if not has_whole_head(model):
        raise ValueError(f"expected a face model with eyes, mouth and ARKit's shapes, {model.name!r} has not all")
    regions = model.topology.regions
    skin = _piece(model, int(np.flatnonzero(regions["face"])[0]))
    left, right = (_eyelids(model, skin, side, sign) for side, sign in (("Left", 1.0), ("Right", -1.0)))
    return Anatomy(skin, skin & (regions["mouth"] | _behind_corners(model)), (left, right))


def _behind_corners(model: FaceModel) -> np.ndarray:
    """(V,) bool: what of the lips is behind the mouth's corners."""
    points = model.landmark_map.gather(model.mean)
    corners = points[[corner - JAW_COUNT for corner in MOUTH_CORNERS]]
    inward = np.abs(model.mean[:, 0]) < np.abs(corners[:, 0]).mean() - CORNER_MM
    return model.topology.regions["lips"] & (model.mean[:, 2] < corners[:, 2].mean() - CORNER_MM) & inward


def _piece(model: FaceModel, seed: int) -> np.ndarray:
    """(V,) bool: the vertices that are connected to one."""
    found = np.zeros(len(model.mean), bool)
    found[seed] = True
    while True:
        more = grown(found, model.topology.triangles)
        if (more == found).all():
            return found
        found = more


def _eyelids(model: FaceModel, skin: np.ndarray, side: str, sign: float) -> Eyelids:
    regions, triangles = model.topology.regions, model.topology.triangles
    mean = model.mean.astype(np.float64)
    eyeball = np.flatnonzero(regions["eyes"] & (sign * mean[:, 0] > 0))
    center, radius = sphere_through(mean[eyeball])
    named = np.any(list(regions.values()), axis=0)
    behind = skin & ~named & (np.linalg.norm(mean - center, axis=1) < SOCKET_MM)
    edge = np.flatnonzero(grown(behind, triangles) & regions["face"])
    place = (mean[edge] - center) * [sign, 1.0, 1.0]
    # From the outer corner over the top: the angle grows where x points outwards.
    start = int(np.argmax(place[:, 0]))
    angle = np.arctan2(place[:, 1], place[:, 0])
    order = np.argsort((angle - angle[start]) % (2 * np.pi))
    edge, place = edge[order], place[order]
    is_edge = np.zeros(len(mean), bool)
    is_edge[edge] = True
    near = grown(is_edge, triangles, LID_RINGS)
    outer = near & regions["face"] & ~is_edge
    follow, moved = _follow(triangles, is_edge, edge, near & skin)
    contact = np.linalg.norm(place, axis=1) - radius
    return Eyelids(side, eyeball, edge, int(np.argmin(place[:, 0])), contact, np.flatnonzero(outer), moved, follow)


def sphere_through(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Center (3,) and radius of the sphere that is closest to points (N, 3), by algebraic least squares."""
    origin = points.mean(0)
    local = points - origin
    found = np.linalg.lstsq(np.column_stack([2 * local, np.ones(len(local))]), (local**2).sum(1), rcond=None)[0]
    return origin + found[:3], float(np.sqrt(found[3] + found[:3] @ found[:3]))


def _follow(
    triangles: np.ndarray, is_edge: np.ndarray, edge: np.ndarray, near: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How vertices near a line follow it: the smoothest displacement (least squared graph Laplacian) that is the
    line's own on it and fades out to nothing.

    Returns:
        follow: (M, E).
        moved: (M,) vertices.
    """
    around = np.flatnonzero(grown(near, triangles, 2))
    index = np.full(len(near), -1)
    index[around] = np.arange(len(around))
    pairs = index[edges_of(triangles, len(near))]
    pairs = pairs[(pairs >= 0).all(1)]
    graph = np.zeros((len(around), len(around)))
    graph[pairs[:, 0], pairs[:, 1]] = graph[pairs[:, 1], pairs[:, 0]] = 1.0
    uniform = np.eye(len(around)) - graph / graph.sum(1, keepdims=True)
    bending = uniform.T @ uniform
    fixed, free = index[edge], index[np.flatnonzero(near & ~is_edge)]
    follow = np.zeros((len(around), len(edge)))
    follow[fixed] = np.eye(len(edge))
    follow[free] = -np.linalg.solve(bending[np.ix_(free, free)], bending[np.ix_(free, fixed)])
    kept = index[np.flatnonzero(near)]
    return follow[kept], around[kept]

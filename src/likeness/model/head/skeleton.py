"""Neck, head, jaw and eyes as joints, and what of the skin they move."""

from __future__ import annotations

import numpy as np

from likeness.mesh.assembly import Joint
from likeness.mesh.laplacians import grown
from likeness.model.face_model import FaceModel
from likeness.model.head.anatomy import Anatomy
from likeness.model.head.closing import border_loops
from likeness.model.head.eyes import Eyeball
from likeness.model.head.jaw import Jaw

ROOT, NECK, HEAD, JAW, EYE_LEFT, EYE_RIGHT = range(6)
"""Numbers of the joints."""

BEND_RINGS = 7
"""How many rings of vertices from the neck's border up bend between neck and head."""


def skeleton(model: FaceModel, rest: np.ndarray, jaw: Jaw, eyes: tuple[Eyeball, Eyeball]) -> tuple[Joint, ...]:
    """The joints ``root``, ``neck``, ``head``, ``jaw``, ``eyeLeft`` and ``eyeRight`` of a head (V, 3) at rest."""
    ring = rest[model.topology.regions["neck"]]
    low = ring[ring[:, 1] < np.quantile(ring[:, 1], 0.2)].mean(0)
    nod = np.array([jaw.place[0], jaw.place[1] - 12.0, jaw.place[2] - 12.0])  # where the skull sits on the spine
    places = (low, low, nod, jaw.place, eyes[0].center, eyes[1].center)
    parents = (None, ROOT, NECK, HEAD, HEAD, HEAD)
    names = ("root", "neck", "head", "jaw", "eyeLeft", "eyeRight")
    return tuple(
        Joint(name, (float(place[0]), float(place[1]), float(place[2])), parent)
        for name, place, parent in zip(names, places, parents, strict=True)
    )


def skin_influence(model: FaceModel, anatomy: Anatomy, jaw_share: np.ndarray) -> np.ndarray:
    """(V, 6) of the skin; (V,) of it follow the jaw."""
    triangles = model.topology.triangles[anatomy.skin[model.topology.triangles].all(1)]
    reached = np.zeros(len(model.mean), bool)
    reached[np.concatenate(border_loops(triangles))] = True
    rings = np.where(reached, 0, BEND_RINGS)
    for ring in range(1, BEND_RINGS):
        more = grown(reached, triangles)
        rings[more & ~reached] = ring
        reached = more
    share = rings / BEND_RINGS
    head = share * share * (3 - 2 * share)
    found = np.zeros((len(model.mean), 6))
    found[:, JAW] = jaw_share * head
    found[:, HEAD] = (1 - jaw_share) * head
    found[:, NECK] = 1 - head
    return found


def follows(count: int, joint: int) -> np.ndarray:
    """(count, 6) of vertices that follow one joint alone."""
    found = np.zeros((count, 6))
    found[:, joint] = 1.0
    return found

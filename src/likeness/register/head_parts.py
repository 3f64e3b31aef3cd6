"""What registration needs to know of a model's topology: how far each vertex may be drawn to a scan, and what is
hidden inside the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.mesh.laplacians import components, grown
from likeness.model.face_model import FaceModel
from likeness.model.topology import Topology

Array = np.ndarray

REGION_WEIGHTS = {"skin": 0.3, "scalp": 0.02, "neck": 0.1, "ears": 0.1, "face": 1.0, "eyes": 0.0, "mouth": 0.0}
"""How much a region counts; of overlapping ones the later. Scalps are under hair, necks turn, ears are torn."""

RIM_WEIGHT = 0.1
"""How much of its region's weight a vertex has where lids and lips turn inwards."""

NEIGHBOURS = 24
"""Vertices of the skin around an eyeball, or another loose part, that it moves with."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A topology seen from the registration.

    Attributes:
        rest: (V, 3) mm, the model's mean, in which nothing is folded.
        triangles: (F, 3) of the whole model.
        weights: (V,) in [0, 1]: how much a vertex is drawn to a scan; 0: it only follows.
        rim: (V,) bool, where lids and lips turn inwards: what is closest there may belong to the other lip.
        face: (V,) bool, where quality is measured.
        body: (V,) bool, the connected piece that has the face.
        eyes: (V,) bool, the eyeballs.
        loose: the other pieces (eyeballs, tongue): their vertices, and the vertices of the body that each follows.
    """

    rest: Array
    triangles: Array
    weights: Array
    rim: Array
    face: Array
    body: Array
    eyes: Array
    loose: tuple[tuple[Array, Array], ...]

    @classmethod
    def of(cls, model: FaceModel) -> Parts:
        """Parts of a model; without named regions, all of its surface is face."""
        topology, count = model.topology, len(model.mean)
        mean = model.mean.astype(np.float64)
        piece = components(topology.triangles, count)
        face = topology.regions.get("face", np.ones(count, bool))
        body = piece == np.bincount(piece[face]).argmax()
        loose = []
        for number in np.unique(piece[~body]):
            vertices = np.flatnonzero(piece == number)
            apart = np.linalg.norm(mean[body][:, None] - mean[vertices].mean(0), axis=-1)[:, 0]
            loose.append((vertices, np.flatnonzero(body)[np.argsort(apart)[:NEIGHBOURS]]))
        eyes = topology.regions.get("eyes", np.zeros(count, bool)) & ~body
        triangles = topology.triangles.astype(np.int64)
        rim = _rim(topology, count)
        weights = _weights(topology, count) * body * np.where(rim, RIM_WEIGHT, 1.0)
        return cls(mean, triangles, weights, rim, face & body, body, eyes, tuple(loose))

    @property
    def face_triangles(self) -> Array:
        """(F,) bool: triangles whose corners are all in the face."""
        return self.face[self.triangles].all(1)


def _weights(topology: Topology, count: int) -> Array:
    if not topology.regions:
        return np.ones(count)
    weights = np.zeros(count)
    for name, value in REGION_WEIGHTS.items():
        if name in topology.regions:
            weights[topology.regions[name]] = value
    return weights


def _rim(topology: Topology, count: int) -> Array:
    if not topology.regions:
        return np.zeros(count, bool)
    outside = np.any([mask for name, mask in topology.regions.items() if name not in ("eyes", "mouth")], axis=0)
    return grown(~outside, topology.triangles) & outside

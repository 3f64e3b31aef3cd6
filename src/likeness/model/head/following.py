"""How a whole head at rest follows its face model's vertices, to first order: what lets pages reshape it by codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.model.head.anatomy import anatomy_of
from likeness.model.head.closing import with_closed_neck
from likeness.model.head.eyes import Eyeball, eyeball_mesh, fitted_eyeball
from likeness.model.head.mouth import Mouth, mouth_of
from likeness.model.head.teeth import LOWER, UPPER, arch_mesh
from likeness.model.head.tongue import tongue_mesh
from likeness.model.head.whole import IRIS, surfaces

STEP_MM = 0.5
"""By how much an eyeball's radius is changed to see what its vertices do."""


def following(model: FaceModel, moves: np.ndarray) -> np.ndarray:
    """Displacements of whole heads' vertices, in the order of their parts joined to one mesh.

    Skin and the mouth's inside move as the model's vertices do; eyeballs, teeth and tongue as these place them, by
    central differences about the mean. What is not linear is left out: lips that are closed anew.

    Args:
        model: that has whole heads (:func:`likeness.model.head.has_whole_head`).
        moves: (D, V, 3) mm, of the model's vertices.

    Returns:
        (D, W, 3) mm, float32.
    """
    anatomy, triangles = anatomy_of(model), model.topology.triangles
    outside, inside = surfaces(model, anatomy)
    rows, cavity = np.unique(triangles[outside]), np.unique(triangles[inside])
    _, source = with_closed_neck(Mesh(model.mean[rows], np.searchsorted(rows, triangles[outside])))
    moves = np.asarray(moves, np.float64)
    skin = moves[:, rows[source]]
    skin[:, -1] = moves[:, rows[source[len(rows) : -1]]].mean(1)  # the middle of the neck's border
    placed = _Placed(model)
    others = np.stack([placed.moved(move) for move in moves]) if len(moves) else np.zeros((0, placed.count, 3))
    return np.concatenate([skin, moves[:, cavity], others], axis=1).astype(np.float32)


class _Placed:
    """Eyes, teeth and tongue of the mean head, and what places them."""

    def __init__(self, model: FaceModel) -> None:
        self._model, self._anatomy = model, anatomy_of(model)
        self._mean = model.mean.astype(np.float64)
        eyes, mouth = self._anchors(self._mean)
        # What a larger radius does to each of an eyeball's vertices: its iris keeps its size.
        self._growth = [(_ball(eye, STEP_MM) - _ball(eye, -STEP_MM)) / (2 * STEP_MM) for eye in eyes]
        parts = [arch_mesh(mouth, UPPER), arch_mesh(mouth, LOWER), tongue_mesh(mouth)[0]]
        points = np.concatenate([part.vertices for part in parts]).astype(np.float64)
        self._from_mouth = (points - _origin(mouth)) / mouth.scale
        self.count = sum(map(len, self._growth)) + len(points)

    def moved(self, move: np.ndarray) -> np.ndarray:
        """(N, 3) mm by which they move, to first order, as the model's vertices move by (V, 3)."""
        (eyes, mouth), (before, mouth_before) = self._anchors(self._mean + move), self._anchors(self._mean - move)
        balls = [
            (new.center - old.center) / 2 + (new.radius - old.radius) / 2 * growth
            for new, old, growth in zip(eyes, before, self._growth, strict=True)
        ]
        shift = (_origin(mouth) - _origin(mouth_before)) / 2
        return np.concatenate([*balls, shift + (mouth.scale - mouth_before.scale) / 2 * self._from_mouth])

    def _anchors(self, points: np.ndarray) -> tuple[list[Eyeball], Mouth]:
        eyes = [fitted_eyeball(points, lids) for lids in self._anatomy.lids]
        return eyes, mouth_of(self._model, self._anatomy, points)


def _ball(eye: Eyeball, more: float) -> np.ndarray:
    return eyeball_mesh(replace(eye, radius=eye.radius + more), np.asarray(IRIS)).vertices.astype(np.float64)


def _origin(mouth: Mouth) -> np.ndarray:
    return np.array([mouth.middle, mouth.seam, mouth.front])

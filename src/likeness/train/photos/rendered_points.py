"""Where surface points lie in rendered faces, and which of them can be seen: exact labels of our own pictures."""

from __future__ import annotations

import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap

SEEN, HIDDEN = 0.15, -0.2
"""Cosines between a surface's normal and the way to the camera: above the first a point is well seen, below the
second it lies on the far side."""

WEIGHTS = (1.0, 0.4, 0.12)
"""Of points that are well seen, edge-on, and on the far side, where the shape alone tells where they are."""


class RenderedPoints:
    """Points of a face model as functions of its codes; only the vertices about them are computed.

    Raises:
        ValueError: the map is not of this model: a vertex that it does not have, or points on no triangle.
    """

    def __init__(self, model: FaceModel, points: PointMap) -> None:
        corners = points.vertices
        if corners.max() >= len(model.mean):
            raise ValueError(f"expected a map of points below vertex {len(model.mean)}, got {corners.max()}")
        area = np.cross(*np.moveaxis(np.diff(model.mean[corners], axis=1), 1, 0))
        if not np.linalg.norm(area, axis=-1).all():
            raise ValueError("expected a map of points on triangles, got one whose corners are on a line")
        self._vertices, self._corner = np.unique(corners, return_inverse=True)
        self._weights = points.weights[..., None].astype(np.float64)
        self._mean = model.mean[self._vertices].reshape(-1).astype(np.float64)
        self._identity, self._expression = (
            np.ascontiguousarray(basis[:, self._vertices]).reshape(len(basis), -1)
            for basis in (model.identity_basis, model.expression_basis)
        )
        self._shape = (*corners.shape, 3)

    def __call__(
        self,
        identity: np.ndarray,
        expression: np.ndarray,
        rotation: np.ndarray,
        translation: np.ndarray,
        camera: Camera,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points (P, 2) in pixels and their weights (P,), by :data:`WEIGHTS`.

        Args:
            identity, expression: (K,) and (52,) of one face.
            rotation, translation: (3, 3) and (3,) mm of ``pixel = K (R x + t)``.
            camera: K.
        """
        flat = self._mean + identity @ self._identity + expression @ self._expression
        corners = (flat.reshape(-1, 3)[self._corner.reshape(-1)] @ rotation.T + translation).reshape(self._shape)
        places = (corners * self._weights).sum(1)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(normals, axis=1) * np.linalg.norm(places, axis=1)
        facing = -(normals * places).sum(1) / np.maximum(length, 1e-12)
        weight = np.select([facing > SEEN, facing > HIDDEN], WEIGHTS[:2], WEIGHTS[2])
        return np.asarray(project(camera, places)), weight

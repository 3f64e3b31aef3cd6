"""The 68 iBUG landmarks on a head: 51 inner points that stay, 17 contour points that march.

Annotators put points 0-16 on the outline that they see, so on the surface these points move when the head turns.
Each has a line of candidates across the cheek or chin; the one that lies farthest outwards in the image is taken.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.geometry.camera import Camera, project

COUNT, JAW_COUNT = 68, 17
INNER_COUNT = COUNT - JAW_COUNT
"""How many points there are, how many of them on the jaw line, and how many inside."""

INNER = range(JAW_COUNT, COUNT)
"""The inner points: brows, nose, eyes, mouth."""

RIGHT_EYE, LEFT_EYE = range(36, 42), range(42, 48)
"""The six points around each eye; right and left are the subject's."""

EYE_CORNERS = (36, 39, 42, 45)
"""Right outer, right inner, left inner, left outer."""

OUTER_EYE_CORNERS = (36, 45)
MOUTH_CORNERS = (48, 54)
"""Right and left."""

CHIN, NOSE_BRIDGE, NOSE_TIP, NOSE_BOTTOM = 8, 27, 30, 33
INNER_LIPS = 60
"""The first of the eight points on the inside of the lips."""

MIRRORED = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), *range(45, 41, -1), 47, 46]
    + [*range(39, 35, -1), 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
)
"""The 68 iBUG points of a mirrored face: ``mirrored = points[MIRRORED]`` with x negated."""


def eye_centers(points: Any) -> tuple[Any, Any]:
    """The means of the six points around the right and around the left eye, of 68 points (68, D)."""
    return points[RIGHT_EYE.start : RIGHT_EYE.stop].mean(0), points[LEFT_EYE.start : LEFT_EYE.stop].mean(0)


def box_of(points: np.ndarray) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the upright box around points (P, 2)."""
    x, y = points[:, 0], points[:, 1]  # column by column: NumPy takes five times as long along an axis of two
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


@dataclass(frozen=True, eq=False)
class LandmarkMap:
    """Where the landmarks lie, as barycentric combinations of three vertices each.

    Args:
        inner_vertices, inner_weights: (51, 3) int and float: points 17-67.
        contour_vertices, contour_weights: (17, C, 3): candidates of points 0-16, from the front backwards.
        outward: (17, 3) unit, model axes: the direction in which each contour point lies farthest out.
    """

    inner_vertices: np.ndarray
    inner_weights: np.ndarray
    contour_vertices: np.ndarray
    contour_weights: np.ndarray
    outward: np.ndarray

    @property
    def candidates(self) -> int:
        """C, the number of candidates of each contour point."""
        return self.contour_vertices.shape[1]

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Values (..., V, 3) at the vertices -> at all 51 + 17 C points, inner ones first: (..., N, 3)."""
        vertices = np.concatenate([self.inner_vertices, self.contour_vertices.reshape(-1, 3)])
        weights = np.concatenate([self.inner_weights, self.contour_weights.reshape(-1, 3)])
        return (values[..., vertices, :] * weights[..., None].astype(values.dtype)).sum(axis=-2)

    def select(self, projected: Any, rotation: Any) -> Any:
        """Choose the contour points that are seen: candidates' projections (..., N, 2) -> the 68 points (..., 68, 2).

        Works for NumPy arrays and torch tensors; gradients flow through the chosen points.

        Args:
            projected: (..., 51 + 17 C, 2) image points of :meth:`gather`'s points.
            rotation: (..., 3, 3) R of ``pixel = K (R x + t)``.
        """
        chosen = self.contour_index(projected, rotation)[..., None]
        lines = self._lines(projected)
        if isinstance(projected, np.ndarray):
            pick = np.take_along_axis
            join = np.concatenate
        else:
            torch = sys.modules["torch"]  # a tensor came in, so it is imported
            pick, join = torch.take_along_dim, torch.concatenate
        contour = [pick(lines[..., axis], chosen, -1) for axis in (0, 1)]
        return join([join(contour, -1), projected[..., :INNER_COUNT, :]], -2)

    def project(self, camera: Camera, points: Any, rotation: Any) -> Any:
        """The 68 points (..., 68, 2) that a camera sees, pixels; arrays and tensors alike.

        Args:
            camera: pinhole.
            points: (..., 51 + 17 C, 3) :meth:`gather`'s points in camera axes.
            rotation: (..., 3, 3) model axes -> camera axes.
        """
        return self.select(project(camera, points), rotation)

    def contour_index(self, projected: Any, rotation: Any) -> Any:
        """Index (..., 17) of the candidate of each contour point that lies farthest outwards in the image."""
        outward = self.outward.astype(np.float32)
        if not isinstance(projected, np.ndarray):
            outward = projected.new_tensor(outward)
        direction = (rotation[..., None, :2, :] * outward[:, None, :]).sum(-1)
        return (self._lines(projected) * direction[..., None, :]).sum(-1).argmax(-1)

    def _lines(self, projected: Any) -> Any:
        """The candidates of the contour points (..., 17, C, 2)."""
        return projected[..., INNER_COUNT:, :].reshape(*projected.shape[:-2], JAW_COUNT, self.candidates, 2)

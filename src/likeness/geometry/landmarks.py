"""The 68 iBUG landmarks on a head: 51 inner points that stay, 17 contour points that march.

Annotators put points 0-16 on the outline that they see, so on the surface these points move when the head turns.
Each has a line of candidates across the cheek or chin; the one that lies farthest outwards in the image is taken.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np


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
        return join([join(contour, -1), projected[..., :51, :]], -2)

    def contour_index(self, projected: Any, rotation: Any) -> Any:
        """Index (..., 17) of the candidate of each contour point that lies farthest outwards in the image."""
        outward = self.outward.astype(np.float32)
        if not isinstance(projected, np.ndarray):
            outward = projected.new_tensor(outward)
        direction = (rotation[..., None, :2, :] * outward[:, None, :]).sum(-1)
        return (self._lines(projected) * direction[..., None, :]).sum(-1).argmax(-1)

    def _lines(self, projected: Any) -> Any:
        """The candidates of the contour points (..., 17, C, 2)."""
        return projected[..., 51:, :].reshape(*projected.shape[:-2], 17, self.candidates, 2)

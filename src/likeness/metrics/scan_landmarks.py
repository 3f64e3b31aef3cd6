"""The seven landmarks that put a mesh onto a scan: names, files, and what the protocols derive from them.

The order is that of the NoW challenge (Sanyal et al., Learning to Regress 3D Face Shape and Expression from an
Image without 3D Supervision, CVPR 2019): in the indices of the 68 iBUG points 36, 39, 42, 45, 33, 48, 54
(its maintainer in github.com/soubhiksanyal/now_evaluation, issue 5: 19, 22, 25, 28, 16, 31, 37 of the 51 inner
points; ``landmarks_7_annotated.png`` there). Right and left are the subject's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.geometry.landmarks import EYE_CORNERS, MOUTH_CORNERS, NOSE_BOTTOM, NOSE_TIP

LANDMARK_NAMES: tuple[str, ...] = (
    "right eye, outer corner",
    "right eye, inner corner",
    "left eye, inner corner",
    "left eye, outer corner",
    "nose bottom",
    "right mouth corner",
    "left mouth corner",
)
"""The seven landmarks in NoW's order."""

_IBUG = (*EYE_CORNERS, NOSE_BOTTOM, *MOUTH_CORNERS)
_COUNTS = "7 (NoW's order), 8 (the nose tip last), 51 or 68 (iBUG)"
_BEHIND = 0.02  # of the outer eye distance; marks on a flat drawing are neither before nor behind
_NOSE_REACH = 0.6  # of the nose's length, around its bottom: holds the tip, not the lips' or the chin's front


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """The seven landmarks of one face, and its nose tip if that was marked too.

    Args:
        points: (7, 3) in the order of :data:`LANDMARK_NAMES`, finite, not on one line.
        nose_tip: (3,) or None.

    Raises:
        ValueError: a shape is wrong, a value is not finite, the points are on one line, or left and right are
            exchanged (seen by the nose's bottom, which would then lie behind the corners of eyes and mouth).
    """

    points: np.ndarray
    nose_tip: np.ndarray | None = None

    def __post_init__(self) -> None:
        points = np.array(self.points, np.float64)
        if points.shape != (7, 3) or not np.isfinite(points).all():
            raise ValueError(f"expected finite landmarks (7, 3), got {_described(points)}")
        spread = np.linalg.svd(points - points.mean(0), compute_uv=False)
        if not spread[1] > 1e-6 * spread[0]:
            raise ValueError("expected seven landmarks that span a face, got points on one line or in one place")
        object.__setattr__(self, "points", points)
        depth = float((points[4] - points[[0, 1, 2, 3, 5, 6]].mean(0)) @ self.axes()[2])
        if depth < -_BEHIND * self.outer_eye_distance:
            raise ValueError(
                "expected the subject's right before the left in a surface that is not mirrored, "
                f"got a nose {-depth:.3g} behind eyes and mouth"
            )
        if self.nose_tip is not None:
            tip = np.array(self.nose_tip, np.float64)
            if tip.shape != (3,) or not np.isfinite(tip).all():
                raise ValueError(f"expected a finite nose tip (3,), got {_described(tip)}")
            object.__setattr__(self, "nose_tip", tip)

    @classmethod
    def from_points(cls, points: Any) -> FaceLandmarks:
        """Out of 7 points in NoW's order, 8 (the nose tip last), or the 51 or 68 iBUG points (N, 3).

        Raises:
            ValueError: another shape, or a value that is not finite.
        """
        array = np.asarray(points, np.float64)
        if array.ndim != 2 or array.shape[1] != 3 or len(array) not in (7, 8, 51, 68):
            raise ValueError(f"expected {_COUNTS} landmarks of three coordinates, got an array {array.shape}")
        if len(array) == 7:
            return cls(array)
        if len(array) == 8:
            return cls(array[:7], array[7])
        first = 68 - len(array)
        return cls(array[np.array(_IBUG) - first], array[NOSE_TIP - first])

    @property
    def nose_bridge(self) -> np.ndarray:
        """(3,) the middle between the inner eye corners."""
        return (self.points[1] + self.points[2]) / 2

    @property
    def outer_eye_distance(self) -> float:
        """Between the outer eye corners."""
        return float(np.linalg.norm(self.points[0] - self.points[3]))

    def disc(self) -> tuple[np.ndarray, float]:
        """Centre (3,) and radius of NoW's face region.

        Centre: nose bottom + 0.3 (nose bridge - nose bottom); radius: 1.4 (outer eye distance + nose length) / 2,
        the nose's length from bridge to bottom. The challenge's code (``compute_mask`` in now_evaluation) takes
        all scan points within that Euclidean distance, so the "disc" is where a ball meets the face.
        """
        bottom = self.points[4]
        up = self.nose_bridge - bottom
        return bottom + 0.3 * up, 1.4 * (self.outer_eye_distance + float(np.linalg.norm(up))) / 2

    def axes(self) -> np.ndarray:
        """(3, 3) rotation from the scan's axes to model axes: x to the subject's left, y up, z out of the face."""
        eyes, mouth = self.points[:4].mean(0), self.points[5:].mean(0)
        left = self.points[2:4].mean(0) - self.points[:2].mean(0)
        left = left / np.linalg.norm(left)
        up = eyes - mouth
        up = up - (up @ left) * left
        up = up / np.linalg.norm(up)
        return np.stack([left, up, np.cross(left, up)])

    def nose_tip_on(self, vertices: np.ndarray) -> np.ndarray:
        """(3,) the marked nose tip; where none was marked, the vertex near the nose bottom farthest out of the face.

        "Near" is 0.6 of the nose's length; the estimate is ours, the protocols have the tip marked by hand.

        Raises:
            ValueError: no vertex is near the nose.
        """
        if self.nose_tip is not None:
            return self.nose_tip
        reach = _NOSE_REACH * float(np.linalg.norm(self.nose_bridge - self.points[4]))
        near = vertices[np.linalg.norm(vertices - self.points[4], axis=1) <= reach]
        if not len(near):
            raise ValueError(f"expected points within {reach:.3g} of the nose bottom, found none")
        return near[(near @ self.axes()[2]).argmax()]

    def scaled(self, factor: float) -> FaceLandmarks:
        """All coordinates times ``factor``."""
        return FaceLandmarks(factor * self.points, None if self.nose_tip is None else factor * self.nose_tip)


def _described(array: np.ndarray) -> str:
    return f"an array {array.shape}" if np.isfinite(array).all() else f"values that are not finite in {array.shape}"

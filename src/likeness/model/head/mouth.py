"""Where the mouth of a person is: what teeth and tongue are placed by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.geometry.landmarks import INNER_LIPS, JAW_COUNT, MOUTH_CORNERS
from likeness.model.face_model import FaceModel
from likeness.model.head.anatomy import Anatomy

USUAL_WIDTH = 47.3
"""mm between the mean head's mouth corners; teeth and tongue are described for it."""

BEHIND_LIP_MM = 1.3
"""How far behind the inside of the lips the upper incisors' front is."""


@dataclass(frozen=True)
class Mouth:
    """A mouth that is closed.

    Args:
        middle: mm, x of the middle.
        seam: mm, y of where the lips meet.
        front: mm, z of the upper incisors' front.
        scale: its width over the usual.
    """

    middle: float
    seam: float
    front: float
    scale: float


def mouth_of(model: FaceModel, anatomy: Anatomy, rest: np.ndarray) -> Mouth:
    """The mouth of a head (V, 3) at rest."""
    points = model.landmark_map.gather(rest)
    corners = points[[corner - JAW_COUNT for corner in MOUTH_CORNERS]]
    first = INNER_LIPS - JAW_COUNT
    upper, lower = points[first + 2], points[first + 6]
    middle, seam = float((upper[0] + lower[0]) / 2), float((upper[1] + lower[1]) / 2)
    place = rest - [middle, seam, 0.0]
    inside = anatomy.cavity & (np.abs(place[:, 0]) < 6) & (np.abs(place[:, 1] - 7.0) < 5)
    inside &= place[:, 2] > upper[2] - 15.0
    front = float(np.median(rest[inside, 2])) if inside.any() else float(upper[2]) - 6.0
    width = float(np.linalg.norm(corners[1] - corners[0]))
    return Mouth(middle, seam, front - BEHIND_LIP_MM, float(np.clip(width / USUAL_WIDTH, 0.8, 1.25)))

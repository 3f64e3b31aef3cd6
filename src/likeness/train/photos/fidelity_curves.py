"""Fidelity while training: hand-placed points of portraits and the true heads of rendered faces, at little cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.datasets.hand_placed import IBUG_POINTS, PROPORTIONS, Portraits, read_portraits
from likeness.geometry.crop import Crop
from likeness.images.photo import load_photo
from likeness.metrics.fidelity_points import front_points, hand_placed_fidelity
from likeness.metrics.fidelity_shapes import shape_fidelity
from likeness.model.face_model import FaceModel
from likeness.reconstruct.proposals import CROP_PER_LANDMARK_BOX

RENDERED_VERTICES = 400
"""Vertices of the face that rendered heads are compared on."""


@dataclass(frozen=True, eq=False)
class HeldOutPortraits:
    """Portraits with hand-placed points, and their photos.

    Args:
        portraits: N people.
        images: N photos (H, W, 3) uint8.
    """

    portraits: Portraits
    images: tuple[np.ndarray, ...]

    @classmethod
    def read(cls, folder: Path) -> HeldOutPortraits:
        """Read a folder of ``NAME.tem`` beside ``NAME.jpg``.

        Raises:
            FileError: it cannot be used.
        """
        portraits = read_portraits(folder)
        return cls(portraits, tuple(load_photo(photo).image for photo in portraits.photos))

    def crops(self, size: int) -> list[Crop]:
        """The crops that the boxes give."""
        boxes, sides = self.portraits.boxes, CROP_PER_LANDMARK_BOX * self.portraits.sizes
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        return [Crop.from_box(center, float(side), size) for center, side in zip(centers, sides, strict=True)]

    def figures(self, landmarks: np.ndarray, identity: np.ndarray, model: FaceModel) -> dict[str, float]:
        """``points_explained``, ``points_error`` (% of the box), ``front_explained`` and ``front_slope``.

        Args:
            landmarks: (N, 68, 2) found, photo pixels.
            identity: (N, K) codes.
            model: whose codes these are.
        """
        columns, truth = list(IBUG_POINTS), self.portraits.points
        found = hand_placed_fidelity(landmarks[:, columns], truth, sizes=self.portraits.sizes)
        front = hand_placed_fidelity(
            front_points(model, identity)[:, columns], truth, in_photo=False, proportions=PROPORTIONS
        )
        figures = {
            "points_explained": found.explained,
            "points_error": found.error_percent,
            "front_explained": front.explained,
            "front_slope": front.slope,
        }
        return {name: value for name, value in figures.items() if value is not None}


def rendered_figures(found: np.ndarray, true: np.ndarray, model: FaceModel) -> dict[str, float]:
    """``rendered_mm`` after a similarity, the same over the mean face's (``rendered_ratio``), ``rendered_spread`` and
    ``rendered_slope``.

    Args:
        found, true: (N, K) codes.
        model: whose codes these are.
    """
    face = np.flatnonzero(model.topology.regions.get("face", np.ones(len(model.mean), bool)))
    face = face[:: max(1, len(face) // RENDERED_VERTICES)]
    basis = model.identity_basis[:, face].reshape(len(model.identity_basis), -1)
    heads = [(codes @ basis).reshape(len(codes), -1, 3) + model.mean[face] for codes in (found, true)]
    measured = shape_fidelity(*heads)
    figures = {
        "rendered_mm": measured.rms,
        "rendered_ratio": measured.ratio,
        "rendered_spread": measured.spread,
        "rendered_slope": measured.slope,
    }
    return {name: value for name, value in figures.items() if value is not None}

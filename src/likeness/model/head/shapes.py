"""A model's expressions as a person's whole head has them: mended where they cut or open what they should not."""

from __future__ import annotations

import numpy as np

from likeness.geometry.landmarks import INNER_LIPS, JAW_COUNT, NOSE_BOTTOM
from likeness.model.face_model import FaceModel
from likeness.model.head.anatomy import Anatomy
from likeness.model.head.tongue import JAW_SHARE

SNEERS = ("noseSneerLeft", "noseSneerRight")


def skin_shapes(model: FaceModel, anatomy: Anatomy) -> dict[str, np.ndarray]:
    """The model's expressions, (V, 3) float64 mm at weight 1, of which may be changed, but for the lids: a sneer
    leaves the mouth as it is, a tongue that comes out parts the lips."""
    shapes = {
        name: basis.astype(np.float64)
        for name, basis in zip(model.expression_names, model.expression_basis, strict=True)
    }
    above = _above_mouth(model, anatomy)
    for name in SNEERS:
        shapes[name] *= above[:, None]
    shapes["tongueOut"] = JAW_SHARE * shapes["jawOpen"]
    return shapes


def _above_mouth(model: FaceModel, anatomy: Anatomy) -> np.ndarray:
    """(V,) 0 at the lips and below, 1 from the nose's bottom up."""
    points = model.landmark_map.gather(model.mean.astype(np.float64))
    top = float(model.mean[model.topology.regions["lips"], 1].max())
    nose = float(points[NOSE_BOTTOM - JAW_COUNT, 1])
    seam = float(points[INNER_LIPS - JAW_COUNT + 2, 1])
    share = np.clip((model.mean[:, 1] - top) / max(nose - top, 1.0), 0, 1)
    still = anatomy.cavity | model.topology.regions["lips"] | (model.mean[:, 1] < seam)
    return np.where(still, 0.0, share * share * (3 - 2 * share))

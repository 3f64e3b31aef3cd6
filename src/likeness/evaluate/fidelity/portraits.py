"""Fidelity on portraits with hand-placed points: what was found in the photo, and the neutral head from the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from likeness.datasets.hand_placed import IBUG_POINTS, PROPORTIONS, Portraits
from likeness.datasets.test_sets import PhotoItem
from likeness.evaluate.predictions import FoundFace, Predictor, predict
from likeness.geometry.landmarks import MOUTH_CORNERS
from likeness.metrics.fidelity_points import HandPlacedFidelity, front_points, hand_placed_fidelity
from likeness.model.face_model import FaceModel
from likeness.progress import Steps

LIP_MIDDLES = (62, 66)
"""Of the inside of the upper and the lower lip."""

NEUTRAL, SMILE = "-neutral", "-smile"


@dataclass(frozen=True)
class PortraitFidelity:
    """What portraits say of a network.

    Args:
        found: the points found in the neutral photos.
        front: the neutral heads of the neutral photos, seen from the front.
        mean_face: the mean head from the front, the same for everyone.
        front_of_smile: those of the same people's smiling photos, where there are any.
        rank1_across: share of people whose smiling photo's neutral head is nearest to that of their neutral photo
            (RMS over the face), and the other way round, where there are smiling photos.
        lip_gap_percent: distance of the inner lips' middles on the neutral photos, % of the mouth's width, as found.
        true_lip_gap_percent: the same as placed by hand.
        weight_sum: of the expression weights on neutral photos, mean over people.
    """

    found: HandPlacedFidelity
    front: HandPlacedFidelity
    mean_face: HandPlacedFidelity
    front_of_smile: HandPlacedFidelity | None
    rank1_across: float | None
    lip_gap_percent: float
    true_lip_gap_percent: float
    weight_sum: float

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        parts = {name: None if value is None else value.to_dict() for name, value in self._compared.items()}
        return {**{key: value for key, value in vars(self).items() if key not in parts}, **parts}

    @property
    def _compared(self) -> dict[str, HandPlacedFidelity | None]:
        return {
            "found": self.found,
            "front": self.front,
            "mean_face": self.mean_face,
            "front_of_smile": self.front_of_smile,
        }


def measure_portraits(portraits: Portraits, predictor: Predictor, steps: Steps | None = None) -> PortraitFidelity:
    """Reconstruct portraits and compare with their hand-placed points; faces are found by the program itself.

    Raises:
        ValueError: a face was not found.
    """
    smiling = smiling_photos(portraits.photos)
    neutral_faces = _faces(portraits.photos, predictor, steps)
    smiling_faces = _faces(smiling, predictor, steps) if len(smiling) == len(portraits.photos) else None
    return portrait_fidelity(portraits, predictor.model, neutral_faces, smiling_faces)


def smiling_photos(neutral: Sequence[Path]) -> list[Path]:
    """The smiling photos (NAME-smile) of people of whom these are the neutral ones (NAME-neutral), where they are."""
    smiling = [photo.with_name(photo.name.replace(NEUTRAL, SMILE)) for photo in neutral]
    return [photo for photo in smiling if photo not in neutral and photo.is_file()]


def portrait_fidelity(
    portraits: Portraits, model: FaceModel, neutral: Sequence[FoundFace], smiling: Sequence[FoundFace] | None = None
) -> PortraitFidelity:
    """The figures of faces that were found.

    Args:
        portraits: N people.
        model: of the faces.
        neutral: N faces, in the portraits' order.
        smiling: those of the same people's smiling photos.
    """
    columns = list(IBUG_POINTS)
    codes = [np.stack([face.identity for face in faces]) for faces in (neutral, smiling or ()) if faces]
    landmarks = np.stack([face.landmarks for face in neutral])
    compare = partial(hand_placed_fidelity, true=portraits.points, sizes=portraits.sizes, proportions=PROPORTIONS)
    fronts = [compare(front_points(model, one)[:, columns], in_photo=False) for one in codes]
    return PortraitFidelity(
        found=compare(landmarks[:, columns]),
        front=fronts[0],
        mean_face=compare(front_points(model, 0 * codes[0])[:, columns], in_photo=False),
        front_of_smile=fronts[1] if smiling else None,
        rank1_across=_rank1(*(model.geometry(one) for one in codes)) if smiling else None,
        lip_gap_percent=100 * float(lip_gap(landmarks[:, columns]).mean()),
        true_lip_gap_percent=100 * float(lip_gap(portraits.points).mean()),
        weight_sum=float(np.mean([face.expression.sum() for face in neutral])),
    )


def lip_gap(points: np.ndarray) -> np.ndarray:
    """Distance of the inner lips' middles over the mouth's width, (...), of points (..., 34, 2)."""
    upper, lower, right, left = (points[..., IBUG_POINTS.index(i), :] for i in (*LIP_MIDDLES, *MOUTH_CORNERS))
    return np.asarray(np.linalg.norm(upper - lower, axis=-1) / np.linalg.norm(right - left, axis=-1))


def _faces(photos: Sequence[Path], predictor: Predictor, steps: Steps | None) -> list[FoundFace]:
    items = [PhotoItem(path.stem, path.stem.split("-")[0], None, path.read_bytes, path) for path in photos]
    faces = []
    for prediction in predict(items, predictor, steps=steps):
        if prediction.face is None:
            raise ValueError(f"expected a face in every portrait, got none in {prediction.item.name}")
        faces.append(prediction.face)
    return faces


def _rank1(first: np.ndarray, second: np.ndarray) -> float:
    """Share of rows whose partner in the other set is the nearest there, both ways, of embeddings (N, D)."""
    distance = np.linalg.norm(first[:, None] - second[None], axis=-1)
    own = np.arange(len(first))
    return float(((distance.argmin(1) == own).mean() + (distance.argmin(0) == own).mean()) / 2)

"""How alike heads are: their shapes in millimetres, their codes, and the chance that they are one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.model.face_model import FaceModel
from likeness.reconstruct.agreement import Evidence, probability, resemblance
from likeness.reconstruct.result import Reconstruction
from likeness.reconstruct.whitening import compared


@dataclass(frozen=True, eq=False)
class Compared:
    """One head among others: a face, or a person of several.

    Args:
        identity: (K,) its code.
        members: the faces that it was made of; a face's is itself.
        photos: what photo each of them is in.
    """

    identity: np.ndarray
    members: tuple[Reconstruction, ...]
    photos: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every head with every other.

    Args:
        millimetres: (N, N) RMS mm between shapes of the face at rest, after the best similarity.
        cosine: (N, N) of the codes, -1 to 1.
        chance: (N, N) that both are one person where that was as likely as not before they were looked at
            (:class:`likeness.reconstruct.agreement.Evidence`); 0 for two faces of one photo; 1 for heads that
            have a face in common.
    """

    millimetres: np.ndarray
    cosine: np.ndarray
    chance: np.ndarray


def compare(model: FaceModel, heads: Sequence[Compared]) -> Comparison:
    """Compare N heads of one model, N >= 1."""
    codes = np.stack([head.identity for head in heads]).astype(np.float64)
    placed = model.shape_metric.embed(codes)
    apart = np.sqrt(np.maximum(((placed[:, None] - placed[None]) ** 2).sum(-1), 0.0))
    faces = [face for head in heads for face in head.members]
    photos = [photo for head in heads for photo in head.photos]
    own = np.stack([face.coefficients.identity for face in faces]).astype(np.float64)
    alike, evidence = compared(own, [face.cues for face in faces])
    ends = np.cumsum([0, *(len(head.members) for head in heads)])
    spans = [slice(*ends[i : i + 2]) for i in range(len(heads))]
    chance = np.ones((len(heads), len(heads)))
    for i, a in enumerate(spans):
        for j, b in enumerate(spans[:i]):
            chance[i, j] = chance[j, i] = _chance(evidence, alike[a, b], faces[a], faces[b], photos[a], photos[b])
    return Comparison(apart, resemblance(codes), chance)


def _chance(
    evidence: Evidence,
    alike: np.ndarray,
    ours: Sequence[Reconstruction],
    theirs: Sequence[Reconstruction],
    our_photos: Sequence[str],
    their_photos: Sequence[str],
) -> float:
    if {id(face) for face in ours} & {id(face) for face in theirs}:
        return 1.0
    if set(our_photos) & set(their_photos):
        return 0.0
    return probability(float(evidence(alike.mean(), float(alike.size))))

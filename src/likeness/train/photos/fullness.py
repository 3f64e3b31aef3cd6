"""Real people's jaws are wider than what is read from their photographs.

A network that learned shapes from rendered faces answers with those people's prior where a photograph says little,
and of cheeks and jaws no point of the surface says much. The population that is rendered was scanned, and it is slim:
hand-placed outlines of portraits and annotated ones of video frames lie outside those of the heads seen from the same
side, on both sides of the jaw, by millimetres (``benchmarks/outlines.py``), and so do real scans. What all real
people have in common cannot be learned with their evidence, whose common part may be its labeller's; so it is added:
the likeliest change of a head that widens its outline so far and leaves eyes, nose and mouth where they are, as
far as a picture is a photograph. Rendered people, whose shapes are known, stay as they are.

Pictures between the two, as photographed scans are, show real people as well. On a linear readout of the features,
1 of photographs and 0 of renderings, photographs lie at 0.8 (nineteen of twenty above 0.5), renderings at 0.05
(nineteen of twenty below 0.35), photographs of one real scan at 0.45 and of another at 0.1: from a half on all is
given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.geometry.landmarks import INNER, INNER_COUNT, JAW_COUNT
from likeness.metrics.fidelity_points import front_points
from likeness.metrics.outline import CHIN, SIDES, outward_normals
from likeness.model.face_model import FaceModel
from likeness.train.photos.fusion import FIRM, Estimator, ridge
from likeness.train.photos.fusion_inputs import FusionInputs

STEP = 0.5
"""Of codes, for differences."""

STILL_MM = 0.3
"""RMS by which inner points may move as likely as a direction of the code by its standard deviation."""

STEEP = 2.0
"""How many times the readout of what a picture is counts; chosen with two scans in sight (docs/fidelity.md)."""


def outline_moves(model: FaceModel) -> tuple[np.ndarray, np.ndarray]:
    """How codes move a head's outline, seen from the front, after the best similarity of the inner points.

    Args:
        model: with K directions of shape.

    Returns:
        (K, 17) mm outwards per unit of code, and (K, 102) mm by which the 51 inner points move.
    """
    size = len(model.identity_basis)
    moved = front_points(model, STEP * np.concatenate([np.eye(size), -np.eye(size)]).astype(np.float32))
    moves = (moved[:size] - moved[size:]) / (2 * STEP)
    mean = front_points(model, np.zeros((1, size), np.float32))[0]
    about = mean - mean[INNER.start :].mean(0)
    one, none = np.ones(len(mean)), np.zeros(len(mean))
    turned = np.stack([about[:, 1], -about[:, 0]], 1)
    similar = np.stack([np.stack([one, none], 1), np.stack([none, one], 1), about, turned])
    inner = similar[:, INNER.start :].reshape(4, -1).T
    share = np.linalg.lstsq(inner, moves[:, INNER.start :].reshape(size, -1).T, rcond=None)[0]
    moves = moves - np.einsum("sk,spc->kpc", share, similar)
    outline = (moves[:, :JAW_COUNT] * outward_normals(mean)).sum(-1)
    return outline, moves[:, INNER.start :].reshape(size, 2 * INNER_COUNT)


def wider(model: FaceModel) -> np.ndarray:
    """The likeliest change (K,) of codes that moves both sides of the jaw outwards by 1 mm each, and neither the chin
    nor the inner points."""
    outline, inner = outline_moves(model)
    moved = np.stack([outline[:, list(points)].mean(1) for points in (SIDES, CHIN)], 1)
    # The Gaussian of codes of whom inner points hardly move, conditioned on what the outline does.
    spread = np.linalg.inv(np.eye(len(inner)) + inner @ inner.T / STILL_MM**2)
    return np.asarray(spread @ moved @ np.linalg.solve(moved.T @ spread @ moved, np.array([1.0, 0.0])))


@dataclass(frozen=True, eq=False)
class FullEstimator:
    """An estimate of codes with more of photographs: ``estimator + clip(features @ weight + bias, 0, 1) change``.

    Args:
        estimator: of people as those who are rendered are.
        weight: (H,) of the features.
        bias: of the share.
        change: (K,) what photographs get.
    """

    estimator: Estimator
    weight: np.ndarray
    bias: float
    change: np.ndarray

    def share(self, inputs: FusionInputs) -> np.ndarray:
        """How much of the change N looks get, (N,) from 0 to 1."""
        return np.asarray(np.clip(inputs.features @ self.weight + self.bias, 0.0, 1.0))

    def __call__(self, inputs: FusionInputs) -> np.ndarray:
        """Codes (N, K)."""
        return self.estimator(inputs) + self.share(inputs)[:, None] * self.change


def widened(estimator: Estimator, photos: FusionInputs, rendered: FusionInputs, change: np.ndarray) -> FullEstimator:
    """An estimate whose codes have a ``change`` (K,) more of photographs, and none of rendered faces.

    Which of the two a picture is, a linear readout of the features says, 1 of a photograph; it counts :data:`STEEP`
    times, up to 1. Where features do not tell, all get all of it.
    """
    features = np.concatenate([photos.features, rendered.features])
    kind = np.repeat([1.0, 0.0], [len(photos), len(rendered)])[:, None]
    weight, bias = ridge(features, kind, FIRM)
    return FullEstimator(estimator, STEEP * weight[:, 0], STEEP * float(bias[0]), change)

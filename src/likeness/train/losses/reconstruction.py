"""The regressor's losses; each is gated by what a sample carries (design, section 3.6).

Everything is a mean over the samples that carry the label, so a batch's mixture changes how noisy a term is, never
its weight. Formulas are our own where no source is named.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.geometry.camera import Camera
from likeness.geometry.landmarks import JAW_COUNT
from likeness.model.face_model import FaceModel
from likeness.model.identity import SphereSpace
from likeness.train.photos.network import CROP_SIZE, Prediction
from likeness.train.recipe_settings import LossWeights

CONTOUR_WEIGHT = 0.7
"""Weight of the jaw line's 17 points in the landmark loss: annotators put them anywhere along the outline."""

ROBUST_PERCENT = 0.4
"""Errors below this (percent of the crop's side, about half a pixel) count quadratically: annotation noise."""


class Targets(NamedTuple):
    """Labels of n samples; what a sample lacks is zero, and its gate is zero.

    Attributes:
        landmarks: (n, 68, 2) crop pixels.
        landmark_gate: (n,) weight of the landmark loss, 0 without landmarks, below 1 for pseudo-labels.
        score: (n,) 1 face, 0 none.
        score_gate: (n,) 0 where neither is quite true.
        shape_gate: (n,) 1 where the fields below are known.
        identity, expression, albedo, light, rotation, translation: as in
            :class:`likeness.train.photos.network.Prediction`; albedo is NaN where a rendered face wears a person's
            skin.
        embedding: (n, D) a teacher's embedding of the picture; D is 0 where there is no teacher.
        embedding_gate: (n,) 1 where the teacher was asked.
        dense: (n, P, 2) crop pixels of surface points; P is 0 where nothing places any.
        dense_weight: (n, P) how much each point counts, 0 where it is not known.
        person: (n,) int64 identity label within the training set, -1 unknown; beyond the set's people are new ones
            (:mod:`likeness.train.generate.morphs`).
    """

    landmarks: Tensor
    landmark_gate: Tensor
    score: Tensor
    score_gate: Tensor
    shape_gate: Tensor
    identity: Tensor
    expression: Tensor
    albedo: Tensor
    light: Tensor
    rotation: Tensor
    translation: Tensor
    embedding: Tensor
    embedding_gate: Tensor
    dense: Tensor
    dense_weight: Tensor
    person: Tensor

    def to(self, device: torch.device) -> Targets:
        """The same on a device."""
        return Targets(*(value.to(device, non_blocking=True) for value in self))


class Bases(NamedTuple):
    """An identity basis that is learned: what takes the place of the model's own.

    Attributes:
        points: (K, N, 3) at the landmark candidates, mm per unit of code.
        factor: (K, K) L of the geometry metric, mm per unit of code.
    """

    points: Tensor
    factor: Tensor


class LandmarkHead(nn.Module):
    """Predictions -> landmark candidates in 3D and the 68 points in the crop; the model's sparse bases as buffers."""

    mean: Tensor
    identity: Tensor
    expression: Tensor

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        for name, value in zip(("mean", "identity", "expression"), model.landmark_bases, strict=True):
            self.register_buffer(name, torch.tensor(np.asarray(value, np.float32)))
        self.map = model.landmark_map
        self.camera = Camera.from_crop_size(CROP_SIZE)

    def points(self, identity: Tensor, expression: Tensor | None = None, basis: Tensor | None = None) -> Tensor:
        """Codes (n, K) and weights (n, 52) -> candidates (n, N, 3), mm, model axes; ``basis`` (K, N, 3) takes the
        place of the model's."""
        flat = identity @ (self.identity if basis is None else basis).flatten(1)
        if expression is not None:
            flat = flat + expression @ self.expression.flatten(1)
        return flat.unflatten(1, (-1, 3)) + self.mean

    def landmarks(self, points: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
        """Candidates (n, N, 3) seen by the crop's camera -> the 68 points (n, 68, 2), crop pixels."""
        seen = points @ rotation.transpose(1, 2) + translation[:, None]
        # A head pushed through the camera by a wild step would give infinite pixels: not nearer than 10 cm.
        seen = torch.cat([seen[..., :2], seen[..., 2:].clamp_min(100.0)], dim=-1)
        projected: Tensor = self.map.project(self.camera, seen, rotation)
        return projected

    def forward(self, prediction: Prediction, basis: Tensor | None = None) -> Tensor:
        """The 68 points (n, 68, 2) of a prediction, crop pixels."""
        points = self.points(prediction.identity, prediction.expression, basis)
        return self.landmarks(points, prediction.rotation, prediction.translation)


class RegressorLoss(nn.Module):
    """All terms of a batch, by name and unweighted, and their weighted sum."""

    metric: Tensor
    point_weights: Tensor

    def __init__(self, model: FaceModel, weights: LossWeights | None = None) -> None:
        super().__init__()
        self.weights = weights or LossWeights()
        self.head = LandmarkHead(model)
        self.register_buffer("metric", torch.tensor(model.metric.factor, dtype=torch.float32))
        self.on_sphere, self.spread = isinstance(model.space, SphereSpace), model.metric.spread
        point_weights = torch.ones(68)
        point_weights[:JAW_COUNT] = CONTOUR_WEIGHT
        self.register_buffer("point_weights", point_weights / point_weights.sum())

    def forward(
        self, prediction: Prediction, targets: Targets, bases: Bases | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Prediction and labels of n samples -> the loss and its terms by the names of :class:`LossWeights`.

        Labels are codes of the model's own basis, also where a learned one (``bases``) stands in for it.
        """
        basis = None if bases is None else bases.points
        points = self.head.points(prediction.identity, prediction.expression, basis)
        landmarks = self.head.landmarks(points, prediction.rotation, prediction.translation)
        shape = targets.shape_gate
        weak = (targets.landmark_gate > 0).float() * (1.0 - shape)
        factor = self.metric if bases is None else bases.factor
        terms = {
            "landmark": gated_mean(self._landmark_error(landmarks, targets.landmarks), targets.landmark_gate),
            "points": gated_mean(self._point_error(prediction, points, targets, basis), shape),
            "geometry": gated_mean(smooth_norm((prediction.identity - targets.identity) @ factor, 0.1), shape),
            "code": gated_mean((prediction.identity - targets.identity).square().mean(1), shape),
            "expression": gated_mean((prediction.expression - targets.expression).square().sum(1), shape),
            "rotation": gated_mean((prediction.rotation - targets.rotation).square().sum((1, 2)), shape),
            "distance": gated_mean(_log_difference(prediction.translation, targets.translation), shape),
            "shift": gated_mean(smooth_norm(0.1 * (prediction.translation - targets.translation)[:, :2], 0.1), shape),
            "albedo": gated_mean(*_albedo_error(prediction.albedo, targets.albedo, shape)),
            "light": gated_mean((prediction.light - targets.light).square().mean((1, 2)), shape),
            "score": gated_mean(
                functional.binary_cross_entropy_with_logits(prediction.score, targets.score, reduction="none"),
                targets.score_gate,
            ),
            "identity_prior": gated_mean(self._identity_prior(prediction.identity), weak),
            "expression_prior": gated_mean(prediction.expression.mean(1), weak),
            "albedo_prior": gated_mean(prediction.albedo.square().mean(1), weak),
        }
        total = sum((getattr(self.weights, name) * term for name, term in terms.items()), torch.zeros(()))
        return total, terms

    def _landmark_error(self, landmarks: Tensor, truth: Tensor) -> Tensor:
        """Weighted mean robust distance (n,), percent of the crop's side."""
        percent = (landmarks - truth) * (100.0 / CROP_SIZE)
        return (smooth_norm(percent, ROBUST_PERCENT) * self.point_weights).sum(1)

    def _identity_prior(self, identity: Tensor) -> Tensor:
        """(n,), about 1 for a random face."""
        if self.on_sphere:
            return (identity @ self.metric).square().sum(1) / self.spread
        return identity.square().mean(1)

    def _point_error(self, prediction: Prediction, points: Tensor, targets: Targets, basis: Tensor | None) -> Tensor:
        """Mean distance (n,) of the landmark candidates, mm: of the neutral faces plus of the posed ones, halved."""
        truth = self.head.points(targets.identity, targets.expression)
        neutral = self.head.points(prediction.identity, basis=basis) - self.head.points(targets.identity)
        return 0.5 * (smooth_norm(points - truth, 0.1).mean(1) + smooth_norm(neutral, 0.1).mean(1))


def smooth_norm(vectors: Tensor, width: float) -> Tensor:
    """Length of vectors (..., D) -> (...), quadratic below about ``width`` (pseudo-Huber), 0 at 0."""
    return (vectors.square().sum(-1) + width * width).sqrt() - width


def gated_mean(values: Tensor, gate: Tensor) -> Tensor:
    """Mean of values (n,) weighted by a gate (n,) in [0, 1], over the samples whose gate is open; 0 if none is.

    Dividing by how many are open, not by the gates' sum, lets a gate of 0.3 count 0.3 of a full sample.
    """
    count = (gate > 0).sum().clamp_min(1)
    return (values * gate).sum() / count


def _albedo_error(albedo: Tensor, truth: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared differences (n,) and their gates: a face in somebody's skin has no weights, NaN."""
    known = torch.isfinite(truth).all(1)
    return (albedo - torch.where(known[:, None], truth, albedo.detach())).square().mean(1), gate * known


def _log_difference(translation: Tensor, truth: Tensor) -> Tensor:
    """|log tz - log tz*| (n,), robust; a truth that is not there (0) is read as 1 mm."""
    difference = translation[:, 2].log() - truth[:, 2].clamp_min(1.0).log()
    return smooth_norm(difference[:, None], 0.02)

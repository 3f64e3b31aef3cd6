"""Everything that a network is trained for at once: reconstruction, recognisable shapes, colours, a learned basis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likeness.model.face_model import FaceModel
from likeness.train.losses.basis import LearnedBasis
from likeness.train.losses.dense import dense_loss, weighted
from likeness.train.losses.photometric import PhotometricLoss
from likeness.train.losses.reconstruction import RegressorLoss, Targets, gated_mean
from likeness.train.losses.sir import SirLoss
from likeness.train.photos.network import Answer
from likeness.train.recipe_settings import ObjectiveSettings


class Objective(nn.Module):
    """The sum of all losses of a batch, with what is learned besides the network.

    Args:
        model: the face model.
        settings: see :class:`ObjectiveSettings`.
        people: C, identities in the training set.
    """

    def __init__(self, model: FaceModel, settings: ObjectiveSettings, people: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.reconstruction = RegressorLoss(model, settings.weights)
        self.sir = None if settings.sir is None else SirLoss(model, max(1, people), settings.sir)
        self.photometric = PhotometricLoss(model) if settings.photometric else None
        self.basis = None if settings.basis is None else LearnedBasis(model, settings.basis)

    def forward(
        self, answer: Answer, images: Tensor, targets: Targets, rows: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms by name, unweighted.

        Args:
            answer: for n crops.
            images: (n, 112, 112, 3) uint8 the crops.
            targets: what is known of them.
            rows: (p,) numbers of the dense points that ``answer`` has; None: all.
        """
        with torch.autocast(images.device.type, enabled=False):  # millimetres need more digits than half floats have
            return self._sum(answer, images, targets, rows)

    def _sum(
        self, answer: Answer, images: Tensor, targets: Targets, rows: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        prediction = answer.prediction
        bases = None if self.basis is None else self.basis.bases(self.reconstruction.head.identity)
        total, terms = self.reconstruction(prediction, targets, bases)
        if self.sir is not None:
            embedding = targets.embedding if targets.embedding.shape[1] else None
            found = self.sir(
                prediction.identity, targets.person, embedding, None if bases is None else bases.factor, answer.guess
            )
            total = total + self.sir.total(found)
            terms.update({f"sir_{name}": value for name, value in found.items()})
        if self.photometric is not None:
            # Rendered faces' light is known; what augmentation does to their colours it does not follow.
            faces = (targets.landmark_gate > 0).float() * (1.0 - targets.shape_gate)
            terms["photometric"] = gated_mean(self.photometric(prediction, images, faces), faces)
            total = total + self.settings.photometric * terms["photometric"]
        if self.settings.dense is not None and answer.dense is not None:
            truth, weight = targets.dense, targets.dense_weight
            if rows is not None:
                truth, weight = truth[:, rows], weight[:, rows]
            placed = dense_loss(answer.dense, truth, weight)
            total = total + weighted(placed, self.settings.dense)
            terms.update({f"dense_{name}": value for name, value in placed.items()})
        if self.basis is not None:
            terms["basis"] = self.basis.penalty()
            total = total + terms["basis"]
        return total, terms

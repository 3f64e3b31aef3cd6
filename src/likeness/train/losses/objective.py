"""Everything that a network is trained for at once: reconstruction, recognisable shapes, colours, a learned basis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likeness.model.face_model import FaceModel
from likeness.train.losses.basis import LearnedBasis
from likeness.train.losses.photometric import PhotometricLoss
from likeness.train.losses.reconstruction import RegressorLoss, Targets, gated_mean
from likeness.train.losses.sir import SirLoss
from likeness.train.photos.network import Prediction
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
        self, prediction: Prediction, images: Tensor, targets: Targets, guess: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms by name, unweighted.

        Args:
            prediction: of n crops.
            images: (n, 112, 112, 3) uint8 the crops.
            targets: what is known of them.
            guess: (n, D) the network's guess of a teacher's embeddings.
        """
        with torch.autocast(images.device.type, enabled=False):  # millimetres need more digits than half floats have
            return self._sum(prediction, images, targets, guess)

    def _sum(
        self, prediction: Prediction, images: Tensor, targets: Targets, guess: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        bases = None if self.basis is None else self.basis.bases(self.reconstruction.head.identity)
        total, terms = self.reconstruction(prediction, targets, bases)
        if self.sir is not None:
            told = targets.told if targets.told.shape[1] else None
            found = self.sir(
                prediction.identity, targets.person, told, None if bases is None else bases.factor, guess
            )
            total = total + self.sir.total(found)
            terms.update({f"sir_{name}": value for name, value in found.items()})
        if self.photometric is not None:
            # Rendered faces' light is known; what augmentation does to their colours it does not follow.
            faces = (targets.landmark_gate > 0).float() * (1.0 - targets.shape_gate)
            terms["photometric"] = gated_mean(self.photometric(prediction, images, faces), faces)
            total = total + self.settings.photometric * terms["photometric"]
        if self.basis is not None:
            terms["basis"] = self.basis.penalty()
            total = total + terms["basis"]
        return total, terms

"""What learns on photographs: the network, what its losses learn besides, and the running averages of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.errors import FileError
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap
from likeness.train.checkpoint import MovingAverage, load_regressor
from likeness.train.losses.basis import LearnedBasis
from likeness.train.losses.dense import drawn_rows
from likeness.train.losses.objective import Objective
from likeness.train.losses.reconstruction import LandmarkHead
from likeness.train.optimiser import descend, parameter_groups
from likeness.train.photos.network import Answer, NetSettings, Regressor
from likeness.train.photos.onnx_import import import_regressor, restore_statistics
from likeness.train.schedule import Schedule
from likeness.train.settings import EXPORTED, PhotoSettings


class Student:
    """A network in training.

    Args:
        model: the face model that the codes are for.
        settings: of the training.
        people: identities in the training set.
        embedding_size: numbers per embedding of a teacher, 0 without.
        fabric: Lightning Fabric, launched.
        points: which surface points the network places; None: none.
        crops: gives crops (n, 112, 112, 3) uint8 of the kind that is trained on, for a start that was exported.
    """

    def __init__(
        self,
        model: FaceModel,
        settings: PhotoSettings,
        people: int,
        embedding_size: int,
        fabric: Any,
        points: PointMap | None = None,
        crops: Callable[[], Tensor] | None = None,
    ) -> None:
        self.model, self.fabric, self.start = model, fabric, settings.start
        self.bare = Regressor(NetSettings.for_model(model, told=embedding_size, shrink=settings.shrink, dense=points))
        if fabric.device.type == "cuda":  # on CPUs this layout was a fifth slower
            self.bare = self.bare.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.trunk is not None:
            self._freeze(settings.trunk)
        # Fabric's wrapper would turn labels into half floats; what the losses learn is little and is shared by hand.
        self.objective = Objective(model, settings.objective, people).to(fabric.device)
        if settings.start is not None and settings.start.suffix == EXPORTED:
            assert crops is not None
            restore_statistics(self.bare, import_regressor(settings.start, self.bare), crops())
            self.bare.train()
        elif settings.start is not None:
            self._begin_with(settings.start)
        self.bare.backbone[: settings.frozen].eval().requires_grad_(False)
        groups = _groups(self.bare, self.objective, settings)
        self.network = fabric.setup_module(self.bare)
        self.optimizer = fabric.setup_optimizers(torch.optim.AdamW(groups, lr=settings.schedule.learning_rate))
        self.average = MovingAverage(self._averaging(), settings.schedule.ema)

    def _freeze(self, path: Path) -> None:
        """Take the features of an earlier network, statistics of normalisations and all, and leave them alone."""
        try:
            self.bare.backbone.load_state_dict(load_regressor(path)[0].backbone.state_dict())
        except RuntimeError as error:
            raise FileError(path, "expected a network of the same widths to take the features of") from error
        self.bare.backbone.eval().requires_grad_(False)

    def _begin_with(self, path: Path) -> None:
        """Take the averaged weights of an earlier network, and where its people's centres are; what only this network
        has, a decoder of points or a teacher's head, begins anew, and so do centres of more or fewer people."""
        network, state = load_regressor(path)
        new = {
            name: value
            for name, value in self.bare.state_dict().items()
            if name.startswith(("dense.", "guess.")) and name not in network.state_dict()
        }
        objective = self.objective.state_dict()
        centers = {
            name: value
            for name, value in state["objective"].items()
            if name.startswith("sir.") and name in objective and objective[name].shape == value.shape
        }
        try:
            self.bare.load_state_dict({**network.state_dict(), **new})
            self.objective.load_state_dict({**objective, **centers})
        except RuntimeError as error:
            raise FileError(path, "expected a network of the same sizes") from error

    @torch.no_grad()
    def return_towards_start(self, share: float) -> None:
        """Mix so much of the weights that the training began with into the averaged ones.

        Half of the way back loses less than half of what was learned, and wins back more than half of what was
        forgotten (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
        """
        assert self.start is not None
        start = load_regressor(self.start)[0].to(self.fabric.device)
        for mine, old in zip(self.averaged.state_dict().values(), start.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(old, share)

    def _averaging(self) -> nn.ModuleDict:
        """What is averaged."""
        basis = self.objective.basis
        return nn.ModuleDict({"network": self.bare} if basis is None else {"network": self.bare, "basis": basis})

    @property
    def averaged(self) -> Regressor:
        """The averaged network."""
        network = self.average.module["network"]
        assert isinstance(network, Regressor)
        return network

    def learned_model(self) -> FaceModel:
        """The face model that the averaged network's codes are for: with the averaged basis where it is learned."""
        if "basis" not in self.average.module:
            return self.model
        basis = self.average.module["basis"]
        assert isinstance(basis, LearnedBasis)
        return basis.model(self.model, f"{self.model.name}-sfm")

    def head(self) -> LandmarkHead:
        """The landmarks of :meth:`learned_model`."""
        if "basis" not in self.average.module:
            return self.objective.reconstruction.head
        return LandmarkHead(self.learned_model()).to(self.fabric.device)

    def losses(self, images: Tensor, targets: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Crops (n, 112, 112, 3) uint8 and their labels, on the device -> the loss and its terms by name."""
        weights, rows = self.objective.settings.dense, None
        if weights is not None:
            rows = drawn_rows(weights, targets.dense.shape[1])
        answer: Answer = self.network(images, whole=True, rows=rows)
        loss: tuple[Tensor, dict[str, Tensor]] = self.objective(answer, images, targets, rows)
        return loss

    def step(self, schedule: Schedule, number: int, steps: int) -> None:
        """Change the weights by the gradients that were gathered, and take them into the averages."""
        self._share_gradients()
        descend(self.optimizer, schedule, number, steps)
        self.average.update(self._averaging(), number)

    def _share_gradients(self) -> None:
        """Average the gradients of what the losses learn over the devices (the network's are already)."""
        if self.fabric.world_size > 1:
            for parameter in self.objective.parameters():
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self.fabric.all_reduce(gradient, reduce_op="mean")

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        learns_basis = "basis" in self.average.module
        return {
            "net": asdict(self.bare.settings),
            "face_model": self.learned_model().name,
            "network": self.bare.state_dict(),
            "objective": self.objective.state_dict(),
            "average": self.averaged.state_dict(),
            "average_basis": self.average.module["basis"].state_dict() if learns_basis else None,
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to where a checkpoint was."""
        self.bare.load_state_dict(state["network"])
        self.objective.load_state_dict(state["objective"])
        self.averaged.load_state_dict(state["average"])
        if "basis" in self.average.module:
            self.average.module["basis"].load_state_dict(state["average_basis"])
        self.optimizer.load_state_dict(state["optimizer"])


def _groups(network: Regressor, objective: Objective, settings: PhotoSettings) -> list[dict[str, Any]]:
    """Parameters for AdamW: biases, normalisations and what belongs to the losses are not decayed."""
    trunk = {id(parameter) for parameter in network.backbone.parameters()} if settings.trunk_rate != 1.0 else set()
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    parts = [(1.0, [one for one in learned if id(one) not in trunk])]
    if trunk:
        parts.append((settings.trunk_rate, [one for one in learned if id(one) in trunk]))
    groups: list[dict[str, Any]] = []
    for rate, part in parts:
        groups += parameter_groups(part, settings.schedule, rate)
    if objective.sir is not None:
        groups.append({"params": list(objective.sir.parameters()), "weight_decay": 0.0, "relative": 1.0})
    if objective.basis is not None:
        rate = objective.basis.settings.rate
        groups.append({"params": list(objective.basis.parameters()), "weight_decay": 0.0, "relative": rate})
    return groups

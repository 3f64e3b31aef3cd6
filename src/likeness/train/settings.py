"""What training is told and what it tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from likeness.files import file_digest
from likeness.train.recipe_settings import AugmentSettings, Mix, ObjectiveSettings
from likeness.train.recipes import recipe
from likeness.train.schedule import Schedule

EXPORTED = ".onnx"
"""How the name of an exported network ends."""


@dataclass(frozen=True)
class PhotoSettings:
    """What :func:`likeness.train.photos.trainer.train_photos` is told.

    Args:
        out: folder for ``checkpoint.pt`` and the TensorBoard files.
        schedule, mix, augment, objective: see their classes; ``mix`` is per device.
        teacher: a face-recognition network (.onnx), for the terms ``relation`` and ``told`` of SIR; None: none.
        labeller: the checkpoint of an earlier network for the same face model, which labels photos before the first
            step; None: they join when the network itself can label them.
        trunk: the checkpoint of an earlier network whose features are taken as they are: only what is read from them
            is learned, several times as fast. Of the same widths; None: everything is learned.
        start: the checkpoint of an earlier network for the same face model to go on from with another objective: its
            weights and its people's centres; everything is learned, best at a low rate. Or an exported network.
        frozen: layers of the trunk, from the picture on, that stay as they are.
        trunk_rate: learning rate of the trunk's other layers over that of all else.
        remain: share of the weights of ``start`` that is mixed into the averaged ones at the end: what was known then
            and is forgotten comes back, 0 to 1.
        reliability: how much the scatter within people counts when, at the end, codes are drawn towards what can be
            relied on (:mod:`likeness.train.photos.posterior_codes`); 0: not at all.
        shrink: see :class:`likeness.train.photos.network.NetSettings`.
        seed: of everything random.
        resume: go on from ``out/checkpoint.pt`` if it is there; nothing that decides the result may differ.
        accelerator, devices, nodes, precision: Lightning Fabric's.
        accumulate: batches per step of the optimiser, whose gradients are averaged.
        threads: CPU threads of torch; 0 leaves torch's choice.
        workers: loader processes; 0 makes the batches in the training process.
        save_seconds: time between checkpoints.
        log_every, validate_every: steps.
    """

    out: Path
    schedule: Schedule = field(default_factory=Schedule)
    mix: Mix = field(default_factory=Mix)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    objective: ObjectiveSettings = field(default_factory=lambda: recipe("sir").objective())
    teacher: Path | None = None
    labeller: Path | None = None
    trunk: Path | None = None
    start: Path | None = None
    frozen: int = 0
    trunk_rate: float = 1.0
    remain: float = 0.0
    reliability: float = 0.0
    shrink: int = 1
    seed: int = 0
    resume: bool = False
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32-true"
    accumulate: int = 1
    threads: int = 0
    workers: int = 0
    save_seconds: float = 180.0
    log_every: int = 20
    validate_every: int = 500

    def __post_init__(self) -> None:
        if self.remain and self.start is None:
            raise ValueError(f"expected a start of which {self.remain} remains, got none")
        if self.remain and self.start is not None and self.start.suffix == EXPORTED:
            raise ValueError(f"expected a checkpoint as the start of which {self.remain} remains, got {self.start}")
        if self.remain and self.objective.basis is not None:
            raise ValueError("expected a fixed basis where weights of the start remain, got a learned one")

    def decisive(self, steps: int) -> dict[str, Any]:
        """The settings that decide the result, plain: a checkpoint goes on only with the same ones."""
        groups = {name: asdict(getattr(self, name)) for name in ("schedule", "mix", "augment", "objective")}
        files = {
            name: getattr(self, name) and file_digest(getattr(self, name))
            for name in ("teacher", "labeller", "trunk", "start")
        }
        names = ("seed", "shrink", "accumulate", "frozen", "trunk_rate", "remain", "reliability")
        single = {name: getattr(self, name) for name in names}
        return {**single, "steps": steps, **files, **groups}


@dataclass(frozen=True)
class Progress:
    """What the caller's ``report`` hears of a training every ``log_every`` steps and after each validation.

    Attributes:
        step, steps: how far.
        seen: samples so far.
        rate: samples per second since the run (or the resumed run) began, validation and all.
        losses: unweighted terms by name and their weighted sum ``total``, means since the last of these.
        validation: the last figures (:class:`likeness.train.photos.validation.HeldOut`), empty before the first.
        note: something that happened: ``checkpoint``, ``5,012 of 6,000 photos labelled``; else empty.
    """

    step: int
    steps: int
    seen: int
    rate: float
    losses: dict[str, float]
    validation: dict[str, float]
    note: str = ""


DRAWN = 3
"""Meshes per person and step of stage 1."""


@dataclass(frozen=True)
class ScanLossWeights:
    """What each term counts.

    Args:
        rec: RMS distance of a person's neutral mesh to the shape of the person's code, mm.
        encoded: the same for the encoder's code of any of the person's meshes, mm.
        identity: margin softmax of encoded codes against all people's codes, nats.
        uniform: uniformity of the people's codes and of the encoded ones.
        smooth: mean squared graph Laplacian of the change of the basis, mm².
        mirror: share of the mirrored basis that the basis does not span.
        decorrelate: mean squared correlation of two modes' displacements.
    """

    rec: float = 1.0
    encoded: float = 0.1
    identity: float = 0.1
    uniform: float = 0.02
    smooth: float = 1.0
    mirror: float = 0.2
    decorrelate: float = 0.1


@dataclass(frozen=True)
class ScanSettings:
    """What :func:`likeness.train.scans.trainer.train_scans` is told.

    Args:
        size: K.
        out: folder for the checkpoint and the TensorBoard files; None: neither.
        budget: meshes seen.
        people: people per step.
        coordinates: P of the reduction.
        start: ``pca`` or ``lift``, see :mod:`likeness.train.scans.trainer`.
        alternations: rounds of the start.
        learning_rate: the highest, of basis and encoder; falls to nothing along a cosine.
        code_rate: of the codes, relative to that.
        scale, margin: of the margin softmax.
        weights: of the losses.
        seed: of everything random.
        resume: go on from the checkpoint in ``out``.
        save_seconds: time between checkpoints.
        log_every: steps.
    """

    size: int = 128
    out: Path | None = None
    budget: int = 1_500_000
    people: int = 256
    coordinates: int = 450
    start: str = "pca"
    alternations: int = 20
    learning_rate: float = 1e-3
    code_rate: float = 10.0
    scale: float = 32.0
    margin: float = 0.2
    weights: ScanLossWeights = field(default_factory=ScanLossWeights)
    seed: int = 0
    resume: bool = False
    save_seconds: float = 180.0
    log_every: int = 50

    def __post_init__(self) -> None:
        if self.start not in ("pca", "lift"):
            raise ValueError(f"expected start 'pca' or 'lift', got {self.start!r}")
        if self.size < 2 or self.people < 2:
            raise ValueError(f"expected size and people of at least 2, got {self.size} and {self.people}")

    @property
    def steps(self) -> int:
        """How many steps the budget makes."""
        return max(1, round(self.budget / (self.people * DRAWN)))

    def decisive(self) -> dict[str, Any]:
        """The settings that decide the result: a checkpoint goes on only with the same ones."""
        loose = {"out", "resume", "save_seconds", "log_every"}
        return {name: value for name, value in asdict(self).items() if name not in loose}


@dataclass(frozen=True)
class DetectorSettings:
    """How the detector is trained.

    Args:
        budget: scenes in all; each is seen mirrored too.
        batch: scenes per step.
        learning_rate: the highest; it rises over the first 3 % and falls along a cosine to 1 %.
        weight_decay: AdamW's.
        clip: largest norm of the gradient.
        ema: decay of the averaged weights per step.
        precision: Fabric's; on CPUs with bf16 units "bf16-mixed" doubles the speed.
        seed: of scenes and weights.
        save_seconds: time between checkpoints.
    """

    budget: int = 120_000
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    clip: float = 5.0
    ema: float = 0.998
    precision: str = "bf16-mixed"
    seed: int = 0
    save_seconds: float = 180.0

    @property
    def steps(self) -> int:
        """Steps in all."""
        return max(1, self.budget // self.batch)

    @property
    def schedule(self) -> Schedule:
        """How long and how fast."""
        return Schedule(self.budget, self.learning_rate, 0.03, self.weight_decay, self.clip, self.ema)

    def decisive(self) -> dict[str, Any]:
        """The settings that decide the result: a checkpoint goes on only with the same ones."""
        return {name: value for name, value in asdict(self).items() if name != "save_seconds"}


@dataclass(frozen=True)
class FusionSettings:
    """What :func:`likeness.train.photos.fusion.learn` is told.

    Args:
        rendered: weight of the squared mm by which rendered people's shapes are missed.
        evidence: of the squared mm by which the evidence of real people is missed, less what all of it has in common.
        sir: of the margin softmax on directions of shape, nats.
        within: of the squared mm between a person's photos and their mean.
        relation: of the differences between cosines of shapes and of a face-recognition network's embeddings.
        unseen: of the squared mm of what the best similarity takes away: size, place and turn, which no photo shows;
            codes need not carry it, but a large weight takes from codes what tells people apart.
        points: share of the points' fit alone in the estimate at the end,
            :meth:`likeness.train.photos.fusion.Estimator.towards_points`.
        strength: of the filter after that, before codes are made as long as the truth,
            :meth:`likeness.train.photos.fusion.Estimator.filtered`.
        wider: mm by which each side of the jaw lies farther out in real people than what is learned says, see
            :mod:`likeness.train.photos.fullness`.
        steps: of AdamW.
        batch: photos per step; half as many rendered faces.
        learning_rate: the highest; it falls along a cosine.
        weight_decay: of the estimate's weights.
        seed: of everything random.
    """

    rendered: float = 6.0
    evidence: float = 2.0
    sir: float = 0.6
    within: float = 0.5
    relation: float = 0.0
    unseen: float = 0.02
    points: float = 0.3
    strength: float = 0.07
    wider: float = 2.0
    steps: int = 2000
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0

    @classmethod
    def of_features(cls, steps: int = 2000, seed: int = 0) -> FusionSettings:
        """For the estimate of the features alone, which says who it is before any points are fitted; what is done at
        the end (``points``, ``strength``, ``wider``) is not done to it."""
        return cls(rendered=1.0, evidence=1.0, sir=1.0, within=1.0, relation=10.0, points=0.0, steps=steps, seed=seed)

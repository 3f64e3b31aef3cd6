"""What training is told and what it tells."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from likeness.files import file_digest
from likeness.train.losses.basis import BasisSettings
from likeness.train.losses.dense import DenseWeights
from likeness.train.losses.objective import ObjectiveSettings
from likeness.train.losses.reconstruction import LossWeights
from likeness.train.losses.sir import SirWeights
from likeness.train.photos.augment import AugmentSettings
from likeness.train.photos.batches import Mix


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Args:
        budget: samples seen in all, negatives included, over all devices.
        learning_rate: the highest; after a linear warm-up it falls along a cosine to 1 % at the end of the budget.
        warmup: share of the budget.
        weight_decay: AdamW's, on weights of convolutions and linear layers.
        clip: largest norm of the gradient.
        ema: decay of the averaged weights per step, reached gradually.
        pseudo_at: shares of the budget at which the averaged network labels the photos anew.
    """

    budget: int = 1_500_000
    learning_rate: float = 2e-3
    warmup: float = 0.02
    weight_decay: float = 0.02
    clip: float = 5.0
    ema: float = 0.998
    pseudo_at: tuple[float, ...] = (0.06, 0.2, 0.4, 0.65)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step."""
        warm = max(1, round(self.warmup * steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        done = (step - warm) / max(1, steps - warm)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done))))


PHOTOMETRIC = 3.0
"""Weight of the colours: a quarter of the gradient that the landmarks have on the features, about."""

RECIPES = ("tikhonov", "margin", "sir", "sfm", "features", "places", "heads", "points")
"""What :func:`recipe` knows."""

EXPORTED = ".onnx"
"""How the name of an exported network ends."""


TAUGHT = {"relation": 6.0, "told": 4.0}
"""Weights of the terms that a teacher adds to SIR."""

FEATURES = {"code": 0.1, "direction": 0.1}, {"relation": 20.0, "told": 4.0}
"""Weights where the features are what is wanted: the people of the training count less, and a teacher more."""

HEADS_LANDMARKS, HEADS_RELATION = 4.0, 2.0
"""Where only what is read from good features is learned: landmarks count so many times as much, and a
teacher, whom the features follow already, less."""

HEADS_MIX = Mix(frames=36, synthetic=20, morphs=16)
"""More pictures that people annotated, fewer that a network did."""


PLACES_LANDMARKS = 15.0
"""How many times as much landmarks count where features that know who it is still have to learn where things are."""

PLACES_MIX = Mix(frames=44, synthetic=14, morphs=20)
"""Still more pictures that people annotated."""


NO_GEOMETRY = SirWeights(direction=0.0, within=0.0, between=0.0, mixed=0.0, prior=0.0, relation=0.0, told=0.0)
"""A margin softmax of codes and nothing else."""

POINTS_MIX = Mix(frames=0, people=0, synthetic=36, morphs=0, negatives=8, placed=52)
"""Pictures with surface points and rendered faces, whose points are exact."""

POINTS_AUGMENT = AugmentSettings(shift=0.04, log_scale=0.07, angle=7.0, turned=0.06, warped=0.5)
"""Crops stray less, as those of the second look do; half of the pictures are warped."""

POINTS_FROZEN, POINTS_TRUNK_RATE = 5, 0.5
"""The stem and the first stage stay as they are, the rest of the trunk learns half as fast as the decoder."""

POINTS_OBJECTIVE = ObjectiveSettings(
    LossWeights(
        landmark=0.0,
        points=0.0,
        geometry=0.25,
        code=0.0,
        expression=0.4,
        rotation=2.0,
        distance=1.0,
        shift=0.2,
        albedo=0.15,
        light=1.0,
        score=0.5,
        identity_prior=0.0,
        expression_prior=0.0,
        albedo_prior=0.0,
    ),
    dense=DenseWeights(),
)
"""Where points lie; of rendered faces what they show besides."""


def mix_of(name: str) -> Mix:
    """The mixture of a recipe's batches."""
    return {"heads": HEADS_MIX, "places": PLACES_MIX, "points": POINTS_MIX}.get(name, Mix())


PLACES_REMAIN = 0.3
"""The share of the features' weights from before that remains where landmarks were learned after: of what was won for
landmarks a sixth goes, of what was lost for recognition a half comes back (val)."""


def remain_of(name: str, start: Path | None) -> float:
    """``PhotoSettings.remain`` of a recipe."""
    return PLACES_REMAIN if name == "places" and start is not None else 0.0


RELIABILITY = 3.0
"""How much the scatter of one person's pictures counts where codes are drawn towards what can be relied on: more than
1, as pictures of people that a network has not seen scatter more (1.29 times the mm², val) than of those whom it has;
of what was tried on val, 1 to 4, the least that lifts the SIR metric over 1.4."""


def reliability_of(name: str) -> float:
    """``PhotoSettings.reliability`` of a recipe: of those whose codes are to be recognised by."""
    return RELIABILITY if name in ("sir", "sfm", "heads") else 0.0


def recipe(name: str, taught: bool = False) -> ObjectiveSettings:
    """The settings of one of the methods that the papers compare.

    ``tikhonov``: reconstruction, with codes held near the mean face. ``margin``: margin softmax on codes besides.
    ``sir``: shape identity-aware regularisation in the place of the Tikhonov prior, the basis fixed. ``sfm``: the
    same with the basis learned along (Sphere Face Model, stage 2). ``features``: SIR that follows a teacher
    more than the people it knows, for a trunk whose features others read (``PhotoSettings.trunk``). ``places``: the
    same with much more weight on landmarks, to go on with from there (``PhotoSettings.start``). ``heads``: SIR for
    what is read from features, with more weight on landmarks. ``points``: a decoder of surface points, learned on top
    of an earlier network (``PhotoSettings.start``).

    Args:
        name: one of :data:`RECIPES`.
        taught: there is a teacher, whose opinion of who resembles whom all but the first two follow too.

    Raises:
        ValueError: there is no such recipe.
    """
    if name not in RECIPES:
        raise ValueError(f"expected a recipe of {', '.join(RECIPES)}, got {name!r}")
    if name == "tikhonov":
        return ObjectiveSettings(photometric=PHOTOMETRIC)
    if name == "margin":
        return ObjectiveSettings(sir=NO_GEOMETRY, photometric=PHOTOMETRIC)
    if name == "points":
        sir = replace(NO_GEOMETRY, code=0.0, told=TAUGHT["told"])
        return replace(POINTS_OBJECTIVE, sir=sir) if taught else POINTS_OBJECTIVE
    free = replace(LossWeights(), identity_prior=0.0)
    own, teachers = FEATURES if name in ("features", "places") else ({}, TAUGHT)
    if name == "places":
        free = replace(free, landmark=PLACES_LANDMARKS * free.landmark)
    if name == "heads":
        free = replace(free, landmark=HEADS_LANDMARKS * free.landmark)
        teachers = {**TAUGHT, "relation": HEADS_RELATION}
    sir = replace(SirWeights(), **own, **(teachers if taught else {}))
    return ObjectiveSettings(free, sir, PHOTOMETRIC, BasisSettings() if name == "sfm" else None)


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
    objective: ObjectiveSettings = field(default_factory=lambda: recipe("sir"))
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
    """What the caller's ``report`` hears every ``log_every`` steps and after each validation.

    Attributes:
        step, steps: how far.
        seen: samples so far.
        rate: samples per second since the run (or the resumed run) began, validation and all.
        losses: unweighted terms by name and their weighted sum ``total``, of the last batch.
        validation: the last figures of :class:`likeness.train.photos.validation.HeldOut`, empty before the first.
        note: something that happened: ``checkpoint``, ``5012 photos labelled``; else empty.
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
        save_every, log_every: steps.
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
    save_every: int = 500
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
        loose = {"out", "resume", "save_every", "log_every"}
        return {name: value for name, value in asdict(self).items() if name not in loose}

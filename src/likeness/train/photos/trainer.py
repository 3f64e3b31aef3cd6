"""Training on photographs: mixed data, recognisable shapes (SIR), a learned basis (Sphere Face Model).

Each sample carries what it has (landmarks, an identity, all labels of a rendered face, a teacher's opinion) and each
loss is gated by it. The same program trains the plain regressor, SIR and the Sphere Face Model:
:func:`likeness.train.recipes.recipe` gives their settings. The steps are made by :mod:`likeness.train.loop`, what
learns is in :mod:`~likeness.train.photos.module`, photos are labelled by :mod:`~likeness.train.photos.pseudo_labels`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likeness.progress import Steps, unheard
from likeness.train.checkpoint import CHECKPOINT, WHAT, read_checkpoint, refuse_another_run, taking_up
from likeness.train.loop import Loop, TrainingError, loaded
from likeness.train.losses.reconstruction import LandmarkHead
from likeness.train.photos.batches import TrainBatches
from likeness.train.photos.labels import PseudoLabels, Sources
from likeness.train.photos.landmark_bias import centered, sideways
from likeness.train.photos.module import Student
from likeness.train.photos.posterior_codes import rely_on
from likeness.train.photos.pseudo_labels import PseudoLabelling
from likeness.train.photos.samples import SampleMaker
from likeness.train.photos.teacher_embeddings import TeacherNotes
from likeness.train.photos.validation import HeldOut, contact_sheet
from likeness.train.settings import PhotoSettings, Progress

__all__ = ["FACE_MODEL", "Trainer", "TrainingError", "train_photos"]

FACE_MODEL = "face_model.npz"
"""The file in a training's output folder that holds a learned face model."""

STATISTICS = 256
"""Crops by which the normalisations of an exported network that is trained on are estimated."""


class Trainer:
    """One run: what learns, from what, and how far it got; :func:`train_photos` drives it.

    Args:
        settings, sources, held_out, report, watch: see there.
        clock: seconds.
    """

    def __init__(
        self,
        settings: PhotoSettings,
        sources: Sources,
        held_out: HeldOut | None = None,
        report: Callable[[Progress], None] | None = None,
        watch: Steps = unheard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.fabric, self.finished = settings, _launched(settings), False
        batches = self.fabric.world_size * settings.accumulate
        watch = watch if self.fabric.is_global_zero else unheard
        per_step = settings.mix.total * batches
        steps = max(1, round(settings.schedule.budget / per_step))
        self.decisive = settings.decisive(steps)  # at once: files that it names must be there before any work
        self.labelling = PseudoLabelling(settings, sources.model, sources.photos, steps, batches, self.fabric, watch)
        if settings.objective.dense is not None and sources.point_map is None:
            raise ValueError("expected a map of the surface points that the objective asks for, got none")
        self.first_note, self.sources = self._centered(sources, watch)
        self.held_out = (held_out or HeldOut()).with_rendered(self.sources)
        self.notes = TeacherNotes.open(settings.teacher, self.sources, settings.out, watch)
        self.maker = SampleMaker(self.sources, settings.augment, embeddings=self.notes.embeddings)
        embedding_size = self.notes.size or sources.embedding_size
        points = sources.point_map if settings.objective.dense is not None else None
        self.student = Student(
            sources.model, settings, sources.people, embedding_size, self.fabric, points, self._first_crops
        )
        self.loop = Loop(
            steps,
            per_step,
            settings.out / CHECKPOINT,
            self.state,
            self.student.optimizer,
            measure=self._measure,
            report=report,
            log_every=settings.log_every,
            measure_every=settings.validate_every,
            save_seconds=settings.save_seconds,
            fabric=self.fabric,
            clock=clock,
        )
        if settings.resume and (settings.out / CHECKPOINT).is_file():
            self._take_up()

    def run(self) -> dict[str, float]:
        """Train to the end of the budget; the last validation's figures."""
        with self.loop.opened():
            if self.first_note:
                self.loop.tell(self.first_note)
            for stop in self.labelling.plan.segments(self.loop.step, self.loop.steps):
                self._label_photos()
                self.loop.run(self._batches(stop), self._learn)
            self._finish()
            self.loop.measure()
            self.loop.save()
        return self.loop.figures

    def state(self) -> dict[str, Any]:
        """All that going on takes: what learns, step, generator, pseudo-labels, settings."""
        pseudo = self.maker.pseudo
        return {
            "kind": "likeness regressor",
            **self.student.state(),
            "settings": self.decisive,
            "sources": self.sources.counts,
            "step": self.loop.step,
            "finished": self.finished,
            "seen": self.loop.step * self.loop.per_step,
            "random": torch.get_rng_state(),
            "labelled_at": self.labelling.labelled_at,
            "pseudo_index": None if pseudo is None else torch.from_numpy(pseudo.index),
            "pseudo_landmarks": None if pseudo is None else torch.from_numpy(pseudo.landmarks),
            "validation": self.loop.figures,
        }

    def _take_up(self) -> None:
        """Go on from the checkpoint, if it is one of this very run."""
        path, usual = self.settings.out / CHECKPOINT, PhotoSettings(self.settings.out).decisive(self.loop.steps)
        state = read_checkpoint(path)
        with taking_up(path, WHAT):
            mine = {"face_model": self.student.learned_model().name, "sources": self.sources.counts}
            refuse_another_run(path, state, self.decisive, mine, usual)
            self.student.load(state)
            torch.set_rng_state(state["random"])
            self.loop.step, self.loop.figures = state["step"], state["validation"]
            self.finished, self.labelling.labelled_at = state["finished"], state.get("labelled_at", -1)
            if state["pseudo_index"] is not None:
                self.maker.pseudo = PseudoLabels(state["pseudo_index"].numpy(), state["pseudo_landmarks"].numpy())

    def _label_photos(self) -> None:
        """Where it is due, label photos, ask the teacher about them, and keep both."""
        step, photos = self.loop.step, self.sources.photos
        if photos is None or not self.labelling.is_due(step):
            return
        student = self.student
        self.maker.pseudo = labels = self.labelling.renewed(step, self.maker.pseudo, student.averaged, student.head())
        if self.fabric.is_global_zero:
            self.notes.ask(photos, labels)
        self.notes.share(self.fabric)
        self.maker.embeddings = self.notes.embeddings
        self.loop.save()
        self.loop.tell(f"{len(labels.index):,} of {len(photos.images):,} photos labelled")

    def _batches(self, stop: int) -> Any:
        """For each step up to ``stop`` its batches, made ahead by the loader's processes."""
        many, fabric = self.settings.accumulate, self.fabric
        data = self._data(fabric.global_rank, fabric.world_size)
        numbers = range(self.loop.step * many, stop * many)
        batches = iter(loaded(data, numbers, self.settings.workers, fabric.device.type == "cuda"))
        return ([next(batches) for _ in range(many)] for _ in range(self.loop.step, stop))

    def _data(self, rank: int = 0, world: int = 1) -> TrainBatches:
        return TrainBatches(
            self.maker, self.settings.mix, self.settings.seed, rank, world, self.held_out.rendered_before
        )

    def _learn(self, batches: list[tuple[Tensor, Any]]) -> dict[str, Tensor]:
        """One step; the terms of the last batch's loss."""
        student, device = self.student, self.fabric.device
        for number, (images, targets) in enumerate(batches, 1):
            with self.fabric.no_backward_sync(student.network, enabled=number < len(batches)):
                total, terms = student.losses(images.to(device, non_blocking=True), targets.to(device))
                self.loop.stop_if_broken(total, terms)
                self.fabric.backward(total / len(batches))
        student.step(self.settings.schedule, self.loop.step, self.loop.steps)
        return {"total": total, **terms}

    def _finish(self) -> None:
        """What is done to the averaged network once, after the last step."""
        settings, student = self.settings, self.student
        if self.fabric.is_global_zero and not self.finished:
            if settings.remain:
                student.return_towards_start(settings.remain)
            if settings.reliability:
                factor = student.learned_model().metric.factor
                self.loop.tell(rely_on(student.averaged, self.maker, factor, settings.reliability))
        self.finished = True

    def _centered(self, sources: Sources, watch: Steps) -> tuple[str, Sources]:
        """Without the annotators' habit of one side, where an earlier network can tell; and a word about it."""
        labeller = self.labelling.labeller
        if labeller is None or sources.frames is None:
            return "", sources
        share = 0.0
        if self.fabric.is_global_zero:
            head = LandmarkHead(sources.model).to(self.fabric.device)
            share = sideways(labeller, head, sources.frames, watch=watch)
        share = float(self.fabric.broadcast(share))
        note = f"landmarks lie {100 * share:.2f} % of their box to the right: moved back"
        return note, replace(sources, frames=centered(sources.frames, share))

    def _measure(self) -> dict[str, float]:
        student = self.student
        self.loop.journal.picture("crops", self._crops(), self.loop.step)
        return self.held_out.figures(student.averaged, student.head(), student.learned_model())

    def _crops(self) -> np.ndarray:
        """A picture of sixteen training crops, with what is found and what is known."""
        images, targets = self._data()[self.loop.step]
        rows = torch.linspace(0, len(images) - 1, min(16, len(images))).long()
        with torch.inference_mode():
            prediction = self.student.averaged(images[rows].to(self.fabric.device))
            found = self.student.head()(prediction).cpu().numpy()
        return contact_sheet(images[rows].numpy(), found, targets.landmarks[rows].numpy())

    def _first_crops(self) -> Tensor:
        """A few hundred crops as they are trained on."""
        data, count = self._data(), -(-STATISTICS // self.settings.mix.total)
        return torch.cat([data[number][0] for number in range(count)])[:STATISTICS]


def _launched(settings: PhotoSettings) -> Any:
    """Lightning Fabric, after generator and threads are set."""
    from lightning.fabric import Fabric

    torch.manual_seed(settings.seed)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        precision=settings.precision,
    )
    fabric.launch()
    return fabric


def train_photos(
    settings: PhotoSettings,
    sources: Sources,
    held_out: HeldOut | None = None,
    report: Callable[[Progress], None] | None = None,
    watch: Steps = unheard,
) -> dict[str, float]:
    """Train a regressor; ``settings.out/checkpoint.pt`` holds the result (:func:`load_regressor`), and
    ``settings.out/face_model.npz`` the face model where its basis is learned.

    Args:
        settings: see :class:`PhotoSettings`.
        sources: what there is to train on.
        held_out: pictures of other people for the curves.
        report: hears of the steps now and then.
        watch: hears of what is done between them: photos that are labelled, pictures that a teacher sees.

    Returns:
        The last validation's figures.

    Raises:
        TrainingError: a loss is not finite; the last checkpoint is untouched.
        FileError: the checkpoint to go on from is damaged or of other settings, or the teacher cannot be used.
    """
    trainer = Trainer(settings, sources, held_out, report, watch)
    figures = trainer.run()
    if settings.objective.basis is not None and trainer.fabric.is_global_zero:
        trainer.student.learned_model().save(settings.out / FACE_MODEL)
    return figures

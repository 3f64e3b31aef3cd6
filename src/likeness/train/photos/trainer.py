"""Training on photographs: mixed data, recognisable shapes (SIR), a learned basis (Sphere Face Model); the loop, its
checkpoints and its curves.

Each sample carries what it has (landmarks, an identity, all labels of a rendered face, a teacher's opinion) and each
loss is gated by it. The same program trains the plain regressor, SIR and the Sphere Face Model:
:func:`likeness.train.recipes.recipe` gives their settings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from likeness.errors import FileError, LikenessError
from likeness.model.face_model import FaceModel
from likeness.train.checkpoint import (
    CHECKPOINT,
    WHAT,
    load_regressor,
    read_checkpoint,
    taking_up,
    with_defaults,
    write_state,
)
from likeness.train.losses.reconstruction import LandmarkHead
from likeness.train.photos.batches import TrainBatches
from likeness.train.photos.labels import PseudoLabels, Sources
from likeness.train.photos.landmark_bias import centered, sideways
from likeness.train.photos.module import Student
from likeness.train.photos.network import Regressor
from likeness.train.photos.posterior_codes import codes_of_people, rely
from likeness.train.photos.samples import SampleMaker
from likeness.train.photos.teacher_embeddings import TeacherNotes
from likeness.train.photos.validation import HeldOut, contact_sheet, label_photos
from likeness.train.settings import AugmentSettings, PhotoSettings, Progress
from likeness.train.tensorboard import Journal

FACE_MODEL = "face_model.npz"
"""The file in a training's output folder that holds a learned face model."""

RENDERED_HELD_OUT = 400
"""Rendered faces that are kept for the curves, where there are at least ten times as many."""


STATISTICS = 256
"""Crops by which the normalisations of an exported network that is trained on are estimated."""


class TrainingError(LikenessError):
    """Training cannot go on: says which loss broke at which step and where the last good checkpoint is."""


class Trainer:
    """One run: what learns, from what, and how far it got; :func:`train_photos` drives it."""

    def __init__(
        self,
        settings: PhotoSettings,
        sources: Sources,
        held_out: HeldOut | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        from lightning.fabric import Fabric

        torch.manual_seed(settings.seed)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            precision=settings.precision,
        )
        self.fabric.launch()
        self.settings, self.report, self._side = settings, report, ""
        per_step = settings.mix.total * self.fabric.world_size * settings.accumulate
        self.steps = max(1, round(settings.schedule.budget / per_step))
        self.step, self.per_step = 0, per_step
        self.decisive = settings.decisive(self.steps)  # at once: files that it names must be there before any work
        self.labeller = self._read_labeller(sources.model)
        if settings.objective.dense is not None and sources.point_map is None:
            raise ValueError("expected a map of the surface points that the objective asks for, got none")
        self.sources = sources = self._centered(sources)
        self.held_out = _with_rendered(held_out or HeldOut(), sources)
        self.notes = TeacherNotes.open(settings.teacher, sources, settings.out)
        self.maker = SampleMaker(sources, settings.augment, told=self.notes.told)
        told = self.notes.size or sources.embedding_size
        points = sources.point_map if settings.objective.dense is not None else None
        self.student = Student(sources.model, settings, sources.people, told, self.fabric, points, self._first_crops)
        self.finished = False
        self.validation: dict[str, float] = {}
        self.losses: dict[str, float] = {}
        if settings.resume and (settings.out / CHECKPOINT).is_file():
            state = read_checkpoint(settings.out / CHECKPOINT)
            with taking_up(settings.out / CHECKPOINT, WHAT):
                self._restore(state)
        self._begin, self._first = time.monotonic(), self.step
        self._saved = self._begin

    def _first_crops(self) -> Tensor:
        """A few hundred crops as they are trained on."""
        data = TrainBatches(self.maker, self.settings.mix, self.settings.seed, rendered=self._rendered())
        count = -(-STATISTICS // self.settings.mix.total)
        return torch.cat([data[number][0] for number in range(count)])[:STATISTICS]

    def run(self) -> dict[str, float]:
        """Train to the end of the budget; the last validation's figures."""
        self._journal = Journal(self.settings.out, self.fabric.is_global_zero, self.step)
        try:
            if self._side:
                self._tell(self._side)
            for stop in self._segments():
                self._label_photos()
                for batches in self._batches(stop):
                    self._train_step(batches)
                    self._after_step()
            self._finish()
            self.validation = self._validate()
            self._save()
        finally:
            self._journal.close()
        return self.validation

    def state(self) -> dict[str, Any]:
        """All that going on takes: what learns, step, generator, pseudo-labels, settings."""
        pseudo = self.maker.pseudo
        return {
            "kind": "likeness regressor",
            **self.student.state(),
            "settings": self.decisive,
            "sources": self._shape_of_sources(),
            "step": self.step,
            "finished": self.finished,
            "seen": self.step * self.per_step,
            "random": torch.get_rng_state(),
            "pseudo_index": None if pseudo is None else torch.from_numpy(pseudo.index),
            "pseudo_landmarks": None if pseudo is None else torch.from_numpy(pseudo.landmarks),
            "validation": self.validation,
        }

    def _shape_of_sources(self) -> dict[str, int]:
        """How many pictures and people there are: a run goes on only with as many."""
        sources = self.sources
        counts = {
            name: 0 if source is None else len(source.images if hasattr(source, "images") else source)
            for name in ("frames", "photos", "synthetic", "morphs")
            for source in [getattr(sources, name)]
        }
        if sources.placed:
            counts["placed"] = sources.placed
        return {**counts, "people": sources.people}

    def _restore(self, state: dict[str, Any]) -> None:
        path = self.settings.out / CHECKPOINT
        mine = {
            **self.decisive,
            "face_model": self.student.learned_model().name,
            "sources": self._shape_of_sources(),
        }
        # What a checkpoint of an earlier version does not name was as it is by default.
        usual = PhotoSettings(self.settings.out).decisive(self.steps)
        settings = with_defaults(state["settings"], usual)
        theirs = {**settings, "face_model": state["face_model"], "sources": state["sources"]}
        for name, value in mine.items():
            if value != theirs.get(name):
                raise FileError(path, f"cannot go on with another {name}: expected {theirs.get(name)}, got {value}")
        self.student.load(state)
        torch.set_rng_state(state["random"])
        self.step, self.finished, self.validation = state["step"], state["finished"], state["validation"]
        if state["pseudo_index"] is not None:
            self.maker.pseudo = PseudoLabels(state["pseudo_index"].numpy(), state["pseudo_landmarks"].numpy())

    def _segments(self) -> Iterator[int]:
        """Steps at which photos are labelled anew, from the next one, and the end."""
        for stop in sorted(self._marks() | {self.steps}):
            if stop > self.step:
                yield stop

    def _marks(self) -> set[int]:
        if self.sources.photos is None or not (self.settings.mix.photos or self.settings.mix.people):
            return set()
        shares = self.settings.schedule.pseudo_at
        if self.settings.labeller is not None:  # which is better than this network before it is half-grown
            shares = tuple(share for share in shares if share >= 0.3)
        marks = {min(self.steps, max(1, round(share * self.steps))) for share in shares}
        return marks | ({0} if self.settings.labeller is not None else set())

    def _batches(self, stop: int) -> Iterator[list[tuple[Tensor, Any]]]:
        """For each step up to ``stop`` its batches, made ahead by the loader's processes."""
        fabric, many = self.fabric, self.settings.accumulate
        data = TrainBatches(
            self.maker, self.settings.mix, self.settings.seed, fabric.global_rank, fabric.world_size, self._rendered()
        )
        workers = self.settings.workers
        loader = iter(
            DataLoader(
                data,
                batch_size=None,
                sampler=range(self.step * many, stop * many),
                num_workers=workers,
                prefetch_factor=4 if workers else None,
                pin_memory=fabric.device.type == "cuda",
                worker_init_fn=_start_worker,
                generator=torch.Generator(),  # or each loader would draw from the global one
            )
        )
        for _ in range(self.step, stop):
            yield [next(loader) for _ in range(many)]

    def _rendered(self) -> int | None:
        """How many rendered faces are trained on; None: all."""
        return self.held_out.numbers.start if len(self.held_out.numbers) else None

    def _train_step(self, batches: list[tuple[Tensor, Any]]) -> None:
        student, device = self.student, self.fabric.device
        for number, (images, targets) in enumerate(batches, 1):
            with self.fabric.no_backward_sync(student.network, enabled=number < len(batches)):
                total, terms = student.losses(images.to(device, non_blocking=True), targets.to(device))
                if not self._finite(total):
                    self._stop_broken(terms)
                self.fabric.backward(total / len(batches))
        student.step(self.settings.schedule, self.step, self.steps)
        self.step += 1
        if self.step % self.settings.log_every == 0:
            self.losses = {name: value.item() for name, value in terms.items()}
            self.losses["total"] = total.item()

    def _finite(self, total: Tensor) -> bool:
        """The same answer on every device, or one would stop and the others wait for it."""
        finite = torch.isfinite(total.detach()).float()
        return bool(self.fabric.all_reduce(finite, reduce_op="mean") == 1.0)

    def _stop_broken(self, terms: dict[str, Tensor]) -> None:
        broken = [name for name, value in terms.items() if not bool(torch.isfinite(value))]
        path = self.settings.out / CHECKPOINT
        kept = f"the last good state is in {path}" if path.is_file() else "no checkpoint was written yet"
        raise TrainingError(f"step {self.step}: not finite: {', '.join(broken) or 'the sum of losses'}; {kept}")

    def _after_step(self) -> None:
        settings = self.settings
        note = ""
        if self.step % settings.log_every == 0:
            rate = self.student.optimizer.param_groups[0]["lr"]
            self._journal.scalars("loss", self.losses, self.step)
            self._journal.scalars("run", {"learning_rate": rate, "rate": self._rate()}, self.step)
        if self.step % settings.validate_every == 0 and self.step < self.steps:
            self.validation = self._validate()
            note = "validated"
        if self._time_to_save():
            self._save()
            note = "checkpoint"
        if note or self.step % settings.log_every == 0 or self.step == self._first + 1:
            self._tell(note)

    def _time_to_save(self) -> bool:
        """The same answer on every device: the first one's clock."""
        late = time.monotonic() - self._saved > self.settings.save_seconds
        return bool(self.fabric.broadcast(late)) if self.fabric.world_size > 1 else late

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            self.settings.out.mkdir(parents=True, exist_ok=True)
            write_state(self.settings.out / CHECKPOINT, self.state())
        self.fabric.barrier()
        self._saved = time.monotonic()

    def _label_photos(self) -> None:
        """At a mark, label the photos (once: a resumed run has the labels in its checkpoint)."""
        photos = self.sources.photos
        if photos is None or self.step not in self._marks():
            return
        labels = None
        self._tell(f"labelling {len(photos.images)} photos")
        if self.fabric.is_global_zero:
            labels = label_photos(self._labeller(), self.student.head(), photos)
            self.notes.ask(photos, labels)
        self.maker.pseudo = self.fabric.broadcast(labels)
        self.notes.share(self.fabric)
        self.maker.told = self.notes.told
        self._tell(f"{len(self.maker.pseudo.index)} of {len(photos.images)} photos labelled")

    def _finish(self) -> None:
        """What is done to the averaged network once, after the last step."""
        if self.fabric.is_global_zero and not self.finished:
            if self.settings.remain:
                self.student.return_towards_start(self.settings.remain)
            if self.settings.reliability:
                self._rely()
        self.finished = True

    def _rely(self) -> None:
        """Draw the averaged network's codes towards what can be relied on."""
        network, factor = self.student.averaged, self.student.learned_model().metric.factor
        vectors, person = codes_of_people(network, self.maker)
        try:
            rely(network, vectors, person, factor, self.settings.reliability)
            self._tell(f"codes drawn towards what {len(vectors)} pictures say can be relied on")
        except ValueError as error:
            self._tell(f"codes left as they are: {error}")

    def _labeller(self) -> Regressor:
        """Who labels: an earlier network before the first step, the averaged one later."""
        return self.student.averaged if self.step > 0 or self.labeller is None else self.labeller

    def _read_labeller(self, model: FaceModel) -> Regressor | None:
        if self.settings.labeller is None:
            return None
        network, state = load_regressor(self.settings.labeller)
        if state["face_model"] != model.name:
            raise FileError(
                self.settings.labeller, f"expected a network for {model.name!r}, got {state['face_model']!r}"
            )
        return network.to(self.fabric.device)

    def _centered(self, sources: Sources) -> Sources:
        """Without the annotators' habit of one side, where an earlier network can tell."""
        if self.labeller is None or sources.frames is None:
            return sources
        share = 0.0
        if self.fabric.is_global_zero:
            share = sideways(self.labeller, LandmarkHead(sources.model).to(self.fabric.device), sources.frames)
        share = float(self.fabric.broadcast(share))
        self._side = f"landmarks lie {100 * share:.2f} % of their box to the right: moved back"
        return replace(sources, frames=centered(sources.frames, share))

    def _validate(self) -> dict[str, float]:
        if not self.fabric.is_global_zero:
            return {}
        student = self.student
        figures = self.held_out.figures(student.averaged, student.head(), student.learned_model())
        self._journal.scalars("validation", figures, self.step)
        self._journal.picture("crops", self._crops(), self.step)
        return figures

    def _crops(self) -> np.ndarray:
        """A picture of sixteen training crops, with what is found and what is known."""
        data = TrainBatches(self.maker, self.settings.mix, self.settings.seed, rendered=self._rendered())
        images, targets = data[self.step]
        rows = torch.linspace(0, len(images) - 1, min(16, len(images))).long()
        with torch.inference_mode():
            prediction = self.student.averaged(images[rows].to(self.fabric.device))
            found = self.student.head()(prediction).cpu().numpy()
        return contact_sheet(images[rows].numpy(), found, targets.landmarks[rows].numpy())

    def _rate(self) -> float:
        return (self.step - self._first) * self.per_step / max(1e-9, time.monotonic() - self._begin)

    def _tell(self, note: str) -> None:
        if self.report is not None and self.fabric.is_global_zero:
            seen = self.step * self.per_step
            self.report(Progress(self.step, self.steps, seen, self._rate(), self.losses, self.validation, note))


def _with_rendered(held_out: HeldOut, sources: Sources) -> HeldOut:
    """The last rendered faces are kept for the curves where there are many."""
    count = 0 if sources.synthetic is None else len(sources.synthetic)
    if count < 10 * RENDERED_HELD_OUT:
        return held_out
    plain = AugmentSettings(shift=0.0, log_scale=0.0, angle=0.0, turned=0.0, photometric=0.0, occlusion=0.0)
    maker = SampleMaker(sources, plain)
    return replace(held_out, synthetic=maker, numbers=range(count - RENDERED_HELD_OUT, count))


def _start_worker(number: int) -> None:
    """One thread per loader process."""
    torch.set_num_threads(1)


def train_photos(
    settings: PhotoSettings,
    sources: Sources,
    held_out: HeldOut | None = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Train a regressor; ``settings.out/checkpoint.pt`` holds the result (:func:`load_regressor`), and
    ``settings.out/face_model.npz`` the face model where its basis is learned.

    Args:
        settings: see :class:`PhotoSettings`.
        sources: what there is to train on.
        held_out: pictures of other people for the curves.
        report: called now and then with a :class:`Progress`.

    Returns:
        The last validation's figures.

    Raises:
        TrainingError: a loss is not finite; the last checkpoint is untouched.
        FileError: the checkpoint to go on from is damaged or of other settings, or the teacher cannot be used.
    """
    trainer = Trainer(settings, sources, held_out, report)
    figures = trainer.run()
    if settings.objective.basis is not None and trainer.fabric.is_global_zero:
        trainer.student.learned_model().save(settings.out / FACE_MODEL)
    return figures

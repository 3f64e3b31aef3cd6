"""Training of the regressor: the loop, its checkpoints and its curves.

    python -m likeness.train.regressor --model face_model.npz --data DATA --synthetic FOLDER --out FOLDER

``DATA/photos`` holds ``video-train.tar`` and ``video-val.tar`` (:func:`likeness.train.sources.read_frames`) and
``photo-train.tar`` (:func:`likeness.train.sources.read_photos`).
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from likeness.errors import FileError, LikenessError, StrPath
from likeness.face_model import FaceModel
from likeness.files import write_atomically
from likeness.train.checkpoint import CHECKPOINT, MovingAverage, read_checkpoint
from likeness.train.data import PseudoLabels, SampleMaker, Sources, TrainBatches
from likeness.train.losses import RegressorLoss
from likeness.train.nets import NetSettings, Regressor
from likeness.train.settings import Progress, RegressorSettings, Schedule
from likeness.train.sources import Frames, SyntheticFaces, read_frames, read_photos
from likeness.train.validation import contact_sheet, label_photos, validate


class TrainingError(LikenessError):
    """Training cannot go on: says which loss broke at which step and where the last good checkpoint is."""


class Trainer:
    """One run: network, average, optimiser, data and how far it got; :func:`train_regressor` drives it."""

    def __init__(
        self,
        settings: RegressorSettings,
        sources: Sources,
        validation: Frames | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        from lightning.fabric import Fabric

        torch.manual_seed(settings.seed)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            precision=settings.precision,
        )
        self.fabric.launch()
        self.settings, self.sources, self.frames, self.report = settings, sources, validation, report
        self.maker = SampleMaker(sources, settings.augment)
        network = Regressor(NetSettings.for_model(sources.model))
        if self.fabric.device.type == "cuda":  # on CPUs this layout was a fifth slower
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = RegressorLoss(sources.model, settings.weights).to(self.fabric.device)
        self.network, self.optimizer = self.fabric.setup(network, _optimizer(network, settings.schedule))
        self.average = MovingAverage(_bare(self.network), settings.schedule.ema)
        per_step = settings.mix.total * self.fabric.world_size
        self.steps = max(1, round(settings.schedule.budget / per_step))
        self.step, self.per_step = 0, per_step
        self.validation: dict[str, float] = {}
        self.losses: dict[str, float] = {}
        if settings.resume and (settings.out / CHECKPOINT).is_file():
            self._restore(read_checkpoint(settings.out / CHECKPOINT))
        self._begin, self._first = time.monotonic(), self.step
        self._saved = self._begin

    def run(self) -> dict[str, float]:
        """Train to the end of the budget; the last validation's figures."""
        self._writer = self._open_writer()
        try:
            for stop in self._segments():
                self._label_photos()
                for batch in self._batches(stop):
                    self._train_step(*batch)
                    self._after_step()
            self.validation = self._validate()
            self._save()
        finally:
            if self._writer is not None:
                self._writer.close()
        return self.validation

    def state(self) -> dict[str, Any]:
        """All that going on takes: weights, average, optimiser, step, generator, pseudo-labels, settings."""
        pseudo = self.maker.pseudo
        return {
            "kind": "likeness regressor",
            "net": asdict(_bare(self.network).settings),
            "face_model": self.sources.model.name,
            "settings": self.settings.decisive(self.steps),
            "step": self.step,
            "seen": self.step * self.per_step,
            "network": _bare(self.network).state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "pseudo_index": None if pseudo is None else torch.from_numpy(pseudo.index),
            "pseudo_landmarks": None if pseudo is None else torch.from_numpy(pseudo.landmarks),
            "validation": self.validation,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        path = self.settings.out / CHECKPOINT
        mine = {**self.settings.decisive(self.steps), "face_model": self.sources.model.name}
        theirs = {**state["settings"], "face_model": state["face_model"]}
        for name, value in mine.items():
            if value != theirs.get(name):
                raise FileError(path, f"cannot go on with another {name}: expected {theirs.get(name)}, got {value}")
        _bare(self.network).load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        self.step, self.validation = state["step"], state["validation"]
        if state["pseudo_index"] is not None:
            self.maker.pseudo = PseudoLabels(state["pseudo_index"].numpy(), state["pseudo_landmarks"].numpy())

    def _segments(self) -> Iterator[int]:
        """Steps at which photos are labelled anew, from the next one, and the end."""
        marks = {min(self.steps, max(1, round(share * self.steps))) for share in self.settings.schedule.pseudo_at}
        for stop in sorted(marks | {self.steps}):
            if stop > self.step:
                yield stop

    def _batches(self, stop: int) -> Iterator[tuple[Tensor, Any]]:
        """Batches of the steps up to ``stop``, made ahead by the loader's processes."""
        data = TrainBatches(
            self.maker, self.settings.mix, self.settings.seed, self.fabric.global_rank, self.fabric.world_size
        )
        workers = self.settings.workers
        loader = DataLoader(
            data,
            batch_size=None,
            sampler=range(self.step, stop),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=self.fabric.device.type == "cuda",
            worker_init_fn=_start_worker,
        )
        return iter(loader)

    def _train_step(self, images: Tensor, targets: Any) -> None:
        device = self.fabric.device
        rate = self.settings.schedule.rate(self.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        prediction = self.network(images.to(device, non_blocking=True))
        total, terms = self.loss(prediction, targets.to(device))
        if not bool(torch.isfinite(total)):
            self._stop_broken(terms)
        self.fabric.backward(total)
        self.fabric.clip_gradients(self.network, self.optimizer, max_norm=self.settings.schedule.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(_bare(self.network), self.step)
        self.step += 1
        if self.step % self.settings.log_every == 0:
            self.losses = {name: value.item() for name, value in terms.items()}
            self.losses["total"] = total.item()

    def _stop_broken(self, terms: dict[str, Tensor]) -> None:
        broken = [name for name, value in terms.items() if not bool(torch.isfinite(value))]
        path = self.settings.out / CHECKPOINT
        kept = f"the last good state is in {path}" if path.is_file() else "no checkpoint was written yet"
        raise TrainingError(f"step {self.step}: not finite: {', '.join(broken) or 'the sum of losses'}; {kept}")

    def _after_step(self) -> None:
        settings = self.settings
        note = ""
        if self.step % settings.log_every == 0:
            self._write_scalars("loss", self.losses)
            self._write_scalars("run", {"learning_rate": self.optimizer.param_groups[0]["lr"], "rate": self._rate()})
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
            buffer = io.BytesIO()
            torch.save(self.state(), buffer)
            write_atomically(self.settings.out / CHECKPOINT, buffer.getvalue())
        self.fabric.barrier()
        self._saved = time.monotonic()

    def _label_photos(self) -> None:
        """At a mark, let the averaged network label the photos (once: a resumed run has them in its checkpoint)."""
        marks = {round(share * self.steps) for share in self.settings.schedule.pseudo_at}
        if self.sources.photos is None or self.step not in marks or self.step == 0:
            return
        labels = None
        self._tell(f"labelling {len(self.sources.photos.images)} photos")
        if self.fabric.is_global_zero:
            labels = label_photos(self.average.network, self.loss.head, self.sources.photos)
        self.maker.pseudo = self.fabric.broadcast(labels)
        self._tell(f"{len(self.maker.pseudo.index)} of {len(self.sources.photos.images)} photos labelled")

    def _validate(self) -> dict[str, float]:
        if self.frames is None or not self.fabric.is_global_zero:
            return {}
        figures = validate(self.average.network, self.loss.head, self.frames)
        self._write_scalars("validation", figures)
        self._write_pictures()
        return figures

    def _write_pictures(self) -> None:
        """Sixteen training crops, with what is found and what is known."""
        if self._writer is None:
            return
        data = TrainBatches(self.maker, self.settings.mix, self.settings.seed)
        images, targets = data[self.step]
        rows = torch.linspace(0, len(images) - 1, min(16, len(images))).long()
        with torch.inference_mode():
            prediction = self.average.network(images[rows].to(self.fabric.device))
            found = self.loss.head(prediction).cpu().numpy()
        sheet = contact_sheet(images[rows].numpy(), found, targets.landmarks[rows].numpy())
        self._writer.add_image("crops", sheet, self.step, dataformats="HWC")

    def _open_writer(self) -> Any:
        if not self.fabric.is_global_zero:
            return None
        from torch.utils.tensorboard import SummaryWriter

        self.settings.out.mkdir(parents=True, exist_ok=True)
        return SummaryWriter(str(self.settings.out), purge_step=self.step or None)

    def _write_scalars(self, group: str, values: dict[str, float]) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, self.step)

    def _rate(self) -> float:
        return (self.step - self._first) * self.per_step / max(1e-9, time.monotonic() - self._begin)

    def _tell(self, note: str) -> None:
        if self.report is not None and self.fabric.is_global_zero:
            seen = self.step * self.per_step
            self.report(Progress(self.step, self.steps, seen, self._rate(), self.losses, self.validation, note))


def _bare(network: Any) -> Regressor:
    """The network inside Fabric's wrapper."""
    return network.module if hasattr(network, "module") else network


def _optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """AdamW; biases and normalisations are not decayed."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=schedule.learning_rate)


def _start_worker(number: int) -> None:
    """One thread per loader process."""
    torch.set_num_threads(1)


def train_regressor(
    settings: RegressorSettings,
    sources: Sources,
    validation: Frames | None = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Train a regressor; ``settings.out/checkpoint.pt`` holds the result (:func:`load_regressor`).

    Args:
        settings: see :class:`RegressorSettings`.
        sources: what there is to train on.
        validation: frames of other people for the curves.
        report: called now and then with a :class:`Progress`.

    Returns:
        The last validation's figures.

    Raises:
        TrainingError: a loss is not finite; the last checkpoint is untouched.
        FileError: the checkpoint to go on from is damaged or of other settings.
    """
    return Trainer(settings, sources, validation, report).run()


def read_sources(
    model: FaceModel, photos: StrPath | None = None, synthetic: StrPath | None = None
) -> tuple[Sources, Frames | None]:
    """What there is to train on, and the frames to validate on.

    Args:
        model: the face model.
        photos: folder with any of ``video-train.tar``, ``video-val.tar`` and ``photo-train.tar``.
        synthetic: folder written by :mod:`likeness.train.synthetic`.

    Raises:
        FileError: something is there but cannot be used, or nothing to train on is there.
    """

    def there(name: str) -> Path | None:
        path = None if photos is None else Path(photos) / name
        return path if path is not None and path.is_file() else None

    train, held_out, unlabelled = (there(name) for name in ("video-train.tar", "video-val.tar", "photo-train.tar"))
    if train is None and synthetic is None:
        raise FileError(photos or ".", "expected video-train.tar in it, or a folder of synthetic faces")
    sources = Sources(
        model,
        None if train is None else read_frames(train),
        None if synthetic is None else SyntheticFaces(synthetic, model),
        None if unlabelled is None else read_photos(unlabelled),
    )
    return sources, None if held_out is None else read_frames(held_out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m likeness.train.regressor", description="Train the regressor.")
    parser.add_argument("--model", type=Path, required=True, help="face model (.npz)")
    parser.add_argument("--data", type=Path, help="folder with photos/video-train.tar and so on")
    parser.add_argument("--synthetic", type=Path, help="folder of synthetic faces")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the curves")
    parser.add_argument("--budget", type=int, default=Schedule.budget, help="samples to see")
    parser.add_argument("--learning-rate", type=float, default=Schedule.learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch; 0: its own choice")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--precision", default="32-true")
    return parser.parse_args()


def main() -> None:
    """Command line of this module."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    arguments = _arguments()
    settings = RegressorSettings(
        out=arguments.out,
        schedule=Schedule(budget=arguments.budget, learning_rate=arguments.learning_rate),
        seed=arguments.seed,
        resume=arguments.resume,
        threads=arguments.threads,
        workers=arguments.workers,
        devices=arguments.devices,
        accelerator=arguments.accelerator,
        precision=arguments.precision,
    )
    photos = None if arguments.data is None else arguments.data / "photos"
    sources, validation = read_sources(FaceModel.load(arguments.model), photos, arguments.synthetic)
    train_regressor(settings, sources, validation, _log)


def _log(progress: Progress) -> None:
    """One line of progress."""
    import logging

    def line(values: dict[str, float]) -> str:
        return " ".join(f"{name} {value:.3g}" for name, value in values.items())

    logging.getLogger(__name__).info(
        "step %d/%d, %.0f samples/s %s| %s | %s",
        progress.step,
        progress.steps,
        progress.rate,
        progress.note + " " if progress.note else "",
        line(progress.losses),
        line(progress.validation),
    )


if __name__ == "__main__":
    main()

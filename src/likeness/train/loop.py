"""The loop that all trainings share: a step, then what is due after it, a line, curves, figures or a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from likeness.errors import LikenessError
from likeness.train.checkpoint import write_state
from likeness.train.settings import Progress
from likeness.train.tensorboard import Journal

FIRST_SAVE = 30.0
"""Seconds until the first checkpoint: whoever tries a training out need not wait for one."""

B = TypeVar("B")


class TrainingError(LikenessError):
    """Training cannot go on: says which loss broke at which step and where the last good checkpoint is."""


class Loop:
    """How far a training is, and what it says and keeps of that.

    Args:
        steps: in all.
        per_step: samples seen per step, over all devices.
        checkpoint: the file; None: neither checkpoints nor curves are kept.
        state: what goes into it.
        optimizer: whose learning rate the curves show.
        measure: gives figures now and then; None: there are none.
        report: hears of the progress.
        log_every, measure_every: steps.
        save_seconds: time between checkpoints; the first comes after :data:`FIRST_SAVE` at the latest.
        fabric: Lightning Fabric, launched; None: one process.
        clock: seconds.

    Attributes:
        step: steps that are done; a resumed training sets it.
        losses: means over the steps since the line before.
        figures: the last ones.
    """

    def __init__(
        self,
        steps: int,
        per_step: int,
        checkpoint: Path | None,
        state: Callable[[], dict[str, Any]],
        optimizer: Any,
        *,
        measure: Callable[[], dict[str, float]] | None = None,
        report: Callable[[Progress], None] | None = None,
        log_every: int = 20,
        measure_every: int = 500,
        save_seconds: float = 180.0,
        fabric: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.steps, self.per_step, self.checkpoint, self._state = steps, per_step, checkpoint, state
        self._optimizer, self._measure, self._report, self._fabric = optimizer, measure, report, fabric
        self._log_every, self._measure_every, self._save_seconds = log_every, measure_every, save_seconds
        self._clock = clock
        self._is_first_device = fabric is None or bool(fabric.is_global_zero)
        self.step, self.losses, self.figures = 0, dict[str, float](), dict[str, float]()
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self._first, self._began = 0, clock()
        self._saved: float | None = None
        self.journal = Journal(Path(), False)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """While steps are made: the curves are open, from here on time counts."""
        folder = Path() if self.checkpoint is None else self.checkpoint.parent
        self.journal = Journal(folder, self._is_first_device and self.checkpoint is not None, self.step)
        self._first, self._began = self.step, self._clock()
        try:
            yield
        finally:
            self.journal.close()

    def run(self, batches: Iterable[B], learn: Callable[[B], Mapping[str, Tensor]]) -> None:
        """Make a step of every batch; ``learn`` gives the terms of its loss, and their sum as ``total``."""
        for batch in batches:
            terms = learn(batch)
            self.step += 1
            self._add_up(terms)
            self._after_step()

    def stop_if_broken(self, total: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Before a step is made of them: losses must be finite, on every device, or all stop.

        Raises:
            TrainingError: one is not.
        """
        finite = torch.isfinite(total.detach()).float()
        if self._fabric is not None:
            finite = self._fabric.all_reduce(finite, reduce_op="mean")
        if bool(finite == 1.0):
            return
        broken = [name for name, value in terms.items() if not bool(torch.isfinite(value))]
        path, kept = self.checkpoint, "no checkpoint was written yet"
        if path is not None and path.is_file():
            kept = f"the last good state is in {path}"
        raise TrainingError(f"step {self.step}: not finite: {', '.join(broken) or 'the sum of losses'}; {kept}")

    def measure(self) -> None:
        """New figures, on the first device."""
        if self._measure is not None and self._is_first_device:
            self.figures = self._measure()
            self.journal.scalars("validation", self.figures, self.step)

    def save(self) -> None:
        """Write the checkpoint."""
        if self.checkpoint is not None and self._is_first_device:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            write_state(self.checkpoint, self._state())
        if self._fabric is not None:
            self._fabric.barrier()
        self._saved = self._clock()

    def tell(self, note: str = "") -> None:
        """Say how far it is."""
        if self._report is not None and self._is_first_device:
            seen = self.step * self.per_step
            self._report(Progress(self.step, self.steps, seen, self._rate(), self.losses, self.figures, note))

    def _add_up(self, terms: Mapping[str, Tensor]) -> None:
        for name, value in terms.items():
            known, count = self._sums.get(name, (torch.zeros_like(value), 0))
            self._sums[name] = known + value.detach(), count + 1

    def _after_step(self) -> None:
        is_last, notes = self.step == self.steps, []
        is_due = is_last or self.step % self._log_every == 0
        if is_due:
            self.losses = {name: float(known) / count for name, (known, count) in self._sums.items()}
            self._sums.clear()
            rate = self._optimizer.param_groups[0]["lr"]
            self.journal.scalars("loss", self.losses, self.step)
            self.journal.scalars("run", {"learning_rate": rate, "rate": self._rate()}, self.step)
        if self.step % self._measure_every == 0 and not is_last and self._measure is not None:
            self.measure()
            notes.append("validated")
        if self._is_time_to_save():
            self.save()
            notes.append("checkpoint")
        if notes or is_due or self.step == self._first + 1:
            self.tell(", ".join(notes))

    def _is_time_to_save(self) -> bool:
        """The same answer on every device: the first one's clock."""
        if self._saved is None:
            late = self._clock() - self._began > min(self._save_seconds, FIRST_SAVE)
        else:
            late = self._clock() - self._saved > self._save_seconds
        several = self._fabric is not None and self._fabric.world_size > 1
        return bool(self._fabric.broadcast(late)) if several else late

    def _rate(self) -> float:
        return (self.step - self._first) * self.per_step / max(1e-9, self._clock() - self._began)


def loaded(data: Dataset, numbers: range, workers: int, is_pinned: bool = False) -> DataLoader:
    """Batches of these numbers, made ahead by so many processes of one thread each; 0: in this one."""
    return DataLoader(
        data,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=is_pinned,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # or each loader would draw from the global one
    )


def _start_worker(number: int) -> None:
    torch.set_num_threads(1)

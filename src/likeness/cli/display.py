"""How far long work is, for the terminal: what, how far, how fast, how long still, and three numbers at most.

On a terminal every stage has a bar, by rich; elsewhere (a file, a pipe, a batch system's log) it has a line when it
begins, one now and then, and one when it is done.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from likeness.cli.output import is_quiet
from likeness.progress import Pace, spoken
from likeness.train.settings import Progress

TRAINING = "training"

EVERY, GROWTH = 10.0, 0.02
"""Seconds between two lines, and the share of the time that a stage has taken, if that is more."""

NUMBERS = 3
"""Per line; TensorBoard has the others."""

TELLING = ("nme_second", "auc_mm_photo", "auc_mm_video", "sphere_mm", "pca_less_one_mm", "landmark", "rec", "dense")
"""Which numbers say most of a training, after the sum of its losses; figures come before losses."""


@dataclass
class _Stage:
    pace: Pace
    began: float
    told: float
    done: int
    bar: Any = None


class Display:
    """Hears of stages of work (:data:`likeness.progress.Steps`) and of trainings, and shows them.

    Args:
        tell: prints a line.
        bars: rich's progress, where there is a terminal.
        clock: seconds.
    """

    def __init__(
        self, tell: Callable[[str], None], bars: Any = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.tell, self._bars, self._clock = tell, bars, clock
        self._stages: dict[str, _Stage] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """So many of so many are done."""
        stage, is_new = self._stage(what, done)
        rate, left = stage.pace.rate(done), stage.pace.left(done, total)
        speed = [] if left is None else [f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"]
        self._show(what, stage, is_new, done, total, speed, left)

    def training(self, progress: Progress) -> None:
        """A training's steps, its speed in samples, its most telling numbers, and what happened."""
        stage, is_new = self._stage(TRAINING, progress.step)
        speed, left = [], None
        if progress.rate > 0 and progress.step > 0:
            speed = [f"{progress.rate:,.0f} samples/s"]
            left = (progress.steps - progress.step) * progress.seen / progress.step / progress.rate
        numbers = in_line(most_telling(progress.losses, progress.validation))
        self._show(TRAINING, stage, is_new, progress.step, progress.steps, speed, left, numbers, progress.note)

    def _stage(self, what: str, done: int) -> tuple[_Stage, bool]:
        """The stage of that name; a new one where there is none, or where it begins again."""
        known = self._stages.get(what)
        if known is not None and done >= known.done:
            known.done = done
            return known, False
        now = self._clock()
        self._stages[what] = _Stage(Pace(done, self._clock), now, now, done, None if known is None else known.bar)
        return self._stages[what], True

    def _show(
        self,
        what: str,
        stage: _Stage,
        is_new: bool,
        done: int,
        total: int,
        speed: list[str],
        left: float | None,
        numbers: str = "",
        note: str = "",
    ) -> None:
        is_last = done >= total
        soon = [] if left is None or is_last else [f"{spoken(left)} left"]
        if self._bars is not None:
            if stage.bar is None:
                stage.bar = self._bars.add_task(what, total=total, detail="")
            detail = ", ".join([*speed, *soon, *([numbers] if numbers else [])])
            self._bars.update(stage.bar, completed=done, total=total, detail=detail)
            if note:
                self.tell(f"{what} {done:,}/{total:,}: {note}")
            return
        now = self._clock()
        if not (is_new or is_last or note or now - stage.told >= max(EVERY, GROWTH * (now - stage.began))):
            return
        stage.told = now
        share = [f"{100 * done / max(1, total):.0f} %"] if total else []
        line = f"{what} {done:,}/{total:,} ({', '.join([*share, *speed, *soon])})"
        self.tell(" ".join([line, *([f"| {numbers}"] if numbers else []), *([f"| {note}"] if note else [])]))


def most_telling(losses: Mapping[str, float], figures: Mapping[str, float]) -> dict[str, float]:
    """The :data:`NUMBERS` numbers of a training to be shown: the sum of its losses, and what :data:`TELLING` puts
    first; of other trainings the first there are."""
    every = {**losses, **figures}
    order = ["total", *(name for source in (figures, losses) for name in TELLING if name in source), *every]
    names = [name for name in dict.fromkeys(order) if every.get(name)]  # what is not asked for is 0
    return {name: every[name] for name in names[:NUMBERS]}


def in_line(values: Mapping[str, float]) -> str:
    """Numbers with their names."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def in_lines(values: Mapping[str, float]) -> Iterator[str]:
    """All of many numbers, :data:`NUMBERS` a line."""
    items = [*values.items()]
    for start in range(0, len(items), NUMBERS):
        yield f"  {in_line(dict(items[start : start + NUMBERS]))}"


@contextmanager
def display(lines: bool = True) -> Iterator[Display]:
    """A display for this process: bars where standard error is a terminal, lines on standard output elsewhere.

    Args:
        lines: whether there are; without, nothing is shown where there is no terminal.
    """

    def tell(line: str) -> None:
        if lines:
            print(line, flush=True)

    if is_quiet() or not sys.stderr.isatty():
        yield Display(tell)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    # Lines appear above the bars; those that go into a file go there.
    with Bars(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bars:
        yield Display(tell, bars)

"""Which of the commands of `likeness train` is run, and where its progress is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from likeness.cli.display import display
from likeness.cli.fusion import Fusion, train_on_points
from likeness.cli.generate import (
    Detector,
    Export,
    Morphs,
    Skins,
    Synthetic,
    export,
    mix_morphs,
    render_synthetic,
    take_skins,
    train_detector,
)
from likeness.cli.output import complain
from likeness.cli.train import LabelPoints, Photos, Scans, Train, label_photos, train_on_photos, train_on_scans
from likeness.files import check_writable
from likeness.result_folder import RECORDS
from likeness.unfinished import alone_in

PROCESS_NUMBERS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")

RUNS: dict[type, Any] = {
    Photos: train_on_photos,
    Scans: train_on_scans,
    Detector: train_detector,
    Skins: take_skins,
    Synthetic: render_synthetic,
    Morphs: mix_morphs,
    LabelPoints: label_photos,
    Fusion: train_on_points,
    Export: export,
}
"""What each command runs: with its settings and a display; it gives a word about what is wrong with the result, if
anything is."""


def train(settings: Train) -> int:
    """Run one of the commands of ``likeness train``."""
    action = settings.action
    if not isinstance(action, Synthetic | LabelPoints | Skins):
        from likeness.train import needs_torch  # noqa: F401
    is_folder = not isinstance(action, Scans | Export | LabelPoints | Skins)
    check_writable(action.out if is_folder else action.out.parent)
    with display() as shown, _alone(action.out) if is_folder else nullcontext():
        problem = RUNS[type(action)](action, shown)
    if problem:
        complain(problem)
    return 1 if problem else 0


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a folder: two trainings in one would each go on from the other's checkpoint.

    Of one training's processes (those of torchrun, SLURM and Lightning know their number) the first holds it.

    Raises:
        FileError: another run holds it, or it cannot be written to.
    """
    if next((os.environ[name] for name in PROCESS_NUMBERS if name in os.environ), "0") != "0":
        yield
        return
    held = out / RECORDS  # the folder itself is held where results take their places
    check_writable(held)
    try:
        with alone_in(held):
            yield
    finally:
        with suppress(OSError):  # there are records
            held.rmdir()

"""Which of the commands of `likeness train` is run, and where its progress is shown."""

from __future__ import annotations

import sys
from typing import Any

from likeness.cli.fusion import Fusion, train_on_points
from likeness.cli.generate import (
    Detector,
    Export,
    Morphs,
    Synthetic,
    export,
    mix_morphs,
    render_synthetic,
    train_detector,
)
from likeness.cli.train import LabelPoints, Photos, Scans, Train, label_photos, train_on_photos, train_on_scans
from likeness.files import check_writable


def train(settings: Train) -> int:
    """Run one of the commands of ``likeness train``."""
    from rich.console import Console

    from likeness.cli.terminal import progress_steps

    def tell(line: str) -> None:
        print(line, flush=True)

    action = settings.action
    if not isinstance(action, Synthetic | LabelPoints):
        from likeness.train import needs_torch  # noqa: F401
    is_folder = not isinstance(action, Scans | Export | LabelPoints)
    check_writable(action.out if is_folder else action.out.parent)
    problem = ""
    runs: dict[type, Any] = {
        Photos: train_on_photos,
        Detector: train_detector,
        Fusion: train_on_points,
        Export: export,
        LabelPoints: label_photos,
    }
    if type(action) in runs:
        runs[type(action)](action, tell)
    elif isinstance(action, Scans):
        problem = train_on_scans(action, tell)
    else:
        with progress_steps(Console(stderr=True)) as step:
            if isinstance(action, Synthetic):
                render_synthetic(action, step, tell)
            elif isinstance(action, Morphs):
                mix_morphs(action, step, tell)
    if problem:
        print(f"likeness: {problem}", file=sys.stderr)
    return 1 if problem else 0

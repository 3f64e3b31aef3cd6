"""Which of the commands of `likeness train` is run, and where its progress is shown."""

from __future__ import annotations

import sys
from typing import Any

from likeness.cli.display import display
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

RUNS: dict[type, Any] = {
    Photos: train_on_photos,
    Scans: train_on_scans,
    Detector: train_detector,
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
    if not isinstance(action, Synthetic | LabelPoints):
        from likeness.train import needs_torch  # noqa: F401
    is_folder = not isinstance(action, Scans | Export | LabelPoints)
    check_writable(action.out if is_folder else action.out.parent)
    with display() as shown:
        problem = RUNS[type(action)](action, shown)
    if problem:
        print(f"likeness: {problem}", file=sys.stderr)
    return 1 if problem else 0

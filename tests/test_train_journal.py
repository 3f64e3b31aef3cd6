"""Laws of the curves of a training: a run's own are kept, an earlier run's are not drawn into them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from likeness.train.tensorboard import Journal


def write(folder: Path, first: int, last: int, value: float) -> None:
    """The steps FIRST + 1 to LAST of a training."""
    journal = Journal(folder, True, first)
    for step in range(first + 1, last + 1):
        journal.scalars("loss", {"total": value}, step)
    journal.picture("face", np.zeros((4, 4, 3), np.uint8), last)
    journal.close()


def curve(folder: Path) -> list[tuple[int, float]]:
    """Steps and values as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return [(event.step, event.value) for event in read.Scalars("loss/total")]


def test_a_resumed_training_goes_on_with_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 0, 4, 1.0)
    later = time.time() + 10.0  # TensorBoard orders files of one second by a number that is text: 10 before 9
    monkeypatch.setattr(time, "time", lambda: later)
    write(tmp_path, 3, 5, 2.0)
    assert curve(tmp_path) == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0)]


def test_a_training_that_begins_anew_has_its_own_curves_only(tmp_path: Path) -> None:
    theirs = tmp_path / "events.out.tfevents.1.their-machine.1.0"
    theirs.write_bytes(b"")
    write(tmp_path, 0, 4, 1.0)
    write(tmp_path, 0, 2, 2.0)
    assert curve(tmp_path) == [(1, 2.0), (2, 2.0)]
    assert len(list(tmp_path.iterdir())) == 2
    assert theirs.exists()


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run", False)
    journal.scalars("loss", {"total": 1.0}, 1)
    journal.close()
    assert not (tmp_path / "run").exists()

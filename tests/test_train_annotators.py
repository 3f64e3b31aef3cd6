"""Laws of taking out the annotators' side: it is found whatever the scale, and taken out it is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from train_sources import write_frames  # noqa: E402

from likeness.datasets import Frames, read_frames  # noqa: E402
from likeness.train.photos import landmark_bias as annotators  # noqa: E402
from likeness.train.photos.inference import Located  # noqa: E402
from likeness.train.photos.landmark_bias import centered, sideways  # noqa: E402


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return read_frames(write_frames(tmp_path / "frames.tar"))


def a_network_that_sees(frames: Frames, bias: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the points of ``frames`` are, but too far to its own right by so many pixels, also in mirror images."""
    waiting: dict[bool, list[int]] = {False: [], True: []}

    def locate(network: Any, head: Any, images: list[np.ndarray], crops: Any, mirrored: bool = False) -> Located:
        first = len(waiting[mirrored])
        waiting[mirrored] += range(len(images))
        shift = np.array([-bias if mirrored else bias, 0.0])
        return Located(frames.landmarks[first : first + len(images)] + shift, np.ones(len(images)))

    monkeypatch.setattr(annotators, "locate", locate)


@pytest.mark.parametrize("share", [0.0, 0.015, -0.04])
@pytest.mark.parametrize("bias", [0.0, 3.0])
def test_the_annotators_side_is_found(
    share: float, bias: float, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_network_that_sees(frames, bias, monkeypatch)
    annotated = centered(frames, -share)
    assert sideways(None, None, annotated, batch=3) == pytest.approx(share, abs=1e-4)  # type: ignore[arg-type]


def test_a_shift_out_and_in_is_none(frames: Frames) -> None:
    moved = centered(frames, 0.02)
    np.testing.assert_allclose(centered(moved, -0.02).landmarks, frames.landmarks, atol=1e-4)
    assert (moved.landmarks[..., 0] < frames.landmarks[..., 0]).all()
    np.testing.assert_array_equal(moved.landmarks[..., 1], frames.landmarks[..., 1])

"""Memory of a video's reconstruction is flat in its length, but for what tells people apart and moves a head."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from acted_videos import act, filmed
from video_files import write_video

from likeness import Camera, FaceModel, Reconstruction, Reconstructor
from likeness.geometry.rotation import FRONTAL
from likeness.images.video import Frame
from likeness.reconstruct import video as module
from likeness.reconstruct.performance import Performance
from likeness.reconstruct.tracking import Memory, Tracker
from likeness.reconstruct.video import reconstruct_video
from likeness.reconstruct.video_chunks import packed, unpacked

STEP = 12
"""Frames that are looked at with the network; the others show the same."""

FIRST, LAST = 3 * STEP, 13 * STEP
"""Frames after which memory is looked at, and of the video."""

A_FACE = 3000
"""Bytes of a face and frame that may stay in memory: pose, weights and what tells people apart are 1.5 kB. A frame
takes 92 kB, a face as it is seen 15."""

A_LINE = 2400
"""Bytes of a frame that smoothing or writing may take at once: its line in the CSV is 0.7 kB of text, twice at the
end, and as numbers 0.5."""


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor(threads=1)


@pytest.fixture(scope="module")
def shown(reconstructor: Reconstructor) -> list[np.ndarray]:
    return filmed(reconstructor.model, [act(reconstructor.model, 1, STEP)])


@pytest.fixture(scope="module")
def seen(reconstructor: Reconstructor, shown: list[np.ndarray]) -> list[list[tuple[int, Reconstruction]]]:
    """What the tracker sees in each of these frames."""
    track = Tracker(reconstructor)
    return [track(Frame(number, number / 30, image)) for number, image in enumerate(shown)]


class Repeating:
    """A tracker that has seen the frames before: what it costs to look at them is not what is measured."""

    def __init__(self, seen: list[list[tuple[int, Reconstruction]]]) -> None:
        self.seen, self.memory = seen, Memory()

    def __call__(self, frame: Frame) -> list[tuple[int, Reconstruction]]:
        return self.seen[frame.number % STEP]


def test_memory_is_flat_in_length(
    reconstructor: Reconstructor,
    shown: list[np.ndarray],
    seen: list[list[tuple[int, Reconstruction]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "Tracker", lambda *_: Repeating(seen))
    monkeypatch.setattr(module, "FRAMES", STEP)
    path = write_video(tmp_path / "a.mp4", [shown[n % STEP] for n in range(LAST)], rate=30.0)
    held: dict[tuple[str, int], int] = {}

    def steps(what: str, done: int, total: int) -> None:
        if done in (FIRST, LAST):
            gc.collect()
            held[what, done] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        result = reconstruct_video(reconstructor, path, steps=steps)
    finally:
        tracemalloc.stop()
    assert [len(person) for person in result.people] == [LAST]
    for what in ("faces", "expressions"):
        assert held[what, LAST] - held[what, FIRST] < A_FACE * (LAST - FIRST), what


def test_a_face_does_not_hold_the_chunk_that_it_is_of(
    reconstructor: Reconstructor, seen: list[list[tuple[int, Reconstruction]]]
) -> None:
    """The frames that a code is fused from may be of as many chunks."""
    arrays = packed([face for found in seen for _, face in found])
    face = unpacked(arrays, 1, reconstructor.model, (320, 256), "")
    assert face.cues is not None
    for part in (face, face.coefficients, face.cues):
        held = [value for value in vars(part).values() if isinstance(value, np.ndarray)]
        assert held
        assert not any(np.shares_memory(one, whole) for one in held for whole in arrays.values())


def test_smoothing_and_writing_take_no_more(reconstructor: Reconstructor, tmp_path: Path) -> None:
    """Of a frame at the most, beyond what the head itself takes."""
    taken: dict[str, list[int]] = {}
    for count in (500, 2500):
        person = performance(reconstructor.model, count)
        work: dict[str, Callable[[], object]] = {"steadied": person.steadied}
        for kind in ("csv", "json", "glb"):
            work[kind] = partial(getattr(person, f"write_{kind}"), tmp_path / f"a.{kind}")
        for name, do in work.items():
            gc.collect()
            tracemalloc.start()
            do()
            taken.setdefault(name, []).append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    for name, (few, many) in taken.items():
        assert many - few < A_LINE * 2000, name


def performance(model: FaceModel, count: int) -> Performance:
    """Somebody in so many frames, in one piece."""
    rng = np.random.default_rng(0)
    return Performance(
        model=model,
        identity=np.zeros(len(model.identity_basis), np.float32),
        albedo=np.zeros(len(model.albedo_names), np.float32),
        camera=Camera(600.0, (159.5, 127.5), (320, 256)),
        rate=30.0,
        frames=np.arange(count),
        times=np.arange(count) / 30.0,
        tracks=np.zeros(count, int),
        expression=rng.random((count, len(model.expression_names)), np.float32),
        rotation=np.repeat(FRONTAL[None].astype(np.float32), count, 0),
        translation=np.tile(np.array([0.0, 0.0, 600.0], np.float32), (count, 1)),
        score=np.ones(count),
    )

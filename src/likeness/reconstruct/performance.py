"""A person of a video: one head, how it moves and makes faces, and the files that this is saved to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import printable
from likeness.files import write_atomically
from likeness.geometry.camera import Camera
from likeness.geometry.quaternions import continuous_quaternions, rotations_from_quaternions
from likeness.geometry.rotation import FRONTAL
from likeness.mesh import Mesh
from likeness.mesh.animation import Animation
from likeness.model.face_model import ARKIT_NAMES, FaceModel
from likeness.model.head import write_head_glb
from likeness.reconstruct.live_link import gaze_angles, live_link_csv
from likeness.reconstruct.rigged import rounded
from likeness.reconstruct.smoothing import smoothed
from likeness.result_folder import Source

GAP = 0.25
"""Seconds without the face that are not bridged: the head holds still and goes on where it is seen again."""

WEIGHT_NOISE, FAST_NOISE = 0.05, 0.01
"""Standard deviation of the noise that weights have at least, and the :data:`FAST` ones among them."""

FAST = ("eyeBlink", "eyeSquint", "eyeWide", "jawOpen")
"""Lids and jaw, which points show well and whose movements take a few frames."""

HOLD = 1e-3
"""Seconds before a face is seen again at which it leaves the place where it was lost."""


@dataclass(frozen=True, eq=False)
class PerformanceFrame:
    """A person in one frame.

    Args:
        number, time: of the frame; seconds from the video's first.
        expression: (E,) weights.
        rotation, translation: (3, 3) and (3,) mm, model axes -> camera axes, as in :class:`likeness.Reconstruction`.
        score: 0 to 1, how sure it is that this is a face.
    """

    number: int
    time: float
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    score: float


@dataclass(frozen=True, eq=False)
class Performance:
    """One person of a video. Iterating gives :class:`PerformanceFrame` of each frame that shows them.

    Args:
        model: the face model.
        identity: (K,) the code, the same in all frames.
        albedo: (A,) weights.
        camera: of the video, the same in all frames.
        rate: frames a second, as the file announces them.
        frames: (N,) numbers of the frames that show the person.
        times: (N,) seconds.
        tracks: (N,) numbers of unbroken pieces: nothing is smoothed over their ends.
        expression: (N, E) weights.
        rotation: (N, 3, 3) model axes -> camera axes.
        translation: (N, 3) mm.
        score: (N,) 0 to 1.
        name: of the video, without folder and suffix.
        source: the video's file.
        number: of the person among the video's, from 1.
    """

    model: FaceModel
    identity: np.ndarray
    albedo: np.ndarray
    camera: Camera
    rate: float
    frames: np.ndarray
    times: np.ndarray
    tracks: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    score: np.ndarray
    name: str = "video"
    source: Source = field(default_factory=Source)
    number: int = 1

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, row: int) -> PerformanceFrame:
        return PerformanceFrame(
            int(self.frames[row]),
            float(self.times[row]),
            self.expression[row],
            self.rotation[row],
            self.translation[row],
            float(self.score[row]),
        )

    def __iter__(self) -> Iterator[PerformanceFrame]:
        return (self[row] for row in range(len(self)))

    def vertices(self, row: int | None = None) -> np.ndarray:
        """Vertices (V, 3) mm, model axes, with the expression of the ``row``-th of its frames; None: at rest."""
        return self.model.vertices(self.identity, None if row is None else self.expression[row])

    def mesh(self) -> Mesh:
        """The head at rest, coloured."""
        return self.model.mesh(self.identity, albedo=self.albedo)

    def pieces(self) -> list[slice]:
        """The rows between gaps (of more than :data:`GAP` seconds) and ends of tracks."""
        breaks = (np.diff(self.times) > GAP) | (np.diff(self.tracks) != 0)
        ends = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(self)]
        return [slice(a, b) for a, b in pairwise(ends)]

    def steadied(self) -> Performance:
        """Without jitter and without lag (:mod:`likeness.reconstruct.smoothing`), piece by piece."""
        least = np.array(
            [FAST_NOISE if name.startswith(FAST) else WEIGHT_NOISE for name in self.model.expression_names]
        )
        parts = [
            _steadied(least, self.times[piece], self.expression[piece], self.rotation[piece], self.translation[piece])
            for piece in self.pieces()
        ]
        weights, rotation, translation = (np.concatenate(one) for one in zip(*parts, strict=True))
        return replace(self, expression=weights, rotation=rotation, translation=translation)

    def animation(self) -> Animation:
        """In a scene whose camera, at the origin, looks along -z (glTF's); in gaps the head holds still."""
        pieces = self.pieces()
        rows = np.arange(len(self))
        times = self.times.copy()
        for piece in reversed(pieces[1:]):
            if times[piece.start] - times[piece.start - 1] > 2 * HOLD + GAP:
                rows = np.insert(rows, piece.start, piece.start - 1)
                times = np.insert(times, piece.start, times[piece.start] - HOLD)
        return Animation(
            times,
            self.expression[rows],
            FRONTAL @ self.rotation[rows],
            self.translation[rows] @ FRONTAL,
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``NAME.json`` holds: the head and, of every frame, when it is shown and where the head is."""
        return {
            "video": printable(self.name),
            "source": self.source.to_dict(),
            "person": self.number,
            "model": self.model.name,
            "rate": round(self.rate, 4),
            "camera": self.camera.to_dict(),
            "identity": rounded(self.identity, 5),
            "albedo": dict(zip(self.model.albedo_names, rounded(self.albedo, 5), strict=True)),
            "frames": self.frames.tolist(),
            "times": rounded(self.times, 4),
            "rotation": rounded(self.rotation, 6),
            "translation": rounded(self.translation, 3),
            "score": rounded(self.score, 4),
        }

    def write_glb(self, path: Path) -> None:
        """The head with its shapes and the animation."""
        extras = {"model": self.model.name, "source": self.source.to_dict(), "identity": rounded(self.identity, 5)}
        name = printable(self.name)
        write_head_glb(path, self.model, self.mesh(), None, name, extras, animation=self.animation())

    def write_csv(self, path: Path) -> None:
        """The table (:mod:`likeness.reconstruct.live_link`)."""
        if self.model.expression_names != ARKIT_NAMES:
            raise ValueError("expected a face model with ARKit's expressions for a Live Link Face table, got others")
        eyes = gaze_angles(self.expression)
        head = FRONTAL @ self.rotation
        write_atomically(path, live_link_csv(self.times, self.rate, self.expression, head, eyes))

    def write_json(self, path: Path) -> None:
        """:meth:`to_dict`."""
        write_atomically(path, (json.dumps(self.to_dict()) + "\n").encode())


def _steadied(
    least: np.ndarray, times: np.ndarray, expression: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (N, E) with at least so much noise (E,), rotations (N, 3, 3) and translations (N, 3), float32. Places
    are smoothed as direction and distance, which are known so differently well."""
    weights = np.clip(smoothed(times, expression, least), 0.0, 1.0)
    turned = rotations_from_quaternions(smoothed(times, continuous_quaternions(rotation)))
    x, y, z = np.asarray(translation, np.float64).T
    sight = smoothed(times, np.stack([x / z, y / z, np.log(z)], axis=1))
    distance = np.exp(sight[:, 2])
    place = np.stack([sight[:, 0] * distance, sight[:, 1] * distance, distance], axis=1)
    return weights.astype(np.float32), turned.astype(np.float32), place.astype(np.float32)

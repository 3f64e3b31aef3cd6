"""Videos of rendered heads that move and make faces in a known way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from likeness import ARKIT_NAMES, FaceModel
from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.render.shading import overlay

SIZE = (192, 160)
BACKGROUND = (70, 90, 110)
DISTANCE = 700.0


@dataclass(frozen=True, eq=False)
class Act:
    """What one person does in N frames.

    Args:
        identity, albedo: of the person.
        weights: (N, 52).
        angles: (N, 3) yaw, pitch, roll, radians.
        place: (N, 3) mm from the middle of the picture, camera axes.
        seen: (N,) bool, in which frames the person is there.
    """

    identity: np.ndarray
    albedo: np.ndarray
    weights: np.ndarray
    angles: np.ndarray
    place: np.ndarray
    seen: np.ndarray = field(default_factory=lambda: np.ones(0, bool))

    def rotation(self, frame: int) -> np.ndarray:
        return FRONTAL @ rotation_from_euler(*self.angles[frame])

    def translation(self, frame: int) -> np.ndarray:
        return self.place[frame] + [0.0, 0.0, DISTANCE]


def person(model: FaceModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Somebody's code and albedo."""
    rng = np.random.default_rng(seed)
    code = model.space.sample(1, rng)[0]
    return code, 0.6 * rng.normal(size=len(model.albedo_names))


def act(model: FaceModel, seed: int, count: int, x: np.ndarray | float = 0.0) -> Act:
    """Somebody who sways a little, with the mouth opening once and a blink."""
    code, albedo = person(model, seed)
    share = np.linspace(0, 1, count)
    weights = np.zeros((count, 52))
    weights[:, ARKIT_NAMES.index("jawOpen")] = 0.5 * np.sin(np.pi * share) ** 2
    angles = np.stack([0.25 * np.sin(2 * np.pi * share), 0.06 * np.cos(5 * share), 0.05 * share], axis=1)
    place = np.stack([np.broadcast_to(x, count), 20 + 10 * share, 0 * share], axis=1)
    return Act(code, albedo, weights, angles, place, np.ones(count, bool))


def camera(size: tuple[int, int] = SIZE) -> Camera:
    return Camera(2.6 * size[1], ((size[0] - 1) / 2, (size[1] - 1) / 2), size)


def filmed(model: FaceModel, acts: list[Act], size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Frames (H, W, 3) with all of them, those who are nearer over the others."""
    frames = []
    ground = np.empty((size[1], size[0], 3), np.uint8)
    ground[:] = BACKGROUND
    ground[::16] //= 2
    for number in range(len(acts[0].weights)):
        picture = ground
        for one in sorted(acts, key=lambda other: -other.place[number, 2]):
            if one.seen[number]:
                vertices = model.vertices(one.identity, one.weights[number])
                pose = one.rotation(number), one.translation(number)
                triangles, albedo = model.topology.triangles, model.albedo(one.albedo)
                picture = overlay(picture, vertices, triangles, camera(size), *pose, albedo=albedo, alpha=1.0)
        frames.append(picture)
    return frames

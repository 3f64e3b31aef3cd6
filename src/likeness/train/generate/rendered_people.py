"""Renders people for measuring: a fixed set by its seed, which no training with another seed has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from likeness.datasets.rendered_people import photo_name, write_truth
from likeness.files import write_atomically
from likeness.geometry.camera import Camera, image_center
from likeness.images.encode import png_bytes
from likeness.model.face_model import FaceModel
from likeness.train.generate.rendered import SEEDS, Sample, SyntheticFaces
from likeness.train.photos.augment import procedural_background

SIZE = 256
"""Pixels of the pictures: the face is about 155 high, more than networks look at."""

SEED = 777
"""Of the people that are measured; trainings take small seeds."""


def render_people(model: FaceModel, out: Path, count: int, seed: int = SEED) -> None:
    """Render ``count`` people into ``out``: pictures, and the truth as :mod:`likeness.datasets.rendered_people` reads
    it. A folder that is complete is left as it is.

    Raises:
        FileError: the folder cannot be written to.
    """
    stamp, made = out / "made_from.txt", f"{model.name} {_fingerprint(model)} {count} {seed} {SIZE}\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == made:
        return
    out.mkdir(parents=True, exist_ok=True)
    faces = SyntheticFaces(model, SIZE)
    vertices, landmarks, yaw = [], [], []
    for number in range(count):
        face = faces(seed * SEEDS + number)
        picture = over_background(face.rgba, np.random.default_rng([seed, number]))
        write_atomically(out / photo_name(number), png_bytes(picture))
        vertices.append(model.vertices(face.identity))
        landmarks.append(landmarks_of(face, model))
        forward = face.rotation @ np.array([0.0, 0.0, 1.0])
        yaw.append(np.degrees(np.arctan2(forward[0], -forward[2])))
    write_truth(out, np.stack(vertices), np.stack(landmarks), np.array(yaw))
    write_atomically(stamp, made.encode())


def over_background(rgba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, S, 3) uint8: a picture with alpha (S, S, 4) over something procedural."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = rgba[..., :3] * alpha + procedural_background(len(rgba), rng) * (1 - alpha)
    return np.asarray(np.rint(mixed), np.uint8)


def landmarks_of(face: Sample, model: FaceModel) -> np.ndarray:
    """The 68 points (68, 2) of a rendered face, pixels of its picture."""
    side = face.rgba.shape[0]
    camera = Camera(float(face.focal), image_center((side, side)), (side, side))
    return model.seen_landmarks(face.identity, face.expression, camera, face.rotation, face.translation)


def _fingerprint(model: FaceModel) -> str:
    """Changes with the model's shapes."""
    return f"{np.abs(model.mean).sum():.6e} {np.abs(model.identity_basis).sum():.6e}"

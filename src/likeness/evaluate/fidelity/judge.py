"""The judge: a face recogniser that had no part in training says whose head it is shown.

Heads are drawn with their colours, at rest, from the front, under one light. Only a measurement: a judge that helps
to choose a network is no judge any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.landmarks import INNER_COUNT
from likeness.geometry.rotation import FRONTAL
from likeness.metrics.fidelity_points import FRONT_DISTANCE
from likeness.networks.recogniser import aligned_to, five_of
from likeness.networks.session import open_session
from likeness.reconstruct.result import Reconstruction
from likeness.render import render_image

SIZE = 150
EXPECTED = np.array([(46.08, 46.46), (102.22, 45.57), (75.96, 77.23), (51.01, 102.36), (99.73, 103.04)])
"""Where dlib's face recognition network expects the image's left and right eye, nose tip, left and right corner of
the mouth, in 150 x 150 pixels."""

PICTURE, PICTURE_MM = 320, 360.0
"""Pixels of the drawn head's picture, and what its side covers at the head's distance."""


@dataclass(frozen=True)
class JudgeResult:
    """What the judge says; shares of all trials, and chance.

    Args:
        people: N.
        rank1: share of drawn heads that are most like their own person among another photo of each.
        nearer: share of comparisons with another person in which the own photo is more like the head: 0.5 is chance.
        photos_rank1: the same as ``rank1`` for the photos themselves instead of the heads.
        chance: ``1 / N``.
    """

    people: int
    rank1: float
    nearer: float
    photos_rank1: float
    chance: float

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


class Judge:
    """dlib's face recognition network in ONNX: ``image (n, 3, 150, 150)`` RGB 0..255 -> embeddings, by cosine.

    Raises:
        FileError: missing, damaged, or of other shapes.
    """

    def __init__(self, path: StrPath, threads: int | None = None) -> None:
        self.session = open_session(path, "a face-recognition network", threads=threads)
        shapes = [tuple(one.shape[1:]) for one in self.session.get_inputs()]
        if shapes != [(3, SIZE, SIZE)]:
            raise FileError(path, f"expected one input (n, 3, {SIZE}, {SIZE}), got {shapes}")

    def __call__(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(D,) of unit length: the face with these 68 landmarks (pixels) in a picture (H, W, 3) uint8."""
        face = aligned_to(image, five_of(np.asarray(landmarks, np.float64)), EXPECTED, SIZE)
        pixels = np.ascontiguousarray(face.transpose(2, 0, 1)[None], np.float32)
        code = self.session.run(None, {self.session.get_inputs()[0].name: pixels})[0][0]
        return np.asarray(code / np.linalg.norm(code))


def drawn_from_front(face: Reconstruction) -> tuple[np.ndarray, np.ndarray]:
    """A head with its colours, at rest, from the front: picture (S, S, 3) uint8, and its 68 landmarks there."""
    model, identity = face.model, face.coefficients.identity
    size = (PICTURE, PICTURE)
    camera = Camera(PICTURE * FRONT_DISTANCE / PICTURE_MM, image_center(size), size)
    points = model.landmark_points(identity)
    shift = np.array([0.0, 0.0, FRONT_DISTANCE]) - FRONTAL @ points[:INNER_COUNT].mean(0)
    picture = render_image(
        model.vertices(identity),
        model.topology.triangles,
        model.albedo(face.coefficients.albedo),
        camera,
        FRONTAL,
        shift,
    )
    return picture, np.asarray(model.landmark_map.project(camera, points @ FRONTAL.T + shift, FRONTAL))


def judged(judge: Judge, first: Sequence[Reconstruction], second: Sequence[Reconstruction]) -> JudgeResult:
    """Show the judge the heads of both photos of N people, each to be told among the others' photos.

    Args:
        judge: the recogniser.
        first, second: of the same N people in the same order, two photos each.

    Raises:
        ValueError: other numbers of people.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"expected two photos of each of at least 2 people, got {len(first)} and {len(second)}")
    photos = [np.stack([judge(face.photo, face.landmarks) for face in faces]) for faces in (first, second)]
    heads = [np.stack([judge(*drawn_from_front(face)) for face in faces]) for faces in (first, second)]
    own, nearer = zip(*(told(a, b) for a, b in ((heads[0], photos[1]), (heads[1], photos[0]))), strict=True)
    by_photo = [told(a, b)[0] for a, b in (photos, photos[::-1])]
    return JudgeResult(
        len(first), float(np.mean(own)), float(np.mean(nearer)), float(np.mean(by_photo)), 1 / len(first)
    )


def told(probes: np.ndarray, gallery: np.ndarray) -> tuple[float, float]:
    """Rank-1, and the share of others less like a probe than its own, of unit embeddings (N, D) by cosine."""
    likeness = probes @ gallery.T
    own = np.diag(likeness)[:, None]
    others = ~np.eye(len(probes), dtype=bool)
    best = np.where(others, likeness, -np.inf).max(1, keepdims=True)
    return float((own > best).mean()), float((own > likeness)[others].mean())

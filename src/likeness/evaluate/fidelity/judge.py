"""The judge: a face recogniser that had no part in training says whose head it is shown.

Heads are drawn at rest under one light: with the texture of the photo or with the face model's colours or grey, from
the front or turned. Only a measurement: a judge that helps to choose anything is no judge any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.landmarks import INNER_COUNT
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.metrics.fidelity_points import FRONT_DISTANCE
from likeness.networks.recogniser import FIVE_POINTS, aligned_to, five_of
from likeness.networks.session import open_session
from likeness.reconstruct.result import Reconstruction
from likeness.render import render_image
from likeness.render.texture import Texture

EXPECTED = {
    150: np.array([(46.08, 46.46), (102.22, 45.57), (75.96, 77.23), (51.01, 102.36), (99.73, 103.04)]),
    112: FIVE_POINTS + [8.0, 0.0],
}
"""Where networks expect the image's left and right eye, nose tip, left and right corner of the mouth, by the side of
their square pictures: dlib's face recognition network, SFace."""

SURFACES = ("texture", "albedo", "grey")
"""How heads can be drawn: the photo's own skin, the face model's colours, none."""

PICTURE, PICTURE_MM = 320, 360.0
"""Pixels of the drawn head's picture, and what its side covers at the head's distance."""


Surface = str | np.ndarray


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
    """A face recogniser in ONNX that takes RGB 0..255 -> embeddings, compared by cosine: dlib's (n, 3, 150, 150), or
    SFace (n, 3, 112, 112), which is no judge where it was distilled.

    Raises:
        FileError: missing, damaged, or of other shapes.
    """

    def __init__(self, path: StrPath, threads: int | None = None) -> None:
        self.session = open_session(path, "a face-recognition network", threads=threads)
        shapes = [tuple(one.shape[1:]) for one in self.session.get_inputs()]
        if shapes not in ([(3, side, side)] for side in EXPECTED):
            raise FileError(path, f"expected one input (n, 3, S, S) with S one of {[*EXPECTED]}, got {shapes}")
        self.size = shapes[0][1]

    def __call__(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(D,) of unit length: the face with these 68 landmarks (pixels) in a picture (H, W, 3) uint8."""
        face = aligned_to(image, five_of(np.asarray(landmarks, np.float64)), EXPECTED[self.size], self.size)
        pixels = np.ascontiguousarray(face.transpose(2, 0, 1)[None], np.float32)
        code = self.session.run(None, {self.session.get_inputs()[0].name: pixels})[0][0]
        return np.asarray(code / np.linalg.norm(code))


def drawn_head(face: Reconstruction, surface: Surface, yaw: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A head at rest: picture (S, S, 3) uint8, and its 68 landmarks (68, 2) there.

    Args:
        face: of a photo.
        surface: one of :data:`SURFACES`, or the (S, S, 3) texture.
        yaw: radians to the head's left.
    """
    model, identity = face.model, face.coefficients.identity
    size, rotation = (PICTURE, PICTURE), FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0)
    camera = Camera(PICTURE * FRONT_DISTANCE / PICTURE_MM, image_center(size), size)
    points = model.landmark_points(identity)
    shift = np.array([0.0, 0.0, FRONT_DISTANCE]) - rotation @ points[:INNER_COUNT].mean(0)
    skin = _skin(face, surface)
    picture = render_image(model.vertices(identity), model.topology.triangles, skin, camera, rotation, shift)
    return picture, np.asarray(model.landmark_map.project(camera, points @ rotation.T + shift, rotation))


def _skin(face: Reconstruction, surface: Surface) -> np.ndarray | Texture | None:
    topology = face.model.topology
    if isinstance(surface, np.ndarray):
        return Texture(surface, topology.uv, topology.uv_triangles)
    if surface not in SURFACES:
        raise ValueError(f"expected a surface of {SURFACES}, got {surface!r}")
    if surface == "texture":
        return Texture(face.texture(), topology.uv, topology.uv_triangles)
    return face.model.albedo(face.coefficients.albedo) if surface == "albedo" else None


def judged(
    judge: Judge, first: Sequence[Reconstruction], second: Sequence[Reconstruction], surface: Surface = "albedo"
) -> JudgeResult:
    """Show the judge the heads of both photos of N people, each to be told among the others' photos.

    Args:
        judge: the recogniser.
        first, second: of the same N people in the same order, two photos each.
        surface: how heads are drawn, one of :data:`SURFACES`; by default with what the network says of colours, not
            with the photo's own skin, which would answer for it.

    Raises:
        ValueError: other numbers of people.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"expected two photos of each of at least 2 people, got {len(first)} and {len(second)}")
    photos = [np.stack([judge(face.photo, face.landmarks) for face in faces]) for faces in (first, second)]
    heads = [np.stack([judge(*drawn_head(face, surface)) for face in faces]) for faces in (first, second)]
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

"""MediaPipe's points of a face in a photo, as the mean of several looks at it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from likeness.geometry.crop import Crop
from likeness.geometry.landmarks import eye_centers
from likeness.model.surface_points import PointMap
from likeness.networks.mediapipe import SIZE, FaceLandmarker

SIDE = 1.5
"""A crop's side over the longer side of the box of its points."""

FIRST_SIDE, FIRST_RISE = 1.8, 0.12
"""The first look's side over the longer side of the box of the 68 landmarks, and how much higher its middle lies: the
points reach further up, over the forehead."""

VIEWS = ((0.95, False), (1.05, True))
"""Sides of the looks over the usual one, and whether they see the mirror image: what the network gets wrong in one it
often gets right in another."""

RIGHT_EYE, LEFT_EYE = 33, 263
"""The outer corners of the eyes, by MediaPipe's numbers: they say how far a face is turned in the picture."""

FACE = 468
"""Points before those of the irises."""


@dataclass(frozen=True, eq=False)
class TeacherPoints:
    """What several looks found.

    Attributes:
        points: (478, 3) mean; x, y photo pixels, z in the same unit.
        deviation: (478,) by how much the looks disagree: standard deviation of x and of y, photo pixels.
        chance: 0 to 1 that there is a face, the least of all looks.
    """

    points: np.ndarray
    deviation: np.ndarray
    chance: float


def teacher_points(
    image: np.ndarray, landmarks: np.ndarray, network: FaceLandmarker, points: PointMap
) -> TeacherPoints:
    """MediaPipe's points of the face with these landmarks.

    Two looks find the face, each at the crop that the one before it gives; the mean of further ones is the answer.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (68, 2) iBUG points, photo pixels: about where the face is.
        network: MediaPipe's.
        points: the map of its points: which are each other's mirror images.
    """
    low, high = landmarks.min(0), landmarks.max(0)
    right, left = eye_centers(landmarks)
    eyes = left - right
    angle, side = math.atan2(eyes[1], eyes[0]), float((high - low).max())
    up = np.array([math.sin(angle), -math.cos(angle)])
    crop = Crop.from_box(0.5 * (low + high) + FIRST_RISE * side * up, FIRST_SIDE * side, SIZE, angle)
    found, _ = _look(image, crop, network)
    crop = _crop_of(found)
    found, chance = _look(image, crop, network)
    crop, looks, chances = _crop_of(found), [], [chance]
    for scale, mirrored in VIEWS:
        near = Crop.from_box(crop.center, scale * crop.side, SIZE, crop.angle)
        found, chance = _look(image, near, network, points if mirrored else None)
        looks.append(found)
        chances.append(chance)
    every = np.stack(looks)
    return TeacherPoints(every.mean(0), np.sqrt(every[..., :2].var(0).mean(-1)), min(chances))


def _crop_of(points: np.ndarray) -> Crop:
    """The upright crop of a face that points (478, 3) give."""
    eyes = points[LEFT_EYE, :2] - points[RIGHT_EYE, :2]
    angle = math.atan2(eyes[1], eyes[0])
    axes = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned = points[:FACE, :2] @ axes.T
    low, high = turned.min(0), turned.max(0)
    return Crop.from_box(0.5 * (low + high) @ axes, SIDE * float((high - low).max()), SIZE, angle)


def _look(
    image: np.ndarray, crop: Crop, network: FaceLandmarker, mirror: PointMap | None = None
) -> tuple[np.ndarray, float]:
    """Points (478, 3) in the photo and the chance of a face; with ``mirror`` the network sees the mirror image."""
    pixels = crop.extract(image)
    found, chance = network(np.ascontiguousarray(pixels[:, ::-1]) if mirror is not None else pixels)
    plane, depth = found[:, :2], found[:, 2]
    if mirror is not None:
        plane, depth = mirror.mirrored(plane, SIZE), depth[mirror.mirror]
    return np.column_stack([crop.to_photo(plane), crop.scale * depth]), chance

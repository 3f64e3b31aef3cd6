"""Faces in photos: proposals from OpenCV's detectors, and the square crops that the network looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from likeness.camera import Crop
from likeness.errors import StrPath
from likeness.haar import FRONTAL, PROFILE, WINDOW, View, detect
from likeness.photo_files import MAX_PIXELS, MIN_SIDE, Photo, load_photo, photo_from_array
from likeness.yunet import find_by_yunet

__all__ = [
    "CROP_PER_LANDMARK_BOX",
    "MAX_PIXELS",
    "MIN_SIDE",
    "Photo",
    "Proposal",
    "crop_from_landmarks",
    "crop_from_proposal",
    "find_faces",
    "load_photo",
    "photo_from_array",
]

CROP_PER_LANDMARK_BOX = 1.5
"""A crop's side over the size sqrt(w h) of the box of the 68 landmarks."""

NEAR_PIXELS, FAR_PIXELS, TURNED_PIXELS = 40_000, 300_000, 20_000
"""Pixels of the views that are searched: for faces over about a seventh of the photo's short side, for smaller ones
when there may be any, and for turned ones."""

SURE = 0.8
"""The chance from which a face is taken as found and the slower searches are left out."""

GROUP = 0.15
"""Where the largest face is under this part of the photo's short side there may be many: look for smaller ones."""

PADDING = 0.35
"""The border for faces that fill the photo, over the short side; nothing else finds them."""

TURNS = ((np.pi / 6, -np.pi / 6), (np.pi / 3, -np.pi / 3, np.pi / 2, -np.pi / 2), (np.pi,))
"""The angles at which faces are sought that were not found upright, likelier ones first."""

TURNED_CHANCE = 0.9
"""A face found upright goes before the same found turned."""

WHOLE_SIDES = (1.0, 1.4, 0.7)
"""Crops over the photo's short side that are proposed where no face was found."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Where a face may be.

    Attributes:
        box: (4,) x0 y0 x1 y1, photo pixels: a square with the centre and the area that the box of the 68 landmarks
            (brows to chin) is expected to have, before it is turned by ``angle``.
        score: the chance that there is a face, 0 … 1, as the detector sees it.
        kind: "frontal", "profile-left" and "profile-right" (the subject's left: the face looks to the right of the
            image), "yunet", "given" (by the user), or "whole" (nothing was found; score 0).
        angle: radians by which the face is turned in the image, from the photo's x towards its y.
    """

    box: np.ndarray
    score: float
    kind: str
    angle: float = 0.0

    @property
    def center(self) -> np.ndarray:
        """(2,) the box's middle, photo pixels."""
        return (self.box[:2] + self.box[2:]) / 2.0

    @property
    def size(self) -> float:
        """The square root of the box's area, photo pixels."""
        return float(np.prod(self.box[2:] - self.box[:2])) ** 0.5


def find_faces(image: np.ndarray, *, thorough: bool = False, yunet_model: StrPath | None = None) -> list[Proposal]:
    """Propose where the faces are, best first; the network's own face score then confirms or rejects each.

    Haar cascades, in stages, each only while no face is sure: upright frontal faces of at least a seventh of the
    photo's short side (and smaller ones when these are small); faces that fill the photo; profiles; turned faces;
    small ones. When none of that finds anything, central squares are proposed with score 0.

    Args:
        image: (H, W, 3) uint8 RGB, upright.
        thorough: run all stages, and propose the central squares too: for photos in which no proposal was confirmed.
        yunet_model: the file of a YuNet model (ONNX); it then searches instead of the cascades.

    Raises:
        FileError: the model file cannot be used.
        ValueError: the image is of another shape or type.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an (H, W, 3) uint8 RGB image, got {image.shape} {image.dtype}")
    if yunet_model is not None:
        faces = find_by_yunet(image, yunet_model)
        found = [Proposal(_square(center, size), score, "yunet", angle) for center, size, angle, score in faces]
        return _ranked(found, image, thorough)
    found = []
    for stage in _haar_stages(image):
        found = _merged(found + stage())
        if not thorough and found and max(proposal.score for proposal in found) >= SURE:
            break
    return _ranked(found, image, thorough)


def _ranked(found: list[Proposal], image: np.ndarray, thorough: bool) -> list[Proposal]:
    """Best first, large ones before small ones as sure; the central squares last where they are wanted."""
    ranked = sorted(found, key=lambda proposal: proposal.score * proposal.size**0.5, reverse=True)
    return ranked + _whole(image) if thorough or not ranked else ranked


def _haar_stages(image: np.ndarray) -> Iterator[Callable[[], list[Proposal]]]:
    """The searches, in the order in which they are worth their time."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    near = View.scaled(grey, NEAR_PIXELS)
    small = View.scaled(grey, TURNED_PIXELS)

    def far() -> list[Proposal]:
        view = View.scaled(grey, FAR_PIXELS, largest=1.0)
        return _haar(view, largest=1.3 * WINDOW * near.scale) if view.scale < 0.8 * near.scale else []

    def upright() -> list[Proposal]:
        found = _haar(near)
        sizes = [proposal.size for proposal in found if proposal.score >= SURE]
        return found + far() if sizes and max(sizes) < GROUP * min(grey.shape) else found

    def turned(angles: tuple[float, ...]) -> list[Proposal]:
        return [proposal for angle in angles for proposal in _haar(small.turned(angle), angle=angle)]

    yield upright
    yield lambda: _haar(small.padded(PADDING))
    yield lambda: _haar(near, profile=True) + _haar(near, profile=True, mirrored=True)
    for angles in TURNS:
        yield partial(turned, angles)
    yield far


def _haar(
    view: View, *, profile: bool = False, mirrored: bool = False, largest: float = 0.0, angle: float = 0.0
) -> list[Proposal]:
    """What a cascade finds in a view."""
    kind = "frontal"
    if profile:  # the cascade was trained on faces that look to the left of the image
        kind = "profile-left" if mirrored else "profile-right"
    found = zip(*detect(view, PROFILE if profile else FRONTAL, mirrored=mirrored, largest=largest), strict=True)
    factor = TURNED_CHANCE if angle else 1.0
    return [Proposal(_square(center, size), factor * float(chance), kind, angle) for center, size, chance in found]


def _square(center: np.ndarray, size: float) -> np.ndarray:
    """(4,) the upright square around a centre."""
    return np.concatenate([center - size / 2.0, center + size / 2.0])


def _merged(proposals: list[Proposal]) -> list[Proposal]:
    """Of proposals that overlap by more than half of the smaller one, only the one with the highest score."""
    kept: list[Proposal] = []
    for proposal in sorted(proposals, key=lambda proposal: -proposal.score):
        for other in kept:
            low, high = np.maximum(proposal.box[:2], other.box[:2]), np.minimum(proposal.box[2:], other.box[2:])
            if np.prod(np.maximum(high - low, 0.0)) > 0.5 * min(proposal.size, other.size) ** 2:
                break
        else:
            kept.append(proposal)
    return kept


def _whole(image: np.ndarray) -> list[Proposal]:
    """Central squares, for a photo in which no face was found."""
    height, width = image.shape[:2]
    center = np.array([width, height]) / 2.0 - 0.5
    sizes = (side * min(width, height) / CROP_PER_LANDMARK_BOX for side in WHOLE_SIDES)
    return [Proposal(_square(center, size), 0.0, "whole") for size in sizes]


def crop_from_proposal(proposal: Proposal, size: int) -> Crop:
    """The ``size`` × ``size`` crop that a proposal's landmarks are expected to give, turned by its angle."""
    return Crop.from_box(proposal.center, CROP_PER_LANDMARK_BOX * proposal.size, size, proposal.angle)


def crop_from_landmarks(landmarks: Any, size: int, *, upright: bool = False) -> Crop:
    """The crop around 68 landmarks: centred on their box, its side ``CROP_PER_LANDMARK_BOX`` × sqrt(w h).

    Args:
        landmarks: (68, 2) iBUG points, photo pixels.
        size: the crop's side, pixels.
        upright: turn the crop so that the line between the eyes' centres is level in it; the box is then the one that
            is upright in the crop.

    Raises:
        ValueError: another shape, or points that span no area.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected 68 finite landmarks (68, 2), got {points.shape}")
    angle = _eye_line(points[36:42].mean(axis=0), points[42:48].mean(axis=0)) if upright else 0.0
    turn = _turn(angle)
    level = points @ turn
    low, high = level.min(axis=0), level.max(axis=0)
    if not (high > low).all():
        raise ValueError("expected landmarks that span an area, got points on a line")
    side = CROP_PER_LANDMARK_BOX * float(np.prod(high - low)) ** 0.5
    return Crop.from_box(turn @ (low + high) / 2.0, side, size, angle)


def _eye_line(right: np.ndarray, left: np.ndarray) -> float:
    """The angle of the line from the subject's right eye to the left, radians from x towards y."""
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def _turn(angle: float) -> np.ndarray:
    """The rotation (2, 2) that takes level points to points turned by ``angle``, from x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])

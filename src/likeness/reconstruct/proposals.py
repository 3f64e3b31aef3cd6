"""Faces in photos: proposals from the face detector, and the square crops that the network looks at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import StrPath
from likeness.geometry.crop import OUTSIDE_GREY, Crop
from likeness.geometry.landmarks import box_of, eye_centers
from likeness.images.photo import MAX_PIXELS, MIN_SIDE, Photo, load_photo, photo_from_array
from likeness.networks.detector import (
    BESIDES,
    SPAN,
    SURE,
    VIEW_SIDES,
    Detections,
    Detector,
    default_detector,
    shrunk,
    without_doubles,
)
from likeness.reconstruct.yunet import find_by_yunet

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

FOUND_SIDE, FOUND_RISE = 0.93, 0.015
"""The detector's squares are larger, and lower, than the box of the landmarks that the network then finds (logarithm
of the size 0.072, standard deviation 0.04, and 0.015 of the crop's side, 0.017, on 176 photos of people that both
learned from). A first look that is placed so well is worth as much as a later one."""

CROWD_SIDES = (*VIEW_SIDES, 896, 1792)
"""The copies in which the smallest faces are sought, pixels on the longer side."""

CROWD = 0.06
"""Where the largest face is under this part of the photo's longer side there may be many: look for smaller ones."""

PADDING = 0.35
"""The border for faces that fill the photo, over the longer side."""

CERTAIN, STEEP = 0.9, 0.9
"""The photo is turned by quarters too unless its best face has the first score at least, and all that have it are
turned by less than the second, radians: where one lies, others may. The detector has learned turns up to 75°: a face
on its head is one to it, but a dubious one."""

TURNED_CHANCE = 0.95
"""A face found upright goes before the same found turned."""

EYES_APART = 0.12, 0.25
"""Eyes closer than the first part of the landmarks' size say nothing about a head's tilt, from the second on all."""

WHOLE_SIDES = (1.0, 1.4, 0.7)
"""Crops over the photo's short side that are proposed where no face was found."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Where a face may be.

    Attributes:
        box: (4,) x0 y0 x1 y1, photo pixels: a square with the centre and the area that the box of the 68 landmarks
            (brows to chin) is expected to have, before it is turned by ``angle``.
        score: the chance that there is a face, 0 … 1, as the detector sees it.
        kind: "found", "yunet", "given" (by the user), or "whole" (nothing was found; score 0).
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

    The embedded detector, in stages, the later ones only where the earlier ones leave doubts: copies of the photo in
    which faces of about a thirtieth of its longer side show, and still larger ones when all faces are small; faces
    that fill the photo; faces on their side or head; small ones. When none of that finds anything, central squares
    are proposed with score 0.

    Args:
        image: (H, W, 3) uint8 RGB, upright.
        thorough: run all stages, and propose the central squares too: for photos in which no proposal was confirmed.
        yunet_model: the file of a YuNet model (ONNX); it then searches instead of the detector.

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
    seen = Detections.joined([])
    for search, is_settled in _stages(image, default_detector()):
        if thorough or not is_settled(seen):
            more = search()
            if not thorough and seen.is_sure:  # of further faces more is asked, as within a search
                more = more.select(more.score >= BESIDES)
            seen = without_doubles(Detections.joined([seen, more]))
    if not thorough and seen.is_sure:
        seen = seen.select(seen.score >= SURE)
    return _ranked(_proposals(seen), image, thorough)


def largest_faces(image: np.ndarray, most: int) -> list[Proposal]:
    """The largest faces of a photo, ``most`` or more, best first, where a look at small copies settles which they
    are: so many are certain, and what larger copies show besides is smaller. None where it does not.

    Args:
        image: as for :func:`find_faces`.
        most: how many are wanted.
    """
    small, detector = shrunk(image, VIEW_SIDES[-1]), default_detector()
    for number, following in enumerate(VIEW_SIDES[1:], start=1):
        found = detector(small, VIEW_SIDES[:number]).enlarged(small.shape, image.shape)
        large = found.size >= SPAN[1] / following * max(image.shape[:2])  # no later copy adds any as large
        found = found.select(large & (found.score >= CERTAIN) & (np.abs(found.angle) < STEEP))
        if len(found.score) >= most:
            return _ranked(_proposals(found), image, False)
    return []


def _proposals(found: Detections) -> list[Proposal]:
    return [Proposal(_square(c, s), float(score), "found", float(a)) for c, s, a, score in zip(*found, strict=True)]


def _ranked(found: list[Proposal], image: np.ndarray, thorough: bool) -> list[Proposal]:
    """Best first, large ones before small ones as sure; the central squares last where they are wanted."""
    ranked = sorted(found, key=lambda proposal: proposal.score**3 * proposal.size**0.5, reverse=True)
    return ranked + _whole(image) if thorough or not ranked else ranked


def _stages(
    image: np.ndarray, detector: Detector
) -> Iterator[tuple[Callable[[], Detections], Callable[[Detections], bool]]]:
    """The searches, in the order in which they are worth their time, each with what makes it needless."""
    longer = max(image.shape[:2])

    def upright() -> Detections:
        found = detector(image)
        sizes = found.size[found.score >= SURE]
        return Detections.joined([found, crowd()]) if len(sizes) and sizes.max() < CROWD * longer else found

    def crowd() -> Detections:
        return detector(image, CROWD_SIDES) if longer > VIEW_SIDES[-1] else Detections.joined([])

    def padded() -> Detections:
        small = shrunk(image, VIEW_SIDES[1])
        return _find_padded(small, detector).enlarged(small.shape, image.shape)

    def turned() -> Detections:
        small = shrunk(image, VIEW_SIDES[1])  # before it is turned: photos are large
        found = Detections.joined([_find_turned(small, quarters, detector) for quarters in (1, 2, 3)])
        return found.enlarged(small.shape, image.shape)

    yield upright, lambda found: False
    yield padded, lambda found: found.is_sure
    yield turned, _is_upright
    yield crowd, lambda found: found.is_sure


def _is_upright(found: Detections) -> bool:
    """Whether the best face is certain and none that is as certain is turned far."""
    certain = found.score >= CERTAIN
    return bool(certain.any() and certain[0] and (np.abs(found.angle[certain]) < STEEP).all())


def _find_padded(image: np.ndarray, detector: Detector) -> Detections:
    """Faces of a photo with a border, where those that fill it show whole."""
    import cv2

    pad = round(PADDING * max(image.shape[:2]))
    grey = (OUTSIDE_GREY,) * 3
    found = detector(cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=grey), VIEW_SIDES[:1])
    return found._replace(center=found.center - pad)


def _find_turned(image: np.ndarray, quarters: int, detector: Detector) -> Detections:
    """Faces that are turned by about so many quarters of a turn, from the photo's x towards its y."""
    found = detector(np.ascontiguousarray(np.rot90(image, quarters)), VIEW_SIDES[:2])
    center, width = found.center, image.shape[1] if quarters % 2 else image.shape[0]
    for _ in range(quarters):  # undo one turn after the other; the side that was the width changes each time
        center = np.stack([width - 1 - center[:, 1], center[:, 0]], axis=-1)
        width = image.shape[0] + image.shape[1] - width
    angle = np.angle(np.exp(1j * (found.angle + quarters * np.pi / 2)))
    return found._replace(center=center, angle=angle, score=TURNED_CHANCE * found.score)


def _square(center: np.ndarray, size: float) -> np.ndarray:
    """(4,) the upright square around a centre."""
    return np.concatenate([center - size / 2.0, center + size / 2.0])


def _whole(image: np.ndarray) -> list[Proposal]:
    """Central squares, for a photo in which no face was found."""
    height, width = image.shape[:2]
    center = np.array([width, height]) / 2.0 - 0.5
    sizes = (side * min(width, height) / CROP_PER_LANDMARK_BOX for side in WHOLE_SIDES)
    return [Proposal(_square(center, size), 0.0, "whole") for size in sizes]


def crop_from_proposal(proposal: Proposal, size: int) -> Crop:
    """The ``size`` × ``size`` crop that a proposal's landmarks are expected to give, turned by its angle."""
    side = CROP_PER_LANDMARK_BOX * proposal.size
    if proposal.kind != "found":
        return Crop.from_box(proposal.center, side, size, proposal.angle)
    up = np.array([np.sin(proposal.angle), -np.cos(proposal.angle)])
    return Crop.from_box(proposal.center + FOUND_RISE * side * up, FOUND_SIDE * side, size, proposal.angle)


def crop_from_landmarks(
    landmarks: Any, size: int, *, upright: bool = False, head_up: np.ndarray | None = None
) -> Crop:
    """The crop around 68 landmarks: centred on their box, its side ``CROP_PER_LANDMARK_BOX`` × sqrt(w h).

    Args:
        landmarks: (68, 2) iBUG points, photo pixels.
        size: the crop's side, pixels.
        upright: turn the crop so that the line between the eyes' centres is level in it; the box is then the one that
            is upright in the crop.
        head_up: (2,) the way to the top of the head, photo pixels, if it is known: profiles, whose eyes are too close
            together for a line, are turned by it.

    Raises:
        ValueError: another shape, or points that span no area.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected 68 finite landmarks (68, 2), got {points.shape}")
    angle = _tilt(points, head_up) if upright else 0.0
    turn = _turn(angle)
    x0, y0, x1, y1 = box_of(points @ turn)
    if not (x1 > x0 and y1 > y0):
        raise ValueError("expected landmarks that span an area, got points on a line")
    side = CROP_PER_LANDMARK_BOX * math.sqrt((x1 - x0) * (y1 - y0))
    return Crop.from_box(turn @ [(x0 + x1) / 2.0, (y0 + y1) / 2.0], side, size, angle)


def _tilt(points: np.ndarray, head_up: np.ndarray | None) -> float:
    """The angle of the line from the subject's right eye to the left, or for profiles across the head, radians from x
    towards y."""
    right, left = eye_centers(points)
    across = left - right
    x0, y0, x1, y1 = box_of(points)
    apart = float(np.linalg.norm(across)) / max(1e-9, math.sqrt((x1 - x0) * (y1 - y0)))
    if head_up is not None and apart < EYES_APART[1]:
        low, high = EYES_APART
        share = np.clip((high - apart) / (high - low), 0.0, 1.0)
        level = np.array([-head_up[1], head_up[0]]) / max(1e-9, float(np.linalg.norm(head_up)))
        across = (1.0 - share) * across / max(1e-9, float(np.linalg.norm(across))) + share * level
    return float(np.arctan2(across[1], across[0]))


def _turn(angle: float) -> np.ndarray:
    """The rotation (2, 2) that takes level points to points turned by ``angle``, from x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])

"""Which faces a photo shows and which way up: readings of every proposal compete by the chance that they are right.

A crop is read in steps: a first look says where the face lies, a second one at the mirror image of the crop around it
says so again, and by how far they agree what the chance is (:mod:`likeness.reconstruct.chance`). Where they do not
agree, four views of that crop decide. Unless two views of every face are asked for, a first look that leaves no doubt
is all. Only where doubts stay is the crop also read after quarter turns and as the photo stands: upside down, masked
and half seen faces, profiles, and what is none. Of the readings of one place the likeliest stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from likeness.geometry.crop import Crop
from likeness.geometry.landmarks import box_of
from likeness.model.surface_points import PointMap
from likeness.networks.regressor import CropAnswer
from likeness.reconstruct.proposals import crop_from_landmarks

SAME_FACE = 0.5
"""Of the smaller box that the larger one shares: two readings that end on one face."""

HOPE = 0.1
"""The network's score of a first look from which a crop is looked at well. A first crop is only roughly placed, so
this is far below any score that is believed."""

AGREED = 0.9995
"""The chance from which two views are enough: that of good photos, and of half of the annotated video frames. Whether
there is a face is sure long before, but in poor pictures four views say better who it is: two views wherever the
chance is over 0.9975 lower the AUC by shape across clips from 0.808 to 0.804, not the landmark error (2.89 %)."""

AGAIN = 0.5
"""The network's score of the second look below which there is no third: of 995 hopeful readings 232 fell below, and
to none of these four views gave a chance of 0.5."""

SETTLED = 0.9
"""The chance from which a reading's turns are not tried."""

LEANING = 0.4
"""Angle of a proposal (radians) from which it is tried upright, too, where doubts stay."""

PLAIN_SCORE, PLAIN_DEVIATION, PLAIN_NEAR = 0.999, 0.7, 0.5
"""What makes one look enough unless two are asked for: the network's score, the geometric mean of its points' stated
deviations (pixels of the crop), and how far the look may be from its own answer, in :data:`NEAR`. Of 139 such looks
at portraits, photos and video frames a second one gave a chance of :data:`AGREED` to every one."""

PARTED = 0.05, 0.95
"""Lips that are between these parts as far apart as they are placed are not surely closed and not surely open."""

NEAR = 0.2, 0.2, 0.1
"""How far a final crop may be turned (radians), of another size (natural logarithm) and beside (sides) the one around
its own answer; a doubtful one that is farther is looked at once more there."""


@dataclass(frozen=True, eq=False)
class Face:
    """The network's answer for one crop.

    Attributes:
        answer: of the one crop.
        crop: that was looked at.
        landmarks: (68, 2) photo pixels.
        score: 0 to 1, the belief that it is a face.
    """

    answer: CropAnswer
    crop: Crop
    landmarks: np.ndarray
    score: float

    @property
    def outline(self) -> np.ndarray:
        """(P, 2) photo pixels that tell where the face is: its surface points, or else its landmarks."""
        if self.answer.points is not None:
            return np.asarray(self.crop.to_photo(self.answer.points))
        return self.landmarks

    def next_crop(self) -> Crop:
        """The upright crop around this answer."""
        return self._next_crop

    @cached_property
    def _next_crop(self) -> Crop:
        head_up = self.crop.photo_from_crop[:, :2] @ self.answer.rotation[:2, 1]
        return crop_from_landmarks(self.landmarks, self.crop.size, upright=True, head_up=head_up)

    def has_strayed(self, share: float = 1.0) -> bool:
        """Whether the crop around this answer is farther from the one that was looked at than a share of
        :data:`NEAR`."""
        there = self.next_crop()
        turn = abs(float(np.angle(np.exp(1j * (there.angle - self.crop.angle)))))
        apart = float(np.linalg.norm(there.center - self.crop.center)) / self.crop.side
        off = turn, abs(math.log(there.side / self.crop.side)), apart
        return any(one > share * most for one, most in zip(off, NEAR, strict=True))

    def is_plain(self, points: PointMap) -> bool:
        """Whether this one look leaves no doubt that there is a face, and where, and whether its lips touch.

        Args:
            points: the map of the surface points that the network places.
        """
        deviation = self.answer.deviation
        if (
            deviation is None
            or self.score < PLAIN_SCORE
            or float(np.log(deviation).mean()) > math.log(PLAIN_DEVIATION)
        ):
            return False
        return not self.has_strayed(PLAIN_NEAR) and not self._lips_may_touch(points)

    def _lips_may_touch(self, points: PointMap) -> bool:
        """Whether lips are seen as far apart as both closed and open ones are."""
        if points.readout is None or self.answer.points is None:
            return False
        low, high = PARTED
        return low < float(points.readout.nearer(self.answer.points).mean()) < high


Read = Callable[[list[Crop]], list[Face]]
"""Crops -> the network's answers, in their order."""


class Looks(NamedTuple):
    """How crops of one photo are looked at.

    Attributes:
        glance: the first look at crops.
        compare: what first looks and the mirror images of the crops around them say together, with a chance; None
            for those whose mirror image is no face to the network. Without it everything is looked at well.
        look_well: the final answer for crops, whose score is a chance.
        plain: whether a first look is the answer; None: it never is.
    """

    glance: Read
    compare: Callable[[list[Face]], list[Face | None]] | None
    look_well: Read
    plain: Callable[[Face], bool] | None = None


def likeliest_faces(crops: Sequence[Crop], looks: Looks, least: float) -> list[Face]:
    """The faces of a photo, best first, each the right way up.

    Args:
        crops: where faces may be.
        looks: at the photo.
        least: faces with a lower chance are dropped.
    """
    faces = readings(crops, looks)
    settled = [face for face in faces if face.score >= SETTLED]
    doubtful = [crop for crop in crops if not any(_shows(crop, face) for face in settled)]
    turned = [quarter_turned(crop, quarters) for crop in doubtful for quarters in (1, 2, 3)]
    # In profile, eyes lie behind each other, and what is proposed is turned anyhow.
    turned += [upright(crop) for crop in doubtful if abs(np.angle(np.exp(1j * crop.angle))) > LEANING]
    return without_doubles([face for face in (*faces, *readings(turned, looks)) if face.score >= least])


def readings(crops: Sequence[Crop], looks: Looks) -> list[Face]:
    """What hopeful ones among the crops show, doubtful ones that strayed where they strayed to; arguments as of
    :func:`likeliest_faces`."""
    hopeful = [face for face in looks.glance(list(crops)) if face.score > HOPE]
    agreed: list[Face] = []
    if looks.plain is not None:
        plain = [looks.plain(face) for face in hopeful]
        agreed = [replace(face, score=AGREED) for face, is_plain in zip(hopeful, plain, strict=True) if is_plain]
        hopeful = [face for face, is_plain in zip(hopeful, plain, strict=True) if not is_plain]
    if looks.compare and hopeful:
        pairs = [(one, both) for one, both in zip(hopeful, looks.compare(hopeful), strict=True) if both is not None]
        # What strayed was seen from too far beside to be one half of the answer.
        sure = [both.score >= AGREED and not one.has_strayed() for one, both in pairs]
        agreed += [both for (_, both), is_sure in zip(pairs, sure, strict=True) if is_sure]
        hopeful = [one for (one, _), is_sure in zip(pairs, sure, strict=True) if not is_sure]
    seen = looks.look_well([face.next_crop() for face in hopeful])
    strayed = [face.score < SETTLED and face.has_strayed() for face in seen]
    there = [face for face, has in zip(seen, strayed, strict=True) if has]
    if looks.compare and there:
        there = [face for face, both in zip(there, looks.compare(there), strict=True) if both is not None]
    again = looks.look_well([face.next_crop() for face in there])
    return agreed + [face for face, has in zip(seen, strayed, strict=True) if not has] + again


def quarter_turned(crop: Crop, quarters: int) -> Crop:
    """The same square of the photo, seen turned by so many quarters from x towards y."""
    return Crop.from_box(crop.center, crop.side, crop.size, crop.angle + quarters * np.pi / 2.0)


def upright(crop: Crop) -> Crop:
    """The same square of the photo, as the photo stands."""
    return Crop.from_box(crop.center, crop.side, crop.size)


def without_doubles(faces: list[Face]) -> list[Face]:
    """Best first, without what ended on the face of a better one, however it is turned."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.outline, other.outline) < SAME_FACE for other in kept):
            kept.append(face)
    return kept


def _shows(crop: Crop, face: Face) -> bool:
    """Whether a proposed crop is about a face that was read."""
    square = crop.to_photo(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) * (crop.size - 1))
    return overlap(square, face.outline) >= SAME_FACE


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """What the boxes around two sets of points have in common, over the area of the smaller one."""
    boxes = box_of(a), box_of(b)
    left, top, right, bottom = zip(*boxes, strict=True)
    common = max(min(right) - max(left), 0.0) * max(min(bottom) - max(top), 0.0)
    return common / max(1e-9, min((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes))

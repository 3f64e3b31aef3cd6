"""Test-time augmentation: what a network says of several views of one face as one answer.

A network is never quite fair to left and right or to sizes, and what it gets wrong in one view it often gets right in
another. The views are the first look at a face and the mirror image of the crop that it asks for; or, where these do
not agree, a closer and a wider crop and their mirror images. Landmark error on video-val, % of the box (inner 51
points): the first look alone 2.95 (2.54), both 2.91 (2.53), the first look and its own mirror image 2.93 (2.53), the
four views 2.91 (2.52), for one, two, two and five passes of the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from likeness.geometry.camera import Camera, image_center
from likeness.geometry.crop import Crop
from likeness.geometry.rotation import rotation_from_6d, rotation_onto, rotation_to_6d
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap
from likeness.networks.regressor import CropAnswer

_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)

_ODD = (3, 4, 7)
"""The harmonics that change sign with x, in the order of :mod:`likeness.render.lighting`: x, xy and xz."""

SCALES = (0.93, 1.08)
"""Sides of the views, over that of the crop that is asked about."""


def views_of(crop: Crop) -> list[Crop]:
    """The views of a crop, by :data:`SCALES`; their mirror images are views too."""
    return [Crop.from_box(crop.center, scale * crop.side, crop.size, crop.angle) for scale in SCALES]


@lru_cache(maxsize=16)
def _mirrored_names(names: tuple[str, ...]) -> np.ndarray:
    number = {name: index for index, name in enumerate(names)}

    def other(name: str) -> str:
        for side, opposite in (("Left", "Right"), ("Right", "Left")):
            if name.endswith(side):
                return name.removesuffix(side) + opposite
        return name

    found = np.array([number.get(other(name), index) for name, index in number.items()], np.intp)
    found.setflags(write=False)
    return found


def mirrored_names(names: Sequence[str]) -> np.ndarray:
    """For each expression the number of its mirror image: left and right change places, others stay."""
    return _mirrored_names(tuple(names))


def mirrored_answer(
    answer: CropAnswer, model: FaceModel, points: PointMap | None = None, size: int = 0
) -> CropAnswer:
    """What the mirror image of a crop would be answered.

    The identity code stays as it is: networks learn that a mirrored photo shows the same person.

    Args:
        answer: for n crops.
        model: whose expressions have sides.
        points: the map of the surface points that the network places; None: it places none.
        size: of the crops, pixels.
    """
    light = answer.light.copy()
    light[:, _ODD] *= -1
    mirrored = answer._replace(
        expression=answer.expression[:, mirrored_names(model.expression_names)],
        rotation=answer.rotation * _FLIP[:, None] * _FLIP,
        translation=answer.translation * _FLIP,
        light=light,
    )
    if points is None or answer.points is None or answer.deviation is None:
        return mirrored
    return mirrored._replace(
        points=points.mirrored(answer.points, size), deviation=answer.deviation[:, points.mirror]
    )


def nearer_answer(answer: CropAnswer, scale: float, size: int = 0) -> CropAnswer:
    """The answer for a crop of ``scale`` times the side, as one for the crop itself, with the same camera.

    The head fills more of the smaller crop, so it is that much nearer; that near parts are enlarged more there is
    left out: a tenth of a pixel of the crop, and crops smaller and larger than the one asked about err oppositely.
    Surface points, where there are any, are carried over exactly, about the middle of crops of ``size`` pixels.
    """
    near = answer._replace(translation=answer.translation * np.array([1.0, 1.0, 1.0 / scale], np.float32))
    if answer.points is None or answer.deviation is None:
        return near
    middle = np.float32((size - 1) / 2)
    points = middle + np.float32(scale) * (answer.points - middle)
    return near._replace(points=points, deviation=np.float32(scale) * answer.deviation)


def carried_answer(answer: CropAnswer, seen: Crop, wanted: Crop) -> CropAnswer:
    """The answer for crops (n = 1) as one for another crop of the same face, a little moved, turned, larger or
    smaller: surface points exactly, the pose as a camera would see it that turns from one crop to the other.

    Args:
        answer: for the crop ``seen``.
        seen: what the network looked at.
        wanted: of the same size in pixels.
    """
    near = nearer_answer(answer, seen.scale / wanted.scale, seen.size)
    angle, camera = seen.angle - wanted.angle, Camera.from_crop_size(seen.size)
    c, s = math.cos(angle), math.sin(angle)
    middle = wanted.to_crop(seen.center) - image_center((wanted.size, wanted.size))
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    turn = rotation_onto(np.append(middle, camera.focal) / math.hypot(*middle, camera.focal)) @ turn
    near = near._replace(
        rotation=np.asarray(turn @ near.rotation, np.float32),
        translation=np.asarray(near.translation @ turn.T, np.float32),
    )
    if answer.points is None or answer.deviation is None:
        return near
    return near._replace(
        points=np.asarray(wanted.to_crop(seen.to_photo(answer.points)), np.float32),
        deviation=np.asarray(answer.deviation * (seen.scale / wanted.scale), np.float32),
    )


def averaged(answers: Sequence[CropAnswer], model: FaceModel) -> CropAnswer:
    """One answer of several for the same n crops: means of what all of them say, brought back to rotations and to the
    identity space."""
    told = {name: [getattr(one, name) for one in answers] for name in CropAnswer._fields}
    mean = CropAnswer(
        **{
            name: np.asarray(sum(values[1:], values[0]) / np.float32(len(values)), np.float32)
            for name, values in told.items()
            if all(value is not None for value in values)
        }
    )
    return mean._replace(
        rotation=np.asarray(rotation_from_6d(rotation_to_6d(mean.rotation)), np.float32),
        identity=np.asarray(model.space.project(mean.identity), np.float32),
    )

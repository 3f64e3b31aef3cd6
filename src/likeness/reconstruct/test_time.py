"""What a network says of several looks at one face, as one answer: a closer and a wider crop and their mirror images.

A network is never quite fair to left and right or to sizes, and what it gets wrong in one look it often gets right in
another. Four looks instead of one and its mirror image lowered the landmark error by 1 % of itself and raised the AUC
of shapes by 0.006 (``benchmarks/landmarks.py``, ``benchmarks/evaluate.py``), for two more passes of the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likeness.geometry.crop import Crop
from likeness.geometry.rotation import rotation_from_6d, rotation_to_6d
from likeness.model.face_model import FaceModel

_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)

_ODD = (3, 4, 7)
"""The harmonics that change sign with x, in the order of :mod:`likeness.render.lighting`: x, xy and xz."""

SCALES = (0.93, 1.08)
"""Sides of the crops that are looked at, over that of the crop that is asked about."""


def looks_at(crop: Crop) -> list[Crop]:
    """The crops that are looked at, by :data:`SCALES`; their mirror images are too."""
    return [Crop.from_box(crop.center, scale * crop.side, crop.size, crop.angle) for scale in SCALES]


def mirrored_names(names: Sequence[str]) -> np.ndarray:
    """For each expression the number of its mirror image: left and right change places, others stay."""
    number = {name: index for index, name in enumerate(names)}

    def other(name: str) -> str:
        for side, opposite in (("Left", "Right"), ("Right", "Left")):
            if name.endswith(side):
                return name.removesuffix(side) + opposite
        return name

    return np.array([number.get(other(name), index) for name, index in number.items()], np.intp)


def mirrored_answer(answer: dict[str, np.ndarray], model: FaceModel) -> dict[str, np.ndarray]:
    """What the mirror image of a crop would be answered, by the names of
    :class:`likeness.networks.regressor.Network`.

    The identity code stays as it is: networks learn that a mirrored photo shows the same person.
    """
    light = answer["light"].copy()
    light[:, _ODD] *= -1
    return {
        **answer,
        "expression": answer["expression"][:, mirrored_names(model.expression_names)],
        "rotation": answer["rotation"] * _FLIP[:, None] * _FLIP,
        "translation": answer["translation"] * _FLIP,
        "light": light,
    }


def nearer_answer(answer: dict[str, np.ndarray], scale: float) -> dict[str, np.ndarray]:
    """The answer for a crop of ``scale`` times the side, as one for the crop itself, with the same camera.

    The head fills more of the smaller crop, so it is that much nearer; that near parts are enlarged more there is
    left out: a tenth of a pixel of the crop, and crops smaller and larger than the one asked about err oppositely.
    """
    return {**answer, "translation": answer["translation"] * np.array([1.0, 1.0, 1.0 / scale], np.float32)}


def averaged(answers: Sequence[dict[str, np.ndarray]], model: FaceModel) -> dict[str, np.ndarray]:
    """One answer of several for the same n crops: means, brought back to rotations and to the identity space."""
    mean = {name: np.asarray(np.mean([one[name] for one in answers], axis=0), np.float32) for name in answers[0]}
    mean["rotation"] = np.asarray(rotation_from_6d(rotation_to_6d(mean["rotation"])), np.float32)
    mean["identity"] = np.asarray(model.space.project(mean["identity"]), np.float32)
    return mean

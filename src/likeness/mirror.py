"""What a network says of a crop and of its mirror image, as one answer.

A network is never quite fair to left and right, and what it gets wrong in one look it often gets right in the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likeness.face_model import FaceModel
from likeness.rotation import rotation_from_6d, rotation_to_6d

_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)

_ODD = (3, 4, 7)
"""The harmonics that change sign with x, in the order of :mod:`likeness.lighting`: x, xy and xz."""


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
    """What the mirror image of a crop would be answered, by the names of :class:`likeness.predict.Network`.

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


def averaged(first: dict[str, np.ndarray], second: dict[str, np.ndarray], model: FaceModel) -> dict[str, np.ndarray]:
    """One answer of two for the same n crops: means, brought back to rotations and to the identity space."""
    mean = {name: np.asarray(0.5 * (first[name] + second[name]), np.float32) for name in first}
    mean["rotation"] = np.asarray(rotation_from_6d(rotation_to_6d(mean["rotation"])), np.float32)
    mean["identity"] = np.asarray(model.space.project(mean["identity"]), np.float32)
    return mean

"""Rotations of a head: six numbers, angles, vectors and matrices (3, 3) that multiply columns.

Model axes: x to the subject's left, y up, z out of the face. Camera axes: x right, y down, z forward.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

FRONTAL = np.diag([1.0, -1.0, -1.0])
"""The camera rotation of a head that looks straight into the camera: R_camera = FRONTAL @ R_head."""
FRONTAL.setflags(write=False)


def stack(parts: list[Any], axis: int) -> Any:
    """``np.stack`` or ``torch.stack``, by what the parts are: torch is never imported here."""
    if isinstance(parts[0], np.ndarray | np.generic):
        return np.stack(parts, axis=axis)
    return sys.modules[type(parts[0]).__module__.partition(".")[0]].stack(parts, axis)


def rotation_from_6d(a: Any) -> Any:
    """Six numbers (..., 6) -> a rotation (..., 3, 3), NumPy or torch: Gram-Schmidt of two columns.

    The first three numbers give the first column's direction, the other three the second's; a network can
    regress them without a jump anywhere (Zhou et al., On the Continuity of Rotation Representations in
    Neural Networks, 2019).
    """
    first = _unit(a[..., :3])
    second = a[..., 3:]
    second = _unit(second - (first * second).sum(-1)[..., None] * first)
    x, y, z = first[..., 0], first[..., 1], first[..., 2]
    u, v, w = second[..., 0], second[..., 1], second[..., 2]
    third = stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)
    return stack([first, second, third], axis=-1)


def _unit(vectors: Any) -> Any:
    """Vectors over their length (..., 3); the tiny number keeps a zero vector's gradient finite."""
    return vectors / ((vectors * vectors).sum(-1)[..., None] + 1e-20) ** 0.5


def rotation_to_6d(rotation: Any) -> Any:
    """A rotation (..., 3, 3) -> its first two columns (..., 6); ``rotation_from_6d`` inverts it."""
    return stack([rotation[..., row, column] for column in (0, 1) for row in (0, 1, 2)], axis=-1)


def rotation_from_euler(yaw: Any, pitch: Any, roll: Any) -> np.ndarray:
    """Head angles in radians (each any shape, broadcast) -> the head's rotation (..., 3, 3) in model axes.

    yaw > 0 turns the face to the subject's left, pitch > 0 makes it look up, roll > 0 tilts the head to its
    left shoulder: ``R = R_y(yaw) R_x(-pitch) R_z(-roll)``, that is the neck turns, then nods, then tilts,
    each about the head's own axes. The camera rotation is ``FRONTAL @ R``.
    """
    yaw, pitch, roll = np.broadcast_arrays(*(np.asarray(angle, np.float64) for angle in (yaw, pitch, roll)))
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    rows = [
        [cy * cr + sy * sp * sr, cy * sr - sy * sp * cr, sy * cp],
        [-cp * sr, cp * cr, sp],
        [-sy * cr + cy * sp * sr, -sy * sr - cy * sp * cr, cy * cp],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def euler_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """The inverse of ``rotation_from_euler``: (..., 3, 3) -> (..., 3) yaw, pitch, roll in radians.

    Pitch is in [-pi/2, pi/2]. Straight up or down, where only yaw ± roll is determined, roll is 0.
    """
    R = np.asarray(rotation, np.float64)
    pitch = np.arcsin(np.clip(R[..., 1, 2], -1.0, 1.0))
    locked = np.hypot(R[..., 0, 2], R[..., 2, 2]) < 1e-9
    yaw = np.where(locked, np.arctan2(-R[..., 2, 0], R[..., 0, 0]), np.arctan2(R[..., 0, 2], R[..., 2, 2]))
    roll = np.where(locked, 0.0, np.arctan2(-R[..., 1, 0], R[..., 1, 1]))
    return np.stack([yaw, pitch, roll], axis=-1)


def rotation_onto(ray: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that turns the z axis onto a unit ``ray``, z > -1 (Rodrigues' formula)."""
    x, y, z = ray
    h = 1.0 / (1.0 + z)
    return np.array([[1.0 - h * x * x, -h * x * y, x], [-h * x * y, 1.0 - h * y * y, y], [-x, -y, z]])


def rotation_from_vector(vector: np.ndarray) -> np.ndarray:
    """Axis times angle, radians (3,) -> rotation (3, 3): Rodrigues' formula."""
    x, y, z = (float(value) for value in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z, s, c = x / angle, y / angle, z / angle, math.sin(angle), math.cos(angle)
    h = 1.0 - c
    return np.array(
        [
            [c + h * x * x, h * x * y - s * z, h * x * z + s * y],
            [h * x * y + s * z, c + h * y * y, h * y * z - s * x],
            [h * x * z - s * y, h * y * z + s * x, c + h * z * z],
        ]
    )

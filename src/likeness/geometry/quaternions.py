"""Rotations as unit quaternions x y z w (glTF's order), which can be interpolated and averaged."""

from __future__ import annotations

import numpy as np


def continuous_quaternions(rotations: np.ndarray) -> np.ndarray:
    """Rotations (N, 3, 3) -> unit quaternions (N, 4) x y z w, each of the sign that is nearer to the one before.

    The largest of the four numbers is found from the diagonal, the others from it (Shepperd, Quaternion from
    rotation matrix, 1978).
    """
    R = np.asarray(rotations, np.float64)
    trace = np.trace(R, axis1=-2, axis2=-1)
    squares = 1 + 2 * np.stack([R[:, 0, 0], R[:, 1, 1], R[:, 2, 2], trace], -1) - trace[:, None]
    squares[:, 3] = 1 + trace
    x, y, z = (R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1])
    xy, xz, yz = (R[:, 0, 1] + R[:, 1, 0], R[:, 0, 2] + R[:, 2, 0], R[:, 1, 2] + R[:, 2, 1])
    # Row k of this is 4 q_k q; the row of the largest is the most precise.
    rows = np.stack(
        [
            np.stack([squares[:, 0], xy, xz, x], -1),
            np.stack([xy, squares[:, 1], yz, y], -1),
            np.stack([xz, yz, squares[:, 2], z], -1),
            np.stack([x, y, z, squares[:, 3]], -1),
        ],
        axis=1,
    )
    found = rows[np.arange(len(R)), squares.argmax(1)]
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    flips = np.where((found[1:] * found[:-1]).sum(1) < 0, -1.0, 1.0)
    return np.asarray(found * np.cumprod([1.0, *flips])[:, None])


def rotations_from_quaternions(quaternions: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4) x y z w of any length -> rotations (N, 3, 3)."""
    q = np.asarray(quaternions, np.float64)
    x, y, z, w = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
            np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
            np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1),
        ],
        axis=1,
    )

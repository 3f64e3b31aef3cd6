"""Surfaces and landmarks with known distances, for the tests of reconstruction error."""

from __future__ import annotations

import numpy as np

from likeness.mesh import Mesh
from likeness.metrics.scan_alignment import Similarity

# x and y of the seven landmarks and the nose tip on the front of `face`, mm.
MARKS = np.array([[-45, 30], [-16, 28], [16, 28], [45, 30], [0, -18], [-25, -48], [25, -48], [0, -2]], float)


def grid(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions in rings about the y axis, closed but for tiny holes at the poles, and triangles."""
    polar = np.linspace(0.01, np.pi - 0.01, rings)[:, None]
    around = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    ring = np.broadcast_arrays(np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around))
    a = np.arange(rings * 2 * rings).reshape(rings, 2 * rings)
    b = np.roll(a, -1, axis=1)
    lower, upper = np.stack([a[1:], b[1:], a[:-1]], -1), np.stack([b[1:], b[:-1], a[:-1]], -1)
    return np.stack(ring, axis=-1).reshape(-1, 3), np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)])


def face(directions: np.ndarray, change: float = 0.0) -> np.ndarray:
    """A head-sized ellipsoid with a nose and, times ``change``, about a millimetre of waves."""
    points = directions * [75.0, 110.0, 95.0]
    nose = 18 * np.exp(-((points[:, 0] / 12) ** 2) - ((points[:, 1] + 2) / 16) ** 2) * (directions[:, 2] > 0)
    waves = np.sin(6 * directions[:, 0] + 1) + np.cos(5 * directions[:, 1]) + np.sin(7 * directions[:, 2])
    return points + np.outer(nose, [0, 0, 1.0]) + directions * (change * waves)[:, None]


def marks(change: float = 0.0) -> np.ndarray:
    """(8, 3) landmarks of :func:`face`, the nose tip last."""
    x, y = MARKS[:, 0] / 75, MARKS[:, 1] / 110
    return face(np.stack([x, y, np.sqrt(1 - x * x - y * y)], axis=1), change)


def face_mesh(rings: int = 40, change: float = 0.0) -> Mesh:
    directions, triangles = grid(rings)
    return Mesh(face(directions, change), triangles)


def sphere(radius: float, rings: int = 60) -> tuple[Mesh, np.ndarray]:
    """A sphere and landmarks so far apart on it that NoW's disc holds all of it."""
    directions, triangles = grid(rings)
    places = [
        [-1, 0.05, 0.1],
        [-0.1, 0.9, 0.4],
        [0.1, 0.9, 0.4],
        [1, 0.05, 0.1],
        [0, 0, 1],
        [-0.5, -0.7, 0.5],
        [0.5, -0.7, 0.5],
    ]
    points = np.array(places)
    return Mesh(radius * directions, triangles), radius * points / np.linalg.norm(points, axis=1, keepdims=True)


def moved(mesh: Mesh, points: np.ndarray, motion: Similarity) -> tuple[Mesh, np.ndarray]:
    return mesh.with_vertices(motion.apply(mesh.vertices)), motion.apply(points)

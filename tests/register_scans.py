"""Raw scans made from the small model, with everything about them known; shared by the tests of registration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from likeness.geometry.rotation import rotation_from_euler
from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.register import Similarity

POSE = Similarity(0.001, rotation_from_euler(0.5, -0.3, 0.4), np.array([0.4, -1.2, 3.0]))
"""Scan (metres) from model (mm)."""


def subdivided(vertices: np.ndarray, triangles: np.ndarray, rounds: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Every triangle cut into four at its edges' middles; columns of ``vertices`` (V, C) may be anything linear."""
    for _ in range(rounds):
        edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        edges, number = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = (number.reshape(-1, 3) + len(vertices)).T
        a, b, c = triangles.T
        vertices = np.concatenate([vertices, vertices[edges].mean(1)])
        triangles = np.concatenate(
            [np.stack(corners, 1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
    return vertices, triangles


def raw_scan(
    model: FaceModel, identity: np.ndarray, pose: Similarity = POSE, *, noise: float = 0.0, holes: float = 0.0
) -> Mesh:
    """A head of the model as a scanner might deliver it.

    Args:
        noise: mm, of every vertex.
        holes: the share of the surface that is missing, in patches.
    """
    rng = np.random.default_rng(7)
    vertices, triangles = subdivided(model.vertices(identity).astype(np.float64), model.topology.triangles, 2)
    if holes:
        middles = vertices[triangles].mean(1)
        centers = middles[rng.choice(len(middles), round(40 * holes))]
        apart = np.linalg.norm(middles[:, None] - centers, axis=-1).min(1)
        triangles = triangles[apart > 14]
    return Mesh(pose.apply(vertices + rng.normal(0, noise, vertices.shape)), triangles)


def code_of(model: FaceModel, seed: int) -> np.ndarray:
    """A random identity code that is not far out."""
    return 0.7 * model.space.sample(1, np.random.default_rng(seed))[0]


def coloured(model: FaceModel, scan: Mesh, pose: Similarity = POSE) -> Mesh:
    """The scan with colours that tell the place on the face's front: red for x, green for y, against blue; white
    light does not change their ratios."""
    x, y, z = pose.inverse().apply(scan.vertices).T
    linear = np.stack([0.25 + x / 400, 0.25 + (y + 30) / 400, np.full_like(x, 0.25)], axis=1)
    linear[z < -80] = 0.25 * np.array([0.1, 0.1, 4.0])
    return Mesh(scan.vertices, scan.triangles, colors=srgb_from_linear(np.clip(linear, 0, 1)))


def colour_reader(model: FaceModel, identity: np.ndarray) -> Any:
    """Stands in for the photo network: it finds the landmarks of a picture of a :func:`coloured` scan by colour."""
    points = model.landmark_points(identity)
    truth = np.concatenate([points[51:].reshape(17, -1, 3)[:, 0], points[:51]]).astype(np.float64)

    def reconstruct(image: np.ndarray, **_: Any) -> list[Any]:
        linear = linear_from_srgb(image / 255.0)
        red, green = (linear[..., k] / np.maximum(linear[..., 2], 1e-6) for k in (0, 1))
        place = np.stack([(red - 1) * 100, (green - 1) * 100 - 30], axis=-1)
        grey = np.ptp(image.astype(int), axis=-1) < 2  # the background
        miss = np.where(grey, np.inf, np.linalg.norm(place[:, :, None] - truth[:, :2], axis=-1).transpose(2, 0, 1))
        at = miss.reshape(68, -1).argmin(1)
        if np.median(miss.reshape(68, -1).min(1)) > 3.0:
            return []
        landmarks = np.stack([at % image.shape[1], at // image.shape[1]], axis=1).astype(np.float64)
        return [SimpleNamespace(landmarks=landmarks, score=0.95)]

    return reconstruct

"""People and photos made from a seed, for the tests of likeness.fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.fit import Observations, SurfacePoints
from likeness.fit.points import Points
from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import FaceModel

CAMERA = Camera(1500.0, (319.5, 239.5), (640, 480))


@dataclass(frozen=True, eq=False)
class Truth:
    """What a photo was made of, and the exact pixels (P, 2) of its points."""

    identity: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    pixels: np.ndarray


def front_points(model: FaceModel, count: int, rng: np.random.Generator) -> SurfacePoints:
    """Random points on the triangles of the face region."""
    inside = model.topology.regions["face"][model.topology.triangles].all(1)
    triangles = rng.choice(np.flatnonzero(inside), count)
    return SurfacePoints(model.topology.triangles[triangles], rng.dirichlet([1, 1, 1], count))


def photographed(
    model: FaceModel,
    points: Points,
    rng: np.random.Generator,
    *,
    identity: np.ndarray | None = None,
    expression: np.ndarray | None = None,
    yaw: float | None = None,
    camera: Camera = CAMERA,
) -> Truth:
    """A random person (or the given one) as a camera sees them; ``yaw`` in radians."""
    if identity is None:
        identity = rng.standard_normal(len(model.identity_basis))
    if expression is None:
        expression = np.where(rng.random(52) < 0.1, rng.uniform(0.1, 0.9, 52), 0.0)
    yaw = rng.normal(0, 0.3) if yaw is None else yaw
    rotation = FRONTAL @ rotation_from_euler(yaw, rng.normal(0, 0.12), rng.normal(0, 0.12))
    translation = np.array([rng.normal(0, 50), rng.normal(0, 30), rng.uniform(700, 1300)])
    bases = points.bases(model)
    seen = camera.project(bases.positions(np.concatenate([identity, expression])) @ rotation.T + translation)
    rows = bases.selected(seen, rotation)
    return Truth(identity, expression, rotation, translation, seen if rows is None else seen[rows])


def noisy(truth: Truth, points: Points, sigma: float, rng: np.random.Generator) -> Observations:
    """What a detector with independent errors of ``sigma`` px would say."""
    return Observations(truth.pixels + rng.normal(0, sigma, truth.pixels.shape), sigma**2, points)


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Radians between two rotations (3, 3)."""
    return float(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1)))

"""Time and accuracy of fitting the face model to points, one thread, against the floor of its linear algebra.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/fit.py [--json FILE] [--runs N]

People and expressions are drawn from the model, photographed by a pinhole camera at 0.7 to 1.3 m (yaw of 17 degrees
standard deviation), and their points seen with independent errors of 1.5 px. Fits begin from nothing (the closed form
of the pose) or from a pose and code near the truth, as a network gives them. The floor is what NumPy needs for the
matrix that a fit cannot do without: one product Jᵀ J of the points' Jacobian in float32, the inverse of its code's
block and the solution of the rest; for a person, one such product and elimination for each photo.

Times are of the process (of all its threads), not of the clock, so that they hold on a busy machine: the median over
faces of the best of several runs. mm: RMS distance over the face region after a similarity (to first order), and that
of the mean face.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.assets import asset
from likeness.fit import (
    IBUG,
    ExpressionPrior,
    IdentityPrior,
    Observations,
    Start,
    SurfacePoints,
    fit_face,
    fit_person,
)
from likeness.fit.points import Points, bases_of
from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import FaceModel

CAMERA = Camera(1500.0, (319.5, 239.5), (640, 480))
ERROR = 1.5
FACES, PHOTOS = 12, 30


@dataclass(frozen=True, eq=False)
class Seen:
    """A person in a photo: the truth and what a detector says of the points."""

    identity: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    observations: Observations


def photographed(model: FaceModel, points: Points, rng: np.random.Generator, identity: np.ndarray) -> Seen:
    """One photo of a person with a few random expression weights."""
    expression = np.where(rng.random(52) < 0.1, rng.uniform(0.1, 0.9, 52), 0.0)
    rotation = FRONTAL @ rotation_from_euler(*rng.normal(0, [0.3, 0.12, 0.12]))
    translation = np.array([rng.normal(0, 50), rng.normal(0, 30), rng.uniform(700, 1300)])
    bases = bases_of(model, points)
    pixels = CAMERA.project(bases.positions(np.concatenate([identity, expression])) @ rotation.T + translation)
    rows = bases.selected(pixels, rotation)
    pixels = pixels if rows is None else pixels[rows]
    return Seen(
        identity, rotation, translation, Observations(pixels + rng.normal(0, ERROR, pixels.shape), ERROR**2, points)
    )


def best_ms(call: Callable[[], Any], runs: int) -> float:
    """The least process time of some calls, ms."""
    times = []
    for _ in range(runs):
        start = time.process_time_ns()
        call()
        times.append(time.process_time_ns() - start)
    return min(times) / 1e6


def floor_ms(points: int, runs: int, photos: int = 1) -> float:
    """Process time of the linear algebra of one Gauss-Newton step of ``photos`` photos of ``points`` points, ms."""
    rng = np.random.default_rng(0)
    J = rng.standard_normal((2 * points, 186)).astype(np.float32)
    A = (J.T @ J).astype(np.float64) + np.eye(186)

    def one() -> None:
        _ = J.T @ J
        np.linalg.inv(A[:128, :128])
        np.linalg.solve(A[128:, 128:], A[128:, 0])

    def many() -> None:
        for _ in range(photos):
            _ = J.T @ J
            inverse = np.linalg.inv(A[128:, 128:])
            A[:128, 128:] @ (inverse @ A[128:, :128])
        np.linalg.inv(A[:128, :128])

    return best_ms(one if photos == 1 else many, runs)


def without_similarity(model: FaceModel) -> np.ndarray:
    """The identity basis over the face region, (K, 3 F) mm RMS per unit, without what only moves, turns or scales."""
    face = model.topology.regions["face"]
    mean = model.mean[face].astype(np.float64)
    mean -= mean.mean(0)
    moves = [mean, *(np.cross(axis, mean) for axis in np.eye(3))]
    frame = np.linalg.qr(np.stack([move.ravel() for move in moves], axis=1))[0]
    basis = model.identity_basis[:, face].astype(np.float64)
    flat = (basis - basis.mean(1, keepdims=True)).reshape(len(basis), -1) / np.sqrt(face.sum())
    return np.asarray(flat - (flat @ frame) @ frame.T)


def one_photo(model: FaceModel, name: str, points: Points, runs: int) -> dict[str, Any]:
    """Fits of single photos from nothing and from near the truth."""
    rng = np.random.default_rng(1)
    prior, expression = IdentityPrior.population(model), ExpressionPrior.default(model)
    basis = without_similarity(model)
    rows = []
    for _ in range(FACES):
        seen = photographed(model, points, rng, rng.standard_normal(128))
        turn = rotation_from_euler(*rng.normal(0, 0.05, 3))
        start = Start(turn @ seen.rotation, seen.translation * (1 + rng.normal(0, 0.05)))
        near = IdentityPrior(0.6 * seen.identity + 0.5 * rng.standard_normal(128), np.eye(128) / 0.41)
        face = fit_face(model, seen.observations, CAMERA, identity=prior, expression=expression)

        def scratch(seen: Seen = seen) -> Any:
            return fit_face(model, seen.observations, CAMERA, identity=prior, expression=expression)

        def network(seen: Seen = seen, start: Start = start, near: IdentityPrior = near) -> Any:
            return fit_face(model, seen.observations, CAMERA, identity=near, expression=expression, start=start)

        rows.append(
            [
                best_ms(scratch, runs),
                best_ms(network, runs),
                best_ms(lambda: scratch().covariance, runs),
                face.minimum.steps,
                face.minimum.matrices,
                float(np.linalg.norm((face.identity - seen.identity) @ basis)),
                float(np.linalg.norm(seen.identity @ basis)),
            ]
        )
    keys = ("ms", "ms from near", "ms with covariance", "steps", "matrices", "mm", "mm mean face")
    figures = dict(zip(keys, np.median(rows, axis=0).round(3).tolist(), strict=True))
    return {"what": name, "floor ms": round(floor_ms(len(points), 10 * runs), 3)} | figures


def person(model: FaceModel, points: Points, runs: int) -> dict[str, Any]:
    """Fits of thirty photos of one person."""
    rng = np.random.default_rng(2)
    basis, times, misses = without_similarity(model), [], []
    for _ in range(3):
        code = rng.standard_normal(128)
        photos = [photographed(model, points, rng, code).observations for _ in range(PHOTOS)]

        def fit(photos: list[Observations] = photos) -> Any:
            return fit_person(model, photos, [CAMERA] * PHOTOS)

        found = fit()
        times.append([best_ms(fit, max(2, runs // 4)), found.faces[0].minimum.steps, found.faces[0].minimum.matrices])
        misses.append([np.linalg.norm((found.identity - code) @ basis), np.linalg.norm(code @ basis)])
    keys = ("ms", "steps", "matrices", "mm", "mm mean face")
    figures = dict(zip(keys, np.median(np.hstack([times, misses]), axis=0).round(3).tolist(), strict=True))
    floor = round(floor_ms(len(points), runs, PHOTOS), 3)
    return {"what": f"{PHOTOS} photos, {len(points)} points", "floor ms": floor} | figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    model = FaceModel.load(asset("face_model.npz"))
    rng = np.random.default_rng(0)
    face = np.flatnonzero(model.topology.regions["face"])
    dense = SurfacePoints.at_vertices(np.sort(rng.choice(face, 468, replace=False)))
    rows = [
        one_photo(model, "68 landmarks, sliding contour", IBUG, arguments.runs),
        one_photo(model, "468 points", dense, arguments.runs),
        person(model, dense, arguments.runs),
    ]
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

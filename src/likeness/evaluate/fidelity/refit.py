"""Pose and expression of heads of known identity from landmarks; what is left, the identity does not explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.geometry.rotation import FRONTAL, rotation_from_vector
from likeness.model.face_model import FaceModel
from likeness.reconstruct.proposals import crop_from_landmarks

NOISE = 0.015
"""Of annotated points, standard deviation over the box's size."""

EXPRESSION_STD = 0.5
"""Prior of each weight about 0: most are near 0, none is free."""

STEPS, TOLERANCE = 30, 1e-4
CHUNK = 32
"""Faces that are fitted at a time: their arrays stay in the processor's cache."""

DAMPING, LARGEST_DAMPING = 1e-3, 1e6
CROP = 100
"""Pixels of the crop that landmarks are brought to; any number would do."""


@dataclass(frozen=True, eq=False)
class Refit:
    """Heads laid on landmarks.

    Args:
        landmarks: (N, 68, 2) photo pixels, of the fitted heads.
        errors: (N,) mean distance to the given landmarks over sqrt(w h) of their box.
        expression: (N, E) weights in [0, 1].
        rotation: (N, 3, 3) model axes -> the crop camera's axes.
        translation: (N, 3) mm.
    """

    landmarks: np.ndarray
    errors: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def refit(model: FaceModel, identity: np.ndarray, landmarks: np.ndarray) -> Refit:
    """Fit pose and expression to landmarks while identity stays: damped Gauss-Newton steps on all faces at once.

    Minimises squared distances over the noise plus squared weights over their prior's; weights stay in [0, 1]. The
    contour points are the candidates that lie farthest out, chosen anew at every step. Each face is seen by the
    camera of its crop (:meth:`likeness.Camera.from_crop_size`).

    Args:
        model: the face model.
        identity: (N, K) codes.
        landmarks: (N, 68, 2) photo pixels.

    Raises:
        ValueError: other shapes.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.shape != (len(identity), 68, 2):
        raise ValueError(f"expected landmarks ({len(identity)}, 68, 2), got {landmarks.shape}")
    crops = [crop_from_landmarks(points, CROP) for points in landmarks]
    target = np.stack([crop.to_crop(points) for crop, points in zip(crops, landmarks, strict=True)])
    neutral = model.landmark_points(identity).astype(np.float64)
    rows = [slice(start, start + CHUNK) for start in range(0, len(target), CHUNK)]
    problems = [_Problem(model, neutral[some], target[some]) for some in rows]
    states = [_minimised(problem) for problem in problems]
    seen = np.concatenate([problem.project(one)[0] for problem, one in zip(problems, states, strict=True)])
    state = _State(*(np.concatenate(parts) for parts in zip(*states, strict=True)))
    photo = np.stack([crop.to_photo(points) for crop, points in zip(crops, seen, strict=True)])
    size = np.sqrt(np.prod(np.ptp(landmarks, axis=1), axis=-1))
    errors = np.linalg.norm(photo - landmarks, axis=-1).mean(-1) / size
    return Refit(photo, errors, state.expression, state.rotation, state.translation)


class _State(NamedTuple):
    rotation: np.ndarray  # (N, 3, 3)
    translation: np.ndarray  # (N, 3)
    expression: np.ndarray  # (N, E)

    def moved(self, step: np.ndarray) -> _State:
        """A step (N, 6 + E): turn about the head's origin, shift, change of the weights."""
        turn = np.stack([rotation_from_vector(one) for one in step[:, :3]])
        weights = np.clip(self.expression + step[:, 6:], 0.0, 1.0)
        return _State(turn @ self.rotation, self.translation + step[:, 3:6], weights)

    def where(self, better: np.ndarray, other: _State) -> _State:
        """The other's faces where ``better`` (N,), else these."""
        return _State(
            np.where(better[:, None, None], other.rotation, self.rotation),
            np.where(better[:, None], other.translation, self.translation),
            np.where(better[:, None], other.expression, self.expression),
        )


class _Problem:
    """Residuals and derivatives of N faces."""

    def __init__(self, model: FaceModel, neutral: np.ndarray, target: np.ndarray) -> None:
        self.map, self.neutral, self.target = model.landmark_map, neutral, target
        self.basis = model.landmark_bases[2].astype(np.float64).transpose(1, 2, 0).copy()  # (C, 3, E)
        self.camera = Camera.from_crop_size(CROP)
        self.noise = NOISE * np.sqrt(np.prod(np.ptp(target, axis=1), axis=-1))

    def start(self) -> _State:
        """Upright, facing the camera, as far away as the size says."""
        count, weights = len(self.target), self.basis.shape[-1]
        width = np.ptp(self.neutral[:, :51, 1], axis=1) / np.ptp(self.target[:, 17:, 1], axis=1)
        distance = self.camera.focal * width
        middle = (self.target[:, 17:].mean(1) - self.camera.center) / self.camera.focal
        shift = np.concatenate([middle * distance[:, None], distance[:, None]], axis=1)
        translation = shift - self.neutral[:, :51].mean(1) @ FRONTAL.T
        return _State(np.tile(FRONTAL, (count, 1, 1)), translation, np.zeros((count, weights)))

    def project(self, state: _State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The 68 points in the crop (N, 68, 2), which candidates they are (N, 68), and all of those, turned
        (N, C, 3)."""
        moved = state.expression @ self.basis.reshape(-1, self.basis.shape[-1]).T
        turned = (self.neutral + moved.reshape(self.neutral.shape)) @ state.rotation.transpose(0, 2, 1)
        seen = project(self.camera, turned + state.translation[:, None])
        contour = 51 + np.arange(17) * self.map.candidates + self.map.contour_index(seen, state.rotation)
        inner = np.broadcast_to(np.arange(51), (len(seen), 51))
        chosen = np.concatenate([contour, inner], axis=1)
        return np.take_along_axis(seen, chosen[..., None], 1), chosen, turned

    def cost(self, state: _State) -> np.ndarray:
        """(N,) what is minimised."""
        residual = (self.project(state)[0] - self.target) / self.noise[:, None, None]
        return np.asarray((residual**2).sum((1, 2)) + ((state.expression / EXPRESSION_STD) ** 2).sum(1))

    def linearised(self, state: _State) -> tuple[np.ndarray, np.ndarray]:
        """Normal matrix (N, 6 + E, 6 + E) and half the gradient (N, 6 + E)."""
        seen, chosen, turned = self.project(state)
        at = np.take_along_axis(turned, chosen[..., None], 1)  # (N, 68, 3)
        z = (at + state.translation[:, None])[..., 2]
        offset = (seen - self.camera.center) / self.camera.focal
        zero = np.zeros_like(z)
        screen = np.stack(
            [np.stack([1 / z, zero, -offset[..., 0] / z], -1), np.stack([zero, 1 / z, -offset[..., 1] / z], -1)], -2
        ) * (self.camera.focal / self.noise[:, None, None, None])  # fmt: skip
        moves = (screen @ state.rotation[:, None]) @ self.basis[chosen]
        jacobian = np.concatenate([screen @ _turns(at), screen, moves], axis=-1)
        jacobian = jacobian.reshape(len(seen), -1, jacobian.shape[-1])
        residual = ((seen - self.target) / self.noise[:, None, None]).reshape(len(seen), -1)
        normal = jacobian.transpose(0, 2, 1) @ jacobian
        slope = (residual[:, None] @ jacobian)[:, 0]
        prior = np.arange(6, normal.shape[-1])
        normal[:, prior, prior] += EXPRESSION_STD**-2
        slope[:, 6:] += state.expression * EXPRESSION_STD**-2
        return normal, slope


def _minimised(problem: _Problem) -> _State:
    state = problem.start()
    cost = problem.cost(state)
    damping = np.full(len(cost), DAMPING)
    for _ in range(STEPS):
        normal, slope = problem.linearised(state)
        # A weight at an end of its range that wants to leave it stays there.
        held = np.zeros(slope.shape, bool)
        held[:, 6:] = ((state.expression <= 0) & (slope[:, 6:] > 0)) | ((state.expression >= 1) & (slope[:, 6:] < 0))
        slope = np.where(held, 0.0, slope)
        normal = np.where(held[:, :, None] | held[:, None, :], 0.0, normal)
        own = np.arange(slope.shape[1])
        diagonal = normal[:, own, own]
        normal[:, own, own] = np.where(held, 1.0, diagonal * (1 + damping[:, None]))
        trial = state.moved(-np.linalg.solve(normal, slope[..., None])[..., 0])
        trial_cost = problem.cost(trial)
        better = trial_cost < cost
        gain = np.where(better, cost - trial_cost, 0.0)
        state, cost = state.where(better, trial), np.where(better, trial_cost, cost)
        damping = np.clip(np.where(better, damping / 10, damping * 10), 1e-9, LARGEST_DAMPING)
        if (gain[better] < TOLERANCE * cost[better]).all() and (better | (damping >= LARGEST_DAMPING)).all():
            break
    return state


def _turns(points: np.ndarray) -> np.ndarray:
    """(..., 3, 3): how points (..., 3) move with a small turn about the origin."""
    x, y, z = np.moveaxis(points, -1, 0)
    zero = np.zeros_like(x)
    rows = [[zero, z, -y], [-z, zero, x], [y, -x, zero]]
    return np.stack([np.stack(row, -1) for row in rows], -2)

"""Move the 68 landmarks on the surface to where annotators put them.

ICT's vertices for the iBUG points are one convention, people who click on photographs have another (the inner ends
of the brows lie 5 mm nearer to the middle, say, and the points along the jaw farther apart). The mean face with small
codes is fitted to annotated frames, so that a habit of the annotators cannot hide in the codes; the mean residual of
each point over frontal frames, made symmetric, moves the point; a few times. Contour points take their lines along.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from annotate import landmarks_through

from likeness.geometry.landmarks import MIRRORED, LandmarkMap
from likeness.geometry.rotation import FRONTAL, rotation_from_6d
from likeness.model.face_model import FaceModel
from likeness.register import closest_points

PRIOR = 60.0
"""Weight of a code's mean square against the landmarks' in square pixels: with a hundredth of it the jaw's points are
5 mm off and the fit does not show it, because all faces get another jaw."""

CROP, FOCAL, DISTANCE = 112.0, 4.5 * 112.0, 860.0
FRONTAL_YAW = 0.35


def read_landmarks(tar: Path, step: int = 3) -> np.ndarray:
    """Every ``step``-th frame's landmarks (N, 68, 2) px of a video tar."""
    found = []
    with tarfile.open(tar) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".json") else None
            if stream is not None:
                found.append(json.load(stream)["landmarks"])
    return np.array(found, np.float32)[::step]


def calibrate(model: FaceModel, triangles: np.ndarray, tar: Path, rounds: int = 2) -> tuple[LandmarkMap, list[float]]:
    """Landmarks moved to the annotators' habit.

    Args:
        model: its landmarks are the start.
        triangles: (F, 3) of the skin, where landmarks may lie.
        tar: frames with 68 landmarks each.

    Returns:
        the new map, and the mean residual in percent of the landmark box before each round and after the last.
    """
    frames = read_landmarks(tar)
    current = model.landmark_map
    residuals = []
    for number in range(rounds + 1):
        shift, mean = mean_residual(model, current, frames)
        residuals.append(mean)
        if number == rounds:
            break
        points = frontal_points(current, model.mean) + np.pad(shift, ((0, 0), (0, 1)))
        nearest = closest_points(points, model.mean, triangles)
        current = landmarks_through(nearest.points, model.mean.astype(np.float64), triangles)
    return current, residuals


def frontal_points(landmarks: LandmarkMap, vertices: np.ndarray) -> np.ndarray:
    """The 68 points (68, 3) of a head (V, 3) that is seen from the front, from far away."""
    at = landmarks.gather(vertices)
    chosen = landmarks.contour_index(at[:, :2] * [1, -1], FRONTAL)
    return np.concatenate([at[51:].reshape(17, -1, 3)[np.arange(17), chosen], at[:51]])


def mean_residual(model: FaceModel, landmarks: LandmarkMap, frames: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit all frames; the symmetric mean residual (68, 2) mm in model axes, and its mean size in percent."""
    import torch

    low, high = frames.min(1), frames.max(1)
    side = 1.5 * np.sqrt((high - low).prod(1))
    target = torch.tensor((frames - ((low + high) / 2)[:, None]) / side[:, None, None] * CROP)
    bases = [torch.tensor(landmarks.gather(b)) for b in (model.mean, model.identity_basis, model.expression_basis)]
    points, rotation = _fit(target, bases, landmarks)
    head = torch.tensor(FRONTAL.astype(np.float32)).T @ rotation
    roll = torch.atan2(head[:, 1, 0], head[:, 0, 0])[:, None]
    x, y = (target - points).unbind(-1)
    upright = torch.stack([roll.cos() * x - roll.sin() * y, -(roll.sin() * x + roll.cos() * y)], dim=-1)
    frontal = torch.atan2(head[:, 0, 2], head[:, 2, 2]).abs() < FRONTAL_YAW
    shift = upright[frontal].mean(0).numpy() * DISTANCE / FOCAL
    shift = 0.5 * (shift + shift[MIRRORED] * [-1, 1])
    error = (target - points).norm(dim=-1).mean() * 1.5 / CROP * 100
    return shift, float(error)


def _fit(target: Any, bases: list[Any], landmarks: LandmarkMap, steps: int = 200) -> tuple[Any, Any]:
    """Pose, identity and expression of all frames at once by Adam; projected points and rotations."""
    import torch

    mean, identity_basis, expression_basis = bases
    count, front = len(target), torch.tensor(FRONTAL.astype(np.float32))
    code = torch.zeros(count, len(identity_basis), requires_grad=True)
    logit = torch.full((count, len(expression_basis)), -3.0, requires_grad=True)
    six = torch.tensor([[1.0, 0, 0, 0, 1, 0]]).repeat(count, 1).requires_grad_()
    place = torch.tensor([[0.0, 0.2, DISTANCE / 100]]).repeat(count, 1).requires_grad_()
    optimizer = torch.optim.Adam(
        [{"params": [code, logit], "lr": 0.1}, {"params": [six], "lr": 0.02}, {"params": [place], "lr": 0.1}]
    )
    for step in range(steps + 1):
        weights = logit.sigmoid()
        shape = mean + torch.einsum("nk,kvc->nvc", code, identity_basis)
        shape = shape + torch.einsum("nk,kvc->nvc", weights, expression_basis)
        rotation = front @ rotation_from_6d(six)
        seen = shape @ rotation.transpose(-1, -2) + 100 * place[:, None]
        points = landmarks.select(seen[..., :2] / seen[..., 2:] * FOCAL, rotation)
        if step == steps:
            break
        squared = ((points - target) ** 2).sum(-1).mean(1)
        loss = (squared + PRIOR * (code**2).mean(1) + 0.3 * weights.mean(1)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return points.detach(), rotation.detach()

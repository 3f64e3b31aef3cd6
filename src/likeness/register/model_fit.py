"""A face model fitted to a surface: pose, identity and expression by Gauss-Newton on closest points.

Minimised, over pose, identity code c and expression e (our formulation of point-to-plane ICP, Chen and Medioni 1992,
with a linear model instead of a rigid body)::

    ρ Σ wᵢ (nᵢ · (s R vᵢ(c, e) + t − qᵢ))² / σ²  +  Σ uⱼ |s R lⱼ(c, e) + t − pⱼ|² / σ_l²  +  |c|² + |e|² / σ_e²

with qᵢ the scan's point closest to vertex i, nᵢ its normal, pⱼ the landmarks. wᵢ is the region's weight times Geman
and McClure's robust weight, 0 where the closest point lies on a rim, looks elsewhere or is far away. ρ says how many
of the vertices count as independent. The prior |c|² is the Gaussian space's; on a sphere every code is as likely as
any other, so there steps are tangential and damped, and the code is projected back after each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.geometry.landmarks import INNER_COUNT, INNER_LIPS, JAW_COUNT
from likeness.geometry.rotation import rotation_from_vector
from likeness.geometry.similarity import Similarity
from likeness.mesh.closest import Surface
from likeness.mesh.normals import vertex_normals
from likeness.model.face_model import FaceModel
from likeness.model.identity import SphereSpace
from likeness.register.head_parts import Parts
from likeness.register.initial_pose import Placement

Array = np.ndarray

INNER_LIPS_WEIGHT = 0.05
"""Annotators put them apart on closed mouths, millimetres off the seam; the surface knows better."""


@dataclass(frozen=True)
class FitSettings:
    """Numbers of :func:`fit_model`; lengths in mm."""

    steps: int = 24
    noise: float = 1.0  # σ of a vertex's distance, with what the model cannot express
    independent: float = 0.15  # ρ; neighbours err alike
    given_noise: float = 2.5  # σ_l of landmarks in a file
    found_noise: float = 5.0  # σ_l of landmarks that the network found
    expression_spread: float = 0.25  # σ_e
    reach: tuple[float, float] = (30.0, 6.0)  # farthest believed closest point, first and last step
    normal_cosine: float = 0.6
    robust: tuple[float, float] = (8.0, 1.5)  # where the robust weight has fallen to a quarter, first and last step
    damping: float = 1.0  # on a sphere, of a step as long as one standard deviation


@dataclass(frozen=True, eq=False)
class ModelFit:
    """What :func:`fit_model` found.

    Attributes:
        identity: (K,) code on the model's space.
        expression: (E,) weights in [0, 1].
        surface_from_model: model axes -> the surface's axes, both mm; scale 1 where the unit is known.
        vertices: (V, 3) mm, model axes.
    """

    identity: Array
    expression: Array
    surface_from_model: Similarity
    vertices: Array


def fit_model(
    model: FaceModel,
    parts: Parts,
    surface: Surface,
    placement: Placement,
    settings: FitSettings | None = None,
) -> ModelFit:
    """Fit a model to a surface.

    Args:
        parts: of the model.
        surface: the scan; its normals look outwards.
        placement: a rough pose and landmarks, in the surface's axes; its scale is kept where it is known.
    """
    problem = _Problem(model, parts, surface, placement, settings or FitSettings())
    identity, expression = _start_code(model), np.zeros(len(model.expression_basis))
    pose = placement.scan_from_model
    for step in range(problem.settings.steps):
        share = step / max(problem.settings.steps - 1, 1)
        change = problem.step(identity, expression, pose, share)
        # The first steps only move the head as a whole: codes found from wrong pairs would have to be unlearnt.
        if step >= 4:
            identity = np.asarray(model.space.project(identity + change.identity), np.float64)
            expression = np.clip(expression + change.expression, 0, 1)
        pose = change.pose
    vertices = model.vertices(identity, expression).astype(np.float64)
    return ModelFit(identity, expression, pose, vertices)


def _start_code(model: FaceModel) -> Array:
    """The code of the shape nearest to the mean: 0, or on a sphere the direction that moves the least."""
    count = len(model.identity_basis)
    if not isinstance(model.space, SphereSpace):
        return np.zeros(count)
    flat = model.identity_basis.reshape(count, -1).astype(np.float64)
    direction = np.linalg.eigh(flat @ flat.T)[1][:, 0]
    return np.asarray(model.space.project(direction * (1 if direction.sum() >= 0 else -1)))


@dataclass(frozen=True, eq=False)
class _Change:
    identity: Array
    expression: Array
    pose: Similarity


class _Problem:
    """The normal equations of one step, with what does not change between steps."""

    def __init__(
        self, model: FaceModel, parts: Parts, surface: Surface, placement: Placement, settings: FitSettings
    ) -> None:
        self.model, self.surface, self.placement, self.settings = model, surface, placement, settings
        self.used = np.flatnonzero(parts.weights)
        self.weights = parts.weights[self.used]
        self.triangles = parts.triangles
        basis = np.concatenate([model.identity_basis, model.expression_basis])
        self.basis = basis[:, self.used].astype(np.float64)
        mean, identity, expression = (
            part[..., :INNER_COUNT, :][..., placement.index, :] for part in model.landmark_bases
        )
        self.marks = mean.astype(np.float64)
        self.marks_basis = np.concatenate([identity, expression]).astype(np.float64)
        self.marks_weight = np.where(placement.index < INNER_LIPS - JAW_COUNT, 1.0, INNER_LIPS_WEIGHT)
        self.on_sphere = isinstance(model.space, SphereSpace)

    def step(self, identity: Array, expression: Array, pose: Similarity, share: float) -> _Change:
        """One Gauss-Newton step; ``share`` from 0 (first) to 1 (last)."""
        codes = np.concatenate([identity, expression])
        normal, right = self._surface_terms(identity, expression, pose, share)
        more, more_right = self._landmark_terms(codes, pose)
        normal, right = normal + more, right + more_right
        prior, prior_right = self._prior(identity, expression)
        normal, right = normal + prior, right + prior_right
        if self.placement.known_scale:
            normal[6], normal[:, 6], normal[6, 6], right[6] = 0, 0, 1, 0
        low = np.full(len(right), -np.inf)
        high = np.full(len(right), np.inf)
        low[7 + len(identity) :], high[7 + len(identity) :] = -expression, 1 - expression
        found = _bounded(normal, right, low, high)
        turn, shift, growth = found[:3], found[3:6], found[6]
        center = self._center(pose)
        rotation = rotation_from_vector(turn)
        scale = float(np.exp(growth))
        moved = Similarity(scale, rotation, center + shift - scale * rotation @ center).after(pose)
        if self.placement.known_scale:
            moved = Similarity(1.0, moved.rotation, moved.translation)
        return _Change(found[7 : 7 + len(identity)], found[7 + len(identity) :], moved)

    def _center(self, pose: Similarity) -> Array:
        return pose.apply(self.marks.mean(0)[None])[0]

    def _columns(self, points: Array, basis: Array, pose: Similarity, direction: Array) -> Array:
        """Derivatives (N, 7 + codes) of ``direction · point``: turn, shift, log of scale, codes."""
        local = points - self._center(pose)
        turned = direction @ (pose.scale * pose.rotation)
        codes = np.einsum("nk,mnk->nm", turned, basis, optimize=True)
        return np.hstack([np.cross(local, direction), direction, (local * direction).sum(1)[:, None], codes])

    def _surface_terms(self, identity: Array, expression: Array, pose: Similarity, share: float) -> Any:
        settings = self.settings
        vertices = self.model.vertices(identity, expression).astype(np.float64)
        points = pose.apply(vertices[self.used])
        near = self.surface.closest(points)
        normals = self.surface.triangle_normals[near.triangle]
        own = vertex_normals(vertices, self.triangles)[self.used] @ pose.rotation.T
        reach, robust = (
            pose.scale * first ** (1 - share) * last**share for first, last in (settings.reach, settings.robust)
        )
        believed = ((own * normals).sum(1) > settings.normal_cosine) & (near.distance < reach)
        believed &= ~self.surface.on_boundary(near)
        residual = ((near.points - points) * normals).sum(1)
        weights = self.weights * believed / (1 + (near.distance / robust) ** 2) ** 2
        weights *= settings.independent / (settings.noise * pose.scale) ** 2
        columns = self._columns(points, self.basis, pose, normals)
        weighted = columns * weights[:, None]
        return weighted.T @ columns, weighted.T @ residual

    def _landmark_terms(self, codes: Array, pose: Similarity) -> Any:
        settings = self.settings
        noise = pose.scale * (settings.found_noise if self.placement.found else settings.given_noise)
        points = pose.apply(self.marks + np.tensordot(codes, self.marks_basis, 1))
        error = self.placement.landmarks - points
        weights = self.marks_weight / noise**2 / (1 + ((error * error).sum(1) / (3 * noise) ** 2)) ** 2
        normal, right = 0.0, 0.0
        for axis in range(3):
            direction = np.broadcast_to(np.eye(3)[axis], points.shape)
            columns = self._columns(points, self.marks_basis, pose, direction)
            weighted = columns * weights[:, None]
            normal = normal + weighted.T @ columns
            right = right + weighted.T @ error[:, axis]
        return normal, right

    def _prior(self, identity: Array, expression: Array) -> tuple[Array, Array]:
        size, modes = 7 + len(identity) + len(expression), len(identity)
        normal, right = np.zeros((size, size)), np.zeros(size)
        code, face = slice(7, 7 + modes), slice(7 + modes, size)
        if self.on_sphere:
            unit = identity / np.linalg.norm(identity)
            normal[code, code] = self.settings.damping * np.eye(modes) + 1e6 * np.outer(unit, unit)
        else:
            normal[code, code] = np.eye(modes)
            right[code] = -identity
        strength = 1 / self.settings.expression_spread**2
        normal[face, face] = strength * np.eye(len(expression))
        right[face] = -strength * expression
        normal[:7, :7] += 1e-9 * np.eye(7)
        return normal, right


def _bounded(normal: Array, right: Array, low: Array, high: Array) -> Array:
    """Minimiser of ``xᵀ A x / 2 − bᵀ x`` within bounds, by an active set: what would leave is held at its bound."""
    found = np.zeros(len(right))
    held = np.zeros(len(right), bool)
    for _ in range(12):
        free = ~held
        target = right[free] - normal[np.ix_(free, held)] @ found[held]
        found[free] = np.linalg.solve(normal[np.ix_(free, free)], target)
        outside = free & ((found < low) | (found > high))
        if not outside.any():
            break
        found = np.clip(found, low, high)
        held |= outside
    return np.clip(found, low, high)

"""One photo's share of the cost: residuals, exact gradient, and the Gauss-Newton matrix of its points.

A point of the surface is ``x = mean + basis (c, e)``, lies at ``y = R x + t`` in camera axes and is seen at
``f y_xy / y_z + center``. Parameters of a photo are numbered e (E), a small turn ω (``R <- exp(ω) R``), t in mm and,
if it is not known, the relative change of f. A head that grows while it moves away gives the same picture; in these
parameters that is a straight line, so that steps along it, which no point holds back, do no harm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from likeness.fit.observations import Observations, RobustLoss
from likeness.fit.points import PointBases
from likeness.fit.priors import ExpressionPrior, FocalPrior
from likeness.geometry.camera import Camera
from likeness.geometry.rotation import rotation_from_vector

POSE = 6


class Detail(Enum):
    """How exactly a Gauss-Newton matrix is computed: the first modes in float32, all in float32, or in float64."""

    COARSE = auto()
    SINGLE = auto()
    DOUBLE = auto()


@dataclass(frozen=True, eq=False)
class PhotoState:
    """What is being found of one photo: weights (E,), rotation (3, 3), translation (3,) mm, focal length px."""

    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    focal: float

    def moved(self, step: np.ndarray, prior: ExpressionPrior) -> PhotoState:
        """The state after a step (E + 6,) or (E + 7,) of the photo's parameters."""
        size = len(self.expression)
        turn, place, focal = step[size : size + 3], step[size + 3 : size + POSE], step[size + POSE :]
        return PhotoState(
            np.clip(self.expression + step[:size], prior.lower, prior.upper),
            rotation_from_vector(turn) @ self.rotation,
            self.translation + place,
            self.focal * min(max(1 + float(focal[0]), 0.4), 2.5) if len(focal) else self.focal,
        )


@dataclass(frozen=True, eq=False)
class SeenPoints:
    """A set of points at one state.

    Args:
        rows: (P,) candidates that stand for the points; None: all in order.
        projected: (N, 2) px, all candidates.
        turned: (P, 3) mm, ``R x``.
        placed: (P, 3) mm, ``R x + t``.
        residual: (P, 2) px, predicted less seen.
        white: (P, 2) residuals over their standard deviations.
        distance: (P,) squared Mahalanobis distances.
        weight: (P,) of the robust loss.
    """

    rows: np.ndarray | None
    projected: np.ndarray
    turned: np.ndarray
    placed: np.ndarray
    residual: np.ndarray
    white: np.ndarray
    distance: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class PhotoCost:
    """One photo at one state: its cost in nats with the priors of expression and focal length, and its gradient.

    Args:
        cost: nats.
        identity_gradient: (K,).
        gradient: (E + 6 or E + 7,).
        seen: the sets of points.
        trust: weight of the whole photo, see :class:`PhotoTerms`.
    """

    cost: float
    identity_gradient: np.ndarray
    gradient: np.ndarray
    seen: tuple[SeenPoints, ...]
    trust: float


@dataclass(frozen=True, eq=False)
class PhotoTerms:
    """One photo's points and priors.

    Args:
        bases: of each set of points.
        observations: of the same sets.
        camera: of the photo; its focal length is the prior's middle if ``focal_prior`` is given, else exact.
        expression_prior: of this photo's weights.
        focal_prior: None: the focal length is known.
        photo_freedom: s. A photo whose squared distances sum to more than its 2 P numbers counts less, by
            ``(s + 2 P) / (s + d²)``: beyond that point its numbers are as a multivariate Student-t of s degrees of
            freedom. None: every photo counts fully.
    """

    bases: tuple[PointBases, ...]
    observations: tuple[Observations, ...]
    camera: Camera
    expression_prior: ExpressionPrior
    focal_prior: FocalPrior | None = None
    photo_freedom: float | None = None

    @property
    def size(self) -> int:
        """How many parameters the photo has of its own."""
        return len(self.expression_prior.mean) + POSE + (self.focal_prior is not None)

    def cost(
        self,
        identity: np.ndarray,
        state: PhotoState,
        rows: tuple[np.ndarray | None, ...] | None = None,
        relaxed: float = 1.0,
    ) -> PhotoCost | None:
        """Cost and exact gradient; None where a point is not in front of the camera.

        Args:
            identity: (K,).
            state: of the photo.
            rows: candidates of each set (:attr:`SeenPoints.rows`); None: those on the visible contour.
            relaxed: factor of robust losses' scales, at least 1.
        """
        prior, K = self.expression_prior, len(identity)
        shape = np.concatenate([identity, state.expression])
        seen = tuple(
            self._seen(number, shape, state, None if rows is None else rows[number], rows is None, relaxed)
            for number in range(len(self.bases))
        )
        if any(points.placed[:, 2].min() <= 1.0 for points in seen):
            return None
        losses = zip(self.observations, seen, strict=True)
        data = float(sum(_relaxed(o, relaxed).cost(points.distance).sum() for o, points in losses))
        trust, data = self._trusted(data)
        slope, gradient = np.zeros(len(shape)), np.zeros(self.size)
        for bases, observed, points in zip(self.bases, self.observations, seen, strict=True):
            self._add_gradient(bases, observed, points, state, slope, gradient[len(prior.mean) :])
        if trust != 1.0:
            slope *= trust
            gradient *= trust
        gradient[: len(prior.mean)] += slope[K:]
        away = state.expression - prior.mean
        pull = prior.precision @ away
        gradient[: len(prior.mean)] += prior.rate + pull
        cost = data + float(prior.rate @ state.expression) + 0.5 * float(away @ pull)
        if self.focal_prior is not None:
            off = math.log(state.focal / self.camera.focal) / self.focal_prior.spread
            gradient[-1] += off / self.focal_prior.spread
            cost += 0.5 * off * off
        return PhotoCost(cost, slope[:K], gradient, seen, trust)

    def _trusted(self, data: float) -> tuple[float, float]:
        """The photo's weight and its cost, from half of its squared distances."""
        if self.photo_freedom is None:
            return 1.0, data
        count = 2.0 * sum(o.count for o in self.observations)
        if 2 * data <= count:
            return 1.0, data
        full = self.photo_freedom + count
        share = (self.photo_freedom + 2 * data) / full
        return 1 / share, 0.5 * count + 0.5 * full * math.log(share)

    def _seen(
        self,
        number: int,
        shape: np.ndarray,
        state: PhotoState,
        rows: np.ndarray | None,
        select: bool,
        relaxed: float,
    ) -> SeenPoints:
        bases, observed = self.bases[number], self.observations[number]
        turned = bases.positions(shape) @ state.rotation.T
        placed, projected = np.empty_like(turned), np.empty((len(turned), 2))
        for axis in range(3):  # columns in turn: NumPy is slow along axes of two or three
            np.add(turned[:, axis], state.translation[axis], out=placed[:, axis])
        per_mm = state.focal / placed[:, 2]
        for axis, middle in enumerate(self.camera.center):
            projected[:, axis] = placed[:, axis] * per_mm + middle
        if select:
            rows = bases.selected(projected, state.rotation)
        at = projected
        if rows is not None:
            at, turned, placed = projected[rows], turned[rows], placed[rows]
        residual = at - observed.pixels
        root, white = observed.root, np.empty_like(residual)
        x, y = residual[:, 0], residual[:, 1]
        white[:, 0] = root[:, 0, 0] * x
        white[:, 1] = root[:, 1, 0] * x + root[:, 1, 1] * y
        distance = white[:, 0] ** 2 + white[:, 1] ** 2
        weight = _relaxed(observed, relaxed).weight(distance)
        return SeenPoints(rows, projected, turned, placed, residual, white, distance, weight)

    def _add_gradient(
        self,
        bases: PointBases,
        observed: Observations,
        points: SeenPoints,
        state: PhotoState,
        slope: np.ndarray,
        pose: np.ndarray,
    ) -> None:
        """Add the gradient by (c, e) to ``slope`` (K + E,) and by the pose (and focal length) to ``pose``."""
        root, (x, y, depth) = observed.root, points.placed.T
        scale = points.weight * (state.focal / depth)
        first, second = points.white[:, 0] * scale, points.white[:, 1] * scale
        force = np.empty((len(depth), 3))  # by y, per mm
        across, down = root[:, 0, 0] * first + root[:, 1, 0] * second, root[:, 1, 1] * second
        along = across * x + down * y
        force[:, 0], force[:, 1], force[:, 2] = across, down, -along / depth
        inner = force @ state.rotation
        if points.rows is not None:
            every = np.zeros((len(bases.mean), 3))
            every[points.rows] = inner
            inner = every
        slope += inner.reshape(-1).astype(bases.basis.dtype, copy=False) @ bases.flat
        total, moment = np.ones(len(force)) @ force, points.turned.T @ force
        pose[0] += moment[1, 2] - moment[2, 1]
        pose[1] += moment[2, 0] - moment[0, 2]
        pose[2] += moment[0, 1] - moment[1, 0]
        pose[3:POSE] += total
        if self.focal_prior is not None:
            pose[POSE] += along.sum()

    def normal(self, cost: PhotoCost, state: PhotoState, detail: Detail = Detail.DOUBLE) -> np.ndarray:
        """The Gauss-Newton matrix (K + size, K + size) float64 by (c, photo's parameters), without priors.

        Args:
            cost: of this state.
            state: of the photo.
            detail: how exactly; when coarse, of the first modes only instead of K.
        """
        matrix: np.ndarray | None = None
        for bases, observed, points in zip(self.bases, self.observations, cost.seen, strict=True):
            jacobian = self.jacobian(bases, observed, points, state, detail)
            flat = jacobian.reshape(-1, jacobian.shape[2])
            product = (flat.T @ flat).astype(np.float64, copy=False)
            matrix = product if matrix is None else matrix + product
        assert matrix is not None
        return matrix if cost.trust == 1.0 else matrix * cost.trust

    def jacobian(
        self,
        bases: PointBases,
        observed: Observations,
        points: SeenPoints,
        state: PhotoState,
        detail: Detail = Detail.DOUBLE,
    ) -> np.ndarray:
        """Derivatives (P, 2, K + size) of one set's whitened residuals (times the root of their robust weights)."""
        basis = {Detail.COARSE: "coarse", Detail.SINGLE: "single", Detail.DOUBLE: "basis"}[detail]
        basis = getattr(bases, basis)
        if detail is Detail.DOUBLE:
            basis = basis.astype(np.float64, copy=False)
        if points.rows is not None:
            basis = basis[points.rows]
        shape_size = basis.shape[2]
        count = shape_size + POSE + (self.focal_prior is not None)
        jacobian = np.empty((len(points.placed), 2, count), basis.dtype)
        by_place = self._by_place(observed, points, state)
        by_shape = (by_place.reshape(-1, 3) @ state.rotation).astype(basis.dtype).reshape(-1, 2, 3)
        np.matmul(by_shape, basis, out=jacobian[..., :shape_size])
        rows = jacobian.reshape(-1, count)
        u, v, w = by_place.reshape(-1, 3).T
        x, y, z = np.repeat(points.turned, 2, axis=0).T
        for column, values in enumerate((y * w - z * v, z * u - x * w, x * v - y * u, u, v, w), start=shape_size):
            rows[:, column] = values
        if self.focal_prior is not None:
            rows[:, -1] = -w * np.repeat(points.placed[:, 2], 2)  # as if every point came nearer by its depth
        return jacobian

    @staticmethod
    def _by_place(observed: Observations, points: SeenPoints, state: PhotoState) -> np.ndarray:
        """Derivatives (P, 2, 3) of one set's whitened residuals by the points' places in camera axes."""
        root, (x, y, depth) = observed.root, points.placed.T
        per_mm = np.sqrt(points.weight) * (state.focal / depth)
        a, b, d = root[:, 0, 0] * per_mm, root[:, 1, 0] * per_mm, root[:, 1, 1] * per_mm
        by_place = np.zeros((len(depth), 2, 3))
        by_place[:, 0, 0], by_place[:, 1, 0], by_place[:, 1, 1] = a, b, d
        by_place[:, 0, 2], by_place[:, 1, 2] = -a * x / depth, -(b * x + d * y) / depth
        return by_place

    def rows(self, cost: PhotoCost, state: PhotoState) -> tuple[np.ndarray | None, ...]:
        """The candidates on the contour that is visible at the state whose cost is given."""
        pairs = zip(self.bases, cost.seen, strict=True)
        return tuple(bases.selected(points.projected, state.rotation) for bases, points in pairs)


def _relaxed(observed: Observations, factor: float) -> RobustLoss:
    loss = observed.loss
    return loss if factor == 1.0 or loss.kind == "none" else replace(loss, scale=loss.scale * factor)

"""One person in one photo or many: the whole cost and the Gauss-Newton steps that lower it.

The Gauss-Newton matrix of one photo is ``[[A, B], [Bᵀ, C]]`` by identity code and the photo's own parameters. It is
factorised once and used for many steps with exact gradients: it changes little near the minimum, and a step then
costs three products with vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from likeness.fit.bounded import box_minimum
from likeness.fit.photo_terms import POSE, Detail, PhotoCost, PhotoState, PhotoTerms
from likeness.fit.priors import ExpressionPrior, IdentityPrior

SINGLE_UP_TO = 1e5
"""Information over the prior's, up to which float32 products do: they err by 1e-7 of the largest entry."""

UNKNOWN_POSE = np.array([0.1] * 3 + [1e-8] * 3)
"""Half a circle and ten metres, as precisions: so little is known of what no point tells."""

SIDE_ROUNDS = 30
"""Rounds in which weights change between free and bound over all photos of a person."""


@dataclass(frozen=True, eq=False)
class State:
    """Identity code (K,) and what belongs to each photo."""

    identity: np.ndarray
    photos: tuple[PhotoState, ...]


@dataclass(frozen=True, eq=False)
class Cost:
    """The cost (nats) of a state, the gradient (K,) by the identity code, each photo's part, and its
    :attr:`OneFactor.determined`."""

    state: State
    total: float
    gradient: np.ndarray
    photos: tuple[PhotoCost, ...]
    determined: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """A step (K,) of the code and (size,) of each photo, and how much the quadratic model expects of it, nats."""

    identity: np.ndarray
    photos: tuple[np.ndarray, ...]
    decrease: float


@dataclass(frozen=True, eq=False)
class Problem:
    """What is minimised: minus the log posterior of one person in some photos."""

    prior: IdentityPrior
    photos: tuple[PhotoTerms, ...]

    def cost(
        self,
        state: State,
        determined: Sequence[float] | None = None,
        rows: Sequence[tuple[np.ndarray | None, ...]] | None = None,
        relaxed: float = 1.0,
    ) -> Cost | None:
        """Cost and exact gradient of a state; see :meth:`PhotoTerms.cost`."""
        away = state.identity - self.prior.mean
        gradient = self.prior.precision @ away
        total = 0.5 * float(away @ gradient)
        parts = []
        for number, (terms, photo) in enumerate(zip(self.photos, state.photos, strict=True)):
            part = terms.cost(state.identity, photo, None if rows is None else rows[number], relaxed)
            if part is None:
                return None
            total += part.cost
            gradient = gradient + part.identity_gradient
            parts.append(part)
        cost = Cost(state, total, gradient, tuple(parts), (0.0,) * len(parts))
        return cost if determined is None else recounted(cost, determined)

    def moved(self, state: State, step: Step) -> State:
        """The state after a step, with weights kept within their bounds."""
        moved = (
            photo.moved(move, terms.expression_prior)
            for photo, move, terms in zip(state.photos, step.photos, self.photos, strict=True)
        )
        return State(state.identity + step.identity, tuple(moved))

    def matrices(self, cost: Cost, damping: float = 0.0, detail: Detail = Detail.DOUBLE) -> list[np.ndarray]:
        """Each photo's Gauss-Newton matrix (K + size, K + size): its points, its own priors, and Levenberg's damping
        (a share of the points' diagonal); the identity's prior is not in."""
        matrices = []
        rows = zip(self.photos, cost.photos, cost.state.photos, cost.determined, strict=True)
        for terms, part, state, determined in rows:
            matrix = terms.normal(part, state, detail)
            end = len(matrix) - POSE - (terms.focal_prior is not None)
            if detail is Detail.SINGLE and matrix.diagonal()[:end].max() > SINGLE_UP_TO * min(1.0, self.prior.least):
                matrix = terms.normal(part, state)
            if damping:
                matrix[np.diag_indices(len(matrix))] *= 1 + damping
            first = end - len(state.expression)
            matrix[first:end, first:end] += terms.expression_prior.precision
            pose = np.arange(end, end + POSE)
            matrix[pose, pose] += UNKNOWN_POSE
            matrix[end + POSE - 1, end + POSE - 1] += determined / state.translation[2] ** 2
            if terms.focal_prior is not None:
                matrix[-1, -1] += terms.focal_prior.spread**-2
            matrices.append(matrix)
        return matrices

    def factor(self, cost: Cost, damping: float = 0.0, detail: Detail = Detail.SINGLE) -> OneFactor | ManyFactor:
        """The factorised Gauss-Newton matrix at a state."""
        matrices = self.matrices(cost, damping, detail)
        kind = OneFactor if len(matrices) == 1 else ManyFactor
        return kind(matrices, self.prior, [terms.expression_prior for terms in self.photos], self.photos[0].size)


def recounted(cost: Cost, determined: Sequence[float]) -> Cost:
    """A state's cost with new numbers of directions that the points of each photo determine.

    A head half as large and half as far gives the same picture with codes and weights half as long: the most probable
    head is a small one, the more so the more directions are determined, though the posterior has no such preference
    (it is as much broader for larger heads). What Laplace's approximation says of the size is ``½ log det`` of the
    Gauss-Newton matrix; as that grows with ``f / t_z`` squared in every direction that points determine, it is
    ``n log(f / t_z)``, and the size that minimises the sum of both is unbiased. Nothing is believed of the distance
    itself but that its logarithm may be anything.
    """
    total, parts = cost.total, []
    rows = zip(cost.photos, cost.state.photos, determined, cost.determined, strict=True)
    for part, state, new, old in rows:
        change, depth = new - old, float(state.translation[2])
        if change:
            gradient, size = part.gradient.copy(), len(state.expression)
            gradient[size + POSE - 1] -= change / depth
            gradient[size + POSE :] += change
            part = replace(part, gradient=gradient)
            total += change * math.log(state.focal / depth)
        parts.append(part)
    return Cost(cost.state, total, cost.gradient, tuple(parts), tuple(determined))


class OneFactor:
    """One photo: the code is eliminated first, so that bounds concern a small matrix.

    Attributes:
        inverse: (K, K) A⁻¹.
        carried: (K, size) A⁻¹ B.
        rest: (size, size) C − Bᵀ A⁻¹ B.
    """

    def __init__(
        self, matrices: Sequence[np.ndarray], prior: IdentityPrior, expressions: Sequence[ExpressionPrior], own: int
    ) -> None:
        (matrix,), (self.expression,) = matrices, expressions
        first = self.first = len(matrix) - own
        self.precision = prior.precision[:first, :first]
        self.inverse = np.linalg.inv(matrix[:first, :first] + self.precision)
        mixed = matrix[:first, first:]
        self.carried = self.inverse @ mixed
        self.rest = matrix[first:, first:] - mixed.T @ self.carried
        self._side = np.zeros(0, int)

    def determined(self, cost: Cost) -> tuple[float, ...]:
        """How many directions of code and free weights the points determine: what the priors alone do not."""
        count = len(self.expression.mean)
        free = np.ones(len(self.rest), bool)
        free[:count] = _box(self.expression, cost.state.photos[0], count)[2] == 0
        rest = np.linalg.inv(self.rest[np.ix_(free, free)])
        carried = self.carried[:, free]
        held = float((self.inverse * self.precision).sum() + ((carried.T @ self.precision @ carried) * rest).sum())
        weights = free[:count]
        inner = rest[: weights.sum(), : weights.sum()]
        held += float((inner * self.expression.precision[np.ix_(weights, weights)]).sum())
        return (self.first + float(weights.sum()) - held,)

    def step(self, cost: Cost) -> Step:
        """The minimum of the quadratic model about a state, within the bounds of the weights."""
        (photo,), (state,) = cost.photos, cost.state.photos
        shared = cost.gradient[: self.first]
        alone = self.inverse @ shared
        gradient = photo.gradient - self.carried.T @ shared
        lower, upper, side = _box(self.expression, state, len(gradient))
        move, self._side = box_minimum(self.rest, gradient, lower, upper, self._side if len(self._side) else side)
        decrease = 0.5 * shared @ alone - move @ (gradient + 0.5 * self.rest @ move)
        return Step(_padded(-alone - self.carried @ move, cost), (move,), float(decrease))


class ManyFactor:
    """Many photos: the parameters of each are eliminated first (Schur complement), at a cost linear in the photos."""

    def __init__(
        self, matrices: Sequence[np.ndarray], prior: IdentityPrior, expressions: Sequence[ExpressionPrior], own: int
    ) -> None:
        first = self.first = len(matrices[0]) - own
        self.expressions = expressions
        self.own = np.stack([matrix[first:, first:] for matrix in matrices])  # (N, size, size) C
        self.mixed = np.stack([matrix[first:, :first] for matrix in matrices])  # (N, size, K) Bᵀ
        self.precision = prior.precision[:first, :first]
        self.shared = self.precision + sum(matrix[:first, :first] for matrix in matrices)
        self._side: np.ndarray | None = None
        self._parts: tuple[np.ndarray, ...] | None = None

    def determined(self, cost: Cost) -> tuple[float, ...]:
        """Of each photo, how many directions of the weights its points determine, and its share of the code's."""
        states = cost.state.photos
        free = np.ones(self.own.shape[:2], bool)
        for number, (prior, state) in enumerate(zip(self.expressions, states, strict=True)):
            count = len(prior.mean)
            free[number, :count] = _box(prior, state, count)[2] == 0
        own, carried, inverse = reduced(self.own, self.mixed, self.shared, free)
        shared = (self.first - float((inverse * self.precision).sum())) / len(states)
        counts = []
        for number, prior in enumerate(self.expressions):
            count = len(prior.mean)
            moves = carried[number, :count]
            spread = own[number, :count, :count] + moves @ inverse @ moves.T
            held = float((spread * prior.precision).sum())
            counts.append(shared + float(free[number, :count].sum()) - held)
        return tuple(counts)

    def step(self, cost: Cost) -> Step:
        """The minimum of the quadratic model about a state, within the bounds of all photos' weights."""
        shared = cost.gradient[: self.first]
        gradients = np.stack([photo.gradient for photo in cost.photos])
        boxes = [
            _box(prior, state, gradients.shape[1])
            for prior, state in zip(self.expressions, cost.state.photos, strict=True)
        ]
        lower, upper, guess = (np.stack([box[number] for box in boxes]) for number in range(3))
        side = guess if self._side is None else self._side
        for _ in range(SIDE_ROUNDS):
            identity, moves = self._solve(shared, gradients, lower, upper, side)
            slope = gradients + self.mixed @ identity + (self.own @ moves[..., None])[..., 0]
            new = np.where(side == 0, 1 * (moves > upper) - 1 * (moves < lower), side)
            loose = lower < upper
            new[((side < 0) & (slope < 0) | (side > 0) & (slope > 0)) & loose] = 0
            if (new == side).all():
                break
            side, self._parts = new, None
        self._side = side
        moves = np.clip(moves, lower, upper)
        model = float(shared @ identity + (gradients * moves).sum())
        model += 0.5 * float(identity @ self.shared @ identity)
        model += float((moves * (self.mixed @ identity + 0.5 * (self.own @ moves[..., None])[..., 0])).sum())
        return Step(_padded(identity, cost), tuple(moves), -model)

    def _solve(
        self, gradient: np.ndarray, gradients: np.ndarray, lower: np.ndarray, upper: np.ndarray, side: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The minimum with the variables of the given sides at their bounds: (K,) and (N, size)."""
        free = side == 0
        if self._parts is None:
            self._parts = reduced(self.own, self.mixed, self.shared, free)
        own, carried, inverse = self._parts
        bound = np.where(side < 0, lower, np.where(side > 0, upper, 0.0))
        right = np.where(free, gradients + (self.own @ bound[..., None])[..., 0], 0.0)
        total = gradient + (self.mixed * bound[..., None]).sum((0, 1)) - (carried * right[..., None]).sum((0, 1))
        identity = -inverse @ total
        moves = -(own @ right[..., None])[..., 0] - carried @ identity
        return identity, np.where(free, moves, bound)


def reduced(
    own: np.ndarray, mixed: np.ndarray, shared: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eliminate the free parameters of every photo.

    Args:
        own: (N, size, size) C.
        mixed: (N, size, K) Bᵀ.
        shared: (K, K) A, of all photos and the prior.
        free: (N, size) bool; the others do not move.

    Returns:
        C⁻¹ of the free ones (N, size, size), C⁻¹ Bᵀ (N, size, K), zero for the others, and the inverse (K, K) of the
        Schur complement A − Σ B C⁻¹ Bᵀ.
    """
    diagonal = np.einsum("nii->ni", own)
    masked = own * (free[:, :, None] & free[:, None, :])
    np.einsum("nii->ni", masked)[...] = np.where(free, diagonal, 1.0)
    inverse = np.linalg.inv(masked) * free[:, None, :]
    loose = mixed * free[..., None]
    carried = inverse @ loose
    size = mixed.shape[2]
    complement = shared - loose.reshape(-1, size).T @ carried.reshape(-1, size)
    return inverse, carried, np.linalg.inv(complement)


def _padded(identity: np.ndarray, cost: Cost) -> np.ndarray:
    """A step of the first modes as one of all (K,)."""
    rest = len(cost.gradient) - len(identity)
    return np.concatenate([identity, np.zeros(rest)]) if rest else identity


def _box(prior: ExpressionPrior, state: PhotoState, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far a photo's parameters (size,) may move down and up, and which are at a bound now (-1, 0, 1)."""
    count = len(prior.mean)
    lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
    lower[:count], upper[:count] = prior.lower - state.expression, prior.upper - state.expression
    return lower, upper, 1 * (upper <= 0) - 1 * (lower >= 0)

"""Gauss-Newton steps within bounds, from a matrix that is factorised once.

The matrix of one photo is ``[[A, B], [Bᵀ, C]]`` by identity code and the photo's own parameters. It changes little
near the minimum, so it serves for many steps with exact gradients, each of which costs a few products with vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likeness.fit.bounded import box_minimum
from likeness.fit.inverse import spd_inverse
from likeness.fit.photo_terms import Detail, PhotoState
from likeness.fit.priors import ExpressionPrior, IdentityPrior
from likeness.fit.problem import Cost, Problem, Step

SIDE_ROUNDS = 30
"""Rounds in which weights change between free and bound over all photos of a person."""


def factorised(
    problem: Problem, cost: Cost, damping: float = 0.0, detail: Detail = Detail.SINGLE
) -> OneFactor | ManyFactor:
    """The factorised Gauss-Newton matrix at a state."""
    matrices = problem.matrices(cost, damping, detail)
    kind = OneFactor if len(matrices) == 1 else ManyFactor
    priors = [terms.expression_prior for terms in problem.photos]
    return kind(matrices, problem.prior, priors, problem.photos[0].size)


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
        self.inverse = spd_inverse(matrix[:first, :first] + self.precision)
        mixed = matrix[:first, first:]
        self.carried = self.inverse @ mixed
        self.rest = matrix[first:, first:] - mixed.T @ self.carried
        self._side = np.zeros(0, int)

    def determined(self, cost: Cost) -> tuple[float, ...]:
        """How many directions of code and free weights the points determine: what the priors alone do not."""
        count = len(self.expression.mean)
        free = np.ones(len(self.rest), bool)
        free[:count] = _box(self.expression, cost.state.photos[0], count)[2] == 0
        rest = spd_inverse(self.rest[np.ix_(free, free)])
        carried = self.carried[:, free]
        held = float(np.vdot(self.inverse, self.precision) + np.vdot(self.precision @ carried, carried @ rest))
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
        side = np.where((side * gradient > 0) & (lower < upper), 0, side)  # what is pulled inwards starts free
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
        self.precision = prior.precision[:first, :first]
        self.reduced = Elimination(matrices, self.precision)
        self._side: np.ndarray | None = None

    def determined(self, cost: Cost) -> tuple[float, ...]:
        """Of each photo, how many directions of the weights its points determine, and its share of the code's."""
        states, reduced = cost.state.photos, self.reduced
        free = np.ones(reduced.own.shape[:2], bool)
        for number, (prior, state) in enumerate(zip(self.expressions, states, strict=True)):
            count = len(prior.mean)
            free[number, :count] = _box(prior, state, count)[2] == 0
        reduced.release(free)
        shared = (self.first - float((reduced.inverse * self.precision).sum())) / len(states)
        counts = []
        for number, prior in enumerate(self.expressions):
            count = len(prior.mean)
            moves = reduced.carried[number, :count]
            spread = reduced.inverses[number, :count, :count] + moves @ reduced.inverse @ moves.T
            counts.append(shared + float(free[number, :count].sum() - (spread * prior.precision).sum()))
        return tuple(counts)

    def step(self, cost: Cost) -> Step:
        """The minimum of the quadratic model about a state, within the bounds of all photos' weights."""
        reduced, shared = self.reduced, cost.gradient[: self.first]
        gradients = np.stack([photo.gradient for photo in cost.photos])
        boxes = [
            _box(prior, state, gradients.shape[1])
            for prior, state in zip(self.expressions, cost.state.photos, strict=True)
        ]
        lower, upper, guess = (np.stack([box[number] for box in boxes]) for number in range(3))
        loose = lower < upper
        side = guess if self._side is None else self._side
        for _ in range(SIDE_ROUNDS):
            bound = np.where(side < 0, lower, np.where(side > 0, upper, 0.0))
            identity, moves = reduced.minimum(shared, gradients, side == 0, bound)
            slope = gradients + reduced.mixed @ identity + (reduced.own @ moves[..., None])[..., 0]
            new = np.where(side == 0, 1 * (moves > upper) - 1 * (moves < lower), side)
            new[((side < 0) & (slope < 0) | (side > 0) & (slope > 0)) & loose] = 0
            if (new == side).all():
                break
            side = new
        self._side = side
        moves = np.clip(moves, lower, upper)
        model = float(shared @ identity + (gradients * moves).sum())
        model += 0.5 * float(identity @ reduced.shared @ identity)
        curved = reduced.mixed @ identity + 0.5 * (reduced.own @ moves[..., None])[..., 0]
        return Step(_padded(identity, cost), tuple(moves), -model - float((moves * curved).sum()))


class Elimination:
    """The parameters of every photo eliminated from the joint matrix of a person, as far as they are free.

    Attributes:
        own: (N, size, size) C of every photo.
        mixed: (N, size, K) Bᵀ.
        shared: (K, K) A of all photos and the prior.
        inverses: (N, size, size) C⁻¹ of the free parameters; 0 elsewhere.
        carried: (N, size, K) C⁻¹ Bᵀ.
        inverse: (K, K) inverse of the Schur complement A − Σ B C⁻¹ Bᵀ: with every parameter free, the code's
            posterior covariance.
    """

    def __init__(self, matrices: Sequence[np.ndarray], precision: np.ndarray) -> None:
        first = len(precision)
        self.own = np.stack([matrix[first:, first:] for matrix in matrices])
        self.mixed = np.stack([matrix[first:, :first] for matrix in matrices])
        self.shared = precision + sum(matrix[:first, :first] for matrix in matrices)
        self.inverses, self.carried = np.zeros_like(self.own), np.zeros_like(self.mixed)
        self.inverse = np.zeros_like(self.shared)
        self._explained = np.zeros((len(matrices), first, first))
        self._free: np.ndarray | None = None

    def release(self, free: np.ndarray) -> None:
        """Eliminate the parameters that are free (N, size); only photos in which others were before are new work."""
        if self._free is not None and (free == self._free).all():
            return
        changed = np.arange(len(free)) if self._free is None else np.flatnonzero((free != self._free).any(1))
        inner = free[changed]
        masked = self.own[changed] * (inner[:, :, None] & inner[:, None, :])
        np.einsum("nii->ni", masked)[...] += ~inner
        inverses = np.linalg.inv(masked) * inner[:, None, :]
        self.inverses[changed] = inverses
        self.carried[changed] = inverses @ self.mixed[changed]
        self._explained[changed] = self.mixed[changed].transpose(0, 2, 1) @ self.carried[changed]
        self.inverse = spd_inverse(self.shared - self._explained.sum(0))
        self._free = free.copy()

    def minimum(
        self, gradient: np.ndarray, gradients: np.ndarray, free: np.ndarray, bound: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where the quadratic function is least, steps (K,) and (N, size), if what is not free takes given values.

        Args:
            gradient: (K,).
            gradients: (N, size).
            free: (N, size) bool.
            bound: (N, size) the values of those that are not free, 0 for the others.
        """
        self.release(free)
        right = np.where(free, gradients + (self.own @ bound[..., None])[..., 0], 0.0)
        pulled = np.einsum("nsk,ns->k", self.mixed, bound) - np.einsum("nsk,ns->k", self.carried, right)
        identity = -self.inverse @ (gradient + pulled)
        moves = -(self.inverses @ right[..., None])[..., 0] - self.carried @ identity
        return identity, np.where(free, moves, bound)


def _padded(identity: np.ndarray, cost: Cost) -> np.ndarray:
    """A step of the first modes as one of all (K,)."""
    rest = len(cost.gradient) - len(identity)
    return np.concatenate([identity, np.zeros(rest)]) if rest else identity


def _box(prior: ExpressionPrior, state: PhotoState, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far a photo's parameters (size,) may move down and up, and which are at a bound now (-1, 0, 1)."""
    free = np.full(size - len(prior.mean), np.inf)
    lower = np.concatenate([prior.lower - state.expression, -free])
    upper = np.concatenate([prior.upper - state.expression, free])
    return lower, upper, np.where(lower >= 0, -1, 1 * (upper <= 0))

"""One person in one photo or many: minus the log posterior, its gradient, and its Gauss-Newton matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from likeness.fit.photo_terms import POSE, Detail, PhotoCost, PhotoState, PhotoTerms
from likeness.fit.priors import IdentityPrior

SINGLE_UP_TO = 1e5
"""Information over the prior's, up to which float32 products do: they err by 1e-7 of the largest entry."""

UNKNOWN_POSE = np.array([0.1] * 3 + [1e-8] * 3)
"""Half a circle and ten metres, as precisions: so little is known of what no point tells."""


@dataclass(frozen=True, eq=False)
class State:
    """Identity code (K,) and what belongs to each photo."""

    identity: np.ndarray
    photos: tuple[PhotoState, ...]


@dataclass(frozen=True, eq=False)
class Cost:
    """The cost (nats) of a state, the gradient (K,) by the identity code, each photo's part, and its
    :func:`recounted` numbers of directions that the points determine."""

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

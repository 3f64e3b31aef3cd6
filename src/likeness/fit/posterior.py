"""How sure a fit is: Laplace's approximation of the posterior, in code units and in millimetres."""

from __future__ import annotations

import numpy as np

from likeness.fit.factors import Elimination
from likeness.fit.inverse import spd_inverse
from likeness.fit.problem import Cost, Problem


def _matrices(problem: Problem, cost: Cost) -> list[np.ndarray]:
    """Each photo's matrix with what a bound says of a weight that it holds.

    A weight that is pressed against its bound with force g (nats per unit) is spread about it like an exponential
    distribution, whose mean square is 2 / g²: as much as a Gaussian of precision g²/2. A weight that only just
    touches its bound is a half-normal, whose mean square is the Gaussian's. The sum of both precisions holds in both
    cases and in between.
    """
    matrices = problem.matrices(cost)
    first = len(problem.prior.mean)
    for matrix, terms, part, state in zip(matrices, problem.photos, cost.photos, cost.state.photos, strict=True):
        prior = terms.expression_prior
        count = len(prior.mean)
        gradient = part.gradient[:count]
        held = (state.expression <= prior.lower) & (gradient > 0) | (state.expression >= prior.upper) & (gradient < 0)
        index = first + np.arange(count)
        matrix[index, index] += np.where(held, 0.5 * gradient**2, 0.0)
        matrix[index, index] += np.where(prior.lower == prior.upper, 1e12, 0.0)  # known exactly
    return matrices


def identity_covariance(problem: Problem, cost: Cost) -> np.ndarray:
    """(K, K) posterior covariance of the identity code with all else unknown."""
    reduced = Elimination(_matrices(problem, cost), problem.prior.precision)
    reduced.release(np.ones(reduced.own.shape[:2], bool))
    inverse = reduced.inverse
    return np.asarray(0.5 * (inverse + inverse.T))


def joint_covariance(problem: Problem, cost: Cost) -> np.ndarray:
    """(K + size, K + size) posterior covariance of the code and of one photo's parameters.

    Raises:
        ValueError: the problem has several photos.
    """
    if len(problem.photos) != 1:
        raise ValueError(f"expected a fit of one photo, got {len(problem.photos)}")
    (matrix,) = _matrices(problem, cost)
    first = len(problem.prior.mean)
    matrix[:first, :first] += problem.prior.precision
    inverse = spd_inverse(matrix)
    return np.asarray(0.5 * (inverse + inverse.T))


def vertex_std(basis: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """How unsure each vertex of the head at rest is: root mean square over x, y, z, mm.

    Args:
        basis: (K, V, 3) identity basis, mm per unit of code.
        covariance: (K, K) of the code.

    Returns:
        (V,) mm, float32.
    """
    root = _root(covariance).astype(np.float32)
    moves = root @ basis.reshape(len(basis), -1).astype(np.float32)
    spread = np.einsum("kv,kv->v", moves, moves).reshape(-1, 3)
    return np.sqrt(spread.mean(1))


def _root(covariance: np.ndarray) -> np.ndarray:
    """(K, K) R with ``Rᵀ R`` the covariance (K, K)."""
    try:
        return np.linalg.cholesky(covariance).T
    except np.linalg.LinAlgError:  # of a code that is known in some directions, or in all
        values, vectors = np.linalg.eigh(covariance)
        return np.asarray((vectors * np.sqrt(np.maximum(values, 0))).T)

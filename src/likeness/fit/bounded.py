"""Quadratic functions over a box."""

from __future__ import annotations

import numpy as np

BLOCK_ROUNDS = 12
"""Rounds in which all wrong variables change sides at once; after them one at a time, which cannot go in circles."""

ROUNDS = 400


def box_minimum(
    matrix: np.ndarray, gradient: np.ndarray, lower: np.ndarray, upper: np.ndarray, side: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ``gᵀ x + ½ xᵀ A x`` over ``lower <= x <= upper`` by block principal pivoting.

    Variables are free or on a bound; those that leave the box and those whose gradient points into it change sides
    until none is left (Júdice and Pires, A block principal pivoting algorithm for large-scale strictly monotone
    linear complementarity problems, 1994; one at a time, the last index first, it ends for every positive definite A:
    Murty 1974).

    Args:
        matrix: (n, n) A, symmetric, positive definite.
        gradient: (n,) g.
        lower, upper: (n,) bounds, possibly infinite.
        side: (n,) int guess: -1 at the lower bound, 1 at the upper one, 0 free.

    Returns:
        x (n,) and the sides (n,) at it.
    """
    side, loose = side.copy(), lower < upper
    x = np.zeros(len(gradient))
    for number in range(ROUNDS):
        free = side == 0
        x = np.where(side < 0, lower, np.where(side > 0, upper, 0.0))
        if free.all():
            x = np.linalg.solve(matrix, -gradient)
        elif free.any():
            right, rows = gradient + matrix @ x, np.flatnonzero(free)
            x[rows] = np.linalg.solve(matrix[rows[:, None], rows], -right[rows])
        slope = gradient + matrix @ x
        new = np.where(free, 1 * (x > upper) - 1 * (x < lower), side)
        new[(side * slope > 0) & loose] = 0  # what is pulled back into the box
        wrong = np.flatnonzero(new != side)
        if not len(wrong):
            break
        if number >= BLOCK_ROUNDS:
            wrong = wrong[-1:]
        side[wrong] = new[wrong]
    return np.clip(x, lower, upper), side

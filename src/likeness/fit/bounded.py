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
        free = np.flatnonzero(side == 0)
        x = np.where(side < 0, lower, upper)
        x[free] = 0.0
        if len(free) == len(x):
            x = np.linalg.solve(matrix, -gradient)
        elif len(free):
            rows = matrix[free]
            x[free] = np.linalg.solve(rows[:, free], -(gradient[free] + rows @ x))
        over, under = x > upper, x < lower
        inwards = (side * (gradient + matrix @ x) > 0) & loose  # what is pulled back into the box
        wrong = np.flatnonzero(over | under | inwards)
        if not len(wrong):
            break
        new = np.where(inwards, 0, side + over - under)
        if number >= BLOCK_ROUNDS:
            wrong = wrong[-1:]
        side[wrong] = new[wrong]
    return np.clip(x, lower, upper), side

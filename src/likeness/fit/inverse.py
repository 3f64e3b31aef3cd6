"""The inverse of a symmetric positive definite matrix by halves."""

from __future__ import annotations

import numpy as np

LEAF = 32
"""Matrices up to this size are left to LAPACK, whose general inverse takes twice as long at 128."""


def spd_inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric positive definite matrix, both (n, n), by the Schur complement of its first half."""
    size = len(matrix)
    if size <= LEAF:
        return np.asarray(np.linalg.inv(matrix))
    half = size // 2
    first = spd_inverse(matrix[:half, :half])
    carried = first @ matrix[:half, half:]
    last = spd_inverse(matrix[half:, half:] - matrix[half:, :half] @ carried)
    mixed = carried @ last
    inverse = np.empty_like(matrix)
    inverse[:half, :half] = first + mixed @ carried.T
    inverse[:half, half:] = -mixed
    inverse[half:, :half] = -mixed.T
    inverse[half:, half:] = last
    return inverse

"""What a mirror does to codes: the code of a head's mirror image is a linear function of the head's."""

from __future__ import annotations

import numpy as np

from likeness.model.face_model import FaceModel

RELATIVE = 1e-6
"""Directions that move a head by less than this share of the largest are left out."""


def mirroring(basis: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """The matrix P (K, K) for which the mirrored basis is nearest to ``P @ basis``: the head of a code c, mirrored,
    is about the head of ``c @ P``.

    Args:
        basis: (K, V, 3) of displacements, model axes.
        partner: (V,) each vertex's mirror image.
    """
    flat = basis.reshape(len(basis), -1).astype(np.float64)
    mirrored = (basis[:, partner] * np.array([-1.0, 1.0, 1.0], basis.dtype)).reshape(len(basis), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    kept = values > RELATIVE**2 * values[-1]
    directions = vectors[:, kept]
    return np.asarray((mirrored @ flat.T) @ (directions / values[kept]) @ directions.T)


CLOSED = 0.05
"""A mirrored head that codes miss by more than this share of how heads vary is none of the model's."""


def mirrored_codes(model: FaceModel) -> np.ndarray | None:
    """The matrix P (K, K): the mirror image of a code c is ``c @ P``; None where a model has no mirror image of most
    of its heads, or does not know which vertices are each other's."""
    partner, basis = model.topology.mirror, model.identity_basis
    if partner is None:
        return None
    mirror = mirroring(basis, partner)
    turned = (basis[:, partner] * np.array([-1.0, 1.0, 1.0], basis.dtype)).reshape(len(basis), -1)
    missed = turned - mirror.astype(basis.dtype) @ basis.reshape(len(basis), -1)
    return mirror if np.linalg.norm(missed) < CLOSED * np.linalg.norm(turned) else None

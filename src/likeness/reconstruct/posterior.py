"""How sure a head is: the posterior of its shape in millimetres, heads drawn from it, and its size.

What one photo's points leave open of a face is Laplace's approximation of their fit's posterior
(:mod:`likeness.fit.posterior`); what features add is not counted, how errors of points hang together is told only by
:data:`CALIBRATION`, measured on rendered people (``benchmarks/posterior.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from likeness.fit import FaceFit, PersonFit, vertex_std
from likeness.geometry.landmarks import INNER, LEFT_EYE, RIGHT_EYE
from likeness.model.face_model import FaceModel

CALIBRATION = 1.65
"""By how many times variances of the fit count. With 1, squared errors of 40 rendered people were 1.65 times what was
expected, of their sizes 1.58 times, and 0.88 of the vertices nearer than two deviations."""


@dataclass(frozen=True)
class HeadSize:
    """How large a head is.

    No photo shows it: a head twice as large at twice the distance gives the same picture. It is what the model's
    population has, who was scanned, for such a shape; the deviation says how unsure that is.

    Args:
        interocular: mm between the middles of the eyes (of the six iBUG points around each).
        deviation: mm, its standard deviation.
    """

    interocular: float
    deviation: float


@dataclass(frozen=True, eq=False)
class ShapePosterior:
    """A Gaussian of heads at rest.

    Args:
        model: the face model.
        identity: (K,) the mean code.
        fit: of the points of one photo, or of several.
        calibration: by how many times its variances count.
    """

    model: FaceModel
    identity: np.ndarray
    fit: FaceFit | PersonFit
    calibration: float = CALIBRATION

    @cached_property
    def covariance(self) -> np.ndarray:
        """(K, K) of the code."""
        return np.asarray(self.calibration * self.fit.covariance)

    @cached_property
    def moves(self) -> np.ndarray:
        """(K, V, 3) mm per unit of code after the best rigid alignment over the face: size counts, place and turn do
        not (linearised about the mean head)."""
        basis = self.model.identity_basis.astype(np.float64)
        head = self.model.vertices(self.identity).astype(np.float64)
        face = self.model.topology.regions.get("face", np.ones(len(head), bool))
        away = head - head[face].mean(0)
        modes = [np.broadcast_to(axis, away.shape) for axis in np.eye(3)] + [
            np.cross(axis, away) for axis in np.eye(3)
        ]
        rigid = np.stack(modes)
        inner = rigid[:, face].reshape(len(rigid), -1)
        share = np.linalg.solve(inner @ inner.T, inner @ basis[:, face].reshape(len(basis), -1).T)
        return np.asarray(basis - np.tensordot(share.T, rigid, 1))

    @cached_property
    def uncertainty(self) -> np.ndarray:
        """(V,) mm: standard deviation of each vertex along an axis (root mean square of three), after alignment."""
        return vertex_std(self.moves, self.covariance)

    def sample(self, count: int, seed: int | np.random.Generator = 0) -> np.ndarray:
        """Heads (count, V, 3) mm at rest drawn from the posterior, aligned with the mean head.

        Raises:
            ValueError: count < 1.
        """
        if count < 1:
            raise ValueError(f"expected one head or more, got {count}")
        values, vectors = np.linalg.eigh(self.covariance)
        drawn = np.random.default_rng(seed).standard_normal((count, len(values)))
        codes = (drawn * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return np.asarray(self.model.vertices(self.identity) + np.tensordot(codes, self.moves, 1), np.float32)

    @property
    def size(self) -> HeadSize:
        """How large the head is."""
        mean, basis, _ = self.model.landmark_bases
        right, left = ([index - INNER.start for index in eye] for eye in (RIGHT_EYE, LEFT_EYE))
        by_code = (basis[:, left].mean(1) - basis[:, right].mean(1)).astype(np.float64)
        apart = mean[left].mean(0) - mean[right].mean(0) + self.identity @ by_code
        length = float(np.linalg.norm(apart))
        slope = by_code @ (apart / length)
        return HeadSize(length, float(np.sqrt(slope @ self.covariance @ slope)))

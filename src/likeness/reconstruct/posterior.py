"""How sure a head is: the posterior of its shape in millimetres, heads drawn from it, and its size.

What one photo's points leave open of a face is Laplace's approximation of their fit's posterior
(:mod:`likeness.fit.posterior`); what features add is not counted, how errors of points hang together is told only by
:data:`CALIBRATION`, measured on rendered people (``benchmarks/posterior.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

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
        """(K, V, 3) mm per unit of code, float32, after the best rigid alignment over the face: size counts, place
        and turn do not (linearised about the mean head)."""
        return self._aligned(self.model.mean, self.model.identity_basis)

    @cached_property
    def uncertainty(self) -> np.ndarray:
        """(V,) mm: standard deviation of each vertex along an axis (root mean square of three), after alignment."""
        return vertex_std(self.moves, self.covariance)

    @cached_property
    def face_uncertainty(self) -> np.ndarray:
        """(F,) :attr:`uncertainty` of the vertices of the face alone, for a fourth of the time."""
        return vertex_std(self._aligned(*_face_of(self.model)), self.covariance)

    def _aligned(self, mean: np.ndarray, basis: np.ndarray) -> np.ndarray:
        """The basis (K, N, 3) of vertices, whose means (N, 3) are given, less what an alignment over the face takes
        away."""
        face_mean, face_basis = _face_of(self.model)
        face = face_mean + np.tensordot(self.identity.astype(np.float32), face_basis, 1)
        head = face if basis is face_basis else mean + np.tensordot(self.identity.astype(np.float32), basis, 1)
        middle = face.mean(0)
        inner, outer = (_rigid(points - middle).reshape(6, -1) for points in (face, head))
        share = np.linalg.solve((inner @ inner.T).astype(np.float64), inner @ face_basis.reshape(len(basis), -1).T)
        return np.asarray(basis - (share.T.astype(np.float32) @ outer).reshape(basis.shape), np.float32)

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


def _rigid(away: np.ndarray) -> np.ndarray:
    """(6, N, 3) how points (N, 3) move, seen from the middle, as the head does: along three axes, and about them."""
    axes = np.eye(3, dtype=away.dtype)
    along = [np.broadcast_to(axis, away.shape) for axis in axes]
    return np.stack([*along, *(np.cross(axis, away) for axis in axes)])


_REMEMBERED: WeakKeyDictionary[FaceModel, tuple[np.ndarray, np.ndarray]] = WeakKeyDictionary()


def _face_of(model: FaceModel) -> tuple[np.ndarray, np.ndarray]:
    """Mean (F, 3) and identity basis (K, F, 3) of the face's vertices (of all where a model does not say), float32,
    remembered while the model lives."""
    if model not in _REMEMBERED:
        face = model.topology.regions.get("face", np.ones(len(model.mean), bool))
        basis = np.ascontiguousarray(model.identity_basis[:, face], np.float32)
        _REMEMBERED[model] = np.asarray(model.mean[face], np.float32), basis
    return _REMEMBERED[model]

"""What can be seen of a head in a photo: points that ride on its surface, as linear functions of the coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from likeness.geometry.landmarks import LandmarkMap
from likeness.model.face_model import FaceModel

LANDMARKS, CONTOUR = 68, 17

COARSE_MODES = 64
"""What a first step looks at, which has the pose to find: the first half of the modes."""


@dataclass(frozen=True, eq=False)
class SurfacePoints:
    """Points on the surface, as barycentric combinations of three vertices each, and where others put them.

    Keep one object for many fits: what is derived from it and a model is remembered as long as both live.

    Args:
        vertices: (P, 3) int, indices of a model's vertices (three times the same for a vertex itself).
        weights: (P, 3) float, sum 1.
        offsets: (P, 3) mm in model axes, added to the points: what a detector calls by the same name lies a little
            elsewhere (see :func:`likeness.fit.calibrate_offsets`); None: nothing.

    Raises:
        ValueError: arrays that do not fit together.
    """

    vertices: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray | None = None

    def __post_init__(self) -> None:
        vertices, weights = np.asarray(self.vertices), np.asarray(self.weights)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or weights.shape != vertices.shape:
            raise ValueError(f"expected vertices and weights (P, 3), got {vertices.shape} and {weights.shape}")
        if not np.issubdtype(vertices.dtype, np.integer) or (vertices < 0).any():
            raise ValueError("expected vertices to be indices >= 0")
        _check_offsets(self.offsets, len(vertices))

    @classmethod
    def at_vertices(cls, vertices: np.ndarray) -> SurfacePoints:
        """Points that are vertices: indices (P,)."""
        indices = np.asarray(vertices)
        return cls(np.repeat(indices[:, None], 3, axis=1), np.tile([1.0, 0.0, 0.0], (len(indices), 1)))

    def __len__(self) -> int:
        return len(self.vertices)

    def bases(self, model: FaceModel) -> PointBases:
        """These points as functions of a model's coefficients.

        Raises:
            ValueError: a vertex that the model does not have.
        """
        if self.vertices.max(initial=0) >= len(model.mean):
            raise ValueError(f"expected vertices below {len(model.mean)}, got {self.vertices.max()}")
        weights = np.asarray(self.weights, np.float64)

        def gather(values: np.ndarray) -> np.ndarray:
            return np.einsum("...pcx,pc->...px", values[..., self.vertices, :].astype(np.float64), weights)

        return PointBases.gathered(model, gather, self.offsets, None)


@dataclass(frozen=True, eq=False)
class LandmarkPoints:
    """The 68 iBUG landmarks of a model in their order; 0-16 slide along their candidate lines to the visible contour.

    Args:
        offsets: (68, 3) mm in model axes, as of :class:`SurfacePoints`.
    """

    offsets: np.ndarray | None = None

    def __post_init__(self) -> None:
        _check_offsets(self.offsets, LANDMARKS)

    def __len__(self) -> int:
        return LANDMARKS

    def bases(self, model: FaceModel) -> PointBases:
        """All candidates of the landmarks as functions of a model's coefficients.

        Raises:
            ValueError: the model does not know its landmarks.
        """
        lines, offsets = model.landmark_map, self.offsets
        if offsets is not None:
            offsets = np.concatenate([offsets[CONTOUR:], np.repeat(offsets[:CONTOUR], lines.candidates, axis=0)])
        return PointBases.gathered(model, lambda values: lines.gather(values.astype(np.float64)), offsets, lines)


Points = SurfacePoints | LandmarkPoints
"""What an observation can be of."""


@dataclass(frozen=True, eq=False)
class PointBases:
    """Points ``mean + basis @ (c, e)`` of N candidates, one of which stands for each of P points.

    Args:
        mean: (N, 3) mm.
        basis: (N, 3, K + E) mm per unit of identity code and expression weight.
        modes: K.
        lines: which candidates belong to which landmark; None: every candidate is a point of its own.
    """

    mean: np.ndarray
    basis: np.ndarray
    modes: int
    lines: LandmarkMap | None

    @classmethod
    def gathered(
        cls, model: FaceModel, gather: object, offsets: np.ndarray | None, lines: LandmarkMap | None
    ) -> PointBases:
        """Bases of the points that ``gather`` takes (..., N, 3) from values (..., V, 3) at the vertices."""
        assert callable(gather)
        mean = gather(model.mean)
        stacked = np.concatenate([gather(model.identity_basis), gather(model.expression_basis)])
        if offsets is not None:
            mean = mean + offsets
        basis = np.ascontiguousarray(stacked.transpose(1, 2, 0))
        return cls(np.ascontiguousarray(mean), basis, len(model.identity_basis), lines)

    @cached_property
    def single(self) -> np.ndarray:
        """``basis`` in float32, for matrices that need not be exact."""
        return self.basis.astype(np.float32, copy=False)

    @cached_property
    def rounded(self) -> PointBases:
        """The same with a basis in float32: points are 1e-5 mm off, and take half of the memory's traffic."""
        return PointBases(self.mean, self.single, self.modes, self.lines)

    @cached_property
    def coarse(self) -> np.ndarray:
        """(N, 3, COARSE_MODES + E) float32: ``basis`` of the first modes only."""
        kept = np.r_[: min(COARSE_MODES, self.modes), self.modes : self.basis.shape[2]]
        return np.ascontiguousarray(self.single[..., kept])

    @cached_property
    def _of_expressions(self) -> np.ndarray:
        """(N, 3, E) ``basis`` of the expression weights only."""
        return np.ascontiguousarray(self.basis[..., self.modes :])

    def of_person(self, code: np.ndarray) -> PointBases:
        """The same points of a person whose code (K,) is known, as functions of the expression weights alone."""
        rest = np.zeros(self.basis.shape[2] - self.modes)
        return PointBases(self.positions(np.concatenate([code, rest])), self._of_expressions, 0, self.lines)

    @property
    def flat(self) -> np.ndarray:
        """``basis`` as (3 N, K + E), a view."""
        return self.basis.reshape(-1, self.basis.shape[2])

    def positions(self, shape: np.ndarray) -> np.ndarray:
        """(N, 3) mm, model axes, of the coefficients (K + E,)."""
        return self.mean + (self.flat @ shape.astype(self.basis.dtype, copy=False)).reshape(-1, 3)

    def fixed(self) -> np.ndarray | None:
        """Which candidates (P',) are points that do not slide; None: all."""
        return None if self.lines is None else np.arange(LANDMARKS - CONTOUR)

    def selected(self, projected: np.ndarray, rotation: np.ndarray) -> np.ndarray | None:
        """The candidate (P,) of each point that is seen in an image; None: every candidate is a point.

        Args:
            projected: (N, 2) the candidates in the image.
            rotation: (3, 3) model axes -> camera axes.
        """
        if self.lines is None:
            return None
        inner = LANDMARKS - CONTOUR
        chosen = self.lines.contour_index(projected, rotation)
        contour = inner + np.arange(CONTOUR) * self.lines.candidates + chosen
        return np.concatenate([contour, np.arange(inner)])


_REMEMBERED: WeakKeyDictionary[FaceModel, WeakKeyDictionary[Points, PointBases]] = WeakKeyDictionary()


def bases_of(model: FaceModel, points: Points) -> PointBases:
    """``points.bases(model)``, remembered while both objects live: gathering costs more than a fit."""
    of_model = _REMEMBERED.setdefault(model, WeakKeyDictionary())
    if points not in of_model:
        of_model[points] = points.bases(model)
    return of_model[points]


def _check_offsets(offsets: np.ndarray | None, count: int) -> None:
    if offsets is not None and np.shape(offsets) != (count, 3):
        raise ValueError(f"expected offsets ({count}, 3), got {np.shape(offsets)}")


IBUG = LandmarkPoints()
"""The 68 landmarks where the model has them."""

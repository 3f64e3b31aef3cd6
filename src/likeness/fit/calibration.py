"""What a detector calls by a name lies a little elsewhere than our point: offsets and errors, learned from fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from likeness.fit.face import FaceFit
from likeness.fit.observations import Observations, RobustLoss
from likeness.fit.photo_terms import PhotoState
from likeness.fit.points import Points, bases_of
from likeness.model.face_model import FaceModel

OFFSET_SPREAD = 5.0
"""mm: how far, as a standard deviation, a detector's points lie from ours before anything is known."""


@dataclass(frozen=True, eq=False)
class PointCalibration:
    """A detector's points on our surface.

    Args:
        points: with offsets.
        covariance: (P, 2, 2) mm² of the detector's errors at the head's distance, x to the right and y down of an
            upright head in the image.
        inflation: how many times larger the covariance of codes of one person was than errors of points that know
            nothing of each other explain; ``covariance`` has it in.
    """

    points: Points
    covariance: np.ndarray
    inflation: float

    def observe(
        self,
        model: FaceModel,
        pixels: np.ndarray,
        *,
        weight: np.ndarray | None = None,
        loss: RobustLoss | None = None,
    ) -> Observations:
        """The detector's points in a photo with their covariances, scaled and turned with the head.

        Scale and tilt are those of the similarity that takes the mean shape, seen from the front, nearest the pixels.

        Args:
            model: the face model.
            pixels: (P, 2) photo pixels; NaN: not seen.
            weight, loss: as of :class:`Observations`.
        """
        pixels = np.asarray(pixels, np.float64)
        bases = bases_of(model, self.points)
        front = bases.mean[:, :2] * [1.0, -1.0]
        rows = bases.selected(front, np.diag([1.0, -1.0, -1.0]))
        front = front if rows is None else front[rows]
        seen = np.isfinite(pixels).all(1)
        ours, theirs = (points[seen] - points[seen].mean(0) for points in (front, pixels))
        a, b = ours[:, 0] + 1j * ours[:, 1], theirs[:, 0] + 1j * theirs[:, 1]
        factor = (a.conj() @ b) / (a.conj() @ a).real
        turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])  # px per mm
        return Observations(pixels, turn @ self.covariance @ turn.T, self.points, weight, loss or RobustLoss())


@dataclass(frozen=True, eq=False)
class _Seen:
    """One fit's points in millimetres of an upright image at the head's distance."""

    residual: np.ndarray  # (P, 2), predicted less seen
    by_offset: np.ndarray  # (P, 2, 3)
    unsure: np.ndarray  # (P, 2, 2) covariance of the predicted points
    weight: np.ndarray  # (P,)


def calibrate_offsets(
    fits: Sequence[FaceFit],
    people: Sequence[int] | np.ndarray | None = None,
    *,
    which: int = 0,
    center_codes: bool = True,
) -> PointCalibration:
    """Estimate where a detector's points lie on our surface and how they err, from fits of many faces to them.

    Offsets are the ridge regression of the fits' residuals, in three dimensions as far as the heads turn. Covariances
    are the expected squared residuals under the posterior, ``r rᵀ + J C Jᵀ`` (the M-step of the EM algorithm), as
    what is left after a fit is smaller than the error that there was. Fit again with the result and repeat, three
    times say: the first fits have bent shapes to make up for offsets.

    Args:
        fits: of single photos, to the same points with their present offsets.
        people: who is in each photo; codes of one person then tell how much errors have in common, by which
            covariances are inflated. None: errors of points are taken as independent.
        which: which of the fits' sets of observations.
        center_codes: what all codes have in common is an offset, too: people are like the prior's mean on average.

    Raises:
        ValueError: no fits, fits of several photos, or ``people`` of another number.
    """
    if not fits or any(len(fit.problem.photos) != 1 for fit in fits):
        raise ValueError("expected fits of one photo each, and one at least")
    if people is not None and len(people) != len(fits):
        raise ValueError(f"expected {len(fits)} people, got {len(people)}")
    points = fits[0].problem.photos[0].observations[which].points
    seen = [_seen(fit, which) for fit in fits]
    common = np.zeros((len(points), 3))
    if center_codes:
        mean = np.mean([fit.identity - fit.problem.prior.mean for fit in fits], axis=0)
        common = _displacement(fits[0], which, mean)
    start = np.mean([(one.residual**2).mean() for one in seen])
    offsets = _offsets(seen, np.full(len(points), start), common)
    error = np.mean([_square(_moved(one, offsets - common)).trace(axis1=1, axis2=2) / 2 for one in seen], axis=0)
    offsets = _offsets(seen, np.maximum(error, 1e-6), common)
    weights = np.stack([one.weight for one in seen])[..., None, None]
    squares = np.stack([_square(_moved(one, offsets - common)) + one.unsure for one in seen])
    covariance = (weights * squares).sum(0) / np.maximum(weights.sum(0), 1e-9)
    inflation = 1.0 if people is None else max(1.0, _inflation(fits, np.asarray(people)))
    present = 0.0 if points.offsets is None else points.offsets
    return PointCalibration(replace(points, offsets=present + offsets), inflation * covariance, inflation)


def _seen(fit: FaceFit, which: int) -> _Seen:
    """A fit's residuals and their derivatives, turned upright and divided by pixels per millimetre."""
    terms = fit.problem.photos[0]
    points, bases, observed = fit.minimum.cost.photos[0].seen[which], terms.bases[which], terms.observations[which]
    state: PhotoState = fit.minimum.cost.state.photos[0]
    plain = Observations(observed.pixels, 1.0, observed.points, np.ones(len(observed.pixels)))
    jacobian = terms.jacobian(bases, plain, replace(points, weight=np.ones(len(observed.pixels))), state)
    down = -fit.rotation[:2, 1] / np.linalg.norm(fit.rotation[:2, 1])
    upright = np.array([[down[1], -down[0]], down]) / (state.focal / fit.translation[2])
    jacobian = upright @ jacobian
    first = jacobian.shape[2] - terms.size
    place = first + len(state.expression) + 3
    unsure = jacobian @ fit.joint_covariance() @ jacobian.transpose(0, 2, 1)
    weight = points.weight * (observed.root[:, 0, 0] > 0) * fit.trust
    return _Seen(points.residual @ upright.T, jacobian[..., place : place + 3] @ fit.rotation, unsure, weight)


def _offsets(seen: Sequence[_Seen], error: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Offsets (P, 3) mm from residuals, with variances (P,) of theirs and a displacement (P, 3) to be taken over."""
    normal = np.tile(np.eye(3) / OFFSET_SPREAD**2, (len(error), 1, 1))
    right = np.zeros((len(error), 3))
    for one in seen:
        turned = one.by_offset.transpose(0, 2, 1) * (one.weight / error)[:, None, None]
        normal += turned @ one.by_offset
        right += (turned @ (one.by_offset @ common[..., None] - one.residual[..., None]))[..., 0]
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0])


def _moved(one: _Seen, offsets: np.ndarray) -> np.ndarray:
    """Residuals (P, 2) mm after points moved by offsets (P, 3)."""
    return np.asarray(one.residual + (one.by_offset @ offsets[..., None])[..., 0])


def _square(residual: np.ndarray) -> np.ndarray:
    return residual[:, :, None] * residual[:, None, :]


def _displacement(fit: FaceFit, which: int, identity: np.ndarray) -> np.ndarray:
    """How far a code (K,) moves the points (P, 3) mm, with contour points where they are in a fit."""
    bases, rows = fit.problem.photos[0].bases[which], fit.minimum.cost.photos[0].seen[which].rows
    moves = bases.basis[..., : bases.modes] @ identity
    return np.asarray(moves if rows is None else moves[rows])


def _inflation(fits: Sequence[FaceFit], people: np.ndarray) -> float:
    """How much farther codes of one person lie apart, in squared millimetres, than the posteriors say.

    Given the person, a posterior mean has the covariance ``C - C P C`` (P: the prior's precision); the rest of C is
    the prior's pull, which all photos of a person share.
    """
    found = expected = 0.0
    factor = fits[0].model.metric.factor
    spreads = [fit.covariance - fit.covariance @ fit.problem.prior.precision @ fit.covariance for fit in fits]
    for person in np.unique(people):
        members = np.flatnonzero(people == person).tolist()
        if len(members) < 2:
            continue
        embedded = np.stack([fits[member].identity for member in members]) @ factor
        found += float(((embedded - embedded.mean(0)) ** 2).sum())
        share = 1 - 1 / len(members)
        expected += share * sum(float(((factor.T @ spreads[member]) * factor.T).sum()) for member in members)
    if not expected:
        raise ValueError("expected two photos of one person at least")
    return found / expected

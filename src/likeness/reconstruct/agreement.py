"""What several photos of one person say together: one code and how sure it is; and whether they show one person.

Photos of a person err alike: a network that makes a nose too narrow in one of them does so in all. So sixteen
photos are not sixteen times the evidence. For one direction of shape (an axis of the geometry metric; people have
unit variance) take ``y_i = c + b + e_i`` with the truth c, an error b that all photos of the person share, of
variance t, and an error e_i of the photo's own, of variance r / p_i, where p_i is its precision, 1 for a usual
photo. What is known of one photo is the posterior mean ``c_i = y_i / (1 + t + r / p_i)``: its code, which was
learned to be that (:mod:`likeness.reconstruct.refine`). With ``known = 1 / (1 + t + r)``, the share of people's
variance that the code of a usual photo explains, and ``stable = (1 + t) / (1 + t + r)``, the share of *its*
variance that is the same in all photos of a person, the posterior after all photos is Gaussian again (our
derivation, in information form), with ``P = sum_i p_i``:

    mean      sum_i (stable p_i + 1 - stable) c_i / (stable P + 1 - stable)
    variance  1 - known n(P)    with    n(P) = P / (stable P + 1 - stable)

``n(P)`` is the effective number of photos, Kish's of correlated samples: one usual photo counts one, endlessly many
``1 / stable``. The mean lies that much farther out than the photos' mean code does: of many photos less has to be
left to chance. One photo's fused code is its own, whatever its precision.

That is so for codes that are posterior means. On photographs they are not quite: what tells people apart is learned
to be larger than the truth in small directions, and what all photographs have in common looks stable, too. So the
mean is taken with ``trusted >= stable`` in the place of ``stable``, as far out as the landmarks of other photos of
a person bear it (docs/people.md); the variance is that of this mean, ``1 - 2 g known + g^2 known (stable + (1 -
stable) / P)`` with ``g = P / (trusted P + 1 - trusted)``, the same where both are one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.model.face_model import FaceModel

BANDS = (5, 10, 20, 40, 80, 128)
"""Directions of shape, largest in mm first, in bands that have figures in common: where each ends, of 128."""

KNOWN = (0.59, 0.32, 0.26, 0.11, 0.02, 0.001)
"""``known`` of each band, of rendered people, whose truth is known (``benchmarks/fusion.py --calibrate``)."""

STABLE = (0.59, 0.43, 0.49, 0.49, 0.48, 0.46)
"""``stable`` of each band, of real people's photos (the same)."""

TRUSTED = (0.80, 1.0, 1.0, 1.0, 1.0, 1.0)
"""``trusted`` of each band; 1: the mean of the codes, no farther out."""

WITHIN_MM = 1.1
"""RMS mm by which the shape of a photo is off the mean shape of its person's photos (the same)."""

ALIKE = 0.3
"""Two photos whose shapes differ by less than this share of what photos of a person usually do (squared) are alike,
and if they do not differ at all one photo: frames of a clip, copies."""


ALBUM = 100
"""Faces of a mixed folder."""


@dataclass(frozen=True)
class Evidence:
    """What resemblance is worth as evidence that photos show one person: two normal distributions of one variance.

    Args:
        same, other: mean resemblance of two photos of one person and of two people.
        lasting, passing: variance of one photo's mean resemblance to n others of one person is
            ``lasting + passing / n``.
        belongs: log odds that one more photo shows the person whom all are said to show, before it is looked at.
        grouped: log odds that two groups among :data:`ALBUM` faces of a mixed folder are one person's before they
            are compared.
        crowded: by how much less that is among e times as many.
        unsure: log odds of a face's group against the next best (or nobody's), under which it is no group's for
            certain. All four are what sorted people of training and validation sets best (docs/people.md).
    """

    same: float
    other: float
    lasting: float
    passing: float
    belongs: float = 1.1
    grouped: float = -3.0
    crowded: float = 0.0
    unsure: float = 1.1

    def __call__(self, mean: np.ndarray | float, photos: np.ndarray | float) -> np.ndarray:
        """Logarithm of the likelihood ratio, one person against two, of a photo's mean resemblance (...) to n >= 1
        (...) others of one person."""
        variance = self.lasting + self.passing / np.asarray(photos, np.float64)
        return np.asarray((self.same - self.other) * (np.asarray(mean) - 0.5 * (self.same + self.other)) / variance)

    def among(self, faces: int) -> float:
        """Log odds that two groups of so many faces are one person's before they are compared: the more faces, the
        more people who look alike are among them."""
        return self.grouped - self.crowded * math.log(max(faces, 1) / ALBUM)


PLAIN = Evidence(same=0.58, other=0.18, lasting=0.0133, passing=0.0117)
"""Of codes as they are, on 60 training people (``benchmarks/fusion.py --calibrate``)."""


@dataclass(frozen=True, eq=False)
class Fused:
    """What several photos say of a person's shape.

    Args:
        code: (K,) posterior mean, inside the sphere of sphere codes.
        covariance: (K, K) of the truth about it.
        precision: (N,) of each photo: 1 is usual; photos that are alike share one photo's.
        effective: how many usual photos with errors of their own these are worth: the mean of n(P) over what is
            known.
    """

    code: np.ndarray
    covariance: np.ndarray
    precision: np.ndarray
    effective: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """How photos of one person agree in the codes of a face model.

    Args:
        axes: (K, K) columns are directions of codes.
        millimetres: (K,) what one unit in each direction moves the face, RMS mm after the best similarity.
        known, stable, trusted: (K,) see the module.
    """

    axes: np.ndarray
    millimetres: np.ndarray
    known: np.ndarray
    stable: np.ndarray
    trusted: np.ndarray

    @classmethod
    def of(cls, model: FaceModel) -> Agreement:
        """With the figures of the bands, which other numbers of directions share alike."""
        factor = model.shape_metric.factor
        values, axes = np.linalg.eigh(factor @ factor.T)
        ends = np.ceil(np.array(BANDS) * len(values) / BANDS[-1])
        band = np.searchsorted(ends, np.arange(len(values)), side="right")
        roots = np.sqrt(np.maximum(values[::-1], 0))
        known, stable, trusted = (np.array(figures)[band] for figures in (KNOWN, STABLE, TRUSTED))
        return cls(axes[:, ::-1], roots, known, stable, trusted)

    def fuse(self, codes: np.ndarray, precision: np.ndarray | Sequence[float] | None = None) -> Fused:
        """One code of the codes of several photos of a person; their order does not matter.

        Args:
            codes: (N, K) posterior means given single photos.
            precision: (N,) > 0 of each photo by itself; None: all are usual.

        Raises:
            ValueError: no codes, or precisions that are not (N,) and positive.
        """
        codes = np.asarray(codes, np.float64)
        alone = np.ones(len(codes)) if precision is None else np.asarray(precision, np.float64)
        if codes.ndim != 2 or not len(codes) or alone.shape != codes.shape[:1] or not (alone > 0).all():
            raise ValueError(f"expected codes (N, K) and N precisions > 0, got {codes.shape} and {alone.shape}")
        # Copies are one photo before anything is compared, so that their number does not matter to what is like them.
        distinct, place, copies = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
        place = place.reshape(-1)
        own = alone / (copies * self._alike(distinct).sum(1))[place]
        whole, rest = own.sum(), 1 - self.trusted
        share = own[:, None] * (self.trusted + rest / alone[:, None]) / (self.trusted * whole + rest)
        gain = whole / (self.trusted * whole + rest)
        spread = self.stable + (1 - self.stable) / whole
        variance = np.maximum(1 - 2 * gain * self.known + gain**2 * self.known * spread, 1e-3)
        worth = 1 / spread
        weight = self.known * self.millimetres**2
        return Fused(
            ((share * (codes @ self.axes)).sum(0)) @ self.axes.T,
            (self.axes * variance) @ self.axes.T,
            own,
            float(worth @ weight / weight.sum()),
        )

    def shift(self, before: np.ndarray, after: np.ndarray) -> float:
        """RMS mm between the shapes of two codes (K,), after the best similarity."""
        return float(np.linalg.norm((np.asarray(after) - before) @ self.axes * self.millimetres))

    def _alike(self, codes: np.ndarray) -> np.ndarray:
        """(N, N) 1 for a photo and itself, 0 for photos that differ as those of one person do."""
        placed = codes @ self.axes * self.millimetres
        apart = ((placed[:, None] - placed[None]) ** 2).sum(-1) / (2 * WITHIN_MM**2)
        return np.asarray(np.clip(1 - apart / ALIKE, 0.0, 1.0))


def resemblance(*codes: np.ndarray) -> np.ndarray:
    """How alike the people in N photos are, (N, N) from -1 to 1: the mean over kinds of codes of their cosines.

    Args:
        codes: each (N, K), of one kind: what is known of the shape, and what the features say alone.
    """
    units = [code / np.maximum(np.linalg.norm(code, axis=1, keepdims=True), 1e-9) for code in codes]
    return np.asarray(sum(unit @ unit.T for unit in units) / len(units))


TEMPERED = 1.6
"""By how much log odds are too sure, of who is who among photos of people that no network has learned from: of 8,900
faces and 27,000 pairs of groups of validation people (docs/people.md)."""


def probability(evidence: float) -> float:
    """Of log odds."""
    return 1 / (1 + math.exp(-min(max(evidence, -50.0), 50.0)))

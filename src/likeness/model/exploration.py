"""Walks through the space of identities: between people, away from the average, to nobody in particular.

On the sphere of a :class:`~likeness.model.identity.SphereSpace` the ways are great circles. Codes of found faces lie
inside it, the surer the farther out, and the mean head is its centre, not one of its points. Both are lifted onto it,
and stay as they are: a sphere model has a direction ``n``, its *pole*, that moves the head least (of the embedded
model 0.007 mm RMS per unit, so 0.08 mm at most), so that

    lift(c) = c' + sqrt(R² - |c'|²) n    with    c' = c - (c · n) n

is a point of the sphere with the head of ``c``, and ``R n`` one with the mean head (the lift of
:class:`~likeness.model.identity.Lift`, read backwards; our derivation). In a Gaussian space ways are straight and the
mean head is at zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from likeness.model.face_model import FaceModel
from likeness.model.identity import GaussianSpace

FARTHEST = 4.0
"""Deviations of the population beyond which no single direction is set."""

SAFE = 1e-6


@dataclass(frozen=True, eq=False)
class Exploration:
    """Codes of people who are made up, in the identity space of a face model.

    Args:
        model: the face model.
    """

    model: FaceModel

    @cached_property
    def pole(self) -> np.ndarray:
        """(K,) unit vector along which codes move the whole head least; zeros in a Gaussian space."""
        if isinstance(self.model.space, GaussianSpace):
            return np.zeros(self.model.space.size)
        factor = self.model.metric_of(None).factor
        direction = np.linalg.eigh(factor @ factor.T)[1][:, 0]
        return np.asarray(direction * np.sign(direction[np.argmax(np.abs(direction))]))

    @cached_property
    def axes(self) -> np.ndarray:
        """(K, K) columns: directions of shape after the best similarity, what moves the face most first."""
        factor = self.model.shape_metric.factor
        vectors = np.linalg.eigh(factor @ factor.T)[1][:, ::-1]
        return np.asarray(vectors * np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(len(vectors))]))

    @property
    def millimetres(self) -> np.ndarray:
        """(K,) RMS mm by which one deviation along each of the :attr:`axes` moves the face."""
        return np.asarray(np.linalg.norm(self.model.shape_metric.embed(self.axes.T), axis=1))

    @property
    def average(self) -> np.ndarray:
        """(K,) a code of the space that has the mean head."""
        return self.lift(np.zeros(self.model.space.size))

    def lift(self, code: np.ndarray) -> np.ndarray:
        """A code (K,) of the space with the head of a code (K,) that may lie inside; one that lies outside is drawn
        back to the sphere.

        Raises:
            ValueError: not (K,) finite numbers.
        """
        code = np.asarray(code, np.float64)
        space = self.model.space
        if code.shape != (space.size,) or not np.isfinite(code).all():
            raise ValueError(f"expected a code of {space.size} finite numbers, got {code.shape}")
        if isinstance(space, GaussianSpace):
            return code
        across = code - (code @ self.pole) * self.pole
        length = float(np.linalg.norm(across))
        if length > space.radius:
            return np.asarray(across * (space.radius / length))
        return np.asarray(across + np.sqrt(space.radius**2 - length**2) * self.pole)

    def walk(self, start: np.ndarray, end: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Codes (N, K) on the shortest way from one person to another, and beyond: 0 is the first, 1 the second.

        Beyond 1 differences between the two are exaggerated: a caricature of the second as seen by the first. A great
        circle is not left behind the point opposite to the start, where differences become smaller again: shares are
        cut off where the way is a right angle long, or at 1 if it is longer.

        Args:
            start, end: (K,) codes, inside the sphere or on it.
            shares: (N,) of the way, finite.

        Raises:
            ValueError: codes that are not (K,), shares that are not (N,) finite numbers, or people who are opposite.
        """
        shares = np.asarray(shares, np.float64)
        if shares.ndim != 1 or not np.isfinite(shares).all():
            raise ValueError(f"expected shares (N,), finite, got {shares.shape}")
        space, a, b = self.model.space, self.lift(start), self.lift(end)
        if not isinstance(space, GaussianSpace):
            farthest = max(1.0, 0.5 * np.pi / max(float(space.distance(a, b)), SAFE))
            shares = np.clip(shares, 1.0 - farthest, farthest)
        return np.stack([space.interpolate(a, b, float(share)) for share in shares]) if len(shares) else a[:0, None]

    def caricature(self, code: np.ndarray, strengths: np.ndarray) -> np.ndarray:
        """Codes (N, K) of a person with all that is special about them (N,) times as strong: 0 is the average head,
        1 the person, more a caricature; :meth:`walk` from the average."""
        return self.walk(self.average, code, strengths)

    def random(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """``count`` people (count, K) of the model's prior."""
        return self.model.space.sample(count, rng)

    def strengths(self, code: np.ndarray) -> np.ndarray:
        """(K,) how strong each of the :attr:`axes` is in a person, in deviations of the population."""
        return np.asarray(self.lift(code) @ self.axes)

    def adjusted(self, code: np.ndarray, strengths: Mapping[int, float]) -> np.ndarray:
        """A code (K,) with some directions set and the others left in their proportions.

        On the sphere this is the way along the great circle to the directions that are set; what is left of the
        length goes to the others.

        Args:
            code: (K,) of a person.
            strengths: number of the axis (from 0) -> deviations, at most :data:`FARTHEST`.

        Raises:
            ValueError: no such axis, or a strength that is too large; all together longer than the sphere is wide.
        """
        for number, strength in strengths.items():
            if number not in range(self.model.space.size) or not abs(strength) <= FARTHEST:
                raise ValueError(
                    f"expected directions 0 to {self.model.space.size - 1} from -{FARTHEST:g} to {FARTHEST:g}, got "
                    f"{number}: {strength}"
                )
        placed = self.strengths(code)
        chosen = np.array(sorted(strengths), int)
        rest = placed.copy()
        rest[chosen] = 0.0
        placed[chosen] = [strengths[number] for number in chosen.tolist()]
        space = self.model.space
        if not isinstance(space, GaussianSpace):
            left = space.radius**2 - float((placed[chosen] ** 2).sum())
            length = float(np.linalg.norm(rest))
            if left < 0 or length < SAFE:
                raise ValueError(f"expected strengths that are together at most {space.radius:.1f} long")
            placed = rest * (np.sqrt(left) / length)
            placed[chosen] = [strengths[number] for number in chosen.tolist()]
        return np.asarray(self.axes @ placed)

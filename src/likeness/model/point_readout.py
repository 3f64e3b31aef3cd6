"""What surface points tell of lids, lips and other movements directly, learned from photographs.

A fit of shapes to points lets who has narrow eyes blink: opening, squint, turn and the person's own lids trade with
each other. Some movements are read better from the points themselves, as a linear function that was learned from
photographs whose weights are known (``runs/point_readout.py``). A network's habits are learned along, so the numbers
belong to it: lips that touch are seen a little apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOUCHING = 0.015
"""Over the mouth's width: lips that are less apart by the teacher's points touch. Of 845 photographs of people that
networks learn from, a third has them 0.2 to 1.2 % apart by those points, which do not meet on closed mouths either,
a twentieth 2 to 4 %, the others more: a spike and a slab. Of those that are seen up to 3 % apart, most are of the
spike."""


@dataclass(frozen=True, eq=False)
class PointReadout:
    """Weights and the lips' distance, from P points of an image.

    Args:
        names: W expressions that are read.
        weight: (W, 2 P) per unit of :meth:`features`.
        bias: (W,).
        rest: (W,) what is read of faces at rest, below 1: less counts as nothing.
        level: (2,) points that lie level in an upright face, the subject's right one first.
        corners: (2,) points, the mouth's right and left corner.
        lips: (M, 2) points that touch where lips are closed: of the upper and of the lower lip.
        seen, true: (N,) distances over the mouth's width, increasing: as they are placed, as the teacher's points
            have them, by which lips that touch are up to :data:`TOUCHING` apart.

    Raises:
        ValueError: arrays that do not fit together.
    """

    names: tuple[str, ...]
    weight: np.ndarray
    bias: np.ndarray
    rest: np.ndarray
    level: np.ndarray
    corners: np.ndarray
    lips: np.ndarray
    seen: np.ndarray
    true: np.ndarray

    def __post_init__(self) -> None:
        count = (len(self.names),)
        if self.weight.ndim != 2 or self.weight.shape[:1] != count or self.weight.shape[1] % 2:
            raise ValueError(f"expected weight ({count[0]}, 2 P), got {self.weight.shape}")
        if self.bias.shape != count or self.rest.shape != count or not (self.rest < 1).all():
            raise ValueError(f"expected bias and rest ({count[0]},), rest below 1, got {self.bias.shape}")
        places = np.concatenate([self.level.ravel(), self.corners.ravel(), self.lips.ravel()])
        if self.level.shape != (2,) or self.corners.shape != (2,) or self.lips.ndim != 2 or self.lips.shape[1] != 2:
            raise ValueError("expected level and corners (2,) and lips (M, 2)")
        if places.dtype.kind not in "iu" or places.min() < 0 or places.max() >= self.weight.shape[1] // 2:
            raise ValueError("expected level, corners and lips to be points")
        if self.seen.ndim != 1 or self.seen.shape != self.true.shape or not len(self.seen):
            raise ValueError(f"expected seen and true (N,), got {self.seen.shape} and {self.true.shape}")
        if (np.diff(self.seen) <= 0).any() or (np.diff(self.true) < 0).any() or self.seen[0] <= 0 or self.true[0] < 0:
            raise ValueError("expected seen and true to increase, from above 0")

    def features(self, points: np.ndarray) -> np.ndarray:
        """What weights are read from: points (..., P, 2), moved, turned and scaled to a common place, as (..., 2 P),
        x of all before y."""
        return upright(points, self.level)

    def weights(self, points: np.ndarray) -> np.ndarray:
        """Weights (..., W), 0 to 1, of points (..., P, 2) of an image; no more than at rest counts as nothing."""
        read = self.features(points) @ self.weight.T + self.bias
        return np.asarray(np.clip((read - self.rest) / (1 - self.rest), 0.0, 1.0))

    def nearer(self, points: np.ndarray) -> np.ndarray:
        """By how many times each pair of the lips (..., M) is as far apart as it is placed."""
        pairs = np.concatenate([self.lips, self.corners[None]])
        apart = np.asarray(points, np.float64)[..., pairs, :]
        apart = apart[..., 0, :] - apart[..., 1, :]
        length = np.hypot(apart[..., 0], apart[..., 1])
        gap = length[..., :-1] / np.maximum(length[..., -1:], 1e-9)
        wide = np.maximum(gap - self.seen[-1], 0.0)
        known = np.where(self.true < TOUCHING, 0.0, self.true)
        true = np.interp(gap, np.append(0.0, self.seen), np.append(0.0, known)) + wide
        return np.where(gap > 1e-9, true / np.maximum(gap, 1e-9), 1.0)

    @staticmethod
    def part(points: np.ndarray, pairs: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Points (..., P, 2) whose pairs (M, 2) are ``factor`` (..., M) times as far apart, about their middles."""
        moved = np.array(points, np.float64)
        half = 0.5 * (factor - 1)[..., None] * (moved[..., pairs[:, 1], :] - moved[..., pairs[:, 0], :])
        moved[..., pairs[:, 0], :] -= half
        moved[..., pairs[:, 1], :] += half
        return moved

    def arrays(self) -> dict[str, np.ndarray]:
        """For a file, by the fields' names."""
        integers = {name: getattr(self, name).astype(np.int32) for name in ("level", "corners", "lips")}
        floats = {name: getattr(self, name).astype(np.float32) for name in ("bias", "rest", "seen", "true")}
        return {"names": np.array(self.names), "weight": self.weight.astype(np.float32), **integers, **floats}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> PointReadout:
        """What :meth:`arrays` made.

        Raises:
            KeyError: an array is missing.
            ValueError: arrays that do not fit together.
        """
        names = tuple(str(name) for name in arrays["names"].ravel())
        fields = ("weight", "bias", "rest", "level", "corners", "lips", "seen", "true")
        values = {name: arrays[name] for name in fields}
        if not all(np.isfinite(values[name]).all() for name in fields):
            raise ValueError("expected finite numbers")
        return cls(names, **values)


def upright(points: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Points (..., P, 2) about their middle, turned so that two of them, ``level`` (2,), lie level, over their
    root-mean-square distance from the middle, as (..., 2 P)."""
    plane = np.asarray(points, np.float64) @ np.array([1.0, 1j])
    plane = plane - plane.mean(-1, keepdims=True)
    axis = plane[..., level[1]] - plane[..., level[0]]
    turn = np.conj(axis) / np.maximum(np.abs(axis), 1e-12)
    size = np.sqrt((np.abs(plane) ** 2).mean(-1, keepdims=True))
    plane = plane * turn[..., None] / np.maximum(size, 1e-12)
    return np.concatenate([plane.real, plane.imag], axis=-1)

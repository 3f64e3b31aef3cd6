"""How a head moves: the weights of its shapes and its place over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Animation:
    """Keys of a mesh with S shapes; between them everything changes linearly (turns along the shortest arc).

    Args:
        times: (N,) seconds, increasing, from 0 on.
        weights: (N, S) of the shapes.
        rotation: (N, 3, 3) mesh axes -> axes of the scene; None: it stays.
        translation: (N, 3) mm in the scene; None: it stays.
        name: of the animation.

    Raises:
        ValueError: arrays that do not fit together, or values that are not finite.
    """

    times: np.ndarray
    weights: np.ndarray
    rotation: np.ndarray | None = None
    translation: np.ndarray | None = None
    name: str = "performance"

    def __post_init__(self) -> None:
        times = np.asarray(self.times, np.float64)
        count = len(times) if times.ndim == 1 else 0
        if not count or times[0] < 0 or not (np.diff(times.astype(np.float32)) > 0).all():
            raise ValueError(f"expected one or more increasing times from 0 on, got {times.shape}")
        shapes = {"weights": np.shape(self.weights)[:1] == (count,) and np.ndim(self.weights) == 2}
        if self.rotation is not None:
            shapes["rotation"] = np.shape(self.rotation) == (count, 3, 3)
        if self.translation is not None:
            shapes["translation"] = np.shape(self.translation) == (count, 3)
        for name, fits in shapes.items():
            if not fits or not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"expected finite {name} of {count} keys, got {np.shape(getattr(self, name))}")

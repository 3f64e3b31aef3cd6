"""What training sees of its sources: pictures with landmarks, and pictures without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.datasets.image_store import ImageStore


@dataclass(frozen=True, eq=False)
class Frames:
    """Pictures with 68 landmarks.

    Args:
        images: N pictures.
        landmarks: (N, 68, 2) float32, pixels, (0, 0) the first pixel's centre.
        person: (N,) int64 number of the identity among these pictures, -1 unknown.
        clip: (N,) the clip's name: frames of one clip are alike.
    """

    images: ImageStore
    landmarks: np.ndarray
    person: np.ndarray
    clip: tuple[str, ...]

    @property
    def people(self) -> int:
        """How many identities there are."""
        return int(self.person.max()) + 1


@dataclass(frozen=True, eq=False)
class Photos:
    """Pictures without landmarks: ``images`` and ``person`` as in :class:`Frames`."""

    images: ImageStore
    person: np.ndarray

    @property
    def people(self) -> int:
        """How many identities there are."""
        return int(self.person.max()) + 1

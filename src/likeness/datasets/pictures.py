"""What training sees of its sources: pictures with landmarks, and pictures without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

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


Pictures = TypeVar("Pictures", Frames, Photos)


def of_some_people(pictures: Pictures, count: int, seed: int = 0) -> Pictures:
    """The pictures of so many people at most, drawn at random, for a small run; people are numbered anew.

    A picture of somebody unknown counts as one person.

    Args:
        pictures: of everybody.
        count: of people.
        seed: of the draw.

    Raises:
        ValueError: nobody is asked for.
    """
    if count < 1:
        raise ValueError(f"expected one person at least, got {count}")
    unknown = pictures.person < 0
    whose = np.where(unknown, pictures.person.max() + 1 + np.arange(len(pictures.person)), pictures.person)
    everyone = np.unique(whose)
    chosen = np.random.default_rng(seed).permutation(everyone)[:count]
    rows = np.flatnonzero(np.isin(whose, chosen))
    known = np.unique(pictures.person[rows][~unknown[rows]])
    person = np.where(unknown[rows], -1, np.searchsorted(known, pictures.person[rows]))
    images = pictures.images.select(rows)
    if isinstance(pictures, Photos):
        return replace(pictures, images=images, person=person)
    clip = tuple(pictures.clip[row] for row in rows.tolist())
    return replace(pictures, images=images, person=person, landmarks=pictures.landmarks[rows], clip=clip)

"""What training knows beside the pictures: all its sources, labels of its own making, a teacher's embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.datasets import Frames, Photos, SyntheticFaces
from likeness.datasets.memory_maps import Morphs
from likeness.model.face_model import FaceModel


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Landmarks that the network found in photos by itself.

    Args:
        index: (M,) numbers of the photos that are kept.
        landmarks: (M, 68, 2) pixels of each photo.
    """

    index: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True, eq=False)
class Sources:
    """Everything there is to train on; None where there is nothing.

    Args:
        model: the face model.
        frames: pictures with landmarks.
        synthetic: rendered faces with all labels.
        photos: pictures without landmarks.
        morphs: new people, mixed from others, with landmarks and a teacher's embeddings.
    """

    model: FaceModel
    frames: Frames | None = None
    synthetic: SyntheticFaces | None = None
    photos: Photos | None = None
    morphs: Morphs | None = None

    @property
    def people(self) -> int:
        """C, how many identities frames and photos have: first those of the frames, then those of the photos."""
        return sum(one.people for one in (self.frames, self.photos) if one is not None)


@dataclass(frozen=True, eq=False)
class Told:
    """What a teacher sees in pictures: embeddings (N, D) of all frames and of all photos; rows of NaN where it was
    not asked."""

    frames: np.ndarray | None = None
    photos: np.ndarray | None = None

"""What training knows beside the pictures: all its sources, labels of its own making, a teacher's embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.datasets import Frames, Photos, SyntheticFaces
from likeness.datasets.dense_labels import PlacedPoints
from likeness.datasets.memory_maps import Morphs
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap


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
        point_map: which surface points are placed; None: none are.
        frame_points, photo_points: where they lie in frames and in photos.
    """

    model: FaceModel
    frames: Frames | None = None
    synthetic: SyntheticFaces | None = None
    photos: Photos | None = None
    morphs: Morphs | None = None
    point_map: PointMap | None = None
    frame_points: PlacedPoints | None = None
    photo_points: PlacedPoints | None = None

    @property
    def people(self) -> int:
        """C, how many identities frames and photos have: first those of the frames, then those of the photos."""
        return sum(one.people for one in (self.frames, self.photos) if one is not None)

    @property
    def placed(self) -> int:
        """How many pictures have surface points: first those of the frames, then those of the photos."""
        return sum(len(known) for known in (self.frame_points, self.photo_points) if known is not None)

    @property
    def counts(self) -> dict[str, int]:
        """How many pictures of each kind and people there are: a run goes on only with as many."""
        parts = {"frames": self.frames, "photos": self.photos, "synthetic": self.synthetic, "morphs": self.morphs}
        known = {
            name: 0 if part is None else len(getattr(part, "images", part))  # type: ignore[arg-type]
            for name, part in parts.items()
        }
        return {**known, **({"placed": self.placed} if self.placed else {}), "people": self.people}

    @property
    def embedding_size(self) -> int:
        """D, numbers of the embeddings that came with the surface points; 0: none did.

        Raises:
            ValueError: those of frames and photos are of different lengths.
        """
        known = [one.embedding for one in (self.frame_points, self.photo_points) if one is not None]
        sizes = {one.shape[1] for one in known if one is not None}
        if len(sizes) > 1:
            raise ValueError(f"expected embeddings of one network with the points, got lengths {sorted(sizes)}")
        return int(sizes.pop()) if sizes else 0

    def numbered(self, person: int, is_frame: bool) -> int:
        """The number among all :attr:`people` of somebody of the frames or of the photos; -1 stays -1."""
        first = 0 if is_frame or self.frames is None else self.frames.people
        return first + person if person >= 0 else -1


@dataclass(frozen=True, eq=False)
class TeacherEmbeddings:
    """What a teacher sees in pictures: embeddings (N, D) of all frames and of all photos; rows of NaN where it was
    not asked."""

    frames: np.ndarray | None = None
    photos: np.ndarray | None = None

"""Mixed samples for the regressor: what a batch holds, and how each sample is made.

A batch is a pure function of (seed, step, rank), so a resumed run sees what an uninterrupted one would have seen,
whatever the number of loader processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from likeness.camera import Camera, Crop, image_center, project
from likeness.face_model import FaceModel
from likeness.photo import CROP_PER_LANDMARK_BOX
from likeness.rotation import rotation_onto
from likeness.train.augment import (
    AugmentSettings,
    augment,
    box_of,
    cut,
    flip_landmarks,
    jittered_crop,
    procedural_background,
)
from likeness.train.losses import Targets
from likeness.train.nets import CROP_SIZE
from likeness.train.sources import Frames, Photos, SyntheticFaces

PSEUDO_GATE = 0.3
"""Weight of the landmark loss where the network labelled the photo itself."""


@dataclass(frozen=True)
class Mix:
    """How many samples of a batch come from where; a source that is not there gives its share to the others."""

    frames: int = 40
    synthetic: int = 36
    photos: int = 12
    negatives: int = 8

    @property
    def total(self) -> int:
        """Samples per batch."""
        return sum(getattr(self, f.name) for f in fields(self))

    def without(self, missing: set[str]) -> Mix:
        """The mixture when some of ``frames``, ``synthetic`` and ``photos`` are missing: their share goes to frames
        and synthetic faces in proportion."""
        counts = {f.name: getattr(self, f.name) for f in fields(self)}
        freed = sum(counts.pop(name) for name in missing)
        takers = [name for name in ("frames", "synthetic") if name in counts and counts[name] > 0]
        if not takers:
            raise ValueError("expected frames with landmarks or synthetic faces to train on, got neither")
        total = sum(counts[name] for name in takers)
        for name in takers[1:]:
            extra = round(freed * counts[name] / total)
            counts[name] += extra
            freed -= extra
        counts[takers[0]] += freed
        return Mix(**{**dict.fromkeys(missing, 0), **counts})


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
    """Everything there is to train on; None where there is nothing."""

    model: FaceModel
    frames: Frames | None = None
    synthetic: SyntheticFaces | None = None
    photos: Photos | None = None


@dataclass
class Sample:
    """One crop and what is known of it; the fields of :class:`likeness.train.losses.Targets` without the batch."""

    image: np.ndarray
    score: float = 1.0
    landmarks: np.ndarray | None = None
    landmark_gate: float = 1.0
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    person: int = -1


@lru_cache(maxsize=16)
def _permutation(seed: int, epoch: int, source: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, source]).permutation(count)


def crop_pose(
    crop: Crop, rotation: np.ndarray, translation: np.ndarray, camera: Camera, center: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation of a head in the crop's own camera, which has another focal length and another axis.

    The head is seen from the same side, at the place where its centre is in the crop, from the distance that keeps
    its size; only how strongly near parts are enlarged may differ.

    Args:
        crop: from the picture.
        rotation, translation: (3, 3) and (3,) mm in the picture's camera.
        camera: the picture's camera.
        center: (3,) mm, model axes: the point of the head that is kept in place.
    """
    crop_camera = Camera.from_crop_size(crop.size)
    seen = rotation @ center + translation
    distance = float(np.linalg.norm(seen))
    ray = seen / distance
    offset = (crop.to_crop(project(camera, seen)) - crop_camera.center) / crop_camera.focal
    crop_ray = np.append(offset, 1.0) / math.hypot(*offset, 1.0)
    c, s = math.cos(crop.angle), math.sin(crop.angle)
    turn = rotation_onto(crop_ray) @ np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]) @ rotation_onto(ray).T
    # Off the axis a picture grows by 1 / cos across and 1 / cos² along the direction from the centre.
    zoom = crop_camera.focal * crop.scale / camera.focal * (ray[2] / crop_ray[2]) ** 1.5
    crop_rotation = turn @ rotation
    return crop_rotation, distance * zoom * crop_ray - crop_rotation @ center


def turned_light(light: np.ndarray, angle: float) -> np.ndarray:
    """Light (9, 3) as seen in a crop that is turned by ``angle`` (:attr:`likeness.camera.Crop.angle`).

    About the viewing axis the harmonics of order ±m turn among themselves by m times the angle
    (:mod:`likeness.lighting` gives their order).
    """
    out = np.array(light, np.float32)
    for x, y, order in ((3, 1, 1), (7, 5, 1), (8, 4, 2)):
        c, s = math.cos(order * angle), math.sin(order * angle)
        out[x], out[y] = c * light[x] - s * light[y], s * light[x] + c * light[y]
    return out


class SampleMaker:
    """Makes samples from sources; every method draws from the generator it is given and from nothing else."""

    def __init__(self, sources: Sources, settings: AugmentSettings, pseudo: PseudoLabels | None = None) -> None:
        self.sources, self.settings, self.pseudo = sources, settings, pseudo

    def frame(self, number: int, rng: np.random.Generator) -> Sample:
        """A video frame with landmarks, mirrored half of the time."""
        frames = self.sources.frames
        assert frames is not None
        sample = self._landmarked(frames.images[number], frames.landmarks[number], rng)
        sample.person = int(frames.person[number])
        return sample

    def photo(self, number: int, rng: np.random.Generator) -> Sample:
        """A photo with pseudo-landmarks: the ``number``-th of those that are kept."""
        photos, pseudo = self.sources.photos, self.pseudo
        assert photos is not None
        assert pseudo is not None
        index = int(pseudo.index[number])
        sample = self._landmarked(photos.images[index], pseudo.landmarks[number], rng)
        sample.landmark_gate = PSEUDO_GATE
        first = self.sources.frames.people if self.sources.frames is not None else 0
        person = int(photos.person[index])
        sample.person = first + person if person >= 0 else -1
        return sample

    def _landmarked(self, image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> Sample:
        crop = jittered_crop(landmarks, CROP_SIZE, self.settings, rng)
        pixels, points = cut(image, crop, rng), crop.to_crop(landmarks)
        if rng.random() < 0.5:
            pixels, points = np.ascontiguousarray(pixels[:, ::-1]), flip_landmarks(points, CROP_SIZE)
        return Sample(self._augmented(pixels, rng), landmarks=points)

    def synthetic(self, number: int, rng: np.random.Generator) -> Sample:
        """A synthetic face over a background, with every label."""
        faces, model = self.sources.synthetic, self.sources.model
        assert faces is not None
        rotation, translation = faces.rotation[number].astype(float), faces.translation[number].astype(float)
        side = faces.rgba.shape[1]
        camera = Camera(float(faces.focal[number]), image_center((side, side)), (side, side))
        points = model.landmark_points(faces.identity[number], faces.expression[number])
        projected = project(camera, points @ rotation.T + translation)
        landmarks = model.landmark_map.select(projected, rotation)
        crop = jittered_crop(landmarks, CROP_SIZE, self.settings, rng)
        pixels = self._composed(faces.rgba[number], crop, rng)
        seen_rotation, seen_translation = crop_pose(crop, rotation, translation, camera, points[:51].mean(0))
        labels = {name: np.asarray(getattr(faces, name)[number]) for name in ("identity", "expression", "albedo")}
        labels["light"] = turned_light(faces.light[number], crop.angle)
        labels["rotation"], labels["translation"] = seen_rotation, seen_translation
        return Sample(self._augmented(pixels, rng), landmarks=crop.to_crop(landmarks), labels=labels)

    def _composed(self, rgba: np.ndarray, crop: Crop, rng: np.random.Generator) -> np.ndarray:
        """The crop of a picture with alpha (S, S, 4), over a background."""
        # Multiplied first: interpolating bare colours would drag in those of empty pixels.
        scale = cv2.cvtColor(rgba[..., 3], cv2.COLOR_GRAY2BGR)
        premultiplied = cv2.merge([cv2.multiply(rgba[..., :3], scale, scale=1 / 255), rgba[..., 3]])
        front = cut(premultiplied, crop)
        back = self.background(rng)
        rest = cv2.cvtColor(255 - front[..., 3], cv2.COLOR_GRAY2BGR)
        return cv2.add(np.ascontiguousarray(front[..., :3]), cv2.multiply(back, rest, scale=1 / 255))

    def background(self, rng: np.random.Generator) -> np.ndarray:
        """(S, S, 3) a piece of a frame without its face, or something procedural."""
        frames = self.sources.frames
        if frames is None or rng.random() < 0.25:
            return procedural_background(CROP_SIZE, rng)
        number = int(rng.integers(len(frames.images)))
        image, (center, length) = frames.images[number], box_of(frames.landmarks[number])
        height, width = image.shape[:2]
        reach = np.array([0.65, 0.9]) * length  # the whole head, about
        for _ in range(6):
            side = rng.uniform(0.2, 0.55) * min(height, width)
            middle = rng.uniform([0.5 * side] * 2, [width - 0.5 * side, height - 0.5 * side])
            apart = np.abs(middle - center + [0.0, 0.15 * length])
            if (apart > reach + 0.42 * side).any():
                return cut(image, Crop.from_box(middle, side, CROP_SIZE))
        return procedural_background(CROP_SIZE, rng)

    def negative(self, rng: np.random.Generator) -> Sample:
        """A crop without a face, or with one that is far off, far too large or small, or on its side."""
        frames = self.sources.frames
        kind = rng.random()
        if frames is None or kind < 0.45:
            return Sample(self._augmented(self.background(rng), rng), score=0.0)
        number = int(rng.integers(len(frames.images)))
        center, length = box_of(frames.landmarks[number])
        side, angle = CROP_PER_LANDMARK_BOX * length, rng.normal(0.0, 0.2)
        if kind < 0.65:
            away = rng.uniform(0.0, 2.0 * math.pi)
            center = center + rng.uniform(0.5, 1.0) * side * np.array([math.cos(away), math.sin(away)])
        elif kind < 0.85:
            factor = rng.uniform(2.0, 4.0)
            side *= factor if rng.random() < 0.4 else 1.0 / factor
            center = center + rng.uniform(-0.3, 0.3, 2) * side
        else:
            angle = rng.uniform(math.radians(80), math.radians(280))
        pixels = cut(frames.images[number], Crop.from_box(center, side, CROP_SIZE, angle), rng)
        return Sample(self._augmented(pixels, rng), score=0.0)

    def _augmented(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        frames = self.sources.frames
        piece = None
        if frames is not None:
            other = frames.images[int(rng.integers(len(frames.images)))]
            piece = cv2.resize(other, (CROP_SIZE, CROP_SIZE))
        return augment(pixels, self.settings, rng, piece)


class TrainBatches(Dataset):
    """Batches by step: ``batches[step]`` is (images (n, 112, 112, 3) uint8, :class:`Targets`).

    Args:
        maker: makes the samples.
        mix: samples per batch and process.
        seed: with step and rank, all that a batch depends on.
        rank, world: this process among those that train together; they share out each source.
    """

    def __init__(self, maker: SampleMaker, mix: Mix, seed: int, rank: int = 0, world: int = 1) -> None:
        sources = maker.sources
        missing = {name for name in ("frames", "synthetic") if getattr(sources, name) is None}
        if sources.photos is None or maker.pseudo is None or len(maker.pseudo.index) == 0:
            missing.add("photos")
        self.maker, self.mix, self.seed, self.rank, self.world = maker, mix.without(missing), seed, rank, world

    def __getitem__(self, step: int) -> tuple[Tensor, Targets]:
        samples = []
        turn = step * self.world + self.rank
        for source, kind in enumerate(fields(self.mix)):
            count = getattr(self.mix, kind.name)
            for slot in range(count):
                rng = np.random.default_rng([self.seed, step, self.rank, source, slot])
                samples.append(self._sample(kind.name, source, turn * count + slot, rng))
        return collate(samples, self.maker.sources.model)

    def _sample(self, kind: str, source: int, position: int, rng: np.random.Generator) -> Sample:
        """The sample at a position in the endless sequence of shuffled passes over a source."""
        if kind == "negatives":
            return self.maker.negative(rng)
        length = self._length(kind)
        number = int(_permutation(self.seed, position // length, source, length)[position % length])
        make = {"frames": self.maker.frame, "synthetic": self.maker.synthetic, "photos": self.maker.photo}
        return make[kind](number, rng)

    def _length(self, kind: str) -> int:
        sources, pseudo = self.maker.sources, self.maker.pseudo
        if kind == "photos":
            return 0 if pseudo is None else len(pseudo.index)
        if kind == "frames":
            return 0 if sources.frames is None else len(sources.frames.images)
        return 0 if sources.synthetic is None else len(sources.synthetic)


def collate(samples: list[Sample], model: FaceModel) -> tuple[Tensor, Targets]:
    """Samples -> images (n, 112, 112, 3) uint8 and targets; what a sample lacks is 0 and its gate is closed."""
    n = len(samples)
    shapes = {
        "landmarks": (68, 2),
        "landmark_gate": (),
        "score": (),
        "score_gate": (),
        "shape_gate": (),
        "identity": (len(model.identity_basis),),
        "expression": (len(model.expression_basis),),
        "albedo": (len(model.albedo_basis),),
        "light": (9, 3),
        "rotation": (3, 3),
        "translation": (3,),
    }
    arrays = {name: np.zeros((n, *shape), np.float32) for name, shape in shapes.items()}
    arrays["score_gate"][:] = 1.0
    person = np.full(n, -1, np.int64)
    for row, sample in enumerate(samples):
        arrays["score"][row] = sample.score
        person[row] = sample.person
        if sample.landmarks is not None:
            arrays["landmarks"][row] = sample.landmarks
            arrays["landmark_gate"][row] = sample.landmark_gate
        for name, value in sample.labels.items():
            arrays[name][row] = value
        arrays["shape_gate"][row] = 1.0 if sample.labels else 0.0
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return images, Targets(**tensors, person=torch.from_numpy(person))

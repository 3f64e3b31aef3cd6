"""How each sample is made from what the sources hold; :mod:`likeness.train.photos.batches` joins them to batches."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from likeness.datasets.image_store import next_readable
from likeness.geometry.camera import Camera, image_center, project
from likeness.geometry.crop import Crop
from likeness.geometry.landmarks import INNER_COUNT
from likeness.geometry.rotation import rotation_onto
from likeness.reconstruct.proposals import CROP_PER_LANDMARK_BOX, crop_from_landmarks
from likeness.train.detector.clutter import draw_any
from likeness.train.photos.augment import augment, box_of, cut, flip_landmarks, jittered_crop, procedural_background
from likeness.train.photos.labels import PseudoLabels, Sources, TeacherEmbeddings
from likeness.train.photos.network import CROP_SIZE
from likeness.train.photos.rendered_points import RenderedPoints
from likeness.train.photos.warp import random_warp, warped
from likeness.train.settings import AugmentSettings

PSEUDO_GATE, MORPH_GATE = 0.3, 0.5
"""Weights of the landmark loss where the network labelled the photo itself, and for morphs, half of which it did."""

CLUTTERED = 0.6
"""The share of crops without a face that show something which may look like one."""


@dataclass
class Sample:
    """One crop and what is known of it; the fields of :class:`likeness.train.losses.reconstruction.Targets` without
    the batch."""

    image: np.ndarray
    score: float = 1.0
    landmarks: np.ndarray | None = None
    landmark_gate: float = 1.0
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    person: int = -1
    embedding: np.ndarray | None = None
    dense: np.ndarray | None = None
    dense_weight: np.ndarray | float = 1.0


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
    """Light (9, 3) as seen in a crop that is turned by ``angle`` (:attr:`likeness.geometry.crop.Crop.angle`).

    About the viewing axis the harmonics of order ±m turn among themselves by m times the angle
    (:mod:`likeness.render.lighting` gives their order).
    """
    out = np.array(light, np.float32)
    for x, y, order in ((3, 1, 1), (7, 5, 1), (8, 4, 2)):
        c, s = math.cos(order * angle), math.sin(order * angle)
        out[x], out[y] = c * light[x] - s * light[y], s * light[x] + c * light[y]
    return out


def _row(rows: np.ndarray | None, number: int) -> np.ndarray | None:
    """A row that is known."""
    return None if rows is None or not np.isfinite(rows[number, 0]) else np.asarray(rows[number], np.float32)


class SampleMaker:
    """Makes samples from sources; every method draws from the generator it is given and from nothing else."""

    def __init__(
        self,
        sources: Sources,
        settings: AugmentSettings,
        pseudo: PseudoLabels | None = None,
        embeddings: TeacherEmbeddings | None = None,
    ) -> None:
        self.sources, self.settings, self.pseudo, self.embeddings = (
            sources,
            settings,
            pseudo,
            embeddings or TeacherEmbeddings(),
        )
        self.rendered_points = (
            None
            if sources.point_map is None or sources.synthetic is None
            else RenderedPoints(sources.model, sources.point_map)
        )

    def frame(self, number: int, rng: np.random.Generator) -> Sample:
        """A video frame with landmarks, mirrored half of the time."""
        frames = self.sources.frames
        assert frames is not None
        number, image = next_readable(frames.images, number)
        sample = self._landmarked(image, frames.landmarks[number], rng)
        sample.person = int(frames.person[number])
        sample.embedding = _row(self.embeddings.frames, number)
        return sample

    def placed(self, number: int, rng: np.random.Generator) -> Sample:
        """A picture with surface points, of those of the frames and then of the photos: warped now and then, which
        leaves it nobody's, mirrored half of the time."""
        sources, first = self.sources, len(self.sources.frame_points or ())
        is_frame = number < first
        known, source = (sources.frame_points, sources.frames) if is_frame else (sources.photo_points, sources.photos)
        points = sources.point_map
        assert known is not None
        assert source is not None
        assert points is not None
        row, image = next_readable(source.images, number if is_frame else number - first, known.index)
        index, there = int(known.index[row]), known.points[row].astype(float)
        crop = jittered_crop(there[points.ibug], CROP_SIZE, self.settings, rng)
        dense, field = crop.to_crop(there).astype(np.float32), None
        if rng.random() < self.settings.warped:
            field = random_warp(dense[points.ibug], CROP_SIZE, rng)
            dense = warped(dense, field)
        pixels = cut(image, crop, rng, field)
        if rng.random() < 0.5:
            pixels, dense = np.ascontiguousarray(pixels[:, ::-1]), points.mirrored(dense, CROP_SIZE)
        sample = Sample(self._augmented(pixels, rng), dense=dense)
        if field is None:
            asked = self.embeddings.frames if is_frame else self.embeddings.photos
            sample.embedding = _row(asked, index) if asked is not None else _row(known.embedding, row)
            sample.person = sources.numbered(int(source.person[index]), is_frame)
        return sample

    def morph(self, number: int, rng: np.random.Generator) -> Sample:
        """A face between two people: nobody's of those that are there, but a teacher has seen it.

        New people are numbered on from the others.
        """
        morphs = self.sources.morphs
        assert morphs is not None
        sample = self._landmarked(morphs.image[number], morphs.landmarks[number].astype(float), rng)
        sample.landmark_gate = MORPH_GATE
        sample.person = max(1, self.sources.people) + int(morphs.person[number])  # SirLoss has a class at least
        sample.embedding = _row(morphs.embedding, number)
        return sample

    def photo(self, number: int, rng: np.random.Generator) -> Sample:
        """A photo with pseudo-landmarks: the ``number``-th of those that are kept."""
        photos, pseudo = self.sources.photos, self.pseudo
        assert photos is not None
        assert pseudo is not None
        number, image = next_readable(photos.images, number, pseudo.index)
        index = int(pseudo.index[number])
        sample = self._landmarked(image, pseudo.landmarks[number], rng)
        sample.landmark_gate = PSEUDO_GATE
        sample.person = self.sources.numbered(int(photos.person[index]), is_frame=False)
        sample.embedding = _row(self.embeddings.photos, index)
        return sample

    def upright(self, is_frame: bool, number: int) -> np.ndarray:
        """The crop (S, S, 3) of a frame or of a kept photo as it is, without augmentation."""
        frames, photos, pseudo = self.sources.frames, self.sources.photos, self.pseudo
        if is_frame:
            assert frames is not None
            number, image = next_readable(frames.images, number)
            landmarks = frames.landmarks[number]
        else:
            assert photos is not None
            assert pseudo is not None
            number, image = next_readable(photos.images, number, pseudo.index)
            landmarks = pseudo.landmarks[number]
        return cut(image, crop_from_landmarks(landmarks, CROP_SIZE, upright=True))

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
        landmarks = model.landmark_map.project(camera, points @ rotation.T + translation, rotation)
        crop = jittered_crop(landmarks, CROP_SIZE, self.settings, rng)
        pixels = self._composed(faces.rgba[number], crop, rng)
        seen_rotation, seen_translation = crop_pose(crop, rotation, translation, camera, points[:INNER_COUNT].mean(0))
        labels = {name: np.asarray(getattr(faces, name)[number]) for name in ("identity", "expression", "albedo")}
        labels["light"] = turned_light(faces.light[number], crop.angle)
        labels["rotation"], labels["translation"] = seen_rotation, seen_translation
        sample = Sample(self._augmented(pixels, rng), landmarks=crop.to_crop(landmarks), labels=labels)
        if self.rendered_points is not None:
            dense, sample.dense_weight = self.rendered_points(
                faces.identity[number], faces.expression[number], rotation, translation, camera
            )
            sample.dense = crop.to_crop(dense)
        return sample

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
        number, image = next_readable(frames.images, number)
        center, length = box_of(frames.landmarks[number])
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
            pixels = self.background(rng)
            if rng.random() < CLUTTERED:
                pixels = self._cluttered(pixels, rng)
            return Sample(self._augmented(pixels, rng), score=0.0)
        number, image = next_readable(frames.images, int(rng.integers(len(frames.images))))
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
        pixels = cut(image, Crop.from_box(center, side, CROP_SIZE, angle), rng)
        return Sample(self._augmented(pixels, rng), score=0.0)

    def _cluttered(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A crop with one to three things about its middle that have some of a face's looks."""
        pixels = np.ascontiguousarray(pixels)
        for _ in range(int(rng.integers(1, 4))):
            at = CROP_SIZE * (0.5 + rng.normal(0.0, 0.14, 2))
            draw_any(pixels, at, CROP_SIZE * rng.uniform(0.3, 0.95), rng)
        return pixels

    def _augmented(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        frames = self.sources.frames
        piece = None
        if frames is not None:
            _, other = next_readable(frames.images, int(rng.integers(len(frames.images))))
            piece = cv2.resize(other, (CROP_SIZE, CROP_SIZE))
        return augment(pixels, self.settings, rng, piece)

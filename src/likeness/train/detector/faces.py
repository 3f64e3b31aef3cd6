"""The faces that scenes for the detector are made of, each with its landmarks: frames, photos, synthetic heads.

Photos have no landmarks: the package's own reconstruction gives them once, and a file keeps them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from likeness.datasets import Frames, ImageStore, Photos, read_frames, read_photos
from likeness.datasets import SyntheticFaces as SyntheticFolder
from likeness.datasets.image_store import next_readable
from likeness.errors import FileError, StrPath
from likeness.files import write_atomically
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import FaceModel
from likeness.progress import Steps, unheard, watched
from likeness.readers import read_npz
from likeness.reconstruct.proposals import CROP_PER_LANDMARK_BOX, crop_from_landmarks
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.train.generate import rendered as synthetic

TRUSTED = 0.8
"""The network's score from which its landmarks of a photo are taken for true."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture.

    Attributes:
        image: (H, W, 3 or 4) uint8 RGB, with alpha for synthetic heads.
        center, size, angle: as in :class:`likeness.networks.detector.Detections`, pixels of the picture and radians.
        yaw: how far the head is turned to a side, degrees without sign.
        kind: "frame", "photo" or "synthetic".
    """

    image: np.ndarray
    center: np.ndarray
    size: float
    angle: float
    yaw: float
    kind: str


def placed(image: np.ndarray, landmarks: np.ndarray, yaw: float, kind: str) -> Face:
    """A face by its 68 landmarks (68, 2), pixels, and yaw, degrees."""
    crop = crop_from_landmarks(landmarks, 64, upright=True)
    return Face(image, crop.center, crop.side / CROP_PER_LANDMARK_BOX, crop.angle, float(abs(yaw)), kind)


@dataclass(frozen=True, eq=False)
class FaceBank:
    """All faces, drawn by number; what training and held-out scenes share is code only.

    Attributes:
        frames: video frames and their yaws (n,), degrees.
        photos: photos, with landmarks (p, 68, 2) and yaws (p,) of those whose numbers are in ``photo_index`` (p,).
        synthetic: (s, S, S, 4) rendered heads with alpha, and their landmarks and yaws (s,).
        backs: (b, S, S, 4) uint8 heads seen from behind, with alpha: no faces.
    """

    frames: Frames
    frame_yaw: np.ndarray
    photos: Photos | None = None
    photo_index: np.ndarray | None = None
    photo_landmarks: np.ndarray | None = None
    photo_yaw: np.ndarray | None = None
    synthetic: np.ndarray | None = None
    synthetic_landmarks: np.ndarray | None = None
    synthetic_yaw: np.ndarray | None = None
    backs: np.ndarray | None = None

    def frame(self, number: int) -> Face:
        """A video frame's face."""
        number, image = next_readable(self.frames.images, number)
        return placed(image, self.frames.landmarks[number], self.frame_yaw[number], "frame")

    def draw(self, rng: np.random.Generator, shares: tuple[float, float, float] = (0.5, 0.25, 0.25)) -> Face:
        """Any face: of frames, photos and synthetic heads by these shares, as far as there are any."""
        kind = rng.choice(3, p=np.array(shares) / sum(shares))
        if kind == 1 and self.photos is not None and self.photo_index is not None:
            assert self.photo_landmarks is not None
            assert self.photo_yaw is not None
            number = int(rng.integers(len(self.photo_index)))
            number, image = next_readable(self.photos.images, number, self.photo_index)
            return placed(image, self.photo_landmarks[number], self.photo_yaw[number], "photo")
        if kind == 2 and self.synthetic is not None:
            assert self.synthetic_landmarks is not None
            assert self.synthetic_yaw is not None
            number = int(rng.integers(len(self.synthetic_landmarks)))
            image = np.asarray(self.synthetic[number])
            return placed(image, self.synthetic_landmarks[number], self.synthetic_yaw[number], "synthetic")
        return self.frame(int(rng.integers(len(self.frames.images))))


def read_bank(
    frames: StrPath,
    photos: StrPath | None,
    cache: StrPath,
    *,
    synthetic_folder: StrPath | None = None,
    model: FaceModel | None = None,
    heads: int = 6000,
    backs: int = 400,
    first: int = 0,
    network: StrPath | None = None,
    min_score: float = TRUSTED,
    watch: Steps = unheard,
) -> FaceBank:
    """Read and label everything; labels that cost time are kept in the folder ``cache``.

    Args:
        frames, photos: the archives, as :mod:`likeness.datasets` reads them.
        cache: a folder for labels.
        synthetic_folder, model: rendered heads and the face model that they were made with.
        heads: how many of them are used.
        backs: how many heads are rendered from behind.
        first: the number of the first of them; held-out scenes take others than training.
        network: a regressor (.onnx) for the labels, with its face model in ``model``; None: the embedded default.
        min_score: photos in which it gives a face a lower score are left out.
        watch: hears how far the labels are.

    Raises:
        FileError: an archive or folder cannot be used, or the network finds landmarks in none of the photos.
    """
    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = read_frames(frames)
    reconstruct = partial(Reconstructor, model if network else None, network, threads=1)
    yaw = _kept(folder / f"{Path(frames).stem}.npz", lambda: _frame_yaw(pictures, reconstruct(), watch))["yaw"]
    fields: dict = {}
    if photos is not None:
        portraits = read_photos(photos)
        labels = _kept(
            folder / f"{Path(photos).stem}.npz",
            lambda: _photo_labels(portraits.images, reconstruct(), min_score, watch),
        )
        if len(labels["index"]) == 0:
            count = len(portraits.images)
            raise FileError(
                photos, f"expected photos whose faces the network trusts (score {min_score:g}), 0 of {count} are"
            )
        fields.update(photos=portraits, **{f"photo_{key}": value for key, value in labels.items()})
    if synthetic_folder is not None and model is not None:
        rendered = SyntheticFolder(synthetic_folder, model)
        rows = slice(first, min(first + heads, len(rendered)))
        labels = synthetic_labels(rendered, model, rows, watch)
        fields.update(synthetic=rendered.rgba[rows], **{f"synthetic_{k}": v for k, v in labels.items()})
        made = _kept(folder / f"backs-{first}-{backs}.npz", lambda: {"rgba": back_heads(model, backs, first, watch)})
        fields.update(backs=made["rgba"])
    return FaceBank(pictures, yaw, **fields)


def _kept(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of a file, made and written first where there is none."""
    if not path.is_file():
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **make())  # type: ignore[arg-type]  # the stub takes names for flags
        write_atomically(path, buffer.getvalue())
    return read_npz(path, "labels; delete it to have them made anew")


def _yaw(rotation: np.ndarray) -> float:
    """How far a head with this camera rotation is turned to its left, degrees."""
    forward = rotation @ [0.0, 0.0, 1.0]
    return float(np.degrees(np.arctan2(forward[0], -forward[2])))


def _frame_yaw(frames: Frames, reconstruct: Reconstructor, watch: Steps) -> dict[str, np.ndarray]:
    """The yaws of frames by the package's own network."""
    yaws = [
        _yaw(reconstruct(image, landmarks=points[None])[0].rotation)
        for image, points in zip(
            watched(frames.images, "measuring the turn of faces", watch), frames.landmarks, strict=True
        )
    ]
    return {"yaw": np.array(yaws)}


def _photo_labels(
    images: ImageStore, reconstruct: Reconstructor, min_score: float, watch: Steps
) -> dict[str, np.ndarray]:
    """Landmarks of tight photos: the face is in the middle, so no detector is needed."""
    index, landmarks, yaws = [], [], []
    for number, image in enumerate(watched(images, "labelling photos", watch)):
        height, width = image.shape[:2]
        middle, half = np.array([width, height]) / 2.0 - 0.5, 0.35 * min(width, height)
        face = reconstruct(image, boxes=np.concatenate([middle - half, middle + half])[None])[0]
        if face.score >= min_score:
            index.append(number)
            landmarks.append(face.landmarks)
            yaws.append(_yaw(face.rotation))
    return {"index": np.array(index), "landmarks": np.array(landmarks), "yaw": np.array(yaws)}


def synthetic_labels(
    faces: SyntheticFolder, model: FaceModel, rows: slice, watch: Steps = unheard
) -> dict[str, np.ndarray]:
    """Landmarks (n, 68, 2) and yaws (n,) of rendered heads."""
    side = faces.rgba.shape[1]
    landmarks, yaws = [], []
    for number in watched(range(*rows.indices(len(faces.rgba))), "measuring rendered heads", watch):
        rotation, translation = faces.rotation[number].astype(float), faces.translation[number].astype(float)
        camera = Camera(float(faces.focal[number]), image_center((side, side)), (side, side))
        head = faces.identity[number], faces.expression[number]
        landmarks.append(model.seen_landmarks(*head, camera, rotation, translation))
        yaws.append(_yaw(rotation))
    return {"landmarks": np.array(landmarks), "yaw": np.array(yaws)}


class _BackHeads(synthetic.SyntheticFaces):
    """Renders people from behind."""

    def back(self, seed: int) -> np.ndarray:
        """(S, S, 4) uint8 a head turned away by 125° to 235°."""
        rng = np.random.default_rng(seed)
        model = self.model
        vertices = model.vertices(model.space.project(model.space.sample(1, rng)[0]))
        albedo = model.albedo(rng.standard_normal(len(model.albedo_names)).astype(np.float32))
        angles = np.radians([rng.uniform(125, 235), rng.normal(0, 11), rng.normal(0, 7)])
        rotation = FRONTAL @ rotation_from_euler(*angles)
        translation = np.array([0.0, 0.0, 900.0]) - rotation @ synthetic.MIDDLE
        focal = self.size * 900.0 / (1.15 * synthetic.FACE_MM)
        light = synthetic.sample_light(rng)
        return self._render(vertices, albedo, light, rotation, translation, focal, rng)[0]


def back_heads(model: FaceModel, count: int, first: int = 0, watch: Steps = unheard) -> np.ndarray:
    """(count, S, S, 4) uint8 heads from behind, with alpha."""
    heads = _BackHeads(model)
    numbers = watched(range(count), "rendering heads from behind", watch)
    return np.stack([heads.back(7_000_003 + first + number) for number in numbers])

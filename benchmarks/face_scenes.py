"""Pictures with faces and without, made from a seed: as they are, turned, masked, pasted, and what is no face.

Every maker takes a bank of faces and a generator and gives a :class:`likeness.train.detector.scenes.Scene`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from likeness.datasets import read_frames
from likeness.train.detector.clutter import draw_any
from likeness.train.detector.faces import FaceBank, placed
from likeness.train.detector.scenes import Scene, SceneMaker, SceneSettings
from likeness.train.photos.augment import photometric, procedural_background

MASKS = np.array([[240.0, 240.0, 240.0], [120.0, 170.0, 210.0], [30.0, 30.0, 35.0]])
"""Colours of masks: white, surgical blue, black."""

FITTED = (
    "brick", "grass", "cell", "chelsea", "chessboard_RGB", "clock_motion", "horse", "ihc", "logo", "moon",
    "motorcycle_left", "page", "phantom", "text", "color", "microaneurysms",
)  # fmt: skip
KEPT = ("gravel", "coffee", "rocket", "retina", "hubble_deep_field", "motorcycle_right", "chessboard_GRAY")
"""scikit-image's sample pictures without people: those that the chance is fitted with, those kept for measuring."""

Maker = Callable[[FaceBank, np.random.Generator], Scene]


def read_faces(photos: Path, split: str) -> FaceBank:
    """The annotated frames of ``video-{split}.tar``."""
    frames = read_frames(photos / f"video-{split}.tar")
    return FaceBank(frames, np.zeros(len(frames.images)))


def scene_of(image: np.ndarray, landmarks: np.ndarray) -> Scene:
    """A picture with one face whose 68 landmarks are known."""
    face = placed(image, landmarks, 0.0, "frame")
    row = np.array([[*face.center, face.size, face.angle]])
    return Scene(image, row, np.zeros(1), np.zeros((0, 3)), ("frame",))


def turned_picture(image: np.ndarray, angle: float, scale: float = 1.0, mode: int = cv2.BORDER_CONSTANT) -> tuple:
    """A picture turned about its middle by an angle (radians, from x towards y), whole, and the matrix (2, 3)."""
    height, width = image.shape[:2]
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[c, -s], [s, c]])
    size = math.ceil(abs(c) * width + abs(s) * height), math.ceil(abs(s) * width + abs(c) * height)
    shift = (np.array(size) - 1) / 2 - linear @ [(width - 1) / 2, (height - 1) / 2]
    matrix = np.column_stack([linear, shift])
    way = cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, matrix, size, flags=way, borderMode=mode, borderValue=(127,) * 3), matrix


def _turned_scene(
    image: np.ndarray, landmarks: np.ndarray, angle: float, rng: np.random.Generator, scale: float = 1.0
) -> Scene:
    mode = int(rng.choice([cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT]))
    picture, matrix = turned_picture(image, angle, scale, mode)
    return scene_of(picture, landmarks @ matrix[:, :2].T + matrix[:, 2])


def _any_frame(bank: FaceBank, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    number = int(rng.integers(len(bank.frames.images)))
    return bank.frames.images[number], bank.frames.landmarks[number]


def frame(bank: FaceBank, rng: np.random.Generator) -> Scene:
    """A frame as it is."""
    return scene_of(*_any_frame(bank, rng))


def turned(bank: FaceBank, rng: np.random.Generator) -> Scene:
    """A frame turned by any angle, at 0.3 to 1.5 times its size."""
    image, landmarks = _any_frame(bank, rng)
    angle, scale = rng.uniform(-np.pi, np.pi), float(np.exp(rng.uniform(np.log(0.3), np.log(1.5))))
    return _turned_scene(image, landmarks, angle, rng, scale)


def masked(bank: FaceBank, rng: np.random.Generator) -> Scene:
    """A face with a mask from the nose's bridge down, two fifths of them turned by any angle."""
    image, landmarks = _any_frame(bank, rng)
    image = image.copy()
    outline = np.concatenate([landmarks[2:15], landmarks[[28]]])
    cover = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(cover, [outline.round().astype(np.int32)], 255)
    alpha = cv2.GaussianBlur(cover, (0, 0), 1.0)[..., None] / 255.0
    folds = 1.0 + 0.15 * np.sin(np.linspace(0, rng.uniform(3, 30), len(image)))[:, None, None]
    cloth = (MASKS[rng.integers(len(MASKS))] + rng.normal(0, 10, 3)) * folds
    image = (image * (1 - alpha) + cloth.clip(0, 255) * alpha).astype(np.uint8)
    widest = 0.5 if rng.random() < 0.6 else np.pi
    return _turned_scene(image, landmarks, rng.uniform(-widest, widest), rng)


def pasted(bank: FaceBank, rng: np.random.Generator) -> Scene:
    """Faces of 14 to 400 pixels at any angle, with hard negatives."""
    width, height = (int(side) for side in np.exp(rng.uniform(np.log(160), np.log(640), 2)))
    settings = SceneSettings(sizes=(14.0, min(400.0, 0.9 * min(width, height))), turned=180.0)
    return SceneMaker(bank, settings)((int(rng.integers(1 << 31)),), (width, height))


def without_faces(names: tuple[str, ...]) -> Maker:
    """Textures of those names, drawn clutter, and parts of frames beside their faces."""

    def make(bank: FaceBank, rng: np.random.Generator) -> Scene:
        kind = rng.random()
        if kind < 0.4:
            return _empty(_texture(names, rng))
        return _empty(_clutter(rng) if kind < 0.7 else _background(bank, rng))

    return make


MAKERS: dict[str, Maker] = {
    "frames": frame, "turned": turned, "masked": masked, "pasted": pasted,
    "textures": without_faces(FITTED), "kept textures": without_faces(KEPT),
}  # fmt: skip


def scenes(kind: str, bank: FaceBank, count: int, seed: int) -> Iterator[Scene]:
    """So many scenes of a kind of :data:`MAKERS`."""
    for number in range(count):
        yield MAKERS[kind](bank, np.random.default_rng((seed, number)))


def _empty(image: np.ndarray) -> Scene:
    return Scene(np.ascontiguousarray(image), np.zeros((0, 4)), np.zeros(0), np.zeros((0, 3)), ())


def _texture(names: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """A turned part of one of scikit-image's pictures, 120 to 640 px."""
    import skimage

    folder, name = Path(skimage.__file__).parent / "data", str(rng.choice(names))
    path = next(path for end in ("png", "jpg") if (path := folder / f"{name}.{end}").exists())
    image = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR))[..., ::-1]
    height, width = image.shape[:2]
    side = rng.uniform(0.3, 1.0) * min(height, width)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    part = np.ascontiguousarray(image[int(top) : int(top + side) + 1, int(left) : int(left + side) + 1])
    out = int(np.exp(rng.uniform(np.log(120), np.log(640))))
    part = np.ascontiguousarray(np.rot90(cv2.resize(part, (out, out)), int(rng.integers(4))))
    return photometric(part, rng) if out < 256 else part


def _clutter(rng: np.random.Generator) -> np.ndarray:
    """Drawings, letters, hands, wheels over a pattern."""
    side = int(rng.integers(120, 480))
    image = cv2.resize(procedural_background(min(256, side), rng), (side, side))
    for _ in range(int(rng.integers(1, 8))):
        draw_any(image, rng.uniform(0, side, 2), float(np.exp(rng.uniform(np.log(14), np.log(0.6 * side)))), rng)
    return image


def _background(bank: FaceBank, rng: np.random.Generator) -> np.ndarray:
    """A magnified square beside a frame's face."""
    while True:
        face = bank.frame(int(rng.integers(len(bank.frames.images))))
        height, width = face.image.shape[:2]
        side = rng.uniform(0.15, 0.6) * min(width, height)
        middle = rng.uniform([0.5 * side] * 2, [width - 0.5 * side, height - 0.5 * side])
        if (np.abs(middle - face.center) > 0.62 * face.size + 0.5 * side).any():
            left, top = (int(value) for value in np.maximum(middle - side / 2, 0))
            out = int(rng.integers(150, 500))
            return cv2.resize(face.image[top : top + int(side) + 1, left : left + int(side) + 1], (out, out))

"""Augmentation: one similarity per sample carries image and landmarks into the crop; then light, noise and dirt.

Everything draws from the generator it is given, works on (S, S, 3) uint8 RGB and stays under about a millisecond.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np

from likeness.geometry.crop import OUTSIDE_GREY, Crop
from likeness.geometry.landmarks import MIRRORED
from likeness.reconstruct.proposals import CROP_PER_LANDMARK_BOX
from likeness.train.settings import AugmentSettings

cv2.setNumThreads(0)  # the loaders are parallel already


def box_of(landmarks: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (2,) and size sqrt(w h) of the box of landmarks (68, 2)."""
    low, high = landmarks.min(0), landmarks.max(0)
    return 0.5 * (low + high), float(np.prod(np.maximum(high - low, 1e-3)) ** 0.5)


def jittered_crop(landmarks: np.ndarray, size: int, settings: AugmentSettings, rng: np.random.Generator) -> Crop:
    """The crop of the landmarks (68, 2), strayed in place, size and angle."""
    center, length = box_of(landmarks)
    factor = 2.0 if rng.random() < settings.wide else 1.0
    side = CROP_PER_LANDMARK_BOX * length
    shift = rng.normal(0.0, factor * settings.shift, 2).clip(-0.25, 0.25) * side
    scale = math.exp(float(np.clip(rng.normal(0.0, factor * settings.log_scale), -0.45, 0.45)))
    if rng.random() < settings.turned:
        angle = rng.uniform(-settings.turned_angle, settings.turned_angle)
    else:
        angle = rng.normal(0.0, settings.angle)
    return Crop.from_box(center + shift, side * scale, size, math.radians(angle))


def cut(image: np.ndarray, crop: Crop, rng: np.random.Generator | None = None) -> np.ndarray:
    """The crop of an image (H, W, C) uint8 -> (S, S, C), averaged where it shrinks.

    Outside the image: grey as in :meth:`likeness.geometry.crop.Crop.extract`, or with ``rng`` often the edge's
    pixels or a colour, so that the border of tight pictures is no clue; 0 for four channels.
    """
    matrix = crop.photo_from_crop
    shrink = int(crop.scale + 0.25)
    if shrink > 1:
        height, width = (max(1, side // shrink) for side in image.shape[:2])
        trimmed = image[: height * shrink, : width * shrink]
        image = cv2.resize(trimmed, (width, height), interpolation=cv2.INTER_AREA)
        matrix = matrix / shrink + [[0.0, 0.0, 0.5 / shrink - 0.5]] * 2
    mode = cv2.BORDER_CONSTANT
    fill: tuple[int, ...] = (OUTSIDE_GREY,) * 3
    if image.shape[2] == 4:
        fill = (0, 0, 0, 0)
    elif rng is not None:
        choice = rng.random()
        if choice < 0.3:
            mode = cv2.BORDER_REPLICATE
        elif choice < 0.45:
            fill = tuple(int(v) for v in rng.integers(0, 256, 3))
    return cv2.warpAffine(
        image,
        matrix,
        (crop.size, crop.size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=mode,
        borderValue=fill,
    )


def flip_landmarks(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Landmarks (..., 68, 2) of an image -> those of the mirrored image (pixel centres: x -> width - 1 - x)."""
    return landmarks[..., MIRRORED, :] * [-1.0, 1.0] + [width - 1.0, 0.0]


@cache
def _noise_bank() -> np.ndarray:
    """(4, 256, 256, 3) int16 Gaussian noise of deviation 256: drawn once, cut at random places."""
    return (np.random.default_rng(7).standard_normal((4, 256, 256, 3)) * 256).astype(np.int16)


def noise_field(size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) int16 noise of deviation 256, size <= 256."""
    bank = _noise_bank()
    number, top, left = rng.integers(0, [len(bank), 257 - size, 257 - size])
    return bank[number, top : top + size, left : left + size]


def photometric(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another camera and another light: tone, colour, sharpness, noise, compression."""
    image = _tone(image, rng)
    draw = rng.random(6)
    if draw[0] < 0.4:  # saturation, down to grey
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        amount = 0.0 if draw[0] < 0.08 else float(rng.uniform(0.3, 1.5))
        image = cv2.addWeighted(image, amount, grey, 1.0 - amount, 0.0)
    if draw[1] < 0.25:
        image = _shadow(image, rng)
    if draw[2] < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.8)))
    elif draw[2] < 0.35:
        image = cv2.filter2D(image, -1, _motion_kernel(rng))
    if draw[3] < 0.3:
        size = image.shape[0]
        small = int(size * rng.uniform(0.25, 0.8))
        down = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(down, (size, size), interpolation=int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC])))
    if draw[4] < 0.35:
        noise = noise_field(image.shape[0], rng)
        if draw[4] < 0.1:
            noise = np.repeat(noise[..., :1], 3, axis=2)
        strength = float(rng.gamma(2.0, 4.0)) / 256.0
        image = cv2.addWeighted(image.astype(np.int16), 1.0, noise, strength, 0.0).clip(0, 255).astype(np.uint8)
    if draw[5] < 0.35:
        quality = int(rng.integers(15, 90))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return image


def _tone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gamma, contrast, brightness and white balance in one table per channel."""
    gamma = math.exp(rng.normal(0.0, 0.22))
    contrast = math.exp(rng.normal(0.0, 0.2))
    brightness = rng.normal(0.0, 0.08)
    balance = np.exp(rng.normal(0.0, 0.08, 3))
    levels = np.linspace(0.0, 1.0, 256)[:, None] ** gamma * balance
    table = (levels - 0.5) * contrast + 0.5 + brightness
    table = (table * 255.0 + 0.5).clip(0, 255).astype(np.uint8)
    return cv2.LUT(image, table.reshape(1, 256, 3))


def _shadow(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darker on one side of a soft line."""
    size = image.shape[0]
    angle = rng.uniform(0.0, 2.0 * math.pi)
    ramp = np.arange(size, dtype=np.float32) / size - 0.5
    side = ramp * math.cos(angle) + (ramp * math.sin(angle))[:, None] + np.float32(rng.uniform(-0.3, 0.3))
    dark = np.float32(rng.uniform(0.25, 0.8))
    factor = dark + (1.0 - dark) * np.clip(side * rng.uniform(2.0, 30.0) + 0.5, 0.0, 1.0)
    return (image * factor[..., None].astype(np.float32)).astype(np.uint8)


def _motion_kernel(rng: np.random.Generator) -> np.ndarray:
    """(k, k) a line through the middle that sums to 1."""
    length = int(rng.integers(1, 5)) * 2 + 1
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0.0, math.pi)
    reach = 0.5 * (length - 1) * np.array([math.cos(angle), math.sin(angle)])
    middle = 0.5 * (length - 1)
    start, end = (tuple(round(middle + sign * r) for r in reach) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1)
    return kernel / kernel.sum()


def occlude(image: np.ndarray, rng: np.random.Generator, piece: np.ndarray | None = None) -> np.ndarray:
    """Something in front: a blob, a box, a piece of another picture, a hand, dark glasses, or strands of hair.

    Args:
        image: (S, S, 3); a new array comes back.
        rng: draws what and where.
        piece: (S, S, 3) another picture, whose texture the shape shows half of the time.
    """
    size = image.shape[0]
    mask = np.zeros((size, size), np.uint8)
    kind = rng.choice(["blob", "box", "hand", "glasses", "hair"], p=[0.3, 0.2, 0.2, 0.15, 0.15])
    center = rng.uniform(0.05, 0.95, 2) * size
    color = rng.uniform(0.0, 255.0, 3)
    if kind == "blob":
        axes = rng.uniform(0.06, 0.28, 2) * size
        cv2.ellipse(mask, _ints(center), _ints(axes), float(rng.uniform(0, 180)), 0, 360, 255, -1)
    elif kind == "box":
        corners = cv2.boxPoints((tuple(center), tuple(rng.uniform(0.1, 0.5, 2) * size), rng.uniform(0, 90)))
        cv2.fillConvexPoly(mask, corners.astype(np.int32), 255)
    elif kind == "hand":
        color = _skin(rng)
        _draw_hand(mask, center, rng)
    elif kind == "glasses":
        color = rng.uniform(0.0, 60.0, 3)
        _draw_glasses(mask, rng)
    else:
        color = rng.uniform(5.0, 110.0) * np.array([1.0, 0.8, 0.6])
        _draw_strands(mask, rng)
    alpha = 255.0 * rng.uniform(0.6, 1.0) if kind == "glasses" else 255.0
    soft = cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32)[..., None] * np.float32(alpha / 255.0 / 255.0)
    front: np.ndarray
    if piece is not None and kind in ("blob", "box") and rng.random() < 0.6:
        front = piece.astype(np.float32)
    else:
        front = color.astype(np.float32) + noise_field(size, rng) * np.float32(rng.uniform(0, 12) / 256.0)
    return (image + (front - image) * soft).clip(0, 255).astype(np.uint8)


def _skin(rng: np.random.Generator) -> np.ndarray:
    """An sRGB colour of skin, light to dark."""
    tone = rng.uniform(0.15, 1.0)
    return np.array([70.0, 40.0, 25.0]) + tone * np.array([170.0, 150.0, 125.0]) * rng.uniform(0.8, 1.1)


def _draw_hand(mask: np.ndarray, center: np.ndarray, rng: np.random.Generator) -> None:
    """A palm and four fingers."""
    size = mask.shape[0]
    width = size * rng.uniform(0.05, 0.09)
    angle = rng.uniform(0, 2 * math.pi)
    along = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-along[1], along[0]])
    cv2.ellipse(mask, _ints(center), _ints([2.0 * width, 2.4 * width]), math.degrees(angle), 0, 360, 255, -1)
    for finger in range(4):
        root = center + across * (finger - 1.5) * width * 1.05
        tip = root + along * width * rng.uniform(3.0, 5.5)
        cv2.line(mask, _ints(root), _ints(tip), 255, max(1, int(width)))


def _draw_glasses(mask: np.ndarray, rng: np.random.Generator) -> None:
    """Two dark glasses and a bridge, about where eyes are in a crop."""
    size = mask.shape[0]
    x, y = size * (0.5 + rng.normal(0, 0.06)), size * (0.36 + rng.normal(0, 0.05))
    half, radius = size * rng.uniform(0.13, 0.19), size * rng.uniform(0.07, 0.13, 2) * [1.3, 1.0]
    for side in (-1, 1):
        cv2.ellipse(mask, _ints([x + side * half, y]), _ints(radius), 0, 0, 360, 255, -1)
    cv2.line(mask, _ints([x - half, y]), _ints([x + half, y]), 255, 2)


def _draw_strands(mask: np.ndarray, rng: np.random.Generator) -> None:
    """Strands that fall from the top."""
    size = mask.shape[0]
    start = rng.uniform(0, size)
    for _ in range(int(rng.integers(4, 16))):
        x = start + rng.normal(0, 0.12 * size)
        steps = np.cumsum(rng.normal([0.0, 0.15], [0.06, 0.03], (5, 2)), axis=0) * size
        line = np.concatenate([[[x, 0.0]], steps + [x, 0.0]])
        cv2.polylines(mask, [line.astype(np.int32)], False, 255, int(rng.integers(1, 4)))


def _ints(values: np.ndarray | list[float]) -> tuple[int, ...]:
    return tuple(round(float(v)) for v in values)


def procedural_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) uint8 a gradient with blurred noise, stripes or blocks: nothing that looks like a face."""
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.float32)
    image = cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR)
    kind = rng.random()
    if kind < 0.7:
        cells = int(rng.integers(3, 28))
        coarse = noise_field(cells, rng).astype(np.float32) * np.float32(rng.uniform(10, 60) / 256)
        way = cv2.INTER_NEAREST if kind < 0.15 else cv2.INTER_CUBIC
        image += cv2.resize(coarse, (size, size), interpolation=way)
    return image.clip(0, 255).astype(np.uint8)


def augment(
    image: np.ndarray, settings: AugmentSettings, rng: np.random.Generator, piece: np.ndarray | None = None
) -> np.ndarray:
    """Occlusion and photometric change of a crop (S, S, 3) by the settings' probabilities."""
    if rng.random() < settings.occlusion:
        image = occlude(image, rng, piece)
    if rng.random() < settings.photometric:
        image = photometric(image, rng)
    return image

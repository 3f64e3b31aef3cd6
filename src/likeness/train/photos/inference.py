"""The network in training, asked for the landmarks of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from likeness.geometry.crop import Crop
from likeness.reconstruct.proposals import CROP_PER_LANDMARK_BOX
from likeness.train.losses.reconstruction import LandmarkHead
from likeness.train.photos.augment import box_of, cut, flip_landmarks
from likeness.train.photos.network import CROP_SIZE, Regressor

BATCH = 96
"""Pictures at a time."""


@dataclass(frozen=True)
class Located:
    """Landmarks (n, 68, 2), in the pixels of each picture, and face scores (n,) in [0, 1]."""

    landmarks: np.ndarray
    score: np.ndarray


def locate(
    network: Regressor, head: LandmarkHead, images: list[np.ndarray], crops: list[Crop], mirrored: bool = False
) -> Located:
    """Run the network on one crop of each picture; ``mirrored`` shows it mirror images and maps the answers back."""
    device = next(network.parameters()).device
    pixels = np.stack([cut(image, crop) for image, crop in zip(images, crops, strict=True)])
    if mirrored:
        pixels = np.ascontiguousarray(pixels[:, :, ::-1])
    with torch.inference_mode():
        prediction = network(torch.from_numpy(pixels).to(device))
        points = head(prediction).double().cpu().numpy()
        score = torch.sigmoid(prediction.score).cpu().numpy()
    if mirrored:
        points = flip_landmarks(points, CROP_SIZE)
    return Located(np.stack([crop.to_photo(p) for crop, p in zip(crops, points, strict=True)]), score)


def landmark_error(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Normalised mean error (n,) of landmarks (n, 68, 2): mean distance over sqrt(w h) of the true landmarks' box."""
    size = np.sqrt(np.prod(truth.max(1) - truth.min(1), axis=-1))
    return np.linalg.norm(found - truth, axis=-1).mean(-1) / size


def batches(count: int, size: int) -> Iterator[range]:
    """Rows, so many at a time."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def next_crop(landmarks: np.ndarray, crop: Crop) -> Crop:
    """The crop of found landmarks, kept within a factor of 2 of the crop that they were found in: an untrained
    network's landmarks may span nothing, or everything."""
    if not np.isfinite(landmarks).all():
        return crop
    center, length = box_of(landmarks)
    side = float(np.clip(CROP_PER_LANDMARK_BOX * length, 0.5 * crop.side, 2.0 * crop.side))
    offset = np.clip(center - crop.center, -0.5 * crop.side, 0.5 * crop.side)
    return Crop.from_box(crop.center + offset, side, crop.size)

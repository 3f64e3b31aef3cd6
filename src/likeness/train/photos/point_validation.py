"""How well a network places surface points in pictures it is not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from likeness.datasets.dense_labels import PlacedPoints
from likeness.model.surface_points import PointMap
from likeness.reconstruct.proposals import crop_from_landmarks
from likeness.train.photos.augment import cut
from likeness.train.photos.network import CROP_SIZE, Answer, Regressor
from likeness.train.photos.samples import SampleMaker

BATCH = 96


@dataclass(frozen=True, eq=False)
class HeldOutPoints:
    """Where surface points lie in pictures that are not trained on.

    Args:
        point_map: which points these are.
        frames, photos: where they lie in pictures with landmarks, and in those without; None: not known.
    """

    point_map: PointMap
    frames: PlacedPoints | None = None
    photos: PlacedPoints | None = None


def places(network: Regressor, crops: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, P, 2) and deviations (n, P), crop pixels, of crops (S, S, 3) uint8."""
    device = next(network.parameters()).device
    points, deviation = [], []
    for start in range(0, len(crops), BATCH):
        pixels = torch.from_numpy(np.stack(crops[start : start + BATCH]))
        with torch.inference_mode():
            answer: Answer = network(pixels.to(device), whole=True)
        assert answer.dense is not None
        points.append(answer.dense.points.cpu().numpy())
        deviation.append(answer.dense.deviation.cpu().numpy())
    return np.concatenate(points), np.concatenate(deviation)


def placed_figures(
    network: Regressor, images: Sequence[np.ndarray], known: PlacedPoints, points: PointMap, name: str
) -> dict[str, float]:
    """Errors in the crops that the known points give, pixels of the crop.

    Args:
        network: with a decoder, in evaluation mode.
        images: pictures by number.
        known: where the points lie in some of them.
        points: which points these are.
        name: of the set, for the names of the figures.

    Returns:
        ``points_px_NAME``: mean distance; ``points_own_px_NAME``: the same without each point's mean offset, over
        which definitions differ; ``points_sure_NAME``: mean distance over the deviation that the network stated, 1.25
        where it knows its errors.
    """
    crops = [crop_from_landmarks(one[points.ibug], CROP_SIZE) for one in known.points]
    pixels = [cut(images[index], crop) for index, crop in zip(known.index.tolist(), crops, strict=True)]
    found, deviation = places(network, pixels)
    error = found - np.stack([crop.to_crop(one) for crop, one in zip(crops, known.points, strict=True)])
    distance = np.linalg.norm(error, axis=-1)
    return {
        f"points_px_{name}": float(distance.mean()),
        f"points_own_px_{name}": float(np.linalg.norm(error - error.mean(0), axis=-1).mean()),
        f"points_sure_{name}": float((distance / deviation).mean()),
    }


def rendered_point_figures(network: Regressor, maker: SampleMaker, numbers: range) -> dict[str, float]:
    """``points_px_rendered``: mean distance of the points of rendered faces that are well seen, crop pixels."""
    samples = [maker.synthetic(number, np.random.default_rng(number)) for number in numbers]
    found, _ = places(network, [sample.image for sample in samples])
    truth, weight = ([getattr(sample, name) for sample in samples] for name in ("dense", "dense_weight"))
    distance = np.linalg.norm(found - np.stack(truth), axis=-1)
    return {"points_px_rendered": float(distance[np.stack(weight) == 1.0].mean())}

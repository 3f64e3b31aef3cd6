"""People of the embedded model with whole heads, and what is seen of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

import numpy as np

from likeness import FaceModel
from likeness.assets import asset
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.mesh.assembly import Assembly
from likeness.model.head import whole_head
from likeness.render.raster import rasterize_view

SIDES = ("Left", "Right")


@lru_cache(maxsize=1)
def default_model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


def codes(count: int, extremes: int, seed: int = 0) -> np.ndarray:
    """(count + 2 extremes, K): random people, and some whose code is three standard deviations from the middle along
    the directions in which shapes differ most."""
    model = default_model()
    random = model.space.sample(count + 2 * extremes, np.random.default_rng(seed))
    size = random.shape[1]
    _, axes = np.linalg.eigh(model.metric.factor @ model.metric.factor.T)
    for number in range(2 * extremes):
        axis = axes[:, -1 - number // 2]
        code = random[count + number]
        rest = code - (code @ axis) * axis
        rest *= np.sqrt(size - 9) / np.linalg.norm(rest)
        random[count + number] = rest + (3 if number % 2 else -3) * axis
    return random


@lru_cache(maxsize=64)
def _person(number: int, count: int, extremes: int) -> Assembly:
    model = default_model()
    return whole_head(model, model.mesh(codes(count, extremes)[number]))


def people(count: int, extremes: int = 0) -> Iterator[Assembly]:
    """Whole heads, made once."""
    for number in range(count + 2 * extremes):
        yield _person(number, count, extremes)


def both(**weights: float) -> dict[str, float]:
    """Weights of shapes, of both sides where a shape has sides."""
    known = set(default_model().expression_names)
    return {
        full: weight
        for name, weight in weights.items()
        for full in ([name] if name in known else [name + side for side in SIDES])
    }


def seen(
    head: Assembly, weights: Mapping[str, float], middle: np.ndarray, size: float, side: int = 160, yaw: float = 0.0
) -> dict[str, int]:
    """How many pixels of each part a picture shows of the surroundings of a point.

    Args:
        head: at rest.
        weights: of its shapes.
        middle: (3,) mm, what is looked at.
        size: mm that the picture's side covers.
        side: of the picture, pixels.
        yaw: radians that the head is turned by.
    """
    mesh = head.posed(weights).joined()
    rotation = FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0)
    camera = Camera(side * 1000.0 / size, image_center((side, side)), (side, side))
    placed = mesh.vertices @ rotation.T + (np.array([0.0, 0.0, 1000.0]) - rotation @ middle)
    found = rasterize_view(placed, mesh.triangles, camera).triangle
    assert mesh.groups is not None
    part = np.full(len(mesh.triangles) + 1, -1)
    for number, members in enumerate(mesh.groups.values()):
        part[members] = number
    counts = np.bincount(part[found[found >= 0]], minlength=len(mesh.groups))
    return dict(zip(mesh.groups, counts.tolist(), strict=True))

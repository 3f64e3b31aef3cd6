"""Warped pictures: labels lie where the picture shows what they name."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from conftest import landmark_drawing

from likeness.geometry.crop import Crop
from likeness.train.photos.augment import cut
from likeness.train.photos.warp import STEEPEST, random_warp, shown, warped

SIZE = 112


def landmarks() -> np.ndarray:
    return landmark_drawing() * [0.55, -0.55] + [56.0, 50.0]


def fields(count: int) -> list[np.ndarray]:
    return [random_warp(landmarks(), SIZE, np.random.default_rng(seed)) for seed in range(count)]


def test_forward_and_inverse_agree() -> None:
    points = np.random.default_rng(0).uniform(-5, SIZE + 5, (60, 2))
    for field in fields(40):
        np.testing.assert_allclose(shown(warped(points, field), field), points, atol=5e-2)
        np.testing.assert_allclose(warped(shown(points, field), field), points, atol=5e-2)


def test_warps_move_a_few_pixels_and_fold_nothing() -> None:
    made = np.stack(fields(60))
    size = np.linalg.norm(made, axis=-1)
    assert 0.5 < size.mean() < 4
    assert size.max() < SIZE / 4
    for axis in (1, 2):
        assert np.abs(np.diff(made, axis=axis)).max() <= STEEPEST * 1.0001


@pytest.mark.parametrize("channels", [3, 4])
def test_dots_of_a_warped_picture_lie_where_the_labels_say(channels: int) -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:200, :220].astype(np.float64)
    crop = Crop.from_box([108.0, 96.0], 150.0, SIZE, 0.2)
    for field in fields(6):
        for dot in rng.uniform(30, 80, (4, 2)):
            there = crop.to_photo(dot)
            blob = 255 * np.exp(-((x - there[0]) ** 2 + (y - there[1]) ** 2) / (2 * 2.0**2))
            image = np.repeat(blob.astype(np.uint8)[..., None], channels, axis=2)
            seen = cut(image, crop, field=field)[..., 0].astype(np.float64)
            window = seen * (seen > 30)  # the far tail of a stretched blob is not symmetric
            gy, gx = np.mgrid[:SIZE, :SIZE]
            middle = np.array([(window * gx).sum(), (window * gy).sum()]) / window.sum()
            expected = warped(dot[None], field)[0]
            assert np.abs(middle - expected).max() < 0.35, (middle, expected)


def test_no_warp_is_the_plain_crop() -> None:
    image = np.random.default_rng(2).integers(0, 256, (180, 160, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2.0)
    for side in (90.0, 320.0):  # enlarged, and averaged before
        crop = Crop.from_box([80.0, 90.0], side, SIZE, 0.1)
        plain, still = cut(image, crop), cut(image, crop, field=np.zeros((SIZE, SIZE, 2), np.float32))
        assert np.abs(plain.astype(int) - still).max() <= 3
    points = landmarks()
    np.testing.assert_allclose(warped(points, np.zeros((SIZE, SIZE, 2), np.float32)), points, atol=1e-4)

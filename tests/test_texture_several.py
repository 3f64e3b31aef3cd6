"""Several photos of one skin: lights that no harmonics describe average out, detail does not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from test_texture import SIZE, head, log_of, middle_of_the_face, painted, photographed, plain

from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.reconstruct.texture import View, texture_of

YAWS = (0.0, 0.15, -0.15, 0.05)


def in_patches_of_light(view: View, seed: int, size: float = 0.35) -> View:
    """The photo under a lamp whose brightness and colour change over some 3 cm: a log-normal field."""
    side = len(view.photo)
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    noise = 0.7 * noise.mean(axis=2, keepdims=True) * 3**0.5 + 0.3 * noise
    field = cv2.GaussianBlur(noise, (0, 0), side / 12)
    linear = linear_from_srgb(view.photo / 255.0) * np.exp(size * field / field.std())
    return replace(view, photo=np.rint(255 * srgb_from_linear(np.minimum(linear, 1.0))).astype(np.uint8))


def blurred(view: View, sigma: float = 4.0) -> View:
    return replace(view, photo=cv2.GaussianBlur(view.photo, (0, 0), sigma))


def error_of(views: list[View]) -> float:
    """Mean difference of log reflectance from what was painted, on skin, the whole face's colour apart."""
    inside = middle_of_the_face()
    off = (log_of(texture_of(head(), plain(), views, SIZE)) - log_of(painted()))[inside]
    return float(np.abs(off - np.median(off, axis=0)).mean())


def detail_of(views: list[View]) -> np.ndarray:
    """What is finer than some millimetres on skin: (N,) log reflectance."""
    log = log_of(texture_of(head(), plain(), views, SIZE)).mean(axis=2)
    return np.asarray((log - cv2.GaussianBlur(log, (0, 0), 3.0))[middle_of_the_face()])


def test_every_further_photo_in_another_light_helps() -> None:
    """In the mean over lights: patches of one photo may happen to be those of another."""
    one, two, four = [], [], []
    for draw in range(2):
        views = [in_patches_of_light(photographed(yaw=yaw), 10 * draw + seed) for seed, yaw in enumerate(YAWS)]
        one += [error_of([view]) for view in views]
        two += [error_of(views[:2]), error_of(views[2:])]
        four.append(error_of(views))
    assert np.mean(two) < 0.92 * np.mean(one)
    assert np.mean(four) < 0.92 * np.mean(two)


def test_the_order_of_photos_does_not_matter() -> None:
    views = [in_patches_of_light(photographed(yaw=yaw), seed) for seed, yaw in enumerate(YAWS[:3])]
    found, turned = (texture_of(head(), plain(), some, SIZE).astype(int) for some in (views, views[::-1]))
    assert np.abs(found - turned)[middle_of_the_face()].max() <= 2


def test_photos_out_of_focus_take_no_detail() -> None:
    sharp, others = photographed(), [blurred(photographed(yaw=yaw)) for yaw in YAWS[1:]]
    alone, among, without = (detail_of(views) for views in ([sharp], [sharp, *others], others))
    assert among.std() > 0.9 * alone.std() > 1.3 * without.std()
    assert np.corrcoef(alone, among)[0, 1] > 0.95

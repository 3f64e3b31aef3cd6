"""What is in front of a face is no skin: things drawn into photographs are found, faces without any stay whole."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness import Camera, FaceModel, FileError
from likeness.assets import asset
from likeness.geometry.camera import image_center
from likeness.geometry.rotation import FRONTAL
from likeness.reconstruct.texture import View, texture_of
from likeness.reconstruct.texture.atlas import SMOOTH, Atlas, atlas_of
from likeness.reconstruct.texture.front import FrontNetwork, uncovered
from likeness.reconstruct.texture.laid import base_of, difference_of, laid
from likeness.render import render_image
from likeness.render.lighting import ambient_light, distant_light
from likeness.train.generate.occluders import KINDS, occluded

SIDE, SIZE = 240, 256
LIGHT = ambient_light(np.full(3, 0.45)) + distant_light((-0.2, 0.4, 0.8), np.full(3, 0.6))


@cache
def head() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


@cache
def atlas() -> Atlas:
    return atlas_of(head(), SIZE)


def albedo() -> np.ndarray:
    return head().albedo(np.zeros(len(head().albedo_names)))


@cache
def photographed() -> View:
    model = head()
    camera = Camera(SIDE * 900.0 / 260, image_center((SIDE, SIDE)), (SIDE, SIDE))
    shift = np.array([0.0, 0.0, 900.0]) - FRONTAL @ [0.0, -20.0, -20.0]
    noise = np.random.default_rng(0).integers(60, 200, (SIDE // 8, SIDE // 8, 3)).astype(np.uint8)
    wall = cv2.resize(noise, (SIDE, SIDE))
    photo = render_image(model.mean, model.topology.triangles, albedo(), camera, FRONTAL, shift, LIGHT, wall)
    points = model.landmark_map.gather(model.mean @ FRONTAL.T + shift)
    landmarks = np.asarray(model.landmark_map.project(camera, points, FRONTAL))
    return View(photo, model.mean, camera, FRONTAL, shift, LIGHT, landmarks)


def other() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 255, (60, 50, 3)).astype(np.uint8)


def skin_of(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is seen, what of that is skin, (C, C) each, and photo pixels (C, C, 2)."""
    found = laid(atlas(), albedo(), view)
    skin = uncovered(atlas(), found.color - base_of(atlas(), albedo()), found.weight)
    assert skin is not None
    return found.weight, skin, found.pixels


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_is_where_it_is_said_to_be(kind: str) -> None:
    view = photographed()
    assert view.landmarks is not None
    for seed in range(4):
        drawn = [occluded(view.photo, view.landmarks, np.random.default_rng(seed), other(), kind) for _ in range(2)]
        photo, alpha = drawn[0]
        np.testing.assert_array_equal(photo, drawn[1][0])
        assert photo.dtype == np.uint8
        assert alpha.min() >= 0
        assert alpha.max() <= 1
        assert 0.001 < alpha.mean() < 0.6
        # Elsewhere there is at most a shadow.
        away = alpha == 0
        assert (photo[away] <= view.photo[away]).all()


def test_a_face_with_nothing_in_front_stays_whole() -> None:
    weight, skin, _ = skin_of(photographed())
    assert (skin[weight > 0.5] > 0.5).mean() > 0.9


@pytest.mark.parametrize("kind", ["mask", "thing", "hand"])
def test_what_is_in_front_is_found(kind: str) -> None:
    view = photographed()
    assert view.landmarks is not None
    missed, false = [], []
    for seed in range(6):
        photo, alpha = occluded(view.photo, view.landmarks, np.random.default_rng(seed), other(), kind)
        weight, skin, pixels = skin_of(replace(view, photo=photo))
        front = cv2.remap(alpha, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
        missed += [*(skin[(weight > 0.3) & (front > 0.5)] > 0.5)]
        false += [*(skin[(weight > 0.3) & (front == 0)] < 0.5)]
    assert np.mean(missed) < 0.35
    assert np.mean(false) < 0.15


def test_a_mirrored_face_has_the_mirrored_mask() -> None:
    view = photographed()
    assert view.landmarks is not None
    photo, _ = occluded(view.photo, view.landmarks, np.random.default_rng(1), other(), "hand")
    difference, weight, _ = difference_of(atlas(), albedo(), replace(view, photo=photo))
    network = FrontNetwork.load(asset("skin_mask.npz"))
    one = network(atlas(), difference, weight)
    two = network(atlas(), difference[:, ::-1], weight[:, ::-1])
    assert one.shape == (SMOOTH, SMOOTH)
    np.testing.assert_allclose(two[:, ::-1], one, atol=1e-5)
    assert (one[weight == 0] == 0).all()


def test_a_thing_in_front_does_not_reach_the_texture() -> None:
    """Green on the chin: without the mask half of it would be there."""
    view = photographed()
    assert view.landmarks is not None
    photo = view.photo.copy()
    center = tuple(int(value) for value in view.landmarks[8] - [0, 18])
    cv2.circle(photo, center, 16, (20, 220, 30), -1, cv2.LINE_AA)
    plain, found = (texture_of(head(), albedo(), [replace(view, photo=one)], SIZE) for one in (view.photo, photo))
    apart = np.abs(found.astype(int) - plain).max(axis=2)[atlas().coarse.covered]
    assert np.quantile(apart, 0.995) < 60


def test_a_coloured_cloth_does_not_colour_the_face() -> None:
    """The light is not fitted to what is in front."""
    view = photographed()
    assert view.landmarks is not None
    plain = texture_of(head(), albedo(), [view], SIZE).astype(int)
    forehead = (atlas().height > 15) & (atlas().zones["face"] > 0.9) & (atlas().zones["brows"] < 0.01)
    off = []
    for seed in range(4):
        photo, _ = occluded(view.photo, view.landmarks, np.random.default_rng(seed), other(), "mask")
        found = texture_of(head(), albedo(), [replace(view, photo=photo)], SIZE)
        off.append(np.abs(found - plain)[forehead].mean())
    assert np.mean(off) < 0.7  # of 255; 1.4 with the light fitted to all


def test_only_networks_that_fit_are_taken(tmp_path: Path) -> None:
    layer = (np.zeros((3, 2), np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="end in one number"):
        FrontNetwork(((layer,), (layer,)))
    path = tmp_path / "x.npz"
    np.savez(path, first_weights0=np.zeros((3, 1)))
    with pytest.raises(FileError, match="layers of two networks"):
        FrontNetwork.load(path)

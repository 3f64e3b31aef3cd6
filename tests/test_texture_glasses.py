"""Glasses are found and taken out of textures; faces without any come out as they were."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness import Camera, FaceModel, FileError
from likeness.assets import asset
from likeness.geometry.camera import image_center, project
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.reconstruct.texture import View, layers, texture_of
from likeness.reconstruct.texture.atlas import Atlas, atlas_of
from likeness.reconstruct.texture.glasses import (
    CROP,
    MIDDLE_MM,
    Glasses,
    GlassesNetwork,
    crop_of,
    glasses_in,
    photo_from_crop,
)
from likeness.reconstruct.texture.laid import base_of, laid
from likeness.reconstruct.texture.layers import layer_of
from likeness.reconstruct.texture.several import shares_of
from likeness.render import render_image
from likeness.render.lighting import ambient_light, distant_light
from likeness.train.generate.glasses import Wearer, glasses_on

SIDE, SIZE = 200, 256
LIGHT = ambient_light(np.full(3, 0.45)) + distant_light((-0.2, 0.4, 0.8), np.full(3, 0.6))


@cache
def head() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


@cache
def atlas() -> Atlas:
    return atlas_of(head(), SIZE)


@cache
def person(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and albedo (V, 3)."""
    rng, model = np.random.default_rng(seed), head()
    code = rng.normal(0, 0.7, model.identity_basis.shape[0])
    return model.vertices(code), model.albedo(rng.normal(0, 0.3, len(model.albedo_names)))


@cache
def photographed(seed: int, yaw: float = 0.0) -> View:
    model, (vertices, albedo) = head(), person(seed)
    camera = Camera(SIDE * 900.0 / 260, image_center((SIDE, SIDE)), (SIDE, SIDE))
    rotation = FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0)
    shift = np.array([0.0, 0.0, 900.0]) - rotation @ [0.0, -20.0, -20.0]
    wall = np.full((SIDE, SIDE, 3), 140, np.uint8)
    photo = render_image(vertices, model.topology.triangles, albedo, camera, rotation, shift, LIGHT, wall)
    photo = cv2.GaussianBlur(photo, (0, 0), 0.6)
    return View(photo, vertices, camera, rotation, shift, LIGHT)


def drawn(view: View, seed: int) -> tuple[View, np.ndarray]:
    photo, alpha = glasses_on(Wearer.of(view, head()), np.random.default_rng(seed))
    return replace(view, photo=photo), alpha


def texture(view: View, albedo: np.ndarray) -> np.ndarray:
    return texture_of(head(), albedo, [view], SIZE).astype(int)


def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "glasses_in", lambda view: None)


def test_glasses_are_drawn_over_the_eyes_and_the_same_from_one_seed() -> None:
    view = photographed(0)
    for seed in range(5):
        one, alpha = drawn(view, seed)
        np.testing.assert_array_equal(one.photo, drawn(view, seed)[0].photo)
        assert 0 <= alpha.min() < 0.01
        assert 0.5 < alpha.max() <= 1
        rows, columns = np.nonzero(alpha > 0.5)
        eyes = project(view.camera, view.rotation @ np.zeros(3) + view.translation)
        assert abs(columns.mean() - eyes[0]) < 15 * view.per_mm
        assert abs(rows.mean() - eyes[1]) < 20 * view.per_mm
        assert 80 < np.ptp(columns) / view.per_mm < 190


def test_the_head_hides_what_is_behind_it() -> None:
    """From the left, the right arm is not seen, and the left one is."""
    wearer = Wearer.of(photographed(0, yaw=1.2), head())
    sides = [np.array([[sign * (wearer.temple + 2.0), 0.0, -30.0]]) for sign in (-1.0, 1.0)]
    assert sorted(bool(wearer.hidden(side)[0]) for side in sides) == [False, True]


def test_the_crop_is_upright_at_one_scale() -> None:
    straight = photographed(0)
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # as np.rot90 turns the picture
    pose = {"rotation": turn @ straight.rotation, "translation": turn @ straight.translation}
    turned = replace(straight, photo=np.ascontiguousarray(np.rot90(straight.photo)), **pose)
    crops = []
    for view in (straight, turned):
        transform = photo_from_crop(view)
        assert transform is not None
        middle = project(view.camera, view.rotation @ MIDDLE_MM + view.translation)
        np.testing.assert_allclose(transform @ [*((np.array(CROP) - 1) / 2), 1.0], middle, atol=1e-6)
        crops.append(crop_of(view.photo, transform).astype(float))
    assert np.abs(crops[0] - crops[1]).max() < 3
    assert photo_from_crop(replace(straight, translation=straight.translation * [1, 1, 8])) is None  # too small


def test_a_mirrored_crop_has_the_mirrored_answer() -> None:
    network = GlassesNetwork(asset("glasses.onnx"))
    crop = np.random.default_rng(0).integers(0, 255, (CROP[1], CROP[0], 3)).astype(np.uint8)
    one, two = network(crop), network(np.ascontiguousarray(crop[:, ::-1]))
    assert one[0] == pytest.approx(two[0], abs=1e-6)
    np.testing.assert_allclose(one[1], two[1][:, ::-1], atol=1e-5)


def test_faces_without_glasses_come_out_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    views = [photographed(seed, yaw) for seed in range(4) for yaw in (-0.5, 0.0)]
    assert all(glasses_in(view) is None for view in views)
    after = [texture(view, person(n // 2)[1]) for n, view in enumerate(views[:4])]
    no_search(monkeypatch)
    for n, found in enumerate(after):
        np.testing.assert_array_equal(found, texture(views[n], person(n // 2)[1]))


def test_drawn_glasses_are_found_and_gone_from_the_texture(monkeypatch: pytest.MonkeyPatch) -> None:
    count, found, pairs = 12, 0, []
    for seed in range(count):
        view, albedo = photographed(seed % 4), person(seed % 4)[1]
        worn, alpha = drawn(view, seed)
        plain, seen = texture(view, albedo), laid(atlas(), albedo, view)
        where = cv2.remap(alpha, seen.pixels[..., 0], seen.pixels[..., 1], cv2.INTER_LINEAR) > 0.5
        where &= seen.weight > 0.3
        found += glasses_in(worn) is not None
        out = np.abs(texture(worn, albedo) - plain)[where].mean()
        with monkeypatch.context() as context:
            no_search(context)
            pairs.append((np.abs(texture(worn, albedo) - plain)[where].mean(), out))
    left, out = np.mean(pairs, axis=0)
    assert found >= 0.7 * count
    assert out < 0.6 * left


def blank(view: View, where: np.ndarray) -> Glasses:
    transform = photo_from_crop(view)
    assert transform is not None
    return Glasses(1.0, where.astype(np.float32), np.asarray(cv2.invertAffineTransform(transform)))


def test_lenses_that_hide_the_eyes_say_nothing_of_irises(monkeypatch: pytest.MonkeyPatch) -> None:
    view, albedo = photographed(0), person(0)[1]
    dark, rim = np.zeros(CROP[::-1]), np.zeros(CROP[::-1])
    dark[20:50, 20:-20] = 1
    rim[20:23, 20:-20] = 1
    assert blank(view, dark).hides_eyes(view)
    assert not blank(view, rim).hides_eyes(view)
    monkeypatch.setattr(layers, "glasses_in", lambda view: blank(view, dark))
    assert not layer_of(atlas(), albedo, base_of(atlas(), albedo), view).eyes


def test_of_two_photos_that_without_glasses_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    view, albedo = photographed(0), person(0)[1]
    base = base_of(atlas(), albedo)
    bare = layer_of(atlas(), albedo, base, view)
    where = np.zeros(CROP[::-1])
    for x in (38, 90):  # two rims: what is within is seen through a lens
        cv2.circle(where, (x, 37), 18, 1.0, 2)
    monkeypatch.setattr(layers, "glasses_in", lambda view: blank(view, where))
    worn = layer_of(atlas(), albedo, base, view)
    window = layers.seen_window(atlas(), [worn, bare])
    assert window is not None
    shares = shares_of(atlas(), [worn, bare], [one.over(atlas(), base, window) for one in (worn, bare)], window)
    through = (worn.worth < 0.6) & (bare.weight > 0.5)
    away = (worn.worth > 0.999) & (bare.weight > 0.5) & (atlas().height < -40)
    assert through.sum() > 50
    assert shares[0][through].max() < 0.1
    assert abs(float(shares[0][away].mean()) - 0.5) < 0.2


def test_only_networks_that_find_glasses_are_taken(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="expected a network that finds glasses"):
        GlassesNetwork(asset("finder.onnx"))
    path = tmp_path / "glasses.onnx"
    path.write_bytes(asset("glasses.onnx").read_bytes()[:2000])
    with pytest.raises(FileError, match="cannot be read as ONNX"):
        GlassesNetwork(path)
    with pytest.raises(FileError, match="no such file"):
        GlassesNetwork(tmp_path / "none.onnx")

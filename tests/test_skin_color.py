"""Laws of the skin's colour: what the network reads of it and what the photo shows, weighed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from register_scans import code_of

from likeness import FaceModel, Reconstruction, Reconstructor
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL
from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.model.face_model import Coefficients
from likeness.reconstruct.skin_color import OWN, OWN_REACH, plain_skin, shown_skin, weighed, with_own_skin
from likeness.render import render_image
from likeness.render.lighting import ambient_light, distant_light

LIGHT = np.asarray(0.6 * ambient_light() + 0.4 * distant_light((0.4, 0.5, 0.8)))
PLACE = np.array([0.0, 0.0, 900.0])
LOOKS = np.array([-1.0, 0.52, -0.34])


@cache
def reconstruct() -> Reconstructor:
    return Reconstructor(threads=1)


def rendered(melanin: float, haemoglobin: float = 0.0, seed: int = 3) -> np.ndarray:
    """A photo (240, 240, 3) of a person, everyone in the same light before the same wall."""
    model = reconstruct().model
    rng = np.random.default_rng(seed)
    albedo = 0.5 * rng.standard_normal(len(model.albedo_names))
    for name, weight in (("melanin", melanin), ("haemoglobin", haemoglobin), ("lipstick", 0.0)):
        albedo[model.albedo_names.index(name)] = weight
    vertices = model.vertices(code_of(model, seed), np.zeros(52))
    camera = Camera(900.0, image_center((240, 240)), (240, 240))
    colors = model.albedo(albedo)
    return render_image(vertices, model.topology.triangles, colors, camera, FRONTAL, PLACE, LIGHT, (0.4, 0.4, 0.4))


def seen(photo: np.ndarray) -> Reconstruction:
    (face,) = reconstruct()(photo, max_faces=1)
    return face


def as_read(face: Reconstruction) -> Reconstruction:
    """A face whose skin was given another colour, with albedo and light that say what its photo shows."""
    return replace(face, tint=None)


def times(photo: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The photo in other light."""
    return np.rint(255 * srgb_from_linear(linear_from_srgb(photo / 255) * gain)).astype(np.uint8)


def test_darker_people_have_darker_heads_in_one_light() -> None:
    faces = [seen(rendered(melanin)) for melanin in (-1.5, -0.5, 0.5, 1.5)]
    green = [plain_skin(face)[1] for face in faces]
    assert (np.diff(green) < -0.1).all(), green
    texture = [np.median(face.texture(256)[90:170, 90:170], axis=(0, 1)).mean() for face in faces]
    assert (np.diff(texture) < 0).all(), texture


def test_redder_people_have_redder_heads_in_one_light() -> None:
    red = [np.subtract(*plain_skin(seen(rendered(0.0, blood)))[:2]) for blood in (-2.0, 0.0, 2.0)]
    assert (np.diff(red) > 0.03).all(), red


@pytest.mark.parametrize("gain", [[0.6, 0.6, 0.6], [1.25, 1.0, 0.7], [0.8, 1.0, 1.25]])
def test_light_changes_the_head_by_less_than_the_photo(gain: list[float]) -> None:
    photo = rendered(0.0)
    change = plain_skin(seen(times(photo, np.array(gain)))) - plain_skin(seen(photo))
    assert np.linalg.norm(change) < 0.9 * np.linalg.norm(np.log(gain)), change
    hue = change - change.mean()
    assert np.abs(hue).max() < 2.2 * OWN * OWN_REACH  # a cast is never believed beyond its reach, on either side


def test_skin_times_light_stays() -> None:
    face = as_read(seen(rendered(0.8)))
    again = with_own_skin(face)
    assert again.tint is not None
    before = np.exp(plain_skin(face)) * face.coefficients.light
    after = np.exp(plain_skin(again) - again.tint) * again.coefficients.light
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    assert np.abs(plain_skin(again) - plain_skin(face)).max() > 1e-3  # or nothing was changed


def test_the_texture_has_the_skin_that_was_found() -> None:
    face = seen(rendered(0.8))
    other = replace(face, tint=np.array([0.0, 0.0, 0.2], np.float32))
    for one in (face, other):
        texture = np.log(linear_from_srgb(one.texture(256) / 255).clip(1e-3))
        found = np.median(texture[100:150, 70:186].reshape(-1, 3), axis=0)
        np.testing.assert_allclose(found, plain_skin(one), atol=0.12)
    blue = [np.median(one.texture(256)[100:150, 70:186, 2]) for one in (face, other)]
    assert blue[0] != blue[1]


def test_grey_photos_tell_nothing_of_colour() -> None:
    photo = rendered(0.5)
    grey = np.repeat(photo.mean(axis=2, keepdims=True).round().astype(np.uint8), 3, axis=2)
    face = seen(grey)
    assert face.tint is None
    assert shown_skin(face) is None
    assert with_own_skin(face) is face


def test_large_photos_are_read_like_small_ones() -> None:
    photo = rendered(0.5)
    large = np.repeat(np.repeat(photo, 6, axis=0), 6, axis=1)
    np.testing.assert_allclose(plain_skin(seen(large)), plain_skin(seen(photo)), atol=0.06)


def test_several_photos_have_the_mean_of_their_colours() -> None:
    light, dark = seen(rendered(-0.8)), seen(rendered(1.2))
    alone = [np.median(one.texture(128)[50:75, 35:93]) for one in (light, dark)]
    both = np.median(light.texture(128, [dark])[50:75, 35:93])
    assert alone[1] < both < alone[0]


def test_what_is_far_off_says_no_more_than_what_is_a_little_off() -> None:
    def log_color(g: float, red: float, blue: float) -> np.ndarray:
        return np.array([g + red, g, g + blue])

    read = log_color(*LOOKS)
    brightness = [weighed(read, log_color(LOOKS[0] + off, *LOOKS[1:]))[1] for off in (-3, -1, -0.3, 0, 0.3, 1, 3)]
    steps = np.diff(brightness)
    assert (steps > 0).all()  # the brighter the photo, the brighter the skin
    assert steps[0] < 0.1 < steps[2]
    tinted = [weighed(read, log_color(LOOKS[0], LOOKS[1] + off, LOOKS[2])) for off in (-2.0, -0.5, 0.5, 2.0)]
    red = np.array([one[0] - one[1] for one in tinted])
    assert (np.diff(red) > 0).all()
    assert red[-1] - red[0] < 2 * OWN * OWN_REACH + 1e-9
    assert red[1] - red[0] < 0.01


def test_models_without_pigments_keep_the_networks_colours(small_model: FaceModel) -> None:
    face = seen(rendered(0.0))
    weights = Coefficients(code_of(small_model, 1), np.zeros(52), np.ones(len(small_model.albedo_names)), LIGHT)
    other = replace(face, model=small_model, coefficients=weights)
    assert with_own_skin(other) is other


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_pigments_that_say_the_same_are_not_taken_far(share: float) -> None:
    model = reconstruct().model
    melanin, blood = (model.albedo_names.index(name) for name in ("melanin", "haemoglobin"))
    basis = model.albedo_basis.copy()
    basis[blood] = share * basis[melanin]
    face = replace(seen(rendered(1.0)), model=replace(model, albedo_basis=basis))
    found = with_own_skin(replace(face, tint=None))
    assert found.tint is not None
    assert np.abs(found.coefficients.albedo - face.coefficients.albedo).max() < 3.0

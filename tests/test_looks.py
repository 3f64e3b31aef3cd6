"""Laws of several looks: mirrored twice is not at all, a mirrored photo or a wider crop shows the same head."""

from __future__ import annotations

import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.geometry.crop import Crop
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import ARKIT_NAMES, FaceModel
from likeness.networks.regressor import CropAnswer
from likeness.reconstruct.test_time import (
    SCALES,
    averaged,
    carried_answer,
    mirrored_answer,
    mirrored_names,
    nearer_answer,
    views_of,
)
from likeness.render.lighting import sh_basis

SIZE = 112


def answer(model: FaceModel, count: int = 3) -> CropAnswer:
    rng = np.random.default_rng(0)
    return CropAnswer(
        identity=rng.standard_normal((count, len(model.identity_basis))),
        expression=rng.uniform(0, 1, (count, 52)),
        rotation=FRONTAL @ rotation_from_euler(*rng.normal(0, 0.4, (3, count))),
        translation=np.array([5.0, -40.0, 940.0]) + rng.normal(0, 10, (count, 3)),
        albedo=rng.standard_normal((count, len(model.albedo_names))),
        light=rng.standard_normal((count, 9, 3)),
        score=rng.uniform(0, 1, count),
    )


def test_left_and_right_change_places() -> None:
    swap = mirrored_names(ARKIT_NAMES)
    np.testing.assert_array_equal(swap[swap], np.arange(52))
    assert ARKIT_NAMES[swap[ARKIT_NAMES.index("mouthLeft")]] == "mouthRight"
    assert ARKIT_NAMES[swap[ARKIT_NAMES.index("eyeBlinkRight")]] == "eyeBlinkLeft"
    assert ARKIT_NAMES[swap[ARKIT_NAMES.index("jawOpen")]] == "jawOpen"


def test_mirrored_twice_is_the_answer_itself(small_model: FaceModel) -> None:
    once = answer(small_model)
    twice = mirrored_answer(mirrored_answer(once, small_model), small_model)
    for name, one, two in zip(CropAnswer._fields, once, twice, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            np.testing.assert_allclose(two, one, err_msg=name)


def test_a_mirrored_pose_shows_mirrored_points_at_mirrored_pixels(small_model: FaceModel) -> None:
    plain = answer(small_model)
    turned = mirrored_answer(plain, small_model)
    camera = Camera.from_crop_size(SIZE)
    points = np.random.default_rng(1).normal(0, 60, (20, 3))
    for row in range(3):
        here, there = (
            project(camera, mirror(points) @ one.rotation[row].T + one.translation[row])
            for one, mirror in ((plain, lambda p: p), (turned, lambda p: p * [-1.0, 1.0, 1.0]))
        )
        np.testing.assert_allclose(there[:, 0], SIZE - 1 - here[:, 0], atol=1e-5)
        np.testing.assert_allclose(there[:, 1], here[:, 1], atol=1e-5)
        np.testing.assert_allclose(np.linalg.det(turned.rotation[row]), 1, atol=1e-6)


def test_mirrored_light_falls_on_mirrored_normals(small_model: FaceModel) -> None:
    plain = answer(small_model)
    turned = mirrored_answer(plain, small_model)
    normals = np.random.default_rng(2).standard_normal((30, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    here = sh_basis(normals) @ plain.light[0]
    there = sh_basis(normals * [-1.0, 1.0, 1.0]) @ turned.light[0]
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_two_equal_answers_are_the_answer_and_means_are_valid(small_model: FaceModel) -> None:
    model = small_model.lifted()
    first = answer(model)
    first = first._replace(identity=model.space.project(first.identity))
    for name, value in averaged([first, first, first], model)._asdict().items():
        if value is not None:
            np.testing.assert_allclose(value, getattr(first, name), atol=1e-4, rtol=1e-5, err_msg=name)
    second = first.select(slice(None, None, -1))
    mean = averaged([first, second], model)
    np.testing.assert_allclose(mean.rotation @ mean.rotation.transpose(0, 2, 1), [np.eye(3)] * 3, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(mean.identity, axis=1), model.space.radius, rtol=1e-5)


def test_what_only_some_answers_tell_is_in_no_mean(small_model: FaceModel) -> None:
    """A face that was judged before is compared again: it has evidence, the new look at it none."""
    model = small_model.lifted()
    judged = answer(model)._replace(evidence=np.zeros((3, 2), np.float32))
    assert averaged([judged, answer(model)], model).evidence is None
    assert averaged([answer(model), judged], model).evidence is None


def test_a_wider_crop_shows_the_same_head_at_the_same_place(small_model: FaceModel) -> None:
    crop = Crop.from_box(np.array([100.0, 90.0]), 130.0, SIZE, 0.2)
    camera = Camera.from_crop_size(SIZE)
    wide = answer(small_model)
    for scale, look in zip(SCALES, views_of(crop), strict=True):
        assert look.side == crop.side * scale
        there = look.to_photo(project(camera, wide.translation))
        here = crop.to_photo(project(camera, nearer_answer(wide, scale).translation))
        np.testing.assert_allclose(here, there, atol=1e-3)


def test_points_beside_the_middle_are_hardly_moved_by_the_other_crop(small_model: FaceModel) -> None:
    """What is neglected: how strongly near parts are enlarged."""
    camera, wide = Camera.from_crop_size(SIZE), answer(small_model)
    points = np.random.default_rng(1).normal(0, 40, (200, 3))
    for scale in SCALES:
        here = project(camera, points + nearer_answer(wide, scale).translation[0])
        there = project(camera, points + wide.translation[0])
        apart = (here - camera.center) - (there - camera.center) * scale
        assert np.sqrt((apart**2).mean()) < 0.15


def test_an_answer_carried_to_another_crop_shows_the_head_at_the_same_place_of_the_photo(
    small_model: FaceModel,
) -> None:
    rng = np.random.default_rng(3)
    plain = answer(small_model, 1)._replace(
        points=rng.uniform(20, 90, (1, 30, 2)), deviation=rng.uniform(0.2, 1, (1, 30))
    )
    head, camera = rng.normal(0, 50, (20, 3)) * [1, 1, 0.3], Camera.from_crop_size(SIZE)
    seen = Crop.from_box(np.array([210.0, 190.0]), 150.0, SIZE, 0.3)
    squares = ((214.0, 185.0, 141.0, 0.25), (207.0, 193.0, 160.0, 0.4), (210.0, 190.0, 150.0, 0.3))
    for x, y, side, angle in squares:
        wanted = Crop.from_box(np.array([x, y]), side, SIZE, angle)
        moved = carried_answer(plain, seen, wanted)
        there, here = (
            crop.to_photo(project(camera, head @ one.rotation[0].T + one.translation[0]))
            for crop, one in ((wanted, moved), (seen, plain))
        )
        assert np.abs(there - here).max() < 0.6 * seen.scale, np.abs(there - here).max()
        np.testing.assert_allclose(wanted.to_photo(moved.points), seen.to_photo(plain.points), atol=1e-3)
        np.testing.assert_allclose(moved.deviation * wanted.scale, plain.deviation * seen.scale, rtol=1e-5)
        back = carried_answer(moved, wanted, seen)
        np.testing.assert_allclose(back.rotation, plain.rotation, atol=1e-3)
        np.testing.assert_allclose(back.translation, plain.translation, rtol=1e-2, atol=0.3)

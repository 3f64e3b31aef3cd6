"""Laws of the camera, the head's rotations and the crops."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.geometry.camera import Camera, image_center, project
from likeness.geometry.crop import OUTSIDE_GREY, Crop
from likeness.geometry.rotation import (
    FRONTAL,
    euler_from_rotation,
    rotation_from_6d,
    rotation_from_euler,
    rotation_to_6d,
)

CAMERA = Camera(800.0, (330.5, 241.0), (640, 480))
ANGLES = st.floats(-3.1, 3.1)


def head_points() -> np.ndarray:
    """68 points about where a head's landmarks are, mm, model axes."""
    rng = np.random.default_rng(3)
    points = rng.uniform((-70, -100, 0), (70, 40, 0), (68, 3))
    points[:, 2] = 45 - 0.012 * (points[:, 0] ** 2 + 0.5 * points[:, 1] ** 2)
    return points


def test_project_is_the_pinhole_formula() -> None:
    points = np.random.default_rng(0).normal((0, 0, 900), (80, 80, 50), (5, 7, 3))
    homogeneous = points @ CAMERA.matrix.T
    expected = homogeneous[..., :2] / homogeneous[..., 2:]
    np.testing.assert_allclose(CAMERA.project(points), expected, atol=1e-9)
    np.testing.assert_allclose(project(CAMERA, points), expected, atol=1e-9)


def test_frontal_head_is_upright_and_its_left_is_on_the_right() -> None:
    center, left, up, nose = project(
        CAMERA, np.array([[0, 0, 0], [50, 0, 0], [0, 50, 0], [0, 0, 50.0]]) @ FRONTAL.T + [0, 0, 900]
    )
    np.testing.assert_allclose(center, CAMERA.center)
    assert left[0] > center[0]
    assert up[1] < center[1]
    np.testing.assert_allclose(nose, center)


@pytest.mark.parametrize("size", [(640, 480), (480, 640)])
def test_field_of_view_spans_the_longer_side(size: tuple[int, int]) -> None:
    camera = Camera.from_fov(1.0, size)
    axis = int(size[1] > size[0])
    ray = np.array([0.0, 0.0, 1.0])
    ray[axis] = math.tan(0.5)
    assert camera.project(ray)[axis] == pytest.approx(max(size) - 0.5)


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_scaled_camera_sees_the_scaled_image(factor: float) -> None:
    points = np.random.default_rng(1).normal((0, 0, 900), 60, (20, 3))
    scaled = CAMERA.scaled(factor)
    np.testing.assert_allclose(scaled.project(points), (CAMERA.project(points) + 0.5) * factor - 0.5)
    assert scaled.size == (640 * factor, 480 * factor)


def test_camera_survives_json() -> None:
    assert Camera.from_dict(json.loads(json.dumps(CAMERA.to_dict()))) == CAMERA


@pytest.mark.parametrize(
    "fields", [{}, {"focal": 1.0, "center": [1.0], "size": [2, 2]}, {"focal": -1, "center": [1, 1], "size": [2, 2]}]
)
def test_camera_from_bad_fields(fields: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        Camera.from_dict(fields)


@pytest.mark.parametrize("focal", [0.0, -1.0, math.nan, math.inf])
def test_camera_needs_a_focal_length(focal: float) -> None:
    with pytest.raises(ValueError, match="focal"):
        Camera(focal, (0.0, 0.0), (10, 10))


def test_six_numbers_make_a_rotation_whatever_their_lengths() -> None:
    a = np.random.default_rng(2).normal(size=(4, 5, 6))
    R = rotation_from_6d(a)
    np.testing.assert_allclose(R @ np.swapaxes(R, -1, -2), np.broadcast_to(np.eye(3), R.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1.0)
    # The first column is the first vector's direction; lengths and the second's part along it do not count.
    np.testing.assert_allclose(np.cross(R[..., 0], a[..., :3]), 0.0, atol=1e-12)
    other = np.concatenate([3 * a[..., :3], 0.5 * a[..., 3:] - 2 * a[..., :3]], axis=-1)
    np.testing.assert_allclose(rotation_from_6d(other), R, atol=1e-9)
    np.testing.assert_allclose(rotation_from_6d(rotation_to_6d(R)), R, atol=1e-12)


def test_torch_and_numpy_agree_and_gradients_flow() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    a, points = rng.normal(size=(3, 6)), rng.normal((0, 0, 9), 1, (3, 9, 3))
    tensor = torch.tensor(a, requires_grad=True)
    R = rotation_from_6d(tensor)
    np.testing.assert_allclose(R.detach().numpy(), rotation_from_6d(a), atol=1e-12)
    np.testing.assert_allclose(rotation_to_6d(R).detach().numpy(), rotation_to_6d(rotation_from_6d(a)))
    pixels = project(CAMERA, torch.tensor(points))
    np.testing.assert_allclose(pixels.numpy(), project(CAMERA, points))
    assert torch.autograd.gradcheck(rotation_from_6d, (tensor,))


@given(ANGLES, st.floats(-1.55, 1.55), ANGLES)
def test_angles_survive_the_matrix(yaw: float, pitch: float, roll: float) -> None:
    R = rotation_from_euler(yaw, pitch, roll)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(euler_from_rotation(R), [yaw, pitch, roll], atol=1e-6)


@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2])
def test_straight_up_and_down_keep_the_matrix(pitch: float) -> None:
    R = rotation_from_euler(0.4, pitch, 0.3)
    angles = euler_from_rotation(R)
    assert angles[2] == 0.0
    np.testing.assert_allclose(rotation_from_euler(*angles), R, atol=1e-9)


def test_signs_of_the_angles() -> None:
    out, up = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    assert (rotation_from_euler(0.3, 0, 0) @ out)[0] > 0  # to the subject's left
    assert (rotation_from_euler(0, 0.3, 0) @ out)[1] > 0  # looks up
    assert (rotation_from_euler(0, 0, 0.3) @ up)[0] > 0  # top of the head to the left shoulder
    assert rotation_from_euler(np.zeros((2, 1)), np.zeros(3), 0.0).shape == (2, 3, 3, 3)


@given(st.floats(-50, 500), st.floats(-50, 500), st.floats(1, 900), st.integers(1, 256), ANGLES)
def test_crop_edges_and_inverse(x: float, y: float, side: float, size: int, angle: float) -> None:
    crop = Crop.from_box((x, y), side, size, angle)
    corners = crop.to_photo(np.array([[-0.5, -0.5], [size - 0.5, -0.5], [size - 0.5, size - 0.5]]))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    expected = [x, y] + np.array([[-1, -1], [1, -1], [1, 1]]) * side / 2 @ turn.T
    np.testing.assert_allclose(corners, expected, atol=1e-8)
    points = np.random.default_rng(0).uniform(-100, 600, (3, 4, 2))
    np.testing.assert_allclose(crop.to_photo(crop.to_crop(points)), points, atol=1e-6)
    np.testing.assert_allclose(crop.center, (x, y), atol=1e-8)
    assert crop.side == pytest.approx(side)
    assert crop.angle == pytest.approx(angle)


def test_boxes_are_the_upright_hull_of_their_corners() -> None:
    crop = Crop.from_box((50.0, 40.0), 30.0, 60, math.pi / 4)
    box = crop.boxes_to_photo([[-0.5, -0.5, 59.5, 59.5]])[0]
    half = 15 * math.sqrt(2)
    np.testing.assert_allclose(box, [50 - half, 40 - half, 50 + half, 40 + half])


@pytest.mark.parametrize(
    "matrix",
    [np.eye(2), [[1, 0.1, 0], [0, 1, 0]], [[-1, 0, 0], [0, 1, 0]], np.zeros((2, 3)), [[1, 0, np.nan], [0, 1, 0]]],
)
def test_crop_is_a_similarity(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        Crop(np.asarray(matrix, float), 8)


def test_crop_of_whole_pixels_is_a_slice() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    crop = Crop.from_box((20.5, 15.5), 16.0, 16)
    np.testing.assert_array_equal(crop.extract(image), image[8:24, 13:29])


@settings(deadline=None)
@given(st.floats(0.3, 5.5), ANGLES, st.floats(0, 8), st.floats(0, 8))
def test_extract_reads_the_photo_where_the_crop_says(scale: float, angle: float, dx: float, dy: float) -> None:
    """On a plane of brightness, a sample equals the plane at its position, whatever the scale and angle."""
    y, x = 2 * np.mgrid[:126, :126].astype(np.uint8)
    plane = np.stack([x, y, 255 - x], axis=-1)
    crop = Crop.from_box((60.0 + dx, 59.0 + dy), scale * 12, 12, angle)
    v, u = np.mgrid[:12, :12]
    at = 2 * crop.to_photo(np.stack([u, v], axis=-1))
    expected = np.stack([at[..., 0], at[..., 1], 255 - at[..., 0]], axis=-1)
    difference = crop.extract(plane) - expected
    assert np.abs(difference).max() < 1.2
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.6


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_shrinking_by_a_whole_number_averages_blocks(factor: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    crop = Crop.from_box((29.5, 29.5), 60.0, 60 // factor)
    blocks = image[:, :60].reshape(60 // factor, factor, 60 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(crop.extract(image) - blocks).max() <= 0.6


def test_extract_shows_grey_outside() -> None:
    image = np.full((30, 31, 3), 250, np.uint8)
    far = Crop.from_box((900.0, 900.0), 20.0, 8).extract(image)
    assert (far == OUTSIDE_GREY).all()
    for size in (64, 8):  # enlarged and shrunk
        crop = Crop.from_box((15.0, 14.5), 62.0, size).extract(image)
        assert (crop[0] == OUTSIDE_GREY).all()
        assert (crop[size // 2, size // 2] == 250).all()


def test_extract_does_not_alias() -> None:
    y, x = np.mgrid[:240, :240]
    board = np.repeat((255 * ((x + y) % 2)).astype(np.uint8)[..., None], 3, axis=2)
    crop = Crop.from_box((119.7, 119.3), 200.0, 40, 0.1).extract(board)
    assert np.abs(crop.astype(float) - 127.5).max() < 8


def test_extract_refuses_other_images() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Crop.from_box((5.0, 5.0), 4.0, 4).extract(np.zeros((10, 10, 3)))


def pose(crop: Crop, photo: tuple[int, int], focal: float | None = None, yaw: float = 0.4) -> tuple:
    """A head in a crop carried to the photo: the pose, and the points through the crop's camera."""
    points = head_points()
    rotation, translation = FRONTAL @ rotation_from_euler(yaw, 0.1, 0.05), np.array([3.0, 12.0, 900.0])
    result = crop.camera_to_photo(photo, rotation, translation, points, focal)
    seen = project(Camera.from_crop_size(crop.size), points @ rotation.T + translation)
    return result, crop.to_photo(seen), points


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_centred_crop_keeps_the_picture_exactly(angle: float) -> None:
    photo = (800, 600)
    result, expected, points = pose(Crop.from_box(image_center(photo), 300.0, 112, angle), photo)
    assert result.difference < 1e-6
    assert result.camera.focal == pytest.approx(4.5 * 300)
    assert result.translation[2] == pytest.approx(900.0)
    np.testing.assert_allclose(result.rotation @ result.rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(
        result.camera.project(points @ result.rotation.T + result.translation), expected, atol=1e-6
    )


@pytest.mark.parametrize(
    ("center", "side", "focal", "limit"),
    [
        ((499.5 + 100, 499.5), 400.0, None, 0.005),
        ((499.5 + 250, 499.5 - 200), 400.0, None, 0.01),
        ((499.5 + 350, 499.5 - 350), 200.0, None, 0.02),
        ((499.5 + 300, 499.5), 400.0, 1500.0, 0.02),
        ((499.5, 499.5), 400.0, 5000.0, 0.025),
    ],
)
def test_moved_crop_nearly_keeps_the_picture(
    center: tuple[float, float], side: float, focal: float | None, limit: float
) -> None:
    result, expected, points = pose(Crop.from_box(center, side, 112, 0.2), (1000, 1000), focal)
    pixels = result.camera.project(points @ result.rotation.T + result.translation)
    error = np.linalg.norm(pixels - expected, axis=1).max()
    assert result.difference == pytest.approx(error)
    assert error / math.sqrt(np.prod(np.ptp(expected, axis=0))) < limit
    assert result.camera.center == image_center((1000, 1000))
    if focal is not None:
        assert result.camera.focal == focal
        assert result.translation[2] / 900 == pytest.approx(focal / (4.5 * side), rel=0.06)


@pytest.mark.parametrize("angle", [0.0, 0.7])
@pytest.mark.parametrize("focal", [None, 1500.0])
def test_the_closed_form_is_near_and_exact_in_the_middle(angle: float, focal: float | None) -> None:
    photo, points = (1000, 1000), head_points()
    rotation, translation = FRONTAL @ rotation_from_euler(0.4, 0.1, 0.05), np.array([3.0, 12.0, 900.0])
    for off, limit in ((0.0, 1e-6 if focal is None else 0.01), (150.0, 0.03), (300.0, 0.08)):
        crop = Crop.from_box((499.5 + off, 499.5), 300.0, 112, angle)
        camera, turned, moved = crop.near_camera_to_photo(photo, rotation, translation, focal)
        exact = crop.camera_to_photo(photo, rotation, translation, points, focal)
        assert camera == exact.camera
        near, best = (
            camera.project(points @ r.T + t) for r, t in ((turned, moved), (exact.rotation, exact.translation))
        )
        assert np.abs(near - best).max() / crop.side < limit


def test_refinement_is_at_an_optimum() -> None:
    """Moving the pose in any of its six directions does not bring the points nearer."""
    result, expected, points = pose(Crop.from_box((900.0, 80.0), 260.0, 112), (1000, 1000))

    def cost(turn: np.ndarray, shift: np.ndarray) -> float:
        R = rotation_from_euler(*turn) @ result.rotation
        return float(((result.camera.project(points @ R.T + result.translation + shift) - expected) ** 2).sum())

    least = cost(np.zeros(3), np.zeros(3))
    for k in range(6):
        for sign in (-1, 1):
            move = np.zeros(6)
            move[k] = sign * (2e-3 if k < 3 else 2.0)
            assert cost(move[:3], move[3:]) > least


def test_pose_needs_points() -> None:
    with pytest.raises(ValueError, match="points"):
        Crop.from_box((5, 5), 4, 4).camera_to_photo((9, 9), FRONTAL, np.array([0, 0, 900.0]), np.zeros((3, 3)))

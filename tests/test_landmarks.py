"""Laws of the landmark map: inner points stay, contour points march outwards, both array libraries agree."""

from __future__ import annotations

import numpy as np
import pytest

from likeness import FaceModel
from likeness.geometry.camera import Camera, project
from likeness.geometry.landmarks import (
    CHIN,
    COUNT,
    EYE_CORNERS,
    INNER,
    INNER_COUNT,
    JAW_COUNT,
    LEFT_EYE,
    MIRRORED,
    MOUTH_CORNERS,
    NOSE_BOTTOM,
    NOSE_BRIDGE,
    NOSE_TIP,
    RIGHT_EYE,
    eye_centers,
)
from likeness.geometry.rotation import FRONTAL, rotation_from_euler


def projected(model: FaceModel, rotation: np.ndarray) -> np.ndarray:
    points = model.landmark_points(np.zeros(len(model.identity_basis)))
    return (points @ rotation.T)[:, :2].astype(np.float32)


@pytest.mark.parametrize("yaw", [-1.0, -0.3, 0.0, 0.6])
def test_inner_points_are_copied_and_contour_points_come_from_their_line(small_model: FaceModel, yaw: float) -> None:
    landmarks = small_model.landmark_map
    rotation = FRONTAL @ rotation_from_euler(yaw, 0, 0)
    seen = projected(small_model, rotation)
    chosen = landmarks.select(seen, rotation)
    assert chosen.shape == (68, 2)
    np.testing.assert_array_equal(chosen[17:], seen[:51])
    lines = seen[51:].reshape(17, landmarks.candidates, 2)
    for number in range(17):
        assert (np.abs(lines[number] - chosen[number]).max(-1) == 0).any()


def test_no_candidate_lies_farther_out_than_the_chosen_one(small_model: FaceModel) -> None:
    landmarks = small_model.landmark_map
    rotation = FRONTAL @ rotation_from_euler(0.5, 0.2, -0.1)
    seen = projected(small_model, rotation)
    chosen = landmarks.select(seen, rotation)[:17]
    outward = landmarks.outward @ rotation[:2].T
    lines = seen[51:].reshape(17, -1, 2)
    reach = (lines * outward[:, None]).sum(-1).max(1)
    np.testing.assert_allclose((chosen * outward).sum(-1), reach, atol=1e-4)


def test_choice_ignores_shift_and_size_of_the_image(small_model: FaceModel) -> None:
    landmarks = small_model.landmark_map
    rotation = FRONTAL @ rotation_from_euler(-0.4, 0.1, 0.2)
    seen = projected(small_model, rotation)
    np.testing.assert_array_equal(
        landmarks.contour_index(seen, rotation), landmarks.contour_index(4 * seen + np.float32(32), rotation)
    )


def test_torch_agrees_and_gradients_reach_the_chosen_points(small_model: FaceModel) -> None:
    torch = pytest.importorskip("torch")
    landmarks = small_model.landmark_map
    rotations = np.stack([FRONTAL @ rotation_from_euler(yaw, 0, 0.1) for yaw in (-0.7, 0.0, 0.9)]).astype(np.float32)
    seen = np.stack([projected(small_model, rotation) for rotation in rotations])
    tensor = torch.tensor(seen, requires_grad=True)
    chosen = landmarks.select(tensor, torch.tensor(rotations))
    np.testing.assert_allclose(chosen.detach().numpy(), landmarks.select(seen, rotations), atol=1e-5)
    chosen.sum().backward()
    assert tensor.grad is not None
    assert int((tensor.grad != 0).any(-1).sum()) == 3 * 68


def test_gather_is_linear(small_model: FaceModel) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, *small_model.mean.shape))
    gather = small_model.landmark_map.gather
    np.testing.assert_allclose(gather(a + 2 * b), gather(a) + 2 * gather(b), atol=1e-9)


def test_the_named_points_are_ibugs_and_mirror_each_other() -> None:
    assert (len(INNER), INNER_COUNT, JAW_COUNT) == (51, 51, 17)
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(COUNT))
    assert sorted(MIRRORED[list(RIGHT_EYE)]) == list(LEFT_EYE)
    assert [MIRRORED[i] for i in EYE_CORNERS] == list(EYE_CORNERS[::-1])
    assert [MIRRORED[i] for i in MOUTH_CORNERS] == list(MOUTH_CORNERS[::-1])
    assert all(MIRRORED[i] == i for i in (CHIN, NOSE_BRIDGE, NOSE_TIP, NOSE_BOTTOM))


def test_projecting_landmarks_is_projecting_candidates_and_choosing(small_model: FaceModel) -> None:
    camera, rotation = Camera.from_crop_size(112), FRONTAL @ rotation_from_euler(0.5, 0.2, -0.1)
    placed = small_model.landmark_bases[0] @ rotation.T + [3.0, -2.0, 900.0]
    seen = small_model.landmark_map.project(camera, placed, rotation)
    assert seen.shape == (68, 2)
    candidates = project(camera, placed)
    np.testing.assert_array_equal(seen[17:], candidates[:51])
    chosen = candidates[51:].reshape(17, -1, 2)
    assert all((line == point).all(axis=1).any() for line, point in zip(chosen, seen[:17], strict=True))
    right, left = eye_centers(seen)
    np.testing.assert_allclose(right, seen[36:42].mean(0))
    np.testing.assert_allclose(left, seen[42:48].mean(0))

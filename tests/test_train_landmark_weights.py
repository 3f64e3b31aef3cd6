"""Landmarks as combinations of points: a made combination is found, a habit of one side is not learned."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from likeness.geometry.landmarks import MIRRORED
from likeness.train.photos.landmark_weights import JAW, landmark_weights, weights_with_head

POINTS = 90


def world(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Symmetric points and landmarks, 300 faces; each landmark lies between two points."""
    rng = np.random.default_rng(seed)
    mirror = np.arange(POINTS).reshape(-1, 2)[:, ::-1].ravel()
    mean = rng.uniform(20, 80, (POINTS, 2))
    mean[1::2] = mean[::2] * [-1, 1] + [100, 0]
    points = mean + rng.normal(0, 3, (300, POINTS, 2))
    weights = np.zeros((68, POINTS))
    start = np.zeros(68, int)
    for number in range(68):
        other = MIRRORED[number]
        if other < number:
            weights[number] = weights[other][mirror]
            start[number] = mirror[start[other]]
            continue
        a, b = rng.choice(POINTS, 2, replace=False)
        if other == number:
            b = mirror[a]
            weights[number, [a, b]] = 0.5
        else:
            weights[number, [a, b]] = 0.7, 0.3
        start[number] = a
    return points, weights @ points, mirror, weights, start  # type: ignore[return-value]


def test_a_made_combination_is_found_and_sides_do_not_count() -> None:
    points, landmarks, mirror, true, start = world(0)  # type: ignore[misc]
    found = landmark_weights(points, landmarks, mirror, start, strength=0.01)
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-9)
    unseen = world(1)[0]
    error = np.linalg.norm(found @ unseen - true @ unseen, axis=-1).mean()
    begin = np.linalg.norm(unseen[:, start] - true @ unseen, axis=-1).mean()
    assert error < 0.1 * begin
    shifted = landmark_weights(points, landmarks + [5.0, 0.0], mirror, start, strength=0.01)
    moved = (shifted @ unseen - found @ unseen).mean((0, 1))
    assert abs(moved[0]) < 0.5


def test_a_strong_pull_leaves_the_points_that_stand_for_them() -> None:
    points, landmarks, mirror, _, start = world(2)  # type: ignore[misc]
    found = landmark_weights(points, landmarks, mirror, start, strength=1e9)
    np.testing.assert_allclose(found[np.arange(68), start], 1.0, atol=1e-3)


def test_the_jaw_is_taken_from_the_head_where_no_point_tells_it() -> None:
    points, landmarks, mirror, _, start = world(3)  # type: ignore[misc]
    rng = np.random.default_rng(4)
    heads = landmarks + rng.normal(0.0, 1.0, landmarks.shape)
    jaw = rng.normal(0.0, 6.0, (len(points), len(JAW), 2))
    heads[:, JAW] += jaw
    landmarks[:, JAW] += jaw
    clear, blurred = weights_with_head(points, heads, landmarks, mirror, start)
    np.testing.assert_allclose(clear.sum(1), 1.0, atol=1e-9)
    np.testing.assert_array_equal(clear[JAW], blurred[JAW])
    both = np.concatenate([points, heads], axis=1)
    alone = landmark_weights(points, landmarks, mirror, start) @ points
    error, before = (np.linalg.norm(one - landmarks, axis=-1)[:, JAW].mean() for one in (clear @ both, alone))
    assert error < 0.4 * before
    # Where points stand for a landmark, clear pictures are believed more than blurred ones.
    inner = np.setdiff1d(np.arange(68), JAW)
    pull = [one[inner, start[inner]].mean() for one in (clear, blurred)]
    assert pull[0] > pull[1]

"""Laws of the fidelity measures: known answers on made people."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.geometry.rotation import rotation_from_euler
from likeness.metrics.fidelity_cross import cross_photo_error, cross_photo_pairs
from likeness.metrics.fidelity_expression import blink_correlation, eye_opening
from likeness.metrics.fidelity_points import front_points, hand_placed_fidelity, planar_shapes
from likeness.metrics.fidelity_shapes import rms_after_similarity, shape_fidelity
from likeness.metrics.landmark_error import errors_without_side
from likeness.model.face_model import FaceModel

PAIRS = {"nose width": (3, 4), "mouth width": (7, 8)}


def people(count: int = 20, points: int = 12, seed: int = 0) -> np.ndarray:
    """Pixels (N, P, 2) of made people: one layout and differences of some percent."""
    rng = np.random.default_rng(seed)
    layout = rng.uniform(-100, 100, (points, 2))
    return 250 + layout + rng.normal(0, 3, (count, points, 2))


def moved(points: np.ndarray, seed: int = 1) -> np.ndarray:
    """Each person under a similarity of their own."""
    rng = np.random.default_rng(seed)
    angle, scale = rng.uniform(-0.6, 0.6, len(points)), rng.uniform(0.5, 2, len(points))
    factor = scale * np.exp(1j * angle)
    z = points @ [1, 1j] * factor[:, None] + rng.uniform(-50, 50, (len(points), 1))
    return np.stack([z.real, z.imag], -1)


def scaled_differences(points: np.ndarray, factor: float) -> np.ndarray:
    """Shapes that differ ``factor`` times as much from the mean shape."""
    shapes, _ = planar_shapes(points)
    return shapes.mean(0) + factor * (shapes - shapes.mean(0))


def test_perfect_points_explain_everything() -> None:
    true = people()
    found = hand_placed_fidelity(true, true, proportions=PAIRS)
    assert found.explained == pytest.approx(1, abs=1e-12)
    assert found.spread == pytest.approx(1)
    assert found.slope == pytest.approx(1)
    assert found.rank1 == found.nearer == 1
    assert found.error_percent == pytest.approx(0, abs=1e-9)
    assert found.error_aligned_percent == pytest.approx(0, abs=1e-9)
    assert found.proportions == pytest.approx({"nose width": 1, "mouth width": 1})


def test_the_mean_face_explains_nothing() -> None:
    true = people(40)
    found = hand_placed_fidelity(np.broadcast_to(true.mean(0), true.shape), true, proportions=PAIRS)
    assert found.explained == pytest.approx(0, abs=1e-9)
    assert found.spread == pytest.approx(0, abs=1e-6)
    assert found.slope is None
    assert found.proportions == {"nose width": None, "mouth width": None}
    assert found.rank1 <= 0.1
    assert 0.4 < found.nearer < 0.6


def test_strangers_explain_less_than_nothing() -> None:
    true = people(200)
    found = hand_placed_fidelity(true[np.random.default_rng(0).permutation(len(true))], true)
    assert found.explained == pytest.approx(-1, abs=0.2)  # twice the variance where truth and found are independent
    assert found.rank1 < 0.05
    assert found.nearer == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_scaled_differences_give_spread_and_slope(factor: float) -> None:
    true = people()
    found = hand_placed_fidelity(scaled_differences(true, factor), true, in_photo=False)
    assert found.spread == pytest.approx(factor, rel=0.02)
    assert found.slope == pytest.approx(1 / factor, rel=0.02)
    assert found.explained == pytest.approx(1 - (1 - factor) ** 2, abs=0.02)
    assert found.error_percent is None


def test_place_size_and_turn_of_found_points_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    true = people()
    noisy = true + rng.normal(0, 2, true.shape)
    one = hand_placed_fidelity(noisy, true, in_photo=False, proportions=PAIRS).to_dict()
    other = hand_placed_fidelity(moved(noisy), true, in_photo=False, proportions=PAIRS).to_dict()
    assert one.pop("proportions") == pytest.approx(other.pop("proportions"))
    assert one.pop("error_percent") is other.pop("error_percent") is None
    assert one == pytest.approx(other)


def test_a_constant_offset_of_each_point_costs_nothing_in_the_photo() -> None:
    true = people()
    offset = np.random.default_rng(5).normal(0, 4, true.shape[1:])
    sizes = np.full(len(true), 200.0)  # one size for all: the offset is the same share of it
    found = hand_placed_fidelity(true + offset, true, sizes=sizes)
    assert found.error_percent == pytest.approx(0, abs=1e-9)
    assert found.explained > 0.98


def test_the_order_of_people_and_points_does_not_matter() -> None:
    rng = np.random.default_rng(7)
    true = people()
    noisy = true + rng.normal(0, 2, true.shape)
    rows, columns = rng.permutation(len(true)), rng.permutation(true.shape[1])
    one = hand_placed_fidelity(noisy, true).to_dict()
    other = hand_placed_fidelity(noisy[rows][:, columns], true[rows][:, columns]).to_dict()
    assert one.pop("proportions") == other.pop("proportions") == {}
    assert one == pytest.approx(other)


def test_errors_of_few_people_are_not_flattered() -> None:
    """Of pure noise on the points, the error is what the noise is on average, however few people there are."""
    rng = np.random.default_rng(11)
    expected = 100 * 2 * np.sqrt(np.pi / 2) / 200  # mean length of 2-D normal noise of 2 px, in a box of 200 px
    for count in (4, 40):
        values = []
        for _ in range(1600 // count):
            true = people(count, seed=int(rng.integers(1 << 30)))
            noisy = true + rng.normal(0, 2, true.shape)
            values.append(hand_placed_fidelity(noisy, true, sizes=np.full(count, 200.0)).error_percent)
        # The offset's own noise, from count - 1 others, adds to it, never takes away.
        assert np.mean(values) == pytest.approx(expected * np.sqrt(1 + 1 / (count - 1)), rel=0.04)


def test_the_standard_error_is_that_of_other_people() -> None:
    rng = np.random.default_rng(13)
    values, errors = [], []
    for _ in range(60):
        true = people(15, points=6, seed=int(rng.integers(1 << 30)))
        found = hand_placed_fidelity(true + rng.normal(0, 2, true.shape), true)
        values.append(found.explained)
        errors.append(found.explained_error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: (x[:, :, :1], x), "P >= 3, 2"),
        (lambda x: (x[:2], x[:2]), "3 people"),
        (lambda x: (np.full_like(x, np.nan), x), "finite"),
        (lambda x: (x * 0, x), "extent"),
        (lambda x: (x, x[:1].repeat(len(x), 0)), "all alike"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        hand_placed_fidelity(*change(people()))


def heads(count: int = 30, vertices: int = 60, seed: int = 0) -> np.ndarray:
    """Made heads (N, V, 3) mm."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 60, (vertices, 3)) + rng.normal(0, 2, (count, vertices, 3))


def turned(vertices: np.ndarray, seed: int = 1) -> np.ndarray:
    """Each head under a similarity of its own."""
    rng = np.random.default_rng(seed)
    out = [
        rng.uniform(0.5, 2) * one @ rotation_from_euler(*rng.uniform(-0.5, 0.5, 3)).T + rng.normal(0, 20, 3)
        for one in vertices
    ]
    return np.stack(out)


def test_the_true_heads_are_found() -> None:
    true = heads()
    found = shape_fidelity(turned(true), true)
    assert found.rms == pytest.approx(0, abs=1e-6)
    assert found.explained == pytest.approx(1)
    assert found.spread == pytest.approx(1)
    assert found.slope == pytest.approx(1)
    assert found.mean_face_rms == pytest.approx(2 * np.sqrt(3), rel=0.1)


def test_the_mean_head_has_the_error_of_the_mean_head() -> None:
    true = heads()
    found = shape_fidelity(np.broadcast_to(true.mean(0), true.shape), true)
    assert found.ratio == pytest.approx(1, abs=1e-3)
    assert found.explained == pytest.approx(0, abs=1e-6)
    assert found.slope is None


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_heads_that_differ_less_or_more(factor: float) -> None:
    true = heads()
    found = shape_fidelity(turned(true.mean(0) + factor * (true - true.mean(0))), true)
    assert found.spread == pytest.approx(factor, rel=0.02)
    assert found.slope == pytest.approx(1 / factor, rel=0.02)


def test_the_best_guess_is_calibrated() -> None:
    """Of noisy heads, shrinking by the reliability has slope 1, a spread of the root of what it explains, and the
    least error."""
    rng = np.random.default_rng(2)
    true = heads(400)
    noisy = true - true.mean(0) + rng.normal(0, 2, true.shape)
    errors = {}
    for factor in (0.3, 0.5, 1.0):
        found = shape_fidelity(true.mean(0) + factor * noisy, true)
        errors[factor] = found.rms
        if factor == 0.5:
            assert found.slope == pytest.approx(1, abs=0.02)
            assert found.spread**2 == pytest.approx(found.explained, abs=0.02)
    assert errors[0.5] < min(errors[0.3], errors[1.0])


def test_only_weighted_vertices_count() -> None:
    true = heads()
    found = true.copy()
    found[:, 30:] += np.random.default_rng(4).normal(0, 30, found[:, 30:].shape)
    weights = np.where(np.arange(true.shape[1]) < 30, 2.0, 0.0)
    assert shape_fidelity(found, true, weights).rms == pytest.approx(0, abs=1e-6)


def test_errors_by_pose_join_to_the_whole() -> None:
    rng = np.random.default_rng(6)
    true = heads()
    noisy = true + rng.normal(0, 1, true.shape)
    yaw = rng.uniform(-80, 80, len(true))
    found = shape_fidelity(noisy, true, yaw=yaw)
    assert sum(one.people for one in found.by_pose) == len(true)
    assert sum(one.people * one.rms for one in found.by_pose) / len(true) == pytest.approx(found.rms)
    mirrored = shape_fidelity(noisy, true, yaw=-yaw)
    assert mirrored.by_pose == found.by_pose


def test_a_similarity_never_makes_it_worse() -> None:
    true = heads()
    noisy = true + np.random.default_rng(8).normal(0, 1, true.shape)
    before = np.sqrt(((noisy - true) ** 2).sum(-1).mean(-1))
    assert (rms_after_similarity(noisy, true) <= before + 1e-9).all()


def test_heads_that_cannot_be_compared_are_refused() -> None:
    true = heads()
    with pytest.raises(ValueError, match="N >= 2, V, 3"):
        shape_fidelity(true[:, :5], true)
    with pytest.raises(ValueError, match="weights"):
        shape_fidelity(true, true, np.ones(3))
    with pytest.raises(ValueError, match="all alike"):
        shape_fidelity(true, true[:1].repeat(len(true), 0))


def test_a_head_from_the_front_is_seen_level_and_mirror_equal(small_model: FaceModel) -> None:
    """The small model's mean is symmetric, so is its picture; a shift of the camera changes shapes little."""
    mean = front_points(small_model, np.zeros((1, 12)))[0]
    assert mean[36:48, 1].max() < mean[48:68, 1].min()  # eyes over the mouth, y down
    assert mean[36, 0] < mean[45, 0]  # the subject's right is on the left
    mirrored = flip_landmarks_of(mean)
    assert np.abs(mirrored - mean).max() < 0.02 * np.ptp(mean)
    codes = small_model.space.sample(8, np.random.default_rng(0))
    near, far = (planar_shapes(front_points(small_model, codes, distance))[0] for distance in (1000.0, 4000.0))
    assert np.abs(near - near.mean(0) - (far - far.mean(0))).max() < 0.01


def flip_landmarks_of(points: np.ndarray) -> np.ndarray:
    """The mirror image's 68 points, in their order."""
    order = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46]
    order += [39, 38, 37, 36, 41, 40, *range(54, 47, -1), 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    return points[order] * [-1, 1]


def test_cross_photo_pairs_keep_their_rules() -> None:
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 6, 80), rng.integers(0, 3, 80)
    target, own, stranger = cross_photo_pairs(labels, groups, 3, seed=1)
    assert (labels[target] == labels[own]).all()
    assert (groups[target] != groups[own]).all()
    assert (labels[target] != labels[stranger]).all()
    again = cross_photo_pairs(labels, groups, 3, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip((target, own, stranger), again, strict=True))
    assert np.bincount(target).max() <= 3
    with pytest.raises(ValueError, match="two groups"):
        cross_photo_pairs(np.array([0, 0, 1]), np.array([0, 0, 0]))


def test_cross_photo_errors_count_photos_alike() -> None:
    target, labels = np.array([0, 0, 0, 1]), np.array(["a", "a", "a", "b"])
    found = cross_photo_error(np.array([1, 1, 1, 3]) / 100, np.full(4, 0.04), np.full(4, 0.05), target, labels)
    assert (found.people, found.photos) == (2, 2)
    assert found.own == pytest.approx(2)  # not 1.5: the first photo has three partners
    assert found.ratio == pytest.approx(0.5)
    assert found.stranger_ratio == pytest.approx(1.25)
    assert found.ratio_error > 0


def test_the_ratios_error_is_that_of_other_people() -> None:
    rng = np.random.default_rng(3)
    values, errors = [], []
    for _ in range(80):
        people = np.repeat(np.arange(20), 4)
        base = 0.02 + 0.002 * rng.normal(size=20)[people]
        own = base * (0.95 + 0.05 * rng.normal(size=20))[people]
        found = cross_photo_error(own, base, base, np.arange(80), people)
        values.append(found.ratio)
        errors.append(found.ratio_error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)


def test_lids_that_close_close_the_eye() -> None:
    rng = np.random.default_rng(5)
    landmarks = rng.uniform(0, 100, (1, 68, 2)).repeat(30, 0)
    landmarks[:, 36], landmarks[:, 39], landmarks[:, 42], landmarks[:, 45] = [[0, 0]], [[30, 0]], [[60, 0]], [[90, 0]]
    gap = rng.uniform(0, 12, 30)
    for (upper, lower), left in zip((((37, 38), (41, 40)), ((43, 44), (47, 46))), (0, 60), strict=True):
        for number, offset in enumerate((10, 20)):
            landmarks[:, upper[number]] = np.stack([np.full(30, left + offset), -gap / 2], -1)
            landmarks[:, lower[number]] = np.stack([np.full(30, left + offset), gap / 2], -1)
    np.testing.assert_allclose(eye_opening(landmarks), np.stack([gap, gap], -1) / 30, atol=1e-12)
    np.testing.assert_allclose(eye_opening(3 * landmarks + 7), eye_opening(landmarks), atol=1e-12)
    weights = np.stack([1 - gap / 12] * 2, -1)
    assert blink_correlation(weights, landmarks) == pytest.approx(-1)
    assert blink_correlation(1 - weights, landmarks) == pytest.approx(1)
    assert blink_correlation(0 * weights, landmarks) is None


def test_the_side_of_annotations_is_taken_out() -> None:
    rng = np.random.default_rng(7)
    truth = rng.uniform(0, 100, (20, 68, 2))
    size = np.sqrt(np.prod(np.ptp(truth, axis=1), axis=-1))
    found = truth - 0.02 * size[:, None, None] * [1, 0]
    side, errors = errors_without_side(found, truth)
    assert side == pytest.approx(0.02)
    np.testing.assert_allclose(errors, 0, atol=1e-12)

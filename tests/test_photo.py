"""Laws of the face proposals and the crops that follow from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness.errors import FileError
from likeness.reconstruct.proposals import (
    CROP_PER_LANDMARK_BOX,
    Proposal,
    crop_from_landmarks,
    crop_from_proposal,
    find_faces,
    largest_faces,
)
from likeness.reconstruct.yunet import box_from_five_points

FACE = np.array([219.0, 129.0])  # the middle of the astronaut's face, and its size from brows to chin
FACE_SIZE = 84.0


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(512, 512, 3) uint8: one face, in the upper middle."""
    return pytest.importorskip("skimage.data").astronaut()


def assert_found(image: np.ndarray, center: np.ndarray, size: float) -> Proposal:
    """The best proposal is where the face is, within what the detector's jitter is."""
    best = find_faces(image)[0]
    assert np.linalg.norm(best.center - center) < 0.15 * size, f"found {best}, expected {center}, {size}"
    assert abs(np.log(best.size / size)) < 0.25, f"found {best}, expected {center}, {size}"
    assert best.score > 0.5
    return best


def landmarks() -> np.ndarray:
    """68 points about where iBUG's are, pixels; the eyes level."""
    points = np.random.default_rng(0).uniform(40, 160, (68, 2))
    points[36:42] = [70, 80] + 5 * np.random.default_rng(1).normal(size=(6, 2))
    points[42:48] = points[36:42] + [60, 0]
    return points


def test_the_face_is_found_at_any_place_and_scale(astronaut: np.ndarray) -> None:
    assert assert_found(astronaut, FACE, FACE_SIZE).kind == "found"
    for factor in (0.5, 1.6):
        scaled = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        assert_found(scaled, (FACE + 0.5) * factor - 0.5, FACE_SIZE * factor)
    moved = np.pad(astronaut, ((60, 0), (230, 90), (0, 0)), mode="edge")
    assert_found(moved, FACE + [230, 60], FACE_SIZE)
    assert_found(np.ascontiguousarray(astronaut[:, ::-1]), np.array([511 - FACE[0], FACE[1]]), FACE_SIZE)


def test_a_face_that_fills_the_photo(astronaut: np.ndarray) -> None:
    assert_found(np.ascontiguousarray(astronaut[60:182, 166:274]), FACE - [166, 60], FACE_SIZE)


def test_a_small_face(astronaut: np.ndarray) -> None:
    small = cv2.resize(astronaut, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    photo = np.pad(small, ((300, 200), (500, 400), (0, 0)), mode="edge")
    assert_found(photo, (FACE + 0.5) * 0.4 - 0.5 + [500, 300], 0.4 * FACE_SIZE)


@pytest.mark.parametrize("angle", [np.pi / 6, -np.pi / 3, np.pi / 2, np.pi])
def test_a_turned_face_comes_with_its_angle(astronaut: np.ndarray, angle: float) -> None:
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    center = np.array([150.0, 150.0])
    matrix = np.column_stack([turn, center - turn @ FACE])
    turned = cv2.warpAffine(astronaut, matrix, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    best = find_faces(turned)[0]
    assert np.linalg.norm(best.center - center) < 0.25 * FACE_SIZE
    assert abs(np.angle(np.exp(1j * (best.angle - angle)))) < 0.6
    crop = crop_from_proposal(best, 64)
    assert crop.angle == pytest.approx(np.angle(np.exp(1j * best.angle)))


def test_the_largest_faces_are_the_first_of_all(astronaut: np.ndarray) -> None:
    (one,), best = largest_faces(astronaut, 1), find_faces(astronaut)[0]
    assert np.linalg.norm(one.center - best.center) < 0.02 * best.size
    assert one.size == pytest.approx(best.size, rel=0.02)
    assert largest_faces(astronaut, 2) == []  # no two are certain at first sight
    assert largest_faces(np.full((90, 120, 3), 77, np.uint8), 1) == []
    small = cv2.copyMakeBorder(astronaut, *(4 * (3 * max(astronaut.shape),)), cv2.BORDER_CONSTANT)
    assert largest_faces(small, 1) == []  # what larger copies show may be as large


def test_where_nothing_is_found_central_squares_are_proposed() -> None:
    proposals = find_faces(np.full((90, 120, 3), 77, np.uint8))
    assert [p.kind for p in proposals] == ["whole"] * 3
    for proposal, side in zip(proposals, (90, 126, 63), strict=True):
        assert proposal.score == 0
        crop = crop_from_proposal(proposal, 64)
        np.testing.assert_allclose(crop.center, (59.5, 44.5))
        assert crop.side == pytest.approx(side)


def test_thorough_keeps_what_was_found_and_adds_the_squares(astronaut: np.ndarray) -> None:
    quick, thorough = find_faces(astronaut), find_faces(astronaut, thorough=True)
    assert np.linalg.norm(thorough[0].center - quick[0].center) < 0.2 * FACE_SIZE
    assert [p.kind for p in thorough[-3:]] == ["whole"] * 3
    assert all(p.kind != "whole" for p in quick)


@pytest.mark.parametrize("shape", [(24, 24), (24, 1500), (1000, 25), (30, 31)])
def test_odd_sizes_do_not_fail(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for thorough in (False, True):
        assert find_faces(image, thorough=thorough)


def test_threads_find_the_same(astronaut: np.ndarray) -> None:
    images = [astronaut[:, :450], np.ascontiguousarray(astronaut[:, ::-1])] * 4
    alone = [find_faces(image)[0].box for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = [proposals[0].box for proposals in pool.map(find_faces, images)]
    np.testing.assert_array_equal(alone, together)


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        find_faces(np.zeros((50, 50, 3)))


def test_crop_around_landmarks_is_centred_on_their_box() -> None:
    points = landmarks()
    crop = crop_from_landmarks(points, 112)
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(crop.center, (low + high) / 2)
    assert crop.side == pytest.approx(CROP_PER_LANDMARK_BOX * np.sqrt(np.prod(high - low)))
    assert crop.angle == 0.0


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.5])
def test_upright_crop_follows_the_landmarks(angle: float) -> None:
    """Turned, scaled and moved landmarks are where they were in the crop, and the eyes are level."""
    points = landmarks()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = 1.7 * points @ turn.T + [300, -20]
    crop = crop_from_landmarks(moved, 96, upright=True)
    np.testing.assert_allclose(crop.to_crop(moved), crop_from_landmarks(points, 96, upright=True).to_crop(points))
    eyes = crop.to_crop(np.stack([moved[36:42].mean(axis=0), moved[42:48].mean(axis=0)]))
    assert eyes[0, 1] == pytest.approx(eyes[1, 1])
    assert eyes[0, 0] < eyes[1, 0]


@pytest.mark.parametrize(
    "points", [np.zeros((67, 2)), np.zeros((68, 3)), np.zeros((68, 2)), np.full((68, 2), np.nan)]
)
def test_other_landmarks_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        crop_from_landmarks(points, 112)


FIVE = np.array([[180.0, 120.0], [240.0, 120.0], [210.0, 155.0], [185.0, 185.0], [235.0, 185.0]])


@pytest.mark.parametrize("angle", [0.0, 0.4, -3.0])
def test_five_points_follow_a_similarity(angle: float) -> None:
    center, size, own_angle = box_from_five_points(FIVE)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = box_from_five_points(0.7 * FIVE @ turn.T + [9, 5])
    np.testing.assert_allclose(moved[0], 0.7 * turn @ center + [9, 5])
    assert moved[1:] == pytest.approx((0.7 * size, own_angle + angle))
    assert FIVE[:, 1].min() < center[1] < FIVE[:, 1].max()


def test_yunet_answers_become_proposals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points found in the shrunken image come back in photo pixels, turned faces with their angle."""
    sizes = []

    class Detector:
        def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802
            sizes.append(size)

        def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
            assert image.shape[1::-1] == sizes[-1]
            if image.max() == 0:
                return 1, None
            small = (FIVE + 0.5) / 2 - 0.5
            weaker = small[:, ::-1] * [-1, 1] + [600, 0]  # turned by 90 degrees
            rows = [[0, 0, 9, 9, *points.ravel(), score] for points, score in ((weaker, 0.6), (small, 0.9))]
            return 1, np.array(rows, np.float32)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Detector())
    model = tmp_path / "yunet.onnx"
    model.write_bytes(b"x")
    best, turned = find_faces(np.full((800, 1280, 3), 9, np.uint8), yunet_model=model)
    center, size, _ = box_from_five_points(FIVE)
    assert sizes == [(640, 400)]
    assert (best.kind, best.angle) == ("yunet", 0.0)
    assert best.score == pytest.approx(0.9)
    np.testing.assert_allclose(best.center, center, atol=1e-4)
    assert best.size == pytest.approx(size, rel=1e-5)
    assert turned.angle == pytest.approx(np.pi / 2)
    assert [p.kind for p in find_faces(np.zeros((90, 90, 3), np.uint8), yunet_model=model)] == ["whole"] * 3


def test_yunet_model_that_cannot_be_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(FileError, match=r"none\.onnx: does not exist"):
        find_faces(image, yunet_model=tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(FileError, match=r"bad\.onnx: cannot be used") as error:
        find_faces(image, yunet_model=tmp_path / "bad.onnx")
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""

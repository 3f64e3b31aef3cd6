"""Laws of landmark errors, and AFLW2000-3D's files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import landmark_drawing
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import FileError
from likeness.datasets.annotations import read_aflw2000_mat
from likeness.metrics import landmark_errors, read_aflw2000
from likeness.metrics.landmark_error import NORMALISERS, YAW_BINS, LandmarkErrors


def faces(count: int) -> np.ndarray:
    """(count, 68, 2): a face at different sizes and places, y down."""
    rng = np.random.default_rng(0)
    drawing = landmark_drawing() * [1, -1]
    return drawing * rng.uniform(0.5, 2, (count, 1, 1)) + rng.uniform(100, 400, (count, 1, 2))


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_no_error_is_none(normaliser: str) -> None:
    found = landmark_errors(faces(5), faces(5), normaliser)
    assert (found.mean, found.median, found.auc, found.failure_rate, found.missed) == (0, 0, 1, 0, 0)


def test_the_normalisers_are_these_lengths() -> None:
    truth = faces(3)
    eyes = truth[:, 36:42].mean(1) - truth[:, 42:48].mean(1)
    box = truth.max(1) - truth.min(1)
    expected = {
        "box": np.sqrt(box[:, 0] * box[:, 1]),
        "inter-ocular": np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1),
        "inter-pupil": np.linalg.norm(eyes, axis=1),
    }
    for name, length in expected.items():
        np.testing.assert_allclose(landmark_errors(truth + [3, 4], truth, name).errors, 5 / length)


@given(st.sampled_from(NORMALISERS), st.floats(0.1, 10), st.floats(-3, 3), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_size_and_place_do_not_matter(name: str, scale: float, shift: float, seed: int) -> None:
    truth = faces(2)
    found = truth + np.random.default_rng(seed).standard_normal(truth.shape)
    before, after = (
        landmark_errors(f(found), f(truth), name).errors for f in (lambda x: x, lambda x: scale * x + shift)
    )
    np.testing.assert_allclose(before, after)


def test_boxes_may_be_given_and_depth_is_ignored() -> None:
    truth = faces(2)
    deep = np.concatenate([truth, np.full((2, 68, 1), 7.0)], axis=-1)
    boxes = np.array([[0, 0, 50, 200], [10, 20, 110, 120]], float)
    np.testing.assert_allclose(landmark_errors(truth + [0, 1], deep, boxes=boxes).errors, 0.01)


def test_some_points_only() -> None:
    truth = faces(1)
    found = truth.copy()
    found[:, :17] += 1000
    assert landmark_errors(found, truth, points=np.arange(17, 68)).mean == 0


def test_the_area_is_that_under_the_curve() -> None:
    errors = np.abs(np.random.default_rng(0).normal(0, 0.06, 400))
    found = LandmarkErrors("box", errors)
    at, share = found.curve(20_001)
    assert found.auc == pytest.approx(np.diff(at) @ (share[1:] + share[:-1]) / 2 / 0.08, abs=1e-4)
    assert share[-1] == pytest.approx(1 - found.failure_rate)


def test_half_at_half_the_limit() -> None:
    found = LandmarkErrors("box", np.array([0.04, 0.04, 0.2, np.inf]))
    assert found.auc == 0.25
    assert found.failure_rate == 0.5
    assert found.missed == 1
    assert found.mean == pytest.approx(0.28 / 3)


def test_faces_not_found_are_failures() -> None:
    truth = faces(4)
    found = truth.copy()
    found[1] = np.nan
    result = landmark_errors(found, truth)
    assert (result.missed, result.failure_rate, result.auc, result.mean) == (1, 0.25, 0.75, 0)
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (read["faces"], read["missed"], read["normaliser"]) == (4, 1, "box")
    none = landmark_errors(np.full_like(truth, np.nan), truth)
    assert (none.mean, none.median, none.failure_rate) == (None, None, 1)


def test_bad_landmarks_are_refused() -> None:
    truth = faces(3)
    with pytest.raises(ValueError, match="N, 68, 2"):
        landmark_errors(truth[:, :67], truth[:, :67])
    with pytest.raises(ValueError, match="N, 68, 2"):
        landmark_errors(truth[:2], truth)
    with pytest.raises(ValueError, match="at least one face"):
        landmark_errors(truth[:0], truth[:0])
    with pytest.raises(ValueError, match="finite true"):
        landmark_errors(truth, truth * np.nan)
    with pytest.raises(ValueError, match="inter-ear"):
        landmark_errors(truth, truth, "inter-ear")
    with pytest.raises(ValueError, match="box only"):
        landmark_errors(truth, truth, "inter-pupil", boxes=np.ones((3, 4)))
    with pytest.raises(ValueError, match="of 0 for faces 0, 1, 2"):
        landmark_errors(truth, np.ones_like(truth))
    half = truth.copy()
    half[1, :30] = np.nan
    with pytest.raises(ValueError, match="faces 1"):
        landmark_errors(half, truth)


def aflw(folder: Path, name: str, yaw: float = 0.2, **content: np.ndarray) -> np.ndarray:
    io = pytest.importorskip("scipy.io")
    points = np.random.default_rng(0).uniform(100, 300, (3, 68))
    pose = np.array([[0.1, yaw, 0.3, 200, 210, -60, 0.001]])
    io.savemat(folder / f"{name}.mat", {"pt3d_68": points, "Pose_Para": pose, **content})
    (folder / f"{name}.jpg").write_bytes(b"photo")
    return points.T


def test_aflw2000_is_read(tmp_path: Path) -> None:
    points = aflw(tmp_path, "image00002")
    aflw(tmp_path, "image00004", yaw=-1.2)
    found = read_aflw2000(tmp_path)
    assert [photo.name for photo in found.photos] == ["image00002.jpg", "image00004.jpg"]
    np.testing.assert_allclose(found.landmarks[0], points - [1, 1, 0])
    assert found.yaw.tolist() == [0.2, -1.2]
    assert [found.in_yaw_bin(*limits).tolist() for limits in YAW_BINS] == [
        [True, False],
        [False, False],
        [False, True],
    ]
    assert landmark_errors(found.landmarks, found.landmarks).mean == 0


def test_unusable_annotations_are_listed(tmp_path: Path) -> None:
    aflw(tmp_path, "a")
    aflw(tmp_path, "b", pt3d_68=np.zeros((2, 68)))
    aflw(tmp_path, "c", pt3d_68=np.full((3, 68), np.nan))
    aflw(tmp_path, "d", Pose_Para=np.zeros((1, 2)))
    aflw(tmp_path, "e")
    (tmp_path / "e.jpg").unlink()
    aflw(tmp_path, "f")
    (tmp_path / "f.mat").write_bytes((tmp_path / "f.mat").read_bytes()[:300])
    found = read_aflw2000(tmp_path)
    assert len(found.photos) == 1
    assert [record.item for record in found.excluded] == ["b.mat", "c.mat", "d.mat", "e.mat", "f.mat"]
    assert "pt3d_68" in found.excluded[0].reason
    assert "Pose_Para" in found.excluded[2].reason
    assert ".jpg" in found.excluded[3].reason


def test_folders_without_annotations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such folder"):
        read_aflw2000(tmp_path / "none")
    with pytest.raises(FileError, match=r"no \.mat"):
        read_aflw2000(tmp_path)
    with pytest.raises(FileError, match="no such file"):
        read_aflw2000_mat(tmp_path / "x.mat")
    (tmp_path / "x.mat").write_bytes(b"garbage")
    (tmp_path / "x.jpg").write_bytes(b"photo")
    with pytest.raises(FileError, match="none of 1 annotations"):
        read_aflw2000(tmp_path)

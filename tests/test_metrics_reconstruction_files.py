"""Reconstruction error from files: landmark formats, many pairs in one process or two, pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("igl")

from reconstruction_surfaces import face_mesh, marks, moved

from likeness.datasets.scan_landmark_files import read_landmarks
from likeness.errors import FileError, LikenessError
from likeness.evaluate import scan_batches as reconstruction_files
from likeness.evaluate.scan_batches import ErrorSummary, ScanPair, measure_files, measure_pairs
from likeness.geometry.rotation import rotation_from_euler
from likeness.mesh import Mesh
from likeness.metrics.scan_alignment import Similarity
from likeness.metrics.scan_error import error_curve
from likeness.metrics.scan_landmarks import FaceLandmarks
from likeness.render.error_map import color_bar, error_colors, error_map

LJSON = {
    "groups": {"LJSON": {"labels": [{"label": "nose", "mask": [0]}], "landmarks": {"points": marks()[:7].tolist()}}}
}
PICKED = "<PickedPoints>" + "".join(
    f'<point active="1" y="{y}" z="{z}" x="{x}" name="a"/>' for x, y, z in marks()[:7]
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "# x y z\n" + "\n".join(" ".join(map(str, row)) for row in marks()[:7]) + "\n\n"),
        ("b.csv", "\n".join(",".join(map(str, row)) for row in marks()[:7])),
        ("c.json", json.dumps(marks()[:7].tolist())),
        ("d.ljson", json.dumps(LJSON)),
        ("e.pp", PICKED),
    ],
)
def test_landmark_files_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_landmarks(tmp_path / name)
    np.testing.assert_allclose(found.points, marks()[:7])
    assert found.nose_tip is None


def test_landmark_arrays_and_the_ibug_points_are_understood(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", marks().astype(np.float32))
    found = read_landmarks(tmp_path / "a.npy")
    assert found.nose_tip is not None
    np.testing.assert_allclose(found.nose_tip, marks()[7], rtol=1e-6)
    ibug = np.random.default_rng(0).normal(size=(68, 3))
    ibug[[36, 39, 42, 45, 33, 48, 54, 30]] = marks()
    for points in (ibug, ibug[17:]):
        subset = FaceLandmarks.from_points(points)
        np.testing.assert_array_equal(subset.points, ibug[[36, 39, 42, 45, 33, 48, 54]])
        np.testing.assert_array_equal(subset.nose_tip, ibug[30])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("six.txt", b"1 2 3\n" * 6),
        ("flat.txt", b"1 2\n" * 7),
        ("ragged.txt", b"1 2 3\n" * 6 + b"1 2\n"),
        ("line.txt", b"\n".join(b"%d %d 0" % (i, i) for i in range(7))),
        ("nan.txt", b"1 2 3\n0 1 0\n" * 3 + b"nan 0 0\n"),
        ("words.txt", b"right eye 1 2 3\n" * 7),
        ("binary.txt", b"\xff\xfe\x00\x01"),
        ("empty.txt", b""),
        ("none.json", b'{"version": 1}'),
        ("broken.json", b"[[1, 2"),
        ("deep.json", b"[" * 100_000),
        ("names.json", b'[{"x": 1}]'),
        ("short.npy", b"\x93NUMPY\x01\x00"),
        ("zip.npy", b"PK\x03\x04 and more"),
        ("points.pp", b'<point x="1" y="2"/>'),
        ("missing.txt", None),
    ],
)
def test_bad_landmark_files_are_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=name):
        read_landmarks(tmp_path / name)


@pytest.fixture
def pairs(tmp_path: Path) -> list[ScanPair]:
    """Four pairs of files; the scan of the third is damaged, and the second's mesh has no triangles."""
    made = []
    for number in range(4):
        pair = ScanPair(*(tmp_path / f"{number}-{part}" for part in ("scan.ply", "scan.txt", "mesh.obj", "mesh.npy")))
        face_mesh(20).save(pair.scan)
        np.savetxt(pair.scan_landmarks, marks()[:7])
        face_mesh(15, 0.3 * number).save(pair.mesh)
        np.save(pair.mesh_landmarks, marks(0.3 * number))
        made.append(pair)
    Path(made[2].scan).write_bytes(b"ply\nformat ascii 1.0\nnonsense")
    Mesh(np.eye(3), np.empty((0, 3), int)).save(made[1].mesh)
    return made


@pytest.mark.parametrize("processes", [1, 2])
def test_a_bad_file_is_listed_and_the_others_go_on_in_order(pairs: list[ScanPair], processes: int) -> None:
    results = list(measure_pairs([pairs[0], *map(tuple, pairs[1:])], "now", processes=processes))
    assert [result.pair for result in results] == pairs
    assert [result.error is None for result in results] == [False, True, True, False]
    assert "1-mesh.obj" in (results[1].failure or "")
    assert "2-scan.ply" in (results[2].failure or "")
    alone = [measure_files(pairs[number], "now") for number in (0, 3)]
    assert [result.error.error for result in results if result.error] == [one.error for one in alone]


def test_a_summary_is_over_all_points_and_over_all_scans(pairs: list[ScanPair]) -> None:
    alone = [measure_files(pairs[number], "now") for number in (0, 3)]
    errors = np.array([one.error for one in alone])
    summary = ErrorSummary("now", errors, np.concatenate([one.distances for one in alone]), ("a", "b"))
    assert (summary.total, len(summary.errors), len(summary.failures)) == (4, 2, 2)
    together = np.concatenate([one.distances for one in alone])
    assert summary.protocol == "now"
    assert (summary.median, summary.mean, summary.std) == pytest.approx(
        (np.median(together), together.mean(), together.std()), rel=1e-6
    )
    assert summary.scan_mean == pytest.approx(np.mean([one.error for one in alone]))
    assert summary.scan_std == pytest.approx(np.std([one.error for one in alone]))
    assert summary.curve().auc == pytest.approx(error_curve(together).auc, abs=1e-6)


def test_abandoning_a_run_ends_its_processes(pairs: list[ScanPair]) -> None:
    results = measure_pairs(pairs * 3, processes=2)
    assert next(results).error is not None
    results.close()  # type: ignore[attr-defined]


def test_pairs_that_do_not_fit_name_the_files(pairs: list[ScanPair]) -> None:
    np.savetxt(pairs[0].scan_landmarks, marks()[:7] + 5000)
    with pytest.raises(FileError, match=r"0-scan\.ply: cannot be measured against .*0-mesh\.obj: .*found none"):
        measure_files(pairs[0])


def test_runs_refuse_what_no_file_can_be_blamed_for(pairs: list[ScanPair]) -> None:
    with pytest.raises(ValueError, match="expected a protocol"):
        measure_pairs(pairs, "NoW")
    with pytest.raises(ValueError, match="at least one process"):
        measure_pairs(pairs, processes=0)


def test_a_dead_process_is_reported_with_its_pair(pairs: list[ScanPair]) -> None:
    future: Future[reconstruction_files.ScanResult] = Future()
    future.set_exception(BrokenProcessPool())
    with pytest.raises(LikenessError, match=r"died while .*0-scan\.ply"):
        reconstruction_files._result(pairs[0], future)


def test_colours_run_from_light_to_dark_and_the_unmeasured_is_grey() -> None:
    colors = error_colors(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 9.0, np.nan]), 4.0)
    lightness = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness[:5]) < -0.05).all()
    np.testing.assert_array_equal(colors[4], colors[5])
    assert np.ptp(colors[6]) == 0
    bar = color_bar(4.0, 360)
    assert bar.shape == (360, 72, 3)
    np.testing.assert_allclose(bar[46, 10], 255 * colors[4], atol=6)
    np.testing.assert_allclose(bar[313, 10], 255 * colors[0], atol=6)


def axes_of(points: np.ndarray) -> np.ndarray:
    return FaceLandmarks.from_points(points).axes()


def test_error_maps_show_the_face_upright_in_any_pose() -> None:
    scan = face_mesh(40)
    errors = np.where(scan.vertices[:, 2] > 0, np.where(scan.vertices[:, 0] > 0, 4.0, 0.0), np.nan)
    picture = error_map(scan, errors, axes_of(marks()))
    assert picture.shape == (360, 432, 3)
    assert picture.dtype == np.uint8
    right, left = (
        picture[180, 100].astype(float),
        picture[180, 260].astype(float),
    )  # the subject's right is image left
    np.testing.assert_allclose(right, 255 * error_colors(np.array(0.0), 4.0), atol=30)
    np.testing.assert_allclose(left, 255 * error_colors(np.array(4.0), 4.0), atol=30)
    np.testing.assert_array_equal(picture[2, 2], 255)
    turned, turned_marks = moved(scan, marks(), Similarity(1.0, rotation_from_euler(2.0, 1.0, 0.5), np.full(3, 99.0)))
    again = error_map(turned, errors, axes_of(turned_marks))
    assert (np.abs(picture.astype(int) - again) > 8).mean() < 0.01
    assert error_map(scan, errors, axes_of(marks()), bar=False, side=64).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scan, errors: (Mesh(scan.vertices, np.empty((0, 3), int)), errors, {}),
        lambda scan, errors: (scan, errors[1:], {}),
        lambda scan, errors: (scan, errors * np.nan, {}),
        lambda scan, errors: (scan, errors, {"limit": 0.0}),
        lambda scan, errors: (scan, errors, {"side": 8}),
    ],
)
def test_bad_error_maps_are_refused(spoil: Callable[..., tuple[Mesh, np.ndarray, dict[str, float]]]) -> None:
    mesh = face_mesh(9)
    scan, errors, options = spoil(mesh, np.ones(len(mesh.vertices)))
    with pytest.raises(ValueError, match="expected"):
        error_map(scan, errors, np.eye(3), **options)  # type: ignore[arg-type]

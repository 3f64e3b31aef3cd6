"""`likeness fit`: files of points in, heads out; one line and exit code 2 for what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fit_data import CAMERA, photographed

from likeness import FaceModel, Mesh, cli
from likeness.assets import asset
from likeness.fit import IBUG


def run(*arguments: object) -> int:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    model = FaceModel.load(asset("face_model.npz"))
    return photographed(model, IBUG, np.random.default_rng(0), expression=np.zeros(52)).pixels


def written(folder: Path, points: np.ndarray) -> dict[str, Path]:
    """The same points in every format that is read."""
    paths = {suffix: folder / f"face{suffix.replace('.', '_')}{suffix}" for suffix in (".json", ".npy", ".npz")}
    paths[".json"].write_text(json.dumps({"landmarks": points.tolist(), "photo_size": [640, 480]}))
    np.save(paths[".npy"], points)
    np.savez(paths[".npz"], landmarks=points)
    return paths


def test_points_that_are_marked_are_not_seen(truth: np.ndarray, tmp_path: Path) -> None:
    hidden = [3, 40, 41]
    marked, empty = truth.copy(), truth.copy()
    marked[hidden], empty[hidden] = -1, np.nan
    np.save(tmp_path / "marked.npy", marked)
    np.save(tmp_path / "empty.npy", empty)
    lines = "\n".join(f"{x} {y}" for x, y in np.where(marked == -1, -1, marked + 1))  # iBUG counts from 1
    (tmp_path / "ibug.pts").write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")
    paths = [tmp_path / name for name in ("marked.npy", "empty.npy", "ibug.pts")]
    assert run("fit", *paths, "-o", tmp_path / "out", "--size", 640, 480, "--focal", CAMERA.focal) == 0
    heads = [json.loads((tmp_path / "out" / f"{path.stem}.json").read_text()) for path in paths]
    assert heads[0]["identity"] == heads[1]["identity"]
    np.testing.assert_allclose(heads[2]["identity"], heads[1]["identity"], atol=1e-3)  # read as float32


def test_every_format_gives_the_same_head(
    truth: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = written(tmp_path, truth)
    paths["list"] = tmp_path / "points.json"
    paths["list"].write_text(json.dumps(truth.tolist()))
    out = tmp_path / "out"
    assert run("fit", *paths.values(), "-o", out, "--size", 640, 480, "--focal", CAMERA.focal) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("px (RMS)" in line for line in lines)
    found = [json.loads((out / f"{path.stem}.json").read_text()) for path in paths.values()]
    for other in found[1:]:
        assert other["identity"] == found[0]["identity"]
    assert found[0]["camera"]["focal"] == CAMERA.focal
    assert np.abs(np.array(found[0]["landmarks"]) - truth).mean() < 2.0
    assert found[0]["converged"]
    assert len(Mesh.load(out / f"{paths['.npy'].stem}.obj").vertices) == 4570
    assert (out / f"{paths['.npy'].stem}.glb").stat().st_size > 100_000


def test_ibug_points_count_from_one(truth: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("torch")  # the reader of .pts lives with training's
    pytest.importorskip("lightning")
    lines = "\n".join(f"{x + 1:.4f} {y + 1:.4f}" for x, y in truth)
    (tmp_path / "a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")
    np.save(tmp_path / "b.npy", truth)
    given = ("--size", 640, 480, "--focal", 1500, "--formats", "json", "-o", tmp_path)
    assert run("fit", tmp_path / "a.pts", tmp_path / "b.npy", *given) == 0
    a, b = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    np.testing.assert_allclose(a["identity"], b["identity"], atol=2e-2)


def test_photos_of_one_person_share_a_shape(tmp_path: Path) -> None:
    model, rng = FaceModel.load(asset("face_model.npz")), np.random.default_rng(1)
    code = rng.standard_normal(128)
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.npy")
        np.save(paths[-1], photographed(model, IBUG, rng, identity=code).pixels)
    given = ("--size", 640, 480, "--formats", "json", "-o", tmp_path / "out")
    assert run("fit", *paths, *given, "--together") == 0
    fields = [json.loads((tmp_path / "out" / f"{number}.json").read_text()) for number in range(3)]
    assert fields[0]["identity"] == fields[1]["identity"] == fields[2]["identity"]
    assert len({field["camera"]["focal"] for field in fields}) == 3
    assert run("fit", paths[0], *given) == 0
    alone = json.loads((tmp_path / "out" / "0.json").read_text())
    assert alone["uncertainty_mm"] > fields[0]["uncertainty_mm"]


def test_the_photo_beside_tells_the_size_and_points_of_the_surface_are_taken(tmp_path: Path) -> None:
    import cv2
    from fit_data import front_points

    model, rng = FaceModel.load(asset("face_model.npz")), np.random.default_rng(2)
    points = front_points(model, 150, rng)
    np.savez(tmp_path / "points.npz", vertices=points.vertices, weights=points.weights)
    np.save(tmp_path / "face.npy", photographed(model, points, rng).pixels)
    cv2.imwrite(str(tmp_path / "face.png"), np.zeros((480, 640, 3), np.uint8))
    arguments = ("--surface", tmp_path / "points.npz", "-o", tmp_path / "out", "--formats", "json")
    assert run("fit", tmp_path / "face.npy", *arguments) == 0
    fields = json.loads((tmp_path / "out" / "face.json").read_text())
    assert fields["photo_size"] == [640, 480]


def test_files_that_cannot_be_used_are_named(
    truth: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.npy"
    np.save(good, truth)
    bad = {
        name: tmp_path / name for name in ("missing.npy", "text.npy", "few.npy", "nan.npy", "list.json", "face.xyz")
    }
    bad["text.npy"].write_text("I am no array")
    np.save(bad["few.npy"], truth[:5])
    np.save(bad["nan.npy"], np.full((68, 2), np.nan))
    bad["list.json"].write_text("[1, 2]")
    bad["face.xyz"].write_text("1 2")
    out = ("-o", tmp_path / "out", "--formats", "json")
    assert run("fit", good, *bad.values(), *out, "--size", 640, 480) == 2
    heard = capsys.readouterr()
    problems = heard.err.splitlines()
    assert len(problems) == len(bad)
    assert all(any(name in line for line in problems) for name in bad)
    assert (tmp_path / "out" / "good.json").is_file()
    assert run("fit", good, *out) == 2
    assert "--size" in capsys.readouterr().err


def test_nothing_of_others_is_overwritten(
    truth: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / person / "face.npy" for person in ("anna", "berta")]
    for number, file in enumerate(files):
        file.parent.mkdir()
        np.save(file, truth + number)
    out = tmp_path / "out"
    known = ("-o", out, "--size", 640, 480, "--focal", CAMERA.focal, "--formats", "json")
    assert run("fit", *files, *known) == 0
    results = [out / person / "face.json" for person in ("anna", "berta")]
    assert [path.is_file() for path in results] == [True, True]
    results[0].write_text("mine")
    assert run("fit", *files, *known) == 2
    assert "anna/face.json" in capsys.readouterr().err
    assert results[0].read_text() == "mine"
    assert run("fit", *files, *known, "--overwrite") == 0
    assert json.loads(results[0].read_text())["photo"] == "anna/face"

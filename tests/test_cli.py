"""The command line: results, exit codes, one line per problem, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from likeness import FaceModel, Mesh, Reconstructor, cli, files
from likeness.assets import asset


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cv2

    path = tmp_path_factory.mktemp("photos") / "portrait.jpg"
    cv2.imwrite(str(path), pytest.importorskip("skimage.data").astronaut()[..., ::-1])
    return path


def visible(folder: Path) -> set[str]:
    """The files below a folder, without the records of who wrote them."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if not path.parts[0].startswith(".")}


def run(*arguments: object) -> int:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_one_photo(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reconstruct", portrait, "-o", tmp_path / "out") == 0
    assert visible(tmp_path / "out") == {
        *(f"portrait.{format}" for format in ("glb", "obj", "mtl", "json", "png")),
        "portrait-texture.jpg",
    }
    assert "1 face in 1 photo" in capsys.readouterr().out


def bad_photos(folder: Path, portrait: Path) -> dict[str, Path]:
    import cv2

    paths = {name: folder / f"{name}.jpg" for name in ("text", "truncated", "empty", "tiny", "missing", "flat")}
    paths["text"].write_text("I am no photo")
    paths["truncated"].write_bytes(portrait.read_bytes()[:9000])
    paths["empty"].write_bytes(b"")
    cv2.imwrite(str(paths["tiny"]), np.zeros((10, 10, 3), np.uint8))
    cv2.imwrite(str(paths["flat"]), np.full((200, 200, 3), 90, np.uint8))
    paths["directory"] = folder / "directory.jpg"
    paths["directory"].mkdir()
    paths["huge"] = folder / "huge.png"
    paths["huge"].write_bytes(huge_png_header(20_000))
    return paths


def huge_png_header(side: int) -> bytes:
    """The beginning of a PNG that claims side x side pixels."""
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def test_bad_photos_are_named_one_line_each_and_the_good_one_is_done(
    portrait: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photos = bad_photos(tmp_path, portrait)
    code = run("reconstruct", *photos.values(), portrait, "-o", tmp_path / "out", "--formats", "json")
    assert code == 2
    assert visible(tmp_path / "out") == {"portrait.json"}
    captured = capfd.readouterr()
    for path in photos.values():
        assert sum(path.name in line for line in captured.err.splitlines()) == 1, path.name
    assert "1 face in 9 photos" in captured.out
    assert "1 without a face" in captured.out
    assert "7 failed" in captured.out


def test_photos_of_one_name_do_not_overwrite_each_other(portrait: Path, tmp_path: Path) -> None:
    other = tmp_path / "portrait.jpg"
    other.write_bytes(portrait.read_bytes())
    assert run("reconstruct", portrait, other, "-o", tmp_path / "out", "--formats", "json") == 0
    assert visible(tmp_path / "out") == {f"{path.parent.name}/portrait.json" for path in (portrait, other)}


@pytest.mark.parametrize("views", [1, 4])
def test_views_are_those_of_the_reconstructor(portrait: Path, tmp_path: Path, views: int) -> None:
    assert run("reconstruct", portrait, "-o", tmp_path, "--views", views, "--formats", "json") == 0
    score = json.loads((tmp_path / f"{portrait.stem}.json").read_text())["score"]
    assert score == pytest.approx(Reconstructor(views=views, threads=1)(portrait)[0].score, abs=1e-4)


def test_an_output_folder_that_is_a_file(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out"
    target.write_text("mine")
    assert run("reconstruct", portrait, "-o", target) == 2
    assert str(target) in capsys.readouterr().err
    assert target.read_text() == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_folder(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "locked"
    target.mkdir(mode=0o555)
    assert run("reconstruct", portrait, "-o", target) == 2
    assert str(target) in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_half_written(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(source: str, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    assert run("reconstruct", portrait, "-o", tmp_path / "out", "--formats", "json") == 2
    assert "No space left" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_exit_with_2(tmp_path: Path) -> None:
    assert run("reconstruct") == 2
    assert run("reconstruct", "a.jpg", "--formats", "fbx", "-o", tmp_path) == 2
    assert run("nonsense") == 2


def test_models_info(small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_model.save(tmp_path / "small.npz")
    assert run("models", "info", tmp_path / "small.npz") == 0
    out = capsys.readouterr().out
    assert "52 blendshapes" in out
    assert "68 iBUG points" in out
    assert run("models", "info", __file__) == 2
    assert "test_cli.py" in capsys.readouterr().err


def test_models_convert(small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_model.save(tmp_path / "small.npz")
    assert run("models", "convert", tmp_path / "small.npz", tmp_path / "again.npz") == 0
    assert str(tmp_path / "again.npz") in capsys.readouterr().out
    np.testing.assert_allclose(FaceModel.load(tmp_path / "again.npz").mean, small_model.mean, atol=1e-4)
    assert run("models", "convert", tmp_path / "small.npz", tmp_path / "again.obj") == 2
    assert ".npz" in capsys.readouterr().err
    assert run("models", "convert", tmp_path / "none.npz", tmp_path / "again.npz") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run("models", "convert", tmp_path / "small.npz", tmp_path / "again.npz", "--contours", "x.json") == 2
    assert "has its own" in capsys.readouterr().err
    assert run("models") == 2


def test_register_names_bad_scans_and_does_the_good_one(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("igl")
    from register_scans import POSE, code_of, raw_scan

    code = code_of(small_model, 3)
    small_model.save(tmp_path / "model.npz")
    good, cloud, text, flat = (tmp_path / f"{name}.ply" for name in ("good", "cloud", "text", "flat"))
    raw_scan(small_model, code).save(good)
    Mesh(np.eye(3), np.zeros((0, 3), int)).save(cloud)
    text.write_text("I am no scan")
    Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])).save(flat)
    points, few = tmp_path / "points.txt", tmp_path / "few.txt"
    np.savetxt(points, POSE.apply(small_model.landmark_points(code)[:51]))
    np.savetxt(few, np.zeros((50, 3)))
    scans = [cloud, text, flat, tmp_path / "none.ply", good, good]
    out, model = ["-o", tmp_path / "out"], ["--model", tmp_path / "model.npz"]
    assert run("register", *scans, *out, *model, "--landmarks", *[points] * 5, few) == 2
    assert visible(tmp_path / "out") == {f"good.{f}" for f in ("obj", "glb", "json", "png")}
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 5
    for line, name in zip(lines, ("cloud.ply", "text.ply", "flat.ply", "none.ply", "few.txt"), strict=True):
        assert name in line
    assert "good: scan in m" in captured.out
    assert "1 head of 6 scans" in captured.out
    assert run("register", good, *out, *model, "--landmarks", points, "--formats", "json") == 0
    assert run("register", good, *out, *model, "--landmarks", points, points) == 2
    assert run("register") == 2


def test_register_on_a_full_disk_leaves_nothing_half_written(
    small_model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("igl")
    from register_scans import POSE, code_of, raw_scan

    code = code_of(small_model, 3)
    small_model.save(tmp_path / "model.npz")
    raw_scan(small_model, code).save(tmp_path / "scan.ply")
    np.savetxt(tmp_path / "points.txt", POSE.apply(small_model.landmark_points(code)[:51]))

    def full(source: str, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    options = ["--model", tmp_path / "model.npz", "--landmarks", tmp_path / "points.txt", "-o", tmp_path / "out"]
    assert run("register", tmp_path / "scan.ply", *options) == 2
    assert "No space left" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_train_scans_writes_model_encoder_and_figures(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("scipy")
    template = tmp_path / "small.npz"
    small_model.save(template)
    out = tmp_path / "made" / "sphere.npz"
    arguments = ("train", "scans", template, "-o", out, "--template", template, "--size", 8, "--budget", 1000)
    assert run(*arguments, "--run", tmp_path / "run", "--resume") in (0, 1)
    assert FaceModel.load(out).identity_space == "sphere"
    assert visible(out.parent) == {"sphere.npz", "sphere.encoder.npz", "sphere.json"}
    assert "sphere_mm" in capsys.readouterr().out
    assert run("train", "scans", tmp_path / "nothing", "-o", out, "--template", template) == 2
    assert "nothing" in capsys.readouterr().err
    assert run("train", "scans", template, "-o", out, "--resume") == 2
    assert "--run" in capsys.readouterr().err


def test_train_photos_says_what_it_cannot_use(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("lightning")
    from train_sources import write_frames

    model, frames = tmp_path / "small.npz", write_frames(tmp_path / "frames.tar")
    small_model.save(model)
    common = ("train", "photos", "-o", tmp_path / "run", "--model", model, "--budget", 50, "--accelerator", "cpu")
    for wrong, named in (
        ((), "nothing to learn from"),
        (("--data", tmp_path / "nowhere"), "nowhere"),
        (("--data", frames, "--teacher", tmp_path / "teacher.onnx"), "teacher.onnx"),
        (("--data", frames, "--morphs", tmp_path), "image.npy"),
        (("--data", frames, "--synthetic", tmp_path), "rgba.npy"),
        (("--data", frames, "--labeller", tmp_path), "checkpoint.pt"),
    ):
        assert run(*common, *wrong) == 2, wrong
        assert named in capsys.readouterr().err
    frames.write_bytes(frames.read_bytes()[:3000])
    assert run(*common, "--data", frames) == 2
    assert "frames.tar" in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    "command", ["reconstruct", "register", "train photos", "evaluate landmarks", "models convert"]
)
def test_help_names_what_is_expected_and_not_what_is_left_out(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    listed = capsys.readouterr().out
    assert "PATH" in listed
    assert "{None" not in listed


def test_the_help_of_train_photos_shows_what_the_chosen_recipe_sets(capsys: pytest.CaptureFixture[str]) -> None:
    from likeness.train.recipes import RECIPES

    for name, shown in (("heads", "landmark 2.8"), ("places", "frames 44"), ("tikhonov", "identity_prior 0.05")):
        with pytest.raises(SystemExit):
            cli.main(["train", "photos", "--recipe", name, "--help"])
        listed = capsys.readouterr().out
        assert f"Recipe {name} sets" in listed
        assert shown in listed
        assert all(f"{one}: {preset.about}" in listed for one, preset in RECIPES.items())


def test_recipes_are_those_that_the_command_takes_and_cannot_be_changed() -> None:
    from dataclasses import FrozenInstanceError
    from typing import get_args

    from likeness.train.recipes import RECIPES, RecipeName

    assert set(RECIPES) == set(get_args(RecipeName))
    with pytest.raises(FrozenInstanceError):
        RECIPES["sir"].remain = 0.5  # type: ignore[misc]
    with pytest.raises(TypeError):
        RECIPES["sir"].taught["told"] = 1.0  # type: ignore[index]


def test_settings_and_recipes_need_no_torch() -> None:
    code = "import sys, likeness.cli.main, likeness.train.recipes; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False"]


@pytest.mark.parametrize("spelling", [["likeness", "train", "synthetic"], ["likeness.train.synthetic"]])
def test_rendered_faces_come_by_both_spellings(spelling: list[str], small_model: FaceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path / "small.npz")
    command = [sys.executable, "-m", *spelling, "--model", tmp_path / "small.npz", "--out", tmp_path / "set"]
    made = subprocess.run([*map(str, command), "--count", "3"], capture_output=True, text=True, check=True)
    first, *_, last = made.stdout.splitlines()
    assert first == "rendering faces 0/3 (0 %)"
    assert last == f"3 faces -> {tmp_path / 'set'}"
    assert np.load(tmp_path / "set" / "rgba.npy").shape[0] == 3


def test_rendered_faces_are_of_the_embedded_model_where_none_is_given(tmp_path: Path) -> None:
    assert run("train", "synthetic", "-o", tmp_path / "set", "--count", 1, "--quiet") == 0
    model = FaceModel.load(asset("face_model.npz"))
    assert np.load(tmp_path / "set" / "identity.npy").shape == (1, len(model.identity_basis))


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        ("synthetic", ["--model", "none.npz"], "none.npz"),
        ("morphs", ["--data", "nowhere", "--teacher", "t.onnx"], "nowhere"),
        ("detector", ["--data", "nowhere", "--model", "none.npz", "--synthetic", "set"], "none.npz"),
        ("export", ["--run", "nowhere"], "nowhere"),
    ],
)
def test_what_the_other_trainings_cannot_use_is_named(
    command: str, arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("lightning")
    assert run("train", command, "-o", tmp_path / "out", *arguments) == 2
    assert named in capsys.readouterr().err

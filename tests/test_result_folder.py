"""Folders of results: what a user owns stays, a rerun replaces its own, names depend on no order."""

from __future__ import annotations

import json
import multiprocessing
import os
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from likeness import FaceModel, FileError, cli
from likeness.result_folder import RECORDS, ResultFolder, Source, nothing_empty_left
from likeness.result_names import LONGEST_NAME, ResultNames, fitted


def run(*arguments: object) -> int:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def portrait(path: Path) -> Path:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pytest.importorskip("skimage.data").astronaut()[:300, 100:400, ::-1])
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Content by path, without the records."""
    found = (path for path in folder.rglob("*") if path.is_file() and RECORDS not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def write(results: ResultFolder, source: Path | str, name: str, **contents: str) -> None:
    def fill(stage: Path) -> None:
        for suffix, text in contents.items():
            (stage / f"{name}.{suffix}").parent.mkdir(parents=True, exist_ok=True)
            (stage / f"{name}.{suffix}").write_text(text)

    results.save(name, Source(str(source)), fill)


def test_a_file_of_the_users_stays_and_with_it_all_else(tmp_path: Path) -> None:
    (tmp_path / "me.json").write_text("mine")
    results = ResultFolder(tmp_path, "reconstruct")
    with pytest.raises(FileError, match=r"me\.json.*--overwrite"):
        write(results, "/a/me.jpg", "me", glb="head", json="numbers")
    assert files_of(tmp_path) == {"me.json": b"mine"}
    assert not (tmp_path / RECORDS).exists()
    write(ResultFolder(tmp_path, "reconstruct", overwrite=True), "/a/me.jpg", "me", glb="head", json="numbers")
    assert files_of(tmp_path) == {"me.glb": b"head", "me.json": b"numbers"}


def test_a_rerun_replaces_its_own_until_they_are_changed(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, "reconstruct")
    write(results, "/a/me.jpg", "me", obj="1", json="1")
    write(results, "/a/me.jpg", "me", obj="2")
    assert files_of(tmp_path) == {"me.obj": b"2", "me.json": b"1"}
    (tmp_path / "me.obj").write_text("sculpted")
    with pytest.raises(FileError, match=r"me\.obj"):
        write(results, "/a/me.jpg", "me", obj="3", json="3")
    assert files_of(tmp_path) == {"me.obj": b"sculpted", "me.json": b"1"}
    for other, source in (("reconstruct", "/b/me.jpg"), ("register", "/a/me.jpg")):
        with pytest.raises(FileError, match=r"me\.json"):
            write(ResultFolder(tmp_path, other), source, "me", json="4")
    (tmp_path / "me.json").unlink()
    write(results, "/a/me.jpg", "me", json="5")
    assert files_of(tmp_path)["me.json"] == b"5"


def test_a_link_to_a_file_of_the_users_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    os.symlink(mine, out / "me.json")
    with pytest.raises(FileError, match=r"me\.json"):
        write(ResultFolder(out, "reconstruct"), "/a/me.jpg", "me", json="1")
    write(ResultFolder(out, "reconstruct", overwrite=True), "/a/me.jpg", "me", json="1")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"command": 1, "source": 2, "sha256": 3, "files": {"me.json": 4}}']
)
def test_without_a_record_that_can_be_read_files_are_somebody_elses(tmp_path: Path, damage: bytes) -> None:
    results = ResultFolder(tmp_path, "reconstruct")
    write(results, "/a/me.jpg", "me", json="1")
    (tmp_path / RECORDS / "me.json").write_bytes(damage)
    with pytest.raises(FileError, match=r"me\.json"):
        write(results, "/a/me.jpg", "me", json="2")
    assert files_of(tmp_path) == {"me.json": b"1"}


def test_a_run_killed_between_record_and_files_is_known_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ResultFolder(tmp_path, "reconstruct")
    write(results, "/a/me.jpg", "me", glb="1", json="1")
    replace, seen = os.replace, []

    def killed(source: str, target: str) -> None:
        if Path(target).suffix == ".json" and RECORDS not in Path(target).parts:
            seen.append(target)
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write(results, "/a/me.jpg", "me", glb="2", json="2")
    assert seen
    assert files_of(tmp_path) == {"me.glb": b"2", "me.json": b"1"}
    write(results, "/a/me.jpg", "me", glb="3", json="3")
    assert files_of(tmp_path) == {"me.glb": b"3", "me.json": b"3"}


SAME = ("/lfw/anna/1.jpg", "/lfw/berta/1.jpg", "/lfw/berta/2.jpg", "/lfw/berta/2.png", "/other/anna/3.jpg")


def test_names_depend_neither_on_order_nor_on_the_subset(tmp_path: Path) -> None:
    expected = {
        "/lfw/anna/1.jpg": "anna/1",
        "/lfw/berta/1.jpg": "berta/1",
        "/lfw/berta/2.jpg": "berta/2.jpg",
        "/lfw/berta/2.png": "berta/2.png",
        "/other/anna/3.jpg": "anna/3",
    }
    for number, order in enumerate(list(permutations(SAME))[::7]):
        results = ResultFolder(tmp_path / str(number), "reconstruct")
        names = ResultNames(results, order)
        assert {source: names.of(Source(source)) for source in order} == expected
        for source in order[:2]:
            assert ResultNames(results, [source]).of(Source(source)) == expected[source]


def test_a_later_run_takes_no_others_name(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, "reconstruct")
    assert ResultNames(results, ["/a/me.jpg"]).of(Source("/a/me.jpg")) == "me"
    assert ResultNames(results, ["/b/me.jpg"]).of(Source("/b/me.jpg")) == "b/me"
    both = ResultNames(results, ["/b/me.jpg", "/a/me.jpg"])
    assert [both.of(Source(path)) for path in ("/a/me.jpg", "/b/me.jpg")] == ["me", "b/me"]
    assert ResultNames(results, ["/c/b/me.jpg"]).of(Source("/c/b/me.jpg")) == "c/b/me"


def test_further_faces_keep_away_from_photos_that_are_called_so(tmp_path: Path) -> None:
    for number, order in enumerate(permutations(("/a/me.jpg", "/a/me-2.jpg"))):
        results = ResultFolder(tmp_path / str(number), "reconstruct")
        names = ResultNames(results, order)
        for source in order:
            for face in (0, 1):
                name = names.of(Source(source), face)
                write(results, source, name, json=f"{source} {face}")
        assert {name: text.decode() for name, text in files_of(results.folder).items()} == {
            "me.json": "/a/me.jpg 0",
            "me-face2.json": "/a/me.jpg 1",
            "me-2.json": "/a/me-2.jpg 0",
            "me-2-2.json": "/a/me-2.jpg 1",
        }


def test_a_rerun_with_fewer_faces_removes_the_others_but_no_changed_file(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, "reconstruct")
    for source in ("/a/me.jpg", "/a/you.jpg"):
        names = ResultNames(results, [source])
        for face in range(4):
            write(results, source, names.of(Source(source), face), json=f"{face}", obj=f"{face}")
    (tmp_path / "me-3.obj").write_text("sculpted")
    ResultNames(results, ["/a/me.jpg"]).remove_from(Source("/a/me.jpg"), 1)
    mine = {name for name in files_of(tmp_path) if name.startswith("me")}
    assert mine == {"me.json", "me.obj", "me-3.obj"}
    assert len(files_of(tmp_path)) == 3 + 8
    ResultNames(results, ["/a/me.jpg"]).remove_from(Source("/a/me.jpg"), 0)
    assert {name for name in files_of(tmp_path) if name.startswith("me")} == {"me-3.obj"}


def test_long_names_are_shortened_by_a_digest() -> None:
    assert fitted("a" * LONGEST_NAME) == "a" * LONGEST_NAME
    long = [fitted("ä" * 120 + "b" * count) for count in (7, 8, 9)]
    assert len(set(long)) == 3
    assert long == [fitted("ä" * 120 + "b" * count) for count in (7, 8, 9)]
    assert all(len(os.fsencode(name)) <= LONGEST_NAME for name in long)
    assert LONGEST_NAME + len("-999-texture.jpg") <= 255


def _many(folder: Path, first: int) -> None:
    for number in range(first, first + 20):
        source = f"/{first}/{number % 10}.jpg"
        results = ResultFolder(folder, "reconstruct")
        name = ResultNames(results, [source]).of(Source(source))
        write(results, source, name, json=source, obj=source)


PLAIN = ("--texture", "none", "--formats")


def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_many, args=(tmp_path, first)) for first in (100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = files_of(tmp_path)
    assert len(found) == 2 * 2 * 10
    assert sorted(set(found.values())) == sorted(f"/{f}/{n}.jpg".encode() for f in (100, 200) for n in range(10))
    assert not list(tmp_path.rglob("unfinished-*"))


def test_reconstruct_into_the_photos_own_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, other = portrait(tmp_path / "me.png"), portrait(tmp_path / "you.jpg")
    (tmp_path / "you.json").write_text("notes")
    third = portrait(tmp_path / "they.jpg")
    before = files_of(tmp_path)
    assert run("reconstruct", photo, other, third, "-o", tmp_path, *PLAIN, "glb", "json", "png") == 2
    after = files_of(tmp_path)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"they.glb", "they.json", "they.png"}
    lines = capsys.readouterr().err.splitlines()
    assert [
        name in line and "--overwrite" in line for name, line in zip(("me.png", "you.json"), lines, strict=True)
    ] == [
        True,
        True,
    ]
    assert run("reconstruct", other, "-o", tmp_path, "--overwrite", *PLAIN, "json") == 0
    assert json.loads((tmp_path / "you.json").read_bytes())["photo"] == "you"


def test_results_say_what_they_are_of(tmp_path: Path) -> None:
    photos = [portrait(tmp_path / person / "0001.jpg") for person in ("anna", "berta")]
    out = tmp_path / "out"
    assert run("reconstruct", *photos, "-o", out, *PLAIN, "json", "glb") == 0
    assert set(files_of(out)) == {f"{p}/0001.{s}" for p in ("anna", "berta") for s in ("json", "glb")}
    for photo in photos:
        content = json.loads((out / photo.parent.name / "0001.json").read_bytes())
        assert content["source"] == Source.of(photo).to_dict()
        assert content["source"]["path"] == str(photo)
    kept = files_of(out)["anna/0001.json"]
    photos[1].write_bytes(photos[0].read_bytes() + b"more")
    assert run("reconstruct", photos[1], "-o", out, "--formats", "json") == 0
    assert files_of(out)["anna/0001.json"] == kept
    assert json.loads(files_of(out)["berta/0001.json"])["source"] == Source.of(photos[1]).to_dict()
    assert len(files_of(out)) == 4


def test_a_photo_without_a_face_loses_its_old_results(tmp_path: Path) -> None:
    import cv2

    photo, out = portrait(tmp_path / "me.png"), tmp_path / "out"
    assert run("reconstruct", photo, "-o", out, "--formats", "json") == 0
    cv2.imwrite(str(photo), np.full((200, 200, 3), 90, np.uint8))
    assert run("reconstruct", photo, "-o", out, "--formats", "json") == 2
    assert files_of(out) == {}


def test_models_convert_onto_its_source_or_a_file_of_the_users(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, mine, target = (tmp_path / f"{name}.npz" for name in ("source", "mine", "target"))
    small_model.save(source)
    mine.write_bytes(b"mine")
    before = files_of(tmp_path)
    for file in (source, mine):
        assert run("models", "convert", source, file) == 2
        assert file.name in capsys.readouterr().err
    assert files_of(tmp_path) == before
    assert run("models", "convert", source, target) == 0
    assert run("models", "convert", source, target) == 0
    assert run("models", "convert", target, target) == 2
    assert run("models", "convert", source, mine, "--overwrite") == 0
    assert FaceModel.load(mine).name == small_model.name


def test_register_into_the_scans_own_folder(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("igl")
    from register_scans import POSE, code_of, raw_scan

    code = code_of(small_model, 3)
    small_model.save(tmp_path / "model.npz")
    raw_scan(small_model, code).save(tmp_path / "scan.obj")
    (tmp_path / "scan.png").write_bytes(b"texture")
    np.savetxt(tmp_path / "points.txt", POSE.apply(small_model.landmark_points(code)[:51]))
    before = files_of(tmp_path)
    options = ["--model", tmp_path / "model.npz", "--landmarks", tmp_path / "points.txt", "-o", tmp_path]
    assert run("register", tmp_path / "scan.obj", *options) == 2
    assert run("register", tmp_path / "scan.obj", *options, "--formats", "json", "png") == 2
    assert files_of(tmp_path) == before
    assert run("register", tmp_path / "scan.obj", *options, "--formats", "json") == 0
    content = json.loads((tmp_path / "scan.json").read_bytes())
    assert content["source"] == Source.of(tmp_path / "scan.obj").to_dict()


def test_evaluate_keeps_what_it_did_not_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    out = tmp_path / "out"
    for name in ("a", "b"):
        codes = rng.normal(size=(20, 6)) + 3 * np.repeat(rng.normal(size=(5, 6)), 4, axis=0)
        np.savez(tmp_path / f"{name}.npz", codes=codes, labels=np.repeat(np.arange(5), 4))
    out.mkdir()
    (out / "results.json").write_text("mine")
    command = ("evaluate", "recognisability", "--bootstrap", 0, "-o", out)
    assert run(*command, tmp_path / "a.npz") == 2
    assert "results.json" in capsys.readouterr().err
    assert files_of(out) == {"results.json": b"mine"}
    (out / "results.json").unlink()
    assert run(*command, tmp_path / "a.npz") == 0
    assert run(*command, tmp_path / "a.npz") == 0
    content = json.loads((out / "results.json").read_bytes())
    assert content["input"]["sha256"] == Source.of(tmp_path / "a.npz").sha256
    assert run(*command, tmp_path / "b.npz") == 2
    assert json.loads((out / "results.json").read_bytes()) == content
    assert run(*command, tmp_path / "b.npz", "--overwrite") == 0
    assert json.loads((out / "results.json").read_bytes())["input"]["path"] == str(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("words", "theirs"),
    [
        ("train synthetic --model {model} --count 2", "rgba.npy"),
        ("train skins --data {data}", None),
        ("train morphs --data {data} --teacher {data}", "image.npy"),
        ("train detector --data {folder} --model {model} --synthetic {folder}", "finder.onnx"),
        ("train detector --data {folder} --model {model} --synthetic {folder}", "checkpoint.pt"),
        ("train export --run {folder}", None),
        ("train label-points --data {data} --teacher {data}", None),
        ("train photos --data {data}", "regressor.onnx"),
        ("train fusion {folder} --data {data} --point-labels {data} --synthetic {folder}", "evidence.npz"),
    ],
)
def test_no_training_writes_over_a_file_of_the_users(
    words: str, theirs: str | None, small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so before it reads anything."""
    pytest.importorskip("torch")
    small_model.save(tmp_path / "model.npz")
    (tmp_path / "photos.tar").write_bytes(b"")
    out = tmp_path / "out"
    file = out if theirs is None else out / theirs
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"mine")
    places = {"model": tmp_path / "model.npz", "data": tmp_path / "photos.tar", "folder": tmp_path / "none"}
    assert run(*words.format(**places).split(), "-o", out) == 2
    assert f"{file}: was not written by likeness train" in capsys.readouterr().err
    assert file.read_bytes() == b"mine"


def test_a_set_is_made_anew_by_the_command_that_made_it(small_model: FaceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path / "model.npz")
    small_model.lifted().save(tmp_path / "other.npz")
    command = ["train", "synthetic", "-o", tmp_path / "set", "--model", tmp_path / "model.npz"]
    assert run(*command, "--count", 3) == run(*command, "--count", 2) == 0
    assert len(np.load(tmp_path / "set" / "rgba.npy")) == 2
    assert run(*command[:-1], tmp_path / "other.npz", "--count", 1) == 2
    assert len(np.load(tmp_path / "set" / "rgba.npy")) == 2
    assert run(*command[:-1], tmp_path / "other.npz", "--count", 1, "--overwrite") == 0
    assert len(np.load(tmp_path / "set" / "rgba.npy")) == 1
    assert {path.suffix for path in (tmp_path / "set").iterdir() if path.is_file()} == {".npy"}


def test_what_is_noted_is_found_while_nothing_changed(tmp_path: Path) -> None:
    results, source = ResultFolder(tmp_path, "reconstruct"), Source("/photos/anna")
    results.save("anna", source, lambda stage: (stage / "anna.json").write_text("{}"))
    assert results.noted("anna", source, "") is not None  # without a key nothing was asked for
    assert results.noted("anna", source, "of these") is None
    results.note("anna", source, "of these", {"photos": 3})
    found = results.noted("anna", source, "of these")
    assert found is not None
    assert found.told == {"photos": 3}
    for other, key in ((source, "of others"), (Source("/photos/berta"), "of these")):
        assert results.noted("anna", other, key) is None
    (tmp_path / "anna.json").write_text("{ }")
    assert results.noted("anna", source, "of these") is None
    results = ResultFolder(tmp_path, "reconstruct", overwrite=True)
    results.save("anna", source, lambda stage: (stage / "anna.json").write_text("{}"))
    assert results.noted("anna", source, "of these") is None  # written anew, of what is not yet said


def test_an_empty_folder_is_left_only_where_it_was_before(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, kept in (("there", True), ("new/deep", False)):
        with nothing_empty_left(tmp_path / name):
            (tmp_path / name / RECORDS).mkdir(parents=True)
        assert (tmp_path / name / RECORDS).exists() is kept
    assert not (tmp_path / "new").exists()
    with nothing_empty_left(tmp_path / "full"):
        (tmp_path / "full" / "empty").mkdir(parents=True)
        (tmp_path / "full" / "kept").touch()
    assert {path.name for path in (tmp_path / "full").iterdir()} == {"empty", "kept"}

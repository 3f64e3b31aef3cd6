"""`likeness reconstruct PHOTO...`: what is there already is not made again, and nothing else is taken for it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from threading import Thread

import cv2
import pytest
from test_cli import portrait, run, visible  # noqa: F401

from likeness import result_folder
from likeness.errors import FileError


@pytest.fixture
def album(portrait: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A photo of one person and one of two."""
    folder = tmp_path / "album"
    folder.mkdir()
    image = cv2.imread(str(portrait))[:300, 80:380]
    cv2.imwrite(str(folder / "one.png"), image)
    cv2.imwrite(str(folder / "two.png"), cv2.hconcat([image, image[:, ::-1]]))
    return folder


def made(album: Path, out: Path, *options: str) -> dict[str, int]:
    """Which file each result is: one that is written anew is another."""
    assert run("reconstruct", album, "-o", out, "--formats", "json", *options) == 0
    return {path.name: path.stat().st_ino for path in out.glob("*.json")}


def test_heads_that_are_there_are_not_made_again(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    first = made(album, out)
    assert set(first) == {"one.json", "two.json", "two-2.json"}
    assert "3 faces in 2 photos" in (said := capsys.readouterr().out)
    assert "made before" not in said
    assert made(album, out) == first
    assert "3 faces in 2 photos -> " in (said := capsys.readouterr().out)
    assert "2 made before" in said
    shutil.copy(album / "one.png", album / "three.png")  # the album grew
    grown = made(album, out)
    assert {name: grown[name] for name in first} == first
    assert set(grown) - set(first) == {"three.json"}
    assert "4 faces in 3 photos" in (said := capsys.readouterr().out)
    assert "2 made before" in said


def test_they_are_made_again_where_anything_else_is_different(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    first = made(album, out)
    other = made(album, out, "--views", "2")  # options
    assert all(other[name] != first[name] for name in first)
    (out / "two-2.json").unlink()  # one of a photo's heads is gone
    partly = made(album, out, "--views", "2")
    assert partly["one.json"] == other["one.json"]
    assert partly["two.json"] != other["two.json"]
    assert "two-2.json" in partly
    cv2.imwrite(str(album / "one.png"), cv2.imread(str(album / "one.png"))[:, ::-1])  # another photo of that name
    again = made(album, out, "--views", "2")
    assert again["one.json"] != partly["one.json"]
    assert again["two.json"] == partly["two.json"]
    record = next(path for path in (out / ".likeness").glob("one.json"))
    content = json.loads(record.read_text())
    for told in ({"head": 3}, {"head": {**content["told"]["head"], "files": "one.json"}}, {"head": {"files": []}}):
        record.write_text(json.dumps({**content, "told": {**content["told"], **told}}))  # that somebody changed
        before, again = again, made(album, out, "--views", "2")
        assert again["one.json"] != before["one.json"]
        content = json.loads(record.read_text())
    capsys.readouterr()
    assert run("reconstruct", album, "-o", out, "--formats", "json", "--views", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["notes"] for one in told["results"]] == [["made before"]] * 2
    assert [len(one["figures"]["heads"]) for one in told["results"]] == [1, 2]
    assert all(Path(file).is_file() for one in told["results"] for file in one["files"])


def test_what_was_changed_by_somebody_is_not_taken_for_ours(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    made(album, out)
    (out / "one.json").write_text("{}")
    assert run("reconstruct", album, "-o", out, "--formats", "json") == 2
    said = capsys.readouterr()
    assert "one.json: was not written by likeness reconstruct of this input, or has been changed since" in said.err
    assert "1 failed, 1 made before" in said.out
    assert (out / "one.json").read_text() == "{}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_once(album: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for _ in range(2):
        writer = Thread(target=pipe.write_bytes, args=[(album / "one.png").read_bytes()], daemon=True)
        writer.start()
        assert run("reconstruct", pipe, "-o", tmp_path / "out", "--formats", "json") == 0
        writer.join(timeout=30)
    assert visible(tmp_path / "out") == {"pipe.json"}


def test_a_result_that_cannot_be_read_is_made_again_or_fails_alone(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    made(album, out)
    usual = result_folder.file_digest

    def refused(path: Path) -> str:
        if Path(path).name == "one.json":
            raise FileError(path, "cannot be read (Permission denied)")
        return usual(path)

    monkeypatch.setattr(result_folder, "file_digest", refused)
    assert run("reconstruct", album, "-o", out, "--formats", "json") == 2
    assert "1 failed, 1 made before" in capsys.readouterr().out


def test_files_of_other_options_that_somebody_removed_are_not_missed(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("reconstruct", album / "one.png", "-o", out, "--texture", "none", "--formats", "json", "obj") == 0
    for path in (*out.glob("*.obj"), *out.glob("*.mtl")):
        path.unlink()
    for again in ("", ", 1 made before"):
        assert run("reconstruct", album / "one.png", "-o", out, "--texture", "none", "--formats", "json") == 0
        assert capsys.readouterr().out.rstrip().endswith(f"{out}{again}")

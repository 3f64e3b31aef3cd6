"""`likeness reconstruct PHOTO...`: what is there already is not made again, and nothing else is taken for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest
from test_cli import portrait, run, visible  # noqa: F401


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
    record.write_text(json.dumps({**content, "told": {"head": 3, "heads": 1}}))  # a record that somebody changed
    assert made(album, out, "--views", "2")["one.json"] != again["one.json"]
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

"""`likeness reconstruct --person`, `--people`, `--group`: a head of several photos, once."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_cli import portrait, run, visible  # noqa: F401

from likeness.images.photo import load_photo


@pytest.fixture(scope="module")
def two_of_one(
    portrait: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with a folder of two photos of one person and one of nobody."""
    import cv2

    folder = tmp_path_factory.mktemp("people") / "all" / "anna"
    folder.mkdir(parents=True)
    image = cv2.imread(str(portrait))[:300, 80:380]
    cv2.imwrite(str(folder / "a.jpg"), image)
    cv2.imwrite(str(folder / "b.png"), (0.7 * image[:, ::-1]).astype(np.uint8))
    cv2.imwrite(str(folder / "flat.jpg"), np.full((200, 200, 3), 90, np.uint8))
    return folder


def test_one_person_from_several_photos(two_of_one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = sorted(two_of_one.iterdir())
    for _ in range(2):  # a rerun replaces its own results
        assert run("reconstruct", "--person", *photos, "-o", tmp_path, "--formats", "json") == 2
        said = capsys.readouterr()
        assert re.search(r"anna: one head of 2 photos \(worth \d\.\d independent ones\), 1 left out", said.out)
        assert "flat.jpg: no face found" in said.err
        assert visible(tmp_path) == {"anna.json"}
    told = json.loads((tmp_path / "anna.json").read_text())
    assert [Path(one["source"]["path"]).name for one in told["photos"]] == ["a.jpg", "b.png"]
    assert [Path(one["photo"]).name for one in told["left_out"]] == ["flat.jpg"]
    assert run("reconstruct", "--person", photos[0], "-o", tmp_path, "--formats", "json") == 0
    other = next(name for name in visible(tmp_path) if name != "anna.json")
    assert other.startswith("anna-")  # another set of photos is another person's, for all that is known


def test_folders_of_people_and_photos_to_be_sorted(
    two_of_one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("reconstruct", "--people", two_of_one.parent, "-o", tmp_path / "a", "--formats", "json") == 2
    assert visible(tmp_path / "a") == {"anna.json"}
    group = ("reconstruct", "--group", two_of_one, "-o", tmp_path / "b", "--texture", "none", "--formats", "json")
    assert run(*group, "png") == 2
    shown = visible(tmp_path / "b")
    assert shown == {"people.json", "people.png", "person-1.json", "person-1.png"}
    assert np.ptp(load_photo(tmp_path / "b" / "people.png").image[30:100, 10:100]) > 100  # there is a face
    assert run(*group) == 2  # a picture of who was where before is no picture of who is where
    assert visible(tmp_path / "b") == shown - {"people.png"}
    listing = json.loads((tmp_path / "b" / "people.json").read_text())
    assert [len(one["photos"]) for one in listing["people"]] == [2]
    assert [one["chance"] for one in listing["people"][0]["photos"]] == pytest.approx([1, 1], abs=0.2)
    assert listing["similar"] == []
    assert "1 person in 3 photos" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["--person", "--people", "--group"])
def test_people_who_are_there_are_not_made_again(
    how: str, two_of_one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "all" / "anna"
    shutil.copytree(two_of_one, folder)
    given = folder.parent if how == "--people" else folder

    def made(*options: str) -> tuple[dict[str, int], str]:
        assert run("reconstruct", how, given, "-o", tmp_path / "out", "--formats", "json", *options) == 2
        files = {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("*.json")}
        said = capsys.readouterr()
        assert "flat.jpg: no face found" in said.err
        return {name: number for name, number in files.items() if name != "people.json"}, said.out

    first, _ = made()
    again, said = made()
    assert (again, "made before" in said) == (first, True)
    changed, said = made("--max-faces", "1")  # other options
    assert changed.keys() == first.keys()
    assert (changed != first, "made before" in said) == (True, False)
    (tmp_path / "out" / next(iter(first))).unlink()  # a file that is gone
    changed, said = made("--max-faces", "1")
    assert (changed.keys(), "made before" in said) == (first.keys(), False)
    shutil.copy(folder / "a.jpg", folder / "c.jpg")  # another photo
    assert "made before" not in made("--max-faces", "1")[1]


def test_a_person_is_called_as_asked(two_of_one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("reconstruct", two_of_one / "a.jpg", "-o", tmp_path, "--formats", "json", "--name")
    assert run(*given, "berta", "--person") == 0
    assert visible(tmp_path) == {"berta.json"}
    for wrong in (["berta"], ["../berta", "--person"], [".berta", "--person"]):
        assert run(*given, *wrong) == 2
        assert "expected --name with --person" in capsys.readouterr().err


@pytest.mark.parametrize("how", [[], ["--person"], ["--people"], ["--group"]])
def test_where_nothing_is_it_is_said_and_no_folder_is_left(
    how: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("reconstruct", *how, tmp_path / "holiday", "-o", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert "holiday: does not exist; expected" in said.err
    assert "folder" in said.err
    assert "in 1 photo" not in said.out
    assert list(tmp_path.iterdir()) == []


def test_people_that_cannot_be_made(two_of_one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reconstruct", "--person", two_of_one / "flat.jpg", "-o", tmp_path) == 2
    assert "found no face" in capsys.readouterr().err
    assert run("reconstruct", "--people", two_of_one, "-o", tmp_path) == 2
    assert "a folder for each person" in capsys.readouterr().err
    assert run("reconstruct", "--person", "--group", two_of_one, "-o", tmp_path) == 2
    assert "one of --person" in capsys.readouterr().err
    assert visible(tmp_path) == set()

"""Whatever stands for a photo, and many of them: the same pixels, and none ends the others."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_photo_files import encoded, picture

from likeness.errors import FileError, LikenessError
from likeness.reconstruct.inputs import as_photo, label_of, photo_files, stem_of
from likeness.reconstruct.reconstructor import Reconstructor


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor(threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.PNG", "a.png", ".hidden.png", ".cache/3.png", "notes.txt", "c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(picture(), ".png"))
    return tmp_path


def test_all_kinds_of_sources_give_the_same_photo(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    data = encoded(picture(), ".png")
    (tmp_path / "me.png").write_bytes(data)
    with open(tmp_path / "me.png", "rb") as stream:
        sources = [
            *(str(tmp_path / "me.png"), tmp_path / "me.png", data, bytearray(data), memoryview(data)),
            *(io.BytesIO(data), stream, picture(), image_module.open(io.BytesIO(data))),
            image_module.fromarray(picture()),
        ]
        for source in sources:
            photo = as_photo(source)
            np.testing.assert_array_equal(photo.image, picture())
            assert as_photo(photo) is photo
        assert stem_of(stream) == "me"
    assert [stem_of(source) for source in (data, tmp_path / "me.png", picture())] == ["face", "me", "face"]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16", "F"])
def test_pillow_images_of_any_mode(mode: str) -> None:
    image_module = pytest.importorskip("PIL.Image")
    grey = np.repeat(picture()[..., :1], 3, axis=2)
    image = image_module.fromarray(grey).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = image_module.fromarray(grey[..., 0].astype(np.uint16) * 257)
    expected = np.asarray(image.convert("RGB")) if mode in ("P", "1") else grey
    assert np.abs(as_photo(image).image.astype(int) - expected).max() <= 1


def test_pillow_images_are_made_upright() -> None:
    image_module, ops = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageOps")
    exif, stream = image_module.Exif(), io.BytesIO()
    exif[0x0112] = 6
    image_module.fromarray(picture()).save(stream, "PNG", exif=exif)
    image = image_module.open(stream)
    np.testing.assert_array_equal(as_photo(image).image, np.asarray(ops.exif_transpose(image)))


def test_what_is_no_photo_is_named() -> None:
    image_module = pytest.importorskip("PIL.Image")
    cut = image_module.open(io.BytesIO(encoded(picture(), ".png")[:-40]))
    for source in (b"no photo", io.BytesIO(b""), cut, io.StringIO("text")):
        with pytest.raises(FileError):
            as_photo(source)
    for nothing in (None, 3, [1, 2]):
        with pytest.raises(ValueError, match="expected a photo as"):
            as_photo(nothing)
    assert label_of(b"no photo") == "bytes"


def test_folders_and_patterns(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in photo_files(folder)]
    assert found == ["a.png", "c.jpg", "b/2.PNG"]
    assert photo_files(folder / "*.png") == [folder / "a.png"]
    assert photo_files(folder / "**" / "*.PNG") == [folder / "b" / "2.PNG"]
    assert photo_files(folder / "b*") == [folder / "b" / "2.PNG"]
    assert photo_files(folder / "none.png") == [folder / "none.png"]  # told when it is read
    (folder / "[1].png").write_bytes(b"")
    assert photo_files(folder / "[1].png") == [folder / "[1].png"]
    (folder / "empty").mkdir()
    for nothing in (folder / "empty", folder / "*.webp"):
        with pytest.raises(FileError, match="photos"):
            photo_files(nothing)


def test_results_of_earlier_runs_are_no_photos(folder: Path, reconstructor: Reconstructor) -> None:
    box = np.array([[5.0, 5.0, 35.0, 35.0]])
    face = reconstructor(folder / "a.png", boxes=box)[0]
    face.save(folder, ("png", "json"), "result")
    assert (folder / "result.png").is_file()
    assert [path.name for path in photo_files(folder)] == ["a.png", "c.jpg", "2.PNG"]


def test_a_batch_goes_on_after_any_bad_photo(folder: Path, reconstructor: Reconstructor) -> None:
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    given = [folder / "none.png", folder / "b", np.zeros((3, 3)), b"?", None, folder / "*.webp", folder / "bad.jpg"]
    results = list(reconstructor.batch([*given, picture()]))
    assert [result.error is None for result in results] == [False, True, False, False, False, False, False, True]
    assert all(isinstance(result.error, LikenessError) for result in results if result.error is not None)
    assert [result.name for result in results[:2]] == [str(folder / "none.png"), str(folder / "b" / "2.PNG")]
    assert all(not result.faces for result in results)
    assert results[1].photo is not None


def test_a_batch_answers_photo_by_photo(reconstructor: Reconstructor) -> None:
    asked: list[int] = []

    def photos() -> object:
        for number in range(3):
            asked.append(number)
            yield picture()

    batch = reconstructor.batch(photos())  # type: ignore[arg-type]
    next(batch)
    assert asked == [0]


def test_a_note_is_a_warning_or_part_of_the_result(reconstructor: Reconstructor) -> None:
    cut = encoded(picture(), ".jpg")[:-2]
    with pytest.warns(UserWarning, match="bytes is cut short; all its pixels are there"):
        reconstructor(cut)
    assert next(reconstructor.batch([cut])).note == "is cut short; all its pixels are there"


def test_the_command_takes_folders_patterns_and_stdin(folder: Path) -> None:
    data = encoded(picture(), ".jpg")
    (folder / "cut.jpg").write_bytes(data[:-2])
    command = [sys.executable, "-m", "likeness", "reconstruct", "-", "b", "*.jpg", "none-*", "-o", "out"]
    done = subprocess.run(command, input=data, cwd=folder, env=os.environ, capture_output=True, check=False)
    told = done.stderr.decode()
    assert done.returncode == 2
    assert b"0 faces in 4 photos" in done.stdout
    for line in (
        "likeness: <stdin>: no face found",
        f"likeness: b{os.sep}2.PNG: no face found",
        "likeness: cut.jpg is cut short; all its pixels are there",
        "likeness: none-*: expected photos that match, found none",
    ):
        assert line in told.splitlines()

"""Training sources that cannot be used, wholly or in part: what is said, and that no label moves."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from source_files import Rng, note, pixels, same, write_files, write_tar  # noqa: E402
from train_sources import add, picture, write_photos, write_synthetic  # noqa: E402

from likeness.datasets import SyntheticFaces, open_sources, read_frames, read_photos  # noqa: E402
from likeness.errors import FileError  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402


@pytest.fixture
def rng() -> Rng:
    return np.random.default_rng(11)


def cut_jpeg(rng: Rng) -> bytes:
    return cv2.imencode(".jpg", pixels(picture(rng)))[1].tobytes()[:-40]


def cut_png(rng: Rng) -> bytes:
    return picture(rng)[:-13]


def cut_webp(rng: Rng) -> bytes:
    return cv2.imencode(".webp", pixels(picture(rng)))[1].tobytes()[:-3]


def empty(rng: Rng) -> bytes:
    return b""


def text(rng: Rng) -> bytes:
    return b"not a picture"


def broken_png(rng: Rng) -> bytes:
    """Whole by its ends, damaged within."""
    data = bytearray(picture(rng))
    data[len(data) // 2] ^= 255
    return bytes(data)


@pytest.mark.parametrize(
    ("damage", "limit"),
    [(cut_jpeg, 0), (cut_png, 0), (cut_webp, 0), (empty, 0), (text, 0), (cut_jpeg, 1 << 30), (broken_png, 1 << 30)],
)
def test_few_damaged_pictures_are_left_out_and_named(
    tmp_path: Path, rng: Rng, damage: Callable[[Rng], bytes], limit: int
) -> None:
    """Cut short ones without decoding any; what is damaged within where all are decoded."""
    members = {f"p{n % 5}/{n:03d}.png": picture(rng, 30, 30) for n in range(100)}
    members["p1/050.png"] = damage(rng)
    opened = open_sources([write_tar(tmp_path / "set.tar", members)], limit)
    assert opened.photos is not None
    del members["p1/050.png"]
    same(opened.photos.images, [members[name] for name in sorted(members)])
    np.testing.assert_array_equal(opened.photos.person, [int(name[1]) for name in sorted(members)])
    assert any("1 damaged, left out: p1/050.png" in line for line in opened.describe())
    members |= {"p1/050.png": damage(rng), "p1/051.png": damage(rng)}
    with pytest.raises(FileError, match=r"set\.tar: 2 of 10\d pictures cannot be used, over 1 %.*p1/05"):
        open_sources([write_tar(tmp_path / "set.tar", members)], limit)


def test_damage_among_frames_moves_no_label(tmp_path: Path, rng: Rng) -> None:
    members = {}
    for n in range(120):
        members[f"k{n:03d}.png"] = broken_png(rng) if n == 7 else picture(rng, 30, 30)
        points = np.full((68, 2), n) if n % 2 else None
        members[f"k{n:03d}.json"] = note(identity=f"p{n:03d}", landmarks=None if points is None else points.tolist())
    opened = open_sources([write_tar(tmp_path / "set.tar", members)])
    assert opened.frames is not None
    assert opened.photos is not None
    odd = [n for n in range(1, 120, 2) if n != 7]
    np.testing.assert_array_equal(opened.frames.landmarks[:, 0, 0], odd)
    same(opened.frames.images, [members[f"k{n:03d}.png"] for n in odd])
    same(opened.photos.images, [members[f"k{n:03d}.png"] for n in range(0, 120, 2)])


def test_damage_is_blamed_on_its_own_source(tmp_path: Path, rng: Rng) -> None:
    good = {f"p{n % 3}/{n:03d}.png": picture(rng, 30, 30) for n in range(110)}
    first = write_tar(tmp_path / "first.tar", good)
    second = write_tar(tmp_path / "second.tar", good | {"p0/009.png": broken_png(rng)})
    opened = open_sources([first, second, first])
    assert opened.photos is not None
    names = sorted(good)
    same(opened.photos.images, [good[n] for n in [*names, *(n for n in names if n != "p0/009.png"), *names]])
    assert next(line for line in opened.describe() if "damaged" in line).startswith(str(second))
    alone = open_sources([first]).photos
    assert alone is not None
    np.testing.assert_array_equal(opened.photos.person[:110], alone.person)
    np.testing.assert_array_equal(opened.photos.person[-110:], alone.person + 6)
    third = write_tar(tmp_path / "third.tar", good | {"p0/009.png": broken_png(rng), "p0/012.png": cut_png(rng)})
    with pytest.raises(FileError, match=r"third\.tar: 2 of 110 pictures"):  # found in two ways, counted together
        open_sources([first, third])


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_tiny_pictures_end_no_training(tmp_path: Path, rng: Rng, limit: int) -> None:
    data = {"p/0.png": picture(rng, 9, 12), "q/1.png": picture(rng)}
    same(read_photos(write_tar(tmp_path / "set.tar", data), limit).images, [*data.values()])


def test_pictures_that_break_later_are_named(tmp_path: Path, rng: Rng) -> None:
    members = {"p/0.png": picture(rng), "q/1.png": broken_png(rng)}
    store = read_photos(write_tar(tmp_path / "set.tar", members), 0).images
    np.testing.assert_array_equal(store[0], pixels(members["p/0.png"]))
    with pytest.raises(FileError, match=r"set\.tar: q/1\.png"):
        store[1]
    os.truncate(tmp_path / "set.tar", 600)
    with pytest.raises(FileError, match=r"set\.tar.*cut short"):
        store[0]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_tars_are_refused(tmp_path: Path, share: float) -> None:
    path = write_photos(tmp_path / "set.tar")
    with tarfile.open(path) as archive:
        last = max(archive.getmembers(), key=lambda member: member.offset_data)
    os.truncate(path, int(share * (last.offset_data + last.size)))
    with pytest.raises(FileError, match=r"set\.tar"):
        open_sources([path])


def test_a_damaged_header_is_not_the_end_of_a_tar(tmp_path: Path) -> None:
    path = write_photos(tmp_path / "set.tar")
    with tarfile.open(path) as archive:
        third = archive.getmembers()[2].offset
    data = bytearray(path.read_bytes())
    os.truncate(path, third)
    with pytest.raises(FileError, match=f"cut short.*byte {third}"):
        open_sources([path])
    data[third + 150] ^= 255
    path.write_bytes(data)
    with pytest.raises(FileError, match=f"damaged.*byte {third}"):
        open_sources([path])


@pytest.mark.parametrize("name", ["../../p/a.png", "/p/a.png", "p/../../a.png"])
def test_hostile_names_are_refused(tmp_path: Path, rng: Rng, name: str) -> None:
    with pytest.raises(FileError, match="names of files within"):
        open_sources([write_tar(tmp_path / "set.tar", {name: picture(rng)})])


def test_names_that_no_terminal_takes_are_escaped(tmp_path: Path, rng: Rng) -> None:
    members = {f"p{n % 5}/{n:03d}.png": picture(rng, 30, 30) for n in range(110)}
    write_tar(tmp_path / "set.tar", members | {"p0/\udcff\x1b[31m.png": b"no picture"})
    for name in members:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(members[name])
    (tmp_path / "set" / "p0" / "\udcff\x1b[31m.png").write_bytes(b"no picture")
    for name in ("set.tar", "set"):
        told = "\n".join(open_sources([tmp_path / name]).describe())
        assert r"\udcff\x1b[31m.png" in told
        assert "\x1b" not in told.encode().decode()


def test_links_in_tars_are_left_out_and_counted(tmp_path: Path, rng: Rng) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for name in ("p/0.png", "q/1.png"):
            add(archive, name, picture(rng))
        link = tarfile.TarInfo("p/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    opened = open_sources([tmp_path / "set.tar"])
    assert opened.photos is not None
    assert len(opened.photos.images) == 2
    assert "1 links or special files" in opened.describe()[-1]


def landmarks_of(count: int) -> bytes:
    return note(landmarks=[[1.0, 2.0]] * count)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"a.txt": b"x"}, "expected pictures.*found none"),
        ({"a.png": None, "a.json": landmarks_of(5)}, r"68 landmarks.*a\.json.*\(5, 2\)"),
        ({"a.png": None, "a.json": landmarks_of(69)}, r"\(69, 2\)"),
        ({"a.png": None, "a.json": note(landmarks=[[1, 2], [3]])}, "68 landmarks"),
        ({"a.png": None, "a.json": b'{"landmarks": ['}, "JSON object in a.json"),
        ({"a.png": None, "a.json": b"[" * 100_000}, "JSON object in a.json"),
        ({"a.png": None, "a.json": b"[1]"}, "JSON object in a.json"),
        ({"a.png": None, "a.cls": b"seven"}, "class number in a.cls"),
        ({"a.png": None, "./a.png": None}, r"holds a\.png twice"),
        ({"a.png": None, "a.json": note(landmarks=[[10**400, 1]] * 68)}, "68 landmarks"),
        ({"AFW/a_0.png": None, "AFW/a_0.mat": b"", "HELEN/b_0.png": None}, r"AFW/a_0\.mat.*unpack it"),
    ],
)
def test_tars_that_cannot_be_used_say_why(
    tmp_path: Path, rng: Rng, members: dict[str, bytes | None], match: str
) -> None:
    filled = {name: picture(rng) if data is None else data for name, data in members.items()}
    with pytest.raises(FileError, match=rf"set\.tar: .*{match}"):
        open_sources([write_tar(tmp_path / "set.tar", filled)])


def test_paths_that_cannot_be_used_say_why(tmp_path: Path, rng: Rng) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "text.tar").write_text("no archive")
    (tmp_path / "one.png").write_bytes(picture(rng))
    write_photos(tmp_path / "s-0.tar")
    with tarfile.open(tmp_path / "cut.tgz", "w:gz") as archive:
        add(archive, "a/b.png", picture(rng))
    os.truncate(tmp_path / "cut.tgz", (tmp_path / "cut.tgz").stat().st_size - 20)
    for name, match in {
        "empty": "found none",
        "empty.tar": "expected an archive of pictures",
        "text.tar": "expected an archive of pictures",
        "cut.tgz": "is damaged",
        "one.png": "expected a folder or an archive",
        "missing.tar": "No such file",
        "missing": "No such file",
        "s-{0..1}.tar": r"s-1\.tar.*No such file",
        "s-{2..1}.tar": "rising range",
        "s-{0..999999}.tar": "at most 100,000 files",
        "t-*.tar": "files that match, found none",
    }.items():
        with pytest.raises(FileError, match=match):
            open_sources([tmp_path / name])
    with pytest.raises(FileError, match="of every picture, got none of q0"):
        read_frames(tmp_path / "s-0.tar")
    assert open_sources([]).frames is None
    assert open_sources([]).photos is None
    assert open_sources([]).describe() == ()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("version: 1\nn_points: 39\n{\n" + "1 2\n" * 39 + "}\n", "68 points.*got 39"),
        ("version: 1\nn_points: 68\n{\n" + "1 x\n" * 68 + "}\n", "numbers between braces"),
        ("68 points\n", "iBUG's points"),
    ],
)
def test_points_that_cannot_be_used_say_why(tmp_path: Path, rng: Rng, text: str, match: str) -> None:
    write_files(tmp_path, ["a.png"], rng)
    (tmp_path / "a.pts").write_text(text)
    with pytest.raises(FileError, match=rf"a\.pts: .*{match}"):
        open_sources([tmp_path])


def test_matlab_files_of_another_kind_say_why(tmp_path: Path, rng: Rng) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    write_files(tmp_path, ["a.png"], rng)
    savemat(tmp_path / "a.mat", {"pt3d_68": np.zeros((3, 21))})
    with pytest.raises(FileError, match=r"a\.mat: expected 68 landmarks, pt3d_68.*\(3, 21\)"):
        open_sources([tmp_path])
    (tmp_path / "a.mat").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"a\.mat: expected a MATLAB file"):
        open_sources([tmp_path])


def test_synthetic_folders_of_another_model_are_refused(tmp_path: Path, small_model: FaceModel) -> None:
    write_synthetic(small_model, tmp_path / "set", 3)
    assert len(SyntheticFaces(tmp_path / "set", small_model)) == 3
    np.save(tmp_path / "set" / "identity.npy", np.zeros((3, 7), np.float32))
    with pytest.raises(FileError, match=r"identity\.npy.*\(3, 12\).*\(3, 7\)"):
        SyntheticFaces(tmp_path / "set", small_model)
    (tmp_path / "set" / "rgba.npy").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"rgba\.npy"):
        SyntheticFaces(tmp_path / "set", small_model)

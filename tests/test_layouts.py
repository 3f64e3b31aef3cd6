"""Layouts in which data sets lie: training and evaluation see the same people, landmarks and splits in each."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluate_data import drawing, photo, predictor, write_results, write_tar

from likeness import FaceModel, FileError
from likeness.datasets import open_sources
from likeness.datasets.annotations import read_pts
from likeness.datasets.identities import people_of, splits_among
from likeness.datasets.test_sets import PhotoItem, open_photos
from likeness.evaluate.inputs import kind_of
from likeness.evaluate.run import evaluate
from likeness.evaluate.settings import Landmarks, Recognisability, Verification

WHO = [(person, number) for person in range(3) for number in range(2)]
"""Person and number of the photos of the small sets below."""


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = os.fsencode(folder) + b"/" + os.fsencode(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(data)
    return folder


def pictures(pattern: str) -> dict[str, bytes]:
    """Photos of three people; ``pattern`` has {p}, {n} and, where there are splits, {split}."""
    splits = ["train", "val", "train"]
    return {pattern.format(p=p, n=n, split=splits[p]): photo(p, n) for p, n in WHO}


def people(items: tuple[PhotoItem, ...]) -> list[int]:
    """Who is in the photos, as their pixels say, in the order of the identities' names."""
    seen = sorted((item.identity, int(item.image()[0, 0, 0])) for item in items)
    return [person for _, person in seen]


LAYOUTS = [
    "p{p}/{n}.png",
    "lfw/p{p}/p{p}_{n:04d}.png",
    "lfw-deepfunneled/lfw-deepfunneled/p{p}/p{p}_{n:04d}.png",
    "CASIA-WebFace/000004{p}/{n:03d}.png",
    "{split}/p{p}/{n}.png",
    "VGGFace2/{split}/n00000{p}/{n:04d}_01.png",
    "{split}/{split}/p{p}/{n}.png",
    "{split}/images/p{p}/{n}.png",
    "faces_{split}/p{p}/{n}.png",
    "{split}set/p{p}/{n}.png",
]


@pytest.mark.parametrize("pattern", LAYOUTS)
@pytest.mark.parametrize("archive", [False, True])
def test_three_people_are_three_people(tmp_path: Path, pattern: str, archive: bool) -> None:
    files = pictures(pattern)
    path = write_tar(tmp_path / "set.tar", files) if archive else write(tmp_path / "set", files)
    found = open_photos(path)
    assert people(found.items) == [0, 0, 1, 1, 2, 2]
    assert len({item.identity for item in found.items}) == 3
    assert "3 people" in found.read[0]
    assert ("from 2 splits" in found.read[0]) == ("{split}" in pattern) == bool(found.splits)
    trained = open_sources([path]).photos
    assert trained is not None
    assert trained.people == (2 if "{split}" in pattern else 3)  # not the one who is held out


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (["train", "val"], ["train", "val"]),
        (["Train", "TEST", "Valid"], ["Train", "TEST", "Valid"]),
        (["training", "validation", "extra"], ["training", "validation"]),
        (["test", "dev"], ["test", "dev"]),
        (["train_images", "test_images"], ["train_images", "test_images"]),
        (["VGGFace2_train", "VGGFace2_test"], ["VGGFace2_train", "VGGFace2_test"]),
        (["dev", "Ann", "Bob"], []),
        (["Val_Kilmer", "Dev_Patel"], []),
        (["A_Val", "B_Dev"], []),
        (["test1", "test2"], []),
        (["Ann", "Bob"], []),
        ([], []),
    ],
)
def test_which_folders_are_splits(folders: list[str], splits: list[str]) -> None:
    assert [*splits_among(folders)] == splits
    training = [name for name, is_training in splits_among(folders).items() if is_training]
    assert training == [name for name in splits if "train" in name.lower()]


def test_numbered_splits_hold_folders() -> None:
    assert people_of(["fold_1/p/1.jpg", "fold_2/q/1.jpg"]).identity == ["p", "q"]
    assert people_of(["test1/1.jpg", "test2/1.jpg"]).identity == ["test1", "test2"]


def test_clips_called_like_splits_are_clips() -> None:
    found = people_of(["p/train/1.jpg", "p/test/1.jpg", "q/train/1.jpg"])
    assert found.identity == ["p", "p", "q"]
    assert found.clip == ["p/train", "p/test", "q/train"]
    assert found.split == [None] * 3


def test_what_lies_beside_splits_or_people_is_nobody() -> None:
    assert people_of(["train/p/1.jpg", "val/q/1.jpg", "extra/r/1.jpg"]).identity == ["p", "q", None]
    assert people_of(["sample.jpg", "lfw/p/1.jpg", "lfw/q/1.jpg"]).identity == [None, "p", "q"]
    assert people_of(["train/1.jpg", "val/2.jpg"], lone_folder=True).identity == [None, None]
    assert people_of(["train/1.jpg"], lone_folder=True).identity == [None]


def test_a_name_in_two_splits_is_one_person(tmp_path: Path) -> None:
    write(tmp_path, {"train/p/1.png": photo(0, 1), "val/p/2.png": photo(0, 2), "val/q/1.png": photo(1, 1)})
    assert [item.identity for item in open_photos(tmp_path).items] == ["p", "p", "q"]


@pytest.mark.parametrize(
    ("layout", "command"), [("set/{split}/p{p}/{n}.png", Recognisability), ("lfw/p{p}/{n}.png", Verification)]
)
def test_splits_and_wrappers_change_no_figure(
    small_model: FaceModel, tmp_path: Path, layout: str, command: type[Recognisability | Verification]
) -> None:
    write(tmp_path / "plain", pictures("p{p}/{n}.png"))
    write(tmp_path / "other", pictures(layout))
    found = [
        evaluate(command(input=tmp_path / name, out=tmp_path / f"{name}-out"), predictor=predictor(small_model)[0])
        for name in ("plain", "other")
    ]
    key = "domains" if command is Recognisability else "measures"
    one, other = ({name: part["auc"] for name, part in run.results[key].items()} for run in found)
    assert one == other
    assert found[1].results["input"]["people"] == 3
    assert found[1].results["input"]["splits"] == (["train", "val"] if "{split}" in layout else None)
    assert "3 people" in found[1].results["input"]["read"][0]


def test_saved_results_of_splits(small_model: FaceModel, tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_results(tmp_path / "results" / split, small_model, 2, 2)
    command = Recognisability(input=tmp_path / "results", out=tmp_path / "out")
    found = evaluate(command, predictor=predictor(small_model)[0])
    assert found.results["input"]["people"] == 2
    assert "2 people (p0, p1) from 2 splits (train, val)" in found.read[0]


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "set.tgz": gzip.compress,
    "set.tar.gz": gzip.compress,
    "set.tar.bz2": bz2.compress,
    "set.tar.xz": lzma.compress,
    "mislabelled.tar": gzip.compress,
}


def zipped(path: Path, files: dict[str, bytes], compression: int) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", [*PACKED, "stored.zip", "deflated.zip"])
def test_compressed_archives_are_read_as_plain_ones(tmp_path: Path, name: str) -> None:
    files = pictures("lfw/p{p}/p{p}_{n:04d}.png")
    plain = write_tar(tmp_path / "plain.tar", files)
    if name in PACKED:
        (tmp_path / name).write_bytes(PACKED[name](plain.read_bytes()))
    else:
        kind = zipfile.ZIP_STORED if name == "stored.zip" else zipfile.ZIP_DEFLATED
        zipped(tmp_path / name, files, kind)
    assert kind_of(tmp_path / name) == "photos"
    wanted, found = open_photos(plain).items, open_photos(tmp_path / name).items
    assert [(item.name, item.identity, item.read()) for item in found] == [
        (item.name, item.identity, item.read()) for item in wanted
    ]
    trained = open_sources([tmp_path / name]).photos
    assert trained is not None
    assert trained.person.tolist() == [0, 0, 1, 1, 2, 2]


def test_damaged_and_hostile_archives_are_refused(tmp_path: Path) -> None:
    data = write_tar(tmp_path / "plain.tar", pictures("p{p}/{n}.png")).read_bytes()
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"p/{number}.png", bytes(30_000_000))
    (tmp_path / "cut.tgz").write_bytes(gzip.compress(data)[:-200])
    (tmp_path / "short.tgz").write_bytes(gzip.compress(data[: len(data) // 2]))
    (tmp_path / "text.tgz").write_bytes(gzip.compress(b"no tar"))
    (tmp_path / "cut.zip").write_bytes(zipped(tmp_path / "a.zip", {"p/1.png": data}, 8).read_bytes()[:-30])
    out = zipped(tmp_path / "out.zip", {"../p/1.png": photo(0, 0)}, 0)
    for path, reason in [
        ("bomb.zip", "grows beyond"),
        ("cut.tgz", "is damaged"),
        ("short.tgz", "cut short"),
        ("text.tgz", "archive of pictures"),
        ("cut.zip", "is damaged"),
        (out.name, "names of files within"),
    ]:
        with pytest.raises(FileError, match=rf"{path}: .*{reason}"):
            open_photos(tmp_path / path)


def test_an_archive_beside_its_own_folder_is_not_read_twice(tmp_path: Path) -> None:
    files = pictures("lfw/p{p}/{n}.png")
    write(tmp_path, files)
    data = write_tar(tmp_path / "lfw.tar", files).read_bytes()
    (tmp_path / "lfw.tgz").write_bytes(gzip.compress(data))
    found = open_photos(tmp_path)
    assert people(found.items) == [0, 0, 1, 1, 2, 2]
    assert "lfw.tar, lfw.tgz" in found.read[-1]
    trained = open_sources([tmp_path]).photos
    assert trained is not None
    assert len(trained.images) == 6


def test_people_called_alike_in_two_sources_are_two(tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"set{number}.tar", {"a/1.png": photo(number, 1), f"b{number}/1.png": photo(2, number)})
    found = open_photos(tmp_path)
    assert [item.identity for item in found.items] == ["set0/a", "b0", "set1/a", "b1"]
    assert len({item.name for item in found.items}) == 4
    assert found.read[0].startswith(f"{tmp_path}: 2 sources: 4 pictures, 4 people")


def test_celeba_has_splits_and_people(tmp_path: Path) -> None:
    folder = tmp_path / "img_align_celeba" / "img_align_celeba"  # as on Kaggle
    write(folder, {f"{n:06d}.png": photo(n // 2, n) for n in range(4)})
    (tmp_path / "identity_CelebA.txt").write_text("".join(f"{n:06d}.jpg {7 + n // 2}\n" for n in range(4)))
    (tmp_path / "list_eval_partition.csv").write_text(
        "image_id,partition\n" + "".join(f"{n:06d}.jpg,{n // 2}\n" for n in range(4))
    )
    found = open_photos(tmp_path)
    assert [item.identity for item in found.items] == ["7", "7", "8", "8"]
    assert found.splits == ("train", "val")
    trained = open_sources([tmp_path]).photos
    assert trained is not None
    assert len(trained.images) == 2


def points(form: str = "version: 1\nn_points: 68\n{{\n{lines}\n}}\n") -> bytes:
    return form.format(lines="\n".join(f"{x + 1} {y + 1}" for x, y in drawing())).encode()


FORMS = [
    "version: 1\nn_points: 68\n{{\n{lines}\n}}\n",
    "version: 1.0\r\nn_points:  68\r\n{{\r\n{lines}\r\n}}",
    "\ufeffversion: 1\nn_points: 68\n{{\n{lines}\n}}\n\n",
    "version 1\nn_points 68\n{{ {lines} }}",
    "{lines}\n",
]


@pytest.mark.parametrize("form", FORMS)
def test_points_of_all_versions(form: str) -> None:
    np.testing.assert_allclose(read_pts("a.pts", points(form)), drawing(), atol=1e-4)


@pytest.mark.parametrize("suffix", [".pts", ".PTS"])
@pytest.mark.parametrize("archive", [False, True])
def test_300w_lies_beside_its_pictures(tmp_path: Path, suffix: str, archive: bool) -> None:
    files = {}
    for name in ("01_Indoor/indoor_001", "01_Indoor/indoor_001_mirror", "02_Outdoor/outdoor_002"):
        files |= {f"{name}.png": photo(0, 0), f"{name}{suffix}": points()}
    path = write_tar(tmp_path / "300w.tar", files) if archive else write(tmp_path / "300w", files)
    found = open_photos(path)
    assert [item.name for item in found.items] == [
        name.removesuffix(".png") for name in files if name.endswith("png")
    ]
    assert {item.identity for item in found.items} == {""}
    for item in found.items:
        np.testing.assert_allclose(item.landmarks, drawing(), atol=1e-4)
    trained = open_sources([path]).frames
    assert trained is not None
    assert len(set(trained.clip)) == 2  # a photo and its mirror image are alike


def test_300w_has_landmarks_and_nobody(small_model: FaceModel, tmp_path: Path) -> None:
    path = write(tmp_path / "300w", {"image_001.png": photo(0, 0), "image_001.pts": points()})
    run = evaluate(Landmarks(input=path, out=tmp_path / "out"), predictor=predictor(small_model)[0])
    assert run.results["points"]["all 68"]["faces"] == 1
    with pytest.raises(ValueError, match="tells who is in the photos"):
        evaluate(Recognisability(input=path, out=tmp_path / "who"), predictor=predictor(small_model)[0])


def test_flat_results_are_measured_against_300w(small_model: FaceModel, tmp_path: Path) -> None:
    from evaluate_data import result

    write(tmp_path / "300w", {"image_001.png": photo(0, 0), "image_001.pts": points()})
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "image_001.json").write_text(result(small_model, 0, 0, photo="image_001"))
    command = Landmarks(input=tmp_path / "results", truth=tmp_path / "300w", out=tmp_path / "out")
    assert evaluate(command, predictor=predictor(small_model)[0]).results["points"]["all 68"]["faces"] == 1


def test_aflw2000_packed_and_unpacked(tmp_path: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    buffer = io.BytesIO()
    savemat(buffer, {"pt3d_68": np.vstack([drawing().T + 1, np.zeros(68)]), "Pose_Para": np.zeros((1, 7))})
    files = {"AFLW2000/image00002.png": photo(0, 0), "AFLW2000/image00002.mat": buffer.getvalue()}
    for path in (write(tmp_path / "set", files), zipped(tmp_path / "AFLW2000-3D.zip", files, 8)):
        (item,) = open_photos(path).items
        np.testing.assert_allclose(item.landmarks, drawing(), atol=1e-4)
        assert open_sources([path]).frames is not None


def test_names_that_are_not_utf8(small_model: FaceModel, tmp_path: Path) -> None:
    files = {f"{split}/Andr\udce9{p}/{n}.png": photo(p, n) for p, n in WHO for split in (["train", "val"][p % 2],)}
    write(tmp_path / "set", files)
    write_tar(tmp_path / "set.tar", files)
    assert len({item.identity for item in open_photos(tmp_path / "set.tar").items}) == 3
    command = Recognisability(input=tmp_path / "set", out=tmp_path / "out", bootstrap=0)
    run = evaluate(command, predictor=predictor(small_model)[0])
    assert run.results["input"]["people"] == 3
    assert all(line.isprintable() for line in run.read)


def test_the_now_release_as_it_lies(tmp_path: Path) -> None:
    files = {f"iphone_pictures/S{p}/multiview_neutral/IMG_{n}.png": photo(p, n) for p, n in WHO}
    files |= {f"detected_face/S{p}/multiview_neutral/IMG_{n}.npy": b"" for p, n in WHO}
    files |= {"scans/S1/head.obj": b"v 0 0 0\n", "imagepathsvalidation.txt": b"S1/multiview_neutral/IMG_0.png\n"}
    write(tmp_path, files)
    assert kind_of(tmp_path) == "photos"
    found = open_photos(tmp_path)
    assert people(found.items) == [0, 0, 1, 1, 2, 2]
    kept = found.of_people(["S1"])
    assert [item.identity for item in kept.items] == ["S1", "S1"]
    assert len(kept.excluded) == 4


def test_the_only_person_with_a_scan_is_found_below_wrappers(tmp_path: Path) -> None:
    write(tmp_path, {f"iphone_pictures/S1/multiview_neutral/{n}.png": photo(0, n) for n in range(2)})
    assert {item.identity for item in open_photos(tmp_path).of_people(["S1"]).items} == {"S1"}


def test_damaged_points_leave_out_their_own_picture(tmp_path: Path) -> None:
    files = {f"{n}.png": photo(0, n) for n in range(3)} | {f"{n}.pts": points() for n in range(2)}
    write(tmp_path, files | {"2.pts": b"68 points"})
    found = open_photos(tmp_path)
    assert [item.name for item in found.items] == ["0", "1"]
    assert [(one.item, "iBUG" in one.reason) for one in found.excluded] == [("2.png", True)]


def test_notes_tell_more_than_folders(tmp_path: Path) -> None:
    note = json.dumps({"identity": "x", "clip": "c"}).encode()
    write(tmp_path, {"train/p/1.png": photo(0, 1), "train/p/1.json": note, "val/q/1.png": photo(1, 1)})
    assert [(item.identity, item.group) for item in open_photos(tmp_path).items] == [("x", "c"), ("q", None)]


def test_tars_that_hold_a_tar_are_no_pictures(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w"):
        pass
    with pytest.raises(FileError, match="found none"):
        open_photos(write_tar(tmp_path / "outer.tar", {"inner.tar": buffer.getvalue()}))

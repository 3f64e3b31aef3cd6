"""Laws of training sources: every layout reads back, people stay apart, memory and processes change nothing."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from source_files import Rng, face, note, pixels, same, write_files, write_tar  # noqa: E402
from train_sources import picture, write_frames, write_photos, write_synthetic  # noqa: E402

from likeness.datasets import Frames, Photos, open_sources, read_frames, read_photos  # noqa: E402
from likeness.errors import FileError  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402


@pytest.fixture
def rng() -> Rng:
    return np.random.default_rng(11)


def frames_of(*paths: Path | str) -> Frames:
    frames = open_sources(paths).frames
    assert frames is not None
    return frames


def photos_of(*paths: Path | str) -> Photos:
    photos = open_sources(paths).photos
    assert photos is not None
    return photos


# Archives


@pytest.mark.parametrize("suffix", [".webp", ".jpg", ".jpeg", ".png", ".JPG"])
def test_webdataset_gives_each_picture_what_it_has(tmp_path: Path, rng: Rng, suffix: str) -> None:
    data = [cv2.imencode(suffix.lower(), pixels(picture(rng)))[1].tobytes() for _ in range(4)]
    points = [face(rng) for _ in range(4)]
    members = {f"k{n}{suffix}": data[n] for n in range(4)}
    members |= {"k0.json": note(landmarks=points[0].tolist(), identity="b", clip="x"), "k1.json": note(identity="a")}
    members |= {"k2.json": note(landmarks=points[2].tolist(), identity=7), "k3.cls": b"12\n"}
    opened = open_sources([write_tar(tmp_path / "set.tar", members)])
    assert opened.frames is not None
    assert opened.photos is not None
    same(opened.frames.images, [data[0], data[2]])
    same(opened.photos.images, [data[1], data[3]])
    np.testing.assert_array_equal(opened.frames.landmarks, np.stack([points[0], points[2]]))
    np.testing.assert_array_equal(opened.frames.person, [1, 0])  # "7" before "b"
    np.testing.assert_array_equal(opened.photos.person, [1, 0])  # "12" before "a"
    assert opened.frames.clip == ("x", "k2")
    assert "4 pictures, 4 people (12, 7 and 2 more), 1 clip, 2 with landmarks" in opened.describe()[0]


def test_tars_of_folders_and_the_readers_agree_with_opening(tmp_path: Path) -> None:
    frames, photos = write_frames(tmp_path / "frames.tar"), write_photos(tmp_path / "photos.tar")
    opened = open_sources([frames, photos])
    alone, alone_photos = read_frames(frames), read_photos(photos)
    assert opened.frames is not None
    assert opened.photos is not None
    np.testing.assert_array_equal(opened.frames.person, alone.person)
    np.testing.assert_array_equal(alone.person, np.arange(8) % 3)
    np.testing.assert_array_equal(opened.frames.landmarks, alone.landmarks)
    assert opened.frames.clip == alone.clip
    np.testing.assert_array_equal(opened.photos.person, alone_photos.person)
    np.testing.assert_array_equal(alone_photos.person, [0, 0, 0, 1, 1, 1])
    for one, other in ((opened.frames, alone), (opened.photos, alone_photos)):
        assert all((a == b).all() for a, b in zip(one.images, other.images, strict=True))


@pytest.mark.parametrize("pattern", ["part-{000..002}.tar", "part-*.tar", "part-{000,001,002}.tar", ""])
def test_shards_are_one_source(tmp_path: Path, rng: Rng, pattern: str) -> None:
    data = [picture(rng) for _ in range(6)]
    for shard in range(3):
        members = {f"k{n}.png": data[n] for n in (2 * shard, 2 * shard + 1)}
        members |= {f"k{n}.cls": str(n % 2).encode() for n in (2 * shard, 2 * shard + 1)}
        write_tar(tmp_path / f"part-{shard:03d}.tar", members)
    for photos in (photos_of(tmp_path / pattern), photos_of(*sorted(tmp_path.glob("*.tar")))):
        same(photos.images, data)
        np.testing.assert_array_equal(photos.person, [0, 1, 0, 1, 0, 1])


def test_a_digit_at_the_end_of_a_name_makes_no_shards(tmp_path: Path, rng: Rng) -> None:
    members = {"a/0.png": picture(rng), "b/1.png": picture(rng)}
    paths = [write_tar(tmp_path / f"set{n}.tar", members) for n in range(2)]
    for sources in ([tmp_path], paths):
        np.testing.assert_array_equal(photos_of(*sources).person, [0, 1, 2, 3])
    np.testing.assert_array_equal(photos_of(tmp_path / "set{0..1}.tar").person, [0, 1, 0, 1])


def test_tars_of_train_and_test_folders_give_their_training_part(tmp_path: Path, rng: Rng) -> None:
    members = {f"set/{name}.png": picture(rng) for name in ("test/n9/1", "train/n1/1", "train/n2/1")}
    opened = open_sources([write_tar(tmp_path / "set.tar", members)])
    assert opened.photos is not None
    np.testing.assert_array_equal(opened.photos.person, [0, 1])
    assert "not for training: 1 pictures" in opened.describe()[-1]


def test_people_of_different_sources_are_different_people(tmp_path: Path, rng: Rng) -> None:
    first = write_tar(tmp_path / "one.tar", {f"{who}/{n}.png": picture(rng) for who in "ab" for n in range(2)})
    write_files(tmp_path / "two", ["a/0.png", "a/1.png", "c/0.png"], rng)
    write_files(tmp_path / "flat", ["0.png", "1.png"], rng)
    photos = photos_of(first, tmp_path / "two", tmp_path / "flat")
    np.testing.assert_array_equal(photos.person, [0, 0, 1, 1, 2, 2, 3, -1, -1])
    assert photos.people == 4
    frames = write_frames(tmp_path / "frames.tar")
    twice = frames_of(frames, frames)
    np.testing.assert_array_equal(twice.person, [*(np.arange(8) % 3), *(np.arange(8) % 3 + 3)])
    assert len(set(twice.clip)) == 8


def test_somebody_with_and_without_landmarks_is_one_class_not_two(tmp_path: Path, rng: Rng) -> None:
    members = {}
    for n, (who, marked) in enumerate([("a", 1), ("a", 1), ("a", 0), ("b", 0), ("b", 0), ("b", 1), ("c", 0)]):
        members[f"k{n}.png"] = picture(rng)
        members[f"k{n}.json"] = note(identity=who, **({"landmarks": face(rng).tolist()} if marked else {}))
    opened = open_sources([write_tar(tmp_path / "mixed.tar", members)])
    assert opened.frames is not None
    assert opened.photos is not None
    np.testing.assert_array_equal(opened.frames.person, [0, 0, -1])
    np.testing.assert_array_equal(opened.photos.person, [-1, 0, 0, 1])
    assert any("2 people have pictures with landmarks and without" in line for line in opened.describe())


# Folders


def test_folders_by_identity(tmp_path: Path, rng: Rng) -> None:
    """VGGFace2 (train beside test), CASIA-WebFace (within a wrapper), LFW; hidden files are none."""
    vgg = write_files(
        tmp_path / "vgg", ["train/n2/0001_01.jpg", "train/n3/1.jpg", "train/n3/2.jpg", "test/n1/1.jpg"], rng
    )
    opened = open_sources([tmp_path / "vgg"])
    assert opened.photos is not None
    same(opened.photos.images, [*vgg.values()][:3])
    np.testing.assert_array_equal(opened.photos.person, [0, 1, 1])
    assert any("not for training: test" in line for line in opened.describe())
    write_files(tmp_path / "wrapped", ["casia/0000045/001.jpg", "casia/0000099/001.jpg", "casia/.x/._1.jpg"], rng)
    np.testing.assert_array_equal(photos_of(tmp_path / "wrapped").person, [0, 1])


def test_notes_beside_pictures(tmp_path: Path, rng: Rng) -> None:
    write_files(tmp_path, ["a/clip/1.png", "a/clip/2.png", "b/3.png"], rng)
    points = face(rng)
    (tmp_path / "a/clip/1.json").write_bytes(note(landmarks=points.tolist()))
    (tmp_path / "b/3.json").write_bytes(note(identity="else"))
    opened = open_sources([tmp_path])
    assert opened.frames is not None
    assert opened.photos is not None
    assert opened.frames.clip == ("a/clip",)
    np.testing.assert_array_equal(opened.frames.landmarks[0], points)
    np.testing.assert_array_equal(opened.photos.person, [-1, 0])


@pytest.mark.parametrize("official", [True, False])
def test_celeba(tmp_path: Path, rng: Rng, official: bool) -> None:
    names = [f"{n:06d}.jpg" for n in range(1, 6)]
    lists, split = (tmp_path / "Anno", tmp_path / "Eval") if official else (tmp_path, tmp_path)
    pictures = (tmp_path / "Img" if official else tmp_path) / "img_align_celeba"
    for folder in (lists, split):
        folder.mkdir(exist_ok=True)
    data = write_files(pictures, names, rng)
    people = [2880, 17, 2880, 5, 17]
    (lists / "identity_CelebA.txt").write_text("".join(f"{n} {p}\n" for n, p in zip(names, people, strict=True)))
    for path in (tmp_path, pictures):
        np.testing.assert_array_equal(photos_of(path).person, [1, 0, 1, 2, 0])  # names, so 17, 2880, 5
    (split / "list_eval_partition.txt").write_text("".join(f"{n} {int(n > names[2])}\n" for n in names))
    opened = open_sources([tmp_path])
    assert opened.photos is not None
    same(opened.photos.images, [data[name] for name in names[:3]])
    assert any("2 pictures of its validation and test parts" in line for line in opened.describe())
    (lists / "identity_CelebA.txt").write_text("000001.jpg 2880\n000002.jpg\n")
    with pytest.raises(FileError, match=r"identity_CelebA\.txt.*line 2"):
        open_sources([tmp_path])


def write_300w_lp(root: Path, rng: Rng) -> dict[str, np.ndarray]:
    """Landmarks, in MATLAB's pixels, that hold for a picture, by SET/NAME."""
    savemat = pytest.importorskip("scipy.io").savemat
    truth = {}
    for place, names in {
        "AFW": ["AFW_1_1_0", "AFW_1_1_3", "AFW_2_1_0"],
        "AFW_Flip": ["AFW_1_1_0", "AFW_1_1_3"],
        "LFPW": ["LFPW_image_train_0001_0"],
    }.items():
        write_files(root / place, [f"{name}.jpg" for name in names], rng)
        for name in names:
            upright = face(rng).astype(float)
            stored = upright if place != "LFPW" else np.stack([upright[:, 0], 101 - upright[:, 1]], axis=1)
            savemat(root / place / f"{name}.mat", {"pt2d": stored.T, "Pose_Para": np.zeros((1, 7))})
            if name.endswith("_0") and place != "LFPW":
                truth[f"{place}/{name}"] = upright
    for key in ("AFW/AFW_1_1_0", "AFW/AFW_1_1_3"):
        own = face(rng).astype(float)
        (root / "landmarks" / "AFW").mkdir(parents=True, exist_ok=True)
        savemat(root / "landmarks" / f"{key}_pts.mat", {"pts_2d": own, "pts_3d": own + 5})
        truth[key] = own
    return truth


def test_300w_lp_takes_the_landmarks_that_hold_for_the_picture(tmp_path: Path, rng: Rng) -> None:
    """pts_2d first; pt2d, which rotated pictures share with their photo, for the photo only, and not upside down."""
    truth = write_300w_lp(tmp_path / "300W_LP", rng)
    opened = open_sources([tmp_path / "300W_LP"])
    assert opened.frames is not None
    assert opened.photos is not None
    wanted = np.stack([truth[key] for key in sorted(truth)]) - 1
    np.testing.assert_allclose(opened.frames.landmarks, wanted, atol=1e-4)
    assert opened.frames.clip == ("AFW_1_1", "AFW_1_1", "AFW_2_1", "AFW_1_1")
    assert len(opened.photos.images) == 2  # the flipped rotated one, and LFPW's
    assert set(opened.frames.person) == set(opened.photos.person) == {-1}
    assert any("2 pictures have no landmarks of their own" in line for line in opened.describe())
    assert len(frames_of(tmp_path / "300W_LP" / "AFW").images) == 3


def test_aflw2000_and_pts_count_pixels_from_one(tmp_path: Path, rng: Rng) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    points = face(rng).astype(float)
    write_files(tmp_path / "AFLW2000", ["image00002.jpg"], rng)
    three = np.vstack([points.T, np.arange(68)])
    savemat(tmp_path / "AFLW2000" / "image00002.mat", {"pt3d_68": three, "pt2d": np.zeros((2, 21))})
    write_files(tmp_path / "300W" / "helen" / "trainset", ["1.jpg"], rng)
    write_files(tmp_path / "300W" / "helen" / "testset", ["2.jpg"], rng)
    write_files(tmp_path / "300W" / "ibug", ["image_003_1.jpg"], rng)
    lines = "\n".join(f"{x} {y}" for x, y in points)
    for name in ("helen/trainset/1", "helen/testset/2", "ibug/image_003_1"):
        (tmp_path / "300W" / f"{name}.pts").write_text(f"version: 1\nn_points:  68\n{{\n{lines}\n}}\n")
    for paths, count in (((tmp_path / "AFLW2000",), 1), ((tmp_path / "300W",), 2), ((tmp_path,), 3)):
        frames = frames_of(*paths)
        np.testing.assert_allclose(frames.landmarks, np.stack([points - 1] * count), atol=1e-4)
        np.testing.assert_array_equal(frames.person, -1)


def test_a_folder_of_several_sources_without_what_is_held_out(
    tmp_path: Path, rng: Rng, small_model: FaceModel
) -> None:
    write_frames(tmp_path / "video-train.tar")
    write_frames(tmp_path / "video-val.tar")
    write_photos(tmp_path / "photo-train.tar")
    write_photos(tmp_path / "photo-test-003.tar")
    write_files(tmp_path / "lfw", ["A/A_1.jpg", "B/B_1.jpg"], rng)
    write_synthetic(small_model, tmp_path / "rendered", 2)
    opened = open_sources([tmp_path])
    assert opened.frames is not None
    assert opened.photos is not None
    assert (len(opened.frames.images), opened.frames.people) == (8, 3)
    assert (len(opened.photos.images), opened.photos.people) == (8, 4)
    told = "\n".join(opened.describe())
    assert "left out, not for training: photo-test-003.tar, video-val.tar" in told
    assert "rendered: rendered faces, which --synthetic takes" in told
    assert len(frames_of(tmp_path / "video-val.tar").images) == 8  # named outright
    assert len(frames_of(tmp_path / "video-*.tar").images) == 8
    assert len(frames_of(tmp_path / "*-val.tar").images) == 8


def test_links(tmp_path: Path, rng: Rng) -> None:
    data = write_files(tmp_path / "real", ["x/1.png", "y/2.png"], rng)
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "b").mkdir()
    (tmp_path / "set" / "a" / "1.png").symlink_to(tmp_path / "real" / "x" / "1.png")
    (tmp_path / "set" / "b" / "2.png").symlink_to(tmp_path / "real" / "y" / "2.png")
    (tmp_path / "set" / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    opened = open_sources([tmp_path / "set"])
    assert opened.photos is not None
    same(opened.photos.images, [*data.values()])
    assert "gone.png" in opened.describe()[-1]
    assert "loop" in opened.describe()[-1]
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    same(photos_of(tmp_path / "linked").images, [*data.values()])


# Memory and processes


def test_memory_changes_nothing(tmp_path: Path, rng: Rng) -> None:
    tar = write_frames(tmp_path / "frames.tar")
    write_files(tmp_path / "folder", ["a/1.png", "a/2.webp", "b/3.jpg"], rng)
    held, read = (open_sources([tar, tmp_path / "folder"], limit) for limit in (1 << 30, 0))
    assert held.frames is not None
    assert held.photos is not None
    assert read.frames is not None
    assert read.photos is not None
    assert held.frames.images.is_held
    assert held.photos.images.is_held
    assert not read.frames.images.is_held
    assert not read.photos.images.is_held
    for one, other in ((held.frames, read.frames), (held.photos, read.photos)):
        np.testing.assert_array_equal(one.person, other.person)
        assert all((a == b).all() for a, b in zip(one.images, other.images, strict=True))
    just_short = sum(image.nbytes for image in held.frames.images)
    assert not read_frames(tar, just_short).images.is_held
    assert read_frames(tar, just_short + 1).images.is_held


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_stores_travel_to_other_processes_without_their_pixels(tmp_path: Path, limit: int) -> None:
    store = read_photos(write_photos(tmp_path / "photos.tar"), limit).images
    data = pickle.dumps(store)
    assert len(data) < store[0].nbytes
    other = pickle.loads(data)
    assert all((a == b).all() for a, b in zip(store, other, strict=True))


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_forked_loaders_read_what_one_process_reads(tmp_path: Path, rng: Rng, limit: int) -> None:
    """Many readers of one archive at once: a shared file position would mix their pictures up."""
    tar = write_tar(tmp_path / "many.tar", {f"p{n % 3}/{n:03d}.png": picture(rng) for n in range(60)})
    store = read_photos(tar, limit).images
    assert store[0].shape == (100, 90, 3)  # the parent has read before it forks
    loader = torch.utils.data.DataLoader(
        store, batch_size=None, num_workers=2, multiprocessing_context="fork", shuffle=False
    )
    for got, wanted in zip(loader, store, strict=True):
        np.testing.assert_array_equal(np.asarray(got), wanted)


def test_stores_end(tmp_path: Path) -> None:
    store = read_photos(write_photos(tmp_path / "photos.tar"), 0).images
    with pytest.raises(IndexError):
        store[len(store)]
    np.testing.assert_array_equal(store[-1], store[5])

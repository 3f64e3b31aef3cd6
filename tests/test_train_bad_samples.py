"""Training goes on past a few samples that cannot be used, names them, and moves no label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from source_files import Rng, face, note, pixels, write_files, write_tar  # noqa: E402
from train_sources import picture, write_teacher  # noqa: E402

from likeness.datasets import Frames, Photos, open_sources, read_frames, read_photos  # noqa: E402
from likeness.datasets.image_store import next_readable, readable  # noqa: E402
from likeness.errors import FileError  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.train.generate.morphs import faces_of  # noqa: E402
from likeness.train.losses.reconstruction import LandmarkHead  # noqa: E402
from likeness.train.photos.batches import TrainBatches  # noqa: E402
from likeness.train.photos.labels import PseudoLabels, Sources  # noqa: E402
from likeness.train.photos.landmark_bias import sideways  # noqa: E402
from likeness.train.photos.network import NetSettings, Regressor  # noqa: E402
from likeness.train.photos.pseudo_labels import label_photos  # noqa: E402
from likeness.train.photos.samples import SampleMaker  # noqa: E402
from likeness.train.photos.teacher_embeddings import TeacherNotes  # noqa: E402
from likeness.train.photos.validation import codes_at, validate  # noqa: E402
from likeness.train.recipe_settings import Mix  # noqa: E402
from likeness.train.scans.meshes import read_meshes  # noqa: E402
from likeness.train.settings import AugmentSettings  # noqa: E402

COUNT, BROKEN = 8, 3


@pytest.fixture
def rng() -> Rng:
    return np.random.default_rng(5)


def broken(data: bytes) -> bytes:
    """Whole by its ends, damaged within: only who decodes it sees that."""
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 255
    return bytes(changed)


@pytest.fixture
def frames(tmp_path: Path, rng: Rng) -> Frames:
    """Pictures with landmarks of eight people, of which none is decoded beforehand and number 3 does not decode."""
    members = {}
    for number in range(COUNT):
        data = picture(rng)
        members[f"k{number}.png"] = broken(data) if number == BROKEN else data
        members[f"k{number}.json"] = note(landmarks=face(rng).tolist(), identity=f"p{number}")
    return read_frames(write_tar(tmp_path / "frames.tar", members), 0)


@pytest.fixture
def photos(tmp_path: Path, rng: Rng) -> Photos:
    members = {f"p{number}/0.png": picture(rng) for number in range(COUNT)}
    members[f"p{BROKEN}/0.png"] = broken(members[f"p{BROKEN}/0.png"])
    return read_photos(write_tar(tmp_path / "photos.tar", members), 0)


def test_the_readable_pictures_keep_their_numbers(frames: Frames) -> None:
    with pytest.warns(RuntimeWarning, match=r"frames\.tar: k3\.png.*left out"):
        found = dict(readable(frames.images, range(COUNT)))
    assert [*found] == [number for number in range(COUNT) if number != BROKEN]
    for number, image in found.items():
        np.testing.assert_array_equal(image, frames.images[number])
    with pytest.warns(RuntimeWarning):
        assert next_readable(frames.images, BROKEN)[0] == BROKEN + 1
    index = np.array([BROKEN, 0, 6])
    with pytest.warns(RuntimeWarning):
        at, image = next_readable(frames.images, 0, index)
    assert at == 1
    np.testing.assert_array_equal(image, frames.images[0])
    with pytest.warns(RuntimeWarning), pytest.raises(FileError, match="in a row"):
        next_readable(frames.images, 0, np.array([BROKEN]))


@pytest.mark.filterwarnings("ignore:.*left out:RuntimeWarning")
def test_a_sample_that_breaks_is_the_next_one_with_its_own_labels(
    small_model: FaceModel, frames: Frames, photos: Photos
) -> None:
    pseudo = PseudoLabels(np.array([BROKEN, 5]), np.stack([frames.landmarks[0], frames.landmarks[1]]))
    maker = SampleMaker(Sources(small_model, frames, None, photos), AugmentSettings(), pseudo)
    for number in range(COUNT):
        sample = maker.frame(number, np.random.default_rng(number))
        expected = maker.frame(BROKEN + 1 if number == BROKEN else number, np.random.default_rng(number))
        np.testing.assert_array_equal(sample.image, expected.image)
        assert sample.person == expected.person == frames.person[BROKEN + 1 if number == BROKEN else number]
    assert maker.photo(0, np.random.default_rng(0)).person == COUNT + 5
    for number in range(40):
        maker.negative(np.random.default_rng(number))
    batches = TrainBatches(maker, Mix(frames=4, people=0, each=0, synthetic=0, photos=2, morphs=0, negatives=2), 0)
    assert all(len(batches[number][0]) == 8 for number in range(4))


@pytest.mark.filterwarnings("ignore:.*left out:RuntimeWarning")
def test_what_looks_at_all_pictures_leaves_it_out(small_model: FaceModel, frames: Frames, photos: Photos) -> None:
    network = Regressor(NetSettings.for_model(small_model)).eval()
    head = LandmarkHead(small_model)
    good = [number for number in range(COUNT) if number != BROKEN]
    codes = codes_at(network, frames.images, frames.landmarks)
    assert np.flatnonzero(np.isnan(codes).any(1)).tolist() == [BROKEN]
    whole = Frames([frames.images[n] for n in good], frames.landmarks[good], frames.person[good], ())  # type: ignore[arg-type]
    np.testing.assert_allclose(codes[good], codes_at(network, whole.images, whole.landmarks), atol=1e-5)
    assert validate(network, head, frames) == pytest.approx(validate(network, head, whole))
    assert sideways(network, head, frames) == pytest.approx(sideways(network, head, whole))
    assert BROKEN not in label_photos(network, head, photos).index
    pseudo = PseudoLabels(np.arange(COUNT), np.stack([face(np.random.default_rng(n)) for n in range(COUNT)]))
    assert len(faces_of(frames, photos, pseudo)) == 2 * len(good)


@pytest.mark.filterwarnings("ignore:.*left out:RuntimeWarning")
def test_a_teacher_is_not_asked_about_it(
    small_model: FaceModel, frames: Frames, photos: Photos, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    teacher = write_teacher(tmp_path / "teacher.onnx")
    notes = TeacherNotes.open(teacher, Sources(small_model, frames, None, photos), tmp_path)
    assert notes.embeddings.frames is not None
    assert np.flatnonzero(np.isnan(notes.embeddings.frames).any(1)).tolist() == [BROKEN]


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"landmarks": [[1, 2]]}', b'{"landmarks": {"a": 1}}', b"\xff\xfe"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_picture_whose_note_is_damaged_is_left_out_and_counted(
    tmp_path: Path, rng: Rng, damage: bytes, packed: bool
) -> None:
    members = {f"p{n % 5}/{n:03d}.png": picture(rng, 30, 30) for n in range(100)}
    members |= {f"p{n % 5}/{n:03d}.json": note(clip=f"c{n}") for n in range(100)}

    def source(name: str) -> Path:
        if packed:
            return write_tar(tmp_path / f"{name}.tar", members)
        for path, data in members.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(data)
        return tmp_path / name

    members["p0/050.json"] = damage
    opened = open_sources([source("one")])
    assert opened.photos is not None
    assert len(opened.photos.images) == 99
    np.testing.assert_array_equal(opened.photos.person, [p for p in range(5) for n in range(p, 100, 5) if n != 50])
    assert any("1 damaged, left out: p0/050.png" in line for line in opened.describe())
    members["p1/051.json"] = damage
    with pytest.raises(FileError, match=r"2 of 100 pictures cannot be used, over 1 %.*p0/050"):
        open_sources([source("two")])


def test_points_that_are_damaged_leave_their_picture_out(tmp_path: Path, rng: Rng) -> None:
    made = write_files(tmp_path, [f"{n:03d}.png" for n in range(100)], rng)
    points = "version: 1\nn_points: 68\n{\n" + "4 5\n" * 68 + "}\n"
    for name in made:
        (tmp_path / name).with_suffix(".pts").write_text("cut" if name == "007.png" else points)
    opened = open_sources([tmp_path])
    assert opened.frames is not None
    assert len(opened.frames.images) == 99
    np.testing.assert_array_equal(opened.frames.images[7], pixels(made["008.png"]))


def test_a_mesh_of_many_that_cannot_be_read_is_left_out(small_model: FaceModel, tmp_path: Path) -> None:
    mesh = small_model.mesh(np.zeros(len(small_model.identity_basis)))
    mesh.save(tmp_path / "good.ply")
    (tmp_path / "bad.ply").write_bytes(b"ply\n")
    rows = [f"good.ply,p{number},neutral" for number in range(100)]
    rows[40] = "bad.ply,p40,neutral"
    (tmp_path / "table.csv").write_text("\n".join(["file,identity,expression", *rows]))
    with pytest.warns(UserWarning, match=r"1 of 100.*bad\.ply"):
        found = read_meshes(tmp_path, small_model)
    assert len(found.vertices) == len(found.identity) == 99
    rows[41] = "none.ply,p41,neutral"
    (tmp_path / "table.csv").write_text("\n".join(["file,identity,expression", *rows]))
    with pytest.raises(FileError, match=r"bad\.ply"):
        read_meshes(tmp_path, small_model)

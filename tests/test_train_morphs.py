"""Laws of morphs: the ends are the faces themselves, the way there and back is one, landmarks move with pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from conftest import landmark_drawing
from train_sources import TOLD, write_morphs, write_photos, write_teacher

from likeness.cli.main import main
from likeness.datasets.memory_maps import Morphs
from likeness.errors import FileError
from likeness.networks.recogniser import FIVE_POINTS, Teacher, five_of
from likeness.train.generate.morphs import PICTURES, SIZE, Face, FacesByPerson, Leveled, leveled, make_person, morph
from likeness.train.generate.morphs import write_morphs as make_morphs


def face(seed: int, person: int | None = None) -> Face:
    """A smooth picture with a drawing's landmarks, turned and moved a little; each is another person's."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (200, 220), interpolation=cv2.INTER_CUBIC)
    angle = rng.uniform(-0.3, 0.3)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = landmark_drawing() * [0.5 + 0.2 * (seed % 2), -0.6] @ turn + [100, 110]
    return Face(image, points, seed if person is None else person)


def two() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return leveled(face(1), rng), leveled(face(2), rng)


def test_leveled_faces_are_upright_and_in_the_middle() -> None:
    _, points = leveled(face(3), np.random.default_rng(0))
    eyes = points[36:42].mean(0), points[42:48].mean(0)
    assert eyes[1][1] - eyes[0][1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(0.5 * (points.min(0) + points.max(0)), [(SIZE - 1) / 2] * 2, atol=0.6)


def test_nothing_of_the_second_is_the_first_itself() -> None:
    first, second = two()
    image, points = morph(first, second, 0.0, 0.0)
    np.testing.assert_allclose(points, first[1])
    assert np.abs(image.astype(int) - first[0]).max() <= 2


def test_half_way_there_is_half_way_back() -> None:
    first, second = two()
    there, back = morph(first, second, 0.5, 0.3), morph(second, first, 0.5, 0.7)
    np.testing.assert_allclose(there[1], back[1])
    assert np.abs(there[0].astype(int) - back[0]).max() <= 1


def test_a_dot_on_a_landmark_moves_with_it() -> None:
    first, second = two()
    marked = np.zeros_like(first[0])
    for x, y in np.rint(first[1][[30, 36, 54]]).astype(int):
        cv2.circle(marked, (int(x), int(y)), 2, (255, 255, 255), -1)
    image, points = morph((marked, first[1]), second, 1.0, 0.0)
    for x, y in points[[30, 36, 54]]:
        bright = np.argwhere(image[..., 0] > 100)[:, ::-1]
        assert np.linalg.norm(bright - [x, y], axis=1).min() < 2.0
    assert np.linalg.norm(points - first[1], axis=1).max() > 3.0  # there was something to move


def test_a_new_persons_pictures_are_mixed_from_other_pictures_in_the_same_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faces = [face(seed, seed % 2) for seed in range(12)]
    shares, sources = [], []

    def noted(first: Leveled, second: Leveled, shape: float, texture: float) -> Leveled:
        shares.append((shape, texture))
        sources.append((first, second))
        return morph(first, second, shape, texture)

    monkeypatch.setattr("likeness.train.generate.morphs.morph", noted)
    made = make_person(faces, FacesByPerson(faces), np.random.default_rng(0))
    assert len(made) == PICTURES
    assert len(set(shares)) == 1
    whole = [leveled(one, np.random.default_rng(0))[1] for one in faces]
    found = [[_which(whole, points) for _, points in pair] for pair in sources]
    assert {first % 2 for first, _ in found} == {found[0][0] % 2}
    assert {second % 2 for _, second in found} == {1 - found[0][0] % 2}
    assert len({first for first, _ in found}) == PICTURES


def _which(whole: list[np.ndarray], points: np.ndarray) -> int:
    """Of which face these are the landmarks."""
    return int(np.argmin([np.abs(points - one).max() for one in whole]))


def test_partners_are_posed_alike() -> None:
    faces = [face(seed, seed % 2) for seed in range(12)]
    whole = np.stack([leveled(one, np.random.default_rng(0))[1].ravel() for one in faces])
    theirs, apart = FacesByPerson(faces).nearest(np.array([0, 4]), 1)
    for mine, other in zip((0, 4), theirs, strict=True):
        assert other == min(range(1, 12, 2), key=lambda one: np.abs(whole[one] - whole[mine]).sum())
    assert apart == pytest.approx(np.abs(whole[[0, 4]] - whole[theirs]).sum())


def test_one_picture_meets_several_partners() -> None:
    faces = [face(0, 0), *(face(seed, 1) for seed in range(1, 6))]
    people = FacesByPerson(faces)
    theirs, _ = people.nearest(np.array([0, 0, 0, 0]), 1, np.arange(4))
    assert len(set(theirs.tolist())) == 4
    assert theirs[0] == people.nearest(np.array([0]), 1)[0][0]
    assert people.nearest(np.array([1, 1]), 0, np.arange(2))[0].tolist() == [0, 0]  # as far as there are any


def test_one_person_cannot_be_mixed() -> None:
    with pytest.raises(ValueError, match="at least two people"):
        FacesByPerson([face(0, 3), face(1, 3)])
    assert len(FacesByPerson([face(0, -1), face(1, -1)]).faces) == 2  # of the unknown each may be another


def test_the_teacher_sees_faces_where_it_expects_them(tmp_path: Path) -> None:
    for width, shift in ((96, 0.0), (112, 8.0)):
        teacher = Teacher.load(write_teacher(tmp_path / f"{width}.onnx", width))
        assert (teacher.width, teacher.size) == (width, TOLD)
        points = np.zeros((68, 2))  # any 68 points whose five are a similarity of the expected ones
        for rows, (x, y) in zip(([*range(36, 42)], [*range(42, 48)], [30], [48], [54]), FIVE_POINTS, strict=True):
            points[rows] = [300 + 2 * x - y, 100 + x + 2 * y]
        image = np.zeros((700, 600, 3), np.uint8)
        for x, y in five_of(points):
            cv2.circle(image, (round(x), round(y)), 9, (255, 255, 255), -1)
        found = teacher.aligned(image, points)
        assert found.shape == (112, width, 3)
        for x, y in FIVE_POINTS + [shift, 0]:
            assert found[round(y), round(x), 0] > 200
        assert teacher(found[None]).shape == (1, TOLD)


def test_files_that_are_no_teacher_say_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        Teacher.load(tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(FileError, match="cannot be read as ONNX"):
        Teacher.load(tmp_path / "broken.onnx")


def test_what_is_written_is_read_and_depends_on_the_seed(tmp_path: Path) -> None:
    path, faces = write_teacher(tmp_path / "teacher.onnx"), [face(seed) for seed in range(5)]
    teacher = Teacher.load(path)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert list(make_morphs(faces, path, tmp_path / name, 6, seed)) == [6]
    a, b, c = (Morphs(tmp_path / name) for name in "abc")
    assert len(a) == 6
    assert a.person.tolist() == [0, 0, 0, 0, 1, 1]
    np.testing.assert_array_equal(a.image, b.image)
    assert not np.array_equal(a.image, c.image)
    again = teacher(np.stack([teacher.aligned(a.image[1], a.landmarks[1].astype(float))]))[0]
    np.testing.assert_allclose(a.embedding[1], again, atol=2e-2)


def test_processes_share_the_work_without_a_trace(tmp_path: Path) -> None:
    path, faces, count = write_teacher(tmp_path / "teacher.onnx"), [face(seed) for seed in range(5)], 70
    for name, processes in (("one", 1), ("two", 2)):
        assert list(make_morphs(faces, path, tmp_path / name, count, processes=processes)) == [64, 70]
    one, two = Morphs(tmp_path / "one"), Morphs(tmp_path / "two")
    for name in ("image", "landmarks", "embedding", "person"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_folders_that_cannot_be_used_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"image\.npy"):
        Morphs(tmp_path)
    np.save(write_morphs(tmp_path / "morphs") / "landmarks.npy", np.zeros((7, 5, 2), np.float32))
    with pytest.raises(FileError, match=r"landmarks\.npy: expected an array"):
        Morphs(tmp_path / "morphs")


def test_photos_without_landmarks_ask_for_a_network_that_finds_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, teacher = write_photos(tmp_path / "photos.tar"), write_teacher(tmp_path / "teacher.onnx")
    with pytest.raises(SystemExit) as ended:
        main(["train", "morphs", "--data", str(photos), "--teacher", str(teacher), "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "--run" in capsys.readouterr().err

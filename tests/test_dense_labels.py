"""Labels of surface points: files, which pictures they are of, and MediaPipe's network that makes them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import landmark_drawing
from dense_points import small_map
from train_sources import write_frames, write_photos

from likeness.cli.main import main
from likeness.datasets import read_frames, read_photos
from likeness.datasets.dense_labels import (
    PointLabels,
    key_of,
    match_points,
    read_point_labels,
    write_point_labels,
)
from likeness.datasets.label_points import label_points
from likeness.datasets.training import Opened, open_sources
from likeness.errors import FileError, MissingExtraError
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap, default_point_map
from likeness.networks.mediapipe import POINTS, SIZE, FaceLandmarker
from likeness.reconstruct.teacher_points import teacher_points

SHARED = Path(__file__).parents[2] / "shared" / "data"


def labels(count: int = 5, points: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "key": np.array([f"p{number}/{number}" for number in range(count)]),
        "points": rng.uniform(0, 90, (count, points, 2)).astype(np.float32),
        "std": rng.uniform(0, 1, (count, points)).astype(np.float16),
        "embedding": rng.standard_normal((count, 4)).astype(np.float16),
    }


def test_labels_come_back_from_a_file(tmp_path: Path) -> None:
    arrays = labels()
    made = PointLabels(
        "x",
        tuple(arrays["key"].tolist()),
        arrays["points"],
        arrays["std"].astype(np.float32),
        arrays["embedding"].astype(np.float32),
    )
    write_point_labels(tmp_path / "a.npz", made)
    again = read_point_labels(tmp_path / "a.npz", 7)
    assert again.key == made.key
    for name in ("points", "deviation", "embedding"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))


def test_sixteenths_of_a_pixel_and_pictures_without_a_face(tmp_path: Path) -> None:
    arrays = labels()
    flat = np.rint(arrays["points"] * 16).astype(np.int16)
    depth = np.concatenate([flat, flat[..., :1]], axis=-1)
    presence = np.array([1.0, -2.0, 0.5, 3.0, 0.0])
    np.savez(tmp_path / "a.npz", key=arrays["key"], points=depth, presence=presence, sface=arrays["embedding"])
    found = read_point_labels(tmp_path / "a.npz", 7)
    assert found.key == ("p0/0", "p2/2", "p3/3", "p4/4")
    assert np.abs(found.points - arrays["points"][[0, 2, 3, 4]]).max() <= 1 / 32
    assert found.embedding is not None
    np.testing.assert_array_equal(found.embedding, arrays["embedding"][[0, 2, 3, 4]].astype(np.float32))
    assert found.deviation is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.zeros((5, 6, 2), np.float32)}, r"expected points \(5, 7"),
        ({"points": np.zeros((5, 7, 2), np.uint8)}, r"expected points \(5, 7"),
        ({"key": np.array(["a"] * 5)}, "different names"),
        ({"key": np.arange(5)}, "different names"),
        ({"std": np.zeros((5, 6), np.float32)}, r"expected std \(5, 7"),
        ({"embedding": np.zeros(5, np.float32)}, "expected embedding"),
        ({"presence": np.zeros((5, 2))}, "expected presence"),
        ({"points": np.array([{}] * 5, object)}, "Python objects"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **{**labels(), **change})
    with pytest.raises(FileError, match=message):
        read_point_labels(tmp_path / "a.npz", 7)


def test_what_is_no_file_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file; expected labels"):
        read_point_labels(tmp_path / "a.npz", 7)
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(FileError, match="cannot be read"):
        read_point_labels(tmp_path / "a.npz", 7)
    np.savez(tmp_path / "b.npz", key=labels()["key"])
    with pytest.raises(FileError, match="points is missing"):
        read_point_labels(tmp_path / "b.npz", 7)


def of(*keys: str, points: int = 7, size: int = 4) -> PointLabels:
    rng = np.random.default_rng(len(keys))
    places = rng.uniform(0, 90, (len(keys), points, 2)).astype(np.float32)
    return PointLabels("labels.npz", keys, places, None, rng.standard_normal((len(keys), size)).astype(np.float32))


def test_labels_find_their_pictures(tmp_path: Path) -> None:
    frames = read_frames(write_frames(tmp_path / "frames.tar")).images
    photos = read_photos(write_photos(tmp_path / "photos.tar")).images
    assert key_of("q1/3.b.png") == "q1/3.b"
    first, second = of("q1/3", "k5", "nobody"), of("k5", "k0")
    one, other = match_points([first, second], [frames, photos])
    assert one is not None
    assert other is not None
    assert [frames.places.names[number] for number in one.index] == ["k0.png", "k5.png"]
    assert [photos.places.names[number] for number in other.index] == ["q1/3.png"]
    np.testing.assert_array_equal(one.points, [second.points[1], first.points[1]])  # of two files the first counts
    assert one.embedding is not None
    assert first.embedding is not None
    np.testing.assert_array_equal(one.embedding[1], first.embedding[1])
    assert match_points([], [frames, None]) == [None, None]


def test_labels_of_other_pictures_are_refused(tmp_path: Path) -> None:
    frames = read_frames(write_frames(tmp_path / "frames.tar")).images
    with pytest.raises(FileError, match="labels of pictures of the sources"):
        match_points([of("a", "b")], [frames])
    with pytest.raises(FileError, match="sources have 2"):
        match_points([of("k5")], [frames, frames])
    with pytest.raises(FileError, match="embeddings of one network"):
        match_points([of("k5"), of("k1", size=5)], [frames])


class _Drawn:
    """A stand-in for LiteRT: says that the points lie about the brightest pixel of what it is shown."""

    def __init__(self, spread: np.ndarray) -> None:
        self.spread = spread

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "shape": np.array([1, SIZE, SIZE, 3])}]

    def set_tensor(self, index: int, values: np.ndarray) -> None:
        self.image = values[0].sum(-1)

    def invoke(self) -> None:
        weight = np.clip(self.image - 1.5, 0, None)
        y, x = np.mgrid[:SIZE, :SIZE]
        self.middle = np.array([(weight * x).sum(), (weight * y).sum()]) / max(weight.sum(), 1e-9)

    def get_tensor(self, index: int) -> np.ndarray:
        if index == 1:
            return np.array([[4.0]], np.float32)
        points = np.column_stack([self.middle + 0.5 + self.spread, np.zeros(POINTS)])
        return points.astype(np.float32).reshape(1, 1, 1, -1)


def drawn() -> FaceLandmarker:
    rng = np.random.default_rng(0)
    spread = rng.uniform(-60, 60, (POINTS, 2))
    spread[33], spread[263] = (-40, 0), (40, 0)
    points = default_point_map()
    even = 0.5 * (spread + spread[points.mirror] * [-1, 1])  # a face and its mirror image are alike
    return FaceLandmarker(_Drawn(even), (0, 1))


def test_points_of_several_looks_lie_where_the_face_is() -> None:
    y, x = np.mgrid[:220, :200]
    there = np.array([104.3, 112.6])
    image = np.repeat(
        (255 * np.exp(-((x - there[0]) ** 2 + (y - there[1]) ** 2) / 60)).astype(np.uint8)[..., None], 3, 2
    )
    landmarks = landmark_drawing() * [0.5, -0.5] + [100.0, 100.0]
    found = teacher_points(image, landmarks, drawn(), default_point_map())
    assert found.points.shape == (478, 3)
    assert np.abs(found.points[:, :2].mean(0) - there).max() < 0.6
    assert found.chance > 0.95
    mirrored = landmarks * [-1, 1] + [199.0, 0.0]
    mirrored = mirrored[
        [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
        + [*range(45, 41, -1), 47, 46, *range(39, 35, -1), 41, 40, *range(48, 68)]
    ]
    other = teacher_points(np.ascontiguousarray(image[:, ::-1]), mirrored, drawn(), default_point_map())
    again = default_point_map().mirrored(other.points[:, :2], 200)
    assert np.abs(again - found.points[:, :2]).max() < 0.8


class _Nobody:
    """A finder that finds no face."""

    def __call__(self, image: np.ndarray, max_faces: int) -> list[Any]:
        return []


def test_frames_are_labelled_and_faceless_photos_left_out(tmp_path: Path) -> None:
    opened = open_sources([write_frames(tmp_path / "frames.tar"), write_photos(tmp_path / "photos.tar")])
    finder: Any = _Nobody()
    heard: list[tuple[int, int]] = []
    made = label_points(opened, drawn(), finder, default_point_map(), "out.npz", lambda *done: heard.append(done))
    assert made.labels.key == tuple(f"k{number}" for number in range(8))
    assert [one.reason for one in made.excluded] == ["no face was found"] * 6
    assert heard[-1] == (14, 14)
    write_point_labels(tmp_path / "out.npz", made.labels)
    again = read_point_labels(tmp_path / "out.npz", 478)
    assert opened.frames is not None
    placed = match_points([again], [opened.frames.images])[0]
    assert placed is not None
    assert placed.index.tolist() == list(range(8))
    with pytest.raises(FileError, match="shows a face"):
        label_points(Opened(None, opened.photos), drawn(), finder, default_point_map(), "out.npz")
    with pytest.raises(FileError, match="label their sources apart"):
        label_points(Opened(opened.frames, replace(opened.photos, images=opened.frames.images)), drawn(), finder,
                     default_point_map(), "out.npz")  # fmt: skip


def test_without_litert_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=r"likeness3d\[points\]"):
        FaceLandmarker.load(tmp_path)
    frames = str(write_frames(tmp_path / "frames.tar"))
    arguments = ["train", "label-points", "--data", frames, "--teacher", str(tmp_path), "-o", str(tmp_path / "o.npz")]
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "likeness3d[points]" in capsys.readouterr().err


def test_files_that_are_no_landmark_network_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(FileError, match="no such file"):
        FaceLandmarker.load(tmp_path)
    (tmp_path / "face_landmarks_detector.tflite").write_bytes(b"no network")
    with pytest.raises(FileError, match="cannot be read"):
        FaceLandmarker.load(tmp_path)


def test_mediapipes_points_of_a_portrait_do_not_lean(small_model: FaceModel) -> None:
    """The pixel convention: a portrait and its mirror image have the same points, to less than half a pixel."""
    pytest.importorskip("ai_edge_litert")
    folder = SHARED / "teachers" / "mediapipe"
    portraits = sorted((SHARED / "portraits").glob("*-neutral.jpg"))[:6]
    if not folder.is_dir() or not portraits:
        pytest.skip("no shared data")
    from likeness.images.photo import load_photo
    from likeness.reconstruct.reconstructor import Reconstructor

    network, finder, points = FaceLandmarker.load(folder), Reconstructor(threads=1), default_point_map()
    lean = []
    for path in portraits:
        image = load_photo(path).image
        box = finder(image, max_faces=1)[0].box
        from likeness.geometry.crop import Crop

        crop = Crop.from_box((box[:2] + box[2:]) / 2 - [0, 0.1 * (box[3] - box[1])], 1.7 * (box[3] - box[1]), SIZE)
        pixels = crop.extract(image)
        plain, chance = network(pixels)
        mirrored, _ = network(np.ascontiguousarray(pixels[:, ::-1]))
        assert chance > 0.9
        lean.append((plain[:, 0] - points.mirrored(mirrored[:, :2], SIZE)[:, 0]).mean())
    assert abs(np.mean(lean)) < 0.4  # counted from the corner it would be 1


def test_the_embedded_map_is_of_the_embedded_model(small_model: FaceModel) -> None:
    from likeness.assets import asset

    points, model = default_point_map(), FaceModel.load(asset("face_model.npz"))
    assert len(points) == POINTS
    triangles = {tuple(sorted(one)) for one in model.topology.triangles.tolist()}
    assert all(tuple(sorted(one)) in triangles for one in points.vertices.tolist())
    mean = points.gather(model.mean)
    mirrored = mean[points.mirror] * [-1, 1, 1]
    uneven = np.linalg.norm(mirrored - mean, axis=1)
    assert np.median(uneven) < 0.3
    assert uneven.max() < 5
    landmarks = model.landmark_map.gather(model.mean)[:51]  # 17 to 67
    apart = np.linalg.norm(mean[points.ibug[17:]] - landmarks, axis=1)
    assert np.median(apart) < 4
    assert small_map(small_model).mirror.shape == (44,)


def test_maps_come_back_from_files_and_wrong_ones_are_refused(small_model: FaceModel, tmp_path: Path) -> None:
    points = small_map(small_model)
    points.save(tmp_path / "map.npz")
    again = PointMap.load(tmp_path / "map.npz")
    for name in ("vertices", "weights", "mirror", "ibug"):
        np.testing.assert_array_equal(getattr(again, name), getattr(points, name))
    wrong = {
        "sum to 1": {"weights": points.weights * 2},
        "own inverse": {"mirror": np.roll(points.mirror, 1)},
        "indices below 44": {"ibug": points.ibug + 44},
        r"\(P, 3\)": {"vertices": points.vertices[:, :2]},
    }
    for message, change in wrong.items():
        with pytest.raises(ValueError, match=message):
            replace(points, **change)
        known = {name: value for name, value in vars(points).items() if value is not None}
        np.savez(tmp_path / "wrong.npz", **{**known, **change})
        with pytest.raises(FileError, match=message):
            PointMap.load(tmp_path / "wrong.npz")
    np.savez(tmp_path / "less.npz", vertices=points.vertices)
    with pytest.raises(FileError, match="weights is missing"):
        PointMap.load(tmp_path / "less.npz")

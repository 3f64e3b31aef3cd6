"""Laws of the face detector: what its cells say and mean, looks at any size, the scenes and the training."""

from __future__ import annotations

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from likeness import FileError
from likeness.assets import asset
from likeness.networks.detector import (
    MARGIN,
    SIZES,
    STRIDES,
    SURE,
    VIEW_SIDES,
    Detections,
    Detector,
    decode,
    default_detector,
    shrunk,
    without_doubles,
)

FACE, FACE_SIZE = np.array([219.0, 129.0]), 84.0  # of the astronaut: the middle and the size from brows to chin


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """(512, 512, 3) uint8: one face, in the upper middle."""
    return pytest.importorskip("skimage.data").astronaut()


def finding(*rows: tuple[float, float, float, float, float]) -> Detections:
    """Rows of x, y, size, angle and score."""
    values = np.array(rows, float).reshape(-1, 5)
    return Detections.joined([Detections(values[:, :2], values[:, 2], values[:, 3], values[:, 4])])


# copies


@pytest.mark.parametrize("shape", [(1024, 768), (1023, 768), (640, 480), (500, 375)])
def test_copies_are_averages_however_they_are_made(shape: tuple[int, int]) -> None:
    """Of smooth and of random pictures, by way of even squares where there are any."""
    rng, (height, width) = np.random.default_rng(0), shape
    smooth = cv2.resize(rng.integers(0, 256, (9, 7, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    for image, most in ((smooth, 0.5), (rng.integers(0, 256, (height, width, 3), np.uint8), 4.0)):
        small = shrunk(image, 96)
        size = small.shape[1], small.shape[0]
        assert max(size) == 96
        assert abs(size[0] / size[1] - width / height) < 0.01
        direct = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(float) - direct).mean() <= most
    assert shrunk(image, 2000) is image


# what the cells mean


def test_a_cell_says_where_how_large_and_how_turned() -> None:
    maps = [np.full((6, 64 // s, 96 // s), -20.0, np.float32) for s in STRIDES]
    maps[1][:, 2, 3] = [3.0, 0.25, -0.5, np.log(2.0), 0.6, 0.8]
    found = decode(maps)
    np.testing.assert_allclose(found.center, [[16 * 3 + 7.5 + 4, 16 * 2 + 7.5 - 8]], atol=1e-5)
    np.testing.assert_allclose(found.size, [2 * SIZES[1]], rtol=1e-5)
    np.testing.assert_allclose(found.angle, [np.arctan2(0.8, 0.6)], rtol=1e-5)
    np.testing.assert_allclose(found.score, [1 / (1 + np.exp(-3.0))], rtol=1e-5)


def test_no_cell_says_no_face() -> None:
    found = without_doubles(decode([np.full((6, 3, 3), -20.0, np.float32)] * 3))
    assert [len(values) for values in found] == [0] * 4


def test_answers_about_one_face_become_one() -> None:
    found = without_doubles(finding((50, 50, 40, 0.1, 0.9), (54, 50, 40, 0.3, 0.9), (150, 50, 40, 0, 0.3)))
    np.testing.assert_allclose(found.center, [[52, 50], [150, 50]])
    np.testing.assert_allclose(found.angle, [0.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.score, [0.9, 0.3])


def test_angles_meet_across_half_a_turn() -> None:
    found = without_doubles(finding((9, 9, 9, np.pi - 0.1, 0.8), (9, 9, 9, 0.1 - np.pi, 0.8)))
    assert abs(abs(found.angle[0]) - np.pi) < 1e-9


def test_a_small_answer_within_a_large_one_goes_without_a_say() -> None:
    found = without_doubles(finding((50, 50, 40, 0, 0.9), (55, 55, 8, 0, 0.8)))
    np.testing.assert_allclose(found.center, [[50, 50]])
    np.testing.assert_allclose(found.size, [40])


def test_neighbours_stay_two() -> None:
    assert len(without_doubles(finding((50, 50, 40, 0, 0.9), (80, 50, 40, 0, 0.8))).score) == 2


# the embedded finder


def assert_finds(image: np.ndarray, center: np.ndarray, size: float, angle: float = 0.0) -> None:
    found = default_detector()(image)
    assert len(found.score), "found nothing"
    assert np.linalg.norm(found.center[0] - center) < 0.15 * size, f"found {found}, expected {center}, {size}"
    assert abs(np.log(found.size[0] / size)) < 0.25, f"found {found}, expected {center}, {size}"
    assert abs(np.angle(np.exp(1j * (found.angle[0] - angle)))) < 0.35, f"found {found}, expected angle {angle}"
    assert found.score[0] > 0.5


@pytest.mark.parametrize("factor", [0.3, 0.5, 1.0, 2.0])
def test_proposals_follow_the_scale(astronaut: np.ndarray, factor: float) -> None:
    scaled = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    assert_finds(scaled, (FACE + 0.5) * factor - 0.5, FACE_SIZE * factor)


def test_proposals_follow_a_shift_and_a_mirror(astronaut: np.ndarray) -> None:
    moved = np.pad(astronaut, ((60, 0), (230, 90), (0, 0)), mode="edge")
    assert_finds(moved, FACE + [230, 60], FACE_SIZE)
    assert_finds(np.ascontiguousarray(astronaut[:, ::-1]), np.array([511 - FACE[0], FACE[1]]), FACE_SIZE)


@pytest.mark.parametrize("degrees", [-45, -20, 20, 45])
def test_the_angle_follows_a_turn(astronaut: np.ndarray, degrees: float) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    center = np.array([150.0, 150.0])
    matrix = np.column_stack([turn, center - turn @ FACE])
    own = float(default_detector()(astronaut).angle[0])
    turned = cv2.warpAffine(astronaut, matrix, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    assert_finds(turned, center, FACE_SIZE, own + np.radians(degrees))


def test_a_small_face_beside_a_large_one_is_found_too(astronaut: np.ndarray) -> None:
    small = cv2.resize(astronaut, (130, 130), interpolation=cv2.INTER_AREA)
    both = np.pad(astronaut, ((0, 0), (0, 188), (0, 0)), constant_values=127)
    both[300:430, 540:670] = small
    found = default_detector()(both)
    for center, size in ((FACE, FACE_SIZE), ((FACE + 0.5) * 130 / 512 + [539.5, 299.5], FACE_SIZE * 130 / 512)):
        away = np.linalg.norm(found.center[found.score > SURE] - center, axis=1)
        assert away.min() < 0.4 * size, f"expected a face of {size:.0f} pixels at {center}, found {found}"


def test_a_shift_by_whole_cells_changes_nothing(astronaut: np.ndarray) -> None:
    """Far from the borders the network is the same everywhere."""
    small = cv2.resize(astronaut, (160, 160), interpolation=cv2.INTER_AREA)
    big = np.full((416, 416, 3), 127, np.uint8)
    big[128:288, 128:288] = small
    moved = np.roll(big, (32, 64), axis=(0, 1))
    one, other = (default_detector().detect_in_view(image, 10_000) for image in (big, moved))
    assert len(one.score)
    np.testing.assert_allclose(other.center, one.center + [64, 32], atol=0.05)
    np.testing.assert_allclose(other.size, one.size, rtol=1e-2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (900, 1), (31, 33), (32, 32), (97, 225), (40, 3000)])
def test_any_size_can_be_searched(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = default_detector()(image)
    assert found.center.shape == (len(found.score), 2)
    for values in found:
        assert np.isfinite(values).all()


def test_the_copies_that_are_looked_at_are_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    finder = default_detector()

    def maps(self: Detector, view: np.ndarray) -> list[np.ndarray]:
        seen.append(view.shape[:2])
        return [np.full((6, 1, 1), -20.0, np.float32)] * 3

    monkeypatch.setattr(Detector, "maps", maps)
    for shape in ((100, 80), (600, 1200)):
        finder(np.zeros((*shape, 3), np.uint8))
    inner = [(height - 2 * MARGIN, width - 2 * MARGIN) for height, width in seen]
    assert inner == [(96, 77), (100, 80), *((side // 2, side) for side in VIEW_SIDES)]


def test_threads_find_the_same(astronaut: np.ndarray) -> None:
    images = [astronaut[:, :450], np.ascontiguousarray(astronaut[:, ::-1])] * 4
    alone = [default_detector()(image).center for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: default_detector()(image).center, images))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_files_that_are_no_finder_are_named(tmp_path: Path) -> None:
    data = asset("finder.onnx").read_bytes()
    cases = {"short": data[: len(data) // 2], "text": b"no model", "other": asset("regressor.onnx").read_bytes()}
    for name, content in cases.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(FileError, match=name) as error:
            Detector.load(tmp_path / f"{name}.onnx")
        assert "\n" not in str(error.value)
    with pytest.raises(FileError, match="none"):
        Detector.load(tmp_path / "none.onnx")


# training


def train_modules() -> tuple:  # type: ignore[type-arg]
    pytest.importorskip("torch")
    pytest.importorskip("lightning")
    from likeness.train.detector import faces as finder_faces
    from likeness.train.detector import network as finder_net
    from likeness.train.detector import scenes as finder_scenes
    from likeness.train.detector import trainer as finder

    return finder, finder_faces, finder_net, finder_scenes


def write_frames(folder: Path) -> Path:
    """A tar of eight made-up frames: ovals with landmarks."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    with tarfile.open(folder / "frames.tar", "w") as archive:
        for number in range(8):
            center, size = rng.uniform(60, 100, 2), rng.uniform(35, 55)
            points = center + size / 2 * np.stack([np.cos(angles), np.sin(angles)], -1)
            points[36:42], points[42:48] = center + [-0.2 * size, -5], center + [0.2 * size, -5]
            image = rng.integers(0, 256, (160, 150, 3), dtype=np.uint8)
            cv2.circle(image, tuple(int(v) for v in center), int(size / 2), (200, 160, 140), -1)
            (folder / f"{number}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
            (folder / f"{number}.json").write_text(json.dumps({"landmarks": points.tolist()}))
            for kind in ("png", "json"):
                archive.add(folder / f"{number}.{kind}", f"{number}.{kind}")
    return folder / "frames.tar"


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Scenes from eight made-up frames."""
    _, finder_faces, _, finder_scenes = train_modules()
    from likeness.datasets import read_frames

    frames = read_frames(write_frames(tmp_path_factory.mktemp("frames")))
    return finder_scenes.SceneMaker(finder_faces.FaceBank(frames, np.zeros(8)))


def test_photos_in_which_the_network_sees_no_face_are_refused(tmp_path: Path) -> None:
    _, finder_faces, _, _ = train_modules()
    noise = np.random.default_rng(0).integers(0, 256, (130, 130, 3), dtype=np.uint8)
    (tmp_path / "noise.png").write_bytes(cv2.imencode(".png", noise)[1].tobytes())
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for name in ("anna/0.png", "anna/1.png", "berta/0.png"):
            archive.add(tmp_path / "noise.png", name)
    with pytest.raises(FileError, match=r"photos\.tar.*0 of 3"):
        finder_faces.read_bank(write_frames(tmp_path), tmp_path / "photos.tar", tmp_path / "labels")


def test_scenes_are_a_pure_function_of_the_seed(maker) -> None:  # type: ignore[no-untyped-def]
    first, again, other = maker((3, 1), (160, 130)), maker((3, 1), (160, 130)), maker((3, 2), (160, 130))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert first.image.shape == (130, 160, 3)
    assert (first.image != other.image).any()


def test_scenes_have_faces_of_the_wanted_sizes(maker) -> None:  # type: ignore[no-untyped-def]
    faces = np.concatenate([maker((number,), (192, 192)).faces for number in range(40)])
    assert len(faces) > 20
    assert faces[:, 2].min() >= maker.settings.sizes[0]
    assert faces[:, 2].max() <= 192
    assert (np.abs(faces[:, 3]) <= np.radians(maker.settings.turned) + 1e-9).all()


def test_a_mirrored_scene_mirrors_its_labels(maker) -> None:  # type: ignore[no-untyped-def]
    scene = next(s for s in (maker((n,), (96, 96)) for n in range(50)) if len(s.faces))
    mirrored = scene.mirrored()
    np.testing.assert_array_equal(mirrored.image[:, ::-1], scene.image)
    np.testing.assert_allclose(mirrored.faces[:, 0] + scene.faces[:, 0], 95)
    np.testing.assert_allclose(mirrored.faces[:, 3], -scene.faces[:, 3])
    np.testing.assert_allclose(mirrored.mirrored().faces, scene.faces)


@pytest.mark.parametrize(
    ("covered", "wanted", "ignored"), [(0.0, 1, 0), (0.2, 1, 0), (0.4, 0, 1), (0.7, 0, 0), (1.0, 0, 0)]
)
def test_what_something_covers_is_like_what_the_edge_cuts_off(covered: float, wanted: int, ignored: int) -> None:
    for by_edge in (False, True):
        scene, place, face = draft(96.0 + 30.0 - 60.0 * (1.0 - covered) if by_edge and covered else 60.0)
        scene.add(place, face)
        if not by_edge:
            scene.image[:, : round(30 + 60 * covered)] = 0
        scene.compare()
        done = scene.finished()
        assert (len(done.faces), len(done.ignored)) == (wanted, ignored)


def test_faces_in_the_dark_need_not_be_found() -> None:
    for brightness, wanted in ((1.0, 1), (0.2, 1), (0.05, 0)):
        scene, place, face = draft(60.0)
        scene.add(place, face)
        scene.compare()
        scene.image = (scene.image * brightness).astype(np.uint8)
        done = scene.finished()
        assert (len(done.faces), len(done.ignored)) == (wanted, 1 - wanted)


def draft(x: float):  # type: ignore[no-untyped-def]
    """An unfinished scene of noise, 96 px wide, and a face of 60 px in it with its middle at x."""
    _, finder_faces, _, finder_scenes = train_modules()
    scene = finder_scenes._Draft((96, 96), finder_scenes.SceneSettings())
    scene.image[:] = np.random.default_rng(0).integers(60, 256, (96, 96, 3), dtype=np.uint8)
    face = finder_faces.Face(scene.image, np.zeros(2), 60.0, 0.0, 0.0, "frame")
    return scene, finder_scenes._Place(np.array([x, 48.0]), 60.0, 0.0, False), face


@pytest.mark.parametrize("size", [9.0, 20.0, 27.9, 28.1, 50.0, 71.0, 150.0, 185.0])
def test_what_is_encoded_is_decoded(size: float) -> None:
    _, _, finder_net, _ = train_modules()
    faces = np.array([[90.3, 83.1, size, -0.7], [185.0, 185.5, 10.0, 0.4]])
    targets = finder_net.encode(faces, np.zeros((0, 3)), (192, 192))
    maps = [np.concatenate([np.where(t[:1] > 0, 9.0, -9.0), t[1:]]) for t in targets]
    found = without_doubles(decode(maps))
    assert len(found.score) == 2
    order = np.argsort(found.center[:, 0])
    np.testing.assert_allclose(found.center[order], faces[:, :2], atol=1e-3)
    np.testing.assert_allclose(found.size[order], faces[:, 2], rtol=1e-5)
    np.testing.assert_allclose(found.angle[order], faces[:, 3], atol=1e-5)


def test_ignored_faces_are_neither_wanted_nor_forbidden() -> None:
    _, _, finder_net, _ = train_modules()
    for level in finder_net.encode(np.zeros((0, 4)), np.array([[96.0, 96.0, 80.0]]), (192, 192)):
        middle = level[0, level.shape[1] // 2, level.shape[2] // 2]
        assert middle == -1
        assert level[0, 0, 0] == 0


def test_the_loss_is_least_where_the_answer_is_right(maker) -> None:  # type: ignore[no-untyped-def]
    _, _, finder_net, _ = train_modules()
    import torch

    scene = next(s for s in (maker((n,), (192, 192)) for n in range(50)) if len(s.faces) > 1)
    targets = [torch.from_numpy(t)[None] for t in finder_net.encode(scene.faces, scene.ignored, (192, 192))]
    right = tuple(torch.cat([torch.where(t[:, :1] > 0, 12.0, -12.0), t[:, 1:]], 1) for t in targets)
    best = float(finder_net.detector_loss(right, targets)[0])
    assert best < 1e-4
    for channel in range(6):
        change = (9.0 if channel == 0 else 0.3) * torch.eye(6)[channel][None, :, None, None]
        worse = tuple(m + change for m in right)
        assert float(finder_net.detector_loss(worse, targets)[0]) > best + 0.01


def test_torch_and_onnx_agree_and_training_resumes(maker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    finder, *_ = train_modules()
    pytest.importorskip("onnx")
    import torch

    settings = finder.DetectorSettings(budget=8, batch=2, precision="32-true", save_seconds=0.0)
    whole = finder.train_detector(maker, tmp_path / "whole", settings, workers=0)
    assert finder.read_detector_checkpoint(tmp_path / "whole" / "checkpoint.pt")["step"] == 4

    class StoppedError(Exception):
        pass

    stopped = tmp_path / "stopped"

    def stop(progress: Any) -> None:
        if progress.step == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        finder.train_detector(maker, stopped, settings, workers=0, report=stop)
    assert finder.read_detector_checkpoint(stopped / "checkpoint.pt")["step"] == 2
    resumed = finder.train_detector(maker, stopped, settings, workers=0, resume=True)
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)
    with pytest.raises(FileError, match="another budget"):
        finder.train_detector(maker, stopped, finder.DetectorSettings(budget=9), workers=0, resume=True)

    started = finder.train_detector(
        maker, tmp_path / "started", replace(settings, learning_rate=0.0), start=stopped / "checkpoint.pt", workers=0
    )
    for (name, one), other in zip(whole.named_parameters(), started.parameters(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
    with pytest.raises(FileError, match="another start"):
        finder.train_detector(
            maker, tmp_path / "started", replace(settings, learning_rate=0.0), workers=0, resume=True
        )

    finder.export_detector(stopped / "checkpoint.pt", tmp_path / "finder.onnx")
    view = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = resumed(torch.from_numpy(view)[None])
    for got, want in zip(Detector.load(tmp_path / "finder.onnx").maps(view), expected, strict=True):
        np.testing.assert_allclose(got, want[0].numpy(), atol=2e-2)


def test_a_checkpoint_of_the_version_before_goes_on(maker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """It said how often it was saved, and its optimiser knew one learning rate."""
    finder, *_ = train_modules()
    import torch

    settings = finder.DetectorSettings(budget=8, batch=2, precision="32-true", save_seconds=0.0)
    whole = finder.train_detector(maker, tmp_path / "whole", settings, workers=0)

    def stop(progress: Any) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finder.train_detector(maker, tmp_path / "old", settings, workers=0, report=stop)
    path = tmp_path / "old" / "checkpoint.pt"
    state = finder.read_detector_checkpoint(path)
    del state["settings"]["save_seconds"], state["start"]
    state["settings"]["save_every"] = 250
    for group in state["optimizer"]["param_groups"]:
        del group["relative"]
    torch.save(state, path)
    resumed = finder.train_detector(maker, tmp_path / "old", settings, workers=0, resume=True)
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    finder, *_ = train_modules()
    import torch

    (tmp_path / "text.pt").write_bytes(b"none")
    torch.save({"kind": "likeness regressor"}, tmp_path / "other.pt")
    for name in ("text", "other", "missing"):
        with pytest.raises(FileError, match=name):
            finder.read_detector_checkpoint(tmp_path / f"{name}.pt")

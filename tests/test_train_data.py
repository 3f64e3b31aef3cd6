"""Laws of the training data: labels move with the pixels, batches are functions of seed and step."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from conftest import landmark_drawing  # noqa: E402

from likeness.datasets import SyntheticFaces, read_frames, read_photos  # noqa: E402
from likeness.geometry.camera import Camera, project  # noqa: E402
from likeness.geometry.crop import Crop  # noqa: E402
from likeness.geometry.landmarks import MIRRORED as FLIP  # noqa: E402
from likeness.geometry.rotation import FRONTAL, rotation_from_euler  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.reconstruct.proposals import crop_from_landmarks  # noqa: E402
from likeness.render.lighting import sh_basis  # noqa: E402
from likeness.train.photos.augment import (  # noqa: E402
    augment,
    cut,
    flip_landmarks,
    jittered_crop,
    occlude,
    photometric,
    procedural_background,
)
from likeness.train.photos.batches import TrainBatches  # noqa: E402
from likeness.train.photos.labels import PseudoLabels, Sources  # noqa: E402
from likeness.train.photos.network import CROP_SIZE  # noqa: E402
from likeness.train.photos.samples import SampleMaker, crop_pose, turned_light  # noqa: E402
from likeness.train.recipe_settings import Mix  # noqa: E402
from likeness.train.settings import AugmentSettings  # noqa: E402

PLAIN = AugmentSettings(photometric=0.0, occlusion=0.0)
NOTHING = Mix(frames=0, people=0, each=0, synthetic=0, photos=0, morphs=0, negatives=0)


def drawn_landmarks(center: tuple[float, float], scale: float) -> np.ndarray:
    """The drawing of a face as 68 points in an image, pixels."""
    return landmark_drawing() * [scale, -scale] + center


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def picture(rng: np.random.Generator, width: int = 90, height: int = 100) -> bytes:
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.imencode(".png", cv2.resize(coarse, (width, height)))[1].tobytes()


@pytest.fixture
def sources(small_model: FaceModel, tmp_path: Path) -> Sources:
    """Eight frames of three people, six photos of two, five synthetic faces."""
    rng = np.random.default_rng(0)
    with tarfile.open(tmp_path / "frames.tar", "w") as archive:
        for number in range(8):
            points = drawn_landmarks(tuple(rng.uniform(40, 50, 2)), 0.3)
            note = {"identity": f"p{number % 3}", "clip": f"c{number % 4}", "landmarks": points.tolist()}
            add(archive, f"k{number}.png", picture(rng))
            add(archive, f"k{number}.json", json.dumps(note).encode())
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for number in range(6):
            add(archive, f"q{number % 2}/{number}.png", picture(rng))
    write_synthetic(small_model, tmp_path / "synthetic", 5)
    return Sources(
        small_model,
        read_frames(tmp_path / "frames.tar"),
        SyntheticFaces(tmp_path / "synthetic", small_model),
        read_photos(tmp_path / "photos.tar"),
    )


def write_synthetic(model: FaceModel, folder: Path, count: int, size: int = 64) -> None:
    """Labels of plausible faces with noise for pictures."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    fields = {
        "rgba": rng.integers(0, 256, (count, size, size, 4), dtype=np.uint8),
        "identity": rng.standard_normal((count, len(model.identity_basis))),
        "expression": rng.uniform(0, 0.4, (count, 52)),
        "albedo": rng.standard_normal((count, len(model.albedo_names))),
        "light": rng.standard_normal((count, 9, 3)),
        "rotation": FRONTAL @ rotation_from_euler(*rng.normal(0, 0.3, (3, count))),
        "translation": np.array([0.0, -40.0, 1200.0]) + rng.normal(0, [5, 5, 200], (count, 3)),
        "focal": rng.uniform(4.0, 6.0, count) * size,
    }
    for name, values in fields.items():
        np.save(folder / f"{name}.npy", values if values.dtype == np.uint8 else values.astype(np.float32))


def test_flip_is_an_involution_that_swaps_the_sides() -> None:
    np.testing.assert_array_equal(FLIP[FLIP], np.arange(68))
    face = landmark_drawing()
    np.testing.assert_allclose(flip_landmarks(face, 1), face, atol=2.0)  # the drawing is nearly its own mirror image
    assert {FLIP[0], FLIP[36], FLIP[48], FLIP[60]} == {16, 45, 54, 64}


def test_mirrored_pixels_and_mirrored_landmarks_stay_together() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[7, 4] = 255
    points = np.zeros((68, 2))
    points[0] = 4, 7
    x, y = flip_landmarks(points, 30)[16]
    assert image[:, ::-1][int(y), int(x)].min() == 255


@pytest.mark.parametrize("side", [40.0, 112.0, 300.0])
def test_cut_puts_pixels_where_the_crop_says(side: float) -> None:
    """A soft dot in the photo is found, by its centre of mass, where the crop maps it."""
    dot = np.array([152.0, 141.0])
    y, x = np.mgrid[:300, :320]
    bright = np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (2 * (side / 20) ** 2))
    image = np.repeat((255 * bright)[..., None], 3, axis=2).astype(np.uint8)
    crop = Crop.from_box(dot + [0.1 * side, -0.05 * side], side, CROP_SIZE, 0.3)
    pixels = cut(np.pad(image, ((0, 0), (0, 0), (0, 1))), crop)[..., 0].astype(float)
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    found = np.array([(columns * pixels).sum(), (rows * pixels).sum()]) / pixels.sum()
    np.testing.assert_allclose(found, crop.to_crop(dot), atol=0.15)


def test_jitter_is_about_the_rule_that_inference_uses() -> None:
    landmarks = drawn_landmarks((100, 90), 0.6)
    rule = crop_from_landmarks(landmarks, CROP_SIZE)
    still = AugmentSettings(shift=0, log_scale=0, angle=0, turned=0)
    crop = jittered_crop(landmarks, CROP_SIZE, still, np.random.default_rng(0))
    np.testing.assert_allclose(crop.photo_from_crop, rule.photo_from_crop, atol=1e-9)
    rng = np.random.default_rng(1)
    crops = [jittered_crop(landmarks, CROP_SIZE, AugmentSettings(), rng) for _ in range(600)]
    assert abs(np.mean([math.log(c.side / rule.side) for c in crops])) < 0.02
    assert np.abs(np.mean([(c.center - rule.center) / rule.side for c in crops], axis=0)).max() < 0.02
    assert max(abs(math.degrees(c.angle)) for c in crops) > 25


@pytest.mark.parametrize("angle", [-0.7, 0.0, 0.4])
def test_pose_in_the_crop_projects_the_landmarks_into_the_crop(small_model: FaceModel, angle: float) -> None:
    """Through the crop's camera, landmarks land where the picture's camera and the crop put them, but for
    perspective: with the picture's distance equal to the crop's, exactly; else within a pixel or so."""
    rng = np.random.default_rng(3)
    camera = Camera(700.0, (71.5, 71.5), (144, 144))
    rotation = FRONTAL @ rotation_from_euler(0.4, -0.1, 0.2)
    points = small_model.landmark_points(rng.standard_normal(12))
    center = points.mean(0)
    for distance, tolerance in ((0.0, 0.25), (1.8, 2.0)):
        crop = Crop.from_box((64.0, 85.0), 100.0, CROP_SIZE, angle)
        depth = camera.focal * 218.0 / 100.0
        focal = camera.focal * max(distance, 1.0)
        seen_by = Camera(focal, camera.center, camera.size)
        translation = np.array([-8.0, 12.0, depth * max(distance, 1.0)]) - rotation @ center
        got_rotation, got_translation = crop_pose(crop, rotation, translation, seen_by, center)
        np.testing.assert_allclose(got_rotation @ got_rotation.T, np.eye(3), atol=1e-9)
        want = crop.to_crop(project(seen_by, points @ rotation.T + translation))
        got = project(Camera.from_crop_size(CROP_SIZE), points @ got_rotation.T + got_translation)
        assert np.linalg.norm(got - want, axis=1).max() < max(tolerance, 0.8), distance


def test_turned_light_is_the_light_of_the_turned_picture() -> None:
    rng = np.random.default_rng(4)
    light, angle = rng.standard_normal((9, 3)), 0.6
    directions = rng.standard_normal((50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # What a crop shows is the picture turned back: from y to x in pixels, so from x to y with y upwards.
    c, s = math.cos(angle), math.sin(angle)
    turned = directions @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
    np.testing.assert_allclose(sh_basis(turned) @ turned_light(light, angle), sh_basis(directions) @ light, atol=1e-5)


def test_turned_light_turns_as_the_pixels_do() -> None:
    crop = Crop.from_box((0.0, 0.0), 10.0, 10, 0.6)
    ahead = crop.to_crop(np.array([1.0, 0.0])) - crop.to_crop(np.array([0.0, 0.0]))  # the photo's x axis in the crop
    from likeness.render.lighting import distant_light

    light = turned_light(distant_light((1.0, 0.0, 0.0)), crop.angle)
    want = distant_light((ahead[0], -ahead[1], 0.0))
    np.testing.assert_allclose(light, want, atol=1e-5)


@pytest.mark.parametrize("change", [photometric, occlude, lambda image, rng: augment(image, AugmentSettings(), rng)])
def test_augmentation_keeps_the_shape_and_follows_its_generator(change: Callable[..., np.ndarray]) -> None:
    image = procedural_background(CROP_SIZE, np.random.default_rng(9))
    before = image.copy()
    different = 0
    for seed in range(25):
        first, second = (change(image, np.random.default_rng(seed)) for _ in range(2))
        assert first.shape == image.shape
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(first, second)
        different += int((first != before).any())
    np.testing.assert_array_equal(image, before)
    assert different >= 15


def test_a_batch_depends_on_seed_step_and_rank_only(sources: Sources) -> None:
    mix = replace(NOTHING, frames=3, synthetic=2, negatives=2)

    def batch(seed: int, step: int, rank: int = 0) -> torch.Tensor:
        data = TrainBatches(SampleMaker(sources, AugmentSettings()), mix, seed, rank, 2)
        data[step + 1]  # what was made before must not matter
        images: torch.Tensor = data[step][0]
        return images

    assert torch.equal(batch(1, 4), batch(1, 4))
    for other in (batch(2, 4), batch(1, 5), batch(1, 4, rank=1)):
        assert not torch.equal(batch(1, 4), other)


def test_every_frame_is_seen_once_per_pass_shared_by_the_ranks(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    maker = SampleMaker(sources, PLAIN)
    original = maker.frame
    monkeypatch.setattr(maker, "frame", lambda number, rng: seen.append(number) or original(number, rng))
    mix = replace(NOTHING, frames=2)
    for step in range(2):
        for rank in range(2):
            TrainBatches(maker, mix, 0, rank, 2)[step]
    assert sorted(seen) == list(range(8))


def test_samples_carry_what_they_have(sources: Sources) -> None:
    pseudo = PseudoLabels(np.array([1, 4]), np.stack([drawn_landmarks((45, 50), 0.3)] * 2))
    maker = SampleMaker(sources, AugmentSettings(), pseudo)
    mix = replace(NOTHING, frames=3, synthetic=2, photos=2, negatives=2)
    images, targets = TrainBatches(maker, mix, 0)[0]
    assert images.shape == (9, CROP_SIZE, CROP_SIZE, 3)
    np.testing.assert_allclose(targets.landmark_gate, [1, 1, 1, 1, 1, 0.3, 0.3, 0, 0])
    np.testing.assert_allclose(targets.shape_gate, [0, 0, 0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(targets.score, [1, 1, 1, 1, 1, 1, 1, 0, 0])
    assert (targets.person[:3] >= 0).all()
    assert (targets.person[:3] < 3).all()
    assert (targets.person[5:7] >= 3).all()
    assert (targets.person[[3, 4, 7, 8]] == -1).all()


def test_synthetic_labels_explain_their_landmarks(sources: Sources) -> None:
    model = sources.model
    _, targets = TrainBatches(SampleMaker(sources, PLAIN), replace(NOTHING, synthetic=20), 0)[0]
    camera = Camera.from_crop_size(CROP_SIZE)
    for row in range(20):
        points = model.landmark_points(targets.identity[row].numpy(), targets.expression[row].numpy())
        rotation = targets.rotation[row].double().numpy()
        seen = project(camera, points @ rotation.T + targets.translation[row].double().numpy())
        apart = np.linalg.norm(model.landmark_map.select(seen, rotation) - targets.landmarks[row].numpy(), axis=1)
        assert np.median(apart) < 1.0, row


def test_missing_sources_give_their_share_away(sources: Sources) -> None:
    full = replace(NOTHING, frames=40, synthetic=36, photos=12, people=2, each=3, negatives=8)
    for missing in (set(), {"photos"}, {"photos", "synthetic"}, {"frames"}, {"people"}):
        counts = full.without(missing)
        assert sum(counts.values()) == full.total == 102
        assert counts["negatives"] == full.negatives
        assert all(counts[name] == 0 for name in missing)
    with pytest.raises(ValueError, match="neither"):
        full.without({"frames", "synthetic"})
    mix = replace(NOTHING, frames=2, synthetic=2, photos=1, negatives=1)
    only = TrainBatches(SampleMaker(replace(sources, frames=None, photos=None), PLAIN), mix, 0)
    assert only[0][0].shape[0] == 6

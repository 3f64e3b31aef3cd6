"""Rendered faces in skins of real people: labels stay what they are, and hair only ever stands outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from likeness import FaceModel, FileError
from likeness.assets import asset
from likeness.cli.main import main
from likeness.datasets import SyntheticFaces as Folder
from likeness.images.color import linear_from_srgb
from likeness.mesh import vertex_normals
from likeness.train.generate.hair import Hair
from likeness.train.generate.rendered import SyntheticFaces, Variety, write_set
from likeness.train.generate.skins import Skins
from likeness.train.losses.reconstruction import RegressorLoss, Targets
from likeness.train.photos.batches import collate
from likeness.train.photos.labels import Sources
from likeness.train.photos.network import Prediction
from likeness.train.photos.samples import SampleMaker
from likeness.train.settings import AugmentSettings

PLAIN = AugmentSettings(shift=0.0, log_scale=0.0, angle=0.0, turned=0.0, photometric=0.0, occlusion=0.0)
NOTHING = Variety(None, skinned=0.0, haired=0.0, profiles=0.0, asleep=0.0)
LABELS = ("identity", "expression", "light", "rotation", "translation", "focal")


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


def flat(model: FaceModel, *colors: tuple[int, int, int]) -> Skins:
    """Skins of one colour each."""
    return Skins(np.array([np.full((64, 64, 3), color) for color in colors], np.uint8), model.name)


def test_without_variety_a_seed_gives_the_face_that_it_always_gave(model: FaceModel) -> None:
    plain, varied = SyntheticFaces(model, 64)(5), SyntheticFaces(model, 64, NOTHING)(5)
    for name, value in vars(plain).items():
        assert np.array_equal(value, getattr(varied, name)), name


def test_a_skin_is_what_the_picture_shows_and_all_labels_but_the_albedo_are_known(model: FaceModel) -> None:
    worn = replace(NOTHING, skinned=1.0)
    dark, light = (
        SyntheticFaces(model, 64, replace(worn, skins=flat(model, color)))(5) for color in ((90,) * 3, (180,) * 3)
    )
    assert np.isnan(dark.albedo).all()
    for name in LABELS[:2] + LABELS[3:]:
        assert np.array_equal(getattr(dark, name), getattr(light, name)), name
    # Colours are srgb(exposure * reflectance * light): inside, the two differ by one factor.
    inside = (dark.rgba[..., 3] == 255) & (light.rgba[..., :3].max(-1) < 255) & (dark.rgba[..., :3].min(-1) > 40)
    seen = [linear_from_srgb(one.rgba[..., :3][inside] / 255.0) for one in (dark, light)]
    ratio = np.log(seen[1] / seen[0])
    reflectance = np.log(linear_from_srgb(np.array(180 / 255)) / linear_from_srgb(np.array(90 / 255)))
    exposure = np.log(np.abs(light.light).sum() / np.abs(dark.light).sum())
    assert inside.sum() > 300
    assert np.median(ratio) == pytest.approx(reflectance + exposure, abs=0.1)


def test_profiles_and_closed_eyes_are_as_many_as_asked_for(model: FaceModel) -> None:
    faces = SyntheticFaces(model, 32, replace(NOTHING, profiles=1.0, asleep=1.0))
    blink = [model.expression_names.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    for seed in range(3):
        face = faces(seed)
        yaw = abs(np.degrees(np.arctan2(face.rotation[0, 2], -face.rotation[2, 2])))
        assert 55 <= yaw <= 105
        assert face.expression[blink].min() >= 0.9


def test_hair_stands_off_outwards_where_it_covers_and_nowhere_else(model: FaceModel) -> None:
    hair, normals = Hair(model), vertex_normals(model.mean, model.topology.triangles)
    albedo = np.full((len(model.mean), 3), 0.4)
    for seed in range(4):
        moved, colors, cover = hair(model.mean, albedo, np.random.default_rng(seed))
        step = ((moved - model.mean) * normals).sum(1)
        assert (cover >= 0).all()
        assert (cover <= 1).all()
        assert np.array_equal(moved[cover == 0], model.mean[cover == 0])
        assert np.array_equal(colors[cover == 0], albedo[cover == 0])
        assert (step[cover > 0] > 0).all()
        assert step.max() < 100
        # Eyes, nose and mouth stay free.
        assert cover[model.topology.regions["lips"]].max() == 0
        assert cover[model.topology.regions["eyes"]].max() == 0


def test_a_set_of_several_processes_is_that_of_one(model: FaceModel, tmp_path: Path) -> None:
    variety = Variety(flat(model, (90, 70, 60), (200, 170, 150)))
    for processes in (1, 2):
        assert max(write_set(model, tmp_path / str(processes), 4, 3, processes, variety)) == 4
    one, two = (Folder(tmp_path / str(processes), model) for processes in (1, 2))
    for name in ("rgba", "albedo", *LABELS):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True), name


def test_what_is_not_known_of_a_skin_teaches_nothing(model: FaceModel, tmp_path: Path) -> None:
    list(write_set(model, tmp_path, 3, 3, 1, replace(NOTHING, skinned=1.0, skins=flat(model, (150, 120, 100)))))
    sources = Sources(model, synthetic=Folder(tmp_path, model))
    samples = [SampleMaker(sources, PLAIN).synthetic(number, np.random.default_rng(number)) for number in range(3)]
    known = model.albedo_names.index("melanin")
    samples[0].labels["albedo"] = np.zeros(len(model.albedo_names), np.float32)
    _, targets = collate(samples, sources)
    albedo = torch.full((3, len(model.albedo_names)), 0.5, requires_grad=True)
    total, terms = RegressorLoss(model)(prediction_like(targets, albedo), targets)
    total.backward()
    assert torch.isfinite(total)
    assert terms["albedo"].item() == pytest.approx(0.25, rel=1e-4)  # of the one that is known
    assert albedo.grad is not None
    assert albedo.grad[0, known] > 0
    assert not albedo.grad[1:].any()


def prediction_like(targets: Targets, albedo: torch.Tensor) -> Prediction:
    """All else is as it should be."""
    return Prediction(
        targets.identity,
        targets.expression,
        targets.rotation,
        targets.translation,
        albedo,
        targets.light,
        torch.zeros(len(albedo)),
    )


def test_skins_come_back_and_those_for_another_model_are_refused(model: FaceModel, tmp_path: Path) -> None:
    worn = flat(model, (90, 70, 60))
    worn.save(tmp_path / "skins.npz")
    back = Skins.load(tmp_path / "skins.npz", model)
    assert np.array_equal(back.pixels, worn.pixels)
    replace(worn, model="another").save(tmp_path / "other.npz")
    with pytest.raises(FileError, match="another"):
        Skins.load(tmp_path / "other.npz", model)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "skins.npz").read_bytes()[:300])
    np.savez(tmp_path / "shapes.npz", pixels=np.zeros((2, 3), np.uint8), model=np.array(model.name))
    for name in ("cut.npz", "shapes.npz", "missing.npz"):
        with pytest.raises(FileError, match=name):
            Skins.load(tmp_path / name, model)


def test_a_model_without_texture_coordinates_wears_no_skin(model: FaceModel, small_model: FaceModel) -> None:
    none, topology = np.zeros((0, 2)), small_model.topology
    bare = replace(small_model, topology=replace(topology, uv=none, uv_triangles=topology.triangles[:0]))
    with pytest.raises(ValueError, match="texture coordinates"):
        SyntheticFaces(bare, 32, Variety(flat(model, (1, 2, 3))))


def test_skins_are_taken_from_photos_of_people_and_worn(
    model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = pytest.importorskip("skimage.data").astronaut()[20:220, 120:320, ::-1]
    for number, picture in enumerate((photo, photo, np.full_like(photo, 128))):
        folder = tmp_path / "photos" / f"person{number // 2}"
        folder.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / f"{number}.png"), picture)
    taken = ["train", "skins", "--data", str(tmp_path / "photos"), "-o", str(tmp_path / "skins.npz"), "--size", "64"]
    main(taken)
    assert "1 skins" in capsys.readouterr().out  # of one person one, of nobody none
    assert len(Skins.load(tmp_path / "skins.npz", model)) == 1
    rendered = [
        "train",
        "synthetic",
        "--model",
        str(asset("face_model.npz")),
        "--count",
        "2",
        "-o",
        str(tmp_path / "set"),
    ]
    main([*rendered, "--skins", str(tmp_path / "skins.npz")])
    with pytest.raises(SystemExit, match="2"):
        main([*rendered[:-1], str(tmp_path / "other"), "--skins", str(tmp_path / "photos")])


def test_photos_without_faces_give_no_skins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos" / "person").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    assert cv2.imwrite(str(tmp_path / "photos" / "person" / "1.png"), noise)
    with pytest.raises(SystemExit, match="2"):
        main(["train", "skins", "--data", str(tmp_path / "photos"), "-o", str(tmp_path / "skins.npz")])
    assert "found none" in capsys.readouterr().err
    assert not (tmp_path / "skins.npz").exists()

"""What was learned to believe of features and points, in a network and its file; the command, and what it keeps."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from dense_points import place, small_map  # noqa: E402
from test_train_dense import images, network  # noqa: E402
from test_train_fusion import MODES, World  # noqa: E402
from test_train_points import sources  # noqa: E402, F401
from train_sources import write_frames, write_synthetic  # noqa: E402

from likeness.cli.main import main  # noqa: E402
from likeness.datasets.dense_labels import PointLabels, write_point_labels  # noqa: E402
from likeness.errors import FileError  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.networks.regressor import Fusion, Network  # noqa: E402
from likeness.train.checkpoint import CHECKPOINT, load_regressor  # noqa: E402
from likeness.train.photos.evidence import placed_faces  # noqa: E402
from likeness.train.photos.export import export_regressor, onnx_bytes  # noqa: E402
from likeness.train.photos.fullness import FullEstimator  # noqa: E402
from likeness.train.photos.fused_network import install  # noqa: E402
from likeness.train.photos.fusion import Estimator  # noqa: E402
from likeness.train.photos.fusion_inputs import FusionInputs, Looker, Photographed, look_at_photos, seen  # noqa: E402
from likeness.train.photos.fusion_looks import Looks, looks_key, read_looks, write_looks  # noqa: E402
from likeness.train.photos.fusion_trainer import EVIDENCE, FusionRun, train_fusion  # noqa: E402
from likeness.train.photos.labels import Sources  # noqa: E402


@pytest.mark.parametrize(("half", "full"), [(False, False), (False, True), (True, True)])
def test_network_and_file_say_what_the_estimator_says(
    small_model: FaceModel, tmp_path: Path, half: bool, full: bool
) -> None:
    pytest.importorskip("onnx")
    rng, net = np.random.default_rng(0), network(small_model)
    width = net.settings.hidden

    def drawn() -> Estimator:
        return Estimator(
            0.05 * rng.standard_normal((width, 12)), rng.standard_normal(12), 0.3 * rng.standard_normal((4, 12, 12))
        )

    plain = drawn()
    kind = rng.standard_normal(width), 0.5, rng.standard_normal(12)
    fused = FullEstimator(drawn(), *kind) if full else drawn()
    colour = 0.05 * rng.standard_normal((width, 5)), rng.standard_normal(5)
    made = install(net, fused, plain, {"albedo": colour})
    crops = images(3).numpy()
    before, after = seen(net, crops), seen(made, crops)
    inputs = FusionInputs(before.features, rng.standard_normal((3, 12)), rng.standard_normal((3, 4)))
    path = tmp_path / "regressor.onnx"
    path.write_bytes(onnx_bytes(made, "test", "small", half))
    loaded = Network.load(path)
    assert loaded.fusion is not None
    with torch.no_grad():
        mean = made(images(3), whole=True).mean.numpy()
    expected, limit = fused(inputs), 3e-2 if half else 1e-3
    for own, fusion, off in (
        (mean, Fusion(made.fusion.numpy()), 1e-4),
        (loaded(crops).mean, loaded.fusion, limit),
    ):
        found = own + np.stack([fusion(*one) for one in zip(inputs.code, inputs.circumstances, strict=True)])
        np.testing.assert_allclose(found, expected, atol=off)
    np.testing.assert_allclose(after.identity, small_model.space.project(plain(replace_fit(inputs))), atol=1e-4)
    np.testing.assert_allclose(after.albedo, before.features @ colour[0] + colour[1], atol=1e-4)
    for name in ("expression", "rotation", "translation", "points", "deviation", "features", "score"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(seen(install(made, fused, plain, {}), crops).albedo, after.albedo)
    np.testing.assert_array_equal(seen(install(made, plain, plain, {}), crops).albedo, after.albedo)


def replace_fit(inputs: FusionInputs) -> FusionInputs:
    """Without what the points' fit says."""
    return replace(inputs, code=np.zeros_like(inputs.code))


def test_looks_at_photos_are_means_of_the_photo_and_its_mirror_image(
    small_model: FaceModel,
    sources: Sources,  # noqa: F811
) -> None:
    net, faces = network(small_model), placed_faces(sources)
    looker = Looker(net, small_model, small_map(small_model))
    found = look_at_photos(looker, faces, sources, earlier=net)
    assert len(found.inputs) == len(faces) == len(found.rows)
    assert found.inputs.circumstances.shape == (10, 4)
    assert found.colours["light"].shape == (10, 9, 3)
    crops = images(2).numpy()
    one, other = (looker.answers(some, mirrored=True) for some in (crops, np.ascontiguousarray(crops[:, :, ::-1])))
    np.testing.assert_allclose(one.features, other.features, atol=1e-5)
    mirrored = small_map(small_model).mirrored(other.points, 112)
    np.testing.assert_allclose(one.points, mirrored, atol=1e-3)
    with pytest.raises(ValueError, match="places the map's 44 points, it places 0"):
        Looker(type(net)(replace(net.settings, points=())), small_model, small_map(small_model))


def write_run(model: FaceModel, folder: Path) -> Path:
    """A training's folder with a network that places points."""
    net = network(model)
    folder.mkdir()
    state = {
        "kind": "likeness regressor",
        "face_model": model.name,
        "net": asdict(net.settings),
        "average": net.state_dict(),
        "settings": {},
        "step": 3,
        "seen": 21,
        "validation": {},
    }
    torch.save(state, folder / CHECKPOINT)
    return folder


def test_the_command_makes_a_network_that_fuses(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    run, out = write_run(small_model, tmp_path / "run"), tmp_path / "out"
    small_model.save(tmp_path / "model.npz")
    small_map(small_model).save(tmp_path / "map.npz")
    tar = write_frames(tmp_path / "frames.tar", count=18)
    labels = PointLabels("", tuple(f"k{n}" for n in range(18)), place(small_model, 18, 90.0), np.full((18, 44), 0.3))
    write_point_labels(tmp_path / "labels.npz", labels)
    synthetic = write_synthetic(small_model, tmp_path / "synthetic", 30)
    command = [
        "train",
        "fusion",
        run,
        "--data",
        tar,
        "--point-labels",
        tmp_path / "labels.npz",
        "--synthetic",
        synthetic,
    ]
    command += [
        "--model",
        tmp_path / "model.npz",
        "--point-map",
        tmp_path / "map.npz",
        "--limit",
        "20",
        "--steps",
        "20",
    ]
    command += ["--colours", run, "--threads", "1", "-o", out]
    main([str(word) for word in command])
    told = capsys.readouterr().out
    for words in (
        "18 labelled photos of 3 people",
        "people 3/3",
        "photos 18/18",
        "rendered 20/20",
        "not filtered: 3 people",
    ):
        assert words in told
    made, state = load_regressor(out / CHECKPOINT)
    assert made.settings.fused == 4
    assert state["step"] == 3
    assert state["fusion"]["figures"]["fit_mm"] > 0
    before = load_regressor(run / CHECKPOINT)[0]
    assert torch.equal(before.features(images(2)), made.features(images(2)))
    fusion = Network.load(out / "regressor.onnx").fusion
    assert fusion is not None
    np.testing.assert_allclose(fusion.matrices, made.fusion.numpy(), atol=1e-2)
    first = (out / EVIDENCE).read_bytes()
    main([str(word) for word in command] + ["--resume"])
    assert (out / EVIDENCE).read_bytes() == first
    told = capsys.readouterr().out
    assert "people 3/3" not in told
    assert "photos 18/18" not in told
    again = load_regressor(out / CHECKPOINT)[0]
    assert torch.equal(again.fusion, made.fusion)  # the same numbers again
    exported = tmp_path / "earlier.onnx"
    export_regressor(run / CHECKPOINT, exported)
    command[command.index("--colours") + 1] = exported
    main([str(word) for word in command] + ["--resume"])
    assert "photos 18/18" in capsys.readouterr().out  # what another network says of colours has to be looked at
    told_by_it = load_regressor(out / CHECKPOINT)[0].heads["albedo"].weight
    change = (told_by_it - made.heads["albedo"].weight).norm() / made.heads["albedo"].weight.norm()
    assert change < 0.02  # half floats


def test_kept_looks_come_back_and_only_for_what_they_are_of(tmp_path: Path) -> None:
    world = World(4)
    photo, rendered = (world.looks(np.zeros((n, MODES))) for n in (5, 3))
    light = world.rng.standard_normal((5, 9, 3)).astype(np.float32)
    looks = Looks(Photographed(np.arange(5), photo, {"light": light}), rendered, np.ones((3, MODES), np.float32))
    path, key = tmp_path / "looks.npz", looks_key("model", "a", "b")
    write_looks(path, looks, key)
    found = read_looks(path, key)
    assert found is not None
    for part in ("features", "code", "circumstances"):
        np.testing.assert_array_equal(getattr(found.photographed.inputs, part), getattr(photo, part))
        np.testing.assert_array_equal(getattr(found.rendered, part), getattr(rendered, part))
    np.testing.assert_array_equal(found.photographed.colours["light"], light)
    np.testing.assert_array_equal(found.truth, looks.truth)
    assert read_looks(path, looks_key("model", "ab")) is None
    assert looks_key("a", "b") != looks_key("ab")
    write_looks(path, replace(looks, truth=looks.truth[:2]), key)
    with pytest.raises(FileError, match="expected 2 looks"):
        read_looks(path, key)
    np.savez(path, key=np.array(key))
    with pytest.raises(FileError, match="expected looks at faces"):
        read_looks(path, key)


def test_a_network_of_another_model_is_refused(
    small_model: FaceModel,
    sources: Sources,  # noqa: F811
    tmp_path: Path,
) -> None:
    run = write_run(small_model, tmp_path / "run")
    other = replace(sources, model=replace(small_model, name="other"))
    with pytest.raises(FileError, match="expected a network for 'other'"):
        train_fusion(FusionRun(run, tmp_path), other, lambda line: None)
    shutil.rmtree(run)
    with pytest.raises(FileError):
        train_fusion(FusionRun(run, tmp_path), sources, lambda line: None)

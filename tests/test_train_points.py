"""Training of dense points: rendered labels, samples, an exported start, and a run of the recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from dense_points import place, small_map  # noqa: E402
from test_train_dense import images, network, whole  # noqa: E402
from train_sources import write_frames, write_photos, write_synthetic  # noqa: E402

from likeness.datasets import SyntheticFaces, read_frames, read_photos  # noqa: E402
from likeness.datasets.dense_labels import PlacedPoints  # noqa: E402
from likeness.errors import FileError  # noqa: E402
from likeness.geometry.camera import Camera, image_center, project  # noqa: E402
from likeness.mesh.normals import vertex_normals  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.train.checkpoint import CHECKPOINT, load_regressor, read_checkpoint  # noqa: E402
from likeness.train.photos.augment import flip_landmarks  # noqa: E402
from likeness.train.photos.batches import TrainBatches  # noqa: E402
from likeness.train.photos.export import onnx_bytes  # noqa: E402
from likeness.train.photos.labels import Sources  # noqa: E402
from likeness.train.photos.network import NetSettings, Regressor  # noqa: E402
from likeness.train.photos.onnx_import import import_regressor, restore_statistics  # noqa: E402
from likeness.train.photos.point_validation import HeldOutPoints  # noqa: E402
from likeness.train.photos.rendered_points import RenderedPoints  # noqa: E402
from likeness.train.photos.samples import SampleMaker  # noqa: E402
from likeness.train.photos.trainer import Trainer, train_photos  # noqa: E402
from likeness.train.photos.validation import HeldOut  # noqa: E402
from likeness.train.recipe_settings import AugmentSettings, Mix  # noqa: E402
from likeness.train.recipes import recipe  # noqa: E402
from likeness.train.schedule import Schedule  # noqa: E402
from likeness.train.settings import PhotoSettings  # noqa: E402

MIX = Mix(frames=0, people=0, synthetic=2, morphs=0, negatives=1, placed=4)
PLAIN = AugmentSettings(shift=0, log_scale=0, wide=0, angle=0, turned=0, photometric=0, occlusion=0)


@pytest.fixture
def sources(small_model: FaceModel, tmp_path: Path) -> Sources:
    """Frames, photos and rendered faces; points of six frames and of four photos, with embeddings."""
    frames, photos = read_frames(write_frames(tmp_path / "frames.tar")), read_photos(write_photos(tmp_path / "p.tar"))
    rng = np.random.default_rng(0)
    return Sources(
        small_model,
        frames,
        SyntheticFaces(write_synthetic(small_model, tmp_path / "synthetic", 5), small_model),
        photos,
        point_map=small_map(small_model),
        frame_points=PlacedPoints(
            np.array([0, 1, 2, 4, 5, 7]), place(small_model, 6, 90.0), rng.standard_normal((6, 6)).astype(np.float32)
        ),
        photo_points=PlacedPoints(
            np.array([0, 2, 3, 5]), place(small_model, 4, 90.0, 1), rng.standard_normal((4, 6)).astype(np.float32)
        ),
    )


def settings(out: Path, **changes: Any) -> PhotoSettings:
    schedule = Schedule(budget=4 * MIX.total, learning_rate=1e-3)
    plain = PhotoSettings(
        out,
        schedule,
        MIX,
        objective=recipe("points").objective(taught=True),
        frozen=5,
        trunk_rate=0.5,
        shrink=4,
        accelerator="cpu",
        threads=1,
        log_every=1,
    )
    return replace(plain, **changes)


def test_rendered_points_are_those_of_the_whole_mesh(small_model: FaceModel, sources: Sources) -> None:
    points, faces = small_map(small_model), sources.synthetic
    assert faces is not None
    rendered = RenderedPoints(small_model, points)
    for row in range(len(faces)):
        identity, expression = faces.identity[row], faces.expression[row]
        rotation, translation = faces.rotation[row].astype(float), faces.translation[row].astype(float)
        camera = Camera(float(faces.focal[row]), image_center((64, 64)), (64, 64))
        found, weight = rendered(identity, expression, rotation, translation, camera)
        vertices = small_model.vertices(identity, expression)
        seen = points.gather(vertices).astype(float) @ rotation.T + translation
        np.testing.assert_allclose(found, project(camera, seen), atol=1e-3)
        normals = points.gather(vertex_normals(vertices, small_model.topology.triangles)) @ rotation.T
        cosine = -(normals * seen).sum(1) / np.linalg.norm(seen, axis=1)
        # Flat triangles and smooth normals agree but for how coarse the small model is.
        assert (weight[cosine > 0.5] == 1.0).all()
        assert (weight[cosine < -0.55] < 0.4).all()
    behind = small_model.vertices(faces.identity[0])
    assert behind.shape == small_model.mean.shape


def test_a_face_from_behind_hides_its_points(small_model: FaceModel) -> None:
    rendered = RenderedPoints(small_model, small_map(small_model))
    camera = Camera.from_crop_size(112)
    zero = np.zeros(12), np.zeros(52)
    front = rendered(*zero, np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 900.0]), camera)[1]
    back = rendered(*zero, np.diag([-1.0, -1.0, 1.0]), np.array([0.0, 0.0, 900.0]), camera)[1]
    assert front.mean() > 0.7
    assert back.mean() < 0.3


def test_a_map_of_another_model_is_refused(small_model: FaceModel) -> None:
    points = small_map(small_model)
    with pytest.raises(ValueError, match="below vertex"):
        RenderedPoints(small_model, replace(points, vertices=points.vertices + len(small_model.mean)))
    with pytest.raises(ValueError, match="on triangles"):
        RenderedPoints(small_model, replace(points, vertices=np.repeat(points.vertices[:, :1], 3, 1)))


def test_samples_carry_their_points(sources: Sources) -> None:
    maker, points = SampleMaker(sources, PLAIN), sources.point_map
    assert points is not None
    assert sources.frame_points is not None
    for number in range(10):
        sample = maker.placed(number, np.random.default_rng(number))
        assert sample.dense is not None
        low, high = sample.dense[points.ibug].min(0), sample.dense[points.ibug].max(0)
        np.testing.assert_allclose(0.5 * (low + high), 55.5, atol=1e-3)  # in the middle of the crop
        np.testing.assert_allclose(np.prod(high - low) ** 0.5, 112 / 1.5, rtol=1e-4)
    people = [maker.placed(number, np.random.default_rng(0)).person for number in range(10)]
    assert sources.photos is not None
    assert sources.frames is not None
    assert people[:6] == sources.frames.person[sources.frame_points.index].tolist()
    assert min(people[6:]) == sources.frames.people
    told = maker.placed(2, np.random.default_rng(0)).embedding
    assert sources.frame_points.embedding is not None
    np.testing.assert_array_equal(told, sources.frame_points.embedding[2])


def test_a_warped_picture_is_nobodys_and_its_points_have_moved(sources: Sources) -> None:
    plain = SampleMaker(sources, PLAIN).placed(1, np.random.default_rng(3))
    maker = SampleMaker(sources, replace(PLAIN, warped=1.0))
    sample = maker.placed(1, np.random.default_rng(3))
    assert (sample.person, sample.embedding) == (-1, None)
    assert sample.dense is not None
    assert plain.dense is not None
    away = min(
        np.abs(sample.dense - one).max() for one in (plain.dense, maker.sources.point_map.mirrored(plain.dense, 112))
    )
    assert 0.3 < away < 30


def test_batches_have_weights_where_points_are_known(sources: Sources) -> None:
    maker = SampleMaker(sources, replace(PLAIN, warped=0.5))
    found = TrainBatches(maker, MIX, 0)
    seen = []
    for number in range(5):
        _, targets = found[number]
        assert targets.dense.shape == (7, 44, 2)
        known = (targets.dense_weight > 0).all(1).tolist()
        assert known == [True] * 2 + [False] + [True] * 4
        assert (targets.dense_weight[3:] == 1).all()
        seen.append(targets.embedding_gate[3:].numpy())
    assert 0 < np.concatenate(seen).mean() < 1
    for a, b in zip(found[3][1], TrainBatches(maker, MIX, 0)[3][1], strict=True):
        assert torch.equal(a, b)


def test_todays_batches_do_not_change_where_nothing_is_placed(sources: Sources) -> None:
    mix = Mix(frames=2, people=0, synthetic=2, morphs=0, negatives=1)
    bare = replace(sources, point_map=None, frame_points=None, photo_points=None)
    one, other = (TrainBatches(SampleMaker(some, AugmentSettings()), mix, 0)[1] for some in (sources, bare))
    assert torch.equal(one[0], other[0])
    assert other[1].dense.shape == (5, 0, 2)


@pytest.mark.parametrize("decoder", [True, False])
def test_export_and_import_are_a_round_trip(small_model: FaceModel, tmp_path: Path, decoder: bool) -> None:
    pytest.importorskip("onnx")
    trained = network(small_model)
    if not decoder:
        bare = Regressor(NetSettings.for_model(small_model)).eval()
        bare.load_state_dict({k: v for k, v in trained.state_dict().items() if not k.startswith("dense.")})
        trained = bare
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_bytes(trained, "net", "small", half=False))
    torch.manual_seed(1)
    again = Regressor(NetSettings.for_model(small_model, dense=small_map(small_model)))
    folded = import_regressor(path, again)
    seen = images(48)
    for _ in range(2):  # as imported, and with statistics
        again.eval()
        with torch.no_grad():
            found, expected = again(seen, whole=True), trained(seen, whole=True)
        pairs = [*zip(found.prediction, expected.prediction, strict=True)]
        if decoder:
            pairs += [*zip(found.dense[:2], expected.dense[:2], strict=True)]
        for a, b in pairs:
            torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-3)
        restore_statistics(again, folded, seen)
    # In training, where a batch's own statistics count, these crops are answered as before.
    with torch.no_grad():
        trains = again.train()(seen)
    torch.testing.assert_close(trains.rotation, expected.prediction.rotation, rtol=5e-3, atol=5e-3)


def test_files_that_are_no_start_are_refused(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    target = Regressor(NetSettings.for_model(small_model))
    with pytest.raises(FileError, match="cannot be read"):
        import_regressor(path, target)
    path.write_bytes(b"no network")
    with pytest.raises(FileError, match=r"net\.onnx"):
        import_regressor(path, target)
    path.write_bytes(onnx_bytes(network(small_model), "net", "small"))
    with pytest.raises(FileError, match="no decoder"):
        import_regressor(path, target)
    smaller = Regressor(NetSettings.for_model(small_model, dense=small_map(small_model), shrink=2))
    with pytest.raises(FileError, match="same sizes"):
        import_regressor(path, smaller)


def test_the_recipe_learns_points_on_top_of_an_earlier_network(sources: Sources, tmp_path: Path) -> None:
    first = replace(settings(tmp_path / "first"), objective=recipe("tikhonov").objective(), frozen=0, trunk_rate=1.0)
    first = replace(first, mix=replace(MIX, frames=4, placed=0))
    train_photos(first, replace(sources, frame_points=None, photo_points=None, point_map=None))
    start = tmp_path / "first" / CHECKPOINT
    assert sources.point_map is not None
    held_out = HeldOut(sources.frames, points=HeldOutPoints(sources.point_map, sources.frame_points))
    heard: list[Any] = []
    figures = train_photos(settings(tmp_path / "second", start=start), sources, held_out, heard.append)
    assert {"points_px_video", "points_own_px_video", "points_sure_video"} <= set(figures)
    assert figures["points_own_px_video"] <= figures["points_px_video"]
    assert {"dense_coarse", "dense_middle", "dense_fine", "dense_sureness", "sir_told"} <= set(heard[-1].losses)
    net, state = load_regressor(tmp_path / "second" / CHECKPOINT)
    assert net.dense is not None
    assert len(state["net"]["points"]) == 44
    old, new = read_checkpoint(start)["average"], state["average"]
    same = {name for name in old if torch.equal(old[name], new[name])}
    frozen = {name for name in old if name.startswith(tuple(f"backbone.{n}." for n in range(5)))}
    assert same == frozen
    with pytest.raises(ValueError, match="map of the surface points"):
        Trainer(settings(tmp_path / "third"), replace(sources, point_map=None))


def test_centres_of_other_people_begin_anew(sources: Sources, tmp_path: Path) -> None:
    few = replace(sources, photos=None, frame_points=None, photo_points=None, point_map=None)
    assert 0 < few.people < sources.people
    first = replace(settings(tmp_path / "first"), objective=replace(recipe("sir").objective(), photometric=0.0))
    train_photos(replace(first, mix=replace(MIX, frames=4, placed=0)), few)
    start = read_checkpoint(tmp_path / "first" / CHECKPOINT)
    assert start["objective"]["sir.seen"].any()
    student = Trainer(settings(tmp_path / "second", start=tmp_path / "first" / CHECKPOINT), sources).student
    sir = student.objective.sir
    assert sir is not None
    assert len(sir.bank) == sources.people
    assert not sir.seen.any()
    for name, value in start["average"].items():
        assert torch.equal(student.averaged.state_dict()[name], value), name


def test_points_training_goes_on_exactly(sources: Sources, tmp_path: Path) -> None:
    train_photos(settings(tmp_path / "whole"), sources)

    def kill(progress: Any) -> None:
        if progress.step == 2 and progress.note:
            raise KeyboardInterrupt

    cut = settings(tmp_path / "cut", save_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        train_photos(cut, sources, report=kill)
    train_photos(replace(cut, resume=True), sources)
    whole_run, resumed = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in ("whole", "cut"))
    for name, value in whole_run["network"].items():
        assert torch.equal(value, resumed["network"][name]), name


def test_a_training_starts_from_an_exported_network(sources: Sources, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    torch.manual_seed(5)
    model = sources.model
    exported = Regressor(NetSettings.for_model(model, shrink=4)).eval()
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_bytes(exported, "net", model.name, half=False))
    trainer = Trainer(settings(tmp_path / "run", start=path), sources)
    seen = images(5)
    with torch.no_grad():
        for a, b in zip(trainer.student.averaged(seen), exported(seen), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="checkpoint as the start"):
        settings(tmp_path / "run", start=path, remain=0.3)


def test_mirrored_points_are_those_of_mirrored_landmarks(small_model: FaceModel) -> None:
    points = small_map(small_model)
    frontal = points.gather(small_model.mean)[:, :2] * [0.4, -0.4] + 50
    np.testing.assert_allclose(points.mirrored(frontal, 101), frontal, atol=1e-3)  # the mean face is symmetric
    assert flip_landmarks(np.zeros((68, 2)), 101).shape == (68, 2)
    prediction, dense = whole(network(small_model), images(1))
    assert dense.points.shape[1] == len(points)
    assert prediction.identity.shape == (1, 12)

"""Laws of the training on photographs: mixed batches, exact resume, averaged gradients, stops that lose nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from dense_points import small_map  # noqa: E402
from train_sources import (  # noqa: E402
    TOLD,
    write_frames,
    write_morphs,
    write_photos,
    write_synthetic,
    write_teacher,
)

from likeness.datasets import SyntheticFaces, read_frames, read_photos  # noqa: E402
from likeness.datasets.memory_maps import Morphs  # noqa: E402
from likeness.errors import FileError  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.reconstruct.reconstructor import Reconstructor  # noqa: E402
from likeness.train.checkpoint import CHECKPOINT, read_checkpoint  # noqa: E402
from likeness.train.photos.batches import TrainBatches  # noqa: E402
from likeness.train.photos.export import export_regressor  # noqa: E402
from likeness.train.photos.fidelity_curves import HeldOutPortraits, rendered_figures  # noqa: E402
from likeness.train.photos.labels import PseudoLabels, Sources  # noqa: E402
from likeness.train.photos.samples import SampleMaker  # noqa: E402
from likeness.train.photos.trainer import FACE_MODEL, Trainer, TrainingError, train_photos  # noqa: E402
from likeness.train.photos.validation import HeldOut  # noqa: E402
from likeness.train.recipe_settings import BasisSettings, Mix, ObjectiveSettings, SirWeights  # noqa: E402
from likeness.train.recipes import RECIPES, recipe  # noqa: E402
from likeness.train.schedule import Schedule  # noqa: E402
from likeness.train.settings import AugmentSettings, PhotoSettings  # noqa: E402

MIX = Mix(frames=2, people=2, each=2, synthetic=2, morphs=2, negatives=1)
STEPS = 6


@pytest.fixture
def sources(small_model: FaceModel, tmp_path: Path) -> Sources:
    return sources_in(tmp_path, small_model)


def sources_in(folder: Path, small_model: FaceModel) -> Sources:
    """Eight frames of three people, six photos of two, five rendered faces, seven morphs; a model on the sphere."""
    model = small_model.lifted()
    return Sources(
        model,
        read_frames(write_frames(folder / "frames.tar")),
        SyntheticFaces(write_synthetic(model, folder / "synthetic", 5), model),
        read_photos(write_photos(folder / "photos.tar")),
        Morphs(write_morphs(folder / "morphs")),
    )


def settings(out: Path, **changes: Any) -> PhotoSettings:
    """A few steps of everything at once: SIR, a teacher, a learned basis."""
    objective = ObjectiveSettings(sir=SirWeights(relation=1.0, told=1.0), basis=BasisSettings(fields=20))
    schedule = Schedule(budget=STEPS * MIX.total, learning_rate=1e-3, pseudo_at=(0.34,))
    plain = PhotoSettings(
        out, schedule, MIX, objective=objective, shrink=4, accelerator="cpu", threads=1, log_every=1
    )
    return replace(plain, **changes)


def label_all(network: Any, head: Any, photos: Any, numbers: Any = None, **_: Any) -> PseudoLabels:
    """Landmarks in the middle of every photo: a network of six steps finds no face."""
    from conftest import landmark_drawing

    points = landmark_drawing() * [0.3, -0.3] + 45.0
    index = np.arange(len(photos.images)) if numbers is None else numbers
    return PseudoLabels(index, np.repeat(points[None], len(index), 0))


def equal(a: Any, b: Any) -> bool:
    """Whether two nests of tensors are the same to the last bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(*pair) for pair in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.fixture(scope="module")
def uninterrupted(small_model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which nothing is missing, beside its teacher."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("likeness.train.photos.pseudo_labels.label_photos", label_all)
        teacher = write_teacher(folder / "teacher.onnx")
        train_photos(settings(folder / "whole", teacher=teacher), sources_in(folder, small_model))
    return folder / "whole"


@pytest.mark.parametrize("killed_after", [1, 2, 4])
def test_killed_and_resumed_equals_uninterrupted(
    sources: Sources, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    monkeypatch.setattr("likeness.train.photos.pseudo_labels.label_photos", label_all)
    teacher = uninterrupted.with_name("teacher.onnx")

    def kill(progress: Any) -> None:
        if progress.step == killed_after and progress.note != "":
            raise KeyboardInterrupt

    cut = settings(tmp_path / "cut", teacher=teacher, save_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        train_photos(cut, sources, report=kill)
    assert read_checkpoint(tmp_path / "cut" / CHECKPOINT)["step"] == killed_after
    train_photos(replace(cut, resume=True), sources)
    whole, resumed = (read_checkpoint(path / CHECKPOINT) for path in (uninterrupted, tmp_path / "cut"))
    assert whole["step"] == resumed["step"] == STEPS
    for name in ("network", "objective", "average", "average_basis", "optimizer", "pseudo_landmarks", "random"):
        assert equal(whole[name], resumed[name]), name


def test_a_run_goes_on_with_the_same_settings_and_pictures_only(sources: Sources, tmp_path: Path) -> None:
    run = settings(tmp_path / "run", objective=recipe("tikhonov").objective())
    train_photos(run, sources)
    with pytest.raises(FileError, match="another seed"):
        train_photos(replace(run, resume=True, seed=1), sources)
    with pytest.raises(FileError, match="another sources"):
        train_photos(replace(run, resume=True), replace(sources, morphs=None))


def test_a_new_persons_morphs_come_together_and_are_nobody_elses(sources: Sources) -> None:
    mix = Mix(frames=0, people=0, synthetic=0, morphs=4, negatives=0)
    batches = TrainBatches(SampleMaker(sources, AugmentSettings()), mix, 0)
    people = np.concatenate([batches[number][1].person.numpy() for number in range(7)])
    passes = people.reshape(4, 7) - sources.people  # seven batches of four pictures of seven
    for one_pass in passes:
        assert sorted(one_pass) == [0, 0, 1, 1, 2, 2, 3]
        starts = np.flatnonzero(np.diff(one_pass, prepend=-1))
        assert len(starts) == 4  # each of the four people in one piece


def test_accumulated_gradients_are_the_mean_of_the_batches(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[torch.Tensor] = []

    def gradients(accumulate: int, numbers: list[int]) -> torch.Tensor:
        run = settings(tmp_path / "run", objective=recipe("tikhonov").objective(), accumulate=accumulate)
        trainer = Trainer(run, sources)
        data = TrainBatches(trainer.maker, MIX, 0)
        weight = trainer.student.bare.heads["rotation"].weight
        monkeypatch.setattr(trainer.student.optimizer, "step", lambda: taken.append(weight.grad.clone()))
        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: None)
        trainer._learn([data[number] for number in numbers])
        return taken[-1]

    both = gradients(2, [0, 1])
    single = 0.5 * (gradients(1, [0]) + gradients(1, [1]))
    torch.testing.assert_close(both, single, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(both, gradients(1, [0]), rtol=1e-2)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings(tmp_path / "run", objective=recipe("tikhonov").objective(), save_seconds=0.0)
    make = TrainBatches.__getitem__

    def poisoned(self: TrainBatches, number: int) -> Any:
        images, targets = make(self, number)
        if number == 3:
            targets.light[:] = np.nan
        return images, targets

    monkeypatch.setattr(TrainBatches, "__getitem__", poisoned)
    with pytest.raises(TrainingError, match=r"step 3: not finite: light.*checkpoint\.pt"):
        train_photos(run, sources)
    state = read_checkpoint(tmp_path / "run" / CHECKPOINT)
    assert state["step"] == 3
    assert all(bool(torch.isfinite(value.float()).all()) for value in state["network"].values())


def test_batches_hold_several_pictures_of_some_people(sources: Sources) -> None:
    maker = SampleMaker(sources, settings(Path()).augment, label_all(None, None, sources.photos))
    mix = Mix(frames=0, people=4, each=3, synthetic=0, morphs=0, negatives=0)
    people = set()
    for number in range(6):
        _, targets = TrainBatches(maker, mix, 0)[number]
        who, counts = np.unique(targets.person.numpy(), return_counts=True)
        assert counts.tolist() == [3] * 4
        people |= set(who.tolist())
    assert people == set(range(5))  # three people of the frames, two of the photos, none confused
    nobody = SampleMaker(replace(sources, photos=None, frames=None), maker.settings)
    with pytest.raises(ValueError, match="frames with landmarks or synthetic"):
        TrainBatches(nobody, mix, 0)


def test_a_teachers_embeddings_go_with_their_pictures(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeness.train.photos.pseudo_labels.label_photos", label_all)
    run = settings(tmp_path / "run", teacher=write_teacher(tmp_path / "teacher.onnx"))
    trainer = Trainer(run, sources)
    trainer.run()
    assert sources.frames is not None
    teacher, told = trainer.notes.teacher, trainer.maker.embeddings
    assert teacher is not None
    assert told.frames is not None
    assert told.photos is not None
    asked = teacher.aligned(sources.frames.images[5], sources.frames.landmarks[5].astype(float))
    np.testing.assert_allclose(told.frames[5], teacher(asked[None])[0], rtol=1e-5)
    assert np.isfinite(told.photos).all()
    _, targets = TrainBatches(trainer.maker, Mix(0, 0, 0, 0, 0, 3, 0), 0)[0]
    assert targets.embedding.shape == (3, TOLD)
    assert targets.embedding_gate.tolist() == [1, 1, 1]


def test_fidelity_is_among_the_curves(sources: Sources, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layout = rng.uniform(300, 1000, (189, 2))
    for person in range(4):
        points = layout + rng.normal(0, 10, layout.shape)
        rows = "\n".join(f"{x} {y}" for x, y in points.tolist())
        (tmp_path / f"{person}.tem").write_text(f"189\n{rows}\n")
        cv2.imwrite(str(tmp_path / f"{person}.png"), rng.integers(0, 255, (135, 135, 3)).astype(np.uint8))
    held_out = HeldOut(portraits=HeldOutPortraits.read(tmp_path))
    figures = train_photos(settings(tmp_path / "run"), sources, held_out)
    assert {"points_explained", "points_error", "front_explained"} <= set(figures)
    assert all(np.isfinite(value) for value in figures.values())


def test_rendered_shapes_among_the_curves(sources: Sources) -> None:
    codes = sources.model.space.sample(40, np.random.default_rng(1))
    exact, half = (rendered_figures(factor * codes, codes, sources.model) for factor in (1.0, 0.5))
    assert exact["rendered_mm"] == pytest.approx(0, abs=1e-3)
    assert exact["rendered_slope"] == pytest.approx(1, abs=1e-3)
    assert half["rendered_slope"] == pytest.approx(2, rel=0.05)
    assert half["rendered_ratio"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_and_its_network_opens(sources: Sources, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    held_out, points = HeldOut(sources.frames, sources.photos), small_map(sources.model)
    if name == "points":
        sources = replace(sources, point_map=points)
    figures = train_photos(settings(out, objective=recipe(name).objective()), sources, held_out)
    assert {"nme_true", "auc_code_video", "auc_mm_video"} <= set(figures)
    export_regressor(out / CHECKPOINT, out / "net.onnx")
    model = FaceModel.load(out / FACE_MODEL) if name == "sfm" else sources.model
    assert Reconstructor(model, out / "net.onnx", points=points).model.name == model.name
    assert (name == "sfm") == (not np.array_equal(model.identity_basis, sources.model.identity_basis))


def test_features_of_a_trunk_stay_as_they_are(sources: Sources, tmp_path: Path) -> None:
    plain = settings(tmp_path / "first", objective=recipe("tikhonov").objective())
    train_photos(plain, sources)
    trunk = tmp_path / "first" / CHECKPOINT
    train_photos(replace(plain, out=tmp_path / "second", trunk=trunk, seed=5), sources)
    first, second = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in ("first", "second"))
    for name, value in second["network"].items():
        same = torch.equal(value, first["average"][name])
        assert same == name.startswith("backbone"), name
    with pytest.raises(FileError, match="same widths"):
        Trainer(replace(plain, out=tmp_path / "third", trunk=trunk, shrink=1), sources)


def test_a_start_is_where_an_earlier_training_ended(sources: Sources, tmp_path: Path) -> None:
    train_photos(settings(tmp_path / "first"), sources)
    start = tmp_path / "first" / CHECKPOINT
    first = read_checkpoint(start)
    begun = Trainer(settings(tmp_path / "second", start=start, seed=5), sources).state()
    for name, value in begun["average"].items():
        assert torch.equal(value, first["average"][name]), name
    for name in ("sir.bank", "sir.seen"):
        assert torch.equal(begun["objective"][name], first["objective"][name])
    figures = train_photos(settings(tmp_path / "third", start=start), sources)
    assert figures == read_checkpoint(tmp_path / "third" / CHECKPOINT)["validation"]
    with pytest.raises(FileError, match="same sizes"):
        Trainer(settings(tmp_path / "fourth", start=start, shrink=1), sources)


def test_a_share_of_the_start_remains_once(sources: Sources, tmp_path: Path) -> None:
    train_photos(settings(tmp_path / "first", objective=recipe("sir").objective()), sources)
    start = tmp_path / "first" / CHECKPOINT
    plain = settings(tmp_path / "plain", objective=recipe("sir").objective(), start=start)
    mixed = replace(plain, out=tmp_path / "mixed", remain=0.25)
    for run in (plain, mixed, replace(mixed, resume=True)):
        train_photos(run, sources)
    first, whole, both = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in ("first", "plain", "mixed"))
    for name, value in both["average"].items():
        if value.is_floating_point():
            expected = 0.75 * whole["average"][name] + 0.25 * first["average"][name]
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
    assert equal(both["network"], whole["network"])  # what goes on learning is not touched
    with pytest.raises(ValueError, match="start of which"):
        replace(plain, start=None, remain=0.25)
    with pytest.raises(ValueError, match="fixed basis"):
        settings(tmp_path / "fourth", start=start, remain=0.25)  # these learn a basis


def test_a_margin_softmax_alone_knows_no_geometry() -> None:
    sir = recipe("margin").objective(taught=True).sir
    assert sir is not None
    asked = {
        name
        for name in ("direction", "within", "between", "mixed", "prior", "relation", "told")
        if getattr(sir, name)
    }
    assert (asked, sir.code > 0) == (set(), True)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a recipe of sir"):
        recipe("magic")


def test_two_processes_train_one_network(sources: Sources, tmp_path: Path) -> None:
    """By `torchrun` and the command's flags alone; what both hold at the end is the same."""
    model = tmp_path / "small.npz"
    sources.model.save(model)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["-m", "likeness", "train", "photos", "-o", tmp_path / "run", "--data", tmp_path / "frames.tar"]
    arguments += ["--synthetic", tmp_path / "synthetic", "--model", model, "--devices", "2", "--accelerator", "cpu"]
    arguments += ["--budget", "90", "--batch", "0.1", "--threads", "1", "--recipe", "sfm"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    state = read_checkpoint(tmp_path / "run" / CHECKPOINT)
    assert state["seen"] == state["step"] * 2 * Mix().scaled(0.1).total
    assert bool(state["objective"]["sir.seen"].any())
    assert (tmp_path / "run" / "regressor.onnx").is_file()

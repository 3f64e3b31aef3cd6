"""Laws of trainings that talk: what, how far, how fast, how long still, from the first second on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from test_train_photos import equal, label_all, settings, sources  # noqa: E402, F401
from train_sources import write_frames, write_photos  # noqa: E402

from likeness import cli  # noqa: E402
from likeness.cli.display import EVERY, NUMBERS, Display, in_lines, most_telling  # noqa: E402
from likeness.datasets import read_frames, read_photos  # noqa: E402
from likeness.datasets.pictures import of_some_people  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.progress import spoken  # noqa: E402
from likeness.train.checkpoint import CHECKPOINT, read_checkpoint  # noqa: E402
from likeness.train.loop import FIRST_SAVE, Loop  # noqa: E402
from likeness.train.photos import pseudo_labels  # noqa: E402
from likeness.train.photos.labels import PseudoLabels, Sources  # noqa: E402
from likeness.train.photos.pseudo_labels import LabellingPlan, label_photos, merged  # noqa: E402
from likeness.train.photos.trainer import Trainer, train_photos  # noqa: E402
from likeness.train.recipes import recipe  # noqa: E402
from likeness.train.scans.meshes import drawn_people, read_meshes  # noqa: E402
from likeness.train.settings import Progress, ScanSettings  # noqa: E402


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# what is shown


def test_a_stage_has_a_line_at_its_start_one_now_and_then_and_one_at_its_end() -> None:
    lines: list[str] = []
    clock = Clock()
    display = Display(lines.append, clock=clock)
    display("labelling photos", 0, 5000)
    assert lines == ["labelling photos 0/5,000 (0 %)"]
    for done in range(10, 5001, 10):
        clock.now += 1.0
        display("labelling photos", done, 5000)
    assert lines[1] == "labelling photos 100/5,000 (2 %, 10/s, 8 min left)"
    assert lines[-1] == "labelling photos 5,000/5,000 (100 %, 10/s)"
    assert 5 < len(lines) <= 2 + 500 / EVERY
    display("labelling photos", 0, 5000)  # anew
    assert lines[-1] == "labelling photos 0/5,000 (0 %)"


def test_a_training_says_how_far_how_fast_how_long_still_and_three_numbers() -> None:
    lines: list[str] = []
    losses = {"total": 3.25, "dull": 9.0, "landmark": 1.5, "score": 0.1}
    display = Display(lines.append, clock=Clock())
    display.training(Progress(500, 2000, 56_000, 400.0, losses, {"score": 0.9, "nme_second": 3.1}, "checkpoint"))
    assert lines == [
        "training 500/2,000 (25 %, 400 samples/s, 7 min left) | total 3.25, nme_second 3.1, landmark 1.5 | checkpoint"
    ]
    display.training(Progress(501, 2000, 56_112, 400.0, losses, {}))  # a moment later, and nothing happened
    assert len(lines) == 1


def test_numbers_are_three_a_line_whatever_a_training_has() -> None:
    many = {f"term{number}": float(number) for number in range(1, 8)}
    assert len(most_telling(many, {})) == NUMBERS
    assert [*most_telling({"dull": 0.0, "term": 1.0}, {})] == ["term"]
    assert next(iter(most_telling({"total": 1.0, **many}, {}))) == "total"
    lines = [*in_lines(many)]
    assert [line.count("term") for line in lines] == [3, 3, 1]


def test_bars_and_lines_on_a_terminal_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TextColumn

    lines: list[str] = []
    console = Console(force_terminal=True, width=120)
    with Bars(TextColumn("{task.description} {task.fields[detail]}"), console=console, auto_refresh=False) as bars:
        display = Display(lines.append, bars)
        display("rendering faces", 0, 40)
        display("rendering faces", 20, 40)
        display.training(Progress(5, 10, 100, 50.0, {"total": 2.0}, {}, "validated"))
    assert [(task.completed, task.total) for task in bars.tasks] == [(20, 40), (5, 10)]
    assert bars.tasks[1].fields["detail"] == "50 samples/s, 2 s left, total 2"
    assert lines == ["training 5/10: validated"]


def test_durations_are_said_as_one_says_them() -> None:
    assert [spoken(seconds) for seconds in (0.4, 99, 100, 3600, 7300)] == [
        "0 s",
        "99 s",
        "2 min",
        "60 min",
        "2 h 2 min",
    ]


# photos are labelled in portions


@pytest.mark.parametrize("count", [1, 40, 1000])
def test_every_round_labels_everybody_where_there_is_time(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudo_labels, "PORTION", 16)
    person = np.random.default_rng(0).integers(-1, 20, count)
    plan = LabellingPlan.of(person, {0, 500}, 1000, 8)
    for begin, end in ((0, 500), (500, 1000)):
        steps = [step for step in sorted(plan.portions) if begin <= step < end]
        assert steps[0] == begin
        labelled = np.concatenate([plan.numbers(step) for step in steps])
        assert sorted(labelled.tolist()) == [*range(count)]
        assert all(len(plan.numbers(step)) <= 16 << number for number, step in enumerate(steps))
        for step, following in pairwise(steps):  # as long as its photos last
            assert (following - step) * 8 >= len(plan.numbers(step))
    assert [*plan.segments(-1, 1000)] == [*sorted(plan.portions), 1000]


def test_no_more_photos_are_labelled_than_are_learned_from() -> None:
    person = np.repeat(np.arange(500), 10)
    plan = LabellingPlan.of(person, {2, 7}, 33, 30)
    assert len(plan.numbers(2)) == 5 * 30
    assert len(plan.numbers(7)) == 26 * 30
    people = person[plan.numbers(2)]
    assert len(np.unique(people)) == 15  # each with all of their photos
    assert LabellingPlan.of(person, {33}, 33, 30).portions == {}


def test_labels_of_a_portion_are_replaced_and_others_stay() -> None:
    def labels(index: list[int], value: float) -> PseudoLabels:
        return PseudoLabels(np.array(index, np.int64), np.full((len(index), 68, 2), value, np.float32))

    both = merged(labels([1, 3, 5], 0.0), labels([2, 5], 1.0), np.array([2, 3, 4, 5]))
    assert both.index.tolist() == [1, 2, 5]
    assert both.landmarks[:, 0, 0].tolist() == [0.0, 1.0, 1.0]
    assert merged(None, both, np.arange(9)) is both


def test_labelling_is_heard_of_before_the_first_photo_is_looked_at(
    sources: Sources,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = recipe("sir").objective()
    train_photos(settings(tmp_path / "first", objective=plain), sources)
    events: list[str] = []
    locate = pseudo_labels.locate

    def looked(*arguments: Any, **more: Any) -> Any:
        events.append("look")
        return locate(*arguments, **more)

    monkeypatch.setattr(pseudo_labels, "locate", looked)
    display = Display(events.append, clock=Clock())
    run = settings(tmp_path / "second", objective=plain, labeller=tmp_path / "first" / CHECKPOINT)
    train_photos(run, sources, report=display.training, watch=display)
    assert events[0].startswith("comparing annotations with mirror images 0/8")
    assert events.index("labelling photos 0/6 (0 %)") < events.index("look")
    steps = [number for number, event in enumerate(events) if event.startswith("training 6/")]
    assert events.index("look") < steps[0]


def test_labels_are_in_the_checkpoint_as_soon_as_they_are_made(
    sources: Sources,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pseudo_labels, "label_photos", label_all)
    run = settings(tmp_path / "run")
    whole = train_photos(replace(run, out=tmp_path / "whole"), sources)

    def kill(progress: Progress) -> None:
        if "labelled" in progress.note:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_photos(run, sources, report=kill)
    state = read_checkpoint(run.out / CHECKPOINT)
    assert (state["step"], state["labelled_at"], len(state["pseudo_index"])) == (2, 2, 6)
    monkeypatch.setattr(pseudo_labels, "label_photos", None)  # nobody is asked again
    assert train_photos(replace(run, resume=True), sources) == whole
    one, other = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in ("whole", "run"))
    assert equal(one["network"], other["network"])


def test_some_photos_are_labelled_as_all_are(sources: Sources) -> None:  # noqa: F811
    trainer = Trainer(settings(Path("nowhere"), shrink=4), sources)
    network, head = trainer.student.averaged, trainer.student.head()
    assert sources.photos is not None
    pseudo_labels_of = {
        name: label_photos(network, head, sources.photos, numbers)
        for name, numbers in (("all", None), ("some", np.array([1, 4])))
    }
    kept = np.isin(pseudo_labels_of["all"].index, [1, 4])
    np.testing.assert_array_equal(pseudo_labels_of["some"].index, pseudo_labels_of["all"].index[kept])


# the first checkpoint


def test_the_first_checkpoint_comes_within_a_minute_and_others_as_asked(tmp_path: Path) -> None:
    clock, saved = Clock(), list[float]()
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def state() -> dict[str, Any]:
        saved.append(clock.now - 1000.0)
        return {"kind": "test"}

    def learn(number: int) -> dict[str, Any]:
        clock.now += 7.0
        return {"total": torch.tensor(float(number))}

    loop = Loop(100, 1, tmp_path / "run" / "checkpoint.pt", state, optimizer, save_seconds=180.0, clock=clock)
    with loop.opened():
        loop.run(range(4), learn)
        assert not (tmp_path / "run" / "checkpoint.pt").exists()
        loop.run(range(4, 100), learn)
    assert FIRST_SAVE < saved[0] < 60.0
    assert (np.diff(saved) > 180.0).all()
    assert (np.diff(saved) <= 187.0).all()


def test_losses_are_means_since_the_line_before(tmp_path: Path) -> None:
    heard: list[Progress] = []
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    loop = Loop(10, 2, None, dict, optimizer, report=heard.append, log_every=4)
    with loop.opened():
        loop.run(range(10), lambda number: {"total": torch.tensor(float(number))})
    assert [(one.step, one.losses.get("total")) for one in heard] == [(1, None), (4, 1.5), (8, 5.5), (10, 8.5)]
    assert [one.seen for one in heard] == [2, 8, 16, 20]


# small runs


def test_a_few_people_keep_all_of_their_pictures_and_get_numbers_of_their_own(tmp_path: Path) -> None:
    frames = read_frames(write_frames(tmp_path / "frames.tar"))
    some = of_some_people(frames, 2, seed=1)
    assert some.people == 2
    assert len(some.images) == len(some.landmarks) == len(some.clip) == len(some.person)
    for number, name in enumerate(some.images.places.names):
        row = frames.images.places.names.index(name)
        np.testing.assert_array_equal(some.images[number], frames.images[row])
        np.testing.assert_array_equal(some.landmarks[number], frames.landmarks[row])
        assert some.clip[number] == frames.clip[row]
    for person in range(2):
        whose = {
            int(frames.person[frames.images.places.names.index(name)])
            for name, one in zip(some.images.places.names, some.person.tolist(), strict=True)
            if one == person
        }
        assert len(whose) == 1
        assert (some.person == person).sum() == (frames.person == whose.pop()).sum()
    photos = read_photos(write_photos(tmp_path / "photos.tar"))
    unknown = replace(photos, person=np.full(len(photos.person), -1))
    assert of_some_people(unknown, 3).person.tolist() == [-1, -1, -1]
    with pytest.raises(ValueError, match="one person"):
        of_some_people(photos, 0)


def test_a_small_budget_draws_few_people(small_model: FaceModel, tmp_path: Path) -> None:
    assert drawn_people(128, ScanSettings.budget) == 3200
    assert drawn_people(128, 2000) == 400
    assert drawn_people(8, 500) == 100
    small_model.save(tmp_path / "model.npz")
    heard: list[tuple[str, int, int]] = []
    meshes = read_meshes(tmp_path / "model.npz", small_model, people=120, watch=lambda *stage: heard.append(stage))
    assert heard[0] == ("drawing meshes", 0, 600)
    assert heard[-1] == ("drawing meshes", 600, 600)
    few = meshes.first_people(20)
    assert few.people == 20
    assert len(np.unique(few.identity[few.held_out])) == 4  # a fifth, as of all


def test_the_commands_talk_from_the_start(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    small_model.save(tmp_path / "model.npz")
    frames = write_frames(tmp_path / "frames.tar")
    arguments = ["train", "photos", "-o", tmp_path / "run", "--data", frames, "--model", tmp_path / "model.npz"]
    arguments += ["--people", "2", "--budget", "40", "--batch", "0.1", "--accelerator", "cpu", "--threads", "1"]
    cli.main([str(word) for word in arguments])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"reading {frames}"
    assert any(line.startswith("--people 2: ") for line in lines)
    assert any(line.startswith("training 1/") and "samples/s" in line for line in lines)
    assert f"-> {tmp_path / 'run' / 'regressor.onnx'}" in lines
    assert all(line.count(" | ") <= 2 for line in lines)
    assert (tmp_path / "run" / CHECKPOINT).is_file()

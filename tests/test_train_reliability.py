"""Laws of the filter that keeps of a code what can be relied on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from test_train_photos import settings  # noqa: E402
from train_sources import write_frames, write_photos  # noqa: E402

from likeness.datasets import read_frames, read_photos  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.train.checkpoint import CHECKPOINT, read_checkpoint  # noqa: E402
from likeness.train.photos.labels import PseudoLabels, Sources  # noqa: E402
from likeness.train.photos.network import NetSettings, Regressor  # noqa: E402
from likeness.train.photos.posterior_codes import codes_of_people, reliable, rely, spread_of  # noqa: E402
from likeness.train.photos.samples import SampleMaker  # noqa: E402
from likeness.train.photos.trainer import train_photos  # noqa: E402
from likeness.train.recipes import recipe  # noqa: E402
from likeness.train.settings import AugmentSettings  # noqa: E402

SIZE, PEOPLE, PICTURES = 6, 3000, 4


def shapes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures' shapes (n, K), their people's true ones (n, K), and whose they are: in the first directions people
    differ more, in the last ones pictures do."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.qr(np.random.default_rng(9).standard_normal((SIZE, SIZE)))[0]
    true = rng.standard_normal((PEOPLE, SIZE)) * np.geomspace(3.0, 0.3, SIZE) @ mix + 5.0
    true, person = np.repeat(true, PICTURES, 0), np.repeat(np.arange(PEOPLE), PICTURES)
    return true + rng.standard_normal(true.shape) * np.geomspace(0.3, 3.0, SIZE) @ mix, true, person


def test_covariances_are_those_that_the_shapes_were_made_with() -> None:
    seen, true, person = shapes(0)
    spread = spread_of(seen, person)
    np.testing.assert_allclose(spread.within, np.cov((seen - true).T), atol=0.2)
    np.testing.assert_allclose(spread.between, np.cov(true.T) + spread.within / PICTURES, atol=0.5)


def ratio(embedded: np.ndarray, person: np.ndarray) -> float:
    """The SIR metric of two pictures each of the people, roughly."""
    first, second = (embedded[np.flatnonzero(np.diff(person, prepend=-1)) + n] for n in (0, 1))
    within = np.linalg.norm(first - second, axis=1).mean()
    return float(np.linalg.norm(first - np.roll(second, 1, axis=0), axis=1).mean() / within)


def test_people_that_were_not_asked_about_become_more_recognisable_and_as_different_as_before() -> None:
    """And without the gain shapes come nearer to the true ones."""
    seen, _, person = shapes(0)
    matrix = reliable(spread_of(seen, person), kept=0.0)
    new, true, person = shapes(1)
    found = (new - new.mean(0)) @ matrix + new.mean(0)
    assert ratio(found, person) > 1.5 * ratio(new, person)
    assert found.var(0).sum() == pytest.approx(new.var(0).sum(), rel=0.02)
    gain = np.linalg.norm(found - found.mean(0)) / np.linalg.norm(true - true.mean(0))
    nearer = (found - found.mean(0)) / gain + new.mean(0)
    assert np.linalg.norm(nearer - true) < 0.7 * np.linalg.norm(new - true)


def test_strength_is_how_much_is_given_up() -> None:
    seen, _, person = shapes(0)
    spread = spread_of(seen, person)
    np.testing.assert_array_equal(reliable(spread, 0.0), np.eye(SIZE))
    ratios = [ratio(seen @ reliable(spread, strength), person) for strength in (0.0, 0.5, 1.0, 3.0)]
    assert ratios == sorted(ratios)
    ratios = [ratio(seen @ reliable(spread, 1.0, kept), person) for kept in (1.0, 0.6, 0.3, 0.0)]
    assert ratios == sorted(ratios)
    np.testing.assert_allclose(reliable(spread, 1.0, kept=1.0), np.eye(SIZE))


@pytest.mark.parametrize("person", [[0, 0, 1, 2], [0, 1, 2, 3], []])
def test_two_people_with_two_pictures_are_the_least(person: list[int]) -> None:
    with pytest.raises(ValueError, match="two people with two pictures each"):
        spread_of(np.zeros((len(person), 3)), np.array(person))


@pytest.mark.parametrize("space", ["gaussian", "sphere"])
def test_the_head_says_what_the_filter_makes_of_codes(small_model: FaceModel, space: str) -> None:
    model = small_model.lifted() if space == "sphere" else small_model
    network = Regressor(NetSettings.for_model(model, shrink=4)).eval()
    rng, size = np.random.default_rng(0), len(model.identity_basis)
    features = torch.tensor(rng.standard_normal((40, network.settings.hidden)).astype(np.float32))
    head = network.heads["identity"]
    person, factor = np.arange(40) // 4, model.metric.factor
    before = head(features).detach().double().numpy()
    rely(network, before, person, factor, 1.0)
    codes = network.space.project(before)
    filtered = reliable(spread_of(codes @ factor, person))
    mean = codes.mean(0)
    # On the sphere the mean length of the head's vectors stands for each one's.
    length = np.linalg.norm(before, axis=1).mean() / np.sqrt(size) if space == "sphere" else 1.0
    found = head(features).detach().numpy()
    expected = mean @ factor + (before / length - mean) @ factor @ filtered
    np.testing.assert_allclose(found @ factor, expected, atol=1e-3 * np.abs(expected).max())


@pytest.fixture
def sources(small_model: FaceModel, tmp_path: Path) -> Sources:
    """Eight frames of three people, six photos of two."""
    frames, photos = write_frames(tmp_path / "frames.tar"), write_photos(tmp_path / "photos.tar")
    return Sources(small_model.lifted(), read_frames(frames), photos=read_photos(photos))


def test_codes_are_asked_of_frames_and_of_photos_with_landmarks(sources: Sources) -> None:
    maker = SampleMaker(sources, AugmentSettings())
    network = Regressor(NetSettings.for_model(sources.model, shrink=4)).eval()
    vectors, person = codes_of_people(network, maker)
    assert len(vectors) == len(person) == 8
    assert sources.frames is not None
    points = sources.frames.landmarks[:4]
    maker.pseudo = PseudoLabels(np.array([0, 1, 2, 5]), points)
    vectors, person = codes_of_people(network, maker)
    kept = np.bincount(sources.photos.person[[0, 1, 2, 5]])  # type: ignore[union-attr]
    assert len(vectors) == 8 + kept[kept > 1].sum()
    mirrored = SampleMaker(sources, AugmentSettings(), maker.pseudo)
    mirrored.upright = flipped(maker.upright)  # type: ignore[method-assign]
    np.testing.assert_allclose(codes_of_people(network, mirrored)[0], vectors, atol=1e-5)


def flipped(upright: Callable[[bool, int], np.ndarray]) -> Callable[[bool, int], np.ndarray]:
    """Mirror images of what a function gives."""
    return lambda *of: np.ascontiguousarray(upright(*of)[:, ::-1])


def test_at_the_end_of_a_training_once(sources: Sources, tmp_path: Path) -> None:
    plain = settings(tmp_path / "plain", objective=recipe("sir").objective())
    run = replace(plain, out=tmp_path / "run", reliability=1.0)
    notes: list[str] = []
    train_photos(plain, sources)
    train_photos(run, sources, report=lambda progress: notes.append(progress.note))
    assert sum("can be relied on" in note for note in notes) == 1
    before, after = (read_checkpoint(folder / CHECKPOINT) for folder in (plain.out, run.out))
    name = "heads.identity.weight"
    assert torch.equal(before["network"][name], after["network"][name])  # what goes on learning is not touched
    assert not torch.allclose(before["average"][name], after["average"][name])
    for other in ("heads.rotation.weight", "heads.expression.bias"):
        assert torch.equal(before["average"][other], after["average"][other])
    train_photos(replace(run, resume=True), sources)
    assert torch.equal(read_checkpoint(run.out / CHECKPOINT)["average"][name], after["average"][name])


def test_people_with_one_picture_leave_codes_as_they_are(sources: Sources, tmp_path: Path) -> None:
    frames = sources.frames
    assert frames is not None
    alone = replace(sources, frames=replace(frames, person=np.arange(8)), photos=None)
    notes: list[str] = []
    plain = settings(tmp_path / "plain", objective=recipe("tikhonov").objective())
    train_photos(plain, alone)
    run = replace(plain, out=tmp_path / "run", reliability=1.0)
    train_photos(run, alone, report=lambda progress: notes.append(progress.note))
    assert any("codes left as they are: expected two people" in note for note in notes)
    weights = [read_checkpoint(one.out / CHECKPOINT)["average"]["heads.identity.weight"] for one in (plain, run)]
    assert torch.equal(*weights)

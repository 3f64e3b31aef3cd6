"""Photos of a person whose errors are partly shared: laws of the posterior mean, and that they can be learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from likeness import FaceModel, FileError
from likeness.assets import FOLDER
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.reconstruct.agreement import Agreement
from likeness.reconstruct.shared_errors import SharedErrors, circumstances, default_errors
from likeness.train.photos.shared_errors import PersonLooks, learn_shared_errors, split

SIZE = 4


def covariance(size: int, scale: float, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).standard_normal((size, 2 * size))
    return scale * root @ root.T / (2 * size)


@pytest.fixture(scope="module")
def errors() -> SharedErrors:
    rng = np.random.default_rng(0)
    plain = np.concatenate([0.6 * np.eye(SIZE), 0.8 * np.eye(SIZE)], 1)
    maps = np.zeros((2, SIZE + 1, 2 * SIZE))
    maps[0, :-1] = plain + 0.1 * rng.standard_normal(plain.shape)
    maps[1] = 0.05 * rng.standard_normal(maps[1].shape)
    maps[0, -1] = 0.2 * rng.standard_normal(2 * SIZE)
    spread = np.array([2.0, 1.5, 1.0, 0.7])
    return SharedErrors("made", maps, covariance(2 * SIZE, 0.15, 1), covariance(2 * SIZE, 0.8, 2), spread)


def drawn(errors: SharedErrors, people: int, photos: int, seed: int) -> tuple[np.ndarray, ...]:
    """Truth (people, M), seen codes (people, photos, 2 M), circumstances and precision of the photos."""
    rng = np.random.default_rng(seed)
    truth = errors.spread * rng.standard_normal((people, SIZE))
    turned = np.stack([np.ones((people, photos)), rng.uniform(-0.5, 2.0, (people, photos))], -1)
    precision = rng.uniform(0.4, 2.0, (people, photos))
    maps = np.einsum("pnq,qmz->pnmz", turned, errors.maps)
    seen = np.einsum("pm,pnmz->pnz", truth, maps[:, :, :-1]) + maps[:, :, -1]
    seen += (rng.standard_normal((people, 2 * SIZE)) @ np.linalg.cholesky(errors.shared).T)[:, None]
    own = rng.standard_normal((people, photos, 2 * SIZE)) @ np.linalg.cholesky(errors.own).T
    return truth, seen + own / np.sqrt(precision)[..., None], turned, precision


def test_it_is_the_mean_of_the_joint_gaussian(errors: SharedErrors) -> None:
    _, (seen,), (turned,), (precision,) = drawn(errors, 1, 3, 3)
    maps = np.tensordot(turned, errors.maps, 1)
    away = (seen - maps[:, -1]).ravel()
    of_truth = np.concatenate([one[:-1].T for one in maps])
    spread = of_truth * errors.spread**2 @ of_truth.T
    spread += np.kron(np.ones((3, 3)), errors.shared) + np.kron(np.diag(1 / precision), errors.own)
    expected = errors.spread**2 * (of_truth.T @ np.linalg.solve(spread, away))
    np.testing.assert_allclose(errors.posterior_mean(seen, turned, precision), expected, atol=1e-9)


def test_a_photo_given_twice_with_half_the_precision_is_one(errors: SharedErrors) -> None:
    _, (seen,), (turned,), (precision,) = drawn(errors, 1, 4, 4)
    rows, halved = [0, 1, 2, 3, 1], precision.copy()
    halved[1] /= 2
    twice = errors.posterior_mean(seen[rows], turned[rows], halved[rows])
    np.testing.assert_allclose(twice, errors.posterior_mean(seen, turned, precision), atol=1e-9)


def test_more_photos_are_nearer_and_no_multiple_of_the_mean_is(errors: SharedErrors) -> None:
    """The slope of truth on the mean is one for any number of photos: it grows longer as it grows surer."""
    truth, seen, turned, precision = drawn(errors, 1500, 16, 5)
    missed, length = [], []
    for count in (1, 2, 4, 8, 16):
        found = np.stack(
            [
                errors.posterior_mean(*one)
                for one in zip(seen[:, :count], turned[:, :count], precision[:, :count], strict=True)
            ]
        )
        assert (truth * found).sum() / (found**2).sum() == pytest.approx(1.0, abs=0.03)
        missed.append(((truth - found) ** 2).sum())
        length.append((found**2).sum())
    assert (np.diff(missed) < 0).all()
    assert (np.diff(length) > 0).all()


def test_errors_split_into_those_shared_and_each_photos_own() -> None:
    rng, person = np.random.default_rng(6), np.repeat(np.arange(3000), 4)
    own, shared = covariance(3, 0.5, 7), covariance(3, 0.3, 8)
    precision = rng.uniform(0.5, 2.0, len(person))
    rest = (rng.standard_normal((3000, 3)) @ np.linalg.cholesky(shared).T)[person]
    rest += rng.standard_normal(rest.shape) @ np.linalg.cholesky(own).T / np.sqrt(precision)[:, None]
    found = split(rest, person, precision)
    np.testing.assert_allclose(found[0], own, atol=0.03)
    np.testing.assert_allclose(found[1], shared, atol=0.03)


def test_learned_errors_fuse_better_than_the_mean_of_codes(small_model: FaceModel) -> None:
    """Codes that shrink and err alike, of people who are known: learned on some, other people are nearer."""
    agreement, rng = Agreement.of(small_model), np.random.default_rng(9)
    width = len(agreement.axes)

    def looks(people: int, photos: int) -> PersonLooks:
        truth, person = rng.standard_normal((people, width)), np.repeat(np.arange(people), photos)
        shared = 0.3 * rng.standard_normal((people, width))
        fitted, code = (
            (factor * (truth + shared)[person]) + noise * rng.standard_normal((len(person), width))
            for factor, noise in ((0.4, 0.3), (0.5, 0.4))
        )
        turned = np.stack([np.ones(len(person)), rng.uniform(-0.5, 1.0, len(person))], 1)
        return PersonLooks(fitted, code, turned, np.ones(len(person)), person, truth[person])

    few, photos = looks(20, 6), looks(200, 6)
    learned = [
        learn_shared_errors("made", small_model, *known)
        for known in ((few, photos), (few, photos, looks(3000, 1)), (looks(300, 6), photos))
    ]
    new, size = looks(60, 8), len(learned[0].spread)
    assert new.truth is not None
    directions = agreement.axes[:, :size] * learned[0].spread
    seen, truth = new.seen(directions), new.truth @ directions
    mean = seen[:, size:].reshape(60, 8, -1).mean(1)
    missed = [float(((mean - truth[::8]) ** 2).sum())]
    for errors in learned:
        found = [errors.posterior_mean(seen[new.person == p], new.circumstances[:8], np.ones(8)) for p in range(60)]
        missed.append(float(((np.stack(found) - truth[::8]) ** 2).sum()))
    before, of_few, with_strangers, of_many = missed
    assert of_many < 0.8 * before
    assert with_strangers < of_few  # thousands of strangers tell how codes shrink, of whom there is one photo each


def test_circumstances_do_not_tell_left_from_right() -> None:
    turned = np.stack([FRONTAL @ rotation_from_euler(yaw, 0.1, 0.0) for yaw in (0.0, 0.4, -0.4, 2.0)])
    found = circumstances(turned)
    np.testing.assert_allclose(found[:, 0], 1.0)
    assert found[1, 1] == pytest.approx(found[2, 1])
    assert found[0, 1] == pytest.approx(-0.5)
    assert found[3, 1] == pytest.approx(3.5)


def test_a_file_says_what_was_saved(errors: SharedErrors, tmp_path: Path) -> None:
    errors.save(tmp_path / "errors.npz")
    read = SharedErrors.load(tmp_path / "errors.npz")
    assert read.network == "made"
    np.testing.assert_allclose(read.maps, errors.maps, rtol=1e-6)
    np.savez(tmp_path / "other.npz", network=np.array("made"))
    with pytest.raises(FileError, match="maps is missing"):
        SharedErrors.load(tmp_path / "other.npz")
    arrays = {"maps": np.zeros((1, 3, 4)), "shared": np.eye(4), "own": np.eye(4), "spread": np.ones(3)}
    np.savez(tmp_path / "sizes.npz", network=np.array("made"), **arrays)
    with pytest.raises(FileError, match="expected arrays"):
        SharedErrors.load(tmp_path / "sizes.npz")


def test_the_embedded_ones_are_of_the_embedded_network() -> None:
    provenance = json.loads((FOLDER / "provenance.json").read_text())
    assert default_errors().network == provenance["sha256"]["regressor.onnx"], (
        "the network is new: run runs/several_photos.py on it"
    )

"""Codes whitened by how one person's photos scatter: laws on made codes; the embedded one belongs to its network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from likeness import FileError
from likeness.assets import FOLDER, asset
from likeness.reconstruct.agreement import PLAIN, resemblance
from likeness.reconstruct.result import Cues
from likeness.reconstruct.two_covariances import FLOOR, TwoCovariances, directions
from likeness.reconstruct.whitening import Whitening, compared, default_whitening, evidence_from, whitener

SIZE = 12


def scatter() -> np.ndarray:
    """Of photos within people: ten times as far in the first four directions as in the others."""
    turn, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((SIZE, SIZE)))
    return (turn * np.where(np.arange(SIZE) < 4, 10.0, 1.0)) @ turn.T


def crowd(people: int, photos: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, SIZE) and whose they are (N,)."""
    rng, person = np.random.default_rng(seed), np.repeat(np.arange(people), photos)
    own = 2.0 * rng.standard_normal((people, SIZE))
    return own[person] + 0.7 * rng.standard_normal((len(person), SIZE)) @ scatter(), person


def separation(alike: np.ndarray, person: np.ndarray) -> float:
    """The chance that a pair of one person resembles each other more than a pair of two (AUC)."""
    upper = np.triu_indices(len(person), 1)
    same = (person[:, None] == person[None])[upper]
    values = alike[upper]
    return float((values[same][:, None] > values[~same][None]).mean())


def test_whitened_codes_scatter_evenly_within_people() -> None:
    codes, person = crowd(200, 6, 0)
    white = codes @ whitener(codes, person, 0.0)
    rest = white - white.reshape(200, 6, SIZE).mean(1)[person]
    np.testing.assert_allclose(rest.T @ rest / (len(rest) - 200), np.eye(SIZE), atol=1e-9)
    even = whitener(codes, person, 1.0)
    np.testing.assert_allclose(even, even[0, 0] * np.eye(SIZE), atol=1e-12)


def test_whitened_codes_do_not_depend_on_their_basis() -> None:
    codes, person = crowd(30, 4, 1)
    turn, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((SIZE, SIZE)))
    one, other = (resemblance(kind @ whitener(kind, person)) for kind in (codes, codes @ turn))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_it_tells_new_people_better_apart_than_plain_cosines() -> None:
    identity, person = crowd(120, 8, 3)
    features = identity + 0.1 * np.random.default_rng(4).standard_normal(identity.shape)
    learned = Whitening.learned("made", identity, features, person)
    new, who = crowd(40, 4, 7)
    plain, white = separation(resemblance(new), who), separation(learned.resemblance(new, new), who)
    assert white > plain + 0.05, (plain, white)
    assert learned.evidence(learned.evidence.same, 1.0) > 0 > learned.evidence(learned.evidence.other, 1.0)


def test_what_resemblance_is_worth_is_read_off_photos() -> None:
    """Resemblance of a photo to others of one person varies by what lasts of the photo and what passes."""
    rng, person = np.random.default_rng(8), np.repeat(np.arange(60), 10)
    lasting = 0.1 * rng.standard_normal((len(person), 1))
    alike = np.where(person[:, None] == person[None], 0.6, 0.1) + lasting + 0.2 * rng.standard_normal((600, 600))
    found = evidence_from(alike, person)
    assert found.same == pytest.approx(0.6, abs=0.03)
    assert found.other == pytest.approx(0.1, abs=0.03)
    assert found.lasting == pytest.approx(0.01, rel=0.25)
    assert found.passing == pytest.approx(0.04, rel=0.15)


def test_codes_that_cannot_be_learned_from_are_refused() -> None:
    codes, person = crowd(5, 1, 0)
    with pytest.raises(ValueError, match="several photos"):
        whitener(codes, person)
    with pytest.raises(ValueError, match="8 photos"):
        evidence_from(np.zeros((6, 6)), np.repeat([0, 1], 3))


@pytest.mark.parametrize("with_people", [False, True])
def test_a_file_says_what_was_saved(with_people: bool, tmp_path: Path) -> None:
    identity, person = crowd(40, 8, 9)
    learned = Whitening.learned("made", identity, identity, person)
    if with_people:
        learned = learned.with_people(identity, identity, person)
    learned.save(tmp_path / "whitening.npz")
    read = Whitening.load(tmp_path / "whitening.npz")
    assert (read.network, read.evidence) == (learned.network, learned.evidence)
    np.testing.assert_allclose(read.identity, learned.identity, rtol=2e-3, atol=1e-4)
    (alike, worth), (expected, known) = (one.ratios(identity[:20], identity[:20]) for one in (read, learned))
    assert worth == known
    np.testing.assert_allclose(alike, expected, atol=2e-3 * np.abs(expected).max())


def test_ratios_of_likelihoods_are_those_of_the_two_gaussians() -> None:
    """Against the densities of pairs, written out; only what is far below FLOOR is told apart no more."""
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(11)
    mean, axes, spread = rng.standard_normal(4), rng.standard_normal((4, 3)), np.array([3.0, 1.0, 0.2])
    codes = rng.standard_normal((6, 4))
    ratios = TwoCovariances(mean, axes, spread).ratios(codes)
    placed = (codes / np.linalg.norm(codes, axis=1, keepdims=True) - mean) @ axes
    alone, zero = np.diag(spread + 1), np.zeros(6)
    both = np.block([[alone, np.diag(spread)], [np.diag(spread), alone]])
    for i, j in np.ndindex(6, 6):
        pair = np.concatenate([placed[i], placed[j]])
        one = stats.multivariate_normal(zero, both).logpdf(pair)
        two = sum(stats.multivariate_normal(zero[:3], alone).logpdf(placed[k]) for k in (i, j))
        assert ratios[i, j] == pytest.approx(np.logaddexp(one - two, -FLOOR), abs=1e-9)
    assert ratios.min() >= -FLOOR


def test_two_covariances_are_found_again_and_tell_people_better_apart_than_cosines() -> None:
    """People differ in few directions here and photos scatter in others: cosines count both."""
    rng, count = np.random.default_rng(12), 300
    far, near = np.where(np.arange(SIZE) < 3, 2.0, 0.1), np.full(SIZE, 0.5)
    center = np.concatenate([np.zeros(3), np.full(SIZE - 3, 1.5)])  # what all have in common

    def drawn(people: int, photos: int) -> tuple[np.ndarray, np.ndarray]:
        person = np.repeat(np.arange(people), photos)
        own = center + far * rng.standard_normal((people, SIZE))
        return own[person] + near * rng.standard_normal((len(person), SIZE)), person

    codes, person = drawn(count, 8)
    learned = Whitening.learned("made", codes, codes, person).with_people(codes, codes, person)
    assert learned.people is not None
    placed = (directions(codes @ learned.identity, codes @ learned.features) - learned.people.mean) @ (
        learned.people.axes
    )
    means = placed.reshape(count, 8, -1).mean(1)
    within = ((placed - means[person]) ** 2).sum(0) / (len(placed) - count)
    np.testing.assert_allclose(within, 1.0, atol=0.2)  # an even scatter is mixed in
    np.testing.assert_allclose(means.var(0) - within / 8, learned.people.spread, rtol=0.2, atol=0.05)
    new, who = drawn(40, 4)
    ratios, evidence = learned.ratios(new, new)
    cosines = learned.resemblance(new, new)
    assert separation(ratios, who) > separation(cosines, who) + 0.01
    assert evidence(evidence.same, 1.0) > 0 > evidence(evidence.other, 1.0)


def test_covariances_that_do_not_belong_together_are_refused() -> None:
    codes, person = crowd(5, 1, 0)
    with pytest.raises(ValueError, match="several photos"):
        TwoCovariances.learned(person, codes)
    with pytest.raises(ValueError, match="expected a mean"):
        TwoCovariances(np.zeros(3), np.zeros((4, 2)), np.ones(2))
    with pytest.raises(ValueError, match="positive"):
        TwoCovariances(np.zeros(4), np.zeros((4, 2)), np.array([1.0, 0.0]))
    people = TwoCovariances(np.zeros(4), np.zeros((4, 2)), np.ones(2))
    with pytest.raises(ValueError, match="two codes of 3"):
        Whitening("made", np.eye(3), np.eye(3), PLAIN, people)


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", network=np.array("made"))
    with pytest.raises(FileError, match="whitening of codes"):
        Whitening.load(tmp_path / "other.npz")
    size = {"identity": np.eye(3), "features": np.eye(4), "evidence": np.zeros(4), "network": np.array("made")}
    np.savez(tmp_path / "sizes.npz", **size)
    with pytest.raises(FileError, match="two matrices"):
        Whitening.load(tmp_path / "sizes.npz")


def test_only_codes_of_its_network_are_whitened() -> None:
    whitening, rng = default_whitening(), np.random.default_rng(1)
    codes = rng.standard_normal((3, len(whitening.identity)))

    def cues(*networks: str) -> list[Cues | None]:
        return [Cues(code, code, np.zeros(1), 1.0, network) for code, network in zip(codes, networks, strict=True)]

    alike, evidence = compared(codes, cues(*[whitening.network] * 3))
    expected, worth = whitening.ratios(codes, codes)
    assert evidence == worth
    np.testing.assert_allclose(alike, expected)
    for others in (cues("", "", ""), cues(whitening.network, whitening.network, "another"), [None, None, None]):
        alike, evidence = compared(codes, others)
        assert evidence is PLAIN
        np.testing.assert_allclose(alike, resemblance(codes, codes))


def test_the_embedded_one_is_of_the_embedded_network() -> None:
    provenance = json.loads((FOLDER / "provenance.json").read_text())
    assert default_whitening().network == provenance["sha256"]["regressor.onnx"], (
        "the network is new: run runs/several_photos.py on it"
    )
    assert asset("whitening.npz").stat().st_size < 130_000

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


def test_a_file_says_what_was_saved(tmp_path: Path) -> None:
    identity, person = crowd(40, 8, 9)
    learned = Whitening.learned("made", identity, identity, person)
    learned.save(tmp_path / "whitening.npz")
    read = Whitening.load(tmp_path / "whitening.npz")
    assert (read.network, read.evidence) == (learned.network, learned.evidence)
    np.testing.assert_allclose(read.identity, learned.identity, rtol=2e-3, atol=1e-4)


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
    assert evidence == whitening.evidence
    np.testing.assert_allclose(alike, whitening.resemblance(codes, codes))
    for others in (cues("", "", ""), cues(whitening.network, whitening.network, "another"), [None, None, None]):
        alike, evidence = compared(codes, others)
        assert evidence is PLAIN
        np.testing.assert_allclose(alike, resemblance(codes, codes))


def test_the_embedded_one_is_of_the_embedded_network() -> None:
    provenance = json.loads((FOLDER / "provenance.json").read_text())
    assert default_whitening().network == provenance["sha256"]["regressor.onnx"], (
        "the network is new: run runs/several_photos.py on it"
    )
    assert asset("whitening.npz").stat().st_size < 100_000

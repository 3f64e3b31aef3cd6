"""What tells people apart in their codes, and what changes from photo to photo of one person.

Codes of one person's photos scatter more in some directions than in others: with the light, the turn of the head,
the camera. Whitened by that scatter (within-class covariance normalisation, Hatch et al. 2006, known from speaker
verification) every direction counts as much as it can be relied on, and the cosine of two codes tells people better
apart. The scatter belongs to a network: it is measured on training people (``runs/several_photos.py``) and used with
that network alone; with another one, plain cosines are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from likeness.assets import asset
from likeness.errors import StrPath
from likeness.files import npz_bytes, write_atomically
from likeness.readers import reading_npz
from likeness.reconstruct.agreement import PLAIN, Evidence, resemblance
from likeness.reconstruct.two_covariances import TwoCovariances

if TYPE_CHECKING:
    from likeness.reconstruct.result import Cues

SHRINK = 0.15
"""The share of an even scatter in the one that is taken: few photos do not tell the directions of least scatter."""

OTHERS = 12
"""Other people with whom each photo is compared to learn what resemblance is worth."""

LARGEST = 10_000_000
"""Bytes of one array of a file; more than any needs."""

FIGURES = ("same", "other", "lasting", "passing")
ODDS = {"belongs": 2.0, "grouped": -3.0, "crowded": 0.5, "unsure": 2.0}
"""Of the evidence of :attr:`Whitening.people`: what sorted validation people, and training people that were not
learned from, best (docs/people.md)."""


@dataclass(frozen=True, eq=False)
class Whitening:
    """How the codes of one network are compared.

    Args:
        network: sha256 of its file.
        identity: (K, K) symmetric; ``code @ identity`` scatters evenly within people, for the codes of heads.
        features: (K, K) the same for the codes that features alone say.
        evidence: what resemblance of such codes is worth.
        people: what tells photos better apart than cosines do, where there were enough people to learn it from.
        people_evidence: what the mean of its ratios is worth: less than they say, since photos of a person that were
            taken at other times differ in what is no noise.

    Raises:
        ValueError: matrices that are not square, or not of one size; or ``people`` of other codes.
    """

    network: str
    identity: np.ndarray
    features: np.ndarray
    evidence: Evidence
    people: TwoCovariances | None = None
    people_evidence: Evidence = PLAIN

    def __post_init__(self) -> None:
        size = len(self.identity)
        if self.identity.shape != (size, size) or self.features.shape != (size, size):
            raise ValueError(f"expected two matrices (K, K), got {self.identity.shape} and {self.features.shape}")
        if self.people is not None and len(self.people.mean) != 2 * size:
            raise ValueError(f"expected people of two codes of {size}, got {len(self.people.mean)}")

    @classmethod
    def learned(cls, network: str, identity: np.ndarray, features: np.ndarray, person: np.ndarray) -> Whitening:
        """From photos of training people.

        What resemblance is worth is measured on people whose scatter was not learned from: on each half of them with
        the other half's.

        Args:
            network: sha256 of the file whose codes these are.
            identity, features: (N, K) codes.
            person: (N,) whose; half of them with 8 photos at least.
        """

        def of_others(learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
            return resemblance(
                *(kind[asked] @ whitener(kind[learned], person[learned]) for kind in (identity, features))
            )

        evidence = evidence_from(_of_halves(person, of_others), person)
        return cls(network, whitener(identity, person), whitener(features, person), evidence)

    def with_people(self, identity: np.ndarray, features: np.ndarray, person: np.ndarray) -> Whitening:
        """The same with :attr:`people`, learned from codes of as many people as there are; arguments as of
        :meth:`learned`."""
        codes = (identity @ self.identity, features @ self.features)

        def of_others(learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
            known = TwoCovariances.learned(person[learned], *(kind[learned] for kind in codes))
            return known.ratios(*(kind[asked] for kind in codes))

        evidence = replace(evidence_from(_of_halves(person, of_others), person), **ODDS)
        return replace(self, people=TwoCovariances.learned(person, *codes), people_evidence=evidence)

    def resemblance(self, identity: np.ndarray, features: np.ndarray) -> np.ndarray:
        """(N, N) from -1 to 1, of codes (N, K)."""
        return resemblance(identity @ self.identity, features @ self.features)

    def ratios(self, identity: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, Evidence]:
        """(N, N) how much photos with codes (N, K) resemble each other, and what that is worth: logarithms of
        likelihood ratios where :attr:`people` are known, cosines elsewhere."""
        if self.people is None:
            return self.resemblance(identity, features), self.evidence
        return self.people.ratios(identity @ self.identity, features @ self.features), self.people_evidence

    def save(self, path: StrPath) -> None:
        """Write an ``.npz``; raises FileError."""
        arrays = {
            "network": np.array(self.network),
            "identity": self.identity.astype(np.float16),
            "features": self.features.astype(np.float16),
            "evidence": _figures(self.evidence),
        }
        if self.people is not None:
            arrays |= {
                "people_mean": self.people.mean.astype(np.float32),
                "people_axes": self.people.axes.astype(np.float16),
                "people_spread": self.people.spread.astype(np.float32),
                "people_evidence": _figures(self.people_evidence),
            }
        write_atomically(path, npz_bytes(arrays))

    @classmethod
    def load(cls, path: StrPath) -> Whitening:
        """Read what :meth:`save` wrote.

        Raises:
            FileError: missing, damaged, or something else.
        """
        with reading_npz(path, "a whitening of codes", LARGEST) as arrays:
            identity, features = (arrays[name].astype(np.float64) for name in ("identity", "features"))
            evidence = _evidence(arrays["evidence"])
            found = cls(str(arrays["network"]), identity, features, evidence)
            if "people_axes" not in arrays:
                return found
            people = TwoCovariances(
                *(arrays[f"people_{name}"].astype(np.float64) for name in ("mean", "axes", "spread"))
            )
            evidence = replace(_evidence(arrays["people_evidence"]), **ODDS)
            return replace(found, people=people, people_evidence=evidence)


def _figures(evidence: Evidence) -> np.ndarray:
    return np.array([getattr(evidence, name) for name in FIGURES])


def _evidence(values: np.ndarray) -> Evidence:
    return Evidence(**dict(zip(FIGURES, values.tolist(), strict=True)))


def _of_halves(person: np.ndarray, ask: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """(N, N) what photos of each half of the people say of each other, when asked with what was learned from the
    other half's; NaN between the halves."""
    half = person % 2 == 0
    alike = np.full((len(person),) * 2, np.nan, np.float32)
    for learned, asked in ((half, ~half), (~half, half)):
        rows = np.flatnonzero(asked)
        alike[np.ix_(rows, rows)] = ask(learned, asked)
    return alike


def whitener(codes: np.ndarray, person: np.ndarray, shrink: float = SHRINK) -> np.ndarray:
    """The symmetric matrix (K, K) that makes the scatter of codes (N, K) within people (N,) even, and its mean
    variance 1; ``shrink`` of an even scatter is mixed in.

    Raises:
        ValueError: nobody has two photos.
    """
    _, member, count = np.unique(person, return_inverse=True, return_counts=True)
    if len(codes) == len(count):
        raise ValueError("expected several photos of some person, got one of each")
    means = np.zeros((len(count), codes.shape[1]))
    np.add.at(means, member, codes)
    rest = codes - (means / count[:, None])[member]
    scatter = rest.T @ rest / (len(codes) - len(count))
    values, vectors = np.linalg.eigh(scatter)
    even = (1 - shrink) * np.maximum(values, 0.0) + shrink * values.mean()
    return np.asarray((vectors / np.sqrt(even)) @ vectors.T)


def evidence_from(alike: np.ndarray, person: np.ndarray, seed: int = 0) -> Evidence:
    """What resemblance is worth, of (N, N) of photos of known people (N,); NaN: not to be asked.

    Raises:
        ValueError: nobody has 8 photos.
    """
    rng, people = np.random.default_rng(seed), np.unique(person)
    rows = {one: np.flatnonzero(person == one) for one in people}
    found: dict[int, tuple[list[float], list[float]]] = {1: ([], []), 7: ([], [])}
    for row, own in enumerate(person):
        asked = [own, *rng.choice(people, min(OTHERS, len(people)), replace=False)]
        for number, one in enumerate(asked):
            if number and one == own:
                continue
            others = rows[one][rows[one] != row]
            others = others[np.isfinite(alike[row, others])]
            for count, (same, other) in found.items():
                if len(others) >= count:
                    mean = float(alike[row, rng.choice(others, count, replace=False)].mean())
                    (other if number else same).append(mean)
    if not all(found[7]):
        raise ValueError("expected people with 8 photos each")
    one, seven = (float(np.var(found[count][0]) + np.var(found[count][1])) / 2 for count in (1, 7))
    passing = max((one - seven) * 7 / 6, 0.0)
    return Evidence(float(np.mean(found[1][0])), float(np.mean(found[1][1])), one - passing, passing)


@lru_cache(maxsize=1)
def default_whitening() -> Whitening:
    """The embedded one, loaded once.

    Raises:
        FileError: the embedded file is missing or damaged.
    """
    return Whitening.load(asset("whitening.npz"))


def compared(codes: np.ndarray, cues: Sequence[Cues | None]) -> tuple[np.ndarray, Evidence]:
    """How much N faces resemble each other, (N, N), and what that is worth as evidence.

    Args:
        codes: (N, K) of the faces.
        cues: what else is known of each.
    """
    features = np.stack([code if one is None else one.features for code, one in zip(codes, cues, strict=True)])
    networks, whitening = {"" if one is None else one.network for one in cues}, default_whitening()
    return (
        whitening.ratios(codes, features)
        if networks == {whitening.network}
        else (resemblance(codes, features), PLAIN)
    )


def compared_codes(network: str, identity: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, Evidence]:
    """By the cosines of codes (N, K) of one network, as means of many frames are compared.

    Args:
        network: sha256 of its file; empty: not known.
        identity, features: (N, K) what is known of the shape, and what the features say alone.
    """
    whitening = default_whitening()
    if network == whitening.network:
        return whitening.resemblance(identity, features), whitening.evidence
    return resemblance(identity, features), PLAIN

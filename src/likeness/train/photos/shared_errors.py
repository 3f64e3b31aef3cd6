"""How codes of a person's photos err, learned (:mod:`likeness.reconstruct.shared_errors`).

Of rendered people the truth is known: the maps G and b are the ridge regression of the codes on it, drawn towards
one factor for each band of directions, and what is left of them splits into a part that all photos of a person share
and one of each photo's own (analysis of variance). Of photographs the truth is not known. Their own errors are how a
training person's codes differ from photo to photo; what those of different people differ by beyond that is G C G' + S
if heads are read off photographs as off renderings, so that S is what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.model.face_model import FaceModel
from likeness.model.mirroring import mirrored_codes
from likeness.reconstruct.agreement import BANDS, Agreement
from likeness.reconstruct.shared_errors import SharedErrors

DIRECTIONS = 60
"""Axes of shape that are fused, largest in mm first; the others hold 1 % of how people differ."""

RIDGE = 60.0
"""In people: how strongly maps are drawn towards their factors."""

EVEN = 0.5
"""The share of a shared covariance off its diagonal that is not believed: people are few."""


@dataclass(frozen=True, eq=False)
class PersonLooks:
    """What was seen in several photos each of some people.

    Args:
        fitted, code: (N, K) codes, see :class:`likeness.reconstruct.result.Cues` and of the heads.
        circumstances: (N, Q).
        precision: (N,) as errors go by them.
        person: (N,) whose, from 0 without gaps.
        truth: (N, K) the people's codes; None: not known.
    """

    fitted: np.ndarray
    code: np.ndarray
    circumstances: np.ndarray
    precision: np.ndarray
    person: np.ndarray
    truth: np.ndarray | None = None

    def with_mirrored(self, mirror: np.ndarray | None) -> PersonLooks:
        """With the mirror images of all photos, as other people's; ``mirror`` (K, K), see
        :func:`likeness.model.mirroring.mirrored_codes`."""
        if mirror is None:
            return self
        return PersonLooks(
            np.concatenate([self.fitted, self.fitted @ mirror]),
            np.concatenate([self.code, self.code @ mirror]),
            np.concatenate([self.circumstances] * 2),
            np.concatenate([self.precision] * 2),
            np.concatenate([self.person, self.person + self.person.max() + 1]),
            None if self.truth is None else np.concatenate([self.truth, self.truth @ mirror]),
        )

    def seen(self, directions: np.ndarray) -> np.ndarray:
        """(N, 2 M) mm, of directions (K, M)."""
        return np.concatenate([self.fitted @ directions, self.code @ directions], 1)


def learn_shared_errors(
    network: str, model: FaceModel, rendered: PersonLooks, photos: PersonLooks, strangers: PersonLooks | None = None
) -> SharedErrors:
    """Errors of a network's codes.

    Args:
        network: sha256 of its file.
        model: of the codes.
        rendered: several of each person, with the truth.
        photos: of training people.
        strangers: rendered people with the truth of whom there may be one picture each: what codes shrink to is
            learned from these, if there are any. It takes thousands of people to tell.

    Raises:
        ValueError: rendered people without a truth.
    """
    strangers = rendered if strangers is None else strangers
    if rendered.truth is None or strangers.truth is None:
        raise ValueError("expected the codes of rendered people")
    agreement, mirror = Agreement.of(model), mirrored_codes(model)
    size = min(DIRECTIONS, len(agreement.axes))
    spread = agreement.millimetres[:size]
    directions = agreement.axes[:, :size] * spread
    rendered, photos = rendered.with_mirrored(mirror), photos.with_mirrored(mirror)
    strangers = strangers.with_mirrored(mirror)
    assert rendered.truth is not None
    assert strangers.truth is not None
    maps = _maps(strangers, strangers.truth @ directions, strangers.seen(directions), spread)
    known = np.concatenate([rendered.truth @ directions, np.ones((len(rendered.truth), 1))], 1)
    rest = rendered.seen(directions) - np.einsum("nq,nm,qmz->nz", rendered.circumstances, known, maps, optimize=True)
    own, between = split(rest, rendered.person, rendered.precision)
    shared = _positive((1 - EVEN) * between + EVEN * np.diag(np.diag(between)), 0.05 * np.diag(own))
    away = photos.seen(directions) - photos.circumstances @ maps[:, -1]
    own, between = split(away, photos.person, photos.precision)
    told = maps[0, :-1]
    left = between - (told.T * spread**2) @ told - shared
    return SharedErrors(network, maps, _positive(left) + shared, 0.9 * own + 0.1 * np.diag(np.diag(own)), spread)


def _maps(looks: PersonLooks, truth: np.ndarray, seen: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(Q, M + 1, 2 M) from truth (N, M) and seen codes (N, 2 M), mm."""
    size, count = len(spread), looks.circumstances.shape[1]
    weight = looks.precision.clip(max=1.0) / np.bincount(looks.person)[looks.person]
    unit = truth / spread
    inputs = (looks.circumstances[:, :, None] * np.concatenate([unit, np.ones((len(unit), 1))], 1)[:, None]).reshape(
        len(unit), -1
    )
    centre = np.zeros((count, size + 1, 2 * size))
    ends = np.ceil(np.array(BANDS) * len(looks.fitted[0]) / BANDS[-1]).astype(int).clip(max=size)
    for first, last in zip((0, *ends[:-1]), ends, strict=True):
        for kind in range(2 if last > first else 0):
            shown, true = seen[:, kind * size + first : kind * size + last], truth[:, first:last]
            factor = ((shown * true).T @ weight).sum() / (true**2).T.dot(weight).sum()
            rows = np.arange(first, last)
            centre[0, rows, kind * size + rows] = factor * spread[rows]
    flat = centre.reshape(-1, 2 * size)
    strength = np.full((count, size + 1), RIDGE)
    strength[1:] *= 4
    strength[:, -1] *= 1e-3
    matrix = (inputs * weight[:, None]).T @ inputs + np.diag(strength.reshape(-1))
    found = flat + np.linalg.solve(matrix, (inputs * weight[:, None]).T @ (seen - inputs @ flat))
    found = found.reshape(count, size + 1, 2 * size)
    found[:, :-1] /= spread[:, None]
    return np.asarray(found)


def split(rest: np.ndarray, person: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariances (Z, Z) of errors (N, Z) of people (N,): of a usual photo's own, and of what all photos of a person
    share, which need not be positive."""
    _, member = np.unique(person, return_inverse=True)
    people = member.max() + 1
    whole = np.bincount(member, precision)
    means = np.zeros((people, rest.shape[1]))
    np.add.at(means, member, precision[:, None] * rest)
    means /= whole[:, None]
    away = np.sqrt(precision)[:, None] * (rest - means[member])
    own = away.T @ away / max(len(rest) - people, 1)
    return own, means.T @ means / people - own * (1 / whole).mean()


def _positive(matrix: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """The nearest covariance without negative directions, with variances (Z,) of at least these."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    found = (vectors * np.maximum(values, 1e-4 * max(values[-1], 0.0))) @ vectors.T
    return np.asarray(found + np.diag(np.maximum(least - np.diag(found), 0.0)))

"""Mixed photos -> their people: faces are sorted, one head of each, and what is doubtful is said.

Faces are compared by their codes (:mod:`likeness.reconstruct.whitening`) and sorted by agglomeration
(:func:`likeness.reconstruct.grouping.groups`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.errors import Excluded
from likeness.model.face_model import FaceModel
from likeness.reconstruct.agreement import TEMPERED, Evidence, probability
from likeness.reconstruct.grouping import between, groups, halves, margins, with_groups
from likeness.reconstruct.people import Sightings, head_of
from likeness.reconstruct.person import Person
from likeness.reconstruct.refine import Refiner

SIMILAR = 0.25
"""The chance from which two people of a mixed folder are said to be one, perhaps."""

PARTS = np.array([-1.25, -0.46, 2.13])
"""Log odds that a group is of two people or more, two photos each at least: a constant, times the log odds of its two
most different parts (:func:`likeness.reconstruct.grouping.halves`), times the logarithm of how many faces the smaller
part has. A logistic regression on 1,882 groups of 90 training people (docs/people.md)."""


@dataclass(frozen=True, eq=False)
class Groups:
    """The people of a mixed set of photos.

    Args:
        people: with the most photos first.
        unsure: faces that may be one of two people's, or nobody's: ``item`` is the photo.
        left_out: photos that could not be read or show no face.
        chances: for each person's photos (N,), that the face is theirs rather than the next best's.
        similar: pairs of ``people``, by their places, that may be one person, with the chance of it, the likeliest
            first: :data:`SIMILAR` and more, and in no photo together.
        whole: for each of ``people``, the chance that all photos are of one person and not of two who are alike.
        rows: for each person's photos (N,), which of the faces that were sorted they are.
        unsure_rows: the same of ``unsure``.
    """

    people: tuple[Person, ...]
    unsure: tuple[Excluded, ...]
    left_out: tuple[Excluded, ...]
    chances: tuple[np.ndarray, ...] = ()
    similar: tuple[tuple[int, int, float], ...] = ()
    whole: tuple[float, ...] = ()
    rows: tuple[np.ndarray, ...] = ()
    unsure_rows: tuple[int, ...] = ()


def people_of(model: FaceModel, refiner: Refiner | None, seen: Sightings) -> Groups:
    """Everybody whom the photos show; arguments as of :func:`person_of`."""
    if not seen.faces:
        return Groups((), (), seen.left_out)
    photo, (alike, evidence) = seen.photo, seen.alike()
    number = groups(alike, photo, evidence=evidence)
    odds = margins(alike, photo, number, evidence)
    sure = odds >= evidence.unsure
    worth = with_groups(alike, photo, number, evidence)
    doubtful = tuple(np.flatnonzero(~sure).tolist())
    unsure = tuple(_unsure(seen, row, worth[row], alike, number) for row in doubtful)
    kept = [np.flatnonzero((number == one) & sure) for one in range(number.max() + 1)]
    kept = sorted((rows for rows in kept if len(rows)), key=lambda rows: (-len(rows), rows[0]))
    people = tuple(head_of(model, refiner, [seen.faces[row] for row in rows], ()) for rows in kept)
    chances = tuple(np.array([probability(odds[row] / TEMPERED) for row in rows]) for rows in kept)
    similar = _similar(kept, photo, alike, evidence)
    whole = tuple(chance_of_one(alike[np.ix_(rows, rows)], evidence) for rows in kept)
    return Groups(people, unsure, seen.left_out, chances, similar, whole, tuple(kept), doubtful)


def chance_of_one(alike: np.ndarray, evidence: Evidence) -> float:
    """The chance that N faces that were taken for one person's are not of two, with two photos each at least.

    Args:
        alike: (N, N) resemblance.
        evidence: what that is worth.
    """
    if len(alike) < 2:
        return 1.0
    odds, smaller = halves(alike, evidence)
    return probability(-float(PARTS @ [1.0, odds, np.log(smaller)]))


def _unsure(seen: Sightings, row: int, worth: np.ndarray, alike: np.ndarray, number: np.ndarray) -> Excluded:
    """A face of which it is not clear whose it is, and who it resembles most; ``worth`` (G,): its log odds with each
    group."""
    one = seen.faces[row]
    said = f"face {one.face.number}: not sure whose it is"
    if not np.isfinite(worth).any():
        return Excluded(one.label, said)
    others = np.flatnonzero((number == worth.argmax()) & (np.arange(len(number)) != row))
    best = seen.faces[others[alike[row, others].argmax()]].label
    chance = probability(float(worth.max()) / TEMPERED)
    return Excluded(
        one.label, f"{said}; most like the person in {best} (the chance that it is the same: {chance:.2f})"
    )


def _similar(
    kept: Sequence[np.ndarray], photo: np.ndarray, alike: np.ndarray, evidence: Evidence
) -> tuple[tuple[int, int, float], ...]:
    """The pairs of groups of faces that may be one person's."""
    number = np.full(len(photo), -1)
    for place, rows in enumerate(kept):
        number[rows] = place
    odds = between(alike, number, evidence)
    found = [
        (one, other, probability(float(odds[one, other]) / TEMPERED))
        for other in range(len(kept))
        for one in range(other)
        if not set(photo[kept[one]]) & set(photo[kept[other]])
    ]
    return tuple(sorted((pair for pair in found if pair[2] >= SIMILAR), key=lambda pair: -pair[2]))

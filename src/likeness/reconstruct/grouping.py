"""Which faces of several photos are one person's, from how much they resemble each other.

Average linkage: two groups' resemblance is the mean over all pairs of their faces. What it is worth as evidence
depends on how many these are (:class:`likeness.reconstruct.agreement.Evidence`). Two faces of one photo are
two people.
"""

from __future__ import annotations

import numpy as np

from likeness.reconstruct.agreement import PLAIN, Evidence

BELONGS = 1.1
"""Log odds that one more photo shows the person whom all are said to show, before it is looked at."""

GROUPED = -3.0
"""The same for two groups of a mixed folder: what sorted 60 people of a training set best (docs/people.md)."""

UNSURE = 1.1
"""Log odds of a face's group against the next best (or nobody's), under which it is no group's for certain."""

ROUNDS = 20


def groups(alike: np.ndarray, photo: np.ndarray, odds: float = GROUPED, evidence: Evidence = PLAIN) -> np.ndarray:
    """Sort faces into people, by agglomeration while the evidence for one person is the stronger.

    Args:
        alike: (M, M) resemblance.
        photo: (M,) which photo each face is in; or (M, M) bool, which faces are two people for certain.
        odds: log odds of one person before anything is compared.
        evidence: what resemblance is worth.

    Returns:
        (M,) numbers of people from 0, in the order of their first faces.
    """
    count = len(alike)
    total, size, number = np.array(alike, np.float64), np.ones(count), np.arange(count)
    apart = np.array(photo) if photo.ndim == 2 else photo[:, None] == photo[None]
    gain = np.where(apart, -np.inf, evidence(total, 1.0) + odds)
    while count:
        first, second = sorted(divmod(int(np.argmax(gain)), count))
        if not gain[first, second] > 0:
            break
        total[first] += total[second]
        total[:, first] = total[first]
        apart[first] |= apart[second]
        apart[:, first] = apart[first]
        size[first] += size[second]
        number[number == second] = first
        pairs = size[first] * size
        row = np.where(apart[first], -np.inf, evidence(total[first] / pairs, pairs) + odds)
        gain[first] = gain[:, first] = np.where(np.isneginf(gain[first]), -np.inf, row)
        gain[second] = gain[:, second] = -np.inf
    return np.unique(number, return_inverse=True)[1] if count else number


def members(
    alike: np.ndarray, photo: np.ndarray, chosen: np.ndarray, evidence: Evidence = PLAIN
) -> tuple[np.ndarray, np.ndarray]:
    """The faces that belong to a person, one a photo at most, starting with a group of them.

    In turns, the face of every photo that resembles the others' most is compared with those.

    Args:
        alike: (M, M) resemblance.
        photo: (M,) which photo each face is in.
        chosen: (M,) bool, the group.
        evidence: what resemblance is worth.

    Returns:
        (M,) bool who belongs, and (M,) log odds that each does.
    """
    chosen = np.array(chosen, bool)
    odds = np.zeros(len(chosen))
    seen = set()
    for _ in range(ROUNDS):
        if chosen.tobytes() in seen:
            break
        seen.add(chosen.tobytes())
        others = chosen[None] & (photo[:, None] != photo[None])
        count = others.sum(1)
        mean = (alike * others).sum(1) / np.maximum(count, 1)
        odds = np.where(count > 0, evidence(mean, np.maximum(count, 1)), 0.0) + BELONGS
        best = np.array([odds[row] >= odds[photo == photo[row]].max() for row in range(len(odds))])
        chosen = best & (odds > 0)
    return chosen, odds


def margins(alike: np.ndarray, photo: np.ndarray, number: np.ndarray, evidence: Evidence = PLAIN) -> np.ndarray:
    """Log odds (M,) of each face's group against the next best: another group, or none.

    Args:
        alike: (M, M) resemblance.
        photo: (M,) which photo each face is in.
        number: (M,) of the groups, from 0.
        evidence: what resemblance is worth.
    """
    belongs = number[:, None] == np.arange(number.max(initial=-1) + 1)[None]
    size = (belongs.sum(0)[None] - belongs).astype(np.float64)
    total = alike @ belongs - np.where(belongs, alike.diagonal()[:, None], 0.0)
    worth = evidence(total / np.maximum(size, 1), np.maximum(size, 1))
    shares = (photo[:, None] == photo[None]).astype(float) @ belongs > 0
    other = np.where(belongs | shares, -np.inf, worth).max(1, initial=-np.inf)
    own = np.where(size[belongs] > 0, worth[belongs], 0.0)
    return np.asarray(own - np.where(size[belongs] > 0, np.maximum(other, 0.0), other))

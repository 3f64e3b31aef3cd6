"""Which faces of several photos are one person's, from how much they resemble each other.

Average linkage: two groups' resemblance is the mean over all pairs of their faces. What it is worth as evidence
depends on how many these are (:class:`likeness.reconstruct.agreement.Evidence`). Two faces of one photo are
two people.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from likeness.reconstruct.agreement import PLAIN, Evidence

TRACKS = 0.15
"""How far above the middle between one person's and two people's the resemblance of two groups of tracks must be, as
a share of what lies between: of 0.10 to 0.26 the best for 273 people of a training set (docs/video.md)."""

ROUNDS = 20

_Pair = tuple[np.ndarray, np.ndarray]


def groups(alike: np.ndarray, photo: np.ndarray, odds: float | None = None, evidence: Evidence = PLAIN) -> np.ndarray:
    """Sort faces into people, by agglomeration while the evidence for one person is the stronger.

    Args:
        alike: (M, M) resemblance.
        photo: (M,) which photo each face is in; or (M, M) bool, which faces are two people for certain.
        odds: log odds of one person before anything is compared; None: those of a mixed folder.
        evidence: what resemblance is worth.

    Returns:
        (M,) numbers of people from 0, in the order of their first faces.
    """
    before = evidence.among(len(alike)) if odds is None else odds

    def gain(between: np.ndarray, within: _Pair, size: _Pair) -> np.ndarray:
        pairs = size[0] * size[1]
        return evidence(between / pairs, pairs) + before

    return _merged(alike, photo, gain)


def track_groups(alike: np.ndarray, apart: np.ndarray, evidence: Evidence = PLAIN) -> np.ndarray:
    """Sort tracks of a video into people, by the cosine of groups' mean codes.

    A track's code is a mean of many frames already, so one is worth as much as many and the threshold is the same for
    all. The cosine of means grows with their number; so it is divided by how much it grows in groups of one person.

    Args:
        alike: (T, T) resemblance of the tracks' codes.
        apart: (T, T) bool, which tracks are two people for certain; each of itself.
        evidence: what resemblance is worth; the two means alone are used.

    Returns:
        (T,) numbers of people from 0, in the order of their first tracks.
    """
    least = 0.5 * (evidence.same + evidence.other) + TRACKS * (evidence.same - evidence.other)

    def gain(between: np.ndarray, within: _Pair, size: _Pair) -> np.ndarray:
        grown = [_grown(own, count, evidence.same) for own, count in zip(within, size, strict=True)]
        return np.asarray(between / (size[0] * size[1]) * grown[0] * grown[1] - least)

    return _merged(alike, apart, gain)


def _grown(within: np.ndarray, size: np.ndarray, same: float) -> np.ndarray:
    """The length of the mean of so many unit vectors of one person over that of a group's, whose inner products add
    up to ``within``."""
    return np.asarray(np.sqrt((1 + (size - 1) * same) * size / np.maximum(within, 1e-9)))


def halves(alike: np.ndarray, evidence: Evidence = PLAIN) -> tuple[float, int]:
    """The two parts of a group of N >= 2 faces that resemble each other least, as average linkage finds them.

    Args:
        alike: (N, N) resemblance.
        evidence: what resemblance is worth.

    Returns:
        The log odds that they are one person's, as of :func:`between`, and the number of faces of the smaller one.
    """

    def gain(between: np.ndarray, within: _Pair, size: _Pair) -> np.ndarray:
        return np.exp(between / (size[0] * size[1]))  # what is most alike, and never nothing

    part = _merged(alike, np.arange(len(alike)), gain, least=2)
    return float(between(alike, part, evidence)[0, 1]), int(np.bincount(part).min())


def _merged(
    alike: np.ndarray,
    photo: np.ndarray,
    gain_of: Callable[[np.ndarray, _Pair, _Pair], np.ndarray],
    least: int = 1,
) -> np.ndarray:
    """Agglomeration while something is gained by merging two groups, of which ``gain_of`` is told the sum of the
    resemblances between them, the sums within each, and their sizes; there are ``least`` groups at least."""
    count = len(alike)
    total, size, number = np.array(alike, np.float64), np.ones(count), np.arange(count)
    apart = np.array(photo) if photo.ndim == 2 else photo[:, None] == photo[None]
    own = total.diagonal()
    gain = np.where(apart, -np.inf, gain_of(total, (own[:, None], own), (size[:, None], size)))
    for _ in range(count - least):
        first, second = sorted(divmod(int(np.argmax(gain)), count))
        if not gain[first, second] > 0:
            break
        total[first] += total[second]
        total[:, first] += total[:, second]
        apart[first] |= apart[second]
        apart[:, first] = apart[first]
        size[first] += size[second]
        number[number == second] = first
        own = total.diagonal()
        merged = gain_of(total[first], (own[first], own), (size[first], size))
        row = np.where(apart[first] | np.isneginf(gain[first]), -np.inf, merged)
        gain[first] = gain[:, first] = row
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
        odds = np.where(count > 0, evidence(mean, np.maximum(count, 1)), 0.0) + evidence.belongs
        best = np.array([odds[row] >= odds[photo == photo[row]].max() for row in range(len(odds))])
        chosen = best & (odds > 0)
    return chosen, odds


def with_groups(alike: np.ndarray, photo: np.ndarray, number: np.ndarray, evidence: Evidence = PLAIN) -> np.ndarray:
    """Log odds (M, G) of each face with the others of each group; -inf: there are none, or one is in its photo.

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
    shares = (photo[:, None] == photo[None]).astype(float) @ belongs > belongs
    return np.where((size > 0) & ~shares, worth, -np.inf)


def margins(alike: np.ndarray, photo: np.ndarray, number: np.ndarray, evidence: Evidence = PLAIN) -> np.ndarray:
    """Log odds (M,) of each face's group against the next best: another group, or none; arguments as of
    :func:`with_groups`."""
    worth = with_groups(alike, photo, number, evidence)
    belongs = number[:, None] == np.arange(worth.shape[1])[None]
    own, other = worth[belongs], np.where(belongs, -np.inf, worth).max(1, initial=-np.inf)
    return np.asarray(np.where(np.isfinite(own), own - np.maximum(other, 0.0), -other))


def between(alike: np.ndarray, number: np.ndarray, evidence: Evidence = PLAIN) -> np.ndarray:
    """Log odds (G, G) that two groups are one person's, were that as likely as not before they were compared.

    Args:
        alike: (M, M) resemblance.
        number: (M,) of the groups, from 0; others: faces of none.
        evidence: what resemblance is worth.
    """
    belongs = (number[:, None] == np.arange(number.max(initial=-1) + 1)[None]).astype(np.float64)
    pairs = np.maximum(belongs.sum(0)[:, None] * belongs.sum(0)[None], 1)
    return evidence(belongs.T @ alike @ belongs / pairs, pairs)

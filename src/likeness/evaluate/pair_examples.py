"""The pairs to look at: the most alike strangers, and the least alike faces of one person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.evaluate.collection import Collection
from likeness.metrics.records import Pairs, dealt_folds

BLOCK = 512
LOOKED_AT = 8000
"""Of more faces, so many are looked at for examples, evenly spaced: all pairs of them are compared."""


@dataclass(frozen=True)
class PairExample:
    """Two faces and how far they are apart.

    Args:
        first, second: their numbers in the collection.
        distance: in the collection's embedding.
    """

    first: int
    second: int
    distance: float

    def to_dict(self, collection: Collection) -> dict[str, Any]:
        """Names and distance, ready for JSON."""
        names = {"first": collection.names[self.first], "second": collection.names[self.second]}
        return {**names, "distance": self.distance}


def alike_strangers(collection: Collection, count: int) -> list[PairExample]:
    """The nearest faces of two people, nearest first, at most one pair for any two people."""
    return _extreme(collection, count, lambda same, _: ~same, nearest=True)


def unlike_selves(collection: Collection, count: int) -> list[PairExample]:
    """The farthest faces of one person in two groups, farthest first, at most one pair a person."""
    return _extreme(collection, count, lambda same, grouped: same & ~grouped, nearest=False)


def made_pairs(collection: Collection, count: int, seed: int) -> Pairs:
    """Pairs to verify where none are given: of one person across groups, and as many of two, dealt to ten folds.

    Raises:
        ValueError: nobody has two photos of different groups, or there is one person only.
    """
    rng = np.random.default_rng(seed)
    labels, groups = collection.labels, collection.groups
    genuine: list[tuple[int, int]] = []
    for person in np.unique(labels):
        rows = np.flatnonzero(labels == person)
        i, j = np.triu_indices(len(rows), 1)
        if groups is not None:
            across = groups[rows[i]] != groups[rows[j]]
            i, j = i[across], j[across]
        if len(i) > count:
            chosen = rng.choice(len(i), count, replace=False)
            i, j = i[chosen], j[chosen]
        genuine += zip(rows[i].tolist(), rows[j].tolist(), strict=True)
    if not genuine:
        raise ValueError("expected a person with two photos of different groups, got none: no pair to verify")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"expected at least two people, got {labels[0]} only")
    chosen = rng.permutation(len(genuine))[:count]
    pairs = [genuine[row] for row in chosen]
    impostor = _strangers(labels, len(pairs), rng)
    same = np.arange(len(pairs) + len(impostor)) < len(pairs)
    names = [tuple(collection.names[row] for row in side) for side in zip(*pairs, *impostor, strict=True)]
    return Pairs(names[0], names[1], same, dealt_folds(same))


def _strangers(labels: np.ndarray, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Up to ``count`` different pairs of two people."""
    possible = (len(labels) ** 2 - (np.unique(labels, return_counts=True)[1] ** 2).sum()) // 2
    if possible <= 2 * count:
        i, j = np.nonzero(np.triu(labels[:, None] != labels[None]))
        chosen = rng.permutation(len(i))[:count]
        return list(zip(i[chosen].tolist(), j[chosen].tolist(), strict=True))
    found: dict[tuple[int, int], None] = {}
    while len(found) < count:
        a, b = np.sort(rng.integers(0, len(labels), (2, count)), axis=0)
        other = labels[a] != labels[b]
        found.update(dict.fromkeys(zip(a[other].tolist(), b[other].tolist(), strict=True)))
    return list(found)[:count]


def _extreme(
    collection: Collection, count: int, wanted: Callable[[np.ndarray, np.ndarray], np.ndarray], nearest: bool
) -> list[PairExample]:
    """Pairs with the smallest or largest distance, block by block; one for any two people."""
    chosen = np.unique(np.linspace(0, len(collection) - 1, min(LOOKED_AT, len(collection))).round().astype(int))
    points = collection.embedding[0][chosen]
    person = np.unique(collection.labels[chosen], return_inverse=True)[1]
    group = None
    if collection.groups is not None:
        group = np.unique(collection.groups[chosen], return_inverse=True)[1]
    squares = (points**2).sum(1)
    best: dict[tuple[int, int], PairExample] = {}
    for start in range(0, len(points), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(points)))
        squared = squares[rows, None] + squares - 2 * points[rows] @ points.T
        same = person[rows, None] == person
        alike = np.zeros_like(same) if group is None else same & (group[rows, None] == group)
        usable = wanted(same, alike) & (rows[:, None] < np.arange(len(points)))
        ranked = np.where(usable, squared if nearest else -squared, np.inf)
        for flat in _smallest(ranked, 50 * count):
            i, j = divmod(int(flat), len(points))
            if not usable[i, j]:
                continue
            distance = float(np.linalg.norm(points[rows[i]] - points[j]))
            a, b = sorted((int(person[rows[i]]), int(person[j])))
            known = best.get((a, b))
            if known is None or (distance < known.distance) == nearest:
                best[a, b] = PairExample(int(chosen[rows[i]]), int(chosen[j]), distance)
    return sorted(best.values(), key=lambda pair: pair.distance if nearest else -pair.distance)[:count]


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    flat = values.ravel()
    return np.arange(len(flat)) if len(flat) <= count else np.argpartition(flat, count)[:count]

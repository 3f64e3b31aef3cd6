"""What a source holds, before any picture is decoded: where pictures lie and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from likeness.datasets.image_store import Places, problem_of
from likeness.errors import Excluded, FileError, printable

MAX_DAMAGED = 0.01
"""The share of a source's pictures that may be damaged."""

TRAIN = ("train", "trainset")
HELD_OUT = ("test", "testset", "val", "valset", "validation")
"""Folders beside those for training."""

_CHUNK, _THREADS = 512, 8


@dataclass(frozen=True, eq=False)
class Marked:
    """Landmarks (68, 2) float32, pixels, (0, 0) the first pixel's centre, and the clip that the picture is from."""

    landmarks: np.ndarray
    clip: str


@dataclass(frozen=True, eq=False)
class Listing:
    """One source.

    Args:
        path: the file or folder.
        kind: what it is, for the user.
        places: N pictures.
        identity: N names of people, None where unknown.
        marked: what is known of the pictures that have landmarks, by number.
        damaged: pictures that were left out, and why.
        notes: what else the user should know.
        problems: what is wrong with what lies beside a picture, by number: :meth:`checked` leaves these pictures out.
    """

    path: str
    kind: str
    places: Places
    identity: tuple[str | None, ...]
    marked: Mapping[int, Marked]
    damaged: tuple[Excluded, ...] = ()
    notes: tuple[str, ...] = ()
    problems: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def people(self) -> int:
        """How many identities there are."""
        return len({name for name in self.identity if name is not None})

    def select(self, numbers: np.ndarray) -> Listing:
        """The pictures of these numbers, in their order."""
        kept = numbers.tolist()
        marked = {new: self.marked[old] for new, old in enumerate(kept) if old in self.marked}
        identity = tuple(self.identity[old] for old in kept)
        problems = {new: self.problems[old] for new, old in enumerate(kept) if old in self.problems}
        return replace(self, places=self.places.select(numbers), identity=identity, marked=marked, problems=problems)

    def without(self, problems: Mapping[int, str]) -> Listing:
        """Without damaged pictures.

        Args:
            problems: what is wrong with a picture, by number.

        Raises:
            FileError: more than 1 % of all pictures are damaged, or there are none.
        """
        if not len(self) and not self.damaged:
            raise FileError(self.path, f"expected pictures ({self.kind}), found none")
        if not problems:
            return self
        found = tuple(Excluded(printable(self.places.names[number]), problems[number]) for number in sorted(problems))
        damaged, count = (*self.damaged, *found), len(self) + len(self.damaged)
        if len(damaged) > MAX_DAMAGED * count:
            first = f"{damaged[0].item} {damaged[0].reason}"
            limit = f"{MAX_DAMAGED:.0%}".replace("%", " %")
            raise FileError(
                self.path, f"{len(damaged)} of {count} pictures cannot be used, over {limit}; the first: {first}"
            )
        kept = self.select(np.setdiff1d(np.arange(len(self)), np.array([*problems])))
        return replace(kept, damaged=damaged)

    def checked(self) -> Listing:
        """Without the pictures that are none, or cut short, as far as both ends of each file tell, and those beside
        which something lies that cannot be used.

        Raises:
            FileError: more than 1 % of all are, or there are none.
        """
        starts = range(0, len(self), _CHUNK)
        with ThreadPoolExecutor(_THREADS) as pool:  # what is slow is a disk or a network that answers late
            chunks = pool.map(self._problems, starts)
            found = {number: problem for chunk in chunks for number, problem in chunk.items()}
        return self.without({**found, **self.problems})

    def _problems(self, start: int) -> dict[int, str]:
        numbers = range(start, min(start + _CHUNK, len(self)))
        found = {number: problem_of(*ends) for number, ends in zip(numbers, self.places.ends(numbers), strict=True)}
        return {number: problem for number, problem in found.items() if problem}


def joined(parts: Sequence[Listing], path: str, kind: str) -> Listing:
    """The shards of one source: a name in two of them is one person."""
    starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    return Listing(
        path,
        kind,
        Places.joined([part.places for part in parts]),
        tuple(name for part in parts for name in part.identity),
        {start + n: mark for part, start in zip(parts, starts, strict=False) for n, mark in part.marked.items()},
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        problems={
            start + n: why for part, start in zip(parts, starts, strict=False) for n, why in part.problems.items()
        },
    )

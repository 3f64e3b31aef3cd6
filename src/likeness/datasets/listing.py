"""What a source holds, before any picture is decoded: where pictures lie and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from likeness.datasets.image_store import Places, problem_of
from likeness.errors import Excluded, FileError, listed, printable

MAX_DAMAGED = 0.01
"""The share of a source's pictures that may be damaged."""

_CHUNK, _THREADS = 512, 8


@dataclass(frozen=True, eq=False)
class Listing:
    """One source.

    Args:
        path: the file or folder.
        kind: what it is, for the user.
        places: N pictures.
        identity: N names of people, None where unknown.
        clip: N names of clips or sessions, frames of which are alike; None where a picture is one of its own.
        marked: landmarks (68, 2) float32, pixels, (0, 0) the first pixel's centre, by number.
        split: N names of the splits of a data set that the pictures are in; None where there are none.
        damaged: pictures that were left out, and why.
        notes: what else the user should know.
        problems: what is wrong with what lies beside a picture, by number: :meth:`checked` leaves these pictures out.
    """

    path: str
    kind: str
    places: Places
    identity: tuple[str | None, ...]
    clip: tuple[str | None, ...]
    marked: Mapping[int, np.ndarray]
    split: tuple[str | None, ...]
    damaged: tuple[Excluded, ...] = ()
    notes: tuple[str, ...] = ()
    problems: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def people(self) -> int:
        """How many identities there are."""
        return len({name for name in self.identity if name is not None})

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that there are, in order."""
        return tuple(sorted({name for name in self.split if name is not None}))

    def describe(self) -> str:
        """A line for the user: kind, pictures, who and how many are in them, splits, pictures with landmarks."""
        who = people_told([name for name in self.identity if name is not None], self.splits)
        clips = len({pair for pair in zip(self.identity, self.clip, strict=True) if None not in pair})
        told = (
            f"{len(self):,} pictures",
            who,
            *((f"{clips:,} clip{'s' * (clips != 1)}",) if clips else ()),
            *((f"{len(self.marked):,} with landmarks",) if self.marked else ()),
        )
        return f"{printable(self.path)}: {self.kind}: {', '.join(told)}"

    def select(self, numbers: np.ndarray) -> Listing:
        """The pictures of these numbers, in their order."""
        kept = numbers.tolist()
        marked = {new: self.marked[old] for new, old in enumerate(kept) if old in self.marked}
        problems = {new: self.problems[old] for new, old in enumerate(kept) if old in self.problems}
        return replace(
            self,
            places=self.places.select(numbers),
            identity=tuple(self.identity[old] for old in kept),
            clip=tuple(self.clip[old] for old in kept),
            marked=marked,
            split=tuple(self.split[old] for old in kept),
            problems=problems,
        )

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


def people_told(people: Sequence[str], splits: Sequence[str] = ()) -> str:
    """Who is there, for the user, so that folders are not taken for people unseen: ``30 people (a, b and 28 more)
    from 2 splits (train, val)``.

    Args:
        people: the person of every picture that has one.
        splits: the splits that they are from.
    """
    known = sorted({*people})
    if not known:
        return "people unknown"
    names = listed([printable(name) for name in known], 2)
    told = f"{len(known):,} {'person' if len(known) == 1 else 'people'} ({names})"
    if not splits:
        return told
    noun = "split" if len(splits) == 1 else "splits"
    return f"{told} from {len(splits)} {noun} ({listed([printable(name) for name in splits])})"


def joined(parts: Sequence[Listing], path: str, kind: str) -> Listing:
    """The shards of one source: a name in two of them is one person."""
    starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    return Listing(
        path,
        kind,
        Places.joined([part.places for part in parts]),
        tuple(name for part in parts for name in part.identity),
        tuple(name for part in parts for name in part.clip),
        {start + n: mark for part, start in zip(parts, starts, strict=False) for n, mark in part.marked.items()},
        tuple(name for part in parts for name in part.split),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        problems={
            start + n: why for part, start in zip(parts, starts, strict=False) for n, why in part.problems.items()
        },
    )

"""Names of results: of many sources in one folder, and names that file systems take."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from likeness.errors import StrPath
from likeness.result_folder import ResultFolder, Source


class ResultNames:
    """Names of the results of many sources in one folder: the file's, ``me`` of ``me.jpg``.

    Where two of the sources are called alike, all are named with as many of their folders as tell them apart
    (``ANNA/0001``, ``BERTA/0001``), and ``me.jpg`` and ``me.png`` of one folder in full. A source that has results in
    the folder keeps their name; a name that another source has is not taken. So the names depend neither on the order
    of the sources nor on which of them are given again.

    Args:
        results: where they are written.
        sources: all files of this run.
    """

    def __init__(self, results: ResultFolder, sources: Sequence[StrPath]) -> None:
        self.results = results
        paths = sorted({os.path.abspath(source) for source in sources})
        places = {(os.path.dirname(path), Path(path).stem) for path in paths}
        deepest = max((len(Path(path).parts) for path in paths), default=0)
        depths = (d for d in range(deepest) if len({_named(*place, d) for place in places}) == len(places))
        self._depth = next(depths, deepest)
        counts: dict[tuple[str, str], int] = {}
        for path in paths:
            place = os.path.dirname(path), Path(path).stem
            counts[place] = counts.get(place, 0) + 1
        self._twins = {place for place, count in counts.items() if count > 1}
        self._path_of = {self._preferred(path): path for path in paths}

    def of(self, source: Source, number: int = 0) -> str:
        """The name of a source's result, which it has from now on; ``number``: of its further faces, from 1.

        Raises:
            FileError: the folder cannot be written to.
        """
        base = self.results.claim(self._candidates(source.path), source)
        return base if number == 0 else self.results.claim(self._further(base, number, source.path), source)

    def known(self, source: Source) -> list[str]:
        """The names of a source's results, of an earlier run or of this one: its first face's, then further ones'."""
        bases = self._owned(self._candidates(source.path), source)[:1]
        found = list(bases)
        while bases and (names := self._owned(self._further(bases[0], len(found), source.path), source)):
            found.append(names[0])
        return found

    def remove_from(self, source: Source, number: int) -> None:
        """Remove the results of a source's faces from ``number`` on, which an earlier run wrote."""
        for base in self._owned(self._candidates(source.path), source)[:1]:
            old = [base] if number == 0 else []
            further = max(number, 1)
            while names := self._owned(self._further(base, further, source.path), source):
                old += names
                further += 1
            for name in reversed(old):  # so that a run that is killed here leaves no gap
                self.results.remove(name, source)

    def _owned(self, names: Sequence[str], source: Source) -> list[str]:
        owners = ((name, self.results.owner(name)) for name in names)
        return [name for name, owner in owners if owner and owner.is_of(self.results.command, source.path)]

    def _preferred(self, path: str) -> str:
        place = os.path.dirname(path), Path(path).stem
        return _named(place[0], Path(path).name if place in self._twins else place[1], self._depth)

    def _candidates(self, path: str) -> list[str]:
        folder, name = os.path.split(path)
        deeper = range(len(Path(folder).parts))
        found = [
            self._preferred(path),
            *(_named(folder, Path(name).stem, depth) for depth in deeper),
            *(_named(folder, name, depth) for depth in deeper),
            fitted(f"{Path(name).stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"),
        ]
        return [one for one in dict.fromkeys(found) if self._path_of.get(one, path) == path]

    def _further(self, base: str, number: int, path: str) -> list[str]:
        """Names of a further face, none of which is another source's own."""
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
        names = (f"{base}-{number + 1}", f"{base}-face{number + 1}", f"{base}-{digest}-{number + 1}")
        return [name for name in names if name not in self._path_of]


def is_name(text: str) -> bool:
    """Whether a result can be called so: one part of a path, not hidden, that can be printed."""
    return text == os.path.basename(text) and not text.startswith(".") and text.isprintable() and bool(text.strip())


LONGEST_NAME = 239
"""Bytes of a result's name, so that with a number, `-texture` and a suffix it has 255, which file systems take."""


def fitted(name: str) -> str:
    """A file name that is not too long: the end of one that is gives way to a digest of the whole."""
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    end = f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}"
    while len(os.fsencode(name + end)) > LONGEST_NAME:
        name = name[:-1]
    return name + end


def _named(folder: str, name: str, depth: int) -> str:
    """A name with the last ``depth`` of its folders."""
    parts = Path(folder).parts[1:]
    return "/".join([*parts[max(0, len(parts) - depth) :], fitted(name)])

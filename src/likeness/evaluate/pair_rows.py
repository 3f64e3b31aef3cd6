"""Which faces the names in a list of pairs mean, however the list spells them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath

import numpy as np

from likeness.errors import listed
from likeness.evaluate.collection import Collection
from likeness.images.header import SUFFIXES
from likeness.metrics.records import Pairs

Rows = Mapping[str, np.ndarray]
"""Name in the pairs -> numbers of faces."""

Parts = tuple[str, ...]

_NO_FACE = -1
"""Number of what was left out of the collection: it has a name, so that no other face is taken for it."""


def rows_by_name(pairs: Pairs, collection: Collection) -> dict[str, np.ndarray]:
    """Name in the pairs -> numbers of faces; those not found left out.

    A name may be a face's: a path with slashes or backslashes, with or without a photo's suffix, with folders around
    it that the collection does not know or without folders that it knows, where this means one face only; LFW's
    ``name/name_0001`` also finds photo ``1`` or ``001`` of a person; or a template's: ``IDENTITY/CLIP`` or
    ``IDENTITY``, all faces of that clip or person. A name of a photo without a face is not another's.
    """
    index = _Index(collection)
    asked = {name: _parts(name) for name in pairs.names()}
    shared = _shared([parts[:-1] for parts in asked.values()])
    found: dict[str, list[int]] = {}
    cut: dict[int, set[Parts]] = {}
    for name, parts in asked.items():
        rows = index.exact(name, parts)
        if not rows:
            rows = index.without_folders(parts, shared)
            for row in rows:
                cut.setdefault(row, set()).add(parts)
        found[name] = rows or index.numbered(parts)
    # Two paths that become one name without their folders are two photos, of which one is not here.
    doubtful = {parts for spelled in cut.values() if len(spelled) > 1 for parts in spelled}
    return {
        name: np.array(rows)
        for name, rows in found.items()
        if rows and _NO_FACE not in rows and asked[name] not in doubtful
    }


def matched(pairs: Pairs, rows: Rows, collection: Collection) -> tuple[str, ...]:
    """A line about the pairs that name a photo without a face, or none at all; none where there are no such.

    Raises:
        ValueError: no pair has both its faces.
    """
    lost = [(a, b) for a, b in zip(pairs.first, pairs.second, strict=True) if a not in rows or b not in rows]
    if not lost:
        return ()
    missing = list(dict.fromkeys(name for pair in lost for name in pair if name not in rows))
    if len(lost) == len(pairs):
        raise ValueError(
            f"expected pairs of the photos, got none of {len(pairs)} whose photos are both here with a face; missing "
            f"are {listed(missing, 3)}; here are {listed(collection.names, 3)}"
        )
    first = " | ".join(lost[0])
    return (
        f"{len(pairs) - len(lost):,} of {len(pairs):,} pairs measured; {len(lost):,} left out, the first: {first}; "
        f"not here, or without a face: {listed(missing, 3)}",
    )


class _Index:
    """The faces of a collection by all that they may be called."""

    def __init__(self, collection: Collection) -> None:
        gone = [one.item for one in collection.excluded]
        self._names: dict[str, list[int]] = {}
        self._ends: dict[Parts, list[int]] = {}
        self._templates: dict[str, list[int]] = {}
        self._numbers: dict[tuple[str, int], list[int]] = {}
        for row, name in [*enumerate(collection.names), *((_NO_FACE, name) for name in gone)]:
            parts = _parts(name)
            self._names.setdefault(name, []).append(row)
            for start in range(len(parts)):
                self._ends.setdefault(parts[start:], []).append(row)
            number = _number(parts)
            if number is not None:
                self._numbers.setdefault(number, []).append(row)
        for row, label in enumerate(collection.labels):
            person = str(label)
            clip = "" if collection.groups is None else str(collection.groups[row])
            whole = clip if clip.startswith(f"{person}/") else f"{person}/{clip}"
            for template in {person, whole} if person else ():
                self._templates.setdefault(template, []).append(row)

    def exact(self, name: str, parts: Parts) -> list[int]:
        """Of a name as it is: a face's, a template's, or the end of a face's."""
        own = self._names.get(name) or self._names.get("/".join(parts))
        return own or self._templates.get(name) or _only(self._ends.get(parts, []))

    def without_folders(self, parts: Parts, shared: int) -> list[int]:
        """Of a path with folders around it that nobody here knows; a bare name is enough only where all paths of the
        list share these folders (the first ``shared``)."""
        for start in range(1, len(parts)):
            rest = parts[start:]
            rows = _only(self._ends.get(rest, []))
            if rows and (len(rest) > 1 or start <= shared):
                return rows
        return []

    def numbered(self, parts: Parts) -> list[int]:
        """Of LFW's way to number photos."""
        number = _number(parts)
        return [] if number is None else _only(self._numbers.get(number, []))


def _shared(folders: Sequence[Parts]) -> int:
    """How many folders at the beginning of all paths are the same."""
    same = (a == b for a, b in zip(min(folders), max(folders), strict=False))
    return sum(takewhile(bool, same))


def _parts(name: str) -> Parts:
    """Of a path with either slash, without a photo's suffix."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if parts and parts[-1].lower().endswith(SUFFIXES):
        parts[-1] = str(PurePosixPath(parts[-1]).with_suffix(""))
    return tuple(parts)


def _number(parts: Parts) -> tuple[str, int] | None:
    """Person and number of ``.../p/p_0001``, ``.../p/001``."""
    if len(parts) < 2:
        return None
    own = re.fullmatch(rf"(?:{re.escape(parts[-2])}[-_ ]?)?0*([0-9]{{1,9}})", parts[-1], re.DOTALL)
    return None if own is None else (parts[-2], int(own[1]))


def _only(rows: Sequence[int]) -> list[int]:
    """A name that is cut short is of use where it means one face."""
    return [*rows] if len({*rows}) == 1 else []

"""The picture of who was taken for whom: the faces of each person found in mixed photos, beside each other.

A face's own chance does not say whether its whole group is two people's, who are alike; the group's says it of a
third of those. Somebody who looks sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.reconstruct.mixed import Groups
from likeness.reconstruct.people import SHOWN, Sighting
from likeness.render.close_up import labelled

IN_A_ROW = 10
"""Faces."""

OF_A_PERSON = 3 * IN_A_ROW
"""Faces that are shown at most."""

TALLEST = 20_000
"""Pixels of the picture; whom it has no room for is counted."""

DOUBTFUL = 0.9
"""A face whose chance is less has a frame."""

MERGED = 0.5
"""A person whose chance to be one is less is said to be two, perhaps."""

GAP = 6
TITLE, CAPTION = 22, 12  # pixels of lines
LETTERS = 18
"""Of what is said under a face."""
_FRAME = (235, 130, 30)


@dataclass(frozen=True, eq=False)
class _Tile:
    """A face: its picture, what its photo is called, and the chance that it is the person's, if that was asked."""

    picture: np.ndarray
    name: str
    chance: float | None = None

    def drawn(self) -> np.ndarray:
        side = SHOWN + 2 * GAP
        out = np.full((side + CAPTION, side, 3), 255, np.uint8)
        text = self.name
        if self.chance is not None and self.chance < DOUBTFUL:
            out[GAP - 3 : side - GAP + 3, GAP - 3 : side - GAP + 3] = _FRAME
            text = f"{self.chance:.2f} {text}"
        out[GAP : side - GAP, GAP : side - GAP] = self.picture
        out[side - GAP + 3 :, GAP:] = labelled(out[side - GAP + 3 :, GAP:], text[:LETTERS], 0.33)
        return out


def people_sheet(found: Groups, names: Sequence[str], faces: Sequence[Sighting]) -> np.ndarray:
    """A row or more for each person, the faces that are least surely theirs first, then the faces that are unsure.

    Args:
        found: the people.
        names: what each is called.
        faces: M sightings, those that the people were made of.

    Returns:
        (H, W, 3) uint8 RGB, at most :data:`TALLEST` high.
    """
    parts: list[np.ndarray] = []
    height = 0
    for place, (name, rows, chances) in enumerate(zip(names, found.rows, found.chances, strict=True)):
        order = np.argsort(chances, kind="stable")
        tiles = [_tile(faces[rows[one]], float(chances[one])) for one in order]
        part = _section(_title(found, names, place, name, len(rows)), tiles)
        height += len(part)
        if height > TALLEST - 2 * TITLE:
            parts.append(_line(f"and {len(names) - place} more people"))
            break
        parts.append(part)
    if found.unsure_rows:
        part = _section(f"not sure whose: {len(found.unsure_rows)}", [_tile(faces[row]) for row in found.unsure_rows])
        parts.append(part if height + len(part) <= TALLEST else _line(f"and {len(found.unsure_rows)} unsure faces"))
    return np.concatenate(parts) if parts else _line("nobody")


def _title(found: Groups, names: Sequence[str], place: int, name: str, photos: int) -> str:
    """Who it is, of how many photos, and who it may be, too."""
    others = [
        f"{names[one if place == other else other]} ({chance:.2f})"
        for one, other, chance in found.similar
        if place in (one, other)
    ]
    perhaps = f", perhaps the same as {', '.join(others)}" if others else ""
    if found.whole[place] < MERGED:
        perhaps += f", perhaps two people (one: {found.whole[place]:.2f})"
    return f"{name}: {photos} photo{'s' * (photos != 1)}{perhaps}"


def _tile(one: Sighting, chance: float | None = None) -> _Tile:
    name = one.label.replace("\\", "/").rsplit("/", 1)[-1]
    return _Tile(one.shown, name, chance)


def _section(title: str, tiles: Sequence[_Tile]) -> np.ndarray:
    further = len(tiles) - OF_A_PERSON
    parts = [_line(title)]
    drawn = [tile.drawn() for tile in tiles[:OF_A_PERSON]]
    for start in range(0, len(drawn), IN_A_ROW):
        row = np.concatenate(drawn[start : start + IN_A_ROW], axis=1)
        parts.append(np.pad(row, ((0, 0), (0, _width() - row.shape[1]), (0, 0)), constant_values=255))
    if further > 0:
        parts.append(_line(f"and {further} more"))
    return np.concatenate(parts)


def _line(text: str) -> np.ndarray:
    return labelled(np.full((TITLE, _width(), 3), 255, np.uint8), text, 0.45)


def _width() -> int:
    return IN_A_ROW * (SHOWN + 2 * GAP)

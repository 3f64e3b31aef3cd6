"""The picture of who was taken for whom."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from likeness.errors import Excluded
from likeness.reconstruct import people_sheet as sheet
from likeness.reconstruct.mixed import Groups
from likeness.reconstruct.people import SHOWN, Sighting
from likeness.reconstruct.people_sheet import CAPTION, GAP, IN_A_ROW, OF_A_PERSON, TITLE

ROW = SHOWN + 2 * GAP + CAPTION


def faces_of(count: int) -> tuple[Sighting, ...]:
    """Faces, each of a colour of its own."""
    nobody: Any = None
    pictures = (np.full((SHOWN, SHOWN, 3), (number, 100, 200), np.uint8) for number in range(count))
    return tuple(Sighting(n, f"album/{n}.jpg", "", nobody, picture) for n, picture in enumerate(pictures))


def groups_of(*rows: list[int], chances: list[list[float]] | None = None, unsure: tuple[int, ...] = ()) -> Groups:
    nobody: Any = tuple(None for _ in rows)
    told = chances or [[1.0] * len(one) for one in rows]
    doubtful = tuple(Excluded(f"{row}.jpg", "not sure") for row in unsure)
    return Groups(
        nobody, doubtful, (), tuple(map(np.array, told)), (), (1.0,) * len(rows), tuple(map(np.array, rows)), unsure
    )


def colour_at(picture: np.ndarray, row: int, column: int, top: int = TITLE) -> int:
    """Which face is shown there."""
    middle = GAP + SHOWN // 2
    return int(picture[top + row * ROW + middle, column * (SHOWN + 2 * GAP) + middle, 0])


def test_everybody_is_shown_the_least_sure_first_and_those_who_are_nobodys_last() -> None:
    found = groups_of([0, 2, 4], [1, 3], chances=[[0.99, 0.7, 0.95], [1.0, 1.0]], unsure=(5,))
    picture = sheet.people_sheet(found, ["person-1", "person-2"], faces_of(6))
    assert picture.shape == (3 * (TITLE + ROW), IN_A_ROW * (SHOWN + 2 * GAP), 3)
    assert [colour_at(picture, 0, column) for column in range(4)] == [2, 4, 0, 255]
    second = TITLE + ROW + TITLE
    assert [colour_at(picture, 0, column, second) for column in range(3)] == [1, 3, 255]
    assert [colour_at(picture, 0, column, second + ROW + TITLE) for column in range(2)] == [5, 255]
    edges = [tuple(picture[TITLE + GAP + 40, column * (SHOWN + 2 * GAP) + GAP - 2]) for column in range(3)]
    assert edges == [sheet._FRAME, (255, 255, 255), (255, 255, 255)]  # the doubtful one's


def test_rows_and_the_picture_end(monkeypatch: Any) -> None:
    many = list(range(OF_A_PERSON + 5))
    whole = sheet.people_sheet(groups_of(many), ["person-1"], faces_of(len(many)))
    assert len(whole) == 2 * TITLE + OF_A_PERSON // IN_A_ROW * ROW  # and a line that says how many more
    monkeypatch.setattr(sheet, "TALLEST", 3 * (TITLE + ROW))
    names = [f"person-{number}" for number in range(8)]
    found = groups_of(*[[number] for number in range(8)], unsure=(8,))
    picture = sheet.people_sheet(found, names, faces_of(9))
    assert len(picture) <= sheet.TALLEST
    assert len(picture) == 2 * (TITLE + ROW) + 2 * TITLE  # lines that count the other people and the unsure faces
    assert sheet.people_sheet(groups_of(), [], ()).shape[0] == TITLE


def test_who_may_be_the_same_is_said() -> None:
    found = dataclasses.replace(groups_of([0], [1], [2]), similar=((0, 2, 0.41),), whole=(1.0, 0.4, 0.8))
    names = ["person-1", "person-2", "person-3"]
    assert sheet._title(found, names, 0, "person-1", 1) == "person-1: 1 photo, perhaps the same as person-3 (0.41)"
    assert sheet._title(found, names, 2, "person-3", 2) == "person-3: 2 photos, perhaps the same as person-1 (0.41)"
    assert sheet._title(found, names, 1, "person-2", 1) == "person-2: 1 photo, perhaps two people (one: 0.40)"

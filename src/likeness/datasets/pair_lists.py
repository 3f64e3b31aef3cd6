"""Any list of pairs to verify, whatever its columns, separators and titles."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from likeness.datasets.pair_columns import (
    LONGEST_LINE,
    NEARLY_ALL,
    SEPARATORS,
    columns_of,
    lfw_lines,
    plain_text,
    titled_columns,
    untitled_columns,
)
from likeness.datasets.pairs import (
    flagged_pair,
    has_titles,
    is_count,
    is_lfw_head,
    lfw_pair,
    lfw_pairs,
    titled_pairs,
)
from likeness.errors import FileError, StrPath, printable
from likeness.files import read_bytes, without_mark
from likeness.images.header import SUFFIXES
from likeness.metrics.records import Pairs, dealt_folds
from likeness.readers import MAX_TABLE_BYTES

EXPECTED = (
    "expected lines 'name i j' and 'name i other j' (LFW), 'photo photo 1' (or 0), a photo and 1 (or 0) in two lines "
    "a pair, or columns first, second, same[, fold]"
)

Line = tuple[int, list[str]]
"""Number in the file, and fields."""

MOST_WORDS = 64
"""Of a line whose photos' names have blanks; every word of it may be searched to the line's end."""

_PHOTO = re.compile(rf"\S.*?(?:{'|'.join(re.escape(suffix) for suffix in SUFFIXES)})(?=\s|$)|\S+", re.IGNORECASE)
_COUNTERS = ("", "index", "id", "no", "unnamed: 0")
"""Titles of a first column that only counts."""


def read_pairs(path: StrPath) -> Pairs:
    """Read a list of pairs of any of these kinds, separated by blanks, tabs, commas or semicolons:

    - LFW's ``name i j`` and ``name i other j``, with a first line ``folds pairs`` or ``pairs``
      (:func:`~likeness.datasets.pairs.read_lfw_pairs`) or without, or as CSV under the titles of Kaggle's copy, in
      any order, blank columns left out;
    - ``photo photo 1`` (one person) or ``0`` (two), the flag last or first, if wanted with a fold behind it;
    - CPLFW's and CALFW's ``photo 1``, two lines a pair;
    - columns with titles (:func:`~likeness.datasets.pairs.read_pair_csv`).

    Where no folds are told the pairs are dealt out (:func:`~likeness.metrics.records.dealt_folds`).

    Raises:
        FileError: missing, empty, no text, or a line of another kind (says which).
    """
    text = _text(path)
    return _of_columns(text) or _of_lines(path, _lines(path, text))


def _of_columns(text: str) -> Pairs | None:
    """Of lines that are all alike; None where single lines have to be looked at."""
    plain = plain_text(text)
    columns = None if plain is None else columns_of(plain)
    if plain is None or columns is None:
        return None if plain is None else lfw_lines(plain)
    head = [column[0] for column in columns]
    if has_titles(head):
        return titled_columns(columns)
    if len(columns[0]) > 1 and _is_title(head, [column[1] for column in columns]):
        columns = [column[1:] for column in (columns[1:] if head[0].lower() in _COUNTERS else columns)]
    return untitled_columns(columns) or lfw_lines(plain)


def _of_lines(path: StrPath, lines: list[Line]) -> Pairs:
    if not lines:
        raise FileError(path, f"is empty; {EXPECTED}")
    head = lines[0][1]
    if has_titles(head):
        return titled_pairs(path, lines)
    if is_lfw_head(head) and len(lines) > 1 and len(lines[1][1]) > 2:
        return lfw_pairs(path, _full(lines[1:]), head)
    if len(lines) > 1 and _is_title(*(row for _, row in _full(lines[:2]))):
        lines = [(number, row[1:]) for number, row in lines[1:]] if head[0].lower() in _COUNTERS else lines[1:]
    return _untitled(path, _full(lines))


def _is_title(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether the first row is no pair; a title may be a word that also tells a pair's kind, such as ``match``."""
    if not any(kind(first) for kind in (lfw_pair, flagged_pair, _single)):
        return True
    return not re.search(r"\d", "".join(first)) and bool(re.search(r"\d", second[-1]))


def _untitled(path: StrPath, lines: Sequence[Line]) -> Pairs:
    """Of the kind that most lines are of."""
    rows = [row for _, row in lines]
    lfw, flagged, single = (len(rows) - [*map(kind, rows)].count(None) for kind in (lfw_pair, flagged_pair, _single))
    if not max(lfw, flagged, single):
        number, row = lines[0]
        raise FileError(path, f"line {number}: {EXPECTED}; got {' '.join(row)[:60]!r}")
    if single > max(lfw, flagged):
        return _of_two_lines(path, lines)
    # 'a 2 1' may be photos 2 and 1 of a, or photos a and 2 of one person: LFW counts photos from 1
    if lfw > flagged or (lfw == flagged and not any(row[-1] == "0" for row in rows)):
        return lfw_pairs(path, lines)
    return _of_flags(path, lines)


def _of_flags(path: StrPath, lines: Sequence[Line]) -> Pairs:
    found = []
    for number, row in lines:
        pair = flagged_pair(row)
        if pair is None:
            raise FileError(path, f"line {number}: expected 'photo photo 1' (or 0), got {' '.join(row)[:60]!r}")
        found.append(pair)
    alike = np.array([same for _, _, same, _ in found])
    folds = [fold for _, _, _, fold in found]
    fold = dealt_folds(alike) if "" in folds else np.unique(folds, return_inverse=True)[1]
    return Pairs(tuple(pair[0] for pair in found), tuple(pair[1] for pair in found), alike, fold)


def _of_two_lines(path: StrPath, lines: Sequence[Line]) -> Pairs:
    """``photo flag`` twice; the flag is 0 for two people, and else 1 or the fold's number."""
    found = []
    for number, row in lines:
        one = _single(row)
        if one is None:
            raise FileError(path, f"line {number}: expected 'photo 1' (or 0), got {' '.join(row)[:60]!r}")
        found.append(one)
    if len(found) % 2:
        raise FileError(path, f"expected two lines a pair, got {len(found)} lines")
    wrong = next((row for row in range(0, len(found), 2) if found[row][1] != found[row + 1][1]), None)
    if wrong is not None:
        raise FileError(path, f"line {lines[wrong + 1][0]}: expected {found[wrong][1]} as in the line before it")
    alike = np.array([same != 0 for _, same in found[::2]])
    return Pairs(tuple(a for a, _ in found[::2]), tuple(b for b, _ in found[1::2]), alike, dealt_folds(alike))


def _single(row: Sequence[str]) -> tuple[str, int] | None:
    return (row[0], int(row[1])) if len(row) == 2 and re.fullmatch(r"[0-9]{1,3}", row[1]) else None


def _full(lines: Sequence[Line]) -> list[Line]:
    """Without blank fields."""
    return [(number, [field for field in row if field]) for number, row in lines]


def _text(path: StrPath) -> str:
    """The content. Names that are not UTF-8 are spelled as photos' names are."""
    source = Path(path)
    if not source.is_file():
        raise FileError(path, f"no such file; {EXPECTED}")
    if source.stat().st_size > MAX_TABLE_BYTES:
        raise FileError(path, f"is over {MAX_TABLE_BYTES >> 20} MiB; {EXPECTED}")
    text = without_mark(read_bytes(path)).decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise FileError(path, "cannot be read as text; expected a list of pairs")
    return text


def _lines(path: StrPath, text: str) -> list[Line]:
    """The fields of all lines that are not blank."""
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]
    split = _separated([line for _, line in lines]) if lines else str.split
    try:
        found = [(number, [printable(field.strip()) for field in split(line)]) for number, line in lines]
    except csv.Error as error:
        raise FileError(path, f"cannot be read as a table ({error})") from error
    return [(number, row) for number, row in found if any(row)]


def _separated(lines: Sequence[str]) -> Callable[[str], list[str]]:
    """How lines fall into fields: by the comma, semicolon or tab that nearly all have, else by blanks."""
    for separator in SEPARATORS:
        if sum(separator in line for line in lines) >= NEARLY_ALL * len(lines):
            return partial(_by_separator, separator)
    return _by_blanks


def _by_separator(separator: str, line: str) -> list[str]:
    if '"' not in line and len(line) < LONGEST_LINE:
        return line.split(separator)
    return next(csv.reader(io.StringIO(line), delimiter=separator, skipinitialspace=True), [])


def _by_blanks(line: str) -> list[str]:
    """By blanks; where that gives more than four fields, photos' names have blanks, and end with their suffixes."""
    words = line.split()
    is_plain = len(words) == 4 and is_count(words[1]) and is_count(words[3])
    if len(words) <= 3 or is_plain or len(words) > MOST_WORDS:
        return words
    photos = _PHOTO.findall(line)
    return photos if len(photos) in (2, 3, 4) else words

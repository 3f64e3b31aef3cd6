"""Lists of pairs to verify: LFW's `pairs.txt`, YouTube Faces' `splits.txt`, any CSV, and people to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.metrics.records import FOLDS, Pairs, dealt_folds
from likeness.readers import MAX_TABLE_BYTES, read_rows

SAME = {
    "1": True,
    "true": True,
    "same": True,
    "yes": True,
    "0": False,
    "false": False,
    "different": False,
    "no": False,
}
COLUMNS = {
    "first": ("first", "first name", "a", "image1", "photo1", "name1"),
    "second": ("second", "second name", "b", "image2", "photo2", "name2"),
    "same": ("same", "is same", "issame", "is_same", "label"),
    "fold": ("fold", "split", "split number"),
}
"""Titles of CSV columns, any case, by what they hold; ``fold`` may be missing."""


def read_lfw_pairs(path: StrPath) -> Pairs:
    """Read `pairs.txt` of Labeled Faces in the Wild (Huang et al. 2007).

    The first line is ``folds  pairs``. Every fold has so many lines ``name  i  j`` of one person, then as many
    ``name  i  other  j`` of two, separated by tabs or blanks. With ``pairs`` alone, as in `pairsDevTest.txt`, the
    pairs are dealt out to ten folds (:func:`dealt_folds`). Photos are called ``name/name_0001``, as in LFW's folders,
    without suffix.

    Raises:
        FileError: missing, empty, or a line or count that does not fit (says which line).
    """
    lines = [(number, line.split()) for number, line in enumerate(_lines(path), 1) if line.strip()]
    if not lines:
        raise FileError(path, "is empty; expected LFW's pairs.txt")
    head = lines[0][1]
    if len(head) > 2 or not all(word.isdigit() and int(word) > 0 for word in head):
        raise FileError(path, f"line 1: expected 'folds pairs', got {' '.join(head)[:60]!r}")
    folds, each = (1, int(head[0])) if len(head) == 1 else (int(head[0]), int(head[1]))
    if len(lines) - 1 != 2 * folds * each:
        raise FileError(path, f"expected {2 * folds * each} pairs ({folds} x 2 x {each}), got {len(lines) - 1}")
    first, second, same = [], [], []
    for row, (number, words) in enumerate(lines[1:]):
        one = row % (2 * each) < each
        a, b = _lfw_photos(path, number, words, one)
        first.append(a)
        second.append(b)
        same.append(one)
    alike = np.array(same)
    fold = dealt_folds(alike) if len(head) == 1 else np.arange(len(first)) // (2 * each)
    return Pairs(tuple(first), tuple(second), alike, fold)


def read_pair_csv(path: StrPath, folds: int = FOLDS) -> Pairs:
    """Read pairs from any CSV with a title line: columns for first, second, same and, if there, fold (`COLUMNS`).

    YouTube Faces' `splits.txt` is such a file: its names are videos, so verify it with templates. Without a column
    for folds, the pairs are dealt out (:func:`dealt_folds`).

    Raises:
        FileError: missing, empty, a column missing, or a value that cannot be read (says which line).
    """
    rows = [[value.strip() for value in row] for row in read_rows(path, "a CSV of pairs", blank=True)]
    titles = [title.lower() for title in rows[0]] if rows else []
    where = {key: next((titles.index(n) for n in known if n in titles), None) for key, known in COLUMNS.items()}
    missing = [key for key in ("first", "second", "same") if where[key] is None]
    if missing:
        raise FileError(
            path, f"expected a CSV with columns first, second, same[, fold]; {', '.join(missing)} missing"
        )
    body = [(number, row) for number, row in enumerate(rows[1:], 2) if any(row)]
    if not body:
        raise FileError(path, "has no pairs; expected at least one line after the titles")
    columns = {
        key: [_value(path, number, row, at) for number, row in body] for key, at in where.items() if at is not None
    }
    same = []
    for (number, _), word in zip(body, columns["same"], strict=True):
        if word.lower() not in SAME:
            raise FileError(path, f"line {number}: expected same to be 0 or 1, got {word[:40]!r}")
        same.append(SAME[word.lower()])
    alike = np.array(same)
    fold = np.unique(columns["fold"], return_inverse=True)[1] if "fold" in columns else dealt_folds(alike, folds)
    return Pairs(tuple(columns["first"]), tuple(columns["second"]), alike, fold)


def read_names(path: StrPath) -> tuple[str, ...]:
    """Read people or photos to exclude: one name a line; blank lines and lines that start with ``#`` do not count.

    Raises:
        FileError: missing or not text.
    """
    lines = (line.strip() for line in _lines(path))
    return tuple(line for line in lines if line and not line.startswith("#"))


def _lfw_photos(path: StrPath, number: int, words: Sequence[str], alike: bool) -> tuple[str, str]:
    wanted = "'name i j'" if alike else "'name i other j'"
    indices = words[1:] if alike else words[1::2]
    if len(words) != (3 if alike else 4) or not all(word.isdigit() for word in indices):
        raise FileError(path, f"line {number}: expected {wanted}, got {' '.join(words)[:60]!r}")
    people = (words[0], words[0]) if alike else (words[0], words[2])
    a, b = (f"{name}/{name}_{int(index):04d}" for name, index in zip(people, indices, strict=True))
    return a, b


def _value(path: StrPath, number: int, row: list[str], at: int) -> str:
    if at >= len(row) or not row[at]:
        raise FileError(path, f"line {number}: expected a value in column {at + 1}, got none")
    return row[at]


def _lines(path: StrPath) -> list[str]:
    """The lines of a text file, at most ``MAX_TABLE_BYTES`` of it."""
    source = Path(path)
    if not source.is_file():
        raise FileError(path, "no such file; expected a text file")
    if source.stat().st_size > MAX_TABLE_BYTES:
        raise FileError(path, f"is over {MAX_TABLE_BYTES >> 20} MiB; expected a list of pairs or names")
    try:
        return source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(path, f"cannot be read as text ({error})") from error

"""Lists of pairs to verify: LFW's `pairs.txt`, YouTube Faces' `splits.txt`, any CSV, and people to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.metrics.records import FOLDS, Pairs, dealt_folds
from likeness.readers import MAX_TABLE_BYTES, read_rows

SAME = {
    **dict.fromkeys(("1", "+1", "1.0", "true", "same", "yes", "match", "matched", "positive", "genuine"), True),
    **dict.fromkeys(
        ("0", "-1", "0.0", "false", "different", "diff", "no", "mismatch", "negative", "impostor"), False
    ),
}
"""Words, in lower case, for pairs of one person and of two."""

COLUMNS = {
    "first": ("first", "first name", "a", "image1", "photo1", "name1", "path1", "img1", "file1"),
    "second": ("second", "second name", "b", "image2", "photo2", "name2", "path2", "img2", "file2"),
    "same": ("same", "is same", "issame", "is_same", "label", "target"),
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
    if not is_lfw_head(lines[0][1]):
        raise FileError(path, f"line 1: expected 'folds pairs', got {' '.join(lines[0][1])[:60]!r}")
    return lfw_pairs(path, lines[1:], lines[0][1])


def is_lfw_head(words: Sequence[str]) -> bool:
    """Whether this is the first line of LFW's list: one or two counts."""
    return 1 <= len(words) <= 2 and all(word.isdecimal() and int(word) > 0 for word in words)


def lfw_pair(words: Sequence[str]) -> tuple[str, str, bool] | None:
    """Two photos and whether they are of one person, of ``name i j`` or ``name i other j``; else None."""
    if len(words) not in (3, 4):
        return None
    name, i, *others, j = words
    other = others[0] if others else name
    if not (is_count(i) and is_count(j)):
        return None
    return f"{name}/{name}_{int(i):04d}", f"{other}/{other}_{int(j):04d}", name == other


def is_count(word: str) -> bool:
    """Whether a word is a number of LFW's lists."""
    return len(word) <= 9 and word.isascii() and word.isdecimal()


def flagged_pair(row: Sequence[str]) -> tuple[str, str, bool, str] | None:
    """Two photos, whether they are of one person, and the fold (empty: not told)."""
    fold = ""
    if len(row) == 4 and row[3].isdecimal():
        row, fold = row[:3], row[3]
    if len(row) != 3:
        return None
    if row[2].lower() in SAME:
        return row[0], row[1], SAME[row[2].lower()], fold
    return (row[1], row[2], SAME[row[0].lower()], fold) if row[0].lower() in SAME else None


def lfw_pairs(path: StrPath, lines: Sequence[tuple[int, Sequence[str]]], head: Sequence[str] = ()) -> Pairs:
    """Pairs of numbered lines ``name i j`` and ``name i other j``; ``head``: the counts of the first line, if there.

    Raises:
        FileError: a line or the count does not fit (says which line).
    """
    found = [lfw_pair(words) for _, words in lines]
    wrong = next((row for row, pair in enumerate(found) if pair is None), None)
    folds, each = (1, int(head[0])) if len(head) == 1 else (int(head[0]), int(head[1])) if head else (1, 0)
    if head and len(lines) != 2 * folds * each:
        raise FileError(path, f"expected {2 * folds * each} pairs ({folds} x 2 x {each}), got {len(lines)}")
    if wrong is not None:
        number, words = lines[wrong]
        raise FileError(path, f"line {number}: expected 'name i j' or 'name i other j', got {' '.join(words)[:60]!r}")
    pairs = [pair for pair in found if pair is not None]
    alike = np.array([same for _, _, same in pairs])
    fold = np.arange(len(pairs)) // (2 * each) if len(head) == 2 else dealt_folds(alike)
    return Pairs(tuple(a for a, _, _ in pairs), tuple(b for _, b, _ in pairs), alike, fold)


def read_pair_csv(path: StrPath, folds: int = FOLDS) -> Pairs:
    """Read pairs from any CSV with a title line: columns for first, second, same and, if there, fold (`COLUMNS`).

    YouTube Faces' `splits.txt` is such a file: its names are videos, so verify it with templates. Without a column
    for folds, the pairs are dealt out (:func:`dealt_folds`).

    Raises:
        FileError: missing, empty, a column missing, or a value that cannot be read (says which line).
    """
    rows = [[value.strip() for value in row] for row in read_rows(path, "a CSV of pairs", blank=True)]
    return titled_pairs(path, [*enumerate(rows, 1)], folds)


def has_titles(row: Sequence[str]) -> bool:
    """Whether a row has the titles that :func:`titled_pairs` needs."""
    titles = {title.lower() for title in row}
    return all(titles & set(COLUMNS[key]) for key in ("first", "second", "same"))


def titled_pairs(path: StrPath, lines: Sequence[tuple[int, list[str]]], folds: int = FOLDS) -> Pairs:
    """Pairs of numbered rows under titles; arguments and errors as of :func:`read_pair_csv`."""
    rows = [row for _, row in lines]
    titles = [title.lower() for title in rows[0]] if rows else []
    where = {key: next((titles.index(n) for n in known if n in titles), None) for key, known in COLUMNS.items()}
    missing = [key for key in ("first", "second", "same") if where[key] is None]
    if missing:
        raise FileError(
            path, f"expected a CSV with columns first, second, same[, fold]; {', '.join(missing)} missing"
        )
    body = [(number, row) for number, row in lines[1:] if any(row)]
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

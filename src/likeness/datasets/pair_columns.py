"""Long lists of pairs whose lines are all alike, read by whole columns: millions of lines in seconds.

What is not alike in every line, or not a pair in one, is left to the readers of single lines, which say what is wrong
and where (:mod:`likeness.datasets.pair_lists`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from likeness.datasets.pairs import COLUMNS, SAME, flagged_pair, is_count, is_lfw_head
from likeness.metrics.records import Pairs, dealt_folds

SEPARATORS = (",", ";", "\t")
"""Between fields, the first that nearly all lines have; where none is, blanks are."""

NEARLY_ALL = 0.9

LONGEST_LINE = 1 << 17
"""Characters; the csv module takes no longer field."""

_END = "\0"
_ODD_ENDS = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def plain_text(text: str) -> str | None:
    """A list without quotes, comments and characters that are spelled otherwise in names; None: it is none."""
    text = text.replace("\r\n", "\n").removesuffix("\n")
    if '"' in text or text.startswith("#") or "\n#" in text or any(end in text for end in _ODD_ENDS):
        return None
    if not text.replace("\n", " ").replace("\t", " ").isprintable() or _longest_line(text) > LONGEST_LINE:
        return None
    return text


def columns_of(text: str) -> list[list[str]] | None:
    """The fields of lines that all have the same number of them, by column; None where they do not.

    Args:
        text: of :func:`plain_text`, without NUL.
    """
    lines = text.count("\n") + 1
    for separator in SEPARATORS:
        if text.count(separator) >= NEARLY_ALL * lines:
            flat = text.replace("\n", f"{separator}{_END}{separator}").split(separator)
            columns = _columns(flat, lines)
            return [_stripped(column) for column in columns] if columns and (" " in text or "\t" in text) else columns
    columns = _columns(text.replace("\n", f" {_END} ").split(), lines)
    return columns if columns and len(columns) <= 3 else None  # names of more words have blanks


def _longest_line(text: str) -> int:
    """Bytes of UTF-8."""
    ends = np.flatnonzero(np.frombuffer(text.encode(), np.uint8) == ord("\n"))
    return int(np.diff(ends, prepend=-1, append=len(text.encode())).max())


def _columns(flat: list[str], lines: int) -> list[list[str]] | None:
    """Of all fields in a row, with an end after each line but the last."""
    flat.append(_END)
    width, rest = divmod(len(flat), lines)
    is_regular = rest == 0 and width > 1 and flat[width - 1 :: width].count(_END) == lines
    return [flat[column::width] for column in range(width - 1)] if is_regular else None


def _stripped(column: list[str]) -> list[str]:
    return [field.strip() for field in column]


class _Numbers(dict[str, str]):
    """The four digits of a count, as LFW's photos have them."""

    def __missing__(self, word: str) -> str:
        if not is_count(word):
            raise ValueError(word)
        self[word] = f"{int(word):04d}"
        return self[word]


def lfw_lines(text: str) -> Pairs | None:
    """Pairs of LFW's ``name i j`` and ``name i other j``, with its first line or without; None where a line is
    neither, the count does not fit, or all may be of another kind.

    Args:
        text: of :func:`plain_text`.
    """
    lines = text.split("\n")
    if (" " in text and "\t" in text) or any(text.count(one) >= NEARLY_ALL * len(lines) for one in SEPARATORS[:2]):
        return None
    rows = [*map(str.split, lines)]
    head = rows.pop(0) if is_lfw_head(rows[0]) else []
    folds, each = (int(head[0]), int(head[-1])) if len(head) == 2 else (1, int(head[0]) if head else 0)
    if not rows or (head and len(rows) != 2 * folds * each):
        return None
    if not head and all(flagged_pair(row) is not None for row in rows):
        return None
    first, second, alike, digits = [], [], [], _Numbers()
    try:
        for row in rows:
            name, i, *others, j = row
            if len(row) > 4:
                return None
            other = others[0] if others else name
            first.append(f"{name}/{name}_{digits[i]}")
            second.append(f"{other}/{other}_{digits[j]}")
            alike.append(name == other)
    except ValueError:
        return None
    same = np.array(alike)
    fold = np.arange(len(rows)) // (2 * each) if len(head) == 2 else dealt_folds(same)
    return Pairs(tuple(first), tuple(second), same, fold)


def titled_columns(columns: Sequence[list[str]]) -> Pairs | None:
    """Pairs of columns under the titles that :func:`~likeness.datasets.pairs.titled_pairs` knows; None where there
    are none, or a value is missing or is none."""
    titles = [column[0].lower() for column in columns]
    where = {key: next((titles.index(one) for one in known if one in titles), None) for key, known in COLUMNS.items()}
    chosen = {key: columns[at][1:] for key, at in where.items() if at is not None}
    if not {"first", "second", "same"} <= chosen.keys():
        return None
    return _pairs(chosen["first"], chosen["second"], chosen["same"], chosen.get("fold"))


def untitled_columns(columns: Sequence[list[str]]) -> Pairs | None:
    """Pairs of columns ``photo photo 1`` (or 0), with a fold or without, or the flag first, or of two lines
    ``photo 1`` each; None where a line is none of these, or all may be of LFW's kind."""
    if any("" in column for column in columns):
        return None
    if len(columns) == 2:
        return _of_two_lines(*columns)
    if len(columns) not in (3, 4) or all(map(str.isdecimal, columns[1])):
        return None
    fold = columns[3] if len(columns) == 4 else None
    if fold is not None and not all(map(str.isdecimal, fold)):
        return None
    first, second, third = columns[:3]
    if any(word.lower() in SAME for word in set(third)):
        return _pairs(first, second, third, fold)
    return _pairs(second, third, first, fold)


def _pairs(first: list[str], second: list[str], same: list[str], fold: list[str] | None) -> Pairs | None:
    words = {word: SAME.get(word.lower()) for word in set(same)}
    if not words or None in words.values() or any("" in column for column in (first, second, fold or ())):
        return None
    alike = np.fromiter(map(words.__getitem__, same), bool, len(same))
    if fold is None:
        return Pairs(tuple(first), tuple(second), alike, dealt_folds(alike))
    number = {name: place for place, name in enumerate(sorted(set(fold)))}
    return Pairs(tuple(first), tuple(second), alike, np.fromiter(map(number.__getitem__, fold), int, len(fold)))


def _of_two_lines(photo: list[str], flag: list[str]) -> Pairs | None:
    words = set(flag)
    if len(flag) % 2 or flag[::2] != flag[1::2] or not all(re.fullmatch(r"[0-9]{1,3}", word) for word in words):
        return None
    alike = np.fromiter((word.strip("0") != "" for word in flag[::2]), bool, len(flag) // 2)
    return Pairs(tuple(photo[::2]), tuple(photo[1::2]), alike, dealt_folds(alike))

"""Numbers as text: the tables that the terminal and the report show, made from the numbers in results.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

UNKNOWN = "–"


@dataclass(frozen=True)
class Table:
    """A table of text: every row as long as ``columns``; the first column names the rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        rows = [list(row) for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "note": self.note}


def number(value: float | int | None, digits: int = 3) -> str:
    """A number with so many digits behind the point; whole numbers with thousands marked; None: a dash."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return UNKNOWN if value is None else f"{100 * value:.{digits}f} %"


def estimate(value: dict[str, Any], digits: int = 3, share: bool = False) -> str:
    """An :class:`likeness.metrics.Estimate` as a dictionary: its value and, where it has one, its interval."""
    factor = 100 if share else 1
    if value["value"] is None:
        return UNKNOWN
    text = f"{factor * value['value']:.{digits}f}" + (" %" if share else "")
    if value.get("low") is None:
        return text
    return f"{text} [{factor * value['low']:.{digits}f}, {factor * value['high']:.{digits}f}]"

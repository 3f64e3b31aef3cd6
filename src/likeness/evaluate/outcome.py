"""What an evaluation gives: numbers, tables of them, plots and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from likeness.errors import Excluded
from likeness.evaluate.tables import Table


@dataclass(frozen=True, eq=False)
class Plot:
    """A drawn diagram: an SVG document without anything outside it."""

    title: str
    svg: bytes
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures (H, W, 3) uint8 RGB in a row, each with a line of text."""

    title: str
    pictures: tuple[tuple[np.ndarray, str], ...]
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of one evaluation.

    Args:
        results: plain numbers, ready for JSON; all tables are made from them.
        tables: for the terminal and the report.
        excluded: everything that was left out, and why.
        plots, galleries: for the report.
        panel: the visual test, (H, W, 3) uint8 RGB, where there is one.
        notes: lines for the reader, such as why there is no plot.
    """

    results: dict[str, Any]
    tables: tuple[Table, ...]
    excluded: tuple[Excluded, ...] = ()
    plots: tuple[Plot, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    panel: np.ndarray | None = None
    notes: tuple[str, ...] = field(default=())

"""Pictures for a training, opened while the user hears what is read and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.cli.display import Display

if TYPE_CHECKING:
    from likeness.datasets.training import Opened


def opened_sources(paths: Sequence[Path], display: Display, are_decoded: bool = True) -> Opened:
    """:func:`likeness.datasets.open_sources`; ``are_decoded`` keeps pictures in memory, if they fit."""
    from likeness.datasets import open_sources
    from likeness.datasets.image_store import DECODED_LIMIT

    if paths:
        display.tell(f"reading {', '.join(str(path) for path in paths)}")
    opened = open_sources(paths, DECODED_LIMIT if are_decoded else 0)
    for line in opened.describe():
        display.tell(line)
    return opened

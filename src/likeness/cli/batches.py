"""What commands that work through many files share."""

from __future__ import annotations

import sys
from typing import Any


def progress(photos: tuple[Any, ...], what: str = "photos") -> Any:
    """A progress bar for many photos (or ``what``); rich is imported only then, it costs start-up time."""
    if len(photos) < 3 or not sys.stderr.isatty():
        return photos
    from rich.console import Console
    from rich.progress import track

    return track(photos, description=what, console=Console(stderr=True))

"""What commands that work through many files share."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from likeness.errors import FileError


def progress(photos: tuple[Any, ...], what: str = "photos") -> Any:
    """A progress bar for many photos (or ``what``); rich is imported only then, it costs start-up time."""
    if len(photos) < 3 or not sys.stderr.isatty():
        return photos
    from rich.console import Console
    from rich.progress import track

    return track(photos, description=what, console=Console(stderr=True))


def check_writable(folder: Path) -> None:
    """Say before the work, not after it, that the results could not be written."""
    if folder.exists() and not folder.is_dir():
        raise FileError(folder, "is a file; expected a folder for the results")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder)
    except OSError as error:
        raise FileError(folder, f"cannot be written to ({error.strerror}); expected a writable folder") from error
    os.close(descriptor)
    os.unlink(name)

"""The command line: `likeness` and its commands."""

import os
import sys

_COLOURS = "PYTHON_TYRO_ANSI_CODES"
if os.environ.get("NO_COLOR") or not all(stream and stream.isatty() for stream in (sys.stdout, sys.stderr)):
    # tyro asks this variable when it is imported; it knows no NO_COLOR, and of streams standard output alone.
    _before = os.environ.get(_COLOURS)
    os.environ[_COLOURS] = "False"
    import tyro  # noqa: F401

    if _before is None:
        del os.environ[_COLOURS]  # processes that this one starts decide for themselves
    else:
        os.environ[_COLOURS] = _before

from likeness.cli.main import main  # noqa: E402

__all__ = ["main"]

"""The command line: `likeness` and its commands."""

from likeness.cli.main import main

__all__ = ["main"]

"""The command `likeness completion`: the script that lets a shell complete commands, options and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

WRITES = "--tyro-print-completion"
"""What tyro prints a script for, in place of running anything."""


@dataclass
class Completion:
    """Print the script that lets a shell complete commands, options and files; docs/cli.md says where it goes."""

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional]
    """Which one."""

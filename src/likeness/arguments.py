"""Types of the command line's optional arguments, as its help should name them: ``PATH``, not ``{None}|PATH``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

MaybePath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
MaybeInt = Annotated[int | None, tyro.conf.arg(metavar="INT")]
MaybeStr = Annotated[str | None, tyro.conf.arg(metavar="NAME")]

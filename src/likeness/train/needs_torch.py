"""Imported first by what needs torch: says which extra installs it."""

from __future__ import annotations

from importlib.util import find_spec

from likeness.errors import MissingExtraError

if any(find_spec(name) is None for name in ("torch", "lightning")):
    raise MissingExtraError("training", "train")

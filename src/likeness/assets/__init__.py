"""The embedded default: face model, network and face detector, checked against ``provenance.json`` before use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from likeness.errors import FileError

FOLDER = Path(__file__).parent


def asset(name: str) -> Path:
    """Path of an embedded file whose content is what was shipped.

    Raises:
        FileError: it is missing or damaged (the sha256 in ``provenance.json`` does not match).
    """
    path = FOLDER / name
    try:
        data = path.read_bytes()
        expected = json.loads((FOLDER / "provenance.json").read_text())["sha256"][name]
    except (OSError, KeyError, ValueError) as error:
        raise FileError(path, f"embedded file cannot be read ({error}); reinstall likeness3d") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise FileError(path, "embedded file is damaged (sha256 differs from provenance.json); reinstall likeness3d")
    return path

"""Units of length."""

from __future__ import annotations

from typing import Literal

Unit = Literal["mm", "cm", "m", "inch"]

UNITS: dict[str, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "inch": 25.4}
"""Millimetres per unit."""

"""Numbers of text files."""

from __future__ import annotations

import re

import numpy as np

_NOT_FINITE = re.compile(rb"[+-]?(?:nan[qs]?(?:\(\w*\))?|1\.#(?:inf|ind|[qs]nan)\d*)", re.IGNORECASE)
"""As C libraries print what is no finite number and Python does not read: -nan(ind), nan(0x8), NaNQ, -1.#IND00."""


def floats(words: list[bytes]) -> np.ndarray:
    """(N,) float64; what is no finite number, however it is spelt, is infinite or not a number.

    Raises:
        ValueError: a word is no number.
    """
    try:
        return np.array(words, dtype=np.float64)
    except ValueError:
        return np.array([b"nan" if _NOT_FINITE.fullmatch(word) else word for word in words], dtype=np.float64)


def is_float(word: bytes) -> bool:
    """Whether :func:`floats` takes it."""
    try:
        floats([word])
    except ValueError:
        return False
    return True

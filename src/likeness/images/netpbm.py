"""PGM and PPM: headers, and pixels as they are (Netpbm's formats P2, P3, P5 and P6).

OpenCV reads them too, but scales what has another maximum than 255 or 65,535 in some of the four formats only.
"""

from __future__ import annotations

import math
import re

import numpy as np

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([2356])" + 3 * (_GAP + rb"(\d{1,9})") + rb"\s")
_LONGEST_HEADER = 4096


def netpbm_header(data: bytes) -> tuple[tuple[int, int], int]:
    """(width, height) and the value that is white.

    Raises:
        ValueError: damaged, or cut short.
    """
    kind, width, height, white, start = _parsed(data)
    numbers = width * height * _channels(kind)
    fewest = numbers * (1 if white < 256 else 2) if kind in (5, 6) else 2 * numbers - 1
    if len(data) - start < fewest:
        raise ValueError("is cut short: expected a complete PGM or PPM")
    return (width, height), white


def netpbm_pixels(data: bytes) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 or uint16, not scaled; ValueError if damaged."""
    kind, width, height, white, start = _parsed(data)
    shape = (height, width, 3)[: 3 if _channels(kind) == 3 else 2]
    numbers = math.prod(shape)
    if kind in (5, 6):
        return (
            np.frombuffer(data, "u1" if white < 256 else ">u2", numbers, start)
            .reshape(shape)
            .astype(np.uint8 if white < 256 else np.uint16)
        )
    try:
        values = np.array(re.sub(rb"#[^\n]*", b"", data[start:]).split()[:numbers], np.uint16)
    except (ValueError, OverflowError) as error:
        raise ValueError("is damaged: expected whole numbers") from error
    if len(values) != numbers:
        raise ValueError("is cut short: expected a complete PGM or PPM")
    return values.reshape(shape)


def _parsed(data: bytes) -> tuple[int, int, int, int, int]:
    found = _HEADER.match(data[:_LONGEST_HEADER])
    if found is None:
        raise ValueError("is damaged: expected the header of a PGM or PPM")
    kind, width, height, white = (int(number) for number in found.groups())
    if not 0 < white < 65536:
        raise ValueError(f"is damaged: expected a maximum of 1 to 65535, got {white}")
    return kind, width, height, white, found.end()


def _channels(kind: int) -> int:
    return 3 if kind in (3, 6) else 1

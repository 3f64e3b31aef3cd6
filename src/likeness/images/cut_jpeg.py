"""A JPEG that ends too early: which of its lines are there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

END = b"\xff\xd9"
_FILL = bytes([0x5A, 0xA5, 0x3C]) * 64  # codes that no picture ends in by chance, without the 255 of a marker


def known_lines(data: bytes, decode: Callable[[bytes], np.ndarray]) -> tuple[np.ndarray, int]:
    """The pixels of a JPEG without its end, and how many of its lines, from the top, are the picture's.

    A decoder makes something up for what is missing. What is made up depends on what stands in its place, so the
    file is decoded twice, with nothing and with other bytes there: lines that agree are known.

    Args:
        data: of one scan, without the end-of-image marker.
        decode: gives the pixels (H, W, ...) of a file.

    Returns:
        The pixels, and the number of lines.
    """
    with _silent_libjpeg():
        pixels, other = decode(data + END), decode(data + _FILL + END)
    differs = (pixels != other).reshape(len(pixels), -1).any(axis=1)
    return pixels, int(differs.argmax()) if differs.any() else len(pixels)


@contextmanager
def _silent_libjpeg() -> Iterator[None]:
    """libjpeg tells of what is missing on the process's stderr, past OpenCV's log and past Python's sys.stderr."""
    sys.stderr.flush()
    try:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # no stderr, or no descriptor left: then it tells
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

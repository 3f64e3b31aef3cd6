"""The `.bin` sets of the face-recognition world (lfw, cfp_fp, agedb_30 ...), read without running anything in them.

Such a file is a Python pickle of ``(images, same)``: 2 n encoded images, those of pair k at 2 k and 2 k + 1, and n
booleans. Unpickling would call whatever the file names; :mod:`likeness.model.formats.pickles` takes it apart instead,
so a hostile file is at worst refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.metrics.records import Pairs, contiguous_folds
from likeness.model.formats.pickles import Record, as_array, as_bytes, load_pickle

MAX_BYTES = 1 << 30
MAX_ITEMS = 4_000_000
"""Instructions in a file: the largest set (IJB excepted, which has another format) needs about 100,000."""

_BROKEN = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError, MemoryError)
"""What operands that an operation cannot use raise."""


@dataclass(frozen=True, eq=False)
class BinSet:
    """A verification set.

    Args:
        images: 2 n encoded images (JPEG or PNG).
        pairs: n pairs; image i is called ``f"{i:06d}"``; ten folds of consecutive pairs.
        path: the file.
    """

    images: tuple[bytes, ...]
    pairs: Pairs
    path: str


def read_bin(path: StrPath) -> BinSet:
    """Read a `.bin` set; nothing in the file is executed.

    Raises:
        FileError: missing, over ``MAX_BYTES``, cut short, a pickle that needs anything but containers, bytes, numbers
            and byte arrays, or one that does not hold 2 n images and n booleans.
    """
    source = Path(path)
    if not source.is_file():
        raise FileError(path, "no such file; expected a verification set (.bin)")
    if source.stat().st_size > MAX_BYTES:
        raise FileError(path, f"is over {MAX_BYTES >> 20} MiB; expected a verification set (.bin)")
    try:
        data = source.read_bytes()
        images, same = _images_and_same(load_pickle(path, data, MAX_ITEMS), len(data))
    except FileError as error:
        raise FileError(path, f"expected a verification set (.bin): {str(error).partition(': ')[2]}") from error
    except _BROKEN as error:
        raise FileError(path, f"expected a verification set (.bin): {error or type(error).__name__}") from error
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    names = tuple(f"{number:06d}" for number in range(len(images)))
    pairs = Pairs(names[::2], names[1::2], np.array(same, bool), contiguous_folds(len(same)))
    return BinSet(images, pairs, str(path))


def _images_and_same(value: Any, size_of_file: int) -> tuple[tuple[bytes, ...], list[bool]]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"got {_kind(value)} instead of (images, same)")
    images, same = (_items(part) for part in value)
    if not same or len(images) != 2 * len(same):
        raise ValueError(
            f"got {len(images)} images for {len(same)} pairs; two each, and at least one pair, are needed"
        )
    encoded: list[bytes] = []
    copied = 0
    for number, image in enumerate(images):
        encoded.append(_bytes_of(image, number))
        copied += 0 if encoded[-1] is image else len(encoded[-1])
        if copied > size_of_file:  # one text may be listed, and would be copied, many times
            raise ValueError("more bytes than the file holds")
    for number, alike in enumerate(same):
        if not isinstance(alike, (bool, int)) or alike not in (0, 1):
            raise ValueError(f"pair {number} is {_kind(alike)} instead of same or not")
    return tuple(encoded), [bool(alike) for alike in same]


def _items(part: Any) -> list[Any]:
    if isinstance(part, Record):
        return list(as_array(part).tolist())
    if not isinstance(part, (list, tuple)):
        raise ValueError(f"got {_kind(part)} instead of a list")
    return [bool(as_array(item)) if _is_flag(item) else item for item in part]


def _is_flag(item: Any) -> bool:
    return isinstance(item, Record) and item.kind.endswith(".scalar")


def _bytes_of(image: Any, number: int) -> bytes:
    if isinstance(image, bytes) and image:
        return image
    try:
        found = as_bytes(image)
    except ValueError as error:
        raise ValueError(f"image {number}: {error}") from error
    if not found:
        raise ValueError(f"image {number} is {_kind(image)} instead of encoded bytes")
    return found


def _kind(value: Any) -> str:
    return (
        f"an empty {type(value).__name__}" if value in (b"", "") else f"a {type(value).__name__.strip('_').lower()}"
    )

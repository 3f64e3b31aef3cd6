"""MATLAB files of version 5 (``save -v6`` and ``-v7``), numeric arrays only.

The layout is MathWorks' "MAT-File Format" (level 5). SciPy's reader would do, but it allocates what an element's tag
claims before it looks for the bytes; this one looks first, and needs no extra package.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Container

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.readers import GROWTH, SMALL

MATLAB_ORIGIN = 1.0
"""The first pixel's centre in MATLAB's pixels, ours is 0.

300W's page at iBUG says so of its points: the top left pixel is x = 1, y = 1.
300W-LP and AFLW2000-3D come from MATLAB code; that they count from 1 is what 3DDFA does when it leaves MATLAB (Guo et
al. 2020, `similar_transform`: x - 1, and size - y, of an image whose last row is `size` and y points up).
"""

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC_CLASSES = range(6, 16)  # mxDOUBLE to mxUINT64


def read_mat(path: StrPath, names: Container[str], data: bytes | None = None) -> dict[str, np.ndarray]:
    """The numeric variables of a MAT-file whose names are in ``names``, as saved (columns first) and read-only.

    Args:
        path: the file, or what ``data`` is called in messages.
        names: of the variables that are wanted.
        data: the content; None: the file's.

    Raises:
        FileError: another format (also MATLAB 7.3, which is HDF5), truncated, or a claim beyond the file's size.
    """
    data = read_bytes(path) if data is None else data
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise FileError(path, "expected a MATLAB file of version 5 (saved with -v7 or -v6)")
    order = "<" if data[126:128] == b"IM" else ">"
    found: dict[str, np.ndarray] = {}
    try:
        position = 128
        while position < len(data):
            kind, body, position = _element(data, position, order)
            if kind == _COMPRESSED:
                kind, body, _ = _element(_inflate(body), 0, order)
            variable = _matrix(body, order, names) if kind == _MATRIX else None
            if variable is not None:
                found[variable[0]] = variable[1]
    except (ValueError, zlib.error) as error:
        raise FileError(path, f"expected a MATLAB file of version 5: {error}") from error
    return found


def _element(data: bytes | memoryview, position: int, order: str) -> tuple[int, memoryview, int]:
    """Type, content, and the position of the next element (on 8 bytes, except after compressed ones)."""
    view = memoryview(data)
    if len(view) - position < 8:
        raise ValueError(f"cut off at byte {position} of {len(view)}")
    first, size = (int(n) for n in np.frombuffer(view, f"{order}u4", 2, position))
    start = position + 8
    if first >> 16:  # a small element: its size is in the type's upper half, its content in place of the size
        first, size, start = first & 0xFFFF, first >> 16, position + 4
        if size > 4:
            raise ValueError(f"a small element of {size} bytes")
    if size > len(view) - start:
        raise ValueError(f"an element claims {size} bytes, {len(view) - start} are left")
    end = start + size
    after = end if first == _COMPRESSED else -(-end // 8) * 8
    return first, view[start:end], after


def _inflate(data: memoryview) -> bytes:
    limit = max(SMALL, GROWTH * len(data))
    inflater = zlib.decompressobj()
    content = inflater.decompress(data, limit)
    if not inflater.eof:
        raise ValueError(f"a compressed variable is cut off or grows beyond {limit} bytes")
    return content


def _matrix(data: memoryview, order: str, names: Container[str]) -> tuple[str, np.ndarray] | None:
    """Name and values of a matrix element; None if it is not numeric or not wanted."""
    _, flags, position = _element(data, 0, order)
    if len(flags) != 8:
        raise ValueError("a variable without its flags")
    class_number = int(np.frombuffer(flags, f"{order}u4", 1)[0]) & 0xFF
    if class_number not in _NUMERIC_CLASSES:
        return None
    kind, dimensions, position = _element(data, position, order)
    if kind != 5 or len(dimensions) % 4 or len(dimensions) > 64:
        raise ValueError("a variable without its dimensions")
    shape = tuple(int(n) for n in np.frombuffer(dimensions, f"{order}i4"))
    _, label, position = _element(data, position, order)
    name = bytes(label).decode("latin1")
    if name not in names:
        return None
    kind, content, _ = _element(data, position, order)
    if kind not in _NUMBERS:
        raise ValueError(f"{name} is of an unknown type {kind}")
    dtype = np.dtype(order + _NUMBERS[kind])
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{name} {shape} with {len(content)} bytes")
    return name, np.frombuffer(content, dtype).reshape(shape, order="F")

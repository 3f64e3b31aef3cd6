"""HEIC, AVIF, JPEG XL and JPEG 2000 before they are decoded: their boxes, sizes, turns and EXIF.

Layouts: ISO/IEC 14496-12 (boxes), 23008-12 (HEIF), 18181-1 and -2 (JPEG XL), 15444-1 (JPEG 2000).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
JXL_SIGNATURES = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
JP2_SIGNATURES = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")

_JXL_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_JXL_HEADER = 32  # bytes of a codestream that hold what is read of it, and more
_JXL_BITS = (9, 13, 18, 30)  # how many bits a side takes, by a selector of two bits
_UPRIGHT: dict[int | None, tuple[int, int, int, int]] = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}
"""EXIF's orientation by mirror (none, top to bottom, left to right) and quarter turns to the left before it."""


@dataclass(frozen=True)
class Boxed:
    """What the boxes say.

    Attributes:
        size: (width, height) as stored.
        clean: (width, height) of what is to be shown of it.
        largest: pixels of the largest picture in the file.
        orientation: EXIF's number for the turns and mirrors that are to be applied.
        depth: bits per channel.
        exif: the EXIF block (a TIFF), empty where there is none.
        packed_exif: the content of the EXIF box as Brotli has compressed it, empty where it is not.
    """

    size: tuple[int, int]
    largest: int
    orientation: int = 1
    depth: int = 8
    exif: bytes = b""
    packed_exif: bytes = b""
    clean: tuple[int, int] | None = None


def heif_kind(data: bytes) -> str | None:
    """ "HEIC" or "AVIF" by the brands of a file's first box; None for other files (videos have such a box, too)."""
    if data[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, length - 3, 4))}
    if brands & AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & HEIC_BRANDS else None


def read_heif(data: bytes) -> Boxed:
    """The primary picture of HEIC or AVIF.

    Raises:
        ValueError, struct.error, IndexError, KeyError: damaged or cut short.
    """
    top = _children(data, 0, len(data))
    start, end = top[b"meta"]
    meta = _children(data, start + 4, end)
    start, _ = meta[b"pitm"]
    primary = _number(data, start + 4, 2 if data[start] == 0 else 4)
    inner = _children(data, *meta[b"iprp"])
    properties = list(boxes(data, *inner[b"ipco"]))
    sizes = [struct.unpack_from(">II", data, at + 4) for kind, at, _ in properties if kind == b"ispe"]
    size, turn = sizes[0], 0
    mirror: int | None = None
    clean: tuple[int, int] | None = None
    for index in _associated(data, inner[b"ipma"][0], primary):
        kind, at, _ = properties[index - 1]
        if kind == b"ispe":
            size = struct.unpack_from(">II", data, at + 4)
        elif kind == b"irot":
            turn = data[at] & 3
        elif kind == b"imir":
            mirror = data[at] & 1
        elif kind == b"clap":
            parts = struct.unpack_from(">4I", data, at)
            clean = (parts[0] // max(parts[1], 1), parts[2] // max(parts[3], 1))
    flags = [data[at + 2] for kind, at, _ in properties if kind == b"av1C"]
    depth = max((8 if not flag & 0x40 else 12 if flag & 0x20 else 10 for flag in flags), default=8)
    exif = _exif_item(data, meta) if b"iloc" in meta and b"iinf" in meta else b""
    largest = max(width * height for width, height in sizes)
    return Boxed((size[0], size[1]), largest, _UPRIGHT[mirror][turn], depth, exif, clean=clean)


def read_jxl(data: bytes) -> Boxed:
    """The size of a JPEG XL and its orientation, from its codestream, and the EXIF of its container.

    Raises:
        ValueError, struct.error, IndexError, KeyError: damaged or cut short.
    """
    stream, exif, packed = data[:_JXL_HEADER], b"", b""
    if not data.startswith(JXL_SIGNATURES[0]):
        stream = b""
        for kind, at, end in boxes(data, 0, len(data)):
            if kind in (b"jxlc", b"jxlp") and len(stream) < _JXL_HEADER:
                stream += data[at + 4 * (kind == b"jxlp") : end][:_JXL_HEADER]
            elif kind == b"Exif" and not exif:
                exif = tiff_of(data[at:end])
            elif kind == b"brob" and data[at : at + 4] == b"Exif" and not packed:
                packed = data[at + 4 : end]
    bits = _Bits(stream[2:_JXL_HEADER])
    small = bits.take(1)
    height = _jxl_side(bits, small)
    ratio = bits.take(3)
    if ratio:
        over, under = _JXL_RATIOS[ratio]
        width = height * over // under
    else:
        width = _jxl_side(bits, small)
    is_turned = not bits.take(1) and bits.take(1)  # not all is as usual, and what is not so is more than colours
    orientation = 1 + bits.take(3) if is_turned else 1
    return Boxed((width, height), width * height, orientation, exif=exif, packed_exif=packed)


def without_boxes(data: bytes, left_out: bytes) -> bytes:
    """A file without the boxes of one kind.

    Raises:
        ValueError: damaged.
    """
    kept, done = [], 0
    for kind, _, end in boxes(data, 0, len(data)):
        if kind != left_out:
            kept.append(data[done:end])
        done = end
    return b"".join(kept)


def read_jp2(data: bytes) -> Boxed:
    """The size of a JPEG 2000, boxed or bare, and its bits per channel.

    Raises:
        ValueError, struct.error, IndexError, KeyError: damaged or cut short.
    """
    start = 0 if data.startswith(JP2_SIGNATURES[0]) else _children(data, 0, len(data))[b"jp2c"][0]
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    depth = (data[start + 42] & 0x7F) + 1
    size = (right - left, bottom - top)
    return Boxed(size, size[0] * size[1], depth=depth)


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the content starts and ends, of the boxes between two places.

    Raises:
        ValueError: a box that does not fit in.
    """
    at = start
    while at + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        stop = end if length == 0 else at + length
        if stop < at + head or stop > end:
            raise ValueError("is cut short: expected complete boxes")
        yield kind, at + head, stop
        at = stop


def _children(data: bytes, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    """The first box of each kind."""
    found: dict[bytes, tuple[int, int]] = {}
    for kind, first, last in boxes(data, start, end):
        found.setdefault(kind, (first, last))
    return found


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise ValueError("is cut short: expected complete boxes")
    return int.from_bytes(data[at : at + size], "big")


def _associated(data: bytes, at: int, wanted: int) -> list[int]:
    """Numbers, from 1, of an item's properties in the box ``ipma``, in their order."""
    version, wide = data[at], data[at + 3] & 1
    id_size, index_size = (2 if version == 0 else 4), 1 + wide
    count, at = _number(data, at + 4, 4), at + 8
    for _ in range(min(count, len(data))):
        item, number = _number(data, at, id_size), data[at + id_size]
        at += id_size + 1
        if item == wanted:
            indices = (_number(data, at + index_size * k, index_size) for k in range(number))
            return [index & (0x7FFF if wide else 0x7F) for index in indices]
        at += number * index_size
    return []


def _exif_item(data: bytes, meta: dict[bytes, tuple[int, int]]) -> bytes:
    """The content of the first item of type Exif."""
    start, end = meta[b"iinf"]
    for kind, at, _ in boxes(data, start + (6 if data[start] == 0 else 8), end):
        wide = data[at] == 3
        if kind == b"infe" and data[at] in (2, 3) and data[at + (10 if wide else 8) :][:4] == b"Exif":
            return tiff_of(_located(data, meta[b"iloc"][0], _number(data, at + 4, 4 if wide else 2)))
    return b""


def _located(data: bytes, at: int, wanted: int) -> bytes:
    """The first piece of an item that the box ``iloc`` says to lie in the file."""
    version = data[at]
    offset_size, length_size = data[at + 4] >> 4, data[at + 4] & 15
    base_size, index_size = data[at + 5] >> 4, (data[at + 5] & 15 if version else 0)
    id_size = 2 if version < 2 else 4
    count, at = _number(data, at + 6, id_size), at + 6 + id_size
    extent = index_size + offset_size + length_size
    for _ in range(min(count, len(data))):
        item = _number(data, at, id_size)
        at += id_size
        method = _number(data, at, 2) & 15 if version else 0
        at += 4 if version else 2
        base = _number(data, at, base_size)
        pieces, at = _number(data, at + base_size, 2), at + base_size + 2
        if item == wanted:
            if method or not pieces:
                return b""
            offset = base + _number(data, at + index_size, offset_size)
            return data[offset : offset + _number(data, at + index_size + offset_size, length_size)]
        at += pieces * extent
    return b""


def tiff_of(content: bytes) -> bytes:
    """An EXIF item or box without what precedes its TIFF: how far that is stands in its first four bytes.

    Some writers of JPEG XL leave these out.
    """
    return content if content[:2] in (b"II", b"MM") else content[4 + int.from_bytes(content[:4], "big") :]


def _jxl_side(bits: _Bits, small: int) -> int:
    return 8 * (bits.take(5) + 1) if small else bits.take(_JXL_BITS[bits.take(2)]) + 1


class _Bits:
    """Reads bits, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("is cut short: expected a complete header")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

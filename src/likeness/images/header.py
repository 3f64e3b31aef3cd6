"""What an image file says about itself before its pixels are decoded: format, size, whether it is whole,
EXIF.

Sizes are checked here because a decoder allocates before it fails, and truncation because libjpeg silently
fills the missing half with grey. Layouts: ITU T.81 (JPEG), W3C PNG, RFC 9649 (WebP), TIFF 6.0, JEITA
CP-3451 (EXIF).
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FORMATS = "JPEG, PNG, WebP, TIFF, BMP or GIF"

ORIENTATION, EXIF_FOLDER = 0x0112, 0x8769
TIFF_WIDTH, TIFF_HEIGHT = 0x0100, 0x0101
TIFF_PIECES = ((0x0111, 0x0117), (0x0144, 0x0145))  # offsets and byte counts of strips, of tiles
FOCAL_LENGTH, FOCAL_LENGTH_35MM = 0x920A, 0xA405
PLANE_X_RESOLUTION, PLANE_RESOLUTION_UNIT = 0xA20E, 0xA210
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003

_PIECES = frozenset(tag for pair in TIFF_PIECES for tag in pair)
WANTED = frozenset(
    {TIFF_WIDTH, TIFF_HEIGHT, ORIENTATION, EXIF_FOLDER, FOCAL_LENGTH, FOCAL_LENGTH_35MM}
    | {PLANE_X_RESOLUTION, PLANE_RESOLUTION_UNIT, PIXEL_WIDTH, PIXEL_HEIGHT}
    | _PIECES
)
TIFF_TYPES = {1: "B", 3: "H", 4: "I", 5: "II", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I", 16: "Q", 18: "Q"}

DIAGONAL_35MM = math.hypot(36.0, 24.0)
"""The diagonal of a frame of 35 mm film, mm: what CIPA's 35-mm-equivalent focal length refers to."""

MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # EXIF's resolution units: inch, cm, mm, µm


@dataclass(frozen=True)
class ImageHeader:
    """What the header says.

    Attributes:
        format: "JPEG", "PNG" ...
        size: (width, height) as stored, before EXIF's orientation.
        decodable: the file's bytes without what trips decoders: a PNG's ancillary chunks (broken colour
            profiles make libpng write to stderr), a TIFF's orientation (which OpenCV obeys for some pixel
            types only).
        tags: the EXIF and TIFF tags that matter here, by number; values are tuples of numbers.
    """

    format: str
    size: tuple[int, int]
    decodable: bytes = field(repr=False)
    tags: dict[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def orientation(self) -> int:
        """EXIF's orientation, 1 … 8; 1 (upright) when there is none or it is garbage."""
        value = self.tags.get(ORIENTATION, (1,))[0]
        return int(value) if value in range(1, 9) else 1

    @property
    def focal(self) -> float | None:
        """The focal length in pixels of the stored image, or None when EXIF does not tell or makes no sense.

        The 35-mm equivalent (diagonal over diagonal) first, then focal length × sensor resolution. An image
        of other proportions than EXIF's own pixel size has been cropped: its principal point is unknown, so
        this is too.
        """
        width, height = self.size
        longer, shorter = max(width, height), min(width, height)
        exif_sides = sorted(self.tags.get(tag, (0,))[0] for tag in (PIXEL_WIDTH, PIXEL_HEIGHT))
        known_sides = exif_sides[0] > 0
        if known_sides and abs(exif_sides[1] * shorter - exif_sides[0] * longer) > 0.02 * exif_sides[1] * shorter:
            return None
        focal = self.tags.get(FOCAL_LENGTH_35MM, (0,))[0] * math.hypot(width, height) / DIAGONAL_35MM
        if not focal > 0:
            per_mm = self.tags.get(PLANE_X_RESOLUTION, (0,))[0] / MM_PER_UNIT.get(
                int(self.tags.get(PLANE_RESOLUTION_UNIT, (2,))[0]), math.inf
            )
            resized = longer / exif_sides[1] if known_sides else 1.0
            focal = self.tags.get(FOCAL_LENGTH, (0,))[0] * per_mm * resized
        return focal if 0.2 * longer < focal < 100.0 * longer else None


def read_header(data: bytes) -> ImageHeader:
    """The header of an image file's bytes.

    Raises:
        ValueError: no known image format, or damaged, or it ends too early; the message is one line for the
            user.
    """
    for recognise, read in _READERS:
        if recognise(data):
            try:
                return read(data)
            except (struct.error, IndexError, KeyError, OverflowError) as error:
                raise ValueError("damaged or cut short: its header cannot be read") from error
    if not data:
        raise ValueError(f"is empty; expected an image ({FORMATS})")
    if data[4:8] == b"ftyp":
        raise ValueError(f"is HEIC, AVIF or a video; expected an image ({FORMATS})")
    raise ValueError(f"is no image of a known kind; expected {FORMATS}")


def _cut_short(kind: str) -> ValueError:
    return ValueError(f"is cut short: expected a complete {kind}")


_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def _read_jpeg(data: bytes) -> ImageHeader:
    """Walk the segments to the end-of-image marker, through the entropy-coded data between them."""
    size: tuple[int, int] | None = None
    tags: dict[int, tuple[float, ...]] = {}
    at = 2
    while True:
        # From here to the next marker there are padding bytes or, after a start of scan, entropy-coded data.
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            raise _cut_short("JPEG")
        marker, at = data[found.start() + 1], found.end()
        if marker == 0xD9:
            break
        if not (0xC0 <= marker <= 0xFE) or at + 2 > len(data):
            raise ValueError("is damaged: expected a JPEG without errors")
        length = int.from_bytes(data[at : at + 2], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = (width, height)
        elif marker == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0" and not tags:
            tags = _exif_tags(data[at + 8 : at + length])
        at += length
    if size is None:
        raise ValueError("is damaged: expected a JPEG with a frame")
    return ImageHeader("JPEG", size, data, tags)


def _read_png(data: bytes) -> ImageHeader:
    """Walk the chunks to the end, keeping those that make the pixels."""
    size = struct.unpack_from(">II", data, 16)
    tags: dict[int, tuple[float, ...]] = {}
    kept = [data[:8]]
    at, kind = 8, b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise _cut_short("PNG")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise _cut_short("PNG")
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
                raise ValueError("is damaged: expected a PNG whose checksums hold")
            kept.append(data[at:end])
        elif kind == b"eXIf":
            tags = _exif_tags(data[at + 8 : end - 4])
        at = end
    return ImageHeader("PNG", (size[0], size[1]), b"".join(kept), tags)


def _read_webp(data: bytes) -> ImageHeader:
    """The first chunk gives the size; EXIF may follow."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise _cut_short("WebP")
    kind = data[12:16]
    if kind == b"VP8X":
        size = tuple(int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    else:
        size = tuple(value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
    tags: dict[int, tuple[float, ...]] = {}
    at = 12
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            tags = _exif_tags(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    return ImageHeader("WebP", (size[0], size[1]), data, tags)


def _read_bmp(data: bytes) -> ImageHeader:
    offset, header = struct.unpack_from("<II", data, 10)
    if header == 12:  # OS/2's header
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        packed = False
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
        packed = compression not in (0, 3, 6)
    width, height = abs(width), abs(height)  # a negative height stores the rows from the top
    if not packed and offset + (width * depth + 31) // 32 * 4 * height > len(data):
        raise _cut_short("BMP")
    return ImageHeader("BMP", (width, height), data)


def _read_gif(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", data, 6)
    return ImageHeader("GIF", (width, height), data)


def _read_tiff(data: bytes) -> ImageHeader:
    """The first page's folder: its size, whether all its strips or tiles are there, and EXIF."""
    tiff = _Tiff(data)
    tags = tiff.folder(tiff.first)
    size = int(tags[TIFF_WIDTH][0]), int(tags[TIFF_HEIGHT][0])
    for offsets, counts in TIFF_PIECES:
        ends = (offset + count for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False))
        if max(ends, default=0) > len(data):
            raise _cut_short("TIFF")
    decodable = data
    if ORIENTATION in tiff.positions:
        patched = bytearray(data)
        struct.pack_into(tiff.order + "H", patched, tiff.positions[ORIENTATION], 1)
        decodable = bytes(patched)
    return ImageHeader("TIFF", size, decodable, {**tags, **_exif_folder(tiff, tags)})


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], ImageHeader]], ...] = (
    (lambda data: data[:3] == b"\xff\xd8\xff", _read_jpeg),
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", _read_png),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _read_webp),
    (lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _read_tiff),
    (
        lambda data: (
            data[:2] == b"BM" and data[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
        ),
        _read_bmp,
    ),
    (lambda data: data[:6] in (b"GIF87a", b"GIF89a"), _read_gif),
)


def _exif_tags(data: bytes) -> dict[int, tuple[float, ...]]:
    """The tags of an EXIF block, which is a TIFF without pixels; what is garbage is left out."""
    try:
        tiff = _Tiff(data)
        tags = tiff.folder(tiff.first)
    except (struct.error, ValueError, OverflowError):
        return {}
    return {**tags, **_exif_folder(tiff, tags)}


def _exif_folder(tiff: _Tiff, tags: dict[int, tuple[float, ...]]) -> dict[int, tuple[float, ...]]:
    if EXIF_FOLDER not in tags:
        return {}
    try:
        return tiff.folder(int(tags[EXIF_FOLDER][0]))
    except (struct.error, ValueError, OverflowError):
        return {}


class _Tiff:
    """The tag folders of a TIFF file or an EXIF block, classic or BigTIFF.

    Attributes:
        order: "<" or ">", as struct wants it.
        first: where the first folder is.
        positions: where the value of a tag of the last folder read is, when it is an inline SHORT.
    """

    def __init__(self, data: bytes) -> None:
        if data[:2] not in (b"II", b"MM"):
            raise ValueError(f"expected a TIFF structure, got {data[:2]!r}")
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        magic = self._at("H", 2)[0]
        if magic not in (42, 43):
            raise ValueError(f"expected a TIFF structure, got the number {magic}")
        self.big = magic == 43
        self.first: int = self._at("Q", 8)[0] if self.big else self._at("I", 4)[0]
        self.positions: dict[int, int] = {}

    def _at(self, layout: str, offset: int) -> tuple[Any, ...]:
        if offset > len(self.data):  # struct's own error for it depends on how far
            raise struct.error(f"expected an offset within {len(self.data)} bytes, got {offset}")
        return struct.unpack_from(self.order + layout, self.data, offset)

    def folder(self, offset: int) -> dict[int, tuple[float, ...]]:
        """The wanted tags of the folder at ``offset``; a tag whose value cannot be read is left out."""
        count_layout, entry_layout, inline = ("Q", "HHQ", 8) if self.big else ("H", "HHI", 4)
        count = self._at(count_layout, offset)[0]
        start = offset + struct.calcsize("=" + count_layout)
        size = struct.calcsize("=" + entry_layout) + inline
        tags: dict[int, tuple[float, ...]] = {}
        for entry in range(start, min(start + count * size, len(self.data) - size + 1), size):
            tag, kind, number = self._at(entry_layout, entry)
            if tag not in WANTED or tag in tags or kind not in TIFF_TYPES or not 1 <= number <= len(self.data):
                continue
            number = number if tag in _PIECES else 1  # of a tag that has one value a file may say it has thousands
            layout, position = TIFF_TYPES[kind], entry + size - inline
            if struct.calcsize("=" + layout) * number > inline:
                position = self._at("Q" if self.big else "I", position)[0]
            elif layout == "H" and number == 1:
                self.positions[tag] = position
            try:
                values = self._at(f"{number * len(layout)}{layout[0]}", position)
            except (struct.error, IndexError, OverflowError):  # beyond the end, however far
                continue
            if len(layout) == 2:  # a rational: numerator, denominator
                values = tuple(a / b if b else 0.0 for a, b in zip(values[::2], values[1::2], strict=True))
            if all(map(math.isfinite, values)):
                tags[tag] = values
        return tags

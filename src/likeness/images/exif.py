"""The tags of TIFF files and EXIF blocks, as far as they matter here; what is garbage in them is left out.

Layouts: TIFF 6.0, BigTIFF, JEITA CP-3451 (EXIF).
"""

from __future__ import annotations

import math
import struct
from typing import Any

ORIENTATION, EXIF_FOLDER = 0x0112, 0x8769
TIFF_WIDTH, TIFF_HEIGHT = 0x0100, 0x0101
TIFF_COMPRESSION = 0x0103
TIFF_EXTRA = 0x0152  # what channels beyond the colours are: 1 and 2 opacity, 0 nothing that is known
TIFF_PIECES = ((0x0111, 0x0117), (0x0144, 0x0145))  # offsets and byte counts of strips, of tiles
FOCAL_LENGTH, FOCAL_LENGTH_35MM = 0x920A, 0xA405
PLANE_X_RESOLUTION, PLANE_RESOLUTION_UNIT = 0xA20E, 0xA210
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003

_PIECES = frozenset(tag for pair in TIFF_PIECES for tag in pair)
WANTED = frozenset(
    {TIFF_WIDTH, TIFF_HEIGHT, TIFF_COMPRESSION, TIFF_EXTRA, ORIENTATION, EXIF_FOLDER, FOCAL_LENGTH, FOCAL_LENGTH_35MM}
    | {PLANE_X_RESOLUTION, PLANE_RESOLUTION_UNIT, PIXEL_WIDTH, PIXEL_HEIGHT}
    | _PIECES
)
TIFF_TYPES = {1: "B", 3: "H", 4: "I", 5: "II", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I", 16: "Q", 18: "Q"}


def exif_tags(data: bytes) -> dict[int, tuple[float, ...]]:
    """The tags of an EXIF block, which is a TIFF without pixels; what is garbage is left out."""
    try:
        tiff = TagFolders(data)
        tags = tiff.folder(tiff.first)
    except (struct.error, ValueError, OverflowError):
        return {}
    return {**tags, **exif_folder(tiff, tags)}


def exif_folder(tiff: TagFolders, tags: dict[int, tuple[float, ...]]) -> dict[int, tuple[float, ...]]:
    if EXIF_FOLDER not in tags:
        return {}
    try:
        return tiff.folder(int(tags[EXIF_FOLDER][0]))
    except (struct.error, ValueError, OverflowError):
        return {}


class TagFolders:
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

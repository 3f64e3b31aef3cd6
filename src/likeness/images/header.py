"""What an image file says about itself before its pixels are decoded: format, size, whether it is whole,
EXIF.

Sizes are checked here because a decoder allocates before it fails, and truncation because libjpeg silently
fills the missing half with grey. Layouts: ITU T.81 (JPEG), W3C PNG, RFC 9649 (WebP); the others' in their modules.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from likeness.errors import MissingExtraError
from likeness.images.boxes import (
    JP2_SIGNATURES,
    JXL_SIGNATURES,
    heif_kind,
    read_heif,
    read_jp2,
    read_jxl,
    tiff_of,
    without_boxes,
)
from likeness.images.exif import (
    FOCAL_LENGTH,
    FOCAL_LENGTH_35MM,
    ORIENTATION,
    PIXEL_HEIGHT,
    PIXEL_WIDTH,
    PLANE_RESOLUTION_UNIT,
    PLANE_X_RESOLUTION,
    TIFF_COMPRESSION,
    TIFF_EXTRA,
    TIFF_HEIGHT,
    TIFF_PIECES,
    TIFF_WIDTH,
    TagFolders,
    exif_folder,
    exif_tags,
)
from likeness.images.netpbm import netpbm_header
from likeness.images.plugins import unpacked

FORMATS = "JPEG, PNG, WebP, HEIC, AVIF, JPEG XL, JPEG 2000, TIFF, BMP, GIF, PGM or PPM"

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".heic", ".heif", ".hif", ".avif", ".jxl"),
    *(".jp2", ".j2k", ".tif", ".tiff", ".bmp", ".gif", ".pgm", ".ppm", ".pnm"),
)
"""Of photo files, in lower case; what a file is, its content tells."""

MAX_EXIF = 1 << 20
"""Bytes of EXIF that are unpacked; a JPEG has room for 64 KiB."""

DIAGONAL_35MM = math.hypot(36.0, 24.0)
"""The diagonal of a frame of 35 mm film, mm: what CIPA's 35-mm-equivalent focal length refers to."""

COMPRESSIONS = {
    6: "an old kind of JPEG",
    34661: "JBIG",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}
"""Of TIFFs, by the numbers that libtiff and Adobe gave them: those that OpenCV's wheels do not know."""

MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # EXIF's resolution units: inch, cm, mm, µm


@dataclass(frozen=True)
class ImageHeader:
    """What the header says.

    Attributes:
        format: "JPEG", "PNG" ...
        size: (width, height) as stored, before EXIF's orientation.
        decodable: the file's bytes without what trips decoders: a PNG's ancillary chunks (broken colour
            profiles make libpng write to stderr), a TIFF's orientation (which OpenCV obeys for some pixel
            types only), the recipe of the JPEG that a JPEG XL was (of whose pixels a plugin gives those as
            stored, of all others those made upright).
        tags: the EXIF and TIFF tags that matter here, by number; values are tuples of numbers.
        white: the value of a channel that is full, where it is not the largest that its type takes.
        has_opacity: a fourth channel is it; else it holds nothing.
        is_cut: the end of a JPEG is missing; ``decodable`` then ends with the last of its pixels' data.
        scans: of a JPEG that is cut: how many of its scans have begun.
        note: what could not be read, of a file that can be used.
    """

    format: str
    size: tuple[int, int]
    decodable: bytes = field(repr=False)
    tags: dict[int, tuple[float, ...]] = field(default_factory=dict)
    white: int | None = None
    has_opacity: bool = True
    is_cut: bool = False
    scans: int = 0
    note: str = ""

    @property
    def compression(self) -> str:
        """How a TIFF is compressed, if it is so that few programs read it; empty: otherwise."""
        return COMPRESSIONS.get(int(self.tags.get(TIFF_COMPRESSION, (1,))[0]), "") if self.format == "TIFF" else ""

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
        raise ValueError(f"is a video; expected an image ({FORMATS})")
    raise ValueError(f"is no image of a known kind; expected {FORMATS}")


def _cut_short(kind: str) -> ValueError:
    return ValueError(f"is cut short: expected a complete {kind}")


_SMALL_PICTURE, _LARGER = 1 << 20, 4  # pixels, and times the whole picture, that a part of it may have
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def is_known(head: bytes) -> bool:
    """Whether a file that begins so is of a known kind; 16 bytes tell of most, 32 of all."""
    return any(recognise(head) for recognise, _ in _READERS)


def _read_jpeg(data: bytes) -> ImageHeader:
    """Walk the segments to the end-of-image marker, through the entropy-coded data between them."""
    size: tuple[int, int] | None = None
    tags: dict[int, tuple[float, ...]] = {}
    at, scans = 2, 0
    while True:
        # From here to the next marker there are padding bytes or, after a start of scan, entropy-coded data.
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            return _cut_jpeg(data, len(data), size, tags, scans)
        marker, at = data[found.start() + 1], found.end()
        if marker == 0xD9:
            break
        if not (0xC0 <= marker <= 0xFE):
            raise ValueError("is damaged: expected a JPEG without errors")
        length = int.from_bytes(data[at : at + 2], "big")
        if at + max(length, 2) > len(data):
            return _cut_jpeg(data, found.start(), size, tags, scans)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = (width, height)
        elif marker == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0" and not tags:
            tags = exif_tags(data[at + 8 : at + length])
        scans += marker == 0xDA
        at += length
    if size is None:
        raise ValueError("is damaged: expected a JPEG with a frame")
    return ImageHeader("JPEG", size, data, tags)


def _cut_jpeg(
    data: bytes, end: int, size: tuple[int, int] | None, tags: dict[int, tuple[float, ...]], scans: int
) -> ImageHeader:
    """The header of a JPEG without an end, of which ``end`` bytes are segments and pixels."""
    if size is None or not scans:
        raise _cut_short("JPEG")
    return ImageHeader("JPEG", size, data[:end].rstrip(b"\xff"), tags, is_cut=True, scans=scans)


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
            tags = exif_tags(data[at + 8 : end - 4])
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
            tags = exif_tags(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    return ImageHeader("WebP", (size[0], size[1]), data, tags)


_BMP_HEADERS = tuple(struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124))
_MASKED, _MASKED_WITH_OPACITY = 3, 6  # BMP's compressions that are none: masks say where colours are, or opacity too


def _read_bmp(data: bytes) -> ImageHeader:
    offset, header = struct.unpack_from("<II", data, 10)
    compression = 0
    if header == 12:  # OS/2's header
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    width, height = abs(width), abs(height)  # a negative height stores the rows from the top
    is_plain = compression in (0, _MASKED, _MASKED_WITH_OPACITY)
    if is_plain and offset + (width * depth + 31) // 32 * 4 * height > len(data):
        raise _cut_short("BMP")
    masks = 4 if compression == _MASKED_WITH_OPACITY or (compression == _MASKED and header >= 56) else 3
    decodable = data
    if depth == 32 and compression in (_MASKED, _MASKED_WITH_OPACITY) and header < 56:
        # OpenCV takes no notice of masks behind the header.
        told = data[54 : 54 + 4 * masks].ljust(16, b"\0")
        decodable = b"".join(
            [data[:10], struct.pack("<II", 70, 56), data[18:30], struct.pack("<I", _MASKED), data[34:54], told]
        )
        decodable += data[offset:]
    has_opacity = masks == 4 and struct.unpack_from("<I", decodable, 66)[0] > 0
    return ImageHeader("BMP", (width, height), decodable, has_opacity=has_opacity)


def _read_gif(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", data, 6)
    return ImageHeader("GIF", (width, height), data)


def _read_tiff(data: bytes) -> ImageHeader:
    """The first page's folder: its size, whether all its strips or tiles are there, and EXIF."""
    tiff = TagFolders(data)
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
    has_opacity = tags.get(TIFF_EXTRA, (0,))[0] in (1, 2)
    return ImageHeader("TIFF", size, decodable, {**tags, **exif_folder(tiff, tags)}, has_opacity=has_opacity)


def _read_heif(data: bytes) -> ImageHeader:
    """HEIC is decoded upright, AVIF as it is stored; an orientation in its EXIF does not count."""
    kind, found = heif_kind(data) or "", read_heif(data)
    if found.largest > max(_SMALL_PICTURE, _LARGER * found.size[0] * found.size[1]):
        raise ValueError(f"is damaged: expected {kind} whose parts are no larger than the whole")
    tags = {**exif_tags(found.exif), ORIENTATION: (1 if kind == "HEIC" else found.orientation,)}
    white = None if found.depth == 8 or kind == "HEIC" else (1 << found.depth) - 1
    size = found.clean if kind == "HEIC" and found.clean is not None else found.size
    return ImageHeader(kind, size, data, tags, white)


def _read_jxl(data: bytes) -> ImageHeader:
    """It is decoded upright, by its codestream's orientation; one in its EXIF does not count (ISO/IEC 18181-2)."""
    found, exif, note = read_jxl(data), b"", ""
    try:
        exif = tiff_of(unpacked(found.packed_exif, MAX_EXIF)) if found.packed_exif else found.exif
    except MissingExtraError as error:
        note = f"has compressed EXIF, so its focal length is not known: {error}"
    if not data.startswith(JXL_SIGNATURES[0]):
        data = without_boxes(data, b"jbrd")
    turned = found.size[::-1] if found.orientation > 4 else found.size
    return ImageHeader("JPEG XL", turned, data, {**exif_tags(exif), ORIENTATION: (1,)}, note=note)


def _read_jp2(data: bytes) -> ImageHeader:
    found = read_jp2(data)
    return ImageHeader("JPEG 2000", found.size, data, white=None if found.depth == 8 else (1 << found.depth) - 1)


def _read_netpbm(data: bytes) -> ImageHeader:
    size, white = netpbm_header(data)
    return ImageHeader("PGM or PPM", size, data, white=white)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], ImageHeader]], ...] = (
    (lambda data: data[:3] == b"\xff\xd8\xff", _read_jpeg),
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", _read_png),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _read_webp),
    (lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _read_tiff),
    (lambda data: data[:2] == b"BM" and data[14:18] in _BMP_HEADERS, _read_bmp),
    (lambda data: data[:6] in (b"GIF87a", b"GIF89a"), _read_gif),
    (lambda data: heif_kind(data) is not None, _read_heif),
    (lambda data: data.startswith(JXL_SIGNATURES), _read_jxl),
    (lambda data: data.startswith(JP2_SIGNATURES), _read_jp2),
    (lambda data: re.match(rb"P[2356][\s#]", data) is not None, _read_netpbm),
)

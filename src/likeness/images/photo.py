"""Photo files: any common format to upright RGB, with the camera's focal length when EXIF tells it."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath, as_file_error, is_out_of_memory
from likeness.files import LARGEST_STREAM, digest, read_at_most
from likeness.geometry.crop import OUTSIDE_GREY
from likeness.images.cut_jpeg import known_lines
from likeness.images.exif import ORIENTATION, exif_tags
from likeness.images.header import FORMATS, SUFFIXES, ImageHeader, read_header
from likeness.images.netpbm import netpbm_pixels
from likeness.images.plugins import plugin_pixels

MAX_PIXELS = 100_000_000
"""The largest photo that is decoded, pixels."""

MAX_HALVED = 250_000_000
"""The largest JPEG that is decoded at half its width and height, pixels: what phones with 200 megapixels write. Other
formats have to be decoded whole."""

AS_STORED = -1
"""OpenCV's ``IMREAD_UNCHANGED``, which is imported only where pixels are decoded."""

MIN_SIDE = 24
"""The shortest side of a photo in which a face can be made out, pixels."""

MAX_BYTES = 1 << 30
"""The largest file that is read."""

MIN_KNOWN = 0.5
"""The share of its lines that a JPEG which is cut short must have."""


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo.

    Attributes:
        image: (H, W, 3) uint8, RGB, upright.
        focal: focal length in pixels of ``image`` from EXIF, or None when unknown.
        path: the file, or None for an array.
        sha256: of the file's content, hexadecimal; empty for an array.
        note: what the user should know of a photo that is used all the same, one line; empty if nothing.
    """

    image: np.ndarray
    focal: float | None = None
    path: str | None = None
    sha256: str = ""
    note: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels."""
        return self.image.shape[1], self.image.shape[0]


def photo_from_array(image: np.ndarray, focal: float | None = None) -> Photo:
    """A photo from pixels: (H, W, 3) uint8 RGB, upright, and its focal length in pixels when known.

    Raises:
        ValueError: another shape or type, or too small.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"expected an (H, W, 3) uint8 RGB image, got {got}")
    problem = _size_problem((image.shape[1], image.shape[0]))
    if problem:
        raise ValueError(f"the image {problem}")
    return Photo(np.ascontiguousarray(image), focal)


def load_photo(path: StrPath) -> Photo:
    """Read a photo: any of ``likeness.images.header.FORMATS`` (the first frame or page); see
    :func:`photo_from_bytes`.

    Raises:
        FileError: missing, a folder, no image, damaged, cut short, under ``MIN_SIDE`` pixels on the shorter
            side or over ``MAX_PIXELS`` in all (a complete JPEG: ``MAX_HALVED``).
    """
    return photo_of_content(_read(path), path)


def photo_of_content(data: bytes, path: StrPath) -> Photo:
    """A photo of a file's bytes that were read already; ``path`` names it.

    Raises:
        FileError: as :func:`load_photo`.
    """
    try:
        return replace(photo_from_bytes(data), path=os.fspath(path), sha256=digest(data))
    except ValueError as error:
        raise FileError(path, str(error)) from error
    except MemoryError as error:
        raise as_file_error(path, error) from error


def photo_from_bytes(data: bytes, smallest: int = MIN_SIDE) -> Photo:
    """A photo from an image file's bytes, wherever they lay: this is how all of the package decodes photos.

    Made upright by EXIF's orientation. Grey and palette images become RGB, CMYK too, 16 bits and floats become 8
    bits; transparent parts show mid grey, as what is outside a photo does, but where all of it is, it is taken for
    opaque. Colour profiles are not applied. Of a JPEG that is cut short what is there is used if it is half of the
    lines; the others are mid grey. A JPEG of over ``MAX_PIXELS`` is taken at half its width and height, to which all
    coordinates belong. ``note`` tells of these.

    Args:
        data: the file's content.
        smallest: pixels that the shorter side must have.

    Raises:
        ValueError: no image, damaged, cut short, too small or too large; the message is one line for the user.
        MemoryError: there is not enough for the pixels.
    """
    header = read_header(data)
    halved = header.format == "JPEG" and not header.is_cut and math.prod(header.size) > MAX_PIXELS
    problem = _size_problem(header.size, smallest, MAX_HALVED if halved else MAX_PIXELS)
    if problem:
        raise ValueError(problem)
    if halved:
        return _halved_photo(header)
    pixels, note = known_pixels(header) if header.is_cut else (stored_pixels(header), header.note)
    return _upright_photo(pixels, header, note)


def _halved_photo(header: ImageHeader) -> Photo:
    """A JPEG at half its width and height, which libjpeg decodes without ever holding the whole."""
    import cv2

    half = cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION
    photo = _upright_photo(_opencv_pixels(header, header.decodable, half), header)
    (width, height), (w, h) = header.size, photo.size
    note = f"has {width * height / 1e6:,.0f} megapixels; taken at half its size, as are coordinates ({w} x {h})"
    return replace(photo, focal=None if photo.focal is None else 0.5 * photo.focal, note=note)


def photo_from_pillow(image: Any) -> Photo:
    """A photo from a Pillow image of any mode, made upright by its EXIF.

    Raises:
        ValueError: too small or too large, or of a mode that is no picture's.
        OSError: the image's file, which Pillow reads only now, is damaged.
    """
    tags = exif_tags(image.getexif().tobytes().removeprefix(b"Exif\0\0"))
    if image.format == "JXL" and not getattr(image, "jpeg", False):  # its pixels are upright: its EXIF does not count
        tags.pop(ORIENTATION, None)
    header = ImageHeader("Pillow", image.size, b"", tags)
    problem = _size_problem(header.size)
    if problem:
        raise ValueError(problem)
    if image.mode not in ("I;16", "F"):
        image = image.convert("RGBA" if "A" in image.mode or "transparency" in image.info else "RGB")
    return _upright_photo(_of_three_or_four(_eight_bits(np.array(image), None)), header)


def _upright_photo(pixels: np.ndarray, header: ImageHeader, note: str = "") -> Photo:
    """A photo of stored pixels, (H, W, 3 or 4) uint8."""
    image = pixels[..., :3]
    if pixels.shape[2] == 4 and header.has_opacity:
        opacity = pixels[..., 3:].astype(np.uint16)
        if not opacity.any():  # as screens and renderers are saved that do not fill it in
            note = note or "its opacity is 0 everywhere, and does not count"
        elif opacity.min() < 255:
            image = ((image * opacity + OUTSIDE_GREY * (255 - opacity) + 127) // 255).astype(np.uint8)
    with _naming_memory():
        upright = np.ascontiguousarray(_turned_upright(image, header.orientation))
    return Photo(upright, header.focal, note=note)


def stored_pixels(header: ImageHeader) -> np.ndarray:
    """An image's pixels as stored, not turned: (H, W, 3) uint8 RGB, or (H, W, 4) with opacity.

    Raises:
        ValueError: damaged, cut short, or neither 8 nor 16 bits per channel nor floats.
        MemoryError: there is not enough for the pixels.
    """
    if header.is_cut:
        raise ValueError(f"is cut short: expected a complete {header.format}")
    if header.format in ("HEIC", "JPEG XL"):
        return _of_three_or_four(plugin_pixels(header.format, header.decodable))
    if header.format == "PGM or PPM":
        return _of_three_or_four(_eight_bits(netpbm_pixels(header.decodable), header.white))
    return _opencv_pixels(header, header.decodable)


def known_pixels(header: ImageHeader) -> tuple[np.ndarray, str]:
    """The pixels of a JPEG that is cut short, mid grey where they are not known, and a line that says so.

    Raises:
        ValueError: damaged, or less than half of it is there.
        MemoryError: there is not enough for the pixels.
    """
    if header.scans > 1:  # a progressive one, which is whole in every scan, and sharper with each
        pixels, _ = known_lines(header.decodable, lambda data: _opencv_pixels(header, data))
        return pixels, "is cut short; its last details are missing"
    pixels, lines = known_lines(header.decodable, lambda data: _opencv_pixels(header, data))
    if lines < MIN_KNOWN * len(pixels):
        raise ValueError(f"is cut short: expected a complete JPEG, {len(pixels) - lines} of {len(pixels)} lines lack")
    if lines == len(pixels):
        return pixels, "is cut short; all its pixels are there"
    pixels[lines:] = OUTSIDE_GREY
    return pixels, f"is cut short; {len(pixels) - lines} of its {len(pixels)} lines are missing and left grey"


def _opencv_pixels(header: ImageHeader, data: bytes, how: int = AS_STORED) -> np.ndarray:
    import cv2

    with quiet_opencv(), _naming_memory():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if pixels is None and _is_newer_than_opencv(header.format, data):
        return _of_three_or_four(plugin_pixels(header.format, data))
    if pixels is None and header.compression:
        raise ValueError(
            f"is a TIFF compressed with {header.compression}, which is not read; expected one without compression, "
            "or with LZW, Deflate or JPEG (save it anew so, or as PNG)"
        )
    if pixels is None:
        raise ValueError(f"is damaged: expected a {header.format} image that decodes")
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    kinds = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    if channels not in kinds:
        raise ValueError(f"has {channels} channels; expected 1, 3 or 4")
    with _naming_memory():
        return np.asarray(cv2.cvtColor(_eight_bits(pixels, header.white), kinds[channels]))


def _is_newer_than_opencv(format: str, data: bytes) -> bool:
    """Whether the installed OpenCV may be too old for it: before 4.12 there is no AVIF, no GIF and no moving WebP."""
    import cv2

    is_old = tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 12)
    is_moving = data[12:16] == b"VP8X" and data[20] & 2 > 0
    return format == "AVIF" or (is_old and (format == "GIF" or (format == "WebP" and is_moving)))


def _eight_bits(pixels: np.ndarray, white: int | None) -> np.ndarray:
    """Channels of 8 or 16 bits, or floats, as 8 bits; ``white`` as in :class:`ImageHeader`.

    Floats are taken as they are shown, not as linear light: full is 1, or 255 or 65,535 where more than one in a
    hundred is far beyond that. What is so a little, as filters leave it, or a highlight's is cut off.
    """
    import cv2

    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        step = max(1, min(pixels.shape[:2]) // 512)
        bright = float(np.quantile(pixels[::step, ::step], 0.99))
        full = next((limit for limit in (1.0, 255.0, 65535.0) if bright <= 4 * limit), bright)
        return np.rint(np.clip(pixels * (255.0 / full), 0, 255)).astype(np.uint8)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"has {pixels.dtype} pixels; expected 8 or 16 bits per channel, or floats")
    full = white or (255 if pixels.dtype == np.uint8 else 65535)
    return pixels if full == 255 and pixels.dtype == np.uint8 else cv2.convertScaleAbs(pixels, alpha=255.0 / full)


def _of_three_or_four(pixels: np.ndarray) -> np.ndarray:
    """Grey (H, W) as RGB; (H, W, 3) and (H, W, 4) as they are."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _read(path: StrPath) -> bytes:
    """The file's bytes."""
    if os.path.isdir(path):
        raise FileError(path, f"is a folder; expected an image ({FORMATS})")
    try:
        with open(path, "rb") as stream:
            is_file = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
            limit = MAX_BYTES if is_file else LARGEST_STREAM
            data = read_at_most(stream, limit)
    except FileNotFoundError as error:
        raise FileError(path, f"does not exist; expected {_wanted(path)}") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise FileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(data) > limit:
        raise FileError(path, f"is over {limit >> 20} MiB; expected an image ({FORMATS})")
    return data


def _wanted(path: StrPath) -> str:
    """What was expected where nothing is: what is not called like an image may have been meant for a folder."""
    called = os.path.splitext(os.fsdecode(path))[1].lower()
    return f"an image ({FORMATS})" if called in SUFFIXES else f"an image ({FORMATS}) or a folder of them"


def _size_problem(size: tuple[int, int], smallest: int = MIN_SIDE, largest: int = MAX_PIXELS) -> str | None:
    """What is wrong with (width, height), or None."""
    width, height = size
    if width * height > largest:
        mega, limit = width * height / 1e6, largest / 1e6
        return f"is {width} x {height} pixels ({mega:,.0f} megapixels); expected at most {limit:.0f} megapixels"
    if min(size) < smallest:
        return f"is {width} x {height} pixels; expected at least {smallest} on the shorter side"
    return None


@contextmanager
def _naming_memory() -> Iterator[None]:
    """OpenCV's one type of error as what it means here: MemoryError where memory has ended, else ValueError."""
    import cv2

    try:
        yield
    except cv2.error as error:
        if is_out_of_memory(error):
            raise MemoryError(str(error)) from error
        raise ValueError(
            f"is damaged: expected an image that decodes ({' '.join(str(error).split())[:160]})"
        ) from error


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's own messages about bad files off stderr: the caller gets an exception."""
    import cv2

    # OpenCV 4 has them at the top, OpenCV 5 in a module of their own.
    set_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
    level = set_level(0)
    try:
        yield
    finally:
        set_level(level)


def _turned_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo EXIF's orientation 1 … 8: the stored image's first row and column are named by it."""
    import cv2

    if orientation >= 5:  # rows and columns exchanged
        image = cv2.transpose(image)
    flips = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
    return cv2.flip(image, flips[orientation]) if orientation in flips else image

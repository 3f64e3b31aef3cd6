"""HEIC and JPEG XL by Pillow, its plugins and Brotli, which are optional; and what the installed OpenCV is too old
for."""

from __future__ import annotations

import io
from functools import partial

import numpy as np

from likeness.errors import MissingExtraError
from likeness.extras import import_extra

_MODES = ("L", "RGB", "RGBA")


def plugin_pixels(format: str, data: bytes) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4) uint8, RGB, turned and mirrored as the file says (AVIF: as it is stored).

    Args:
        format: "HEIC", "AVIF", "JPEG XL", "GIF" or "WebP".
        data: the file's content.

    Raises:
        ValueError: damaged; or what reads it is not installed, and then the message says how to get it.
    """
    try:
        return {"HEIC": _heic, "JPEG XL": _jxl}.get(format, partial(_in_place_of_opencv, format))(data)
    except MissingExtraError as error:
        raise ValueError(f"is {format}; {error}") from error
    except MemoryError:
        raise
    except BaseException as error:  # a plugin in Rust panics with what is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(
            f"is damaged: expected {format} that decodes ({' '.join(str(error).split())[:120]})"
        ) from error


def unpacked(data: bytes, most: int) -> bytes:
    """What Brotli has compressed; empty where it is damaged, or would have more than ``most`` bytes.

    Raises:
        MissingExtraError: Brotli is not installed.
    """
    brotli = import_extra("brotli", "reading it", "jxl")
    opened, content = brotli.Decompressor(), b""
    try:
        while not opened.is_finished() and len(content) <= most:
            piece = opened.process(b"" if content else data, output_buffer_limit=most)
            if not piece:
                return b""
            content += piece
    except brotli.error:
        return b""
    return content if len(content) <= most else b""


def _heic(data: bytes) -> np.ndarray:
    try:
        library = import_extra("pi_heif", "reading HEIC", "heif")
    except MissingExtraError:
        library = import_extra("pillow_heif", "reading HEIC", "heif")  # the same with an encoder
    picture = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    return np.array(picture)  # a copy: the pixels are the picture's, and go with it


def _in_place_of_opencv(format: str, data: bytes) -> np.ndarray:
    return _by_pillow(data, format.upper(), f"reading {format} with this version of OpenCV", "heif")


def _jxl(data: bytes) -> np.ndarray:
    import_extra("pillow_jxl", "reading JPEG XL", "jxl")
    return _by_pillow(data, "JXL", "reading JPEG XL", "jxl")


def _by_pillow(data: bytes, name: str, feature: str, extra: str) -> np.ndarray:
    image_module = import_extra("PIL.Image", feature, extra)
    image_module.init()
    if name not in image_module.OPEN:
        raise MissingExtraError(feature, extra)
    with image_module.open(io.BytesIO(data), formats=(name,)) as picture:
        return np.array(picture if picture.mode in _MODES else picture.convert("RGBA"))

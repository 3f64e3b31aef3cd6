"""Textures out of encoded bytes, and their colours."""

from __future__ import annotations

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.images.header import read_header
from likeness.images.photo import stored_pixels

_MAX_TEXTURE_SIDE = 16384  # what graphics cards take; a hostile header would make the decoder allocate gigabytes


def decode_texture(path: StrPath, data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a PNG, JPEG or other common image; FileError, naming ``path``, if it is none.

    As stored: a texture is laid out by its uv, not by the orientation that a camera may have noted in it; where it is
    transparent it keeps its colours.
    """
    try:
        header = read_header(data)
        if max(header.size) > _MAX_TEXTURE_SIDE:
            width, height = header.size
            raise ValueError(f"expected sides up to {_MAX_TEXTURE_SIDE} pixels, got {width} x {height}")
        return np.ascontiguousarray(stored_pixels(header)[..., :3])
    except ValueError as error:
        raise FileError(path, f"the texture cannot be used: {' '.join(str(error).split())}") from error


def nearest_texels(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) sRGB in [0, 1]: the texels of a texture (H, W, 3) uint8 that uv (N, 2) are in; origin bottom left.

    Outside [0, 1] the texture repeats.
    """
    height, width = texture.shape[:2]
    inside = np.where((uv < 0) | (uv > 1), uv - np.floor(uv), uv)
    column = np.minimum((inside[:, 0] * width).astype(int), width - 1)
    row = np.clip(((1 - inside[:, 1]) * height).astype(int), 0, height - 1)
    return np.asarray(texture[row, column] / 255.0)

"""Pictures to encoded bytes: PNG without loss, JPEG with."""

from __future__ import annotations

import numpy as np

_PNG_COMPRESSION = 3  # zlib's level: smaller than OpenCV's default


def png_bytes(picture: np.ndarray) -> bytes:
    """A PNG file of an (H, W, 3) uint8 RGB picture."""
    import cv2

    return _encoded(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])


def jpeg_bytes(picture: np.ndarray, quality: int) -> bytes:
    """A JPEG file of an (H, W, 3) uint8 RGB picture; ``quality`` is 1 to 100."""
    import cv2

    return _encoded(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encoded(suffix: str, picture: np.ndarray, options: list[int]) -> bytes:
    import cv2

    try:
        done, data = cv2.imencode(suffix, picture[:, :, ::-1], options)
    except cv2.error:  # some versions return False instead
        done = False
    if not done:
        raise ValueError(f"expected a picture that fits into a {suffix} file, got {picture.shape}")
    return bytes(data.tobytes())

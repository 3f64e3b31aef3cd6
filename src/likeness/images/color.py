"""sRGB and linear light (IEC 61966-2-1). Light and albedo multiply in linear RGB; pictures are sRGB."""

from __future__ import annotations

from typing import Any

import numpy as np

_KNEE = 0.0031308

GREY = 6
"""How far the channels of a photo without colours are apart at most, of 255: JPEG leaves a trace."""


def srgb_curve(linear: Any) -> Any:
    """The curve without clipping, NumPy or torch alike: straight below 0 too, a power above 1 too.

    Training needs it so: a clipped colour has no gradient that leads back into the picture's range.
    """
    dark = linear <= _KNEE
    # The power is kept off the dark end, where its gradient is infinite and times 0 would not be 0.
    return dark * (12.92 * linear) + ~dark * (1.055 * linear.clip(min=_KNEE) ** (1 / 2.4) - 0.055)


def srgb_from_linear(linear: np.ndarray) -> np.ndarray:
    """Linear RGB (...) -> sRGB in [0, 1]; values outside [0, 1] are clipped first."""
    return np.asarray(srgb_curve(np.clip(linear, 0.0, 1.0)))


def linear_from_srgb(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] -> linear RGB in [0, 1]; values outside are clipped first."""
    srgb = np.clip(srgb, 0.0, 1.0)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def is_grey(photo: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) uint8 has no colours: all but a hundredth of its pixels."""
    return bool(np.quantile(np.ptp(photo.astype(np.int16), axis=2), 0.99) <= GREY)

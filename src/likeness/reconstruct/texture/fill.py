"""Filling a picture from where something is known, without a visible border."""

from __future__ import annotations

import numpy as np

from likeness.reconstruct.texture.atlas import Window

FULL = 0.25
"""Share of known pixels from which on a coarser pixel's mean is taken as it is."""


def spread_out(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Known values carried into what is unknown, the smoother the farther (a pull-push pyramid: Gortler et al., The
    Lumigraph, SIGGRAPH 1996).

    Args:
        values: (H, W, C) float32.
        weights: (H, W) float32 in [0, 1]: how well each is known.

    Returns:
        (H, W, C) float32: ``values`` where the weight is 1; 0 if nothing is known.
    """
    import cv2

    height, width = weights.shape
    if max(height, width) <= 1:
        return values * (weights[..., None] > 0)
    half = (max(width // 2, 1), max(height // 2, 1))
    sums = cv2.resize(values * weights[..., None], half, interpolation=cv2.INTER_AREA).reshape(half[1], half[0], -1)
    share = cv2.resize(weights, half, interpolation=cv2.INTER_AREA).reshape(half[1], half[0])
    means = sums / np.maximum(share, 1e-8)[..., None]
    behind = cv2.resize(
        spread_out(means, np.minimum(share / FULL, 1.0)), (width, height), interpolation=cv2.INTER_LINEAR
    ).reshape(height, width, -1)
    return np.asarray(behind + weights[..., None] * (values - behind))


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """A square picture (S, S) or (S, S, C) at another side: means where it shrinks, bilinear where it grows."""
    import cv2

    if picture.shape[0] == side:
        return picture
    how = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_LINEAR
    found = cv2.resize(picture, (side, side), interpolation=how)
    return np.asarray(found.reshape(side, side, *picture.shape[2:]))


def resized_part(picture: np.ndarray, side: int, window: Window) -> np.ndarray:
    """A window of :func:`resized`, which is no smaller than the square picture (S, S) or (S, S, C): (h, w) or (h, w,
    C) float32, bilinear."""
    import cv2

    scale = len(picture) / side
    start = [(edge.start + 0.5) * scale - 0.5 for edge in (window.columns, window.rows)]
    size = (window.columns.stop - window.columns.start, window.rows.stop - window.rows.start)
    map_back = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(picture.astype(np.float32, copy=False), map_back, size, None, how, cv2.BORDER_REPLICATE)
    )


def threefold(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 of (h, w): NumPy is slow where the last axis is three long."""
    import cv2

    return np.asarray(cv2.merge([picture.astype(np.float32, copy=False)] * 3))


def averaged(values: np.ndarray, weights: np.ndarray, side: int) -> np.ndarray:
    """Weighted means of a square picture (S, S, C), weights (S, S), on a smaller grid (side, side, C)."""
    return np.asarray(
        resized(values * weights[..., None], side) / np.maximum(resized(weights, side), 1e-6)[..., None]
    )

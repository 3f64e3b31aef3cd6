"""Several photos of one skin: whose detail is shown where, and the colours on which they agree.

Detail of photos that were not laid on the head quite alike blurs if it is averaged; so a place's is taken from the
photo that sees it best. What a photo's light does to a face changes over centimetres, is another in every photo, and
is no sharper for being one photo's: so colours that coarse are averaged over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likeness.reconstruct.texture.atlas import SMOOTH, Atlas, Window
from likeness.reconstruct.texture.fill import averaged, resized, resized_part
from likeness.reconstruct.texture.layers import Layer, sharpness

BEST = 8.0
"""Those that see a texel best decide of its detail: weights to this power."""

COARSE_COLOR = 0.02
"""Standard deviation, of the texture's side, over which colours are averaged over photos: 7 mm of face, more than
they are off, and less than their light changes over."""

LITTLE = 0.05
"""Weight, over centimetres, below which less and less is said of a photo's colours."""


def shares_of(atlas: Atlas, layers: Sequence[Layer], overs: Sequence[np.ndarray], window: Window) -> list[np.ndarray]:
    """(C, C) of each layer: its share of the detail that is shown; they sum to 1 where anything is seen.

    Args:
        atlas: of the texture.
        layers: at least one.
        overs: (h, w, 3) of each what :meth:`Layer.over` gives for the ``window``.
        window: of the texture.
    """
    sharp = np.ones(len(layers))
    if len(layers) > 1:
        sharp = np.array(
            [
                sharpness(over, resized_part(layer.weight, atlas.size, window))
                for layer, over in zip(layers, overs, strict=True)
            ]
        )
        sharp /= max(float(sharp.max()), 1e-6)
    says = np.stack(
        [layer.weight * layer.worth * max(layer.detail, 0.05) * one for layer, one in zip(layers, sharp, strict=True)]
    )
    powers = (says / np.maximum(says.max(axis=0), 1e-6)) ** BEST
    return list(powers / np.maximum(powers.sum(axis=0), 1e-6))


def apart_of(base: np.ndarray, layers: Sequence[Layer], shares: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(C, C, 3) float32 of each layer: by how much its colours, over centimetres, are brighter than the mean of all
    that see the place. Hair that one photo shows and others do not has no part in it.

    Args:
        base: (C, C, 3) log reflectance by the model.
        layers: at least one.
        shares: (C, C) of each, by :func:`shares_of`.
    """
    import cv2

    offsets, sigma = _offsets(layers, shares), COARSE_COLOR * SMOOTH
    if len(layers) == 1:
        return [np.broadcast_to(offsets[0], base.shape).astype(np.float32)]
    lows, weights = [], []
    for layer, offset in zip(layers, offsets, strict=True):
        skin = layer.weight * (1 - np.clip(layer.hair, 0, 1))
        share = resized(skin, SMOOTH)
        sums = averaged(layer.coarse - base - offset, skin, SMOOTH) * share[..., None]
        weights.append(cv2.GaussianBlur(share, (0, 0), sigma)[..., None])
        lows.append(cv2.GaussianBlur(sums, (0, 0), sigma) / np.maximum(weights[-1], 1e-6))
    mean = np.sum([weight * low for weight, low in zip(weights, lows, strict=True)], axis=0)
    mean /= np.maximum(np.sum(weights, axis=0), 1e-6)
    apart = [(low - mean) * np.minimum(weight / LITTLE, 1) for low, weight in zip(lows, weights, strict=True)]
    return [
        np.asarray(offset + resized(np.asarray(one, np.float32), len(base)), np.float32)
        for one, offset in zip(apart, offsets, strict=True)
    ]


def _offsets(layers: Sequence[Layer], shares: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(3,) of each layer: by how much it is brighter than all are on average, told where it and the one that says
    most both see."""
    says = [float((share * layer.weight).sum()) for share, layer in zip(shares, layers, strict=True)]
    first = int(np.argmax(says))
    offsets = []
    for layer in layers:
        both = np.minimum(layer.weight, layers[first].weight) > 0.3
        difference = layer.coarse - layers[first].coarse
        offsets.append(np.median(difference[both], axis=0) if both.sum() > 100 else np.zeros(3, np.float32))
    mean = np.average(offsets, axis=0, weights=[float(layer.weight.sum()) + 1e-6 for layer in layers])
    return [np.asarray(offset - mean, np.float32) for offset in offsets]

"""What in front of a head is its skin, and what is hair, glasses, a hand or the wall behind."""

from __future__ import annotations

import numpy as np

from likeness.reconstruct.texture.atlas import Atlas
from likeness.reconstruct.texture.fill import resized

DARKER, BRIGHTER, TINTED = 1.0, 1.0, 0.6
"""Log reflectance by which skin may differ from the face's own: darker, brighter, and in colour."""

OWN_REACH = 0.01
"""Of the texture's side: how far around brows, eyes, nostrils, lips and beards colours are the person's own."""

HAIR_REACH, HAIR_ABOVE_MM = 0.05, -5.0
"""Of the texture's side: how far below the model's hairline hair may grow; and above which height beside the face."""

HAIR_TOP = 0.6
"""Quantile of height: what is seen of the scalp above it is hair, if there is any."""

HAIR_DARK = 0.35
"""Quantile of brightness: of that only the darker part, since a high forehead may be what is seen there."""

LIKE_HAIR, LIKE_SKIN = 0.9, 0.6
"""Log reflectance by which hair may differ from the hair on top, and skin, where the model has hair, from the
face's."""

AROUND, ROUNDS, WIDTH = 0.06, 3, 0.7
"""The face's own colour around a place: standard deviation of the mean, of the texture's side, how often it is taken
anew, and log reflectance by which what counts may differ from it."""

SHADE, CAST = 0.9, 0.2
"""Log reflectance up to which light that was not taken out changes a face's brightness, and its colour."""

SOFT = 0.003
"""Of the texture's side: how softly what does not belong is cut out."""


def agreeing(atlas: Atlas, base: np.ndarray, found: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a photo shows the head: (C, C) float32, 0 where something is in front of it; and (C, C) float32, where it
    shows hair that grows there.

    Skin is where the photo's reflectance is the model's within bounds, but for an offset that changes over
    centimetres (light that was not taken out). Around brows, eyes, nostrils, lips and where beards grow it may be as
    dark as it likes, and of any colour. A patch that is not skin is left out if it reaches the edge of the face:
    hair and background do, moles and lipstick do not.

    Args:
        atlas: of the texture.
        base: (C, C, 3) log reflectance of the model.
        found: (C, C, 3) log reflectance by the photo.
        weight: (C, C) how well it is seen.
    """
    import cv2

    side = base.shape[0]
    face = atlas.zones["face"] if atlas.zones["face"].any() else np.ones_like(weight)
    sure = (weight > 0.5) & (face > 0.5)
    if not sure.any():
        return np.zeros_like(weight), np.zeros_like(weight)
    own = np.clip(sum(atlas.zones[name] for name in ("brows", "beard", "lids", "lips", "nose")), 0, 1)
    spread = round(OWN_REACH * side) * 2 + 1
    any_color = cv2.dilate(own, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (spread, spread))) > 0.15
    difference = found - base
    difference = difference - np.median(difference[sure], axis=0)
    difference = difference - _own_color(difference, weight * face * (1 - own))
    brightness = difference.mean(axis=2)
    tint = np.abs(difference - brightness[..., None]).max(axis=2)
    # In the dark a photo's colours are noise.
    odd = ((brightness < -DARKER) | ((tint > TINTED) & (brightness > -0.5 * DARKER))) & ~any_color
    odd = (odd | (brightness > BRIGHTER)) & (weight > 0.02)
    crown = cv2.distanceTransform((atlas.zones["scalp"] < 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    grows = (crown < HAIR_REACH * side) | ((face < 0.5) & (atlas.height > HAIR_ABOVE_MM))
    top = on_top(atlas, found, weight)
    if top.any():
        far = np.abs(found - np.median(found[top], axis=0)).max(axis=2)
        grows &= (far < LIKE_HAIR) | (atlas.zones["scalp"] > 0.5)
    grows |= (atlas.zones["hair"] > 0.02) & (np.abs(found - np.median(found[sure], axis=0)).max(axis=2) < LIKE_SKIN)
    reach = max(1, round(SOFT * side))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (4 * reach + 1, 4 * reach + 1))
    hair = cv2.GaussianBlur(cv2.dilate((odd & grows).astype(np.float32), around), (0, 0), reach)
    odd &= ~grows
    count, label = cv2.connectedComponents(odd.astype(np.uint8), connectivity=8)
    outside = np.zeros(count, bool)
    outside[np.unique(label[odd & (face < 0.5)])] = True
    outside[0] = False
    wrong = outside[label].astype(np.uint8)
    wrong = cv2.dilate(wrong, around)
    return np.asarray(1 - cv2.GaussianBlur(wrong.astype(np.float32), (0, 0), reach), np.float32), hair


def _own_color(difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C, C, 3) what a face's difference (C, C, 3) from the model is around each place, of what is like it."""
    import cv2

    side = len(difference)
    low_side = max(side // 4, 16)
    found = np.zeros_like(difference)
    for _ in range(ROUNDS):
        far = np.abs(difference - found).max(axis=2)
        trust = weight * np.exp(-((far / WIDTH) ** 2))
        share = resized(trust, low_side)
        sums = cv2.GaussianBlur(resized(difference * trust[..., None], low_side), (0, 0), AROUND * low_side)
        mean = sums / (cv2.GaussianBlur(share, (0, 0), AROUND * low_side) + 0.02)[..., None]
        brightness = mean.mean(axis=2, keepdims=True)
        mean = np.clip(brightness, -SHADE, SHADE) + np.clip(mean - brightness, -CAST, CAST)
        found = resized(mean, side)
    return found


def on_top(atlas: Atlas, found: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C, C) bool: the darker part of the highest part of the scalp that is seen.

    Args:
        atlas: of the texture.
        found: (C, C, 3) log reflectance by the photo.
        weight: (C, C) how well it is seen.
    """
    seen = (weight > 0.3) & (atlas.zones["scalp"] > 0.5)
    if not seen.any():
        return seen
    seen &= atlas.height >= np.quantile(atlas.height[seen], HAIR_TOP)
    brightness = found.mean(axis=2)
    return np.asarray(seen & (brightness <= np.quantile(brightness[seen], HAIR_DARK)))

"""Photographs of a head -> its texture: reflectance without the photos' light, filled where nothing was seen.

All is done on the logarithm of linear reflectance, where light is taken out by subtraction and colours are matched by
offsets. With ``T`` the face model's own reflectance, ``A`` what the photo says and ``w`` how far to believe it:

    D = what A - T is on average over some millimetres, carried into what was not seen (``fill.spread_out``),
    H = A - (T + D): what is finer than that,
    texture = T + D + w H + (1 - w) w' H',

``w'`` and ``H'`` mirrored left and right. ``D`` has no border by construction, and ``H`` has nothing coarse that
could show one. Where the photo is too coarse to say anything, ``H`` fades out and the model remains, in the photo's
colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from likeness.images.color import srgb_from_linear
from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.atlas import SMOOTH, Atlas, atlas_of
from likeness.reconstruct.texture.eyes import paint_eyes
from likeness.reconstruct.texture.fill import averaged, resized, resized_part, spread_out, threefold
from likeness.reconstruct.texture.laid import base_of
from likeness.reconstruct.texture.layers import Layer, layer_of, seen_window
from likeness.reconstruct.texture.lids import smooth_lids
from likeness.reconstruct.texture.several import apart_of, shares_of
from likeness.reconstruct.texture.skin import on_top
from likeness.reconstruct.texture.view import View, smoothstep

SIZES = (64, 8192)
"""Smallest and largest side of a texture."""

FAR = 0.08
"""Of the texture's side: how far colours reach beyond what was seen."""

BETWEEN = (0.55, 0.85)
"""Share of hair among what is known around a place that nobody saw, beside or above the face, from which on it has
some hair, and is hair."""

CLOSING = 0.04
"""Of the texture's side: how far around a place that is."""

BESIDE_MM = (-15.0, 0.0)
"""Heights between which hair beside the face ends."""

DARK, STEPS, BAND = -9.0, 2**15, 64
"""The least log reflectance that is told from black (a fiftieth of a byte's step), steps of the table from there to
white (less than a twentieth of a byte's step each), and rows of the texture that are looked up at a time."""


def texture_of(
    model: FaceModel, albedo: np.ndarray, views: Sequence[View], size: int = 1024, *, relight: bool = True
) -> np.ndarray:
    """The texture of a head, from any number of photos.

    Args:
        model: of the head; with texture coordinates.
        albedo: (V, 3) linear reflectance by the model: the colours of what nothing else is known of.
        views: the photos; none: the model's colours, with round irises.
        size: of the texture's side, texels.
        relight: take the photos' light out; if not, the photo's colours are painted as they are.

    Returns:
        (size, size, 3) uint8 sRGB reflectance, for ``model.topology.uv``.

    Raises:
        ValueError: a size, shape or range is wrong, or the model has no texture coordinates.
    """
    check_texture_of(model, albedo, views, size)
    atlas = atlas_of(model, size)
    base = base_of(atlas, albedo)
    layers = [layer_of(atlas, albedo, base, view, relight) for view in views]
    log_texture = filled(atlas, base, layers)
    if views:
        smooth_lids(atlas, log_texture)
    paint_eyes(atlas, log_texture, albedo, views, [layer.light for layer in layers])
    return _bytes(log_texture)


def check_texture_of(model: FaceModel, albedo: np.ndarray, views: Sequence[View], size: int) -> None:
    """ValueError unless these are arguments of :func:`texture_of`."""
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"expected a texture of {SIZES[0]} to {SIZES[1]} pixels, got {size}")
    if albedo.shape != model.mean.shape or not np.isfinite(albedo).all() or albedo.min() < 0:
        raise ValueError(f"expected albedo {model.mean.shape}, finite and not negative, got {albedo.shape}")
    for view in views:
        if view.vertices.shape != model.mean.shape:
            raise ValueError(f"expected vertices {model.mean.shape}, got {view.vertices.shape}")


@cache
def _table() -> np.ndarray:
    """(STEPS + 1,) uint8: the sRGB bytes of log reflectance from :data:`DARK` to 0."""
    return np.rint(255 * srgb_from_linear(np.exp(np.linspace(DARK, 0, STEPS + 1)))).astype(np.uint8)


def _bytes(log_texture: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 sRGB of log reflectance, which is used up."""
    out, table = np.empty(log_texture.shape, np.uint8), _table()
    for top in range(0, len(out), BAND):
        rows = log_texture[top : top + BAND]
        rows -= DARK
        rows *= -STEPS / DARK
        rows += 0.5
        np.clip(rows, 0, STEPS, out=rows)
        table.take(rows.astype(np.int32), out=out[top : top + BAND])
    return out


def filled(atlas: Atlas, base: np.ndarray, layers: Sequence[Layer]) -> np.ndarray:
    """(S, S, 3) log reflectance: the layers over the model's own, before eyes are painted.

    Args:
        atlas: of the texture.
        base: (C, C, 3) log reflectance by the model.
        layers: of the photos.
    """
    window = seen_window(atlas, layers) if layers else None
    if window is None:
        return resized(base, atlas.size)
    overs = [layer.over(atlas, base, window) for layer in layers]
    shares = shares_of(atlas, layers, overs, window)
    weight = np.max([layer.weight for layer in layers], axis=0)
    offsets = apart_of(base, layers, shares)
    parts = list(zip(shares, layers, offsets, strict=True))
    coarse = np.sum([share[..., None] * (layer.coarse - offset) for share, layer, offset in parts], axis=0)
    hair = np.sum([share * layer.hair for share, layer, _ in parts], axis=0)
    top = on_top(atlas, coarse, weight).astype(np.float32)
    top = resized(top if top.any() else hair, SMOOTH)
    ratio = averaged(coarse - base, weight, SMOOTH)
    correction = _correction(atlas, ratio, resized(weight, SMOOTH), resized(hair, SMOOTH), top)
    correction = _with_hair(atlas, base, resized(correction, len(base)), weight, hair)
    ground = resized(base + correction, atlas.size)
    covered = atlas.fine.covered[window.rows, window.columns]
    detail = np.zeros((*covered.shape, 3), np.float32)
    for (share, layer, offset), over in zip(parts, overs, strict=True):
        over -= resized_part(correction + offset, atlas.size, window)
        over *= threefold(covered * resized_part(layer.detail * share * weight, atlas.size, window))
        detail += over
    shown = ground[window.rows, window.columns]
    if atlas.symmetric:
        shown += threefold(resized_part(1 - weight, atlas.size, window)) * detail[:, ::-1]
    shown += detail
    return ground


def _correction(atlas: Atlas, ratio: np.ndarray, weight: np.ndarray, hair: np.ndarray, top: np.ndarray) -> np.ndarray:
    """(s, s, 3) what to add to the model's log reflectance everywhere, from where it is known.

    Skin and hair are kept apart: what one says of its colour says nothing of the other's. What is missing on one side
    is first taken from the other, brought to the colour around.

    Args:
        atlas: of the texture.
        ratio: (s, s, 3) log reflectance by the photos over the model's.
        weight: (s, s) how well it is known.
        hair: (s, s) where the photos show hair, the model's skin or not.
        top: (s, s) the top of what is seen of the scalp, from which the hair's colour is taken.
    """
    scalp = resized(atlas.zones["hair"], SMOOTH)
    hair = np.maximum(hair, scalp)
    if atlas.symmetric:
        other, seen = ratio[:, ::-1], weight[:, ::-1]
        step = spread_out(ratio - other, weight * seen)
        mirrored = (1 - weight) * seen
        ratio = (weight[..., None] * ratio + mirrored[..., None] * (other + step)) / np.maximum(
            weight + mirrored, 1e-6
        )[..., None]
        weight = weight + mirrored
        hair = np.maximum(hair, mirrored * hair[:, ::-1])
    lids = resized(atlas.zones["lids"], SMOOTH)
    on_skin = _settling(ratio, weight * (1 - hair) ** 2 * (1 - lids))
    on_hair = _settling(ratio, weight * top)
    known = 1 - resized(atlas.zones["eyes"], SMOOTH) - resized(atlas.zones["mouth"], SMOOTH)
    return np.asarray((on_skin + scalp[..., None] * (on_hair - on_skin)) * np.clip(known, 0, 1)[..., None])


def _with_hair(
    atlas: Atlas, base: np.ndarray, correction: np.ndarray, weight: np.ndarray, hair: np.ndarray
) -> np.ndarray:
    """A correction (C, C, 3) of the model's log reflectance ``base`` (C, C, 3) that also closes the gap which nobody
    saw between hair at the temples and the scalp.

    Args:
        atlas: of the texture.
        base, correction: of which the sum is shown where nothing is seen.
        weight: (C, C) how well each place is seen.
        hair: (C, C) where the photos show hair.
    """
    import cv2

    scalp, seen = resized(atlas.zones["hair"], SMOOTH), resized(weight, SMOOTH)
    if atlas.symmetric:
        hair = np.maximum(hair, ((1 - weight) * hair)[:, ::-1])
        seen = np.maximum(seen, seen[:, ::-1])
    known = np.clip(np.maximum(seen, scalp), 0, 1)
    share = cv2.GaussianBlur(known, (0, 0), CLOSING * SMOOTH)
    hairy = known * np.maximum(resized(hair, SMOOTH), scalp)
    around = resized(cv2.GaussianBlur(hairy, (0, 0), CLOSING * SMOOTH) / (share + 1e-3), len(base))
    above = smoothstep(atlas.height, *BESIDE_MM) * (1 - atlas.region("ears")) * atlas.coarse.covered
    closed = (1 - resized(seen, len(base))) * above * smoothstep(around, *BETWEEN)
    color = resized(spread_out(resized(base + correction, SMOOTH), scalp**2), len(base))
    return np.asarray(correction + closed[..., None] * (color - base - correction), np.float32)


def _settling(ratio: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Known ratios carried outwards; far from all of them what is usual."""
    import cv2

    sure = weight > 0.5 * float(weight.max())
    usual = np.median(ratio[sure], axis=0) if weight.max() > 0.05 else np.zeros(3, np.float32)
    near = np.minimum(3.0 * cv2.GaussianBlur(weight, (0, 0), FAR * SMOOTH), 1.0)
    return np.asarray(usual + np.maximum(near, weight)[..., None] * spread_out(ratio - usual, weight))

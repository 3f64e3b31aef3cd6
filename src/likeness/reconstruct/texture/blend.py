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
from likeness.reconstruct.texture.hairline import APART, bare_of, grown, hairline_moves, hairs
from likeness.reconstruct.texture.laid import base_of
from likeness.reconstruct.texture.layers import Layer, layer_of, seen_window
from likeness.reconstruct.texture.lids import smooth_lids
from likeness.reconstruct.texture.several import apart_of, shares_of
from likeness.reconstruct.texture.view import View, smoothstep

SIZES = (64, 8192)
"""Smallest and largest side of a texture."""

FAR = 0.08
"""Of the texture's side: how far colours reach beyond what was seen."""

STREAKS = 0.3
"""Log reflectance (twice the standard deviation) by which hair that nobody saw is lighter and darker, in streaks."""

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
    shown = [layer for layer in layers if layer.eyes]
    paint_eyes(atlas, log_texture, albedo, [layer.view for layer in shown], [layer.light for layer in shown])
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
    bare = bare_of(atlas, base)
    overs = [layer.over(atlas, bare, window) for layer in layers]
    shares = shares_of(atlas, layers, overs, window)
    weight = np.max([layer.weight for layer in layers], axis=0)
    offsets = apart_of(bare, layers, shares)
    parts = list(zip(shares, layers, offsets, strict=True))
    coarse = np.sum([share[..., None] * (layer.coarse - offset) for share, layer, offset in parts], axis=0)
    hair = np.sum([share * layer.hair for share, layer, _ in parts], axis=0)
    ratio = averaged(coarse - bare, weight, SMOOTH)
    skin = bare + resized(_correction(atlas, ratio, resized(weight, SMOOTH), resized(hair, SMOOTH)), len(bare))
    shown = skin + _growing(atlas, layers)[..., None] * (
        _hair(atlas, base, skin, coarse, weight * hair, layers) - skin
    )
    correction = shown - bare
    ground = resized(shown, atlas.size)
    covered = atlas.fine.covered[window.rows, window.columns]
    detail = np.zeros((*covered.shape, 3), np.float32)
    for (share, layer, offset), over in zip(parts, overs, strict=True):
        over -= resized_part(correction + offset, atlas.size, window)
        over *= threefold(covered * resized_part(layer.detail * share * weight, atlas.size, window))
        detail += over
    part = ground[window.rows, window.columns]
    if atlas.symmetric:
        part += threefold(resized_part(1 - weight, atlas.size, window)) * detail[:, ::-1]
    part += detail
    return ground


def _correction(atlas: Atlas, ratio: np.ndarray, weight: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(s, s, 3) what to add to the model's log reflectance of skin everywhere, from where it is known.

    Hair says nothing of it. What is missing on one side is first taken from the other, brought to the colour around.

    Args:
        atlas: of the texture.
        ratio: (s, s, 3) log reflectance by the photos over the model's.
        weight: (s, s) how well it is known.
        hair: (s, s) where the photos show hair.
    """
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
    on_skin = _settling(ratio, weight * (1 - np.clip(hair, 0, 1)) ** 2 * (1 - lids))
    known = 1 - resized(atlas.zones["eyes"], SMOOTH) - resized(atlas.zones["mouth"], SMOOTH)
    return np.asarray(on_skin * np.clip(known, 0, 1)[..., None])


def _growing(atlas: Atlas, layers: Sequence[Layer]) -> np.ndarray:
    """(C, C) in [0, 1]: where the head has hair, by what all photos show, and on the other side of the face where
    none shows it."""
    shares, told = [layer.grown.share for layer in layers], [layer.grown.told for layer in layers]
    if atlas.symmetric:
        gap = 1 - np.clip(np.max(told, axis=0), 0, 1)
        shares, told = shares + [one[:, ::-1] for one in shares], told + [gap * one[:, ::-1] for one in told]
    return grown(atlas, hairline_moves(atlas, shares, told))


def _hair(
    atlas: Atlas,
    base: np.ndarray,
    skin: np.ndarray,
    coarse: np.ndarray,
    weight: np.ndarray,
    layers: Sequence[Layer],
) -> np.ndarray:
    """(C, C, 3) log reflectance of hair: that of all photos, and as it is where it is seen.

    Args:
        atlas: of the texture.
        base: (C, C, 3) log reflectance by the model, with its hair: of photos that say nothing.
        skin: (C, C, 3) log reflectance of skin.
        coarse: (C, C, 3) log reflectance by the photos.
        weight: (C, C) how well they show hair.
        layers: of the photos.
    """
    import cv2

    colors = [layer.grown.color for layer in layers if layer.grown.color is not None]
    if not colors and any(layer.grown.bald for layer in layers):
        return skin
    if not colors:
        return spread_out(base, atlas.zones["hair"] ** 2)
    mean = np.mean(colors, axis=0)
    ratio, known = averaged(coarse - mean, weight, SMOOTH), resized(weight, SMOOTH)
    near = np.minimum(3.0 * cv2.GaussianBlur(known, (0, 0), FAR * SMOOTH), 1.0)
    smooth = np.asarray(np.maximum(near, known)[..., None] * spread_out(ratio, known), np.float32)
    told = smoothstep(np.linalg.norm(mean - skin, axis=2), *APART)
    unseen = STREAKS * told * (1 - np.clip(weight, 0, 1)) * hairs(len(base))
    return np.asarray(mean + resized(smooth, len(base)) + unseen[..., None], np.float32)


def _settling(ratio: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Known ratios carried outwards; far from all of them what is usual."""
    import cv2

    sure = weight > 0.5 * float(weight.max())
    usual = np.median(ratio[sure], axis=0) if weight.max() > 0.05 else np.zeros(3, np.float32)
    near = np.minimum(3.0 * cv2.GaussianBlur(weight, (0, 0), FAR * SMOOTH), 1.0)
    return np.asarray(usual + np.maximum(near, weight)[..., None] * spread_out(ratio - usual, weight))

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
from dataclasses import dataclass

import numpy as np

from likeness.images.color import srgb_from_linear
from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.atlas import SMOOTH, Atlas, atlas_of
from likeness.reconstruct.texture.eyes import paint_eyes
from likeness.reconstruct.texture.fill import averaged, resized, spread_out
from likeness.reconstruct.texture.front import uncovered
from likeness.reconstruct.texture.laid import base_of, laid
from likeness.reconstruct.texture.skin import agreeing, on_top
from likeness.reconstruct.texture.view import Sampler, View, smoothstep

SIZES = (64, 8192)
"""Smallest and largest side of a texture."""

COARSE_PHOTO, FINE_PHOTO = 0.12, 0.4
"""Photo pixels per millimetre: below the first (a face of some 20 pixels) no detail is taken, from the second on
all."""

MOST_COLOR = 0.4
"""Log reflectance by which a channel may differ from the others, once the face's own colour is taken off."""

EVEN, EVENED, EVENED_COLOR = 0.05, 0.5, 0.9
"""Standard deviation, of the texture's side, over which skin should be even, and how much of what is not is taken for
light, of brightness and of colour: lamps of two colours, and highlights in which a channel is at its end, are common,
cheeks of two colours are not."""

MOSTLY = 0.95
"""Share of what is seen that is skin, below which the light is fitted again, to that alone."""

FAR = 0.08
"""Of the texture's side: how far colours reach beyond what was seen."""

BEST = 4.0
"""Of several photos those that see a texel best decide: weights to this power."""


@dataclass(frozen=True, eq=False)
class _Layer:
    """What one view says: log reflectance (S, S, 3) of the texture and (C, C, 3) of the coarse grid, weights (C, C),
    where hair is (C, C), how much of the detail counts, how sharp it is, and the face's
    mean light (3,)."""

    fine: np.ndarray
    coarse: np.ndarray
    weight: np.ndarray
    hair: np.ndarray
    detail: float
    sharpness: float
    light: np.ndarray


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
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"expected a texture of {SIZES[0]} to {SIZES[1]} pixels, got {size}")
    if albedo.shape != model.mean.shape or not np.isfinite(albedo).all() or albedo.min() < 0:
        raise ValueError(f"expected albedo {model.mean.shape}, finite and not negative, got {albedo.shape}")
    for view in views:
        if view.vertices.shape != model.mean.shape:
            raise ValueError(f"expected vertices {model.mean.shape}, got {view.vertices.shape}")
    atlas = atlas_of(model, size)
    base = base_of(atlas, albedo)
    layers = [_layer(atlas, albedo, base, view, relight) for view in views]
    log_texture = _filled(atlas, base, layers)
    log_texture = paint_eyes(atlas, log_texture, albedo, views, [layer.light for layer in layers])
    return np.asarray(np.rint(255 * srgb_from_linear(np.exp(log_texture))), np.uint8)


def _layer(atlas: Atlas, albedo: np.ndarray, base: np.ndarray, view: View, relight: bool) -> _Layer:
    found = laid(atlas, albedo, view)
    learned = uncovered(atlas, found.color - base, found.weight)
    if learned is not None and (found.weight * learned).sum() < MOSTLY * found.weight.sum():
        # What is in front has no part in the light on the skin.
        found = laid(atlas, albedo, view, learned)
        learned = uncovered(atlas, found.color - base, found.weight)
    side, coarse, light = atlas.coarse.side, found.color, found.light
    trust, hair = agreeing(atlas, base, coarse, found.weight)
    weight = found.weight * (trust if learned is None else learned)
    if relight:
        rest = resized(_uneven_light(atlas, coarse - base, weight, hair), side)
        coarse, light = coarse - rest, light + rest
    else:
        coarse, light = coarse + light, np.zeros_like(light)
    places = atlas.fine.picture(atlas.fine.values(view.pixels))
    fine = Sampler(view, found.per_texel)(places) - resized(light, atlas.size)
    usual = _usual(coarse - base, weight)
    coarse = base + usual + _as_skin(coarse - base - usual)
    expected = resized(base + usual, atlas.size)
    fine = expected + _as_skin(fine - expected)
    detail = float(smoothstep(np.array(view.per_mm), COARSE_PHOTO, FINE_PHOTO))
    # What the photo is too coarse to show is no reason to take it from the model.
    coarse = coarse + (1 - detail) * (base - _as_coarse(base, 0.6 * atlas.size / side / found.per_texel))
    mean_light = found.mean_light if relight else np.ones(3)
    return _Layer(fine, coarse, weight, hair, detail, _sharpness(fine, weight), mean_light)


def _usual(ratio: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(3,) the middle of what is well seen of a picture (C, C, 3)."""
    sure = weight > 0.5
    return np.asarray(np.median(ratio[sure], axis=0) if sure.any() else np.zeros(3), np.float32)


def _as_skin(difference: np.ndarray) -> np.ndarray:
    """Log reflectance over the expected one (S, S, 3), its colour kept within what skin does: a coloured lamp leaves
    little of a channel, and divided by that little its noise would shine in all colours."""
    brightness = difference.mean(axis=2, keepdims=True)
    return np.asarray(brightness + MOST_COLOR * np.tanh((difference - brightness) / MOST_COLOR))


def _as_coarse(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A picture as pixels of some texels' size show it."""
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), min(sigma, 0.1 * len(picture))))


def _uneven_light(atlas: Atlas, ratio: np.ndarray, weight: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(s, s, 3) log of the light that nine harmonics missed: shadows that noses throw, lamps that stand near.

    What a face's ratio of photo to model does over some centimetres is mostly light: skin changes over millimetres,
    or as the model knows. So most of it is taken out; beards, brows and lips, which the model knows least, are left
    out of the mean.
    """
    import cv2

    known = np.clip(sum(atlas.zones[name] for name in ("brows", "beard", "lids", "lips", "hair")), 0, 1)
    plain = weight * (1 - 0.95 * known) * (1 - np.clip(2 * hair, 0, 1))
    sure = plain > 0.5
    if not sure.any():
        return np.zeros((SMOOTH, SMOOTH, 3), np.float32)
    usual = np.median(ratio[sure], axis=0)
    low, share = averaged(ratio - usual, plain, SMOOTH), resized(plain, SMOOTH)
    sums = cv2.GaussianBlur(low * share[..., None], (0, 0), EVEN * SMOOTH)
    mean = sums / (cv2.GaussianBlur(share, (0, 0), EVEN * SMOOTH) + 0.02)[..., None]
    brightness = mean.mean(axis=2, keepdims=True)
    return np.asarray(EVENED * brightness + EVENED_COLOR * (mean - brightness), np.float32)


def _sharpness(fine: np.ndarray, weight: np.ndarray) -> float:
    """Mean size of what is finer than some texels, over what is seen: the same measure for photos of any size."""
    import cv2

    luminance = np.ascontiguousarray(fine[..., 1])
    size = np.abs(luminance - cv2.GaussianBlur(luminance, (0, 0), 2.0))
    return float(np.average(np.minimum(resized(size, weight.shape[0]), 0.3), weights=weight + 1e-6))


def _filled(atlas: Atlas, base: np.ndarray, layers: Sequence[_Layer]) -> np.ndarray:
    """(S, S, 3) log reflectance: the layers over the model's own."""
    size = atlas.size
    if not layers:
        return resized(base, size)
    sharpest = max(max(layer.sharpness for layer in layers), 1e-6)
    powers = [(layer.weight * max(layer.detail, 0.05) * (layer.sharpness / sharpest)) ** BEST for layer in layers]
    total = np.maximum(np.sum(powers, axis=0), 1e-12)
    shares = [power / total for power in powers]
    weight = np.max([layer.weight for layer in layers], axis=0)
    offsets = _matched(layers, shares)
    parts = list(zip(shares, layers, offsets, strict=True))
    coarse = np.sum([share[..., None] * (layer.coarse - offset) for share, layer, offset in parts], axis=0)
    low_base = resized(base, SMOOTH)
    hair = np.sum([share * layer.hair for share, layer, _ in parts], axis=0)
    top = on_top(atlas, coarse, weight).astype(np.float32)
    top = resized(top if top.any() else hair, SMOOTH)
    ratio = averaged(coarse - base, weight, SMOOTH)
    correction = _correction(atlas, ratio, resized(weight, SMOOTH), resized(hair, SMOOTH), top)
    ground = resized(low_base + correction, size) + resized(base, size) - resized(low_base, size)
    out = ground
    detail = np.zeros_like(ground)
    for share, layer, offset in parts:
        detail += (layer.detail * resized(share * weight, size))[..., None] * (layer.fine - offset - ground)
    detail *= atlas.fine.covered[..., None]
    out = ground + detail
    if atlas.symmetric:
        missing = resized(1 - weight, size)[..., None]
        out = out + missing * detail[:, ::-1]
    return np.asarray(out)


def _matched(layers: Sequence[_Layer], shares: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(3,) of each layer: by how much it is brighter than the one that says most, where both see."""
    says = [float((share * layer.weight).sum()) for share, layer in zip(shares, layers, strict=True)]
    first = int(np.argmax(says))
    offsets = []
    for layer in layers:
        both = np.minimum(layer.weight, layers[first].weight) > 0.3
        difference = layer.coarse - layers[first].coarse
        offsets.append(np.median(difference[both], axis=0) if both.sum() > 100 else np.zeros(3, np.float32))
    return offsets


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


def _settling(ratio: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Known ratios carried outwards; far from all of them what is usual."""
    import cv2

    sure = weight > 0.5 * float(weight.max())
    usual = np.median(ratio[sure], axis=0) if weight.max() > 0.05 else np.zeros(3, np.float32)
    near = np.minimum(3.0 * cv2.GaussianBlur(weight, (0, 0), FAR * SMOOTH), 1.0)
    return np.asarray(usual + np.maximum(near, weight)[..., None] * spread_out(ratio - usual, weight))

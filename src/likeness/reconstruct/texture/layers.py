"""One photo's part of a texture: what it says over the face model, roughly and in full detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.reconstruct.texture.atlas import SMOOTH, Atlas, Window
from likeness.reconstruct.texture.fill import averaged, resized, resized_part, threefold
from likeness.reconstruct.texture.front import uncovered
from likeness.reconstruct.texture.glasses import Glasses, glasses_in
from likeness.reconstruct.texture.hairline import HairSeen, bare_of, hair_in
from likeness.reconstruct.texture.laid import Laid, laid
from likeness.reconstruct.texture.skin import agreeing
from likeness.reconstruct.texture.view import Sampler, View, log_shading, smoothstep

COARSE_PHOTO, FINE_PHOTO = 0.12, 0.4
"""Photo pixels per millimetre: below the first (a face of some 20 pixels) no detail is taken, from the second on
all."""

MOST_COLOR, PLAIN_COLOR = 0.4, 0.28
"""Log reflectance by which a channel may differ from the others, once the face's own colour is taken off: at most,
and on plain skin, where what differs more is a lamp's colour, a photo's noise, or what lies behind."""

RIM_REACH, RIM_LIKE, RIM_OFF, RIM_SURE = 0.03, 0.3, 0.3, 0.8
"""Of the texture's side: how far around the rim of what is seen colours are compared with better seen skin; log
reflectance by which they may differ, and by how much more they may hardly; and the weight from which on a texel is no
rim."""

NECK_MM, NECK_OFF = (-60.0, -80.0), 0.4
"""Heights, not on the face, between which the neck begins, and log reflectance by which it may differ from the face:
more is a shadow of the chin, hair, or a collar."""

EVEN, EVENED, EVENED_COLOR = 0.05, 0.5, 0.9
"""Standard deviation, of the texture's side, over which skin should be even, and how much of what is not is taken for
light, of brightness and of colour: lamps of two colours, and highlights in which a channel is at its end, are common,
cheeks of two colours are not."""

LIGHTEST = -0.55
"""Log reflectance, in green, of a face as a whole, at most: the lightest skin there is, and a little more."""

WHITEST = (-0.65, 0.25)
"""Log reflectance, mean of the channels, from which on what is lighter over some millimetres is light in part, and by
how much the lightest may be lighter still: white beards are at the end of it (linear 0.6), and no skin is."""

BLOWN = (-0.25, -0.08)
"""Log of the least linear channel of a photo's pixel from which on it hardly has a colour, and has none."""

TEETH = (0.35, 0.6)
"""Log reflectance by which lips may be lighter than expected, and by which teeth are."""

MOST_SHADE, MOST_CAST, SHADE_REACH = 0.35, 0.12, 0.015
"""Log reflectance by which plain skin's brightness and colour may differ from the face's own, and the standard
deviation, of the texture's side, of what is compared: what differs more is a shadow's edge, or the sun."""

MOSTLY = 0.95
"""Share of what is seen that is skin, below which the light is fitted again, to that alone."""

_FROM_MEAN = np.eye(3, dtype=np.float32) - np.float32(1 / 3)
"""Takes off three channels' mean."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What one view says.

    Args:
        view: the photo.
        coarse: (C, C, 3) log reflectance on the coarse grid.
        weight: (C, C) how far to believe it.
        hair: (C, C) where hair is.
        grown: what is known of the person's own.
        detail: how much of the photo's detail counts, 0 to 1.
        light: (3,) linear, on what faces forward: the eyes.
        removed: (C, C, 3) log of the light that is taken out.
        usual: (3,) log reflectance of the face over the model's.
        per_texel: photo pixels per texel.
        sh: (9, 3) the light that was fitted.
        worth: (C, C) how much what it shows counts beside other photos: less through glasses.
        eyes: the irises' colour is seen.
    """

    view: View
    coarse: np.ndarray
    weight: np.ndarray
    hair: np.ndarray
    grown: HairSeen
    detail: float
    light: np.ndarray
    removed: np.ndarray
    usual: np.ndarray
    per_texel: float
    sh: np.ndarray
    worth: np.ndarray
    eyes: bool

    def over(self, atlas: Atlas, base: np.ndarray, window: Window) -> np.ndarray:
        """(h, w, 3) float32 log reflectance by the photo over the model's, texel by texel of a window of the texture;
        of what is not on the head anything.

        Args:
            atlas: of the texture.
            base: (C, C, 3) log reflectance by the model, without hair.
            window: of the texture.
        """
        sampler = Sampler(self.view, self.per_texel)
        found = sampler.at(atlas.fine.part(sampler.places(self.view.pixels), window))
        found -= resized_part(self.removed + base + self.usual, atlas.size, window)
        found = _as_skin(found, resized_part(_most_color(atlas), atlas.size, window))
        found += self.usual
        return found


def layer_of(atlas: Atlas, albedo: np.ndarray, base: np.ndarray, view: View, relight: bool = True) -> Layer:
    """What a view says.

    Args:
        atlas: of the texture.
        albedo: (V, 3) linear reflectance by the model.
        base: (C, C, 3) its logarithm on the coarse grid.
        view: the photo.
        relight: take the photo's light out.
    """
    found, glasses = laid(atlas, albedo, view), glasses_in(view)
    learned = _bare(atlas, base, found, glasses)
    if learned is not None and (found.weight * learned).sum() < MOSTLY * found.weight.sum():
        # What is in front has no part in the light on the skin.
        found = laid(atlas, albedo, view, learned)
        learned = _bare(atlas, base, found, glasses)
    side, bare = atlas.coarse.side, bare_of(atlas, base)
    trust, grown_there = agreeing(atlas, base, found.color, found.weight)
    hair = hair_in(atlas, bare, view, found)
    coarse, light = found.color + (found.light - hair.light), hair.light
    weight = found.weight * (trust if learned is None else learned) * (1 - hair.hanging)
    weight = weight * _not_blown(found.color + found.light)
    hairy = np.maximum(grown_there, hair.there)
    apart: np.ndarray = np.zeros(3)
    if relight:
        rest = resized(_uneven_light(atlas, coarse - bare, weight, hairy), side)
        # A whole face's colour is the one that photo and network were weighed to (skin_color.py).
        well, tint = weight**2, np.zeros(3) if view.tint is None else view.tint
        apart = _usual(coarse - rest - bare, well) - tint
        apart = apart + max(0.0, float((_usual(bare, well) + tint)[1]) - LIGHTEST)
        coarse, light = coarse - rest - apart, light + rest + apart
        beyond = _beyond_white(coarse, weight)
        coarse, light = coarse - beyond, light + beyond
        hair = hair.in_more_light(apart)
    else:
        coarse, light = coarse + light, np.zeros_like(light)
    usual = _usual(coarse - bare, weight)
    weight = weight * _no_teeth(atlas, coarse - bare - usual)
    weight = weight * _like_skin(atlas, coarse - bare - usual, weight)
    coarse = bare + usual + _as_skin(coarse - bare - usual, _most_color(atlas))
    detail = float(smoothstep(np.array(view.per_mm), COARSE_PHOTO, FINE_PHOTO))
    # What the photo is too coarse to show is no reason to take it from the model.
    coarse = coarse + (1 - detail) * (bare - _as_coarse(bare, 0.6 * atlas.size / side / found.per_texel))
    forward = np.asarray(view.rotation, np.float64)[:, 2]
    on_eyes = np.exp(log_shading(found.sh, forward[None])[0] + apart) if relight else np.ones(3)
    told = (view, coarse, weight, hairy, hair, detail, on_eyes, light, usual, found.per_texel, found.sh)
    return Layer(*told, *_through(view, found, glasses))


def _through(view: View, found: Laid, glasses: Glasses | None) -> tuple[np.ndarray, bool]:
    """How much what is seen counts beside other photos (C, C), and whether irises are seen."""
    if glasses is None:
        return np.ones_like(found.weight), True
    return glasses.worth_at(found.pixels), not glasses.hides_eyes(view)


def _bare(atlas: Atlas, base: np.ndarray, found: Laid, glasses: Glasses | None) -> np.ndarray | None:
    """(C, C) float32 in [0, 1]: where nothing is in front of the skin, as far as was learned; None: nothing was."""
    learned = uncovered(atlas, found.color - base, found.weight)
    if glasses is None:
        return learned
    beside = glasses.skin_at(found.pixels)
    return beside if learned is None else np.minimum(learned, beside)


def sharpness(over: np.ndarray, weight: np.ndarray) -> float:
    """Mean size of what is finer than some texels: the same measure for photos of any size.

    Args:
        over: (h, w, 3) what a layer says, texel by texel.
        weight: (h, w) how far to believe it.
    """
    import cv2

    luminance = np.ascontiguousarray(over[..., 1])
    size = np.abs(luminance - cv2.GaussianBlur(luminance, (0, 0), 2.0))
    return float((np.minimum(size, 0.3) * weight).sum() / (weight.sum() + 1e-6))


def seen_window(atlas: Atlas, layers: Sequence[Layer]) -> Window | None:
    """The part of the texture that the photos show, as wide to the left of its middle as to the right; None:
    nothing."""
    seen = np.any([layer.weight > 0 for layer in layers], axis=0)
    if not seen.any():
        return None
    side, step = len(seen), atlas.size / len(seen)
    rows = np.flatnonzero(seen.any(axis=1))
    columns = np.flatnonzero(seen.any(axis=0) | seen.any(axis=0)[::-1])
    edges = [(int(np.floor((one[0] - 1) * step)), int(np.ceil((one[-1] + 2) * step))) for one in (rows, columns)]
    top, bottom = np.clip(edges[0], 0, atlas.size).tolist()
    left = int(np.clip(min(edges[1][0], atlas.size - edges[1][1]), 0, side * step))
    return Window(slice(top, bottom), slice(left, atlas.size - left))


def _usual(ratio: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(3,) the middle of what is well seen of a picture (C, C, 3)."""
    sure = weight > 0.5
    return np.asarray(np.median(ratio[sure], axis=0) if sure.any() else np.zeros(3), np.float32)


def _as_skin(difference: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Log reflectance over the expected one (h, w, 3), its colour kept within ``most`` (h, w), what skin does: a
    coloured lamp leaves little of a channel, and divided by that little its noise would shine in all colours."""
    import cv2

    color = cv2.transform(np.ascontiguousarray(difference, np.float32), _FROM_MEAN)
    brightness = difference - color
    limit = threefold(most)
    color /= limit
    np.tanh(color, out=color)
    color *= limit
    color += brightness
    return color


def _not_blown(shown: np.ndarray) -> np.ndarray:
    """(C, C) 0 where a photo (C, C, 3), log of linear RGB, is white: it says nothing there."""
    import cv2

    blown = smoothstep(shown.min(axis=2), *BLOWN)
    return np.asarray(1 - cv2.GaussianBlur(cv2.dilate(blown, np.ones((3, 3), np.uint8)), (0, 0), 1.0), np.float32)


def _no_teeth(atlas: Atlas, difference: np.ndarray) -> np.ndarray:
    """(C, C) 0 where lips are so much lighter than expected (C, C, 3) that they are teeth: a smile's lips are thinner
    than those of the head that lies on them."""
    import cv2

    light = smoothstep(difference.mean(axis=2), *TEETH) * (atlas.zones["lips"] > 0.02)
    return np.asarray(1 - cv2.GaussianBlur(cv2.dilate(light, np.ones((3, 3), np.uint8)), (0, 0), 1.0), np.float32)


def _most_color(atlas: Atlas) -> np.ndarray:
    """(C, C) float32 of what colour the texels of a face may be: :data:`MOST_COLOR` where hair and lips are and eyes
    are painted, else :data:`PLAIN_COLOR`."""
    import cv2

    colored = np.max([atlas.zones[name] for name in ("brows", "lids", "lips", "hair", "scalp")], axis=0)
    reach = 2 * max(1, round(0.012 * len(colored))) + 1
    wide = cv2.dilate(colored, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    share = cv2.GaussianBlur(np.minimum(2 * wide, 1), (0, 0), reach / 4)
    return np.asarray(PLAIN_COLOR + share * (MOST_COLOR - PLAIN_COLOR), np.float32)


def _like_skin(atlas: Atlas, difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C, C) how far to believe the rim of what is seen, where the wall behind shines through, and the neck.

    Args:
        atlas: of the texture.
        difference: (C, C, 3) log reflectance over the expected one.
        weight: (C, C) how well it is seen.
    """
    import cv2

    sure = resized(weight**3, SMOOTH)
    inner = averaged(difference, weight**3, SMOOTH) * sure[..., None]
    sigma = RIM_REACH * SMOOTH
    inner = cv2.GaussianBlur(inner, (0, 0), sigma) / (cv2.GaussianBlur(sure, (0, 0), sigma) + 0.01)[..., None]
    rim = 1 - smoothstep(weight, 0.5 * RIM_SURE, RIM_SURE)
    neck = (1 - atlas.zones["face"]) * smoothstep(-atlas.height, -NECK_MM[0], -NECK_MM[1])
    smooth = averaged(difference, weight, SMOOTH)
    off = rim * np.maximum(resized(_apart(smooth - inner), len(weight)) - RIM_LIKE, 0) / RIM_OFF
    off = np.maximum(off, neck * _apart(difference) / NECK_OFF)
    return np.asarray(np.exp(-(off**2)), np.float32)


def _apart(difference: np.ndarray) -> np.ndarray:
    """(C, C) size of differences (C, C, 3): of brightness, and twice that of colour."""
    brightness = difference.mean(axis=2)
    return np.asarray(np.abs(brightness) + 2 * np.abs(difference - brightness[..., None]).max(axis=2))


def _as_coarse(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A picture as pixels of some texels' size show it."""
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), min(sigma, 0.1 * len(picture))))


def _beyond_white(coarse: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C, C, 1) log of the light that makes places of some millimetres lighter (log reflectance (C, C, 3)) than
    anything on a head is: where harmonics say that it is dark and it is not, a chin would be white."""
    import cv2

    share = resized(weight, SMOOTH)
    low = averaged(coarse, weight, SMOOTH).mean(axis=2)
    sigma = SHADE_REACH * SMOOTH
    mean = cv2.GaussianBlur(low * share, (0, 0), sigma) / (cv2.GaussianBlur(share, (0, 0), sigma) + 0.02)
    over = np.where(share > 0.02, np.maximum(mean - WHITEST[0], 0), 0)
    beyond = over - WHITEST[1] * np.tanh(over / WHITEST[1])
    return resized(np.ascontiguousarray(beyond, np.float32), len(weight))[..., None]


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
    light = EVENED * brightness + EVENED_COLOR * (mean - brightness)
    # Shadows and sun have edges that those means go over.
    sigma = SHADE_REACH * SMOOTH
    sums = cv2.GaussianBlur((low - light) * share[..., None], (0, 0), sigma)
    left = sums / (cv2.GaussianBlur(share, (0, 0), sigma) + 0.02)[..., None]
    brightness = left.mean(axis=2, keepdims=True)
    color = left - brightness
    kept = MOST_SHADE * np.tanh(brightness / MOST_SHADE) + MOST_CAST * np.tanh(color / MOST_CAST)
    plainly = cv2.GaussianBlur(np.clip(2 * share, 0, 1), (0, 0), sigma)[..., None]
    return np.asarray(light + plainly * (left - kept), np.float32)

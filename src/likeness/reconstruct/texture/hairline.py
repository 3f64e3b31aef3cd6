"""Where hair grows on a head: the model's hairline, moved to where photos show it, and continued where none does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from likeness.reconstruct.texture.atlas import SMOOTH, Atlas
from likeness.reconstruct.texture.fill import averaged, resized, spread_out
from likeness.reconstruct.texture.hair import hair_color
from likeness.reconstruct.texture.laid import Laid
from likeness.reconstruct.texture.view import View, smoothstep

MOVES_MM = np.arange(-40.0, 56.0, 5.0)
"""By how much a hairline may be moved, down positive."""

MOST_ON_FACE_MM, MOST_BESIDE_MM = 12.0, 50.0
"""How far below the model's hairline hair may be on a forehead, and beside the face: what hangs lower is in front of
skin."""

BESIDE_MM = (25.0, 50.0)
"""Distance from the middle of the face where forehead turns into temple."""

FRINGE_MM, FRINGED = 25.0, (0.25, 0.6)
"""How far below the hairline there is no hair without a fringe, and shares of hair there from which on there is some
fringe, and one that hangs over the temples, too."""

WINDOW, PRIOR = 0.022, 0.0005
"""Standard deviation, of the texture's side, of what is looked at to place the hairline, and how much must agree
better, of that, for each cm of a move."""

LITTLE = 0.05
"""How much of that must be seen."""

SOFT_MM, RAGGED_MM = 9.0, 2.0
"""How soft a hairline is, and by how much (twice the standard deviation) its hairs end higher or lower."""

EVENLY = 0.2
"""Log of the light by which hair may be lit less or more than a face usually is: locks shade each other, and what is
divided by the little light of the head's surface below would shine."""

LOWEST_MM = -5.0
"""Height on the mean head above which hair is looked for."""

OVER_BROWS_MM = (18.0, 24.0)
"""Heights on the mean head between which brows and lids end, which are dark themselves."""

BESIDE_EYES_MM = (48.0, 60.0)
"""The same below the brows, where eyes and their sockets, shadowed or painted, are as dark as hair."""

HALFWAY, APART = (0.35, 0.65), (0.25, 0.6)
"""Of the way from skin's colour to hair's: up to where it is skin, from where on hair; and log reflectance, over all
channels, by which they must differ to be told from each other, and to be told well."""

AROUND, MOST_AROUND = 0.04, 0.6
"""Skin's colour around a place: standard deviation of the mean, of the texture's side, and by how much it may differ
from the face's."""

WIDER = 0.012
"""Of the texture's side: how much wider than it looks what hangs in front is cut out, with its shadow."""

SHORN, LEAST_DARK = 0.5, 0.2
"""Log reflectance by which a scalp must be less red than skin to be hair, where hair stands off nowhere, and how much
of what is seen of it."""

STRAND = 0.025
"""Of the texture's side: how much lower strands go on where brows are."""

LIGHT_TINT = 0.5
"""How much of the light's colour, which is known no better than the skin's, is taken off hair."""

LIGHTEST = 0.4
"""Linear reflectance of hair, at most: what seems lighter is in another light."""

HANGING_MM = (2.0, 8.0)
"""How far below the hairline what looks like hair hangs in front of skin."""

SMOOTHED = 40
"""Rounds in which the model's hairline, from vertex to vertex, is made smooth."""


@lru_cache(maxsize=2)
def below_hairline(atlas: Atlas) -> np.ndarray:
    """(C, C) float32 mm on the mean head from the model's hairline, negative on the scalp; far below where the model
    knows no scalp."""
    model, mean = atlas.model, atlas.model.mean.astype(np.float64)
    scalp = model.topology.regions.get("scalp", np.zeros(len(mean), bool))
    triangles = model.topology.triangles
    on_line = np.zeros(len(mean), bool)
    mixed = scalp[triangles].any(axis=1) & ~scalp[triangles].all(axis=1)
    on_line[triangles[mixed].ravel()] = True
    if not on_line.any():
        return np.full((atlas.coarse.side, atlas.coarse.side), 1e3, np.float32)
    line = mean[triangles[mixed]].mean(axis=1)
    distance = np.concatenate(
        [np.linalg.norm(some[:, None] - line[None], axis=2).min(axis=1) for some in np.array_split(mean, 16)]
    )
    distance = _smooth(np.where(scalp, -distance, distance), triangles)
    return spread_out(
        atlas.coarse.picture(atlas.coarse.values(distance[:, None])), atlas.coarse.covered.astype(np.float32)
    )[..., 0]


def _smooth(values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    edges = np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    count = np.bincount(edges.ravel(), minlength=len(values))
    for _ in range(SMOOTHED):
        sums = np.bincount(edges[:, 0], values[edges[:, 1]], len(values))
        sums += np.bincount(edges[:, 1], values[edges[:, 0]], len(values))
        values = np.where(count > 0, 0.5 * values + 0.5 * sums / np.maximum(count, 1), values)
    return values


def hairline_moves(atlas: Atlas, hair: Sequence[np.ndarray], seen: Sequence[np.ndarray]) -> np.ndarray:
    """(C, C) float32 mm by which the hairline is lower than the model's, in each place's surroundings: the move that
    agrees best with what is seen of hair and skin, and, where nothing is seen, that of what is near.

    Args:
        atlas: of the texture.
        hair: (C, C) of each photo, 1 where it shows hair, 0 where it shows skin.
        seen: (C, C) of each, how well it sees that.
    """
    import cv2

    below, side = below_hairline(atlas), atlas.coarse.side
    counted = [one * (np.abs(below) < 70.0) * (1 - atlas.region("ears")) for one in seen]
    signs = [one * (2 * _combed(where, below) - 1) for one, where in zip(counted, hair, strict=True)]
    told = resized(np.sum(signs, axis=0), SMOOTH)
    shown = resized(np.sum(counted, axis=0), SMOOTH)
    known = cv2.GaussianBlur(shown, (0, 0), WINDOW * SMOOTH)
    small = resized(below, SMOOTH)
    agreement = []
    for move in MOVES_MM:
        grows = 2 * smoothstep(small - move, 2.5, -2.5) - 1
        agreement.append(cv2.GaussianBlur(told * grows, (0, 0), WINDOW * SMOOTH) - PRIOR * abs(move))
    best = MOVES_MM[np.argmax(agreement, axis=0)].astype(np.float32)[..., None]
    sure = np.minimum(known / LITTLE, 1.0).astype(np.float32)
    found = cv2.GaussianBlur(spread_out(best, sure), (0, 0), 0.5 * WINDOW * SMOOTH)
    across = np.abs(100 * resized(atlas.places[..., -3], SMOOTH))
    middle = (across < BESIDE_MM[0]) & (small > MOST_ON_FACE_MM) & (small < FRINGE_MM)
    share = told[middle].sum() / (shown[middle].sum() + 1e-3)
    fringe = smoothstep(0.5 + 0.5 * share, *FRINGED) if middle.any() else 0.0
    most = MOST_ON_FACE_MM + smoothstep(across, *BESIDE_MM) * (1 - fringe) * (MOST_BESIDE_MM - MOST_ON_FACE_MM)
    return resized(np.minimum(found, most).astype(np.float32), side)


def _combed(hair: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Hair (C, C) without single strands, and without gaps above: it comes from the scalp, so that there is hair
    above hair."""
    import cv2

    reach = 2 * max(1, round(0.006 * len(hair))) + 1
    opened = cv2.morphologyEx(hair.astype(np.float32), cv2.MORPH_OPEN, np.ones((reach, reach), np.uint8))
    opened *= below < MOST_BESIDE_MM
    above = np.maximum.accumulate(opened[::-1], axis=0)[::-1]
    return np.where(below < MOST_BESIDE_MM, np.maximum(hair, above), hair)


def grown(atlas: Atlas, moves: np.ndarray, soft_mm: float = SOFT_MM) -> np.ndarray:
    """(C, C) float32 in [0, 1]: where hair grows, by moves of the hairline (C, C) mm; never on ears."""
    from_line = below_hairline(atlas) - moves + RAGGED_MM * hairs(atlas.coarse.side)
    return np.asarray(smoothstep(-from_line, -0.5 * soft_mm, 0.5 * soft_mm) * (1 - atlas.region("ears")), np.float32)


@lru_cache(maxsize=2)
def hairs(side: int) -> np.ndarray:
    """(side, side) float32 of standard deviation a half, from hair to hair: longer than wide, as they grow; the same
    to the left and to the right."""
    import cv2

    noise = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=max(0.0015 * side, 0.4), sigmaY=0.008 * side)
    noise = noise + noise[:, ::-1]
    return np.asarray(0.5 * noise / noise.std(), np.float32)


def colored_as_hair(found: np.ndarray, hair: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(C, C) float32 in [0, 1]: how far a picture's colours are hair's; a half where that is as skin.

    Args:
        found: log reflectance.
        hair: (3,).
        skin: (C, C, 3), the skin's around.
    """
    way = hair - skin
    size = (way**2).sum(axis=2)
    share = ((found - skin) * way).sum(axis=2) / np.maximum(size, 1e-6)
    told = smoothstep(np.sqrt(size), *APART)
    return np.asarray(0.5 + told * (smoothstep(share, *HALFWAY) - 0.5), np.float32)


def _locally(difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C, C, 3) what a difference (C, C, 3) is over centimetres around, of what counts (C, C)."""
    import cv2

    share, sigma = resized(weight, SMOOTH), AROUND * SMOOTH
    sums = cv2.GaussianBlur(averaged(difference, weight, SMOOTH) * share[..., None], (0, 0), sigma)
    mean = sums / (cv2.GaussianBlur(share, (0, 0), sigma) + 0.02)[..., None]
    return resized(np.clip(mean, -MOST_AROUND, MOST_AROUND), len(weight))


def bare_of(atlas: Atlas, base: np.ndarray) -> np.ndarray:
    """The model's log reflectance (C, C, 3) with skin where it has hair."""
    zones = atlas.zones
    kept = 1 - np.clip(np.maximum(4 * zones["hair"], zones["scalp"]), 0, 1)
    return spread_out(base, np.asarray(kept * atlas.coarse.covered, np.float32))


@dataclass(frozen=True, eq=False)
class HairSeen:
    """What one photo says of a person's hair.

    Args:
        color: (3,) its log reflectance; None: it says nothing.
        there: (C, C) in [0, 1]: hair is seen.
        hanging: (C, C) in [0, 1]: hair that hangs in front of skin.
        told: (C, C) how well the photo tells hair from skin; 0 where it shows neither.
        share: (C, C) in [0, 1]: how much of what it tells is hair, a half where colours do not say.
        light: (C, C, 3) log of the light on skin and hair.
        bald: the scalp is seen, and is skin.
    """

    color: np.ndarray | None
    there: np.ndarray
    hanging: np.ndarray
    told: np.ndarray
    share: np.ndarray
    light: np.ndarray
    bald: bool = False

    def in_more_light(self, light: np.ndarray) -> HairSeen:
        """The same if there is more light on it, by its logarithm (3,)."""
        return self if self.color is None else replace(self, color=self.color - light.mean())


def hair_in(atlas: Atlas, bare: np.ndarray, view: View, found: Laid) -> HairSeen:
    """The hair that a photo shows.

    Args:
        atlas: of the texture.
        bare: (C, C, 3) log reflectance by the model, without hair.
        view: the photo.
        found: it, on the texture plane.
    """
    import cv2

    none, sure = np.zeros_like(found.weight), found.weight * atlas.zones["face"] > 0.5
    nothing = HairSeen(None, none, none, none, none + 0.5, found.light)
    if not sure.any() or not atlas.zones["scalp"].any():
        return nothing
    usual_light = np.median(found.light[sure], axis=0)
    light = usual_light + np.clip(found.light - usual_light, -EVENLY, EVENLY)
    color = found.color + found.light - light
    skin = bare + np.median((found.color - bare)[sure], axis=0)
    hair = _color(atlas, view, color, skin, found.weight, usual_light)
    if hair is None:
        return replace(nothing, bald=bool(((found.weight > 0.3) & (atlas.zones["scalp"] > 0.5)).any()))
    share = colored_as_hair(color, hair, skin)
    face_only = found.weight * atlas.zones["face"] * (1 - share)
    share = colored_as_hair(color, hair, skin + _locally(color - skin, face_only))
    own = np.max([atlas.zones[name] for name in ("brows", "beard", "lids", "lips", "nose")], axis=0)
    own = cv2.dilate(own, np.ones((3, 3), np.uint8))
    where = (1 - smoothstep(own, 0.1, 0.4)) * (atlas.height > LOWEST_MM) * (1 - atlas.region("ears"))
    told = found.weight * where
    there = np.maximum(2 * share - 1, 0) * where
    moves = hairline_moves(atlas, [share], [told])
    hanging = _hanging(atlas, there, share, below_hairline(atlas) - moves)
    hairy = np.maximum(there * found.weight, grown(atlas, moves))
    light = found.light + hairy[..., None] * (light - found.light)
    return HairSeen(hair, there, hanging, told, share, np.asarray(light, np.float32))


def _color(
    atlas: Atlas, view: View, color: np.ndarray, skin: np.ndarray, weight: np.ndarray, light: np.ndarray
) -> np.ndarray | None:
    """(3,) float32 log reflectance of hair; None: none is seen.

    Args:
        atlas: of the texture.
        view: the photo.
        color: (C, C, 3) log reflectance by the photo.
        skin: (C, C, 3) the face's skin.
        weight: (C, C) how well each place is seen.
        light: (3,) log of the light on the face.
    """
    hair = hair_color(view, atlas.model)
    if hair is not None:
        hair = hair - light.mean() - LIGHT_TINT * (light - light.mean())
    else:
        scalp = (weight > 0.3) & (below_hairline(atlas) < MOST_ON_FACE_MM)
        # Skin in shadow stays red.
        dark = scalp & ((skin - color)[..., 0] > SHORN)
        if not scalp.any() or dark.sum() < LEAST_DARK * scalp.sum():
            return None
        hair = np.median(color[dark], axis=0)
    # No hair grows green or blue: cloth around a head is taken for hair.
    hair[:2] += 0.5 * max(0.0, float(hair[1] - hair[0])) * np.array([1, -1])
    hair[2] = min(hair[2], hair[1])
    return np.asarray(hair - max(0.0, float(hair.max()) - np.log(LIGHTEST)), np.float32)


def _hanging(atlas: Atlas, there: np.ndarray, share: np.ndarray, below: np.ndarray) -> np.ndarray:
    """(C, C) in [0, 1]: hair in front of skin, with what of it is in front of brows.

    Args:
        atlas: of the texture.
        there: (C, C) hair, where no brows, lids and beards are.
        share: (C, C) what looks like hair.
        below: (C, C) mm below the person's hairline.
    """
    import cv2

    across = np.abs(100 * resized(atlas.places[..., -3], len(share)))
    clear = np.maximum(smoothstep(atlas.height, *OVER_BROWS_MM), smoothstep(across, *BESIDE_EYES_MM))
    hanging = there * smoothstep(below, *HANGING_MM) * clear * atlas.coarse.covered
    reach = max(1, round(STRAND * len(share)))
    longer = cv2.dilate(hanging, np.ones((2 * reach + 1, 1), np.uint8), anchor=(0, 2 * reach))
    hanging = np.maximum(hanging, longer * np.maximum(2 * share - 1, 0) * (atlas.height > LOWEST_MM))
    reach = 2 * max(1, round(WIDER * len(share))) + 1
    wider = cv2.dilate(hanging, np.ones((reach, reach), np.uint8))
    return np.asarray(cv2.GaussianBlur(wider, (0, 0), reach / 3), np.float32)

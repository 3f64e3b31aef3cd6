"""The hair that a photo shows around a face: its colour, taken from where it stands off the head, too.

Hair is seldom where the face model has its scalp: it stands off by centimetres. So the photo around the head is cut
out of its background (GrabCut: Rother et al., SIGGRAPH 2004), and what of it is beyond the head's outline, above the
eyes, is hair, if the background is known or the scalp within the outline looks like it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.geometry.crop import Crop
from likeness.images.color import linear_from_srgb
from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.view import DARKEST, View

SIDE, SHOWN_MM, ABOVE_MM = 144, 300.0, 45.0
"""Pixels and mm of the square in which hair is looked for, and how far above the eyes its middle is."""

NEAR_MM, FAR_MM, WITHIN_MM = 12.0, 70.0, 25.0
"""From the head's outline: up to where hair is likely, from where on there is background only, and from how deep
inside on there is only head."""

BAND_MM, OUTER_MM = (5.0, 30.0), (45.0, 68.0)
"""From the outline: where hair gives its colour, and where less of it should be than there."""

RIM_MM, LIKE_RIM = 12.0, 0.5
"""How deep within the outline the scalp should look like the hair, and what share of it, where the background is not
known."""

OVER_EYES_MM = 15.0
"""How far above the eyes hair is looked for."""

LEAST_PIXELS, LEAST_SHARE, MOST_OUTER = 40, 0.06, 0.4
"""Pixels that the band must have in the photo, share of them that must be hair, and share of those farther out that
may be: where all is cut out, the background was not told from the head."""

LIGHTER = 0.15
"""Log colour by which hair may be lighter than skin where the background is not known: what is more is a wall."""

ROUNDS = 3
"""Of GrabCut."""

SURE_BACKGROUND = 300
"""Pixels of background from which on it is known."""

APART = 0.3
"""Log colour between hair and skin, and hair and background, from which on they can be told from each other."""


@dataclass(frozen=True, eq=False)
class _Around:
    """The photo around a head, upright: (h, SIDE) each.

    Args:
        color: (h, SIDE, 3) uint8 RGB, down to the chin.
        known: within the photo.
        outside: mm from the head's outline, outwards positive.
        core: the middle of the face.
        above: far enough above the eyes.
    """

    color: np.ndarray
    known: np.ndarray
    outside: np.ndarray
    core: np.ndarray
    above: np.ndarray


def hair_color(view: View, model: FaceModel) -> np.ndarray | None:
    """(3,) log of linear RGB that hair has in a photo, in its light; None: none was found, or none could be told from
    the background.

    Args:
        view: the photo.
        model: of the head; with the regions face, eyes and neck, else there is no answer.
    """
    around = _around(view, model)
    if around is None:
        return None
    band = around.known & around.above & (around.outside > BAND_MM[0]) & (around.outside < BAND_MM[1])
    cut = _cut_out(around)
    if cut is None or band.sum() < LEAST_PIXELS or (cut & band).sum() < LEAST_SHARE * band.sum():
        return None
    colors = np.log(np.maximum(linear_from_srgb(around.color / 255.0), DARKEST))
    hair, skin = np.median(colors[cut & band], axis=0), np.median(colors[around.core], axis=0)
    outer = around.known & around.above & (around.outside > OUTER_MM[0]) & (around.outside < OUTER_MM[1])
    background = around.known & around.above & (around.outside > OUTER_MM[0]) & ~cut
    told = background.sum() > SURE_BACKGROUND and (cut & outer).sum() < MOST_OUTER * max(outer.sum(), 1)
    if told:
        told = np.abs(hair - np.median(colors[background], axis=0)).max() > APART
    rim = around.known & around.above & (around.outside < 0) & (around.outside > -RIM_MM)
    like_hair = np.abs(colors - hair).sum(axis=2) < np.abs(colors - skin).sum(axis=2)
    like_hair &= np.abs(hair - skin).max() > APART
    if not told and (like_hair & rim).sum() < LIKE_RIM * max(rim.sum(), 1):
        return None
    if not told and (hair - skin).mean() > LIGHTER:
        return None
    return np.asarray(np.median(colors[cut & (band | (rim & like_hair))], axis=0), np.float32)


def _around(view: View, model: FaceModel) -> _Around | None:
    import cv2

    regions = model.topology.regions
    if not all(name in regions and regions[name].any() for name in ("face", "eyes", "neck")):
        return None
    up = np.asarray(view.rotation, np.float64)[:2, 1]
    if np.hypot(*up) < 0.3:
        return None
    up = up / np.hypot(*up)
    middle = view.pixels[regions["eyes"]].mean(0) + up * ABOVE_MM * view.per_mm
    crop = Crop.from_box(middle, SHOWN_MM * view.per_mm, SIDE, float(np.arctan2(up[0], -up[1])))
    places, scale = crop.to_crop(view.pixels), SIDE / SHOWN_MM
    chin = int(np.clip(places[regions["face"], 1].max(), 1, SIDE))
    head, face = np.zeros((2, SIDE, SIDE), np.uint8)
    for picture, inside in ((head, ~regions["neck"]), (face, regions["face"])):
        hull = cv2.convexHull(places[inside].astype(np.float32))
        cv2.fillConvexPoly(picture, np.round(hull * 16).astype(np.int32), 1, cv2.LINE_8, 4)
    distance = [cv2.distanceTransform(one, cv2.DIST_L2, 3) / scale for one in (1 - head, head)]
    deep = cv2.distanceTransform(face, cv2.DIST_L2, 3) / scale
    rows, columns = np.indices((SIDE, SIDE))
    photo = crop.to_photo(np.stack([columns, rows], axis=2).reshape(-1, 2)).reshape(SIDE, SIDE, 2)
    known = ((photo > 0) & (photo < np.array(view.camera.size) - 1)).all(axis=2)
    above = rows < places[regions["eyes"], 1].mean() - OVER_EYES_MM * scale
    parts = crop.extract(view.photo), known, distance[0] - distance[1], (deep > NEAR_MM) & known, above
    return _Around(*(part[:chin] for part in parts))


def _cut_out(around: _Around) -> np.ndarray | None:
    """(h, SIDE) bool: the head with its hair; None: the photo shows too little."""
    import cv2

    mask = np.full(around.known.shape, cv2.GC_PR_BGD, np.uint8)
    mask[around.outside < NEAR_MM] = cv2.GC_PR_FGD
    mask[around.outside < -WITHIN_MM] = cv2.GC_FGD
    mask[around.core] = cv2.GC_FGD
    mask[(around.outside > FAR_MM) | ~around.known] = cv2.GC_BGD
    head = mask % 2 == 1
    if min((head & around.known).sum(), (~head & around.known).sum()) < LEAST_PIXELS:
        return None
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(around.color[..., ::-1]),
        mask,
        None,
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    return (mask % 2 == 1) & around.known

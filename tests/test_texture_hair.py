"""Hair: its colour on the scalp, however far it stands off; none on bald heads; fringes are not skin."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from test_texture import SIZE, head, log_of, photographed, plain

from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.reconstruct.texture import View, texture_of
from likeness.reconstruct.texture.atlas import Atlas, atlas_of
from likeness.reconstruct.texture.hair import hair_color
from likeness.reconstruct.texture.hairline import bare_of, below_hairline, grown, hair_in
from likeness.reconstruct.texture.laid import base_of, laid
from likeness.render.raster import rasterize_view

DARK, BLOND = (0.02, 0.016, 0.012), (0.30, 0.20, 0.09)


def bare_head() -> np.ndarray:
    """(V, 3) linear reflectance of the head without its hair."""
    model, atlas = head(), atlas_of(head(), SIZE)
    bare = bare_of(atlas, base_of(atlas, plain()))
    place = np.clip(model.topology.uv * [SIZE, -SIZE] + [-0.5, SIZE - 0.5], 0, SIZE - 1)
    found = plain().copy()
    column, row = np.rint(place[model.topology.uv_triangles.ravel()]).astype(int).T
    found[model.topology.triangles.ravel()] = np.exp(bare[row, column])
    return found


def shorn(yaw: float = 0.0, wall: tuple[int, int, int] = (200, 205, 210)) -> View:
    """A photo of a head without hair, before a wall of some noise."""
    view = photographed(yaw=yaw, skin=texture_of(head(), bare_head(), [], SIZE))
    behind = ~on_head(view)
    noise = np.random.default_rng(0).normal(scale=4.0, size=view.photo.shape)
    photo = np.where(behind[..., None], np.clip(wall + noise, 0, 255), view.photo).astype(np.uint8)
    return replace(view, photo=photo)


def on_head(view: View) -> np.ndarray:
    return rasterize_view(view.placed, head().topology.triangles, view.camera).triangle >= 0


def with_hair(view: View, color: tuple[float, float, float], off_mm: float = 14.0) -> View:
    """The photo with hair of this reflectance, standing off the scalp as far as that, in the face's light."""
    scalp = np.zeros(view.photo.shape[:2], np.uint8)
    model = head()
    own = model.topology.regions["scalp"][model.topology.triangles].all(axis=1)
    seen = rasterize_view(view.placed, model.topology.triangles, view.camera).triangle
    scalp[(seen >= 0) & own[seen]] = 1
    reach = round(off_mm * view.per_mm)
    above = np.arange(len(scalp))[:, None] < view.pixels[model.topology.regions["eyes"], 1].mean() - 20 * view.per_mm
    around = cv2.dilate(scalp, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    hair = ((around > 0) & ~on_head(view) & above) | (scalp > 0)
    return painted_over(view, hair, color)


def painted_over(view: View, where: np.ndarray, color: tuple[float, float, float]) -> View:
    face = model_pixels(view)
    light = np.median(linear_from_srgb(view.photo[face[:, 1], face[:, 0]] / 255.0), axis=0) / skin_color()
    streaks = np.random.default_rng(1).normal(scale=0.15, size=view.photo.shape[:2])
    linear = np.array(color) * light * np.exp(cv2.GaussianBlur(streaks, (0, 0), 0.7))[..., None]
    pixels = np.rint(255 * srgb_from_linear(np.clip(linear, 0, 1))).astype(np.uint8)
    return replace(view, photo=np.where(where[..., None], pixels, view.photo))


def model_pixels(view: View) -> np.ndarray:
    """(N, 2) where the middle of the face is."""
    model = head()
    middle = model.topology.regions["face"] & (np.abs(model.mean[:, 0]) < 45) & (model.mean[:, 2] > -25)
    return np.rint(view.pixels[middle]).astype(int)


def skin_color() -> np.ndarray:
    return np.asarray(np.median(bare_head()[head().topology.regions["face"]], axis=0))


def scalp_of(atlas: Atlas) -> np.ndarray:
    """(SIZE, SIZE) bool: the scalp, well above its hairline, seen or not."""
    return (below_hairline(atlas) < -15) & (atlas.zones["scalp"] > 0.99) & atlas.coarse.covered


def on_mean(axis: int) -> np.ndarray:
    """(SIZE, SIZE) mm on the mean head."""
    grid = atlas_of(head(), SIZE).coarse
    return grid.picture(grid.values(head().mean))[..., axis]


def median_of(texture: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(log_of(texture)[where], axis=0))


@pytest.mark.parametrize("color", [DARK, BLOND])
@pytest.mark.parametrize("yaw", [0.0, 0.4])
def test_the_scalp_has_the_colour_of_hair_that_stands_off(color: tuple[float, float, float], yaw: float) -> None:
    found = texture_of(head(), plain(), [with_hair(shorn(yaw), color)], SIZE)
    np.testing.assert_allclose(median_of(found, scalp_of(atlas_of(head(), SIZE))), np.log(color), atol=0.4)


def test_swept_back_hair_colours_a_scalp_on_which_none_lies() -> None:
    """Hair beyond the head's outline only: over a forehead that goes on, as in many photos from the front."""
    view = shorn()
    hairy = with_hair(view, DARK)
    hairy = replace(view, photo=np.where(on_head(view)[..., None], view.photo, hairy.photo))
    found = texture_of(head(), plain(), [hairy], SIZE)
    hidden = scalp_of(atlas_of(head(), SIZE)) & (on_mean(2) < -60)
    np.testing.assert_allclose(median_of(found, hidden), np.log(DARK), atol=0.5)


@pytest.mark.parametrize("wall", [(200, 205, 210), (30, 25, 20), (20, 90, 200)])
def test_a_bald_head_stays_bald_before_any_wall(wall: tuple[int, int, int]) -> None:
    found = texture_of(head(), plain(), [shorn(wall=wall)], SIZE)
    np.testing.assert_allclose(median_of(found, scalp_of(atlas_of(head(), SIZE))), np.log(skin_color()), atol=0.35)


def test_cloth_of_any_colour_leaves_no_blue_hair() -> None:
    found = texture_of(head(), plain(), [with_hair(shorn(), (0.16, 0.10, 0.32))], SIZE)
    scalp = median_of(found, scalp_of(atlas_of(head(), SIZE)) & (on_mean(2) < -60))
    assert scalp[2] < scalp[1] + 0.05 < scalp[0] + 0.1


def test_light_hair_is_believed_only_where_it_can_be_told_from_the_wall() -> None:
    """A crown so lit that it looks like the light wall behind is none; dark hair before a dark wall is hair."""
    for color, hair in (((0.5, 0.5, 0.5), False), (DARK, True)):
        bald = shorn()
        view = with_hair(bald, color)
        wall = ~on_head(view) & (view.photo == bald.photo).all(axis=2)
        view = painted_over(view, wall, (1.3 * color[0], 1.3 * color[1], 1.3 * color[2]))
        assert (hair_color(view, head()) is not None) == hair


def test_a_fringe_is_not_skin() -> None:
    view = with_hair(shorn(), DARK)
    atlas = atlas_of(head(), SIZE)
    model = head()
    forehead = model.topology.regions["face"] & (np.abs(model.mean[:, 0]) < 40) & (model.mean[:, 1] > 32)
    hull = cv2.convexHull(view.pixels[forehead].astype(np.float32))
    fringe = np.zeros(view.photo.shape[:2], np.uint8)
    cv2.fillConvexPoly(fringe, np.rint(hull).astype(np.int32), 1)
    fringed = painted_over(view, fringe > 0, DARK)
    below = below_hairline(atlas)
    where = (below > 18) & (atlas.height > 38) & (np.abs(on_mean(0)) < 30) & (atlas.zones["brows"] < 0.02)
    assert where.sum() > 50
    bare, under = (median_of(texture_of(model, plain(), [one], SIZE), where) for one in (view, fringed))
    assert np.abs(under - bare).max() < 0.35
    assert np.abs(np.log(DARK) - bare).max() > 1.5


def test_eyes_as_dark_as_the_hair_are_no_hair() -> None:
    """Sockets in shadow, painted lids: below the brows, beside the eyes."""
    view, model, atlas = with_hair(shorn(), DARK), head(), atlas_of(head(), SIZE)
    painted = view.photo.copy()
    socket = np.abs(np.abs(model.mean[:, 0]) - 41) < 6
    socket &= (np.abs(model.mean[:, 1] - 8) < 6) & model.topology.regions["face"]
    for side in (socket & (model.mean[:, 0] > 0), socket & (model.mean[:, 0] < 0)):
        where = np.zeros(view.photo.shape[:2], np.uint8)
        cv2.fillConvexPoly(where, np.rint(cv2.convexHull(view.pixels[side].astype(np.float32))).astype(np.int32), 1)
        painted = painted_over(replace(view, photo=painted), where > 0, DARK).photo
    base = base_of(atlas, plain())
    dark = replace(view, photo=painted)
    hair = hair_in(atlas, bare_of(atlas, base), dark, laid(atlas, plain(), dark))
    where = (np.abs(np.abs(on_mean(0)) - 41) < 4) & (np.abs(atlas.height - 8) < 4) & atlas.coarse.covered
    assert where.sum() > 20
    assert hair.share[where].mean() > 0.7
    assert hair.hanging[where].max() < 0.05


def test_hair_grows_above_its_line_and_ears_have_none() -> None:
    atlas = atlas_of(head(), SIZE)
    below = below_hairline(atlas)
    still, lower = (grown(atlas, np.full_like(below, move)) for move in (0.0, 20.0))
    assert still[(below < -12) & (atlas.zones["scalp"] > 0.99)].min() > 0.95
    assert still[(below > 12) & (below < 200)].max() < 0.05
    assert (lower >= still - 1e-6).all()
    assert lower.sum() > 1.1 * still.sum()
    assert lower[atlas.region("ears") > 0.99].max() < 1e-6

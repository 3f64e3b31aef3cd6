"""What a photo with open eyes shows of the lids is no streaks across closed ones, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from likeness import FaceModel
from likeness.assets import asset
from likeness.reconstruct.texture.atlas import Atlas, atlas_of
from likeness.reconstruct.texture.lids import CLOSED, smooth_lids

SIZE = 512


@cache
def head() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


def smoothed(atlas: Atlas, texture: np.ndarray) -> np.ndarray:
    found = texture.copy()
    smooth_lids(atlas, found)
    return found


def striped() -> np.ndarray:
    """Upright stripes a few texels wide, as lashes are: they run across the lids, above the pupils."""
    stripes = 0.5 * np.sin(np.arange(SIZE) * (2 * np.pi / 3.0))
    return np.broadcast_to(stripes[None, :, None], (SIZE, SIZE, 3)).astype(np.float32)


def test_stripes_across_the_lids_are_smoothed_and_nothing_else_is() -> None:
    atlas, texture = atlas_of(head(), SIZE), striped()
    found = smoothed(atlas, texture)
    changed = np.abs(found - texture).max(axis=2) > 1e-6
    closing = np.tensordot([float(name in CLOSED) for name in head().expression_names], head().expression_basis, 1)
    moved = atlas.fine.picture(atlas.fine.values(np.linalg.norm(closing, axis=1)[:, None]))[..., 0]
    assert 100 < changed.sum() < 0.01 * SIZE * SIZE
    assert moved[changed].min() > 0.0
    assert np.median(moved[changed]) > 1.0
    assert np.abs(found[changed]).mean() < 0.7 * np.abs(texture[changed]).mean()
    lids = changed & (moved > 3.0)
    assert np.abs(found[lids]).mean() < 0.5 * np.abs(texture[lids]).mean()


def test_an_even_colour_and_its_mirror_image_stay() -> None:
    atlas = atlas_of(head(), SIZE)
    even = np.full((SIZE, SIZE, 3), -0.7, np.float32)
    np.testing.assert_allclose(smoothed(atlas, even), even, atol=1e-5)
    noise = np.random.default_rng(0).normal(size=(SIZE, SIZE, 3)).astype(np.float32)
    one, other = smoothed(atlas, noise), smoothed(atlas, noise[:, ::-1])[:, ::-1]
    assert np.abs(one - other).mean() < 0.01 * np.abs(one - noise).mean() + 1e-3


def test_a_model_that_does_not_close_its_eyes_stays_as_it_is() -> None:
    names = tuple(name.replace("eyeBlink", "eyeShut") for name in head().expression_names)
    other = replace(head(), expression_names=names)
    texture = striped()
    np.testing.assert_array_equal(smoothed(Atlas.of(other, SIZE), texture), texture)

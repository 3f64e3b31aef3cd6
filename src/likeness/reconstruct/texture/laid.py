"""A photo laid on the texture plane: what it shows of every texel, how well, and the light that it shows it in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.reconstruct.texture.atlas import SMOOTH, Atlas
from likeness.reconstruct.texture.fill import averaged, resized, spread_out
from likeness.reconstruct.texture.view import Sampler, Seen, View, fitted_light, log_shading

BLACK = 2e-3
"""Linear, of a photo."""


@dataclass(frozen=True, eq=False)
class Laid:
    """One photo on the coarse grid.

    Args:
        color: (C, C, 3) log reflectance by the photo.
        light: (C, C, 3) log of the light that was taken out.
        weight: (C, C) how well each texel is seen, 0 to 1; 0 in eyes and mouth.
        pixels: (C, C, 2) where each is in the photo.
        per_texel: photo pixels per texel of the texture.
        sh: (9, 3) the light that was fitted.
    """

    color: np.ndarray
    light: np.ndarray
    weight: np.ndarray
    pixels: np.ndarray
    per_texel: float
    sh: np.ndarray


def base_of(atlas: Atlas, albedo: np.ndarray) -> np.ndarray:
    """(C, C, 3) log reflectance by the model, continued beyond the head; albedo (V, 3) linear."""
    log_albedo = np.log(np.maximum(albedo, 1e-3)).astype(np.float32)
    plain = atlas.coarse.picture(atlas.coarse.values(log_albedo))
    return spread_out(plain, atlas.coarse.covered.astype(np.float32))


def laid(atlas: Atlas, albedo: np.ndarray, view: View, skin: np.ndarray | None = None) -> Laid:
    """A view on the texture plane, by the model's albedo (V, 3) linear; its light from where there is ``skin`` (C,
    C), if that is known."""
    model, grid = atlas.model, atlas.coarse
    seen = Seen(view, model)
    normals = view.normals(model.topology.triangles)
    values = grid.values(np.concatenate([view.placed, normals, view.pixels], axis=1))
    points, normals, pixels = values[:, :3], values[:, 3:6], values[:, 6:]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    trust = None if skin is None else _at_vertices(atlas, skin)
    sh = fitted_light(view, model, albedo, seen, trust)
    shading = log_shading(sh, normals)
    light = spread_out(grid.picture(shading), grid.covered.astype(np.float32))
    weight = grid.picture(seen.weights(points, normals, pixels))
    per_texel = view.per_mm / texels_per_mm(atlas)
    places = grid.picture(pixels)
    shown = Sampler(view, per_texel * atlas.size / grid.side)(places)
    weight *= _not_black(shown)
    weight *= (1 - atlas.zones["eyes"]) * (1 - atlas.zones["mouth"])
    return Laid(shown - light, light, weight, places, per_texel, sh)


def _at_vertices(atlas: Atlas, picture: np.ndarray) -> np.ndarray:
    """(V,) what a picture (C, C) of the texture plane shows at the vertices; 0 where none is on it."""
    topology, side = atlas.model.topology, len(picture)
    found = np.zeros(len(atlas.model.mean), picture.dtype)
    place = np.clip(topology.uv * [side, -side] + [-0.5, side - 0.5], 0, side - 1)
    column, row = np.rint(place[topology.uv_triangles.ravel()]).astype(int).T
    found[topology.triangles.ravel()] = picture[row, column]
    return found


def difference_of(atlas: Atlas, albedo: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a photo says over what the model does, as :class:`likeness.reconstruct.texture.front.FrontNetwork` takes
    it: log reflectance (s, s, 3), weight (s, s), and photo pixels (s, s, 2), s = :data:`SMOOTH`."""
    found = laid(atlas, albedo, view)
    ratio, weight = coarser(found.color - base_of(atlas, albedo), found.weight)
    return ratio, weight, resized(found.pixels, SMOOTH)


def coarser(ratio: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ratio (C, C, 3) and how well it is known (C, C) at side :data:`SMOOTH`."""
    return averaged(ratio, weight, SMOOTH), resized(weight, SMOOTH)


def texels_per_mm(atlas: Atlas) -> float:
    """Of the face, roughly: areas in the plane over areas on the mean head."""
    model = atlas.model
    uv, mean = model.topology.uv, model.mean
    rows = np.arange(len(model.topology.triangles))
    if "face" in model.topology.regions:
        rows = np.flatnonzero(model.topology.regions["face"][model.topology.triangles].all(axis=1))
    flat, space = uv[model.topology.uv_triangles[rows]], mean[model.topology.triangles[rows]]
    first, second = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    plane = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).sum()
    area = np.linalg.norm(np.cross(space[:, 1] - space[:, 0], space[:, 2] - space[:, 0]), axis=1).sum()
    return float(atlas.size * np.sqrt(plane / max(area, 1e-9)))


def _not_black(log_color: np.ndarray) -> np.ndarray:
    """(C, C) float32: 0 at black pixels (C, C, 3) and around: no skin is, borders of pictures are."""
    import cv2

    black = (log_color.max(axis=2) < np.log(BLACK)).astype(np.uint8)
    return np.asarray(
        1 - cv2.GaussianBlur(cv2.dilate(black, np.ones((5, 5), np.uint8)).astype(np.float32), (0, 0), 1)
    )

"""Eyes are painted, not photographed: a round pupil in an iris of the person's colour, wherever the person looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.atlas import Atlas
from likeness.reconstruct.texture.view import Sampler, View, smoothstep

PUPIL_SHARE, PUPIL = 0.36, np.log(0.012)
"""Radius of the pupil over the iris', and its log reflectance."""

LIMBUS = 0.7
"""How much darker, in log reflectance, the iris' outer edge is."""

EDGE_MM = 0.35
"""How soft edges are."""

LEAST_PER_MM = 0.5
"""Photo pixels per mm from which on an iris has a colour."""

USUAL = (0.075, 0.05, 0.035)
"""Linear reflectance of an iris of which nothing is known, and from which a photo's may differ by a factor of
:data:`UNUSUAL`."""
UNUSUAL = 5.0


def paint_eyes(
    atlas: Atlas, texture: np.ndarray, albedo: np.ndarray, views: Sequence[View], lights: Sequence[np.ndarray]
) -> None:
    """Paint eyes into a texture, in place; nothing where the model knows no irises.

    Args:
        atlas: of the texture.
        texture: (S, S, 3) log reflectance.
        albedo: (V, 3) linear reflectance by the model.
        views: the photos, in which the iris' colour is looked for.
        lights: (3,) of each, the linear light on the eyes.
    """
    rings = _rings(atlas.model)
    if not rings:
        return
    iris = _iris_color(views, lights, rings)
    flat = texture.reshape(-1, 3)
    for eye, (texel, radius, size) in zip(rings, _places(atlas, rings), strict=True):
        sclera = np.log(np.maximum(np.median(albedo[eye[0]], axis=0), 1e-3))
        flat[texel] = _painted(radius, size, np.log(iris), sclera)


def _places(atlas: Atlas, rings: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Of each eye its texels (N,), how far they are from its axis (N,) mm, and its iris' radius."""
    grid, mean = atlas.fine, atlas.model.mean.astype(np.float32)
    found = []
    for eye, ring in rings:
        mine = np.zeros(len(mean), bool)
        mine[eye] = True
        rows = np.flatnonzero(mine[grid.corners[:, 0]].take(grid.triangle))
        some = replace(grid, texel=grid.texel[rows], triangle=grid.triangle[rows], barycentric=grid.barycentric[rows])
        centre = mean[ring].mean(0)
        place = some.values(mean) - centre
        radius = np.where(place[:, 2] > -8.0, np.hypot(place[:, 0], place[:, 1]), np.inf)
        found.append((some.texel, radius, float(np.hypot(*(mean[ring] - centre)[:, :2].T).mean())))
    return found


def _painted(radius: np.ndarray, size: float, iris: np.ndarray, sclera: np.ndarray) -> np.ndarray:
    """(N, 3) log reflectance at distances (N,) mm from the eye's axis; ``size`` is the iris' radius."""
    pupil = smoothstep(radius, PUPIL_SHARE * size - EDGE_MM, PUPIL_SHARE * size + EDGE_MM)[:, None]
    white = smoothstep(radius, size - EDGE_MM, size + EDGE_MM)[:, None]
    limbus = LIMBUS * smoothstep(radius, 0.7 * size, size)[:, None]
    inner = 0.15 * (1 - smoothstep(radius, PUPIL_SHARE * size, 0.8 * size))[:, None]
    color = (1 - pupil) * PUPIL + pupil * (iris + inner - limbus)
    return np.asarray(color + white * (sclera - color), np.float32)


def _rings(model: FaceModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each eye its vertices, and those around its iris."""
    eyes = model.topology.regions.get("eyes")
    if eyes is None or "irisLight" not in model.albedo_names:
        return []
    iris = np.abs(model.albedo_basis[model.albedo_names.index("irisLight")]).max(1) > 0
    sides = (eyes & (model.mean[:, 0] > 0), eyes & (model.mean[:, 0] <= 0))
    return [(np.flatnonzero(side), np.flatnonzero(side & iris)) for side in sides if (side & iris).sum() > 2]


def _iris_color(
    views: Sequence[View], lights: Sequence[np.ndarray], rings: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """(3,) linear reflectance: the middle of what the photos show between pupil and limbus, without highlights."""
    found, usual = [], np.asarray(USUAL)
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for view, light in zip(views, lights, strict=True):
        if view.per_mm < LEAST_PER_MM:
            continue
        sampler = Sampler(view, 0.5 * view.per_mm)
        for _, ring in rings:
            center, radius = view.pixels[ring].mean(0), np.ptp(view.pixels[ring], axis=0).max() / 2
            # The lower half: lids and lashes shade the upper one.
            around = np.stack([np.cos(turns), np.abs(np.sin(turns)) * 0.8], axis=1)
            places = center + radius * np.concatenate([share * around for share in (0.55, 0.7)])
            color = np.exp(sampler(places[None])[0])
            dark = color.sum(1) <= np.quantile(color.sum(1), 0.4)
            found.append(np.median(color[dark], axis=0) / np.maximum(light, 1e-3))
    if not found:
        return usual
    return np.asarray(np.clip(np.mean(found, axis=0), usual / UNUSUAL, usual * UNUSUAL))

"""What the surfaces of a glTF scene are painted with, once they are joined: one texture, or colours at vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.images.texture import nearest_texels
from likeness.mesh.defects import Defects, usable_colors
from likeness.mesh.glb_document import Document
from likeness.mesh.glb_primitive import Primitive
from likeness.mesh.glb_texture import base_factor, color_image, decoded_image


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of one material.

    Args:
        primitive: whose vertices they have.
        offset: the number of its first vertex among all.
        triangles: (F, 3) vertices' numbers among all.
        material: its entry of the file.
    """

    primitive: Primitive
    offset: int
    triangles: np.ndarray
    material: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Paint:
    """What V joined vertices and F triangles are painted with.

    Args:
        uv: (V, 2) origin bottom left; 0 where a surface has none and others are textured.
        colors: (V, 3) sRGB; where surfaces differ in their textures, with the textures' colours in them.
        texture: (H, W, 3) uint8; the one of the triangles that are covered.
        covered: (F,) bool, which triangles the texture is for; None: all.
        mixed: of the surfaces' textures, why no mesh can hold them all; empty: it can.
    """

    uv: np.ndarray | None
    colors: np.ndarray | None
    texture: np.ndarray | None
    covered: np.ndarray | None = None
    mixed: str = ""


def joined_paint(document: Document, defects: Defects, surfaces: Sequence[Surface], count: int) -> Paint:
    """The paint of surfaces that have ``count`` vertices together; what cannot be had is noted."""
    found = [color_image(document, defects, surface.material) for surface in surfaces]
    images = [None if surface.primitive.uv is None else image for image, surface in zip(found, surfaces, strict=True)]
    pixels = {image: decoded_image(document, defects, image) for image in dict.fromkeys(images) if image is not None}
    textures = [None if image is None else pixels[image] for image in images]
    colors, uv = _colors(defects, surfaces, count), _uv(surfaces, count)
    is_whole = all(surface.primitive.uv is not None for surface in surfaces)
    if len(set(images)) == 1 or all(texture is None for texture in textures):
        if uv is not None and not is_whole:
            defects.add("no uv (only some parts have some)")
        return Paint(uv if is_whole else None, colors, textures[0])
    known = [image for image, values in pixels.items() if values is not None]
    sampled = _sampled(defects, surfaces, textures, colors, count)
    if len(known) > 1:
        return Paint(uv if is_whole else None, sampled, None, mixed=f"{len(known)} of them, a mesh holds one")
    covered = np.concatenate(
        [np.full(len(surface.triangles), image == known[0]) for image, surface in zip(images, surfaces, strict=True)]
    )
    return Paint(uv, sampled, pixels[known[0]], covered, "only some parts have one")


def _uv(surfaces: Sequence[Surface], count: int) -> np.ndarray | None:
    uv, has_some = np.zeros((count, 2)), False
    for surface in surfaces:
        own = surface.primitive.uv
        if own is not None:
            uv[surface.offset : surface.offset + len(own)] = own
            has_some = True
    return uv if has_some else None


def _colors(defects: Defects, surfaces: Sequence[Surface], count: int) -> np.ndarray | None:
    """sRGB colours; a surface without is white where others have some, as glTF multiplies them."""
    linear, has_some = np.ones((count, 3)), False
    for surface in surfaces:
        own = surface.primitive.colors
        if own is not None:
            linear[surface.offset : surface.offset + len(own)] = own
            has_some = True
    usable = usable_colors(defects, linear) if has_some else None
    return None if usable is None else srgb_from_linear(usable)


def _sampled(
    defects: Defects,
    surfaces: Sequence[Surface],
    textures: Sequence[np.ndarray | None],
    colors: np.ndarray | None,
    count: int,
) -> np.ndarray:
    """(V, 3) sRGB: vertex colour times base colour times the texture's nearest texel (glTF 2.0: 3.9.2)."""
    own = np.ones((count, 3)) if colors is None else linear_from_srgb(colors)
    linear = own.copy()
    for surface, texture in zip(surfaces, textures, strict=True):
        rows = np.unique(surface.triangles)
        linear[rows] = own[rows] * base_factor(defects, surface.material)
        uv = surface.primitive.uv
        if texture is None or uv is None:
            continue
        places = uv[rows - surface.offset]
        usable = np.isfinite(places).all(axis=1)
        linear[rows[usable]] *= linear_from_srgb(nearest_texels(texture, places[usable]))
    return srgb_from_linear(linear)

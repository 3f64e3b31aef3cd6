"""Pictures of heads: shaded under spherical-harmonics light, anti-aliased, alone or over the photograph.

Light and albedo are multiplied, and pixels averaged and blended, in linear RGB; pictures are sRGB. The light's
axes and the harmonics are in `likeness.render.lighting`, what is drawn and what is dropped in
`likeness.render.raster`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.geometry.rotation import FRONTAL
from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.mesh import vertex_normals
from likeness.render.lighting import (
    ambient_light,
    distant_light,
    reflection_polynomial,
    sh_basis,
    shade,
    studio_light,
)
from likeness.render.paint import Paint
from likeness.render.raster import (
    NEAR,
    Fragments,
    Rasterizer,
    interpolate,
    interpolate_seen,
    rasterize,
    rasterize_view,
)
from likeness.render.texture import Texture

__all__ = [
    "Fragments",
    "Rasterizer",
    "ambient_light",
    "distant_light",
    "draw_points",
    "interpolate",
    "linear_from_srgb",
    "overlay",
    "rasterize",
    "rasterize_view",
    "render_image",
    "sh_basis",
    "shade",
    "srgb_from_linear",
    "studio_light",
]

CLAY = (0.44, 0.43, 0.42)
"""Linear albedo of a mesh without colours: a warm light grey."""

MAX_SAMPLES = 8
"""Largest number of samples along a pixel's side."""

BAND = 2**17
"""Fragments that are rasterised at a time: a larger picture is made in bands, which stay in a processor's cache."""


def render_image(
    vertices: np.ndarray,
    triangles: np.ndarray,
    albedo: np.ndarray | Texture | Paint | None,
    camera: Camera,
    rotation: np.ndarray,
    translation: np.ndarray,
    light: np.ndarray | None = None,
    background: np.ndarray | Sequence[float] = (0.93, 0.93, 0.93),
    supersample: int = 2,
    cull: bool = True,
) -> np.ndarray:
    """A picture of a mesh, of the camera's size.

    Args:
        vertices: (V, 3) mm, model axes.
        triangles: (F, 3), counter-clockwise seen from outside.
        albedo: (V, 3) linear RGB reflectance in [0, 1], or a texture, or the paint of several parts; None: grey clay.
        camera: pinhole; its size is the picture's.
        rotation: (3, 3) model axes -> camera axes.
        translation: (3,) mm, camera axes.
        light: (9, 3) in light axes, see `likeness.render.lighting.shade`; None: `studio_light`.
        background: (H, W, 3) uint8, or one colour of three sRGB numbers in [0, 1].
        supersample: samples along a pixel's side, 1 to 8; edges are smooth from 2 on.
        cull: leave out triangles that face away; else they are lit as if seen from their front.

    Returns:
        (H, W, 3) uint8; pixels without any of the mesh are the background's, unchanged.

    Raises:
        ValueError: a shape, type or range is wrong, or a value is not finite.
    """
    width, height = camera.size
    picture = _background(background, (height, width))
    _paint(picture, 1.0, vertices, triangles, albedo, camera, rotation, translation, light, supersample, cull)
    return picture


def overlay(
    photo: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    camera: Camera,
    rotation: np.ndarray,
    translation: np.ndarray,
    albedo: np.ndarray | Texture | Paint | None = None,
    light: np.ndarray | None = None,
    alpha: float = 0.85,
    supersample: int = 2,
    cull: bool = True,
) -> np.ndarray:
    """The photograph with the shaded mesh over it; only the mesh's bounding box is worked on.

    Args:
        photo: (H, W, 3) uint8; camera.size is (W, H).
        alpha: how much of the photograph the mesh hides, 0 to 1.

    The other arguments, the result and the errors are those of `render_image`.
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"expected alpha from 0 to 1, got {alpha}")
    width, height = camera.size
    picture = _background(photo, (height, width))
    _paint(picture, alpha, vertices, triangles, albedo, camera, rotation, translation, light, supersample, cull)
    return picture


def draw_points(
    image: np.ndarray,
    points: np.ndarray,
    color: Sequence[float] = (0.1, 0.85, 0.35),
    radius: float = 2.0,
) -> np.ndarray:
    """The image with a smooth-edged dot at every point.

    Args:
        image: (H, W, 3) uint8; not changed.
        points: (N, 2) x, y in pixels, (0, 0) the first pixel's centre; those outside are not seen.
        color: three sRGB numbers in [0, 1].
        radius: of the dots, pixels, > 0.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"expected finite points (N, 2), got {points.shape}")
    if not radius > 0:
        raise ValueError(f"expected a radius > 0 pixels, got {radius}")
    picture = _background(image, np.shape(image)[:2])
    ink = _color(color)
    height, width = picture.shape[:2]
    for x, y in points:
        left, right = (int(np.clip(side, 0, width)) for side in (np.floor(x - radius), np.ceil(x + radius) + 1))
        top, bottom = (int(np.clip(side, 0, height)) for side in (np.floor(y - radius), np.ceil(y + radius) + 1))
        columns, rows = np.arange(left, right) - x, np.arange(top, bottom) - y
        # A pixel's covered part, to a few percent: how far its centre is inside a circle half a pixel wider.
        cover = np.clip(radius + 0.5 - np.hypot(columns, rows[:, None]), 0.0, 1.0)[..., None]
        patch = picture[top:bottom, left:right]
        patch[:] = np.rint(patch + cover * (ink - patch))
    return picture


def _paint(
    picture: np.ndarray,
    alpha: float,
    vertices: np.ndarray,
    triangles: np.ndarray,
    albedo: np.ndarray | Texture | Paint | None,
    camera: Camera,
    rotation: np.ndarray,
    translation: np.ndarray,
    light: np.ndarray | None,
    samples: int,
    cull: bool,
) -> None:
    """Lay the shaded mesh over a uint8 picture of the camera's size, in place, band by band."""
    if not (isinstance(samples, int) and 1 <= samples <= MAX_SAMPLES):
        raise ValueError(f"expected 1 to {MAX_SAMPLES} samples, got {samples}")
    vertices = np.asarray(vertices)
    count = len(vertices)
    if vertices.shape != (count, 3) or np.shape(rotation) != (3, 3) or np.shape(translation) != (3,):
        raise ValueError(
            "expected vertices (V, 3), rotation (3, 3) and translation (3,), "
            f"got {vertices.shape}, {np.shape(rotation)} and {np.shape(translation)}"
        )
    lit = studio_light() if light is None else _finite(light, (9, 3), "light")
    placed = np.asarray(_finite(vertices, (count, 3), "vertices") @ np.transpose(rotation) + translation, np.float32)
    normals = vertex_normals(placed, np.asarray(triangles).reshape(-1, 3)) @ np.float32(FRONTAL)
    surface = _Surface(
        normals,
        reflection_polynomial(lit),
        _colors(albedo, placed, triangles, camera.scaled(samples)),
        partial(albedo.highlights, light=lit) if isinstance(albedo, Paint) else None,
    )
    rows, columns = _window(camera, placed)
    width, height = columns.stop - columns.start, rows.stop - rows.start
    if not (width and height):
        return
    # Every band looks at all triangles, so there are fewer where those are many.
    band = max(BAND, 4 * len(triangles))
    step = min(height, max(1, band // (samples * samples * width)))
    rasterizer = Rasterizer(triangles, count, (width * samples, step * samples), cull)
    for top in range(rows.start, rows.stop, step):
        # The last band may reach below the window, its surplus rows are left out.
        center = camera.center[0] - columns.start, camera.center[1] - top
        fragments = rasterizer(placed, Camera(camera.focal, center, (width, step)).scaled(samples))
        bottom = min(top + step, rows.stop)
        shaded = _shade(fragments, surface, samples)
        _blend(picture[top:bottom, columns], shaded[: bottom - top], alpha)


def _colors(
    albedo: np.ndarray | Texture | Paint | None, placed: np.ndarray, triangles: np.ndarray, camera: Camera
) -> Callable[[Fragments], np.ndarray]:
    """What gives the linear RGB (N, 3) of the N fragments that see something; arguments as in `_paint`, ``placed``
    (V, 3) in axes of the ``camera`` of the fragments."""
    if albedo is None:
        return lambda fragments: np.asarray(CLAY)
    corners = np.asarray(triangles)
    if isinstance(albedo, Texture):
        return partial(albedo.seen, levels=_levels(albedo, placed, corners, camera))
    if isinstance(albedo, Paint):
        _finite(albedo.colors, (len(placed), 3), "colors")
        levels = None if albedo.texture is None else _levels(albedo.texture, placed, corners, camera)
        return partial(albedo.seen, levels=levels)
    return partial(interpolate_seen, attributes=_finite(albedo, (len(placed), 3), "albedo"))


def _levels(texture: Texture, placed: np.ndarray, triangles: np.ndarray, camera: Camera) -> np.ndarray:
    """(F,) of :meth:`Texture.levels_seen`, of a texture that is for so many triangles."""
    if len(texture.uv_triangles) != len(triangles):
        raise ValueError(
            f"expected a texture for {len(triangles)} triangles, got one for {len(texture.uv_triangles)}"
        )
    return texture.levels_seen(placed, triangles, camera)


class _Surface(NamedTuple):
    """What is shaded: normals (V, 3) in light axes, the light's reflection polynomial (10, 3), what gives fragments
    their albedo, and what, if anything, their highlights."""

    normals: np.ndarray
    lamp: np.ndarray
    colors: Callable[[Fragments], np.ndarray]
    highlights: Callable[[Fragments, np.ndarray], np.ndarray | None] | None


def _shade(fragments: Fragments, surface: _Surface, samples: int) -> np.ndarray:
    """Means of samples × samples fragments: (h, w, 4) linear RGB times coverage, coverage."""
    height, width = (side // samples for side in fragments.triangle.shape)
    x, y, z = interpolate_seen(fragments, surface.normals).T
    scale = 1.0 / np.sqrt(np.maximum(x * x + y * y + z * z, np.finfo(np.float32).tiny))
    x, y, z = x * scale, y * scale, z * scale
    monomials = np.stack([np.ones_like(x), x, y, z, x * y, y * z, z * x, x * x, y * y, z * z])
    # Nine harmonics ring: a little less than no light may come out on the far side.
    light = np.maximum(surface.lamp.T.astype(np.float32) @ monomials, 0.0)
    light *= surface.colors(fragments).reshape(-1, 3).T
    if surface.highlights is not None:
        mirrored = surface.highlights(fragments, np.stack([x, y, z], axis=-1))
        light += 0.0 if mirrored is None else mirrored.T
    row, column = np.divmod(np.flatnonzero(fragments.triangle >= 0), width * samples)
    pixel = row // samples * width + column // samples
    sums = [np.bincount(pixel, channel, width * height) for channel in (*light, None)]
    return (np.stack(sums, axis=-1) / samples**2).astype(np.float32).reshape(height, width, 4)


def _window(camera: Camera, placed: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the pixels that vertices (V, 3) in camera axes enclose; empty slices if none."""
    width, height = camera.size
    visible = placed[placed[:, 2] > NEAR]
    if not len(visible):
        return slice(0, 0), slice(0, 0)
    pixels = project(camera, visible.astype(np.float64))
    low = np.clip(np.floor(pixels.min(axis=0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + 1, low, (width, height)).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _blend(part: np.ndarray, shaded: np.ndarray, alpha: float) -> None:
    """Lay linear RGB times coverage, and coverage, over uint8 pixels, in place; what is not covered stays."""
    behind = part.reshape(-1, 3)
    shaded = shaded.reshape(-1, 4)
    covered = np.flatnonzero(shaded[:, 3])
    front = shaded.take(covered, axis=0) * np.float32(alpha)
    linear_of_byte = linear_from_srgb(np.arange(256) / 255.0).astype(np.float32)
    mixed = front[:, :3] + (1.0 - front[:, 3:]) * linear_of_byte.take(behind.take(covered, axis=0))
    behind[covered] = np.rint(255.0 * srgb_from_linear(mixed)).astype(np.uint8)
    part[:] = behind.reshape(part.shape)


def _background(background: np.ndarray | Sequence[float], shape: tuple[int, ...]) -> np.ndarray:
    """A picture to draw on: a copy of the (H, W, 3) uint8 image, or the colour everywhere."""
    if np.ndim(background) == 1:
        return np.tile(np.rint(_color(background)).astype(np.uint8), (*shape, 1))
    picture = np.array(background)
    if picture.shape != (*shape, 3) or picture.dtype != np.uint8:
        raise ValueError(f"expected a uint8 image {(*shape, 3)}, got {picture.dtype} {picture.shape}")
    return picture


def _color(color: Any) -> np.ndarray:
    """Three sRGB numbers in [0, 1] -> (3,) in [0, 255]."""
    values = np.asarray(color, np.float64)
    if values.shape != (3,) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"expected a colour of three numbers from 0 to 1, got {color!r}")
    return 255.0 * values


def _finite(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"expected finite {name} {shape}, got {array.shape}")
    return array

"""Z-buffer rasteriser: which triangle every pixel sees, where on it and how far away.

The work is done by `likeness.render.kernels` in NumPy, on one core; docs/rasteriser.md says why. Conventions: camera
axes are OpenCV's (x right, y down, z forward), pixel (0, 0) is the centre of the first pixel, triangles are
counter-clockwise seen from outside, lengths are millimetres.

What is drawn: a pixel belongs to a triangle when its centre lies inside; a centre exactly on an edge belongs to
one side only (top-left rule), so surfaces have neither holes nor doubled pixels along their edges. Vertices are
snapped to 1/4096 pixel. Triangles with a corner nearer than `NEAR` (in front of the near plane, beside or behind
the camera) or more than 131,072 pixels from the image's origin are dropped, not clipped. Of equally near
triangles the one with the lower index is seen. Results are deterministic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from likeness.geometry.camera import Camera
from likeness.render.kernels import fill_keys, interpolate_corners, resolve_keys, set_up_triangles, snap_vertices

NEAR = 1.0
"""Distance of the near plane, mm."""

MAX_SIDE = 65_536
"""Largest width or height of an image, pixels."""


class Fragments(NamedTuple):
    """What every pixel of an image sees of a mesh.

    Attributes:
        triangle: (H, W) int32, index of the triangle; -1 where nothing is.
        barycentric: (H, W, 3) float32, weights of its three corners at the point on the surface (perspective
            is accounted for); non-negative with sum 1, 0 where nothing is.
        depth: (H, W) float32, z of that point in camera axes, mm; infinity where nothing is.
        corners: (F, 3) int32, the mesh's triangles, for `interpolate`.
    """

    triangle: np.ndarray
    barycentric: np.ndarray
    depth: np.ndarray
    corners: np.ndarray


class Rasterizer:
    """Rasterises one topology at one image size again and again.

    Args:
        triangles: (F, 3) integer, vertex indices; F may be 0.
        vertex_count: V.
        size: (width, height), pixels.
        cull: drop triangles that face away from the camera.

    Raises:
        ValueError: a shape, index or size is wrong.
    """

    def __init__(self, triangles: np.ndarray, vertex_count: int, size: tuple[int, int], cull: bool = True) -> None:
        self._corners = _checked_triangles(triangles, vertex_count)
        self._corners_first = np.ascontiguousarray(self._corners.T, np.intp)
        self._shape = (vertex_count, 3)
        self.size = _checked_size(size)
        self._cull = cull

    def __call__(
        self,
        vertices: np.ndarray,
        camera: Camera,
        rotation: np.ndarray | None = None,
        translation: np.ndarray | None = None,
    ) -> Fragments:
        """Vertices (V, 3) mm through ``pixel = K (R x + t)``.

        Args:
            vertices: (V, 3), mm, model axes, or camera axes if there is no rotation and translation.
            camera: its ``size`` is the rasteriser's.
            rotation: (3, 3) model axes -> camera axes; None: identity.
            translation: (3,) mm, camera axes; None: zero.

        Raises:
            ValueError: another size or shape, or values that are not finite.
        """
        if tuple(camera.size) != self.size:
            raise ValueError(f"expected a camera with an image of {self.size} pixels, got {tuple(camera.size)}")
        R = np.eye(3) if rotation is None else np.asarray(rotation, np.float64)
        t = np.zeros(3) if translation is None else np.asarray(translation, np.float64)
        if R.shape != (3, 3) or t.shape != (3,):
            raise ValueError(f"expected rotation (3, 3) and translation (3,), got {R.shape} and {t.shape}")
        if not (np.isfinite(R).all() and np.isfinite(t).all()):
            raise ValueError("expected a finite rotation and translation, got NaN or infinity")
        x, y, z = (self._checked_points(vertices) @ R.T + t).T
        scale = camera.focal / np.where(z > NEAR, z, np.inf)
        return self._draw(x * scale + camera.center[0], y * scale + camera.center[1], z)

    def from_pixels(self, points: np.ndarray) -> Fragments:
        """Points (V, 3) that are projected already: x pixels, y pixels, depth mm; else as a call."""
        return self._draw(*self._checked_points(points).T)

    def _checked_points(self, points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, np.float64)
        if points.shape != self._shape:
            raise ValueError(f"expected vertices {self._shape}, got {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError("expected finite vertices, got NaN or infinity")
        return points

    def _draw(self, x: np.ndarray, y: np.ndarray, depth: np.ndarray) -> Fragments:
        width, height = self.size
        count = width * height
        triangles = set_up_triangles(snap_vertices(x, y, depth, NEAR), self._corners_first, self.size, self._cull)
        keys = np.zeros(count, np.int64)
        fill_keys(triangles, width, keys)
        triangle, far = np.full(count, -1, np.int32), np.full(count, np.inf, np.float32)
        barycentric = np.zeros((count, 3), np.float32)
        resolve_keys(triangles, width, keys, triangle, barycentric, far)
        return Fragments(
            triangle.reshape(height, width),
            barycentric.reshape(height, width, 3),
            far.reshape(height, width),
            self._corners,
        )


def rasterize(
    points: np.ndarray,
    triangles: np.ndarray,
    size: tuple[int, int],
    cull: bool = True,
) -> Fragments:
    """Rasterise a mesh whose vertices are projected already.

    Args:
        points: (V, 3) x pixels, y pixels, depth mm.
        triangles: (F, 3) integer, counter-clockwise seen from outside.
        size: (width, height), pixels.
        cull: drop triangles that face away from the camera.

    Raises:
        ValueError: a shape, index or size is wrong, or a value is not finite.
    """
    return Rasterizer(triangles, len(points), size, cull).from_pixels(points)


def rasterize_view(
    vertices: np.ndarray,
    triangles: np.ndarray,
    camera: Camera,
    rotation: np.ndarray | None = None,
    translation: np.ndarray | None = None,
    cull: bool = True,
) -> Fragments:
    """Rasterise a mesh as a camera sees it: vertices (V, 3) mm through ``pixel = K (R x + t)``.

    The image has the camera's size. For many pictures of one topology a `Rasterizer` is faster; its arguments
    and errors are these.
    """
    return Rasterizer(triangles, len(vertices), camera.size, cull)(vertices, camera, rotation, translation)


def interpolate(fragments: Fragments, attributes: np.ndarray) -> np.ndarray:
    """What the mesh's vertices carry, at every pixel: (V, C) -> (H, W, C) float32, 0 where nothing is.

    Raises:
        ValueError: attributes are not (V, C) or are fewer than the triangles need.
    """
    values = interpolate_seen(fragments, attributes)
    out = np.zeros((*fragments.triangle.shape, values.shape[1]), np.float32)
    out[fragments.triangle >= 0] = values
    return out


def interpolate_seen(fragments: Fragments, attributes: np.ndarray) -> np.ndarray:
    """As `interpolate`, but (N, C) of the N pixels that see something, row by row."""
    values = np.ascontiguousarray(attributes, np.float32)
    needed = int(fragments.corners.max(initial=-1)) + 1
    if values.ndim != 2 or len(values) < needed:
        raise ValueError(f"expected attributes (V, C) of at least {needed} vertices, got {np.shape(attributes)}")
    seen = np.flatnonzero(fragments.triangle >= 0)
    triangle = fragments.triangle.reshape(-1).take(seen)
    barycentric = fragments.barycentric.reshape(-1, 3).take(seen, axis=0)
    return interpolate_corners(triangle, barycentric, fragments.corners, values)


def _checked_triangles(triangles: np.ndarray, vertex_count: int) -> np.ndarray:
    triangles = np.asarray(triangles)
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.dtype.kind not in "iu":
        raise ValueError(f"expected triangles (F, 3) of integers, got {triangles.shape} {triangles.dtype}")
    if len(triangles) and not (triangles.min() >= 0 and triangles.max() < vertex_count):
        raise ValueError(
            f"expected vertex indices from 0 to {vertex_count - 1}, got {triangles.min()} to {triangles.max()}"
        )
    return np.ascontiguousarray(triangles, np.int32)


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    width, height = (int(side) for side in size)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height < 2**31):
        raise ValueError(f"expected (width, height) from 1 to {MAX_SIDE} and less than 2^31 pixels, got {size}")
    return width, height

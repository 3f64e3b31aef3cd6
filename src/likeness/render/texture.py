"""Textures on meshes: what colour a fragment has, anti-aliased by a pyramid of smaller pictures (mipmaps)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.images.color import linear_from_srgb
from likeness.mesh.checks import check_indices, check_texture, check_uv
from likeness.mesh.fields import MeshFields
from likeness.render.kernels import interpolate_corners
from likeness.render.raster import NEAR, Fragments

ROW = 4096
"""Fragments in a row of what OpenCV is asked for; it takes no side over 32,767."""


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture laid on a mesh.

    Args:
        pixels: (H, W, 3) uint8 sRGB reflectance.
        uv: (U, 2) in [0, 1], origin bottom left.
        uv_triangles: (F, 3) indices into ``uv``, for the mesh's triangles in their order.

    Raises:
        ValueError: a shape, type, range or index is wrong.
    """

    pixels: np.ndarray
    uv: np.ndarray
    uv_triangles: np.ndarray

    def __post_init__(self) -> None:
        triangles = check_indices(self.uv_triangles, (None, 3), len(self.uv), "uv_triangles")
        uv, _ = check_uv(self.uv, triangles, triangles, len(self.uv))
        object.__setattr__(self, "pixels", check_texture(self.pixels, uv))

    @classmethod
    def of(cls, mesh: MeshFields) -> Texture | None:
        """A mesh's texture; None: it has none."""
        if mesh.texture is None or mesh.uv is None:
            return None
        return cls(mesh.texture, mesh.uv, mesh.triangles if mesh.uv_triangles is None else mesh.uv_triangles)

    @cached_property
    def levels(self) -> list[np.ndarray]:
        """The picture in linear RGB, float32, and its halves down to one pixel."""
        import cv2

        of_byte = linear_from_srgb(np.arange(256) / 255.0).astype(np.float32)
        pictures = [of_byte[self.pixels]]
        while max(pictures[-1].shape[:2]) > 1:
            height, width = pictures[-1].shape[:2]
            half = (max(width // 2, 1), max(height // 2, 1))
            pictures.append(cv2.resize(pictures[-1], half, interpolation=cv2.INTER_AREA).reshape(half[1], half[0], 3))
        return pictures

    def levels_seen(self, placed: np.ndarray, triangles: np.ndarray, camera: Camera) -> np.ndarray:
        """(F,) float32: which level has about a pixel per sample of the camera's image, from 0.

        Args:
            placed: (V, 3) mm, camera axes.
            triangles: (F, 3).
            camera: of the samples.
        """
        height, width = self.pixels.shape[:2]
        seen = project(camera, np.where(placed[:, 2:] > NEAR, placed, [0.0, 0.0, np.inf]).astype(np.float64))
        per_sample = _areas(self.uv * [width, height], self.uv_triangles) / np.maximum(_areas(seen, triangles), 1e-9)
        return np.asarray(np.clip(0.5 * np.log2(np.maximum(per_sample, 1e-9)), 0, len(self.levels) - 1), np.float32)

    def seen(self, fragments: Fragments, levels: np.ndarray) -> np.ndarray:
        """(N, 3) float32 linear RGB of the N pixels that see something, row by row.

        Args:
            fragments: of the mesh.
            levels: (F,) as :meth:`levels_seen` gives them.
        """
        drawn = np.flatnonzero(fragments.triangle >= 0)
        triangle = fragments.triangle.reshape(-1).take(drawn)
        barycentric = fragments.barycentric.reshape(-1, 3).take(drawn, axis=0)
        corners = np.ascontiguousarray(self.uv_triangles, np.int32)
        uv = interpolate_corners(triangle, barycentric, corners, np.ascontiguousarray(self.uv, np.float32))
        level = levels.take(triangle)
        whole = level.astype(int)
        out = np.empty((len(drawn), 3), np.float32)
        for number in np.unique(whole):
            some = np.flatnonzero(whole == number)
            color, part = _looked_up(self.levels[number], uv[some]), (level[some] - number)[:, None]
            if number + 1 < len(self.levels) and part.any():
                color += part * (_looked_up(self.levels[number + 1], uv[some]) - color)
            out[some] = color
        return out


def _areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.asarray(0.5 * np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]))


def _looked_up(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) of a picture (H, W, 3) at uv (N, 2), bilinear; outside: the border's."""
    import cv2

    height, width = picture.shape[:2]
    count = len(uv)
    rows = -(-count // ROW)
    maps = np.zeros((2, rows * ROW), np.float32)
    maps[0, :count], maps[1, :count] = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    x, y = maps.reshape(2, rows, ROW)
    found = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(-1, 3)[:count])

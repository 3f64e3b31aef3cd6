"""Z-buffer rasteriser: which triangle every pixel sees, where on it and how far away.

The work is done by Warp kernels (`likeness.render.kernels`), the same source on CPU and GPU; Warp is imported at
the first use. Conventions: camera axes are OpenCV's (x right, y down, z forward), pixel (0, 0) is the centre of
the first pixel, triangles are counter-clockwise seen from outside, lengths are millimetres.

What is drawn: a pixel belongs to a triangle when its centre lies inside; a centre exactly on an edge belongs to
one side only (top-left rule), so surfaces have neither holes nor doubled pixels along their edges. Vertices are
snapped to 1/4096 pixel. Triangles with a corner nearer than `NEAR` (in front of the near plane, beside or behind
the camera) or more than 131,072 pixels from the image's origin are dropped, not clipped. Of equally near
triangles the one with the lower index is seen. Results are deterministic.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from likeness.geometry.camera import Camera
from likeness.render.kernel_loading import load_kernels, select_device

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


class Buffers(NamedTuple):
    """The arrays of a `Rasterizer` where they live, as Warp arrays: ``wp.to_torch`` shares them with torch.

    Attributes:
        triangle: (H * W,) int32, as in `Fragments`.
        barycentric: (H * W,) vec3.
        depth: (H * W,) float32.
        corners: (F,) vec3i, the triangles.
    """

    triangle: Any
    barycentric: Any
    depth: Any
    corners: Any


class Rasterizer:
    """Rasterises one topology at one image size again and again, reusing its memory.

    Not for two threads at a time; make one each.

    Args:
        triangles: (F, 3) integer, vertex indices; F may be 0.
        vertex_count: V.
        size: (width, height), pixels.
        device: a Warp device ("cpu", "cuda", "cuda:1"); None: the CPU.
        cull: drop triangles that face away from the camera.

    Attributes:
        buffers: the results on the device, for use without a copy.

    Raises:
        ValueError: a shape, index or size is wrong, or there is no such device.
    """

    def __init__(
        self,
        triangles: np.ndarray,
        vertex_count: int,
        size: tuple[int, int],
        device: str | None = None,
        cull: bool = True,
    ) -> None:
        wp, kernels = load_kernels()
        self._device = select_device(device)
        self._corners = _checked_triangles(triangles, vertex_count)
        width, height = self.size = _checked_size(size)
        run = width if self._device.is_cpu else 1
        vertices = _Mirrored(wp, (vertex_count, 3), wp.vec3, self._device)
        view = _Mirrored(wp, (16,), wp.float32, self._device)
        self._vertices, self._view = vertices, view
        topology = wp.array(self._corners, dtype=wp.vec3i, device=self._device)
        self._projected = wp.empty(vertex_count, dtype=wp.vec3i, device=self._device)
        self._keys = wp.empty(width * height, dtype=wp.int64, device=self._device)
        triangle, barycentric, depth = (
            wp.empty(width * height, dtype=kind, device=self._device) for kind in (wp.int32, wp.vec3, wp.float32)
        )
        self.buffers = Buffers(triangle, barycentric, depth, topology)
        faces = len(self._corners)
        steps: list[tuple[Any, int, list[Any]]] = [
            (kernels.project_vertices, vertex_count, [vertices.array, view.array, NEAR, self._projected]),
            (kernels.draw_triangles, faces, [self._projected, topology, width, height, int(cull), self._keys]),
            (
                kernels.resolve_pixels,
                width * height // run,
                [self._projected, topology, self._keys, width, run, *self.buffers[:3]],
            ),
        ]
        # Recorded launches cost 5 µs each and hold bare pointers, so every array above is kept in an attribute.
        # Of an empty mesh there is nothing to record.
        self._launches = [
            wp.launch(kernel, count, arguments, device=self._device, record_cmd=True)
            for kernel, count, arguments in steps
            if faces
        ]

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

        Returns:
            Fragments that the next call overwrites.

        Raises:
            ValueError: another size or shape, or values that are not finite.
        """
        self.draw(vertices, camera, rotation, translation)
        return self._fragments()

    def from_pixels(self, points: np.ndarray) -> Fragments:
        """Points (V, 3) that are projected already: x pixels, y pixels, depth mm; else as a call."""
        self._view.host[15] = 1.0
        self._draw(points)
        return self._fragments()

    def draw(
        self,
        vertices: np.ndarray,
        camera: Camera,
        rotation: np.ndarray | None = None,
        translation: np.ndarray | None = None,
    ) -> None:
        """As a call, but leaves the result in `buffers`."""
        if tuple(camera.size) != self.size:
            raise ValueError(f"expected a camera with an image of {self.size} pixels, got {tuple(camera.size)}")
        R = np.eye(3) if rotation is None else np.asarray(rotation)
        t = np.zeros(3) if translation is None else np.asarray(translation)
        if R.shape != (3, 3) or t.shape != (3,):
            raise ValueError(f"expected rotation (3, 3) and translation (3,), got {R.shape} and {t.shape}")
        if not (np.isfinite(R).all() and np.isfinite(t).all()):
            raise ValueError("expected a finite rotation and translation, got NaN or infinity")
        view = self._view.host
        view[:9] = R.ravel()
        view[9:12] = t
        view[12:16] = camera.focal, *camera.center, 0.0
        self._draw(vertices)

    def _draw(self, points: np.ndarray) -> None:
        points = np.asarray(points)
        host = self._vertices.host
        if points.shape != host.shape:
            raise ValueError(f"expected vertices {host.shape}, got {points.shape}")
        host[...] = points
        if not np.isfinite(host).all():
            raise ValueError("expected finite vertices, got NaN or infinity")
        self._vertices.upload()
        self._view.upload()
        self._keys.zero_()
        self.buffers.triangle.fill_(-1)
        self.buffers.barycentric.zero_()
        self.buffers.depth.fill_(np.inf)
        for launch in self._launches:
            launch.launch()

    def _fragments(self) -> Fragments:
        width, height = self.size
        triangle, barycentric, depth = (buffer.numpy() for buffer in self.buffers[:3])
        return Fragments(
            triangle.reshape(height, width),
            barycentric.reshape(height, width, 3),
            depth.reshape(height, width),
            self._corners,
        )


def rasterize(
    points: np.ndarray,
    triangles: np.ndarray,
    size: tuple[int, int],
    device: str | None = None,
    cull: bool = True,
) -> Fragments:
    """Rasterise a mesh whose vertices are projected already.

    Args:
        points: (V, 3) x pixels, y pixels, depth mm.
        triangles: (F, 3) integer, counter-clockwise seen from outside.
        size: (width, height), pixels.
        device: a Warp device; None: the CPU.
        cull: drop triangles that face away from the camera.

    Raises:
        ValueError: a shape, index or size is wrong, a value is not finite, or there is no such device.
    """
    return Rasterizer(triangles, len(points), size, device, cull).from_pixels(points)


def rasterize_view(
    vertices: np.ndarray,
    triangles: np.ndarray,
    camera: Camera,
    rotation: np.ndarray | None = None,
    translation: np.ndarray | None = None,
    device: str | None = None,
    cull: bool = True,
) -> Fragments:
    """Rasterise a mesh as a camera sees it: vertices (V, 3) mm through ``pixel = K (R x + t)``.

    The image has the camera's size. For many pictures of one topology a `Rasterizer` is faster; its arguments
    and errors are these.
    """
    return Rasterizer(triangles, len(vertices), camera.size, device, cull)(vertices, camera, rotation, translation)


def interpolate(fragments: Fragments, attributes: np.ndarray) -> np.ndarray:
    """What the mesh's vertices carry, at every pixel: (V, C) -> (H, W, C) float32, 0 where nothing is.

    Raises:
        ValueError: attributes are not (V, C) or are fewer than the triangles need.
    """
    wp, kernels = load_kernels()
    values = np.ascontiguousarray(attributes, np.float32)
    needed = int(fragments.corners.max(initial=-1)) + 1
    if values.ndim != 2 or len(values) < needed:
        raise ValueError(f"expected attributes (V, C) of at least {needed} vertices, got {np.shape(attributes)}")
    height, width = fragments.triangle.shape
    out = np.zeros((height, width, values.shape[1]), np.float32)
    if out.size and len(values):
        flat = (
            (fragments.triangle.reshape(-1), wp.int32),
            (fragments.barycentric.reshape(-1, 3), wp.vec3),
            (fragments.corners, wp.vec3i),
            (values, wp.float32),
            (out.reshape(height * width, -1), wp.float32),
        )
        arrays = [wp.array(values, dtype=kind, device="cpu", copy=False) for values, kind in flat]
        wp.launch(kernels.interpolate_pixels, height * width, arrays, device="cpu")
    return out


class _Mirrored:
    """Numbers that are written here and read on the device: shared memory on the CPU, uploaded to a GPU."""

    def __init__(self, wp: Any, shape: tuple[int, ...], kind: Any, device: Any) -> None:
        self.host = np.zeros(shape, np.float32)
        self._shared = device.is_cpu
        self.array = wp.array(self.host, dtype=kind, device=device, copy=not self._shared)

    def upload(self) -> None:
        if not self._shared:
            self.array.assign(self.host)


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

"""The steps of `likeness.render.raster` on whole arrays: snap vertices, set up triangles, fill keys, resolve them.

How a picture is made. Vertices are snapped to a grid of 1/4096 pixel, so that coverage is decided in exact integers:
every pixel centre inside a closed surface belongs to exactly one of the triangles that share an edge there (top-left
rule). Each triangle is cut into spans, one a row, from the first pixel centre at or after one side to that of the
other. Spans become fragments, and every pixel keeps the largest of their 64-bit keys (bits of 1/depth, then the lower
triangle number), in whatever order they come. What is left is turned into barycentrics and depth.

Arrays have corners or edges first and triangles, spans or pixels last, where NumPy is fastest, and are worked on in
pieces that stay in a processor's cache, which also bounds the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

SUBPIXEL_BITS = 12
SUBPIXEL = 1 << SUBPIXEL_BITS
GUARD = 131_072.0  # pixels; keeps edge functions below 2^61
LAST = 2**31 - 1

PIECE = 2**15
"""Spans, fragments or pixels that are worked on at a time."""


class Snapped(NamedTuple):
    """Vertices in the image.

    Attributes:
        x, y: (V,) int64, sub-pixels.
        inverse: (V,) float64, 1/depth; 0 where a vertex cannot be drawn.
    """

    x: np.ndarray
    y: np.ndarray
    inverse: np.ndarray


class Triangles(NamedTuple):
    """Those that may cover a pixel: where rows of pixels cross their edges, and weights of their corners.

    A corner's weight at a pixel is twice the area between the pixel's centre and the opposite edge, sub-pixels²:
    ``origin + column * right + row * down`` for the first two corners, what is missing to the area for the third.

    Attributes:
        number: (K,) which of the mesh's triangles, ascending.
        top, middle, bottom: (K,) int64, the first row with a centre at or below the highest, the middle and the
            lowest corner, inside the image. The triangle's rows are those from top to before bottom.
        crossing, slope, height: (3, K) int64, the edge from the highest to the lowest corner, and those from the
            highest to the middle and on to the lowest. One meets a row at column
            ``(crossing + row * slope) / height``.
        origin, right, down: (2, K) int64.
        area: (K,) int64, > 0.
        inverse: (3, K) float64, 1/depth of the corners.
    """

    number: np.ndarray
    top: np.ndarray
    middle: np.ndarray
    bottom: np.ndarray
    crossing: np.ndarray
    slope: np.ndarray
    height: np.ndarray
    origin: np.ndarray
    right: np.ndarray
    down: np.ndarray
    area: np.ndarray
    inverse: np.ndarray


def snap_vertices(x: np.ndarray, y: np.ndarray, depth: np.ndarray, near: float) -> Snapped:
    """Projected vertices (V,), pixels and mm, on the sub-pixel grid; those nearer than ``near`` cannot be drawn."""
    seen = (depth > near) & (np.abs(x) < GUARD) & (np.abs(y) < GUARD)
    column, row = (np.floor(np.where(seen, side, 0.0) * SUBPIXEL + 0.5).astype(np.int64) for side in (x, y))
    return Snapped(column, row, np.where(seen, 1.0 / np.where(seen, depth, 1.0), 0.0))


def set_up_triangles(vertices: Snapped, corners: np.ndarray, size: tuple[int, int], cull: bool) -> Triangles:
    """The triangles, corners (3, F), that may cover a pixel of an image of ``size``, width and height."""
    width, height = size
    x, y, inverse = (values.take(corners) for values in vertices)
    # A centre level with the right or bottom end of a triangle is never its own (top-left rule).
    left, right, top, bottom = (_first_centre(end) for side in (x, y) for end in (side.min(axis=0), side.max(axis=0)))
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    # Counter-clockwise as seen is negative where y points down.
    wanted = (area < 0) if cull else (area != 0)
    wanted &= (left < right) & (left < width) & (right > 0) & (top < bottom) & (top < height) & (bottom > 0)
    number = np.flatnonzero(wanted & (inverse.min(axis=0) > 0))
    x, y, inverse = (values.take(number, axis=1) for values in (x, y, inverse))
    sign = np.sign(area.take(number))
    # Sorted by height: a single number holds both coordinates of a corner.
    by_row = np.sort((y << 32) + x, axis=0)
    rows = (by_row + (1 << 31)) >> 32
    columns = by_row - (rows << 32)
    top, middle, bottom = _first_centre(rows).clip(0, height)
    x0, y0, x1, y1 = (side.take(ends, axis=0) for ends in ((0, 0, 1), (2, 1, 2)) for side in (columns, rows))
    ahead, behind = (1, 2), (2, 0)
    return Triangles(
        number,
        top,
        middle,
        bottom,
        crossing=x0 * (y1 - y0) - y0 * (x1 - x0),
        slope=(x1 - x0) * SUBPIXEL,
        height=(y1 - y0) * SUBPIXEL,
        origin=(x.take(ahead, 0) * y.take(behind, 0) - x.take(behind, 0) * y.take(ahead, 0)) * sign,
        right=(y.take(ahead, 0) - y.take(behind, 0)) * (sign * SUBPIXEL),
        down=(x.take(behind, 0) - x.take(ahead, 0)) * (sign * SUBPIXEL),
        area=np.abs(area.take(number)),
        inverse=inverse,
    )


def fill_keys(triangles: Triangles, width: int, keys: np.ndarray) -> None:
    """Raise ``keys`` (H * W,) int64 at the pixels whose centre a triangle covers."""
    # 1/depth is linear in the image. As a weighted mean it never leaves the triangle's range.
    gain = (triangles.inverse[:2] - triangles.inverse[2]) / triangles.area
    step = (triangles.right * gain).sum(axis=0)
    counts = triangles.bottom - triangles.top
    for part in _pieces(counts, PIECE // 2):
        index = np.repeat(np.arange(part.start, part.stop), counts[part])
        row = _count_up(counts[part])
        row += triangles.top.take(index)
        start, stop = _spans(triangles, index, row, width)
        some = np.flatnonzero(start < stop)
        index, row, start, stop = (values.take(some) for values in (index, row, start, stop))
        nearness = triangles.inverse[2].take(index)
        for weight, gained in zip(_weights(triangles, index, row, start), gain, strict=True):
            nearness += weight * gained.take(index)
        _fill_spans(index, row * width + start, stop - start, nearness, step.take(index), keys)


def resolve_keys(
    triangles: Triangles,
    width: int,
    keys: np.ndarray,
    triangle: np.ndarray,
    barycentric: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Keys to fragments (H * W, ...); pixels without a key are left as they are."""
    inverse, number = triangles.inverse.astype(np.float32), triangles.number.astype(np.int32)
    seen = np.flatnonzero(keys)
    for start in range(0, len(seen), PIECE // 2):
        pixel = seen[start : start + PIECE // 2]
        index = LAST - (keys.take(pixel) & LAST)
        row = pixel // width
        area = triangles.area.take(index)
        a, b = _weights(triangles, index, row, pixel - row * width)
        near = [
            weight.astype(np.float32) * corner.take(index)
            for weight, corner in zip((a, b, area - a - b), inverse, strict=True)
        ]
        scale = np.float32(1.0) / (near[0] + near[1] + near[2])
        triangle[pixel] = number.take(index)
        depth[pixel] = area.astype(np.float32) * scale
        for corner, share in enumerate(near):
            barycentric[:, corner][pixel] = share * scale


def interpolate_corners(
    triangle: np.ndarray, barycentric: np.ndarray, corners: np.ndarray, attributes: np.ndarray
) -> np.ndarray:
    """(N, C): attributes (V, C) of the corners (F, 3) of triangles (N,), weighted by barycentrics (N, 3)."""
    out = np.empty((attributes.shape[1], len(triangle)), np.float32)
    corner = np.ascontiguousarray(corners.T, np.intp).take(triangle, axis=1)
    weight = np.ascontiguousarray(barycentric.T)
    for channel, values in zip(out, np.ascontiguousarray(attributes.T), strict=True):
        channel[:] = sum(values.take(corner[i]) * weight[i] for i in range(3))
    return out.T


def _spans(triangles: Triangles, index: np.ndarray, row: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The first column (n,), and the one after the last, of triangles (n,) in rows (n,)."""
    count = len(triangles.number)
    long, short = (
        -(-(triangles.crossing.take(edge) + row * triangles.slope.take(edge)) // triangles.height.take(edge))
        for edge in (index, index + np.where(row < triangles.middle.take(index), count, 2 * count))
    )
    return np.minimum(long, short).clip(0, width), np.maximum(long, short).clip(0, width)


def _weights(triangles: Triangles, index: np.ndarray, row: np.ndarray, column: np.ndarray) -> list[np.ndarray]:
    """Of the first two corners of triangles (n,) at pixels (n,)."""
    return [
        origin.take(index) + column * right.take(index) + row * down.take(index)
        for origin, right, down in zip(triangles.origin, triangles.right, triangles.down, strict=True)
    ]


def _fill_spans(
    triangle: np.ndarray,
    pixel: np.ndarray,
    length: np.ndarray,
    nearness: np.ndarray,
    step: np.ndarray,
    keys: np.ndarray,
) -> None:
    """Raise ``keys`` along spans (n,): from a pixel on, with 1/depth there and what it gains from one to the next."""
    low = LAST - triangle
    for part in _pieces(length, PIECE):
        along = _count_up(length[part])
        span = np.repeat(np.arange(part.start, part.stop), length[part])
        near = along * step.take(span)
        near += nearness.take(span)
        along += pixel.take(span)
        # Positive floats are ordered as their bits are.
        key = near.astype(np.float32).view(np.int32).astype(np.int64)
        key <<= 32
        key |= low.take(span)
        np.maximum.at(keys, along, key)


def _first_centre(side: np.ndarray) -> np.ndarray:
    """The first pixel whose centre is at or after a place in sub-pixels."""
    return (side + (SUBPIXEL - 1)) >> SUBPIXEL_BITS


def _count_up(lengths: np.ndarray) -> np.ndarray:
    """0, 1, ... for each of the lengths (n,), one after another."""
    end = np.cumsum(lengths)
    return np.arange(end[-1] if len(end) else 0) - np.repeat(end - lengths, lengths)


def _pieces(lengths: np.ndarray, most: int) -> Iterator[slice]:
    """Cut items of some lengths (n,) into runs of together at most ``most``, or of one item."""
    end, start = np.cumsum(lengths), 0
    while start < len(lengths):
        before = end[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(end, before + most, side="right")))
        yield slice(start, stop)
        start = stop

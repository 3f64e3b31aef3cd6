"""What a mesh's arrays must be: each check returns the array as it is kept, or raises ValueError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from likeness.errors import FileError, StrPath

COLOR_SLACK = 1e-4  # colours may leave 0..1 by this much (rounding in conversions); they are clipped


def check_points(values: np.ndarray, width: int, what: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != width or array.dtype.kind not in "fiu":
        raise ValueError(f"expected {what} (N, {width}) of numbers, got {array.dtype} {array.shape}")
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        raise ValueError(f"expected finite {what}, got {len(bad)} rows that are not, the first is row {bad[0]}")
    return array


def check_indices(values: np.ndarray, shape: tuple[int | None, ...], limit: int, what: str) -> np.ndarray:
    array = np.asarray(values)
    if array.size == 0 and array.ndim == len(shape):
        array = array.astype(np.int32)  # np.array([]) is of floats
    expected = tuple(array.shape[i] if n is None else n for i, n in enumerate(shape) if i < array.ndim)
    if array.shape != expected or array.ndim != len(shape) or array.dtype.kind not in "iu":
        wanted = "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"expected {what} {wanted} of integers, got {array.dtype} {array.shape}")
    if array.size and not (array.min() >= 0 and array.max() < limit):
        raise ValueError(f"expected {what} with indices 0..{limit - 1}, got {array.min()}..{array.max()}")
    return array.astype(np.int32, copy=False)


def check_uv(
    uv: np.ndarray | None, uv_triangles: np.ndarray | None, triangles: np.ndarray, count: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if uv is None:
        if uv_triangles is not None:
            raise ValueError("expected uv together with uv_triangles, got uv_triangles alone")
        return None, None
    uv = check_points(uv, 2, "uv")
    if uv_triangles is not None:
        return uv, check_indices(uv_triangles, triangles.shape, len(uv), "uv_triangles")
    if len(uv) != count:
        raise ValueError(f"expected one uv per vertex ({count}) without uv_triangles, got {len(uv)}")
    return uv, None


def check_colors(values: np.ndarray, count: int) -> np.ndarray:
    colors = check_points(values, 3, "colors")
    if len(colors) != count:
        raise ValueError(f"expected one colour per vertex ({count}), got {len(colors)}")
    if colors.min() < -COLOR_SLACK or colors.max() > 1 + COLOR_SLACK:
        raise ValueError(f"expected colours in 0..1, got {colors.min():g}..{colors.max():g}")
    return np.clip(colors, 0, 1)


def check_texture(values: np.ndarray, uv: np.ndarray | None) -> np.ndarray:
    texture = np.asarray(values)
    if texture.ndim != 3 or texture.shape[2] != 3 or texture.dtype != np.uint8 or texture.size == 0:
        raise ValueError(f"expected texture (H, W, 3) uint8, got {texture.dtype} {texture.shape}")
    if uv is None:
        raise ValueError("expected uv together with a texture, got none")
    return texture


def check_quads(values: np.ndarray, triangles: np.ndarray, uv_triangles: np.ndarray | None) -> np.ndarray:
    quads = check_indices(values, (None,), max(len(triangles) - 1, 0), "quads")
    if (np.diff(quads) < 2).any():
        raise ValueError("expected quads increasing by 2 or more (a triangle is half of one quad at most)")
    for what, corners in (("triangles", triangles), ("uv_triangles", uv_triangles)):
        if corners is None:
            continue
        first, second = corners[quads], corners[quads + 1]
        bad = np.flatnonzero((first[:, 0] != second[:, 0]) | (first[:, 2] != second[:, 1]))
        if len(bad):
            raise ValueError(
                f"expected {what} t, t+1 of a quad to be (a, b, c), (a, c, d), got {len(bad)} that are not, "
                f"the first at {quads[bad[0]]}"
            )
    return quads


@contextmanager
def blaming(path: StrPath) -> Iterator[None]:
    """Turns a ValueError about a mesh's arrays into a FileError about the file they were read from."""
    try:
        yield
    except ValueError as error:
        raise FileError(path, f"holds no usable mesh: {error}") from error

"""What of a mesh file does not touch its geometry and cannot be used: left out, and told in one warning per file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import fspath

import numpy as np

from likeness.errors import FileError, FileWarning, StrPath
from likeness.mesh.checks import COLOR_SLACK, blaming, check_indices
from likeness.mesh.fields import MeshFields

_FAINT = 2.0
"""Floats up to this are colours in 0..1 that are too bright; larger ones count to 255."""


class Defects:
    """What is left out of one mesh file, in the order in which it was met.

    Args:
        path: the file.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = path
        self.found: list[str] = []

    def add(self, what: str) -> None:
        """Note something once: "no uv (line 9: expected finite numbers)"."""
        if what not in self.found:
            self.found.append(what)

    def without(self, what: str, error: FileError) -> None:
        """Note that ``what`` is left out because of an error."""
        self.add(f"no {what} ({error.reason if error.path == fspath(self.path) else error})")


@contextmanager
def reported(path: StrPath) -> Iterator[Defects]:
    """A record of a file's defects; when the file has been read, they become one :class:`likeness.FileWarning`."""
    defects = Defects(path)
    yield defects
    if defects.found:
        warnings.warn(FileWarning(path, "; ".join(defects.found)), stacklevel=6)


def usable_fields(
    defects: Defects,
    vertices: np.ndarray,
    triangles: np.ndarray,
    *,
    uv: np.ndarray | None = None,
    uv_triangles: np.ndarray | None = None,
    colors: np.ndarray | None = None,
    texture: np.ndarray | None = None,
    quads: np.ndarray | None = None,
    groups: Mapping[str, np.ndarray] | None = None,
    eight_bit: bool = False,
) -> MeshFields:
    """The fields of a file's mesh, without what cannot be used; arguments as in :class:`MeshFields`, ``eight_bit`` as
    in :func:`usable_colors`.

    Vertices that are not finite and that no triangle has are dropped; uv that are not finite go, with the texture;
    colours are scaled, clipped or go (:func:`usable_colors`).

    Raises:
        FileError: what is wrong touches the geometry.
    """
    with blaming(defects.path):
        kept = kept_vertices(defects, vertices, triangles)
        if kept is not None:
            triangles = (np.cumsum(kept) - 1)[triangles]
            vertices = vertices[kept]
            colors = None if colors is None else colors[kept]
            uv = uv[kept] if uv is not None and uv_triangles is None else uv
        if uv is not None:
            uv = _usable_uv(defects, uv, uv_triangles)
        return MeshFields(
            vertices,
            triangles,
            uv=uv,
            uv_triangles=None if uv is None else uv_triangles,
            colors=None if colors is None else usable_colors(defects, colors, eight_bit=eight_bit),
            texture=None if uv is None else texture,
            quads=quads,
            groups=groups,
        )


def kept_vertices(defects: Defects, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray | None:
    """(V,) bool, False for vertices that are not finite and belong to no triangle; None: all stay.

    Raises:
        ValueError: a triangle has such a vertex or one that is not there, or none is finite.
    """
    good = np.isfinite(vertices).all(axis=1)
    if good.all():
        return None
    used = np.zeros(len(vertices), bool)
    used[check_indices(triangles, (None, 3), len(vertices), "triangles")] = True
    bad = np.flatnonzero(used & ~good)
    if len(bad) or not good.any():
        rows = bad if len(bad) else np.flatnonzero(~good)
        raise ValueError(f"expected finite vertices, got {len(rows)} rows that are not, the first is row {rows[0]}")
    defects.add(f"without {int((~good).sum())} vertices that are no numbers and that no face has")
    return good


def usable_colors(defects: Defects, colors: np.ndarray, *, eight_bit: bool = False) -> np.ndarray | None:
    """Colours (N, 3) of any range in 0..1; None if they make no sense.

    Up to 2 they are clipped, up to 255 divided by 255 (whole numbers from 2 on, too), whole ones up to 65535 by that.

    Args:
        defects: takes a note of what was done.
        colors: (N, 3) floats.
        eight_bit: the format has whole numbers up to 255, too: no note is taken of them.
    """
    if not np.isfinite(colors).all():
        defects.add("no colours (some are no numbers)")
        return None
    low, high = (float(colors.min()), float(colors.max())) if colors.size else (0.0, 0.0)
    if low >= -COLOR_SLACK and high <= 1 + COLOR_SLACK:
        return np.clip(colors, 0, 1)
    integral = np.array_equal(colors, np.rint(colors))
    scale = 1.0
    if high >= _FAINT if integral else high > _FAINT:
        scale = 255.0 if high <= 255.5 else 65535.0
    if low < -scale or high > 65535.5 or (scale > 255 and not integral):
        defects.add(f"no colours (expected 0..1, got {low:g}..{high:g})")
        return None
    if not (eight_bit and integral and scale == 255 and low >= 0):
        defects.add(f"colours {low:g}..{high:g} taken as 0..{scale:g}")
    return np.clip(colors / scale, 0, 1)


def _usable_uv(defects: Defects, uv: np.ndarray, uv_triangles: np.ndarray | None) -> np.ndarray | None:
    bad = ~np.isfinite(uv).all(axis=1)
    if not bad.any():
        return uv
    if uv_triangles is None or bad[check_indices(uv_triangles, (None, 3), len(uv), "uv_triangles")].any():
        defects.add("no uv (some are no numbers)")
        return None
    return np.where(bad[:, None], 0.0, uv)

"""A mesh's arrays, checked when they are put together: what readers return and writers take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from likeness.mesh.checks import check_colors, check_indices, check_points, check_quads, check_texture, check_uv


@dataclass(frozen=True, eq=False)
class MeshFields:
    """The arrays of a triangle mesh, checked when they are put together.

    Args:
        vertices: (V, 3) float, millimetres, finite; integers become float64. V >= 1.
        triangles: (F, 3) vertex indices, counter-clockwise from outside; kept as int32; F may be 0 (points).
        uv: (U, 2) float texture coordinates, origin bottom left as in OBJ (the image's top row is at v = 1).
        uv_triangles: (F, 3) indices into ``uv``; None: the same as ``triangles`` (then U == V).
        colors: (V, 3) float, sRGB in [0, 1].
        texture: (H, W, 3) uint8, RGB; needs ``uv``.
        quads: (Q,) increasing indices t such that triangles t and t+1 are the halves (a, b, c) and
            (a, c, d) of one quadrilateral, in ``uv_triangles`` too; formats that can hold quadrilaterals get them.
        groups: named sets of triangles, name -> triangle indices; a triangle may be in several or none.

    Arrays are kept without copying where their type allows; treat them as read-only.

    Raises:
        ValueError: a shape, type, range or index is wrong, or a value is not finite.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray | None = None
    uv_triangles: np.ndarray | None = None
    colors: np.ndarray | None = None
    texture: np.ndarray | None = None
    quads: np.ndarray | None = None
    groups: Mapping[str, np.ndarray] | None = None

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)  # the way into a frozen dataclass
        put("vertices", check_points(self.vertices, 3, "vertices"))
        count = len(self.vertices)
        if count == 0:
            raise ValueError("expected at least one vertex, got none")
        put("triangles", check_indices(self.triangles, (None, 3), count, "triangles"))
        uv, uv_triangles = check_uv(self.uv, self.uv_triangles, self.triangles, count)
        put("uv", uv)
        put("uv_triangles", uv_triangles)
        if self.colors is not None:
            put("colors", check_colors(self.colors, count))
        if self.texture is not None:
            put("texture", check_texture(self.texture, self.uv))
        if self.quads is not None:
            put("quads", check_quads(self.quads, self.triangles, self.uv_triangles))
        if self.groups is not None:
            faces = len(self.triangles)
            put(
                "groups",
                {n: check_indices(t, (None,), faces, f"group {n!r}") for n, t in self.groups.items()},
            )

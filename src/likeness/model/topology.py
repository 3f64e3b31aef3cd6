"""What all heads of a model share: how vertices are joined and what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.geometry.landmarks import LandmarkMap


@dataclass(frozen=True, eq=False)
class Topology:
    """What all heads of a model share: how vertices are joined and what they are.

    Args:
        triangles: (F, 3) int32; two per quadrilateral where ``quads`` says so.
        quads: (Q,) indices t of triangles that make one quadrilateral with triangle t + 1.
        uv: (U, 2) texture coordinates, origin bottom left; (0, 2) without any.
        uv_triangles: (F, 3) int32; (0, 3) without any.
        mirror: (V,) int32, each vertex's mirror image; None where it is not known.
        regions: name -> (V,) bool; the embedded model has face, skin, lips, eyes, ears, scalp, neck and mouth, other
            models what is known of them, possibly nothing.
        landmarks: the 68 iBUG points on the surface; None where they are not known.
    """

    triangles: np.ndarray
    quads: np.ndarray
    uv: np.ndarray
    uv_triangles: np.ndarray
    mirror: np.ndarray | None
    regions: dict[str, np.ndarray]
    landmarks: LandmarkMap | None

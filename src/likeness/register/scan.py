"""Raw scans: what is usable of a file, units guessed from the face's size, and a size that can be worked with."""

from __future__ import annotations

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.geometry.units import UNITS
from likeness.mesh import Mesh

Array = np.ndarray


UNIT_FACTOR = 1.3
"""How much larger or smaller than the model's mean a face may be to prove its unit: six standard deviations of
adults' faces, and less than half of the way from centimetres to inches (a factor of 2.54)."""

MAX_VERTICES = 20_000_000
"""A larger scan is refused: it needs more than 8 GB here and is no face anyway."""


LARGEST_COORDINATE = 1e15
"""In any unit; squares of larger ones, and areas, are soon no numbers any more."""


def read_scan(path: StrPath) -> Mesh:
    """A scan's file as a mesh in its own units.

    Raises:
        FileError: missing, damaged, another suffix, not finite, without triangles, or larger than
            :data:`MAX_VERTICES`.
    """
    mesh = Mesh.load(path)
    try:
        return checked_scan(mesh)
    except ValueError as error:
        raise FileError(path, str(error)) from error


def checked_scan(mesh: Mesh) -> Mesh:
    """The vertices that triangles of some area use, and those triangles, with colours (or what a texture has there).

    Raises:
        ValueError: no triangles (a cloud of points), no area, or too large.
    """
    if not len(mesh.triangles):
        raise ValueError("expected a scan with triangles, got points only; build a surface from them first")
    if len(mesh.vertices) > MAX_VERTICES:
        raise ValueError(f"expected a scan of up to {MAX_VERTICES:,} vertices, got {len(mesh.vertices):,}")
    farthest = np.abs(mesh.vertices).max()
    if farthest > LARGEST_COORDINATE:
        raise ValueError(f"expected coordinates up to {LARGEST_COORDINATE:.0e}, got {farthest:.0e}")
    span = float(np.ptp(mesh.vertices.astype(np.float64), axis=0).max())
    solid = mesh.triangle_areas() > 1e-14 * span**2
    if not solid.any():
        raise ValueError("expected a scan with a surface, got triangles without area")
    triangles = mesh.triangles[solid]
    used = np.zeros(len(mesh.vertices), bool)
    used[triangles] = True
    colors = _texture_colors(mesh) if mesh.colors is None else mesh.colors
    colors = None if colors is None else colors[used]
    return Mesh(mesh.vertices[used].astype(np.float64), (np.cumsum(used) - 1)[triangles], colors=colors)


def _texture_colors(mesh: Mesh) -> Array | None:
    """Colours (V, 3) in [0, 1] that a mesh's texture has at its vertices, on one side of a seam; None without one."""
    if mesh.texture is None or mesh.uv is None:
        return None
    at = np.zeros((len(mesh.vertices), 2))
    at[mesh.triangles] = mesh.uv[mesh.triangles if mesh.uv_triangles is None else mesh.uv_triangles]
    height, width = mesh.texture.shape[:2]
    column = np.clip(np.floor(at[:, 0] * width), 0, width - 1).astype(int)
    row = np.clip(np.floor((1 - at[:, 1]) * height), 0, height - 1).astype(int)
    return np.asarray(mesh.texture[row, column] / 255.0)


def simplified(mesh: Mesh, most: int) -> Mesh:
    """A mesh with about ``most`` vertices or fewer: vertices in one cell of a grid become their mean (Rossignac and
    Borrel 1993). Fast, and its error is far below a cell, which is of the size of the new edges.
    """
    vertices = mesh.vertices.astype(np.float64)
    low, count = vertices.min(0), len(vertices)
    if count <= most:
        return mesh
    cell = float(np.sqrt(mesh.triangle_areas().sum() / most))
    cell = max(cell, float(np.ptp(vertices, axis=0).max()) / 2e6)  # so that a cell's number fits into 64 bits
    keys, label = _cells(vertices - low, cell)
    while len(keys) > most:
        cell *= 1.03 * float(np.sqrt(len(keys) / most))
        keys, label = _cells(vertices - low, cell)
    members = np.bincount(label)[:, None]

    def averaged(values: Array) -> Array:
        return np.stack([np.bincount(label, values[:, k]) for k in range(3)], axis=1) / members

    triangles = label[mesh.triangles]
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    _, kept = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    colors = None if mesh.colors is None else np.clip(averaged(mesh.colors), 0, 1)
    return checked_scan(Mesh(averaged(vertices), triangles[np.sort(kept)], colors=colors))


def _cells(points: Array, cell: float) -> tuple[Array, Array]:
    index = np.floor(points / cell).astype(np.int64)
    size = index.max(0) + 1
    flat = (index[:, 0] * size[1] + index[:, 1]) * size[2] + index[:, 2]
    keys, label = np.unique(flat, return_inverse=True)
    return keys, label.reshape(-1)


def cropped(mesh: Mesh, center: Array, radius: float) -> Mesh:
    """The part of a mesh within ``radius`` of ``center`` (3,).

    Raises:
        ValueError: nothing is there.
    """
    inside = np.linalg.norm(mesh.vertices - center, axis=1) < radius
    if not inside[mesh.triangles].all(1).any():
        raise ValueError("expected a scan with a surface around the face, got none there")
    return checked_scan(mesh.submesh(inside))


def guess_units(scale: float) -> str:
    """The unit of a scan in which a face of ``1 / scale`` units per millimetre was seen; "unknown" if none fits.

    Args:
        scale: scan units per millimetre, of a similarity from the model's mean face.
    """
    for name, millimetres in UNITS.items():
        if 1 / UNIT_FACTOR < scale * millimetres < UNIT_FACTOR:
            return name
    return "unknown"

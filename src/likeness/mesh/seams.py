"""Vertices as renderers take them: one per pair of vertex and texture coordinate."""

from __future__ import annotations

import numpy as np

from likeness.mesh.fields import MeshFields


def split_seams(mesh: MeshFields) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """One vertex per pair of vertex and uv, as glTF needs it.

    Returns:
        source: (N,) the mesh's vertex behind each vertex of the file; the first V are 0..V-1.
        triangles: (F, 3) of the file.
        uv: (N, 2), or None where the mesh has none; vertices of no triangle get (0, 0).
    """
    count = len(mesh.vertices)
    if mesh.uv is None or mesh.uv_triangles is None:
        return np.arange(count), mesh.triangles, mesh.uv
    pairs = mesh.triangles.astype(np.int64) * len(mesh.uv) + mesh.uv_triangles
    unique, inverse = np.unique(pairs.ravel(), return_inverse=True)
    vertex, uv_index = np.divmod(unique, len(mesh.uv))
    is_copy = np.append(False, vertex[1:] == vertex[:-1])
    place = vertex.copy()
    place[is_copy] = count + np.arange(int(is_copy.sum()))
    source = np.concatenate([np.arange(count), vertex[is_copy]])
    uv = np.zeros((len(source), 2))
    uv[place] = mesh.uv[uv_index]
    return source, place[inverse].reshape(-1, 3), uv

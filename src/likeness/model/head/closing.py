"""The neck's border, closed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from likeness.mesh import Mesh


def border_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """The borders of a surface, each as its vertices in the direction of its triangles' edges; vertices must not be
    on two of them."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    size = int(edges.max()) + 1
    forward, backward = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    after = dict(edges[~np.isin(forward, backward)].tolist())
    loops = []
    while after:
        first, following = next(iter(after.items()))
        loop = [first]
        del after[first]
        while following != first:
            loop.append(following)
            following = after.pop(following)
        loops.append(np.array(loop))
    return loops


def with_closed_neck(skin: Mesh) -> tuple[Mesh, np.ndarray]:
    """The skin with a flat end of the neck: its lowest border is filled with triangles of their own vertices, so that
    no shading runs around the edge.

    Returns:
        mesh: the skin's vertices, then the border's again, then, as the last, the middle's.
        source: (V + B + 1,) whose shapes and joints each has: its own; of the middle the border's rearmost vertex.
    """
    loops = border_loops(skin.triangles)
    loop = min(loops, key=lambda one: float(skin.vertices[one, 1].mean()))
    count = len(skin.vertices)
    copies = count + np.arange(len(loop))
    cap = np.column_stack([np.roll(copies, -1), copies, np.full(len(loop), count + len(loop))])
    uv, uv_triangles = skin.uv, skin.uv_triangles
    if uv is not None:
        known = skin.triangles if uv_triangles is None else uv_triangles
        of_vertex = np.zeros(count, np.int64)
        of_vertex[skin.triangles.ravel()] = known.ravel()
        a, b = of_vertex[np.roll(loop, -1)], of_vertex[loop]
        # The flat end takes the colour of its border.
        uv_triangles = np.concatenate([known, np.column_stack([a, b, b])])
    colors = skin.colors
    if colors is not None:
        colors = np.vstack([colors, colors[loop], colors[loop].mean(0)])
    source = np.concatenate([np.arange(count), loop, loop[[np.argmin(skin.vertices[loop, 2])]]])
    closed = replace(
        skin,
        vertices=np.vstack([skin.vertices, skin.vertices[loop], skin.vertices[loop].mean(0)]),
        triangles=np.concatenate([skin.triangles, cap]),
        uv_triangles=uv_triangles,
        colors=colors,
    )
    return closed, source

"""Triangle meshes: the class that every part of the package passes around, and what is computed on them.

Lengths are millimetres, triangles are counter-clockwise seen from outside (CONVENTIONS.md). File formats live
in `likeness.mesh.files`; `Mesh.load` and `Mesh.save` lead there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from likeness.errors import MissingExtraError, StrPath
from likeness.mesh.checks import check_colors, check_indices, check_points, check_quads, check_texture, check_uv

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh, checked when it is made.

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

    @classmethod
    def load(cls, path: StrPath) -> Mesh:
        """Read an .obj, .ply, .stl or .glb file; the suffix decides. See `likeness.mesh.files.load_mesh`.

        Raises:
            FileError: missing, another suffix, or damaged content.
        """
        from likeness.mesh.files import load_mesh

        return load_mesh(path)

    def save(self, path: StrPath) -> None:
        """Write an .obj, .ply, .stl or .glb file; the suffix decides. See `likeness.mesh.files.save_mesh`.

        Raises:
            FileError: another suffix, or the file cannot be written.
        """
        from likeness.mesh.files import save_mesh

        save_mesh(path, self)

    def vertex_normals(self) -> np.ndarray:
        """(V, 3) unit normals, area-weighted; zero where no triangle of non-zero area meets the vertex."""
        return vertex_normals(self.vertices, self.triangles)

    def triangle_normals(self) -> np.ndarray:
        """(F, 3) unit normals by the right-hand rule; zero for triangles of zero area."""
        crosses = self._crosses()
        length = np.linalg.norm(crosses, axis=-1, keepdims=True)
        return (crosses / np.where(length > 0, length, 1)).astype(self.vertices.dtype, copy=False)

    def triangle_areas(self) -> np.ndarray:
        """(F,) areas in mm²."""
        return 0.5 * np.linalg.norm(self._crosses(), axis=-1)

    def vertex_areas(self) -> np.ndarray:
        """(V,) areas in mm²: a third of every adjacent triangle's, so they sum to the surface's area."""
        corners = self.triangles.ravel()
        return np.bincount(corners, np.repeat(self.triangle_areas() / 3, 3), len(self.vertices))

    def edges(self) -> np.ndarray:
        """(E, 2) int32: every edge of the triangles once, lower index first, sorted; no loops."""
        return _edges(self.triangles, len(self.vertices))

    def with_vertices(self, vertices: np.ndarray) -> Mesh:
        """The same mesh with its vertices at (V, 3) other positions in mm; ValueError for another V."""
        if np.shape(vertices) != self.vertices.shape:
            raise ValueError(f"expected vertices {self.vertices.shape}, got {np.shape(vertices)}")
        return replace(self, vertices=vertices)

    def transformed(
        self,
        rotation: np.ndarray | None = None,
        translation: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Mesh:
        """``scale * R x + t`` for every vertex x.

        Args:
            rotation: (3, 3) rotation matrix R, no reflection; None: none.
            translation: (3,) millimetres; None: zero.
            scale: positive factor.
        """
        R = np.eye(3) if rotation is None else np.asarray(rotation, dtype=np.float64)
        t = np.zeros(3) if translation is None else np.asarray(translation, dtype=np.float64)
        if R.shape != (3, 3) or t.shape != (3,):
            raise ValueError(f"expected rotation (3, 3) and translation (3,), got {R.shape} and {t.shape}")
        if not np.allclose(R @ R.T, np.eye(3), atol=1e-4) or np.linalg.det(R) < 0:
            raise ValueError(f"expected a rotation matrix (orthonormal, determinant 1), got {R.tolist()}")
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(f"expected a positive scale, got {scale}")
        moved = self.vertices @ (scale * R.T) + t
        return self.with_vertices(moved.astype(self.vertices.dtype, copy=False))

    def submesh(self, mask: np.ndarray) -> Mesh:
        """The vertices that ``mask`` ((V,) bool) chooses, in their order, and the triangles between them.

        Texture coordinates, colours, whole quadrilaterals and groups (also emptied ones) come along.
        """
        mask = np.asarray(mask)
        if mask.shape != (len(self.vertices),) or mask.dtype != bool or not mask.any():
            raise ValueError(
                f"expected a bool mask ({len(self.vertices)},) with a True, got {mask.dtype} {mask.shape}"
            )
        kept = mask[self.triangles].all(axis=1)
        new_triangle = np.cumsum(kept) - 1
        uv, uv_triangles = self.uv, self.uv_triangles
        if uv is not None and uv_triangles is not None:
            used = np.unique(uv_triangles[kept])
            uv_triangles = np.searchsorted(used, uv_triangles[kept])
            uv = uv[used]
        elif uv is not None:
            uv = uv[mask]
        quads = self.quads
        if quads is not None:
            quads = new_triangle[quads[kept[quads] & kept[quads + 1]]]
        groups = self.groups
        if groups is not None:
            groups = {name: new_triangle[members[kept[members]]] for name, members in groups.items()}
        return Mesh(
            self.vertices[mask],
            (np.cumsum(mask) - 1)[self.triangles[kept]],
            uv=uv,
            uv_triangles=uv_triangles,
            colors=None if self.colors is None else self.colors[mask],
            texture=self.texture,
            quads=quads,
            groups=groups,
        )

    def polygons(self) -> tuple[np.ndarray, np.ndarray]:
        """The faces as modelled, in the order of their triangles.

        Returns:
            starts: (P,) the (first) triangle of each face.
            is_quad: (P,) bool; where True the face is ``(*triangles[t], triangles[t + 1, 2])``, t its start.
        """
        is_quad = np.zeros(len(self.triangles), dtype=bool)
        starts = np.ones(len(self.triangles), dtype=bool)
        if self.quads is not None:
            is_quad[self.quads] = True
            starts[self.quads + 1] = False
        return np.flatnonzero(starts), is_quad[starts]

    def _crosses(self) -> np.ndarray:
        a, b, c = (self.vertices[self.triangles[:, i]].astype(np.float64) for i in range(3))
        return np.cross(b - a, c - a)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit vertex normals of one or many meshes of one topology.

    Args:
        vertices: (..., V, 3) float.
        triangles: (F, 3) vertex indices, counter-clockwise from outside.

    Returns:
        (..., V, 3), of the vertices' type; zero where no triangle of non-zero area meets the vertex.
    """
    if vertices.ndim < 2 or vertices.shape[-1] != 3:
        raise ValueError(f"expected vertices (..., V, 3), got {vertices.shape}")
    a, b, c = np.ascontiguousarray(triangles.T, dtype=np.intp)
    count = vertices.shape[-2]
    normals = np.empty(vertices.shape, dtype=np.result_type(vertices.dtype, np.float32))
    # Mesh by mesh and axis by axis: temporaries stay in the cache, and bincount is far faster than np.add.at.
    for shape, normal in zip(vertices.reshape(-1, count, 3), normals.reshape(-1, count, 3), strict=True):
        u, w = [], []
        for axis in np.ascontiguousarray(shape.T):
            origin = axis.take(a)
            u.append(axis.take(b) - origin)
            w.append(axis.take(c) - origin)
        total = np.empty((3, count))
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            cross = u[j] * w[k] - u[k] * w[j]
            total[i] = sum(np.bincount(corner, cross, count) for corner in (a, b, c))
        length = np.sqrt((total * total).sum(axis=0))
        normal[:] = (total / np.where(length > 0, length, 1)).T
    return normals


def laplacian(triangles: np.ndarray, n_vertices: int) -> csr_array:
    """Graph Laplacian ``D - A``, (V, V) float64: symmetric, positive semi-definite, rows sum to 0.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    edges = _edges(check_indices(triangles, (None, 3), n_vertices, "triangles"), n_vertices)
    return _laplacian(edges[:, 0], edges[:, 1], np.ones(len(edges)), n_vertices)


def cotangent_laplacian(vertices: np.ndarray, triangles: np.ndarray) -> csr_array:
    """Cotangent Laplacian, (V, V) float64: symmetric, positive semi-definite, rows sum to 0.

    Edge weights are half the sum of the cotangents of the opposite angles (Pinkall and Polthier 1993), so
    that ``x·Lx / 2`` is the Dirichlet energy of a function x. Triangles of no area do not count.

    Args:
        vertices: (V, 3) float, any unit (the cotangents have none).
        triangles: (F, 3) vertex indices.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    points = check_points(vertices, 3, "vertices").astype(np.float64, copy=False)
    faces = check_indices(triangles, (None, 3), len(points), "triangles")
    rows, columns, weights = [], [], []
    for corner in range(3):
        apex, i, j = (faces[:, (corner + step) % 3] for step in range(3))
        u, w = points[i] - points[apex], points[j] - points[apex]
        doubled_area = np.linalg.norm(np.cross(u, w), axis=1)
        flat = doubled_area <= 1e-12 * (np.linalg.norm(u, axis=1) * np.linalg.norm(w, axis=1))
        weights.append(np.where(flat, 0.0, 0.5 * (u * w).sum(axis=1) / np.where(flat, 1.0, doubled_area)))
        rows.append(i)
        columns.append(j)
    return _laplacian(np.concatenate(rows), np.concatenate(columns), np.concatenate(weights), len(points))


def mirror_map(
    vertices: np.ndarray,
    triangles: np.ndarray,
    axis: int = 0,
    *,
    quads: np.ndarray | None = None,
    tolerance: float | None = None,
) -> np.ndarray:
    """Each vertex's partner on a mesh that is symmetric, in shape and topology, across ``x[axis] = 0``.

    Starts from the vertex nearest to each mirror image. Where several lie close (touching lips,
    seams), that one wins which has most edges to the partners of the vertex's own neighbours. The result is
    checked: it is its own inverse, and every face's mirror image, its corners reversed, is a face.

    Args:
        vertices: (V, 3) float, mm.
        triangles: (F, 3) vertex indices.
        axis: 0, 1 or 2.
        quads: as in `Mesh`; these are compared as quadrilaterals: their diagonals need not mirror.
        tolerance: mm, the largest distance of a partner from the mirror image; None: half the mean edge.

    Returns:
        (V,) int32; a vertex on the plane is its own partner.

    Raises:
        ValueError: not symmetric; says how many vertices and faces failed.
        MissingExtraError: scipy is not installed.
    """
    mesh = Mesh(vertices, triangles, quads=quads)
    if axis not in (0, 1, 2):
        raise ValueError(f"expected axis 0, 1 or 2, got {axis}")
    if not len(mesh.triangles):
        raise ValueError("expected triangles, got none")
    starts, is_quad = mesh.polygons()
    first = starts[is_quad]
    fours = np.column_stack([mesh.triangles[first], mesh.triangles[first + 1, 2]])
    faces = [mesh.triangles[starts[~is_quad]].astype(np.int64), fours.astype(np.int64)]
    edges = np.concatenate([np.stack([f, np.roll(f, -1, axis=1)], axis=-1).reshape(-1, 2) for f in faces])
    if tolerance is None:
        span = mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]]
        tolerance = 0.5 * float(np.linalg.norm(span, axis=1).mean())
    distances, candidates = _nearest_to_mirrored(mesh.vertices, axis)
    far = int((distances[:, 0] > tolerance).sum())
    partner = _vote(np.where(distances <= tolerance, candidates, candidates[:, :1]), edges)
    torn = int((partner[partner] != np.arange(len(partner))).sum())
    lost = sum(len(_cycles(partner[f][:, ::-1]) - _cycles(f)) for f in faces)
    if far or torn or lost:
        raise ValueError(
            f"expected a mesh symmetric across {'xyz'[axis]} = 0, got {far} of {len(partner)} vertices "
            f"without a partner within {tolerance:.3g} mm, {torn} whose partner has another one, and {lost} of "
            f"{sum(map(len, faces))} faces whose mirror image is not a face"
        )
    return partner.astype(np.int32)


def _nearest_to_mirrored(vertices: np.ndarray, axis: int, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices, (V, k) each, of the k vertices nearest to each vertex's mirror image."""
    try:
        from scipy.spatial import KDTree
    except ImportError as error:
        raise MissingExtraError("the mirror map", "scans") from error
    sign = np.where(np.arange(3) == axis, -1.0, 1.0)
    columns = range(1, min(count, len(vertices)) + 1)
    distances, candidates = KDTree(vertices).query(vertices * sign, k=list(columns))
    return distances, candidates


def _vote(candidates: np.ndarray, edges: np.ndarray, rounds: int = 50) -> np.ndarray:
    """Of each vertex's ``candidates`` ((V, k), nearest first) the one that fits its neighbours' partners."""
    count, width = candidates.shape
    rows = np.arange(count)
    both = np.concatenate([edges, edges[:, ::-1]])
    known = np.unique(both[:, 0] * count + both[:, 1])
    partner = candidates[:, 0]
    for _ in range(rounds):
        keys = candidates[both[:, 0]] * count + partner[both[:, 1], None]
        found = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys
        votes = np.stack([np.bincount(both[:, 0], found[:, i], count) for i in range(width)], axis=1)
        improved = candidates[rows, votes.argmax(axis=1)]  # argmax takes the first, the nearest, of equals
        if np.array_equal(improved, partner):
            break
        partner = improved
    return partner


def _cycles(faces: np.ndarray) -> set[tuple[int, ...]]:
    """The faces (N, k) as cyclic sequences: turned so that the smallest index comes first."""
    order = faces.argmin(axis=1)[:, None] + np.arange(faces.shape[1])
    return set(map(tuple, np.take_along_axis(faces, order % faces.shape[1], axis=1).tolist()))


def _laplacian(i: np.ndarray, j: np.ndarray, weights: np.ndarray, count: int) -> csr_array:
    try:
        from scipy.sparse import coo_array
    except ImportError as error:
        raise MissingExtraError("the mesh Laplacian", "scans") from error
    rows, columns = np.concatenate([i, j, i, j]), np.concatenate([j, i, i, j])
    values = np.concatenate([-weights, -weights, weights, weights])
    return coo_array((values, (rows, columns)), shape=(count, count)).tocsr()


def _edges(triangles: np.ndarray, count: int) -> np.ndarray:
    pairs = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    keys = np.unique((low * count + high)[low < high])
    return np.stack([keys // count, keys % count], axis=1).astype(np.int32)

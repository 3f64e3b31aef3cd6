"""Triangle meshes: the class that every part of the package passes around, and what is computed on them.

Lengths are millimetres, triangles are counter-clockwise seen from outside (CONVENTIONS.md). File formats live
in `likeness.mesh.files`; `Mesh.load` and `Mesh.save` lead there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from likeness.errors import StrPath
from likeness.mesh.fields import MeshFields
from likeness.mesh.files import load_mesh, save_mesh
from likeness.mesh.laplacians import edges_of
from likeness.mesh.normals import vertex_normals
from likeness.mesh.polygons import polygons


@dataclass(frozen=True, eq=False)
class Mesh(MeshFields):
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

    @classmethod
    def of(cls, fields: MeshFields) -> Mesh:
        """A mesh of fields that were checked when they were put together."""
        mesh = object.__new__(cls)
        vars(mesh).update(vars(fields))
        return mesh

    @classmethod
    def load(cls, path: StrPath) -> Mesh:
        """Read an .obj, .ply, .stl or .glb file; the suffix decides. See `likeness.mesh.files.load_mesh`.

        Raises:
            FileError: missing, another suffix, or damaged content.
        """
        return cls.of(load_mesh(path))

    def save(self, path: StrPath) -> None:
        """Write an .obj, .ply, .stl or .glb file; the suffix decides. See `likeness.mesh.files.save_mesh`.

        Raises:
            FileError: another suffix, or the file cannot be written.
        """
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
        return edges_of(self.triangles, len(self.vertices))

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
        return polygons(self.triangles, self.quads)

    def _crosses(self) -> np.ndarray:
        a, b, c = (self.vertices[self.triangles[:, i]].astype(np.float64) for i in range(3))
        return np.cross(b - a, c - a)

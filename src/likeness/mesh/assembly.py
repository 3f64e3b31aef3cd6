"""Several meshes that move together: skin, eyes, teeth ... with a material and joints each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from likeness.geometry.rotation import rotation_from_vector
from likeness.images.texture import nearest_texels
from likeness.mesh.mesh import Mesh


@dataclass(frozen=True, eq=False)
class Material:
    """How a part's surface looks.

    Args:
        name: what programs show.
        roughness: 0 (a mirror) to 1.
        normal_map: (H, W, 3) uint8 for the mesh's uv: ``2 * value / 255 - 1`` are a normal's components along growing
            u, growing v and out of the surface; None: none.
    """

    name: str
    roughness: float = 0.6
    normal_map: np.ndarray | None = None


@dataclass(frozen=True)
class Joint:
    """A joint of the skeleton; at rest its axes are the mesh's own.

    Args:
        name: of the joint.
        place: (3,) mm.
        parent: its parent's number; None: the root.
    """

    name: str
    place: tuple[float, float, float]
    parent: int | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """One mesh of an assembly.

    Args:
        name: of the mesh.
        mesh: at rest.
        material: of its surface.
        shapes: name -> (V, 3) displacements in mm at weight 1; only those that move it.
        influence: (V, J) >= 0, rows sum to 1: how much each joint moves each vertex.
    """

    name: str
    mesh: Mesh
    material: Material
    shapes: Mapping[str, np.ndarray]
    influence: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.mesh.vertices)
        for name, shape in self.shapes.items():
            if np.shape(shape) != (count, 3):
                raise ValueError(f"expected shape {name!r} of {self.name} ({count}, 3), got {np.shape(shape)}")
        rows = np.asarray(self.influence)
        if rows.ndim != 2 or len(rows) != count or (rows < 0).any() or not np.allclose(rows.sum(1), 1, atol=1e-5):
            raise ValueError(f"expected influence ({count}, J) of {self.name} whose rows sum to 1, got {rows.shape}")


@dataclass(frozen=True, eq=False)
class Assembly:
    """Parts that share a skeleton.

    Args:
        parts: at least one, of different names.
        joints: parents before their children, the root first.
    """

    parts: tuple[Part, ...]
    joints: tuple[Joint, ...] = field(default=(Joint("root", (0.0, 0.0, 0.0)),))

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"expected one or more parts of different names, got {names}")
        for number, joint in enumerate(self.joints):
            if (joint.parent is None) != (number == 0) or (joint.parent or 0) > max(number - 1, 0):
                raise ValueError(f"expected parents before their children, joint {joint.name!r} has {joint.parent}")
        for part in self.parts:
            if part.influence.shape[1] != len(self.joints):
                raise ValueError(f"expected influence of {len(self.joints)} joints, got {part.influence.shape}")

    def __getitem__(self, name: str) -> Part:
        """A part by its name; KeyError for another."""
        return {part.name: part for part in self.parts}[name]

    @property
    def shape_names(self) -> tuple[str, ...]:
        """All parts' shapes, each once, in the order in which they are met."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.shapes))

    def posed(self, weights: Mapping[str, float], turns: Mapping[str, np.ndarray] | None = None) -> Assembly:
        """The parts with shapes at these weights and joints turned, without shapes.

        Args:
            weights: of shapes; those that are not named stay at rest.
            turns: joint's name -> (3,) rotation vector in radians about its place, on top of its parent's.
        """
        matrices = self._matrices(turns or {})
        parts = []
        for part in self.parts:
            vertices = part.mesh.vertices.astype(np.float64)
            for name, shape in part.shapes.items():
                vertices += weights.get(name, 0.0) * np.asarray(shape, np.float64)
            blended = np.tensordot(part.influence, matrices, 1)
            placed = np.einsum("vij,vj->vi", blended[:, :, :3], vertices) + blended[:, :, 3]
            parts.append(replace(part, mesh=part.mesh.with_vertices(placed.astype(np.float32)), shapes={}))
        return replace(self, parts=tuple(parts))

    def _matrices(self, turns: Mapping[str, np.ndarray]) -> np.ndarray:
        """(J, 3, 4): where each joint takes what it holds."""
        found: list[np.ndarray] = []
        for joint in self.joints:
            turn = rotation_from_vector(np.asarray(turns.get(joint.name, np.zeros(3)), np.float64))
            place = np.asarray(joint.place, np.float64)
            own = np.vstack([np.column_stack([turn, place - turn @ place]), [0, 0, 0, 1]])
            found.append(own if joint.parent is None else found[joint.parent] @ own)
        return np.stack(found)[:, :3]

    def printed(self) -> tuple[str, np.ndarray, np.ndarray] | None:
        """The part that has texture coordinates, where it is the only one: its name, (F, 3) indices into its uv for
        all triangles of :meth:`joined`, 0 where they are another part's, and (F,) bool, which are its own."""
        found = [number for number, part in enumerate(self.parts) if part.mesh.uv is not None]
        if len(found) != 1:
            return None
        mesh = self.parts[found[0]].mesh
        counts = [len(part.mesh.triangles) for part in self.parts]
        start = sum(counts[: found[0]])
        corners, own = np.zeros((sum(counts), 3), np.int32), np.zeros(sum(counts), bool)
        own[start : start + counts[found[0]]] = True
        corners[own] = mesh.triangles if mesh.uv_triangles is None else mesh.uv_triangles
        return self.parts[found[0]].name, corners, own

    def joined(self) -> Mesh:
        """All parts as one coloured mesh; a texture's colour is taken at the vertices, a part without colours is
        white. Groups are called after the parts."""
        colors = [vertex_colors(part.mesh) for part in self.parts]
        starts = np.cumsum([0, *(len(part.mesh.vertices) for part in self.parts)])
        triangles = [part.mesh.triangles + start for part, start in zip(self.parts, starts[:-1], strict=True)]
        ends = np.cumsum([0, *map(len, triangles)])
        groups = {part.name: np.arange(a, b) for part, a, b in zip(self.parts, ends[:-1], ends[1:], strict=True)}
        return Mesh(
            np.concatenate([part.mesh.vertices for part in self.parts]),
            np.concatenate(triangles),
            colors=np.concatenate(colors),
            groups=groups,
        )


def vertex_colors(mesh: Mesh) -> np.ndarray:
    """(V, 3) sRGB: a mesh's own colours, or its texture's nearest texels; white where it has neither."""
    if mesh.colors is not None:
        return np.asarray(mesh.colors, np.float64)
    found = np.ones((len(mesh.vertices), 3))
    if mesh.texture is None or mesh.uv is None:
        return found
    corners = mesh.triangles if mesh.uv_triangles is None else mesh.uv_triangles
    found[mesh.triangles.ravel()] = nearest_texels(mesh.texture, mesh.uv[corners.ravel()])
    return found

"""What a page shows: heads, what they share, and the photos that they were fitted to. Millimetres, model axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from likeness.geometry.camera import Camera
from likeness.mesh import Mesh
from likeness.mesh.assembly import Assembly
from likeness.model.face_model import FaceModel
from likeness.model.head import following, has_whole_head, whole_head

DIRECTIONS = 10
"""Identity directions that come with a photo's head."""

OWN_SHAPES = 6
"""So many whole heads of a page have the shapes as each has them, lids that close on its own eyes; of more, all have
those of the first, since each of its own adds half a megabyte."""

MODEL_DIRECTIONS = 30
"""Identity directions that come with a face model's mean."""

PHOTO_SIDE = 640
"""Pixels of the longer side that a photo's part around the head is made smaller to."""

AROUND = 0.35
"""How much of a photo is kept around the head: a share of its size, on each side."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Displacements (S, V, 3) mm at weight 1, by name."""

    names: tuple[str, ...]
    deltas: np.ndarray


NO_SHAPES = Shapes((), np.zeros((0, 1, 3), np.float32))


@dataclass(frozen=True, eq=False)
class Rig:
    """What heads of one topology share; a page holds each rig once.

    Args:
        mesh: any mesh of the topology; its triangles and texture coordinates count.
        expressions: what sliders move, weights from 0 to 1.
        directions: identity directions, weights in standard deviations of the model's population.
        face: (V,) bool, over which two heads' distance is told; None: everywhere.
        model: the face model's name; empty: none.
        covered: (F,) bool, the triangles that heads' textures are for, the others have colours; None: all.
    """

    mesh: Mesh
    expressions: Shapes = NO_SHAPES
    directions: Shapes = NO_SHAPES
    face: np.ndarray | None = None
    model: str = ""
    covered: np.ndarray | None = None

    @classmethod
    def of_model(cls, model: FaceModel, directions: int = DIRECTIONS) -> Rig:
        """A face model's, with its expressions and its first principal identity directions."""
        return cls(
            model.mesh(np.zeros(len(model.identity_basis), np.float32)),
            Shapes(model.expression_names, model.expression_basis),
            principal_directions(model, directions),
            model.topology.regions.get("face"),
            model.name,
        )

    @classmethod
    def of_whole(cls, model: FaceModel, whole: Assembly, directions: int = DIRECTIONS) -> Rig:
        """A whole head's, with the shapes as this head has them, and how it follows the model's first principal
        identity directions."""
        mesh, printed = whole.joined(), whole.printed()
        covered = None
        if printed is not None:
            name, corners, covered = printed
            mesh = replace(mesh, uv=whole[name].mesh.uv, uv_triangles=corners)
        deltas = np.zeros((len(model.expression_names), *mesh.vertices.shape), np.float32)
        start = 0
        for part in whole.parts:
            end = start + len(part.mesh.vertices)
            for number, shape in enumerate(model.expression_names):
                if shape in part.shapes:
                    deltas[number, start:end] = part.shapes[shape]
            start = end
        is_face = following(model, np.repeat(model.topology.regions["face"][None, :, None], 3, axis=2))[0, :, 0] == 1
        is_face[len(whole.parts[0].mesh.vertices) :] = False
        shapes = Shapes(model.expression_names, deltas)
        return cls(mesh, shapes, _whole_directions(model, directions), is_face, model.name, covered)

    def fits(self, mesh: Mesh, names: Sequence[str]) -> bool:
        """Whether a mesh has the same vertices, triangles and expressions, as far as can be told."""
        return (
            len(mesh.vertices) == len(self.mesh.vertices)
            and np.array_equal(mesh.triangles, self.mesh.triangles)
            and tuple(names) in ((), tuple(self.expressions.names))
        )


@lru_cache(maxsize=4)
def _whole_directions(model: FaceModel, count: int) -> Shapes:
    shapes = principal_directions(model, count) if count else NO_SHAPES
    return Shapes(shapes.names, following(model, shapes.deltas)) if shapes.names else NO_SHAPES


def principal_directions(model: FaceModel, count: int) -> Shapes:
    """The directions of identity along which faces of the model's population differ most, the largest first.

    They are the principal axes of the geometry metric (:class:`likeness.model.identity.GeometryMetric`): with
    ``G = L Lᵀ`` from the eigenvectors of G, the columns of L; codes have unit variance along each, so a weight of 1
    is a standard deviation. Signs are such that the displacements' sum is not negative.
    """
    factor = model.metric.factor
    sizes = np.sqrt((factor * factor).sum(axis=0))
    order = [axis for axis in np.argsort(-sizes, kind="stable")[:count] if sizes[axis] > 0]
    if not order:
        return NO_SHAPES
    axes = (factor[:, order] / sizes[order]).T
    deltas = np.tensordot(axes, model.identity_basis.astype(np.float64), axes=1)
    signs = np.where(deltas.sum(axis=(1, 2)) < 0, -1.0, 1.0)
    names = tuple(f"{number} ({sizes[axis]:.1f} mm)" for number, axis in enumerate(order, 1))
    return Shapes(names, (deltas * signs[:, None, None]).astype(np.float32))


@dataclass(frozen=True, eq=False)
class FittedPhoto:
    """A photo (H, W, 3) uint8 RGB and the camera that a head was fitted with: ``pixel = project(K, R x + t)``."""

    photo: np.ndarray
    camera: Camera
    rotation: np.ndarray
    translation: np.ndarray

    def around(self, vertices: np.ndarray) -> FittedPhoto:
        """The part around a head (V, 3) mm, made smaller to :data:`PHOTO_SIDE` pixels if it is larger."""
        import cv2

        pixels = self.camera.project(vertices @ self.rotation.T + self.translation)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        margin = AROUND * (high - low).max()
        height, width = self.photo.shape[:2]
        x0, y0 = (int(v) for v in np.clip(np.floor(low - margin), 0, (width - 1, height - 1)))
        x1, y1 = (int(v) for v in np.clip(np.ceil(high + margin), (x0 + 1, y0 + 1), (width, height)))
        cut = Camera(self.camera.focal, (self.camera.center[0] - x0, self.camera.center[1] - y0), (x1 - x0, y1 - y0))
        part = self.photo[y0:y1, x0:x1]
        factor = PHOTO_SIDE / max(cut.size)
        if factor < 1:
            cut = cut.scaled(factor)
            part = cv2.resize(part, cut.size, interpolation=cv2.INTER_AREA)
        return FittedPhoto(np.ascontiguousarray(part), cut, self.rotation, self.translation)


@dataclass(frozen=True, eq=False)
class ViewedHead:
    """One head of a page.

    Args:
        name: what people read.
        rig: shared with others where they are of one topology.
        vertices: (V, 3) mm at rest.
        colors: (V, 3) sRGB in [0, 1], where no texture is; None: grey.
        texture: (S, S, 3) uint8 sRGB, in the rig's texture coordinates.
        weights: expression -> weight that the head starts with.
        photo: that it was fitted to.
        note: a sentence about the head, or about what is missing.
    """

    name: str
    rig: Rig
    vertices: np.ndarray
    colors: np.ndarray | None = None
    texture: np.ndarray | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    photo: FittedPhoto | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if np.shape(self.vertices) != self.rig.mesh.vertices.shape:
            raise ValueError(f"expected vertices {self.rig.mesh.vertices.shape}, got {np.shape(self.vertices)}")

    @classmethod
    def of_model(
        cls,
        name: str,
        model: FaceModel,
        rest: Mesh,
        rig: Rig | None = None,
        directions: int = DIRECTIONS,
        **more: Any,
    ) -> ViewedHead:
        """A head at rest of a face model, whole where the model knows how.

        Args:
            name: what people read.
            model: of the head.
            rest: in the model's topology, with colours or a texture.
            rig: that it shares with another head of the model, whose shapes it then has; None: its own, exact one.
            directions: identity directions of its own rig.
            more: of the arguments.
        """
        if not has_whole_head(model):
            return cls.of_mesh(name, rest, rig or Rig.of_model(model, directions), **more)
        whole = whole_head(model, rest)
        mesh = whole.joined()
        return cls(
            name, rig or Rig.of_whole(model, whole, directions), mesh.vertices, mesh.colors, rest.texture, **more
        )

    @classmethod
    def of_mesh(cls, name: str, mesh: Mesh, rig: Rig | None = None, **more: object) -> ViewedHead:
        """A mesh at rest with its own colours and texture; ``rig``: that it shares; ``more`` of the arguments."""
        return cls(name, rig or Rig(mesh), mesh.vertices, mesh.colors, mesh.texture, **more)  # type: ignore[arg-type]

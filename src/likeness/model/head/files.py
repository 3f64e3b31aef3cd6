"""A person's whole head as files; a face model that knows no eyes and no mouth gives its surface alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from likeness.errors import StrPath
from likeness.mesh import Mesh
from likeness.mesh.animation import Animation
from likeness.mesh.glb_assembly import write_assembly
from likeness.mesh.glb_writer import write_glb
from likeness.mesh.obj_assembly import write_obj_assembly
from likeness.mesh.obj_writer import write_obj
from likeness.model.face_model import FaceModel
from likeness.model.head.anatomy import has_whole_head
from likeness.model.head.whole import whole_head


def write_head_glb(
    path: StrPath,
    model: FaceModel,
    head: Mesh,
    weights: np.ndarray | None = None,
    name: str = "head",
    extras: Mapping[str, Any] | None = None,
    *,
    jpeg_quality: int | None = None,
    animation: Animation | None = None,
) -> None:
    """Write a GLB file of a head with the model's expressions as morph targets: the whole head with its joints
    (:func:`likeness.model.head.whole_head`), or one mesh where the model does not know enough for that.

    Args:
        path: the file.
        model: the face model.
        head: the person at rest in its topology, mm, with colours or a texture.
        weights: (E,) default weights; None: zeros.
        name: of the first node.
        extras: anything JSON can hold; the first node's.
        jpeg_quality: 1..100: embed the texture as JPEG; None: as PNG.
        animation: of the model's E weights, and of the head's place.

    Raises:
        ValueError: another topology, weights, animation or extras of the wrong kind.
        FileError: cannot be written; nothing is left half-written.
    """
    names = model.expression_names
    if not has_whole_head(model):
        shapes = dict(zip(names, model.expression_basis, strict=True))
        write_glb(path, head, shapes, weights, name, extras, jpeg_quality=jpeg_quality, animation=animation)
        return
    given = None if weights is None else dict(zip(names, np.asarray(weights, np.float64).tolist(), strict=True))
    write_assembly(
        path,
        whole_head(model, head),
        given,
        name,
        extras,
        jpeg_quality=jpeg_quality,
        animation=animation,
        animated=names,
    )


def write_head_obj(
    path: StrPath, model: FaceModel, head: Mesh, weights: np.ndarray | None = None, *, image: str | None = None
) -> None:
    """Write an OBJ file of a head with an expression, whole as :func:`write_head_glb` has it.

    Args:
        path: the file.
        model, head: as for :func:`write_head_glb`.
        weights: (E,) of the expression; None: at rest.
        image: the texture's file name (:func:`likeness.mesh.obj_writer.write_obj`).

    Raises:
        ValueError: another topology, or other weights.
        FileError: cannot be written.
    """
    given = np.zeros(len(model.expression_names)) if weights is None else np.asarray(weights, np.float64)
    if has_whole_head(model):
        posed = whole_head(model, head).posed(dict(zip(model.expression_names, given.tolist(), strict=True)))
        write_obj_assembly(path, posed, image=image)
        return
    moved = head.vertices + np.tensordot(given, model.expression_basis, 1)
    write_obj(path, head.with_vertices(moved.astype(head.vertices.dtype)), image=image)

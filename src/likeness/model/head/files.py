"""A person's whole head as files; a face model that knows no eyes and no mouth gives its surface alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from likeness.errors import StrPath
from likeness.files import write_atomically
from likeness.mesh import Mesh
from likeness.mesh.animation import Animation
from likeness.mesh.assembly import Assembly
from likeness.mesh.glb_assembly import assembly_bytes
from likeness.mesh.glb_writer import glb_bytes
from likeness.mesh.obj_assembly import assembly_obj_files
from likeness.mesh.obj_writer import obj_files
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
    """Write :func:`head_glb` to a file; same arguments.

    Raises:
        ValueError: another topology, weights, animation or extras of the wrong kind.
        FileError: cannot be written; nothing is left half-written.
    """
    write_atomically(
        path, head_glb(model, head, weights, name, extras, jpeg_quality=jpeg_quality, animation=animation)
    )


def head_glb(
    model: FaceModel,
    head: Mesh,
    weights: np.ndarray | None = None,
    name: str = "head",
    extras: Mapping[str, Any] | None = None,
    *,
    jpeg_quality: int | None = None,
    animation: Animation | None = None,
    normal_map: np.ndarray | None = None,
    whole: bool = True,
) -> bytes:
    """A GLB file of a head with the model's expressions as morph targets: the whole head with its joints
    (:func:`likeness.model.head.whole_head`), or one mesh where the model does not know enough for that.

    Args:
        model: the face model.
        head: the person at rest in its topology, mm, with colours or a texture.
        weights: (E,) default weights; None: zeros.
        name: of the first node.
        extras: anything JSON can hold; the first node's.
        jpeg_quality: 1..100: embed the texture as JPEG; None: as PNG.
        animation: of the model's E weights, and of the head's place.
        normal_map: (S, S, 3) uint8 of a head with a texture (:class:`likeness.mesh.assembly.Material`); None: none.
        whole: if not, one mesh of the model's own vertices.

    Raises:
        ValueError: another topology, weights, animation or extras of the wrong kind.
    """
    names = model.expression_names
    if not (whole and has_whole_head(model)):
        shapes = dict(zip(names, model.expression_basis, strict=True))
        return glb_bytes(
            head, shapes, weights, name, extras, jpeg_quality=jpeg_quality, animation=animation, normal_map=normal_map
        )
    given = None if weights is None else dict(zip(names, np.asarray(weights, np.float64).tolist(), strict=True))
    built = _with_relief(whole_head(model, head), normal_map)
    return assembly_bytes(built, given, name, extras, jpeg_quality=jpeg_quality, animation=animation, animated=names)


def head_obj_files(
    stem: str,
    model: FaceModel,
    head: Mesh,
    weights: np.ndarray | None = None,
    *,
    image: str | None = None,
    normal_map: np.ndarray | None = None,
    whole: bool = True,
) -> dict[str, bytes]:
    """An OBJ file of a head with an expression, whole as :func:`head_glb` has it, and what it names.

    Args:
        stem: of the files' names.
        model, head: as for :func:`head_glb`.
        weights: (E,) of the expression; None: at rest.
        image: the texture's file name (:func:`likeness.mesh.obj_writer.write_obj`).
        normal_map: as for :func:`head_glb`; becomes ``STEM-normal.png``.
        whole: if not, one mesh of the model's own vertices.

    Returns:
        names -> contents, the OBJ file last.

    Raises:
        ValueError: another topology, or other weights.
    """
    given = np.zeros(len(model.expression_names)) if weights is None else np.asarray(weights, np.float64)
    if whole and has_whole_head(model):
        built = _with_relief(whole_head(model, head), normal_map)
        posed = built.posed(dict(zip(model.expression_names, given.tolist(), strict=True)))
        return assembly_obj_files(stem, posed, image=image)
    moved = head.vertices + np.tensordot(given, model.expression_basis, 1)
    return obj_files(stem, head.with_vertices(moved.astype(head.vertices.dtype)), image=image, normal_map=normal_map)


def _with_relief(whole: Assembly, normal_map: np.ndarray | None) -> Assembly:
    """A whole head whose skin has a normal map."""
    if normal_map is None:
        return whole
    parts = tuple(
        replace(part, material=replace(part.material, normal_map=normal_map)) if part.name == "skin" else part
        for part in whole.parts
    )
    return replace(whole, parts=parts)

"""A head's GLB and OBJ files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from likeness.errors import printable
from likeness.mesh import Mesh
from likeness.mesh.obj_writer import JPEG_QUALITY
from likeness.model.face_model import Coefficients, FaceModel
from likeness.model.head import head_glb, head_obj_files

LARGEST_PNG = 512
"""Side up to which a texture is stored without loss."""


def rigged_files(
    file: str,
    model: FaceModel,
    face: Coefficients,
    name: str,
    extras: dict[str, Any],
    skin: np.ndarray | None = None,
    whole: bool = True,
    relief: np.ndarray | None = None,
) -> dict[str, bytes]:
    """A GLB file of a coloured head at rest with the model's expressions as blendshapes: its name -> its content.

    Args:
        file: its name, without suffix.
        model: of the coefficients.
        face: without batch dimensions; its expression weights are the file's default ones.
        name: of the node and the mesh.
        extras: what the file carries besides the model's name and the code.
        skin: (S, S, 3) uint8 texture; None: the model's colours at the vertices.
        whole: if not, one mesh of the model's own vertices.
        relief: (S, S, 3) uint8 normal map of a head with a texture; None: none.
    """
    carried = {"model": model.name, **extras, "identity": rounded(face.identity, 5)}
    mesh = replace(model.mesh(face.identity, albedo=face.albedo if skin is None else None), texture=skin)
    quality = JPEG_QUALITY if _as_jpeg(skin) else None
    data = head_glb(
        model,
        mesh,
        face.expression,
        printable(name),
        carried,
        jpeg_quality=quality,
        normal_map=relief,
        whole=whole,
    )
    return {f"{file}.glb": data}


def posed_files(
    file: str,
    model: FaceModel,
    rest: Mesh,
    expression: np.ndarray | None = None,
    whole: bool = True,
    relief: np.ndarray | None = None,
) -> dict[str, bytes]:
    """An OBJ file of a head at rest with an expression (E,), and what it names; its texture, if it has one, is called
    ``NAME-texture.jpg`` or ``.png``, its normal map ``NAME-normal.png``."""
    folder, _, stem = file.rpartition("/")
    image = f"{stem}-texture.{'jpg' if _as_jpeg(rest.texture) else 'png'}"
    found = head_obj_files(stem, model, rest, expression, image=image, normal_map=relief, whole=whole)
    return {f"{folder}/{one}".lstrip("/"): data for one, data in found.items()}


def _as_jpeg(skin: np.ndarray | None) -> bool:
    return skin is not None and len(skin) > LARGEST_PNG


def rounded(values: np.ndarray, digits: int) -> list[Any]:
    """Numbers as JSON takes them."""
    return np.round(np.asarray(values, np.float64), digits).tolist()

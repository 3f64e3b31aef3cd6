"""What a GLB file of this package carries besides geometry: whose head it is, its expression, its skin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.mesh.defects import Defects
from likeness.mesh.glb_document import Document
from likeness.mesh.glb_reader import MALFORMED
from likeness.mesh.glb_texture import color_image, decoded_image


@dataclass(frozen=True, eq=False)
class Carried:
    """Of a head of several meshes.

    Args:
        extras: its first node's: the face model's name, the identity code and more.
        weights: shape -> default weight, of the mesh with the texture.
        texture: (S, S, 3) uint8 sRGB.
    """

    extras: Mapping[str, Any]
    weights: Mapping[str, float]
    texture: np.ndarray


def read_carried(path: StrPath) -> Carried | None:
    """What :func:`likeness.mesh.glb_assembly.write_assembly` wrote besides geometry.

    Returns:
        None for any other file: one that another program has written or changed, that is one mesh, has no texture, or
        is damaged.

    Raises:
        FileError: it cannot be read.
    """
    data = read_bytes(path)
    try:
        return _carried(Document(path, data))
    except (FileError, *MALFORMED):
        return None


def _carried(document: Document) -> Carried | None:
    extras = document.item("nodes", 0).get("extras")
    meshes = document.json["meshes"]
    is_own = document.json["asset"].get("generator") == "likeness"
    if not is_own or not isinstance(extras, dict) or len(meshes) < 2:
        return None
    skin = meshes[0]
    material = document.item("materials", skin["primitives"][0]["material"])
    defects = Defects(document.path)
    image = color_image(document, defects, material)
    texture = None if image is None else decoded_image(document, defects, image)
    if texture is None:
        return None
    names = map(str, skin["extras"]["targetNames"])
    weights = dict(zip(names, map(float, skin["weights"]), strict=True))
    return Carried(extras, weights, texture)

"""How a glTF material uses its base-colour texture, and the image in it (glTF 2.0: 3.9; KHR_texture_transform)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import FileError
from likeness.images.texture import decode_texture
from likeness.mesh.defects import Defects
from likeness.mesh.glb_document import Document, whole

_WEBP, _TRANSFORM = "EXT_texture_webp", "KHR_texture_transform"


@dataclass(frozen=True, eq=False)
class TextureUse:
    """Which uv a primitive's base-colour texture takes, and how they are moved.

    Args:
        uv_set: N of TEXCOORD_N.
        matrix: (2, 3) of glTF's uv (origin top left).
    """

    uv_set: int
    matrix: np.ndarray

    @classmethod
    def of(cls, document: Document, item: dict[str, Any]) -> TextureUse:
        """That of a primitive; without a texture the first uv as they are.

        Raises:
            ValueError: a transform that is none.
        """
        material = document.item("materials", item["material"]) if "material" in item else {}
        reference = _base_color(material) or {}
        spec = reference.get("extensions", {}).get(_TRANSFORM, {})
        angle = float(spec.get("rotation", 0))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # v points down
        scale = np.array(spec.get("scale", (1, 1)), np.float64).reshape(2)
        offset = np.array(spec.get("offset", (0, 0)), np.float64).reshape(2, 1)
        return cls(whole(spec.get("texCoord", reference.get("texCoord", 0))), np.hstack([turn * scale, offset]))

    def transformed(self, uv: np.ndarray) -> np.ndarray:
        """The uv (N, 2) that the texture is looked up at."""
        return np.asarray(uv @ self.matrix[:, :2].T + self.matrix[:, 2])


def color_image(document: Document, defects: Defects, material: dict[str, Any]) -> int | None:
    """The number of a material's base-colour image; None without, or where that is noted."""
    try:
        return _image_of(document, material)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        defects.add(f"no texture ({type(error).__name__}: {str(error)[:80]})")
    return None


def decoded_image(document: Document, defects: Defects, image: int) -> np.ndarray | None:
    """An image (H, W, 3) of the file; None where it cannot be had, which is noted."""
    try:
        return decode_texture(document.path, _encoded(document, document.item("images", image)))
    except FileError as error:
        defects.without("texture", error)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        defects.add(f"no texture ({type(error).__name__}: {str(error)[:80]})")
    return None


def base_factor(defects: Defects, material: dict[str, Any]) -> np.ndarray:
    """(3,) linear base colour of a material, by which texture and vertex colours are multiplied."""
    try:
        factor = np.array(material.get("pbrMetallicRoughness", {}).get("baseColorFactor", (1, 1, 1, 1)), np.float64)
        if factor.shape == (4,) and np.isfinite(factor).all():
            return np.clip(factor[:3], 0, 1)
    except (ValueError, TypeError, OverflowError):
        pass
    defects.add("no base colour (expected four numbers)")
    return np.ones(3)


def _base_color(material: dict[str, Any]) -> dict[str, Any] | None:
    reference: dict[str, Any] | None = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
    return reference


def _image_of(document: Document, material: dict[str, Any]) -> int | None:
    """The number of a material's base-colour image; None without."""
    reference = _base_color(material)
    if reference is None:
        return None
    texture = document.item("textures", reference["index"])
    webp = texture.get("extensions", {}).get(_WEBP, {})
    source = webp.get("source", texture.get("source"))
    if source is None:
        raise ValueError(f"in a format of {', '.join(texture.get('extensions', {})) or 'none'}")
    return whole(source)


def _encoded(document: Document, image: dict[str, Any]) -> bytes:
    if "bufferView" in image:
        return bytes(document.blob(image["bufferView"]))
    kind, _, text = str(image["uri"]).partition(",")
    if not (kind.startswith("data:") and kind.endswith(";base64")):
        raise ValueError("it lies outside the file")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its base64 is damaged: {error}") from error

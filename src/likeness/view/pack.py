"""Heads as few bytes; ``web/src/head/pack.ts`` reads them.

``zlib( u32 length, JSON header of that length, arrays )``, little-endian. The header's references say where an array
lies: ``offset`` and ``bytes`` in the body, a multiple of 4 on, and ``type``. Vectors are int16 in steps of
:data:`STEP` mm or what spans them, axis by axis, low bytes before high ones: noise below the step and the many zeros
cost next to nothing then.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from likeness.errors import printable
from likeness.images.encode import jpeg_bytes
from likeness.mesh.seams import split_seams
from likeness.view.heads import FittedPhoto, Rig, Shapes, ViewedHead

VERSION = 1

STEP = 0.01
"""mm to which displacements are kept, a tenth of it for vertices where 16 bits span the head so."""

QUALITY = 88
"""JPEG's, of textures and photos."""

_LARGEST = 32767


def pack(heads: Sequence[ViewedHead]) -> bytes:
    """The bytes of heads; rigs that they share are in it once."""
    body = _Body()
    rigs: dict[int, int] = {}
    packed_rigs = []
    for head in heads:
        if id(head.rig) not in rigs:
            rigs[id(head.rig)] = len(rigs)
            packed_rigs.append(_rig(body, head.rig))
    header = {
        "version": VERSION,
        "rigs": packed_rigs,
        "heads": [_head(body, head, rigs[id(head.rig)]) for head in heads],
    }
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return zlib.compress(struct.pack("<I", len(text)) + text + bytes(body.data), 9)


class _Body:
    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        reference = {"offset": len(self.data), "bytes": len(data), "type": kind, **more}
        self.data += data + b"\0" * (-len(data) % 4)
        return reference

    def integers(self, values: np.ndarray) -> dict[str, Any]:
        return self.add(values.astype("<u4").tobytes(), "u32")

    def bytes_of(self, values: np.ndarray) -> dict[str, Any]:
        return self.add(values.astype(np.uint8).tobytes(), "u8")

    def vectors(self, values: np.ndarray, step: float) -> dict[str, Any]:
        """Vectors (S, V, 3)."""
        largest = float(np.abs(values).max(initial=0))
        step = max(step, largest / _LARGEST)
        whole = np.rint(values.astype(np.float64) / step).astype("<i2")
        planes = np.ascontiguousarray(np.moveaxis(whole, 2, 1)).view(np.uint8).reshape(-1, 2).T
        return self.add(planes.tobytes(), "planes", step=step)

    def picture(self, picture: np.ndarray) -> dict[str, Any]:
        return {"image": self.add(jpeg_bytes(picture, QUALITY), "u8"), "mime": "image/jpeg"}


def _rig(body: _Body, rig: Rig) -> dict[str, Any]:
    source, triangles, uv = split_seams(rig.mesh)
    if rig.covered is not None:  # first those with a texture: the page draws two pieces
        triangles = np.concatenate([triangles[rig.covered], triangles[~rig.covered]])
    return {
        "count": len(rig.mesh.vertices),
        "source": body.integers(source),
        "triangles": body.integers(triangles),
        "uv": None if uv is None else body.add(_uv_of_gltf(uv).tobytes(), "f32"),
        "covered": None if rig.covered is None else int(rig.covered.sum()),
        "face": None if rig.face is None else body.bytes_of(rig.face),
        "expressions": _shapes(body, rig.expressions),
        "directions": _shapes(body, rig.directions),
        "model": printable(rig.model),
    }


def _uv_of_gltf(uv: np.ndarray) -> np.ndarray:
    """Texture coordinates (N, 2) with their origin at the top left instead of the bottom left."""
    return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1).astype("<f4")


def _shapes(body: _Body, shapes: Shapes) -> dict[str, Any] | None:
    if not shapes.names:
        return None
    return {"names": [printable(name) for name in shapes.names], "values": body.vectors(shapes.deltas, STEP)}


def _head(body: _Body, head: ViewedHead, rig: int) -> dict[str, Any]:
    has_texture = head.texture is not None and head.rig.mesh.uv is not None
    is_covered = has_texture and head.rig.covered is None
    colors = None if head.colors is None or is_covered else np.rint(255 * np.clip(head.colors, 0, 1))
    return {
        "name": printable(head.name),
        "note": printable(head.note),
        "rig": rig,
        "positions": body.vectors(head.vertices[None], STEP / 10),
        "colors": None if colors is None else body.bytes_of(colors),
        "texture": body.picture(head.texture) if has_texture and head.texture is not None else None,
        "weights": [round(float(head.weights.get(name, 0.0)), 4) for name in head.rig.expressions.names],
        "photo": None if head.photo is None else _photo(body, head.photo),
    }


def _photo(body: _Body, photo: FittedPhoto) -> dict[str, Any]:
    width, height = photo.camera.size
    return {
        **body.picture(photo.photo),
        "width": width,
        "height": height,
        "focal": photo.camera.focal,
        "center": list(photo.camera.center),
        "rotation": np.asarray(photo.rotation, np.float64).ravel().tolist(),
        "translation": np.asarray(photo.translation, np.float64).tolist(),
    }

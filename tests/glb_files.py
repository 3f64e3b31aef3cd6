"""Small GLB files as other programs write them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

COMPONENTS = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


def packed(document: dict[str, Any], binary: bytes, filling: bytes = b" ") -> bytes:
    """The container around a document, filled up with a byte, and its binary chunk."""
    text = json.dumps(document).encode()
    text += filling * (4 - len(text) % 4)
    binary += bytes(-len(binary) % 4)
    parts = [text, struct.pack("<I4s", len(binary), b"BIN\0"), binary]
    total = 20 + sum(map(len, parts))
    return struct.pack("<4sIII4s", b"glTF", 2, total, len(text), b"JSON") + b"".join(parts)


class Scene:
    """A document that grows; every method gives the index of what it added."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = {"asset": {"version": "2.0"}}
        self.binary = b""

    def put(self, kind: str, **item: Any) -> int:
        self.json.setdefault(kind, []).append(item)
        return len(self.json[kind]) - 1

    def view(self, data: bytes, **more: Any) -> int:
        self.binary += bytes(-len(self.binary) % 4)
        start = len(self.binary)
        self.binary += data
        return self.put("bufferViews", buffer=0, byteOffset=start, byteLength=len(data), **more)

    def accessor(self, rows: Any, kind: str = "float32", view: bool = True, **more: Any) -> int:
        """Rows (N, W) or (N,); without ``view`` only the claim, as beside Draco's data."""
        values = np.asarray(rows, kind)
        values = values.reshape(len(values), -1)
        if view:
            more["bufferView"] = self.view(values.tobytes())
        return self.put(
            "accessors", componentType=COMPONENTS[kind], count=len(values), type=TYPES[values.shape[1]], **more
        )

    def material(self, image: bytes, mime: str = "image/png", webp: bool = False, **reference: Any) -> int:
        """A material with a base-colour texture."""
        source = self.put("images", bufferView=self.view(image), mimeType=mime)
        texture = {"extensions": {"EXT_texture_webp": {"source": source}}} if webp else {"source": source}
        used = {"index": self.put("textures", **texture), **reference}
        return self.put("materials", pbrMetallicRoughness={"baseColorTexture": used})

    def mesh(self, *primitives: dict[str, Any], **more: Any) -> int:
        return self.put("meshes", primitives=list(primitives), **more)

    def write(self, path: Path, **more: Any) -> Path:
        self.json["buffers"] = [{"byteLength": len(self.binary)}]
        path.write_bytes(packed({**self.json, **more}, self.binary))
        return path

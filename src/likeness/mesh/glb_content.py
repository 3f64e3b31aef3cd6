"""The binary chunk of a GLB file while it is written (glTF 2.0: 3.6 buffers and accessors, 4.4 the container)."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

VERTICES, INDICES = 34962, 34963
"""Targets of buffer views: ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER."""

COMPONENTS = {"float32": 5126, "uint32": 5125, "uint16": 5123, "uint8": 5121}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Content:
    """The binary chunk, and the accessors and buffer views that describe it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes at a multiple of 4; the index of their buffer view."""
        self.views.append({"buffer": 0, "byteOffset": self.size, "byteLength": len(data)})
        if target is not None:
            self.views[-1]["target"] = target
        padded = data + b"\0" * (-len(data) % 4)
        self.parts.append(padded)
        self.size += len(padded)
        return len(self.views) - 1

    def add(self, rows: np.ndarray, target: int | None, kind: type = np.float32, *, bounds: bool = False) -> int:
        """Append an array (N, 1..4 or 16) as ``kind``; the index of its accessor."""
        stored = np.ascontiguousarray(rows, dtype=np.dtype(kind).newbyteorder("<"))
        accessor: dict[str, Any] = {
            "bufferView": self.view(stored.tobytes(), target),
            "componentType": COMPONENTS[np.dtype(kind).name],
            "count": len(stored),
            "type": _TYPES[stored.shape[1]],
        }
        if bounds:
            accessor["min"], accessor["max"] = stored.min(axis=0).tolist(), stored.max(axis=0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_sparse(self, pieces: Sequence[tuple[int, np.ndarray, np.ndarray]], kind: type) -> None:
        """Fill in the accessors listed in ``pieces``: (accessor, moved vertices (M,), their displacements (M, 3) m).

        All share one buffer view of indices and one of values. Without a buffer view of its own a sparse accessor is
        zero wherever it says nothing.
        """
        if not pieces:
            return
        stored = np.dtype(kind).newbyteorder("<")
        indices = self.view(b"".join(moved.astype(stored).tobytes() for _, moved, _ in pieces))
        values = self.view(b"".join(delta.astype("<f4").tobytes() for _, _, delta in pieces))
        before = 0
        for accessor, moved, _ in pieces:
            self.accessors[accessor]["sparse"] = {
                "count": len(moved),
                "indices": {
                    "bufferView": indices,
                    "byteOffset": before * stored.itemsize,
                    "componentType": COMPONENTS[np.dtype(kind).name],
                },
                "values": {"bufferView": values, "byteOffset": before * 12},
            }
            before += len(moved)

    def container(self, document: dict[str, Any]) -> bytes:
        """The GLB file: header, JSON chunk padded with spaces, binary chunk."""
        whole = {
            **document,
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": self.size}],
        }
        try:
            text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected extras and a name that JSON can hold, got others ({error})") from error
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self.size
        if total >= 2**32:
            raise ValueError(f"expected a mesh that fits into GLB's 4 GiB, got {total} bytes")
        head = struct.pack("<4sIII4s", b"glTF", 2, total, len(text), b"JSON")
        return b"".join([head, text, struct.pack("<I4s", self.size, b"BIN\0"), *self.parts])

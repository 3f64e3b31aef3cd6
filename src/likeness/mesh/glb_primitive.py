"""One primitive of a glTF mesh: its vertices and triangles in the mesh's own axes (glTF 2.0: 3.7.2)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from likeness.mesh.glb_document import Document
from likeness.mesh.glb_texture import TextureUse
from likeness.mesh.polygons import cut_strip

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_MAX_TARGETS, _MAX_MORPH_BYTES = 4096, 1 << 30  # a small file can claim any number of empty targets


def is_surface(item: dict[str, Any]) -> bool:
    """Whether a primitive is made of triangles (not of points or lines)."""
    return item.get("mode", _TRIANGLES) in (_TRIANGLES, _STRIP, _FAN)


def check_target_count(targets: int, vertices: int) -> None:
    """ValueError for more morph targets than any head has."""
    if targets > _MAX_TARGETS or targets * vertices * 12 > _MAX_MORPH_BYTES:
        raise ValueError(f"{targets} morph targets of {vertices} vertices are too many")


class Primitive:
    """The vertices of one primitive, or of several that share them.

    Args:
        document: the file.
        item: one of the primitives.
        n_targets: how many morph targets the mesh has.

    Attributes:
        positions: (N, 3) float64 metres.
        uv: (N, 2) origin bottom left, as the base-colour texture uses them; None without.
        colors: (N, 3) linear RGB; None without.
        targets: morph targets' displacements (N, 3); None: at rest everywhere.
    """

    def __init__(self, document: Document, item: dict[str, Any], n_targets: int) -> None:
        attributes = item["attributes"]
        self._draco = document.draco(item)
        self.positions = self._attribute(document, attributes, "POSITION", (3,)).astype(np.float64)
        count = len(self.positions)
        use = TextureUse.of(document, item)
        name = f"TEXCOORD_{use.uv_set}"
        self.uv: np.ndarray | None = None
        if name in attributes:
            moved = use.transformed(self._attribute(document, attributes, name, (2,), count))
            self.uv = moved * [1.0, -1.0] + [0.0, 1.0]
        self.colors: np.ndarray | None = None
        if "COLOR_0" in attributes:
            self.colors = self._attribute(document, attributes, "COLOR_0", (3, 4), count)[:, :3].astype(np.float64)
        self._influences = [
            tuple(self._attribute(document, attributes, f"{kind}_{i}", (4,), count) for kind in ("JOINTS", "WEIGHTS"))
            for i in (0, 1)
            if f"JOINTS_{i}" in attributes and f"WEIGHTS_{i}" in attributes
        ]
        targets = item.get("targets", [])
        check_target_count(len(targets), count)
        if len(targets) != n_targets:
            raise ValueError(f"expected primitives of equally many morph targets, got {n_targets} and {len(targets)}")
        self.targets = [
            document.accessor(target["POSITION"], (3,), count).astype(np.float64) if "POSITION" in target else None
            for target in targets
        ]

    @staticmethod
    def key(document: Document, item: dict[str, Any]) -> str:
        """The same for primitives that share all that this class holds."""
        use = TextureUse.of(document, item)
        parts = [item["attributes"], item.get("targets"), item.get("extensions"), use.uv_set, use.matrix.tolist()]
        return json.dumps(parts, sort_keys=True)

    def _attribute(
        self,
        document: Document,
        attributes: dict[str, Any],
        name: str,
        widths: tuple[int, ...],
        count: int | None = None,
    ) -> np.ndarray:
        if self._draco is None:
            return document.accessor(attributes[name], widths, count)
        values = document.numbers(attributes[name], self._draco.attribute(name))
        if values.shape[1] not in widths or (count is not None and len(values) != count):
            raise ValueError(f"expected {name} of {count} vertices in Draco's data, got {values.shape}")
        return values

    def triangles(self, document: Document, item: dict[str, Any]) -> np.ndarray:
        """(F, 3) of one of the primitives that share these vertices; strips and fans cut up (3.7.2.1)."""
        if self._draco is not None:
            corners = self._draco.corners
        elif "indices" in item:
            corners = document.accessor(item["indices"], (1,)).ravel().astype(np.int64)
        else:
            corners = np.arange(len(self.positions))
        mode = item.get("mode", _TRIANGLES)
        if mode == _TRIANGLES or self._draco is not None:
            if len(corners) % 3:
                raise ValueError(f"expected triangles of 3 corners each, got {len(corners)} corners")
            triangles = corners.reshape(-1, 3)
        else:
            triangles = cut_strip(corners) if mode == _STRIP else _of_fan(corners)
        if triangles.size and not (triangles.min() >= 0 and triangles.max() < len(self.positions)):
            raise ValueError(f"expected triangles of vertices 0..{len(self.positions) - 1}, got others")
        return triangles

    def skin_matrices(self, joints: np.ndarray | None) -> np.ndarray | None:
        """(N, 4, 4) linear blends of joints' matrices (J, 4, 4); None without a skin."""
        if joints is None or not self._influences:
            return None
        blended = np.zeros((len(self.positions), 16))
        total = np.zeros((len(self.positions), 1))
        flat = joints.reshape(len(joints), 16)
        for which, weights in self._influences:
            for k in range(4):
                weight = weights[:, k : k + 1].astype(np.float64)
                blended += weight * flat[which[:, k].astype(np.int64)]
                total += weight
        if not (total > 0).all():
            raise ValueError("expected weights of joints above 0 for every vertex")
        return (blended / total).reshape(-1, 4, 4)


def _of_fan(corners: np.ndarray) -> np.ndarray:
    """Triangles around the first corner."""
    if len(corners) < 3:
        return np.zeros((0, 3), np.int64)
    return np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], axis=1)

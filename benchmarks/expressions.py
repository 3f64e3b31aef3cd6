"""Draws a head with each of the 52 shapes at weight 1, and mouthClose with jawOpen, which it corrects.

Usage: python benchmarks/expressions.py docs/pictures/expressions.jpg [SEED]
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from likeness import FaceModel
from likeness.assets import asset
from likeness.images.color import linear_from_srgb
from likeness.images.encode import jpeg_bytes
from likeness.mesh.assembly import Assembly, vertex_colors
from likeness.model.head import whole_head
from likeness.render.head_view import head_view

SIDE, COLUMNS, SHOWN_MM = 150, 9, 190.0
MIDDLE = np.array([0.0, -32.0, 0.0])
EXTRA = ({"tongueOut": 1.0, "jawOpen": 0.5},)


def drawn(head: Assembly, weights: dict[str, float], label: str) -> np.ndarray:
    """One picture (SIDE, SIDE, 3) with its name below."""
    mesh = head.posed(weights).joined()
    colors = linear_from_srgb(vertex_colors(mesh)).astype(np.float32)
    yaw = 0.6 if "tongueOut" in weights or label.startswith("jawForward") else 0.0
    picture = head_view(mesh.vertices, mesh.triangles, MIDDLE, SHOWN_MM, SIDE, yaw=yaw, albedo=colors)
    return cv2.putText(
        np.ascontiguousarray(picture), label, (3, SIDE - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.34, (0, 0, 0), 1, cv2.LINE_AA
    )


def main(path: str, seed: int = 2) -> None:
    """Write the picture."""
    model = FaceModel.load(asset("face_model.npz"))
    code = model.space.sample(1, np.random.default_rng(seed))[0]
    head = whole_head(model, model.mesh(code, albedo=np.zeros(len(model.albedo_names))))
    cases: list[tuple[str, dict[str, float]]] = [("at rest", {})]
    corrected = {"mouthClose": {"mouthClose": 1.0, "jawOpen": 1.0}}
    cases += [(name, corrected.get(name, {name: 1.0})) for name in model.expression_names]
    cases += [(" + ".join(weights), dict(weights)) for weights in EXTRA]
    tiles = [drawn(head, weights, label) for label, weights in cases]
    tiles += [np.full((SIDE, SIDE, 3), 255, np.uint8)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    Path(path).write_bytes(jpeg_bytes(np.vstack(rows), 88))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))

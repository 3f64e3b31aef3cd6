"""How fast the rasteriser is on one core, and how far from what the work must cost.

    python benchmarks/raster.py [--json FILE] [--runs 300]

The scene: a closed, head-sized ellipsoid of 4,526 vertices and 9,048 triangles that fills 60 % of a square image.
A frame is everything from vertices and pose to triangle, barycentrics and depth of every pixel.

The floor, what compiled code would have to spend, estimated before anything was written:

- Bytes. Every pixel's 8-byte key is cleared, and read once; its 20 bytes of results are cleared, and written again
  where something is seen; every fragment writes a key. Vertices are 12 bytes in and 12 out, triangles 12 and three
  corners of 12. Bandwidth is what filling arrays of the same sizes achieves here.
- Operations, counted in the formulas: 25 per vertex (9 multiply-adds, a division, 2 roundings), 25 per triangle to
  fetch and cull it, 60 more to set up the edges of one that faces the camera, 5 per pixel of its bounding box
  (three additions, a test, the loop), 15 per fragment (three conversions, three multiply-adds, the key, the maximum),
  and 25 per pixel seen to turn its key into results. A core of today issues four in a cycle, 10 in a nanosecond.

At 224 pixels that is 2.1 million operations and 3.2 MB: 0.21 + 0.08 ms. NumPy is ten to fifteen times over it, since
each operation is a pass over an array: half a nanosecond or more for every fragment, where compiled code has many in
one. docs/rasteriser.md weighs that against compilers and against what users wait for. For comparison, the field's
tuned C++ rasteriser, Sim3DR, takes 2.3 ms for 3,448 vertices at 224 pixels.

What users wait for is measured too: the first picture of a fresh process, the preview of a reconstruction (four
pictures of 320 pixels) and a training face (160 pixels, 2 × 2 samples), all of the embedded model.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from likeness.assets import asset
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL
from likeness.model.face_model import Coefficients, FaceModel
from likeness.reconstruct.result import Reconstruction
from likeness.render import render_image
from likeness.render.lighting import studio_light
from likeness.render.raster import Rasterizer, interpolate, rasterize_view
from likeness.train.generate.rendered import SyntheticFaces

SIZES = (112, 224, 512)
OPERATIONS_PER_NS = 10.0
DISTANCE = np.array([0.0, 0.0, 934.0])

COLD = """
import time; t = [time.perf_counter()]
import numpy; t.append(time.perf_counter())
from likeness.render import render_image; t.append(time.perf_counter())
from likeness.assets import asset
from likeness.geometry.rotation import FRONTAL
from likeness.geometry.camera import Camera
from likeness.model.face_model import FaceModel
model = FaceModel.load(asset("face_model.npz"))
view = (model.mean, model.topology.triangles, None, Camera.from_crop_size(224), FRONTAL, numpy.array([0, 0, 934.0]))
t.append(time.perf_counter())
render_image(*view); t.append(time.perf_counter())
render_image(*view); t.append(time.perf_counter())
print(*(b - a for a, b in zip(t, t[1:])))
"""


def head(rings: int = 58, around: int = 78) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid of a head's size: vertices (V, 3) mm float32, triangles (F, 3) int32."""
    theta = np.linspace(0, np.pi, rings + 2)[1:-1, None]
    phi = np.linspace(0, 2 * np.pi, around, endpoint=False)
    parts = np.broadcast_arrays(np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi))
    unit = np.concatenate([np.stack(parts, -1).reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]])
    a = np.arange(rings * around).reshape(rings, around)
    b = np.roll(a, -1, axis=1)
    top, bottom = np.full(around, rings * around), np.full(around, rings * around + 1)
    triangles = np.concatenate(
        [
            np.stack([a[:-1], a[1:], b[1:]], -1).reshape(-1, 3),
            np.stack([a[:-1], b[1:], b[:-1]], -1).reshape(-1, 3),
            np.stack([top, a[0], b[0]], -1),
            np.stack([bottom, b[-1], a[-1]], -1),
        ]
    )
    return (unit * [75.0, 110.0, 95.0]).astype(np.float32), triangles.astype(np.int32)


def timed(function: Callable[[], Any], runs: int) -> dict[str, float]:
    """Milliseconds of many calls: median, 95th percentile and smallest."""
    for _ in range(5):
        function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return {
        "median_ms": statistics.median(times),
        "p95_ms": float(np.percentile(times, 95)),
        "min_ms": min(times),
    }


def floor(vertices: np.ndarray, triangles: np.ndarray, camera: Camera, seen: int, runs: int) -> dict[str, float]:
    """The estimate above for this scene, milliseconds and what it is made of."""
    corners = camera.project(vertices @ FRONTAL.T + DISTANCE)[triangles]
    u, w = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    facing = corners[u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0] < 0]
    sides = np.maximum(np.floor(facing.max(axis=1)) - np.ceil(facing.min(axis=1)) + 1, 0)
    boxes = float(sides.prod(axis=1).sum())
    pixels = camera.size[0] * camera.size[1]
    operations = 25 * len(vertices) + 25 * len(triangles) + 60 * len(facing) + 5 * boxes + (15 + 25) * seen
    moved = 36 * pixels + 28 * seen + 24 * len(vertices) + 48 * len(triangles)
    keys, results = np.zeros(pixels, np.int64), np.zeros((pixels, 5), np.float32)

    def clear() -> None:
        keys.fill(0)
        results.fill(0)

    fill = timed(clear, runs)["min_ms"]
    memory = fill * moved / (keys.nbytes + results.nbytes)
    return {
        "floor_ms": operations / OPERATIONS_PER_NS / 1e6 + memory,
        "operations": operations,
        "bytes": moved,
        "box_pixels": boxes,
    }


def measure(size: int, runs: int) -> dict[str, Any]:
    vertices, triangles = head()
    camera = Camera.from_crop_size(size)
    pose = (camera, FRONTAL, DISTANCE)
    rasterizer = Rasterizer(triangles, len(vertices), camera.size)
    fragments = rasterizer(vertices, *pose)
    seen = int((fragments.triangle >= 0).sum())
    colors = np.random.default_rng(0).random((len(vertices), 3), np.float32)
    row: dict[str, Any] = {"size": size, "vertices": len(vertices), "triangles": len(triangles)}
    row |= {"filled": seen / size**2, **timed(lambda: rasterizer(vertices, *pose), runs)}
    row |= floor(vertices, triangles, camera, seen, runs)
    row["times_floor"] = row["median_ms"] / row["floor_ms"]
    few = max(10, runs // 10)
    row["once_ms"] = timed(lambda: rasterize_view(vertices, triangles, *pose), few)["median_ms"]
    row["interpolate_ms"] = timed(lambda: interpolate(fragments, colors), few)["median_ms"]
    row["render_image_ms"] = timed(lambda: render_image(vertices, triangles, colors, *pose), few)["median_ms"]
    return row


def cold_start(runs: int = 5) -> dict[str, float]:
    """Seconds, medians over fresh processes."""
    done = [
        subprocess.run([sys.executable, "-c", COLD], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(runs)
    ]
    numpy, renderer, _, first, second = (statistics.median(map(float, column)) for column in zip(*done, strict=True))
    return {
        "import_numpy_s": numpy,
        "import_renderer_s": renderer,
        "first_render_image_s": first,
        "second_render_image_s": second,
    }


def jobs(runs: int) -> dict[str, float]:
    """What users wait for, of the embedded model: the preview of a reconstruction and a training face, ms."""
    model = FaceModel.load(asset("face_model.npz"))
    camera = Camera(1440.0, image_center((800, 800)), (800, 800))
    bases = model.identity_basis, model.expression_basis, model.albedo_basis
    identity, expression, albedo = (np.zeros(len(basis), np.float32) for basis in bases)
    mean = Coefficients(identity, expression, albedo, studio_light())
    photo = np.full((800, 800, 3), 120, np.uint8)
    face = Reconstruction(
        model, mean, camera, FRONTAL, DISTANCE, np.zeros((68, 2)), np.zeros(4), score=1.0, photo=photo
    )
    faces, seeds = SyntheticFaces(model), itertools.count()
    return {
        "preview_ms": timed(face.overview, runs)["median_ms"],
        "training_face_ms": timed(lambda: faces(next(seeds)), runs)["median_ms"],
    }


def table(rows: list[dict[str, Any]], others: dict[str, float]) -> str:
    first = rows[0]
    lines = [
        f"{first['vertices']:,} vertices, {first['triangles']:,} triangles, one CPU thread",
        "",
        "| image | filled | median ms | p95 ms | min ms | floor ms | × floor | once ms | interpolate ms | "
        "render_image ms |",
        "|" + "---|" * 10,
    ]
    for row in rows:
        lines.append(
            f"| {row['size']} px | {row['filled']:.0%} | {row['median_ms']:.2f} | {row['p95_ms']:.2f} | "
            f"{row['min_ms']:.2f} | {row['floor_ms']:.2f} | {row['times_floor']:.1f} | "
            f"{row['once_ms']:.2f} | {row['interpolate_ms']:.2f} | {row['render_image_ms']:.1f} |"
        )
    lines += [
        "",
        "once: with checking the triangles; interpolate: 3 channels; render_image: 2 × 2 samples per pixel",
        "",
    ]
    lines += [f"{name}: {value:.3f}" for name, value in others.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--runs", type=int, default=300, help="frames per figure")
    arguments = parser.parse_args()
    rows = [measure(size, arguments.runs) for size in SIZES]
    cold, done = cold_start(), jobs(max(10, arguments.runs // 10))
    print(table(rows, cold | done))
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"threads": 1, "rows": rows, "cold_start": cold, "jobs": done}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()

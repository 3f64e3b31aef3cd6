"""How faithful the heads are beside how recognisable: one table for a network, the mean face and MediaPipe.

    python benchmarks/fidelity.py DATA [--network FILE --model FILE] [--only a,b,c,d,e,f,g] [--work DIR] [--json FILE]
        [--points mediapipe] [--map MAP.npz]

Parts, see docs/fidelity.md for what each measures: (a) hand-placed points of ``portraits``; (b) rendered people, a
fixed set made once in ``--work`` from the embedded face model, whatever network is measured; (c) the two real scans,
photographed; (d) landmarks of other clips of the same people (``photos/video-val.tar``); (e) landmark error and
blinks there; (f) recognisability there and on ``photos/photo-val.tar``; (g) the judge
(``teachers/dlib-resnet.onnx``).

MediaPipe's points are measured beside them where ``teachers/mediapipe`` is there and ai-edge-litert is installed; its
neutral head from the front is its mesh turned onto its canonical face.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from likeness.assets import asset
from likeness.datasets.hand_placed import IBUG_POINTS, PROPORTIONS, read_portraits
from likeness.datasets.test_sets import open_photos
from likeness.evaluate.cache import Cache
from likeness.evaluate.fidelity.portraits import lip_gap
from likeness.evaluate.fidelity.scans import ScanSource
from likeness.evaluate.predictions import open_predictor
from likeness.evaluate.reports.fidelity import PARTS, FidelityData, fidelity_table, mean_face_column, measure_fidelity
from likeness.images.photo import load_photo
from likeness.metrics.fidelity_expression import blink_correlation
from likeness.metrics.fidelity_points import hand_placed_fidelity
from likeness.metrics.procrustes import align
from likeness.model.face_model import FaceModel
from likeness.reconstruct.reconstructor import MIN_SCORE
from likeness.reconstruct.teacher_fit import MEDIAPIPE

MEDIAPIPE_IBUG = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""MediaPipe's points for the 68 iBUG ones, in their order."""

LPS_MILLIMETRES, RAW_SCAN_MILLIMETRES = 58.0, 1000.0
"""Per unit of the two scans."""


def data_of(folder: Path, work: Path, only: list[str], people: int) -> FidelityData:
    """What a data folder has of the parts that are wanted; people are rendered where they are not there yet."""
    rendered = work / f"people-{people}"
    if "b" in only:
        from likeness.train.generate.rendered_people import render_people

        render_people(FaceModel.load(asset("face_model.npz")), rendered, people)
    raw = folder / "scan" / "raw-scan.ply"
    scans = (
        ScanSource(folder / "scans" / "lps.obj", None, LPS_MILLIMETRES),
        ScanSource(raw, raw.with_name("raw-scan-landmarks51.txt"), RAW_SCAN_MILLIMETRES),
    )
    return FidelityData(
        portraits=folder / "portraits",
        rendered=rendered,
        scans=scans,
        frames=folder / "photos" / "video-val.tar",
        photos=folder / "photos" / "photo-val.tar",
        judge=folder / "teachers" / "dlib-resnet.onnx",
    )


def open_mediapipe(folder: Path) -> Any:
    """The reader that lies beside MediaPipe's networks; None where these or their runtime are missing."""
    path = folder / "teachers" / "mediapipe" / "reader.py"
    if not path.is_file() or importlib.util.find_spec("ai_edge_litert") is None:
        return None
    spec = importlib.util.spec_from_file_location("mediapipe_reader", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mediapipe_points(
    mesh: Any, image: np.ndarray, box: np.ndarray, eyes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """478 points (478, 3) pixels and the 52 weights of the face with this box (x0 y0 x1 y1) and eyes (2, 2)."""
    points, _ = mesh(image, eyes, (*box[:2], *(box[2:] - box[:2])))
    return points, mesh.weights(points)


def measure_mediapipe(folder: Path, only: list[str]) -> dict[str, Any]:
    """What parts a and e say of MediaPipe's points and weights, as :func:`measure_fidelity` gives it."""
    reader = open_mediapipe(folder)
    if reader is None:
        return {}
    mesh = reader.Mesh(f"{folder / 'teachers' / 'mediapipe'}/")
    found: dict[str, Any] = {}
    if "a" in only:
        found["portraits"] = mediapipe_portraits(folder, mesh)
    if "e" in only:
        items = open_photos(folder / "photos" / "video-val.tar").items
        truth = np.stack([item.landmarks for item in items if item.landmarks is not None])
        weights = []
        for item, points in zip(items, truth, strict=True):
            eyes = np.stack([points[36:42].mean(0), points[42:48].mean(0)])
            box = np.concatenate([points.min(0), points.max(0)])
            weights.append(mediapipe_points(mesh, item.image(), box, eyes)[1])
        blinks = [reader.NAMES.index(name) for name in ("eyeBlinkRight", "eyeBlinkLeft")]
        found["landmarks"] = {"blink_correlation": blink_correlation(np.stack(weights)[:, blinks], truth)}
    return found


def mediapipe_portraits(folder: Path, mesh: Any) -> dict[str, Any]:
    """Part a: the points found, and the mesh turned onto the canonical face, from the front."""
    portraits = read_portraits(folder / "portraits")
    points, weights = [], []
    eyes = [IBUG_POINTS.index(number) for number in (36, 39, 42, 45)]
    for photo, placed, box in zip(portraits.photos, portraits.points, portraits.boxes, strict=True):
        corners = placed[eyes].reshape(2, 2, 2).mean(1)
        one, other = mediapipe_points(mesh, load_photo(photo).image, box, corners)
        points.append(one)
        weights.append(other[1:])  # the first is `_neutral`
    columns = [MEDIAPIPE_IBUG[number] for number in IBUG_POINTS]
    canonical = np.load(folder / "teachers" / "mediapipe" / "canonical-mesh.npz")["V"]
    camera_axes = np.stack(points)[:, : len(canonical)] * [1.0, -1.0, -1.0]  # to y up and z out of the face
    front = align(camera_axes, scale=True, reference=canonical).vertices[:, columns, :2] * [1.0, -1.0]
    seen = np.stack(points)[:, columns, :2]
    compare = partial(hand_placed_fidelity, true=portraits.points, sizes=portraits.sizes, proportions=PROPORTIONS)
    return {
        "found": compare(seen).to_dict(),
        "front": compare(front, in_photo=False).to_dict(),
        "lip_gap_percent": 100 * float(lip_gap(seen).mean()),
        "weight_sum": float(np.sum(weights, axis=1).mean()),
    }


def main() -> None:
    from rich.console import Console

    from likeness.cli.terminal import rich_table

    parser = argparse.ArgumentParser(description="Fidelity beside recognisability.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by commas")
    parser.add_argument("--people", type=int, default=300, help="rendered people")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "likeness-fidelity")
    parser.add_argument("--bootstrap", type=int, default=0, help="replicates for the AUC's intervals")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--points", choices=[MEDIAPIPE], help="also the program with MediaPipe's points")
    parser.add_argument("--map", type=Path, help="another map of the network's points (.npz)")
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="of faces that are looked at, 0 to 1")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    files = (arguments.model, arguments.network)
    threads, least = arguments.threads, arguments.min_score
    predictor = open_predictor(*files, threads=threads, points=arguments.map, min_score=least)
    data = data_of(arguments.data, arguments.work, only, arguments.people)
    cache = Cache(arguments.work / "cache")
    found = measure_fidelity(data, predictor, only, cache, bootstrap=arguments.bootstrap)
    columns = {"network": found, "mean face": mean_face_column(found)}
    if arguments.points is not None:
        folder = arguments.data / "teachers" / "mediapipe"
        other = open_predictor(*files, threads=threads, points=arguments.points, mediapipe=folder, min_score=least)
        columns["network, MediaPipe's points"] = measure_fidelity(
            data, other, only, cache, bootstrap=arguments.bootstrap
        )
    reference = measure_mediapipe(arguments.data, only)
    if reference:
        columns["MediaPipe"] = reference
    table = fidelity_table(columns)
    console = Console(width=140)
    console.print(rich_table(table))
    console.print(table.note)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(columns, indent=1) + "\n")


if __name__ == "__main__":
    main()

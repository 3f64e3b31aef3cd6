"""Recognisability and verification of the embedded default on people that it was not trained on.

    python benchmarks/evaluate.py DATA [--model FILE --network FILE] [--json FILE] [--report DIR] [--cache DIR]

Three sets: ``photos/video-val.tar`` (genuine pairs across clips only), ``photos/photo-val.tar``, and ``portraits``
(identity across a neutral and a smiling photo). For each, codes and shapes are measured on the same faces, and so is
a face-recognition network (``teacher-mobilefacenet.onnx``) as the upper reference. It needs five points, and gets the
annotated ones where there are any, else those that we found: eye centres, nose tip, corners of the mouth.

The gap is AUC by code minus AUC by geometry. Accuracy is that of made pairs (of one person and of two as many), by
ten-fold cross-validation of the threshold.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from likeness.cli.terminal import rich_table
from likeness.datasets.test_sets import PhotoItem, PhotoSet, open_photos
from likeness.evaluate.cache import Cache
from likeness.evaluate.collection import Collection, from_predictions
from likeness.evaluate.html import report
from likeness.evaluate.pair_examples import made_pairs
from likeness.evaluate.pair_rows import rows_by_name
from likeness.evaluate.predictions import Predictor, open_predictor, predict
from likeness.evaluate.reports.recognisability import measure_recognisability, recognisability_outcome
from likeness.evaluate.reports.verification import measure_verification
from likeness.evaluate.tables import Table, estimate, number, percent
from likeness.images.encode import png_bytes
from likeness.metrics.procrustes import align
from likeness.metrics.recognisability import recognisability_of_codes
from likeness.metrics.records import Samples
from likeness.metrics.verification import verify
from likeness.networks.recogniser import Teacher

PAIRS = 3000


def portraits(folder: Path) -> PhotoSet:
    """PERSON-neutral.jpg and PERSON-smile.jpg."""
    items = []
    for path in sorted(folder.glob("*-*.jpg")):
        person, _, kind = path.stem.partition("-")
        items.append(PhotoItem(f"{person}/{kind}", person, None, partial(Path.read_bytes, path), path))
    if not items:
        raise SystemExit(f"{folder}: expected PERSON-neutral.jpg and PERSON-smile.jpg, found none")
    return PhotoSet(tuple(items))


def embeddings(collection: Collection, teacher: Teacher) -> np.ndarray:
    """(N, 128) of a collection's photos."""
    codes = []
    for item, face in zip(collection.items or (), collection.faces or (), strict=True):
        landmarks = face.landmarks if item.landmarks is None else item.landmarks
        codes.append(teacher(teacher.aligned(item.image(), landmarks)[None])[0])
    return np.stack(codes)


def measure(collection: Collection, teacher: Teacher | None, bootstrap: int, seed: int) -> dict[str, Any]:
    """Domain -> recognisability, verification of made pairs, and the gaps; one of the domains is the teacher."""
    measured, gaps = measure_recognisability(collection, bootstrap=bootstrap, seed=seed)
    pairs = made_pairs(collection, PAIRS, seed)
    verified = measure_verification(collection, pairs, rows_by_name(pairs, collection))
    if teacher is not None:
        codes = embeddings(collection, teacher)
        samples = Samples(codes, collection.labels, collection.groups)
        found = recognisability_of_codes(samples, measure="cosine", bootstrap=bootstrap, seed=seed)
        measured = {"teacher, cosine": found, **measured}
        verified["teacher, cosine"] = verify(pairs, dict(zip(collection.names, codes, strict=True)))
    name, shapes = "geometry, size removed", scaled_shapes(collection)
    samples = Samples(shapes, collection.labels, collection.groups)
    measured[name] = recognisability_of_codes(samples, measure="euclidean", bootstrap=bootstrap, seed=seed)
    verified[name] = verify(pairs, dict(zip(collection.names, shapes, strict=True)), measure="euclidean")
    return {
        "input": collection.summary(),
        "domains": {name: found.to_dict() for name, found in measured.items()},
        "verification": {name: found.to_dict() for name, found in verified.items()},
        "gap": {name: gap.to_dict() for name, gap in gaps.items()},
        "excluded": [one.to_dict() for one in collection.excluded],
    }


def scaled_shapes(collection: Collection) -> np.ndarray:
    """(N, 3 F) the faces of neutral heads, turned onto their mean and brought to one size, over √F: distances are RMS
    in mm. How large a head is no photograph tells, so what is recognised by size is not in the picture."""
    assert collection.model is not None
    vertices = collection.vertices(np.arange(len(collection.names)))[:, collection.model.topology.regions["face"]]
    shapes = align(vertices, scale=True).vertices
    return np.asarray(shapes.reshape(len(shapes), -1) / np.sqrt(shapes.shape[1]))


def table_of(results: dict[str, dict[str, Any]]) -> Table:
    """The table of all sets."""
    columns = ("set, domain", "AUC", "EER", "d′", "rank-1", "SIR", "TAR at 0.1", "TAR at 0.01", "accuracy", "gap")
    rows = []
    for name, found in results.items():
        people, faces = found["input"]["people"], found["input"]["used"]
        rows.append((f"{name}: {people} people, {faces} faces", *[""] * (len(columns) - 1)))
        for domain, values in found["domains"].items():
            verified = found["verification"][domain]
            rows.append(
                (
                    f"  {domain}",
                    *(estimate(values[key]) for key in ("auc", "eer")),
                    estimate(values["d_prime"], 2),
                    *(number(values[key]["value"]) for key in ("rank1", "sir")),
                    *(number(values["true_accept"][rate]["value"]) for rate in ("0.1", "0.01")),
                    f"{percent(verified['accuracy'])} ± {100 * verified['standard_error']:.1f}",
                    estimate(found["gap"][domain]) if domain in found["gap"] else "",
                )
            )
    return Table("People that the network has not seen", columns, tuple(rows), "[95 % interval over people].")


def write_report(collection: Collection, name: str, folder: Path, bootstrap: int, seed: int) -> None:
    """DIR/SET/report.html and panel.png."""
    outcome = recognisability_outcome(collection, bootstrap=bootstrap, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_bytes(report(f"{name}: recognisability", collection.summary(), outcome))
    if outcome.panel is not None:
        (folder / "panel.png").write_bytes(png_bytes(outcome.panel))


def collect(photos: PhotoSet, predictor: Predictor, cache: Cache | None) -> Collection:
    """The faces of a set."""
    predictions = predict(photos.items, predictor, cache)
    return from_predictions(predictions, predictor.model, photos.excluded)


def main() -> None:
    from rich.console import Console

    parser = argparse.ArgumentParser(description="Recognisability on people that the network has not seen.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--teacher", type=Path, help="default: DATA/teacher-mobilefacenet.onnx; left out if missing")
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="folder for reconstructions, so that a killed run goes on")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    path = arguments.teacher or arguments.data / "teacher-mobilefacenet.onnx"
    teacher = Teacher.load(path, arguments.threads) if path.is_file() else None
    predictor = open_predictor(arguments.model, arguments.network, threads=arguments.threads)
    cache = None if arguments.cache is None else Cache(arguments.cache)
    sets = {
        "video-val": open_photos(arguments.data / "photos" / "video-val.tar"),
        "photo-val": open_photos(arguments.data / "photos" / "photo-val.tar"),
        "portraits": portraits(arguments.data / "portraits"),
    }
    results = {}
    for name, photos in sets.items():
        collection = collect(photos, predictor, cache)
        results[name] = measure(collection, teacher, arguments.bootstrap, arguments.seed)
        if arguments.report is not None:
            write_report(collection, name, arguments.report / name, arguments.bootstrap, arguments.seed)
    table = table_of(results)
    Console(width=200).print(rich_table(table))
    print(table.note)
    for name, found in results.items():
        lost = ", ".join(f"{one['item']} ({one['reason']})" for one in found["excluded"][:8])
        print(f"{name}: {len(found['excluded'])} left out{': ' * bool(lost)}{lost}")
    if teacher is None:
        print(f"without the upper reference: {path} is missing")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

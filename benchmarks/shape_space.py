"""The Sphere Face Model against PCA, on people that neither has seen: what codes can show, and what they tell apart.

    python benchmarks/shape_space.py PEOPLE.npz TEMPLATE.npz WORK [--sizes 40 80 128] [--scan MESH] [--json FILE]

PEOPLE.npz is what ``runs/build_people.py`` writes, TEMPLATE.npz the PCA model that gives topology and expressions,
WORK a folder for the trained models (kept: a second run only measures). A registered scan (``likeness register``) may
be added as one more person.

Shape table, for every K: PCA with K and with K - 1 modes (as many free dimensions as a sphere has), the lift of K - 1
modes, and the sphere model; distances of vertices over the face region between a held-out mesh and the nearest shape
that has a code (mean and 95th percentile, mm), for neutral meshes and for meshes with expressions (expression weights
solved jointly), specificity, and how long and how even the codes are.

Clustering table: all meshes of held-out people, neutral and with expressions, by PCA codes (Euclidean and cosine),
PCA codes with the expression solved jointly, nearest sphere codes, and the sphere's encoder; with 95 % intervals of a
bootstrap over people. Every person's neutral mesh and other expressions are one cluster.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness import FaceModel, Mesh
from likeness.metrics import Samples, clustering, code_statistics, specificity
from likeness.model.codes import ShapeEncoder, codes_of_vertices, importance
from likeness.model.identity import GaussianSpace, Lift
from likeness.train.scans.meshes import Reduction, RegisteredMeshes, read_meshes
from likeness.train.scans.trainer import train_scans
from likeness.train.settings import ScanSettings

BOOTSTRAP = 40
POSED = 400  # held-out meshes with expressions that the shape table looks at


def pca_model(template: FaceModel, meshes: RegisteredMeshes, size: int) -> FaceModel:
    """PCA of the neutral meshes under the weights that stage 1 uses."""
    reduction = Reduction.of(meshes.subset(meshes.at_rest), template, max(300, size))
    neutral = reduction.reduce(meshes.vertices[meshes.at_rest])
    middle = neutral.mean(0)
    _, values, directions = np.linalg.svd(neutral - middle, full_matrices=False)
    basis = values[:size, None] / np.sqrt(len(neutral)) * directions[:size]
    center = reduction.center + reduction.expand(middle)
    return replace(
        template,
        mean=center.astype(np.float32),
        identity_basis=reduction.expand(basis),
        identity_space=GaussianSpace.name,
        name=f"pca-{size}",
    )


def sphere_model(
    template: FaceModel, meshes: RegisteredMeshes, size: int, work: Path
) -> tuple[FaceModel, ShapeEncoder]:
    """The sphere model and encoder in WORK, trained if they are not there."""
    path = work / f"sphere{size}.npz"
    if not path.is_file():
        train_scans(ScanSettings(size=size), meshes, template).save(path)
    return FaceModel.load(path), ShapeEncoder.load(path.with_suffix(".encoder.npz"))


def truncated(model: FaceModel, size: int) -> FaceModel:
    """The first modes of a PCA model."""
    return replace(model, identity_basis=model.identity_basis[:size], name=f"pca-{size}")


def shape_row(
    model: FaceModel, neutral: np.ndarray, posed: np.ndarray, real: np.ndarray, scan: np.ndarray | None
) -> dict[str, Any]:
    """Errors (mm), specificity and code statistics of one model."""
    face = model.topology.regions["face"]
    weights = importance(model.mean, model.topology.triangles, model.topology.regions)

    def errors(meshes: np.ndarray, with_expression: bool) -> np.ndarray:
        found = codes_of_vertices(model, meshes, weights=weights, with_expression=with_expression)
        return np.linalg.norm(found.vertices - meshes, axis=-1)[..., face]

    at_rest, moved = errors(neutral, False), errors(posed, True)
    statistics = code_statistics(codes_of_vertices(model, neutral, weights=weights).identity)
    row = {
        "neutral_mm": float(at_rest.mean()),
        "neutral_p95_mm": float(np.percentile(at_rest, 95)),
        "posed_mm": float(moved.mean()),
        "posed_p95_mm": float(np.percentile(moved, 95)),
        "specificity_mm": specificity(model, real, 500).mean,
        "norm_variation": statistics.norm_variation,
        "uniformity": statistics.uniformity,
        "best_uniformity": statistics.uniform,
    }
    if scan is not None:
        on_scan = errors(scan, True)
        row |= {"scan_mm": float(on_scan.mean()), "scan_p95_mm": float(np.percentile(on_scan, 95))}
    return row


def cluster_row(codes: np.ndarray, people: np.ndarray, measure: str) -> dict[str, Any]:
    """Clustering scores with intervals, and how even the codes of all meshes are."""
    scores = clustering(Samples(codes, people), measure)
    names = np.unique(people)
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {"nmi": [], "silhouette": [], "rank1": []}
    for _ in range(BOOTSTRAP):
        # Without replacement: a person drawn twice would be two people with the same codes.
        half = np.isin(people, rng.choice(names, len(names) // 2, replace=False))
        part = clustering(Samples(codes[half], people[half]), measure)
        for name, values in drawn.items():
            values.append(getattr(part, name))
    # Half-sampling: its spread is that of the whole sample's mean (Politis, Romano and Wolf 1999).
    row: dict[str, Any] = {"uniformity": code_statistics(codes).uniformity}
    for name, values in drawn.items():
        spread = 1.96 * float(np.std(values))
        value = float(getattr(scores, name))
        row |= {name: value, f"{name}_low": value - spread, f"{name}_high": value + spread}
    return row


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both tables: {"shape": {row name: row}, "clustering": {row name: row}}."""
    template = FaceModel.load(arguments.template)
    meshes = read_meshes(arguments.people, template)
    seen, apart = meshes.subset(~meshes.held_out), meshes.subset(meshes.held_out)
    arguments.work.mkdir(parents=True, exist_ok=True)
    largest = pca_model(template, seen, max(arguments.sizes))
    neutral = apart.vertices[apart.at_rest]
    moved = np.flatnonzero(~apart.at_rest)
    posed = apart.vertices[moved[:: max(1, len(moved) // POSED)]]
    real = seen.vertices[seen.at_rest]
    scan = None if arguments.scan is None else Mesh.load(arguments.scan).vertices
    shape: dict[str, Any] = {}
    cluster: dict[str, Any] = {}
    for size in arguments.sizes:
        pca, less = truncated(largest, size), truncated(largest, size - 1)
        sphere, encoder = sphere_model(template, meshes, size, arguments.work)
        for name, model in ((f"PCA({size})", pca), (f"PCA({size - 1})", less), (f"Sphere({size})", sphere)):
            shape[name] = shape_row(model, neutral, posed, real, scan)
        shape[f"lift of PCA({size - 1})"] = lift_row(less, neutral)
        weights = importance(template.mean, template.topology.triangles, template.topology.regions)
        flat = codes_of_vertices(pca, apart.vertices, weights=weights).identity
        joint = codes_of_vertices(pca, apart.vertices, weights=weights, with_expression=True).identity
        nearest = codes_of_vertices(sphere, apart.vertices, weights=weights, with_expression=True).identity
        for name, codes, how in (
            (f"PCA({size}) Euclidean", flat, "euclidean"),
            (f"PCA({size}) cosine", flat, "cosine"),
            (f"PCA({size}) joint, Euclidean", joint, "euclidean"),
            (f"PCA({size}) joint, cosine", joint, "cosine"),
            (f"Sphere({size}) nearest, joint", nearest, "cosine"),
            (f"Sphere({size}) encoder", encoder(apart.vertices), "cosine"),
        ):
            cluster[name] = cluster_row(codes, apart.identity, how)
    return {"people": len(neutral), "meshes": len(apart.vertices), "shape": shape, "clustering": cluster}


def lift_row(model: FaceModel, neutral: np.ndarray) -> dict[str, Any]:
    """The lift of a PCA model: the shapes of its lifted codes, and how even those are."""
    weights = importance(model.mean, model.topology.triangles, model.topology.regions)
    codes = Lift(len(model.identity_basis)).codes(codes_of_vertices(model, neutral, weights=weights).identity)
    lifted = model.lifted()
    face = model.topology.regions["face"]
    errors = np.linalg.norm(lifted.vertices(codes) - neutral, axis=-1)[..., face]
    statistics = code_statistics(codes)
    return {
        "neutral_mm": float(errors.mean()),
        "neutral_p95_mm": float(np.percentile(errors, 95)),
        "norm_variation": statistics.norm_variation,
        "uniformity": statistics.uniformity,
        "best_uniformity": statistics.uniform,
    }


def show(rows: dict[str, Any]) -> None:
    """One line per row, the same columns for all."""
    columns = list(
        dict.fromkeys(name for row in rows.values() for name in row if not name.endswith(("_low", "_high")))
    )
    print(f"{'':30}" + "".join(f"{name:>18}" for name in columns))
    for label, row in rows.items():
        cells = []
        for name in columns:
            cell = f"{row[name]:.4f}" if name in row else "-"
            if f"{name}_low" in row:
                cell += f" ±{row[f'{name}_high'] - row[name]:.4f}"
            cells.append(f"{cell:>18}")
        print(f"{label:30}" + "".join(cells))


def plot(result: dict[str, Any], path: Path) -> None:
    """Representation error against K, and how evenly the codes of held-out people fill the sphere."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4))
    shape = result["shape"]
    sizes = [int(name[7:-1]) for name in shape if name.startswith("Sphere")]
    for label, pattern in (("PCA", "PCA({})"), ("lift of PCA(K - 1)", "lift of PCA({})"), ("Sphere", "Sphere({})")):
        rows = [shape[pattern.format(size - 1 if "lift" in pattern else size)] for size in sizes]
        left.plot(sizes, [row["neutral_mm"] for row in rows], marker="o", label=label)
        right.plot(sizes, [row["uniformity"] for row in rows], marker="o", label=label)
    right.plot(sizes, [shape[f"Sphere({size})"]["best_uniformity"] for size in sizes], "k:", label="best possible")
    left.set(xlabel="K", ylabel="mm, held-out people", title="Representation error", ylim=(0, None))
    right.set(xlabel="K", ylabel="log mean exp(-2 |u - v|²)", title="Uniformity of codes (lower is more even)")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.set_xticks(sizes)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description="The sphere model against PCA on held-out people.")
    parser.add_argument("people", type=Path)
    parser.add_argument("template", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[40, 80, 128])
    parser.add_argument("--scan", type=Path, help="a registered scan in the template's topology, model axes, mm")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="a picture (.png) of the shape table")
    arguments = parser.parse_args()
    result = measure(arguments)
    print(f"{result['people']} held-out people, {result['meshes']} meshes")
    show(result["shape"])
    show(result["clustering"])
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.plot:
        plot(result, arguments.plot)


if __name__ == "__main__":
    main()

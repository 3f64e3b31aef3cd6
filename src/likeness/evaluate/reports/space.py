"""`likeness evaluate space`: how codes fill their space and cluster by person; how good a model's shape space is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from likeness.evaluate.collection import Collection
from likeness.evaluate.outcome import Outcome, Plot
from likeness.evaluate.pair_examples import alike_strangers, unlike_selves
from likeness.evaluate.plots import MISSING, available, line_plot, scatter_plot
from likeness.evaluate.reports.recognisability import EXAMPLES, pair_galleries, pair_tables, panel_of
from likeness.evaluate.tables import Table, number, percent
from likeness.mesh import Mesh
from likeness.metrics.procrustes import align
from likeness.metrics.records import Samples
from likeness.metrics.shape_space import (
    Compactness,
    clustering,
    code_statistics,
    compactness,
    generalisation,
    identity_centres,
    specificity,
)
from likeness.model.face_model import FaceModel

SHARES = (0.9, 0.95, 0.99)
POSE_ROUNDS = 30
"""Turns of pose and code; the pose of a mesh of the model itself then stands still."""


def space_outcome(
    collection: Collection, model: FaceModel | None = None, *, samples: int = 1000, seed: int = 0
) -> Outcome:
    """Numbers, tables, plots and examples.

    Args:
        collection: faces of at least two people, one of them with two.
        model: for meshes: the face model in whose topology they are, for generalisation and specificity; else the
            collection's own is taken.
        samples: random shapes for specificity.
        seed: of everything random.

    Raises:
        ValueError: too few people or faces, or meshes that do not have the model's vertices.
        MissingExtraError: scikit-learn is not installed.
    """
    domains = _domains(collection)
    results: dict[str, Any] = {
        "codes": {},
        "clustering": {},
        "distance_unit": collection.embedding[1],
    }
    for name, (found, measure) in domains.items():
        if name == "code" or collection.aligned is not None:
            results["codes"][f"{name}, all"] = code_statistics(found.codes).to_dict()
            results["codes"][f"{name}, people"] = code_statistics(_centres(found, collection.model)).to_dict()
        results["clustering"][name] = clustering(found, measure, seed).to_dict()
    results["compactness"] = {name: found.to_dict() for name, found in _compactness(collection).items()}
    if collection.aligned is not None and model is not None:
        meshes = _in_model_pose(collection, model)
        region = "face" if "face" in model.topology.regions else None
        results["generalisation"] = generalisation(model, meshes, region=region).to_dict()
        results["specificity"] = specificity(model, meshes, samples, seed, region=region).to_dict()
        results["compactness"][model.name] = compactness(model, region).to_dict()
    strangers, selves = alike_strangers(collection, EXAMPLES), unlike_selves(collection, EXAMPLES)
    results["most_alike_strangers"] = [pair.to_dict(collection) for pair in strangers]
    results["least_alike_of_one_person"] = [pair.to_dict(collection) for pair in selves]
    return Outcome(
        results=results,
        tables=tables_of(results),
        excluded=collection.excluded,
        plots=_plots(collection, results) if available() else (),
        galleries=pair_galleries(collection, strangers, selves),
        panel=panel_of(collection),
        notes=() if available() else (MISSING,),
    )


def tables_of(results: Mapping[str, Any]) -> tuple[Table, ...]:
    """The tables of results (as in results.json)."""
    codes = tuple(
        (
            name,
            *(number(found[key]) for key in ("count", "size")),
            f"{found['norm_mean']:.3f} ± {found['norm_std']:.3f}",
            number(found["norm_variation"]),
            number(found["uniformity"]),
            number(found["uniform"]),
        )
        for name, found in results["codes"].items()
    )
    clusters = tuple(
        (name, found["measure"], *(number(found[key]) for key in ("silhouette", "nmi", "rank1", "people", "codes")))
        for name, found in results["clustering"].items()
    )
    tables = [
        Table(
            "Codes",
            ("codes", "count", "size", "norm", "variation", "uniformity", "if uniform"),
            codes,
            "Uniformity: log mean exp(-2 d²) of unit codes; the nearer to the last column, the more even.",
        ),
        Table("Clustering", ("codes", "measure", "silhouette", "NMI", "rank-1", "people", "faces"), clusters),
    ]
    if results["compactness"]:
        rows = tuple(
            (name, *(number(_axes(found["share"], share)) for share in SHARES), number(sum(found["variance"]), 2))
            for name, found in results["compactness"].items()
        )
        titles = tuple(f"axes for {percent(share, 0)}" for share in SHARES)
        tables.append(Table("Compactness", ("shapes", *titles, "variance (mm²)"), rows))
    if "generalisation" in results:
        found, random = results["generalisation"], results["specificity"]
        rows = tuple(
            (f"{modes} modes", f"{mean:.3f} ± {std:.3f}")
            for modes, mean, std in zip(found["modes"], found["mean"], found["std"], strict=True)
        )
        rows += (("nearest valid code", f"{found['valid_mean']:.3f}"),)
        rows += ((f"specificity ({random['samples']} samples)", f"{random['mean']:.3f} ± {random['std']:.3f}"),)
        tables.append(Table("Generalisation and specificity", ("of the model", "mm"), rows))
    return (*tables, *pair_tables(results))


def _axes(share: list[float], wanted: float) -> int:
    return min(int(np.searchsorted(share, wanted - 1e-12)) + 1, len(share))


def _domains(collection: Collection) -> dict[str, tuple[Samples, str]]:
    """Name -> samples and the measure that they are clustered by."""
    geometry = Samples(collection.embedding[0], collection.labels, collection.groups)
    if collection.aligned is not None:
        # Without their mean: the directions of whole heads are all alike.
        centred = geometry.with_codes(geometry.codes - geometry.codes.mean(0))
        return {"geometry": (centred, "euclidean")}
    found = {"code": (collection.samples(), "cosine")}
    return found if collection.model is None else {**found, "geometry": (geometry, "euclidean")}


def _centres(samples: Samples, model: FaceModel | None = None) -> np.ndarray:
    """(P, K) one code a person: fused as the codes' model does, else their mean."""
    if model is not None:
        return identity_centres(model, samples)[0]
    people = np.unique(samples.labels)
    return np.stack([samples.codes[samples.labels == person].mean(0) for person in people])


def _compactness(collection: Collection) -> dict[str, Compactness]:
    """Of the collection's people as they are (their mean shapes), and of the model's prior."""
    points = collection.embedding[0]
    found = {}
    if collection.has_shapes:
        people = _centres(Samples(points, collection.labels))
        spread = np.linalg.svd(people - people.mean(0), compute_uv=False) ** 2 / max(len(people) - 1, 1)
        found["people here"] = Compactness(spread[: max(len(people) - 1, 1)])
    if collection.model is not None:
        region = "face" if "face" in collection.model.topology.regions else None
        found[f"{collection.model.name}, prior"] = compactness(collection.model, region)
    return found


def _in_model_pose(collection: Collection, model: FaceModel) -> np.ndarray:
    """(N, V, 3) meshes, which came in any pose, in the pose in which the model represents them best.

    Turned onto the model's mean first, then in turns represented by a code and turned onto what it represents: a pose
    that only fits the mean would count as an error of the shape.
    """
    vertices = collection.vertices(np.arange(len(collection)))
    if vertices.shape[1] != len(model.mean):
        raise ValueError(
            f"expected meshes of {model.name!r} ({len(model.mean)} vertices), got {vertices.shape[1]} vertices: "
            "leave out --model"
        )
    mean = model.mean.astype(np.float64)
    weights = Mesh(mean, model.topology.triangles).vertex_areas()
    weights = weights * model.topology.regions.get("face", np.ones(len(mean), bool))
    root = np.sqrt(weights / weights.sum())[:, None]
    basis = model.identity_basis.astype(np.float64)
    inverse = np.linalg.pinv((basis * root).reshape(len(basis), -1))
    placed = align(vertices, weights, reference=mean).vertices
    for _ in range(POSE_ROUNDS):
        codes = ((placed - mean) * root).reshape(len(placed), -1) @ inverse
        fitted = mean + (codes @ basis.reshape(len(basis), -1)).reshape(placed.shape)
        placed = np.concatenate(
            [align(one[None], weights, reference=to).vertices for one, to in zip(placed, fitted, strict=True)]
        )
    return placed


def _plots(collection: Collection, results: Mapping[str, Any]) -> tuple[Plot, ...]:
    points, unit = collection.embedding
    plots = [scatter_plot("Faces", points, collection.labels, unit)]
    if results["compactness"]:
        longest = max(len(found["share"]) for found in results["compactness"].values())
        lines = {
            name: np.pad(found["share"], (0, longest - len(found["share"])), constant_values=1.0)
            for name, found in results["compactness"].items()
        }
        plots.append(line_plot("Compactness", np.arange(1, longest + 1), lines, "axes", "share of shape variance"))
    if "generalisation" in results:
        found = results["generalisation"]
        line = {"generalisation": np.asarray(found["mean"])}
        plot = line_plot("Generalisation", np.asarray(found["modes"]), line, "modes", "error (mm)")
        plots.append(replace(plot, caption="Mean over the meshes."))
    return tuple(plots)

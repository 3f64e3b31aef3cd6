"""`likeness evaluate recognisability`: the SIR metric, by code and by geometry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from likeness.errors import Excluded
from likeness.evaluate.collection import Collection
from likeness.evaluate.outcome import Gallery, Outcome, Plot
from likeness.evaluate.pair_examples import PairExample, alike_strangers, unlike_selves
from likeness.evaluate.panel import differences, panel
from likeness.evaluate.pictures import card, stage_of
from likeness.evaluate.plots import MISSING, available, distance_plot, roc_plot
from likeness.evaluate.tables import Table, estimate, number
from likeness.metrics.recognisability import (
    Recognisability,
    compare_domains,
    recognisability_of_codes,
    recognisability_of_meshes,
)
from likeness.metrics.records import Estimate
from likeness.metrics.roc import FALSE_ACCEPT_RATES

EXAMPLES = 6

Measured = dict[str, Recognisability]


def measure_recognisability(
    collection: Collection,
    gallery: Collection | None = None,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> tuple[Measured, dict[str, Estimate]]:
    """All domains that a collection has, by name (``code, angle``; ``geometry``), and the transfer gaps.

    Raises:
        ValueError: one person only, no genuine pair, a gallery of another kind, or meshes with a gallery.
    """
    options: dict[str, Any] = {"bootstrap": bootstrap, "seed": seed, "progress": progress}
    if collection.aligned is not None:
        if gallery is not None:
            raise ValueError("expected codes, photos or results to compare with a gallery, got meshes")
        aligned = collection.aligned
        found = recognisability_of_meshes(
            aligned.vertices, collection.labels, collection.groups, weights=aligned.weights, **options
        )
        return {"geometry": found}, {}
    other = None if gallery is None else gallery.samples()
    samples = collection.samples()
    if collection.model is None:
        names = ("cosine", "euclidean")
        return {
            f"code, {name}": recognisability_of_codes(samples, other, measure=name, **options) for name in names
        }, {}
    domains = compare_domains(samples, collection.model, other, **options)
    by_code = {f"code, {name}": result for name, result in domains.by_code.items()}
    return {**by_code, "geometry": domains.by_geometry}, {f"code, {k}": gap for k, gap in domains.gap.items()}


def recognisability_outcome(
    collection: Collection,
    gallery: Collection | None = None,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Numbers, tables, plots, examples and the panel; arguments and errors of :func:`measure_recognisability`."""
    measured, gaps = measure_recognisability(collection, gallery, bootstrap=bootstrap, seed=seed, progress=progress)
    strangers, selves = alike_strangers(collection, EXAMPLES), unlike_selves(collection, EXAMPLES)
    results = {
        "domains": {name: result.to_dict() for name, result in measured.items()},
        "gap": {name: gap.to_dict() for name, gap in gaps.items()},
        "distance_unit": collection.embedding[1],
        "most_alike_strangers": [pair.to_dict(collection) for pair in strangers],
        "least_alike_of_one_person": [pair.to_dict(collection) for pair in selves],
    }
    first = next(iter(measured.values()))
    beside = () if gallery is None else gallery.excluded
    excluded = _distinct((*collection.excluded, *beside, *first.excluded))
    picture = panel_of(collection)
    return Outcome(
        results=results,
        tables=tables_of(results),
        excluded=excluded,
        plots=_plots(measured) if available() else (),
        galleries=pair_galleries(collection, strangers, selves),
        panel=picture,
        notes=() if available() else (MISSING,),
    )


def tables_of(results: Mapping[str, Any]) -> tuple[Table, ...]:
    """The tables of results (as in results.json)."""
    domains = results["domains"]
    rates = [f"{rate:g}" for rate in FALSE_ACCEPT_RATES]
    rows = [
        (
            name,
            estimate(found["sir"]),
            estimate(found["d_prime"], 2),
            estimate(found["auc"]),
            estimate(found["eer"]),
            estimate(found["rank1"]),
            estimate(results["gap"][name]) if name in results["gap"] else "",
        )
        for name, found in domains.items()
    ]
    counts = [
        (
            name,
            *(number(found[key]) for key in ("people", "codes", "genuine_pairs", "impostor_pairs")),
            *(f"{number(found[key]['value'])} {found['unit']}".strip() for key in ("mean_genuine", "mean_impostor")),
            *(estimate(found["true_accept"][rate]) for rate in rates),
        )
        for name, found in domains.items()
    ]
    note = "[95 % interval over people]. SIR: mean distance between people over mean distance within one person."
    return (
        Table(
            "Recognisability",
            ("domain", "SIR", "d′", "AUC", "EER", "rank-1", "AUC gap to geometry"),
            tuple(rows),
            note,
        ),
        Table(
            "Pairs and true accept rates",
            (
                "domain", "people", "faces", "genuine", "impostor", "mean genuine", "mean impostor",
                *(f"TAR at {rate}" for rate in rates),
            ),
            tuple(counts),
            "A dash: too few pairs to tell.",
        ),
        *pair_tables(results),
    )  # fmt: skip


def pair_tables(results: Mapping[str, Any]) -> tuple[Table, ...]:
    """The example pairs as tables."""
    titles = {
        "most_alike_strangers": "Most alike strangers",
        "least_alike_of_one_person": "Least alike faces of one person",
    }
    unit = results["distance_unit"]
    return tuple(
        Table(
            title,
            ("first", "second", f"distance ({unit})"),
            tuple((pair["first"], pair["second"], number(pair["distance"])) for pair in results[key]),
        )
        for key, title in titles.items()
        if results.get(key)
    )


def pair_galleries(
    collection: Collection, strangers: list[PairExample], selves: list[PairExample]
) -> tuple[Gallery, ...]:
    """Pictures of the example pairs, where anything of them can be shown."""
    unit = collection.embedding[1]
    stage = stage_of(collection)
    galleries = []
    for title, pairs in (("Most alike strangers", strangers), ("Least alike faces of one person", selves)):
        pictures = []
        for pair in pairs:
            cards = [card(collection, number_, stage) for number_ in (pair.first, pair.second)]
            known = [one for one in cards if one is not None]
            if len(known) == 2:
                names = " | ".join(collection.names[n] for n in (pair.first, pair.second))
                pictures.append((np.concatenate(known, axis=1), f"{names}: {pair.distance:.3f} {unit}"))
        galleries.append(Gallery(title, tuple(pictures)))
    return tuple(galleries)


def panel_of(collection: Collection) -> np.ndarray | None:
    """The visual test, where there are shapes, two people, and one with two faces."""
    names, counts = np.unique(collection.labels, return_counts=True)
    if stage_of(collection) is None or len(names) < 2 or counts.max() < 2:
        return None
    return panel(collection, differences(collection))


def _plots(measured: Measured) -> tuple[Plot, ...]:
    distances = {
        name: (result.roc.threshold, result.roc.true_accept, result.roc.false_accept, result.unit)
        for name, result in measured.items()
    }
    return roc_plot({name: result.roc.to_dict() for name, result in measured.items()}), distance_plot(distances)


def _distinct(excluded: tuple[Excluded, ...]) -> tuple[Excluded, ...]:
    return tuple(dict.fromkeys(excluded))

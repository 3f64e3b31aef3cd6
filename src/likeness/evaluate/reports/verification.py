"""`likeness evaluate verification`: pairs of photos, or of templates, of one person or two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from likeness.evaluate.collection import Collection
from likeness.evaluate.outcome import Outcome
from likeness.evaluate.pair_examples import PairExample
from likeness.evaluate.pair_rows import Rows, matched, rows_by_name
from likeness.evaluate.plots import MISSING, available, roc_plot
from likeness.evaluate.reports.recognisability import EXAMPLES, pair_galleries, pair_tables, panel_of
from likeness.evaluate.tables import Table, number, percent
from likeness.metrics.records import Pairs
from likeness.metrics.roc import FALSE_ACCEPT_RATES
from likeness.metrics.verification import Verification, verify


def measure_verification(
    collection: Collection, pairs: Pairs, rows: Rows, exclude: Iterable[str] = ()
) -> dict[str, Verification]:
    """By every measure that a collection has: ``code, angle`` and the like, and ``geometry``.

    Raises:
        ValueError: what :func:`likeness.metrics.verification.verify` raises.
    """
    exclude = tuple(exclude)
    model = collection.model
    if collection.aligned is not None:
        shapes = {name: collection.embedding[0][found] for name, found in rows.items()}
        geometry = verify(pairs, shapes, measure="euclidean", exclude=exclude)
        return {"geometry": replace(geometry, measure="geometry")}
    stacked = collection.samples().codes
    codes = {name: stacked[found] for name, found in rows.items()}
    sphere = model is not None and model.space.name == "sphere"
    measures = ("angle",) if sphere else ("cosine", "euclidean")
    results = {f"code, {m}": verify(pairs, codes, measure=m, model=model, exclude=exclude) for m in measures}
    if model is not None:
        results["geometry"] = verify(pairs, codes, measure="geometry", model=model, exclude=exclude)
    return results


def verification_outcome(
    collection: Collection, pairs: Pairs, *, made: bool = False, exclude: Iterable[str] = ()
) -> Outcome:
    """Numbers, tables, plots and examples.

    Args:
        collection: faces.
        pairs: what to verify.
        made: whether the pairs were made here, for the table's note.
        exclude: people or photos to leave out.

    Raises:
        ValueError: what :func:`likeness.metrics.verification.verify` raises.
    """
    rows = rows_by_name(pairs, collection)
    told = matched(pairs, rows, collection)
    measured = measure_verification(collection, pairs, rows, exclude)
    strangers, selves = _examples(collection, pairs, rows, set(exclude))
    results = {
        "pairs": "made by seed" if made else "given",
        "measures": {name: result.to_dict() for name, result in measured.items()},
        "distance_unit": collection.embedding[1],
        "most_alike_strangers": [pair.to_dict(collection) for pair in strangers],
        "least_alike_of_one_person": [pair.to_dict(collection) for pair in selves],
    }
    left_out = next(iter(measured.values())).excluded
    return Outcome(
        results=results,
        tables=tables_of(results),
        excluded=(*collection.excluded, *left_out),
        plots=(roc_plot({name: r.roc.to_dict() for name, r in measured.items()}),) if available() else (),
        galleries=pair_galleries(collection, strangers, selves),
        panel=panel_of(collection),
        notes=(*told, *(() if available() else (MISSING,))),
    )


def tables_of(results: Mapping[str, Any]) -> tuple[Table, ...]:
    """The tables of results (as in results.json)."""
    rates = [f"{rate:g}" for rate in FALSE_ACCEPT_RATES]
    rows = tuple(
        (
            name,
            f"{percent(found['accuracy'])} ± {100 * found['standard_error']:.1f}",
            number(found["auc"]),
            number(found["eer"]),
            *(number(found["true_accept"][rate]) for rate in rates),
            f"{found['pairs']:,} of {found['listed_pairs']:,}",
            number(found["same_pairs"]),
        )
        for name, found in results["measures"].items()
    )
    columns = (
        "measure", "accuracy", "AUC", "EER", *(f"TAR at {rate}" for rate in rates), "pairs", "of one person",
    )  # fmt: skip
    folds = max(len(found["folds"]) for found in results["measures"].values())
    note = f"Accuracy: mean over {folds} folds ± its standard error, each with the threshold of the others. "
    note += "A dash: too few pairs to tell. Pairs were " + results["pairs"] + "."
    return Table("Verification", columns, rows, note), *pair_tables(results)


def _examples(
    collection: Collection, pairs: Pairs, rows: Rows, exclude: set[str]
) -> tuple[list[PairExample], list[PairExample]]:
    """Of the pairs of single photos: the nearest of two people and the farthest of one."""
    points = collection.embedding[0]
    found: list[PairExample] = []
    same: list[bool] = []
    for first, second, alike in zip(pairs.first, pairs.second, pairs.same, strict=True):
        faces = [rows.get(name, np.zeros(0, int)) for name in (first, second)]
        people = {str(collection.labels[face[0]]) for face in faces if len(face)}
        if any(len(face) != 1 for face in faces) or exclude & {first, second, *people}:
            continue
        a, b = (int(face[0]) for face in faces)
        found.append(PairExample(a, b, float(np.linalg.norm(points[a] - points[b]))))
        same.append(bool(alike))
    ranked = sorted(range(len(found)), key=lambda row: found[row].distance)
    strangers = [found[row] for row in ranked if not same[row]][:EXAMPLES]
    return strangers, [found[row] for row in reversed(ranked) if same[row]][:EXAMPLES]

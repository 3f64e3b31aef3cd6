"""`likeness evaluate landmarks`: the 68 iBUG points against annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from likeness.datasets.test_sets import PhotoItem
from likeness.errors import Excluded, FileError, LikenessError, StrPath
from likeness.evaluate.outcome import Gallery, Outcome, Plot
from likeness.evaluate.plots import MISSING, available, cumulative_plot
from likeness.evaluate.predictions import FoundFace, Prediction
from likeness.evaluate.tables import Table, number, percent
from likeness.geometry.landmarks import INNER
from likeness.metrics.landmark_error import landmark_errors
from likeness.readers import read_npz
from likeness.render.close_up import close_up

EXAMPLES = 6
SUBSETS = {"all 68": None, "inner 51": np.array(INNER)}


@dataclass(frozen=True, eq=False)
class LandmarkSet:
    """Found and true landmarks.

    Args:
        names: N faces.
        found: (N, 68, 2) photo pixels; NaN throughout where no face was found.
        truth: (N, 68, 2) photo pixels.
        excluded: what is not in it, and why.
        boxes: (N, 4) x0 y0 x1 y1 for the normaliser ``box``, or None.
        items: the N photos, where they are at hand.
    """

    names: tuple[str, ...]
    found: np.ndarray
    truth: np.ndarray
    excluded: tuple[Excluded, ...] = ()
    boxes: np.ndarray | None = None
    items: tuple[PhotoItem, ...] | None = None


def landmarks_of_predictions(predictions: Sequence[Prediction], excluded: Iterable[Excluded] = ()) -> LandmarkSet:
    """Of photos: where no face was found it counts as missed; photos that cannot be read, or have no annotation,
    are left out and listed.

    Raises:
        ValueError: no photo has an annotation.
    """
    gone = list(excluded)
    used = []
    for prediction in predictions:
        if prediction.item.landmarks is None:
            gone.append(Excluded(prediction.item.name, "no annotated landmarks"))
        elif prediction.face is None and not prediction.missed:
            gone.append(Excluded(prediction.item.name, prediction.reason))
        else:
            used.append(prediction)
    if not used:
        first = f"; the first: {gone[0].item}: {gone[0].reason}" if gone else ""
        raise ValueError(f"expected photos with 68 annotated landmarks, got none of {len(predictions)} photos{first}")
    return _set([p.item for p in used], [p.face for p in used], gone)


def landmarks_of_results(
    results: Sequence[Prediction], items: Sequence[PhotoItem], excluded: Iterable[Excluded] = ()
) -> LandmarkSet:
    """Of saved results, against the annotations of the photos that they were made from.

    Photos without a result count as missed. Names are compared as ``IDENTITY/NAME``, else by the last part where only
    one photo is called so.

    Raises:
        ValueError: the photos have no annotations, or no result is named like one of them.
    """
    annotated = [item for item in items if item.landmarks is not None]
    if not annotated:
        raise ValueError(f"expected photos with 68 annotated landmarks, got none of {len(items)}")
    gone = [*excluded, *(Excluded(item.name, "no annotated landmarks") for item in items if item.landmarks is None)]
    by_name = {item.name: number_ for number_, item in enumerate(annotated)}
    ends: dict[str, list[int]] = {}
    for number_, item in enumerate(annotated):
        ends.setdefault(PurePosixPath(item.name).name, []).append(number_)
    faces: list[FoundFace | None] = [None] * len(annotated)
    for result in results:
        short = ends.get(PurePosixPath(result.item.name).name, [])
        at = by_name.get(result.item.name, short[0] if len(short) == 1 else -1)
        if at < 0:
            gone.append(Excluded(result.item.name, "a result of a photo that is not among the annotated ones"))
        else:
            faces[at] = result.face
    if all(face is None for face in faces):
        raise ValueError(
            f"expected results named like the photos, got none: {results[0].item.name!r} and the like, the photos "
            f"{annotated[0].name!r}"
        )
    return _set(annotated, faces, gone)


def landmarks_of_arrays(path: StrPath) -> LandmarkSet:
    """``.npz`` with ``landmarks`` and ``truth`` (N, 68, 2), px, and if wanted ``names`` (N,) and ``boxes`` (N, 4).

    Raises:
        FileError: missing, damaged, or arrays missing or of other shapes.
    """
    arrays = read_npz(path, "arrays")
    missing = [key for key in ("landmarks", "truth") if key not in arrays]
    if missing:
        raise FileError(path, f"expected arrays landmarks and truth (N, 68, 2), got {sorted(arrays)}")
    found, truth = arrays["landmarks"], arrays["truth"]
    if found.shape != truth.shape or found.ndim != 3 or found.shape[1:] != (68, 2) or not len(found):
        raise FileError(path, f"expected landmarks and truth (N, 68, 2), got {found.shape} and {truth.shape}")
    names = arrays.get("names", np.arange(len(found)))
    if names.shape != (len(found),):
        raise FileError(path, f"expected {len(found)} names, got {names.shape}")
    return LandmarkSet(tuple(str(name) for name in names), found, truth, boxes=arrays.get("boxes"))


def landmark_outcome(data: LandmarkSet, normaliser: str = "box") -> Outcome:
    """Numbers, tables, the cumulative error distribution, and the best and worst faces.

    Raises:
        ValueError: what :func:`likeness.metrics.landmark_error.landmark_errors` raises.
    """
    boxes = data.boxes if normaliser == "box" else None
    measured = {
        name: landmark_errors(data.found, data.truth, normaliser, boxes=boxes, points=points)
        for name, points in SUBSETS.items()
    }
    errors = measured["all 68"].errors
    ranked = np.argsort(errors, kind="stable")
    known = [int(row) for row in ranked if np.isfinite(errors[row])]
    missed = [data.names[row] for row in np.flatnonzero(~np.isfinite(errors))]
    best, worst = known[:EXAMPLES], known[::-1][: max(min(EXAMPLES, len(known) - EXAMPLES), 0)]
    results = {
        "points": {name: found.to_dict() for name, found in measured.items()},
        "missed": missed,
        "best": {data.names[row]: float(errors[row]) for row in best},
        "worst": {data.names[row]: float(errors[row]) for row in worst},
    }
    plots: tuple[Plot, ...] = ()
    if available():
        curves = {name: found.curve() for name, found in measured.items()}
        label = f"mean error / {normaliser}"
        plots = (cumulative_plot("Cumulative error distribution", curves, label, "share of faces"),)
    galleries = tuple(
        Gallery(title, _pictures(data, rows, errors), "Annotated points green, found ones red.")
        for title, rows in (("Best landmarks", best), ("Worst landmarks", worst))
    )
    return Outcome(
        results=results,
        tables=tables_of(results),
        excluded=data.excluded,
        plots=plots,
        galleries=galleries,
        notes=() if available() else (MISSING,),
    )


def tables_of(results: Mapping[str, Any]) -> tuple[Table, ...]:
    """The tables of results (as in results.json)."""
    rows = tuple(
        (
            name,
            percent(found["nme"], 2),
            percent(found["median"], 2),
            number(found["auc"]),
            percent(found["failure_rate"], 1),
            number(found["missed"]),
            number(found["faces"]),
        )
        for name, found in results["points"].items()
    )
    found = next(iter(results["points"].values()))
    at = percent(found["limit"], 0)
    note = (
        f"NME: mean distance over {found['normaliser']}, of the faces found. "
        f"AUC and failures (over {at}) count missed faces too."
    )
    columns = ("points", f"NME ({found['normaliser']})", "median", f"AUC at {at}", "failures", "missed", "faces")
    examples = tuple(
        Table(f"{title} landmarks", ("face", "NME"), tuple((n, percent(e, 2)) for n, e in results[key].items()))
        for title, key in (("Best", "best"), ("Worst", "worst"))
        if results[key]
    )
    return Table("Landmarks", columns, rows, note), *examples


def _set(items: Sequence[PhotoItem], faces: Sequence[FoundFace | None], excluded: Sequence[Excluded]) -> LandmarkSet:
    nothing = np.full((68, 2), np.nan)
    return LandmarkSet(
        tuple(item.name for item in items),
        np.stack([nothing if face is None else face.landmarks for face in faces]),
        np.stack([item.landmarks for item in items if item.landmarks is not None]),
        tuple(excluded),
        items=tuple(items),
    )


def _pictures(data: LandmarkSet, rows: Sequence[int], errors: np.ndarray) -> tuple[tuple[np.ndarray, str], ...]:
    pictures = []
    for row in rows if data.items is not None else ():
        try:
            image = data.items[row].image() if data.items is not None else None
        except LikenessError:  # deleted since it was measured; the report goes without it
            continue
        if image is not None:
            marks = (data.truth[row], data.found[row])
            picture = close_up(image, data.truth[row], 200, marks)
            pictures.append((picture, f"{data.names[row]}: {100 * errors[row]:.2f} %"))
    return tuple(pictures)

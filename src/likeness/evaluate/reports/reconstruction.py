"""`likeness evaluate reconstruction`: shapes against scans of the same people, by a named protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import Excluded, LikenessError, MissingExtraError, as_file_error
from likeness.evaluate.cache import Cache, key_of
from likeness.evaluate.outcome import Gallery, Outcome, Plot
from likeness.evaluate.plots import MISSING, available, cumulative_plot
from likeness.evaluate.scan_batches import ErrorSummary
from likeness.evaluate.scans import Scan, Shape
from likeness.evaluate.tables import Table, number
from likeness.files import file_digest
from likeness.geometry.units import UNITS
from likeness.metrics.scan_error import reconstruction_error
from likeness.progress import Steps
from likeness.render.error_map import error_map

EXAMPLES = 5
CURVE_POINTS = 161


@dataclass(frozen=True, eq=False)
class Measured:
    """A shape against its scan.

    Args:
        shape, scan: which.
        error: the protocol's number, mm.
        distances: (N,) float32 mm, of the measured scan points.
        index: (N,) which vertices of the scan they are.
    """

    shape: Shape
    scan: Scan
    error: float
    distances: np.ndarray
    index: np.ndarray


@dataclass(frozen=True)
class ScanProtocol:
    """How shapes are measured: the protocol's name and both units."""

    name: str = "now"
    scan_unit: str = "mm"
    mesh_unit: str = "mm"


def measure_scans(
    shapes: Sequence[Shape],
    scans: Mapping[str, Scan],
    protocol: ScanProtocol,
    cache: Cache | None = None,
    steps: Steps | None = None,
) -> tuple[list[Measured], list[Excluded]]:
    """Measure every shape against its person's scan; those that cannot be measured are listed.

    Raises:
        ValueError: not one shape could be measured.
        MissingExtraError: libigl is not installed.
    """
    measured, excluded = [], []
    for number_, shape in enumerate(shapes):
        if steps is not None:
            steps("scans", number_, len(shapes))
        scan = scans.get(shape.identity)
        if scan is None:
            excluded.append(Excluded(shape.name, f"no scan of {shape.identity}"))
            continue
        try:
            measured.append(_measured(shape, scan, protocol, cache))
        except MissingExtraError:
            raise
        except (LikenessError, ValueError) as error:
            excluded.append(Excluded(shape.name, str(error)))
        except Exception as error:  # whatever a scan or mesh does, the others are measured
            excluded.append(Excluded(shape.name, str(as_file_error(scan.path, error))))
    idle = sorted(set(scans) - {shape.identity for shape in shapes})
    excluded += [Excluded(person, "a scan, but no shape of this person") for person in idle]
    if not measured:
        first = f"; the first: {excluded[0].item}: {excluded[0].reason}" if excluded else ""
        raise ValueError(f"expected shapes that can be measured against a scan, got none of {len(shapes)}{first}")
    return measured, excluded


def reconstruction_outcome(
    measured: Sequence[Measured], protocol: ScanProtocol, excluded: Iterable[Excluded] = ()
) -> Outcome:
    """Numbers, tables, the cumulative error curve, and error maps of the best and worst."""
    summary = ErrorSummary(
        protocol.name,
        np.array([one.error for one in measured]),
        np.concatenate([one.distances for one in measured]),
        (),
    )
    curve = summary.curve(count=CURVE_POINTS)
    ranked = sorted(measured, key=lambda one: one.error)
    results = {
        "protocol": protocol.name,
        "shapes": len(measured),
        "people": len({one.shape.identity for one in measured}),
        "points": len(summary.distances),
        "median_mm": summary.median,
        "mean_mm": summary.mean,
        "std_mm": summary.std,
        "shape_mean_mm": summary.scan_mean,
        "shape_std_mm": summary.scan_std,
        "auc": curve.auc,
        "auc_limit_mm": curve.limit,
        "curve": {"mm": curve.thresholds.tolist(), "share": curve.fraction.tolist()},
        "errors_mm": {one.shape.name: one.error for one in ranked},
    }
    plots: tuple[Plot, ...] = ()
    if available():
        curves = {protocol.name: (curve.thresholds, curve.fraction)}
        plots = (cumulative_plot("Cumulative error", curves, "distance to the mesh (mm)", "share of scan points"),)
    maps = _galleries(ranked, protocol)
    return Outcome(
        results=results,
        tables=tables_of(results),
        excluded=tuple(excluded),
        plots=plots,
        galleries=maps,
        notes=() if available() else (MISSING,),
    )


def tables_of(results: Mapping[str, Any]) -> tuple[Table, ...]:
    """The tables of results (as in results.json)."""
    row = (
        results["protocol"],
        *(number(results[key]) for key in ("shapes", "people")),
        *(number(results[key], 3) for key in ("median_mm", "mean_mm", "std_mm")),
        f"{results['shape_mean_mm']:.3f} ± {results['shape_std_mm']:.3f}",
        number(results["auc"]),
    )
    columns = (
        "protocol", "shapes", "people", "median (mm)", "mean (mm)", "std (mm)", "per shape (mm)",
        f"AUC at {results['auc_limit_mm']:g} mm",
    )  # fmt: skip
    note = "Median, mean and std over the scan points of all shapes; per shape: the protocol's number ± its spread."
    names = list(results["errors_mm"])
    kept = names if len(names) <= 2 * EXAMPLES else [*names[:EXAMPLES], *names[-EXAMPLES:]]
    rows = tuple((name, number(results["errors_mm"][name])) for name in kept)
    return Table("Reconstruction error", columns, (row,), note), Table(
        "Best and worst", ("shape", "error (mm)"), rows
    )


def _measured(shape: Shape, scan: Scan, protocol: ScanProtocol, cache: Cache | None) -> Measured:
    key = key_of(
        "scan", protocol.name, protocol.scan_unit, protocol.mesh_unit,
        file_digest(scan.path), file_digest(scan.landmarks), shape.signature,
    )  # fmt: skip
    known = None if cache is None else cache.load(key)
    if known is None or set(known) != {"error", "distances", "index"}:
        truth, truth_marks = scan.load()
        mesh, marks = shape.load()
        found = reconstruction_error(
            truth, truth_marks, mesh, marks, protocol.name,
            scan_unit=protocol.scan_unit, mesh_unit=protocol.mesh_unit,
        )  # fmt: skip
        known = {
            "error": np.array(found.error),
            "distances": found.distances.astype(np.float32),
            "index": found.scan_to_mesh.index.astype(np.int64),
        }
        if cache is not None:
            cache.store(key, known)
    return Measured(shape, scan, float(known["error"]), known["distances"], known["index"])


def _galleries(ranked: Sequence[Measured], protocol: ScanProtocol) -> tuple[Gallery, ...]:
    limit = float(max(np.ceil(2 * np.percentile(np.concatenate([one.distances for one in ranked]), 98)) / 2, 0.5))
    caption = f"Distance of the scan's points to the reconstructed mesh, 0 to {limit:g} mm."
    worst = ranked[::-1][: max(min(EXAMPLES, len(ranked) - EXAMPLES), 0)]
    galleries = []
    for title, shown in (("Best reconstructions", ranked[:EXAMPLES]), ("Worst reconstructions", worst)):
        pictures = []
        for one in shown:
            try:
                truth, marks = one.scan.load()
            except LikenessError:  # deleted since it was measured; the report goes without it
                continue
            if not len(truth.triangles):
                continue
            values = np.full(len(truth.vertices), np.nan)
            values[one.index] = one.distances
            picture = error_map(truth, values, marks.axes(), limit=limit, side=200, unit_mm=UNITS[protocol.scan_unit])
            pictures.append((picture, f"{one.shape.name}: {one.error:.3f} mm"))
        galleries.append(Gallery(title, tuple(pictures), caption))
    return tuple(galleries)

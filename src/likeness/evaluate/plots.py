"""Diagrams as SVG, by matplotlib (of the extra ``scans``); drawn on figures of their own, never on a screen."""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from likeness.evaluate.outcome import Plot

MISSING = "plots need matplotlib: pip install 'likeness3d[scans]'"
MAX_POINTS = 4000
"""Of a scatter; more make a report that browsers are slow with."""


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def roc_plot(curves: Mapping[str, dict[str, Any]]) -> Plot:
    """ROC curves by name, of ``{"fpr", "tpr"}``, with a logarithmic false accept rate."""

    def draw(axes: Any) -> None:
        for name, roc in curves.items():
            far, tar = np.asarray(roc["fpr"]), np.asarray(roc["tpr"])
            shown = far > 0
            axes.plot(far[shown], tar[shown], label=name, linewidth=1.6)
        axes.set(xscale="log", xlim=(None, 1), ylim=(0, 1.01))
        axes.set(xlabel="false accept rate", ylabel="true accept rate")
        far = np.geomspace(1e-4, 1, 100)
        axes.plot(far, far, color="0.7", linewidth=0.8, linestyle="--", label="chance")

    return Plot("Receiver operating characteristic", _svg(draw))


def distance_plot(curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, str]]) -> Plot:
    """Shares of pairs within a distance: name -> (distance, genuine share, impostor share, unit)."""

    def draw(figure: Any) -> None:
        for number, (name, (distance, genuine, impostor, unit)) in enumerate(curves.items()):
            axes = figure.add_subplot(1, len(curves), number + 1)
            shown = np.isfinite(distance)
            axes.plot(distance[shown], genuine[shown], label="one person", linewidth=1.6)
            axes.plot(distance[shown], impostor[shown], label="two people", linewidth=1.6)
            axes.set(title=name, xlabel=f"distance{f' ({unit})' if unit else ''}", ylim=(0, 1.01))
            axes.set(ylabel="share of pairs within it" if number == 0 else "")
            _styled(axes)

    return Plot("Distances", _figure(draw, (3.4 * len(curves), 3.2)))


def cumulative_plot(
    title: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], xlabel: str, ylabel: str
) -> Plot:
    """Cumulative error curves by name, of (error, share)."""

    def draw(axes: Any) -> None:
        for name, (error, share) in curves.items():
            axes.plot(error, share, label=name, linewidth=1.6)
        axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.01))
        axes.set_xlim(left=0)

    return Plot(title, _svg(draw))


def line_plot(title: str, x: np.ndarray, lines: Mapping[str, np.ndarray], xlabel: str, ylabel: str) -> Plot:
    """Lines by name over the same x."""

    def draw(axes: Any) -> None:
        for name, y in lines.items():
            axes.plot(x, y, label=name, linewidth=1.6, marker="." if len(x) < 20 else None)
        axes.set(xlabel=xlabel, ylabel=ylabel)

    return Plot(title, _svg(draw))


def scatter_plot(title: str, points: np.ndarray, labels: np.ndarray, unit: str) -> Plot:
    """Points (N, D) on their first two principal axes, a colour a person (colours repeat after twenty)."""
    chosen = np.unique(np.linspace(0, len(points) - 1, min(MAX_POINTS, len(points))).round().astype(int))
    centred = points[chosen] - points[chosen].mean(0)
    axes_ = np.linalg.svd(centred, full_matrices=False)[2][:2]
    flat = centred @ axes_.T if len(axes_) == 2 else np.column_stack([centred, np.zeros(len(centred))])
    person = np.unique(labels[chosen], return_inverse=True)[1]

    def draw(axes: Any) -> None:
        axes.scatter(flat[:, 0], flat[:, 1], c=person % 20, cmap="tab20", s=9, linewidths=0)
        axes.set(xlabel=f"first principal axis ({unit})", ylabel=f"second ({unit})")
        axes.set_aspect("equal", "datalim")

    return Plot(title, _svg(draw), "Each point is a face, each colour a person.")


def _svg(draw: Callable[[Any], None]) -> bytes:
    """One pair of axes."""

    def on(figure: Any) -> None:
        axes = figure.add_subplot()
        draw(axes)
        _styled(axes)

    return _figure(on, (5.2, 3.8))


def _figure(draw: Callable[[Any], None], size: tuple[float, float]) -> bytes:
    matplotlib = _quiet_matplotlib()
    from matplotlib.figure import Figure

    # No time, no random ids: the same numbers give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "likeness", "font.size": 9}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _quiet_matplotlib() -> Any:
    """The module. Where the user's home cannot be written to it takes a temporary folder, and would say so at length
    in the midst of results."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return importlib.import_module("matplotlib")
    finally:
        log.setLevel(level)


def _styled(axes: Any) -> None:
    axes.grid(color="0.92", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)

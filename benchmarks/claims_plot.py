"""The picture of the claims table: do landmark and identity losses fall together?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

PANELS = {
    "landmark": ("landmark loss, % of the crop", (1.0, 4.0)),
    "sir_code": ("identity by code, nats", (4.0, 18.0)),
    "sir_direction": ("identity by shape, nats", (8.0, 22.0)),
}
"""Losses, and where their axes begin and end: what is above is of the first steps."""


def plot(results: list[dict[str, Any]], styles: dict[str, str], path: Path) -> None:
    """Landmark and identity losses while training, and where held-out people go meanwhile.

    Args:
        results: each with ``variant`` and ``curves``: a list of losses by name, with ``seen``, and now and then
            ``held_nme`` (%) and ``held_auc``.
        styles: line style by variant that is drawn.
        path: of the picture.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 8.4), constrained_layout=True)
    *losses, joint = axes.flat
    for number, (name, style) in enumerate(styles.items()):
        runs = [one["curves"] for one in results if one["variant"] == name]
        if not runs:
            continue
        seen = np.array([point["seen"] for point in runs[0]]) / 1000
        for axis, loss in zip(losses, PANELS, strict=True):
            values = np.mean([[point.get(loss, 0.0) for point in curve] for curve in runs], axis=0)
            if values.any():  # a term that counts nothing is not computed
                width = max(1, len(values) // 30)
                smooth = np.convolve(values, np.ones(width) / width, "valid")
                axis.plot(seen[width - 1 :], smooth, style, label=name, color=f"C{number}")
        held = [
            np.mean([[point[key] for point in curve if key in point] for curve in runs], axis=0)
            for key in ("held_nme", "held_auc")
        ]
        joint.plot(*held, style, label=name, color=f"C{number}", marker=".", markersize=3)
        joint.plot(held[0][-1], held[1][-1], "o", color=f"C{number}")
    for axis, (title, limits) in zip(losses, PANELS.values(), strict=True):
        axis.set(title=title, xlabel="thousand samples seen", ylim=limits)
    joint.set(
        title="held-out people on the way (dot: the end)",
        xlabel="landmark NME, %",
        ylabel="AUC by shape, clips",
        xlim=(3.2, 4.6),
        ylim=(0.70, 0.93),
    )
    losses[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)

"""How much of a person's true head a predicted head has, where the truth is known vertex by vertex.

No photograph shows how large a head is or where it stands, so a similarity is taken out before anything is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from likeness.geometry.similarity import similarity_from_points
from likeness.metrics.procrustes import align

YAW_BINS = ((0.0, 15.0), (15.0, 30.0), (30.0, 45.0), (45.0, 90.0))
"""Degrees of |yaw|, lower end included: from the front, half turned, and beyond."""


@dataclass(frozen=True)
class PoseBin:
    """Errors of the heads that are turned by ``low`` to ``high`` degrees: people, RMS mm, and the mean face's."""

    low: float
    high: float
    people: int
    rms: float
    mean_face_rms: float


@dataclass(frozen=True)
class ShapeFidelity:
    """How near predicted heads come to the true ones of N people.

    Args:
        people: N.
        rms: mm, mean over people of the root-mean-square vertex distance after the similarity (rotation, translation
            and scale) that lays the predicted head on the true one.
        mean_face_rms: the same for the mean face in place of every prediction: what knows nothing has.
        ratio: ``rms / mean_face_rms``.
        explained: ``1 - sum |a - b|^2 / sum |a|^2`` where a and b are true and predicted heads without their means,
            all turned and scaled onto the true heads' mean.
        spread: ``sqrt(sum |b|^2 / sum |a|^2)``: how much of the true spread the predictions have. The best guess of a
            calibrated estimator has the square root of what it explains, not 1.
        slope: of truth on prediction, ``sum a.b / sum |b|^2``: 1 is calibrated; 0.5 is going twice too far. None
            where the predictions do not differ.
        by_pose: the errors by how far the head was turned, of the bins that hold someone.
    """

    people: int
    rms: float
    mean_face_rms: float
    ratio: float
    explained: float
    spread: float
    slope: float | None
    by_pose: tuple[PoseBin, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


def shape_fidelity(
    found: np.ndarray,
    true: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    mean: np.ndarray | None = None,
    yaw: np.ndarray | None = None,
    bins: Sequence[tuple[float, float]] = YAW_BINS,
) -> ShapeFidelity:
    """Compare predicted heads with true ones, all neutral and of one topology.

    Args:
        found, true: (N, V, 3) mm, N >= 2.
        weights: (V,) >= 0: a region's mask or vertex areas; None: all alike.
        mean: (V, 3) mm, the face that knows nothing; None: the mean of the true heads.
        yaw: (N,) degrees by which each head was turned in its picture; None: no bins.
        bins: of ``|yaw|`` in degrees, lower end included.

    Raises:
        ValueError: other shapes, values that are not finite, or true heads that do not differ.
    """
    found, true = np.asarray(found, np.float64), np.asarray(true, np.float64)
    if true.ndim != 3 or true.shape != found.shape or true.shape[2] != 3 or len(true) < 2:
        raise ValueError(f"expected found and true heads (N >= 2, V, 3), got {found.shape} and {true.shape}")
    share = np.ones(true.shape[1]) if weights is None else np.asarray(weights, np.float64)
    if share.shape != true.shape[1:2] or not (share >= 0).all():
        raise ValueError(f"expected weights ({true.shape[1]},) >= 0, got {share.shape}")
    used = share > 0
    found, true, share = found[:, used], true[:, used], share[used]
    reference = align(true, share, scale=True).reference
    known_nothing = reference if mean is None else np.asarray(mean, np.float64)[used]
    a, b = (align(vertices, share, scale=True, reference=reference).embedded() for vertices in (true, found))
    a, b = a - a.mean(0), b - b.mean(0)
    truth, predicted = float((a * a).sum()), float((b * b).sum())
    if truth < 1e-12 * len(true):
        raise ValueError("expected people whose true heads differ, got all alike")
    errors = rms_after_similarity(found, true, share)
    mean_errors = rms_after_similarity(np.broadcast_to(known_nothing, true.shape), true, share)
    return ShapeFidelity(
        people=len(true),
        rms=float(errors.mean()),
        mean_face_rms=float(mean_errors.mean()),
        ratio=float(errors.mean() / mean_errors.mean()),
        explained=1.0 - float(((a - b) ** 2).sum()) / truth,
        spread=float(np.sqrt(predicted / truth)),
        slope=None if predicted < 1e-9 * truth else float((a * b).sum() / predicted),
        by_pose=() if yaw is None else _binned(errors, mean_errors, yaw, bins),
    )


def rms_after_similarity(found: np.ndarray, true: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(N,) mm: root-mean-square vertex distance once the similarity of least squares has laid found on true.

    Args:
        found, true: (N, V, 3) mm.
        weights: (V,) >= 0; None: all alike.
    """
    share = np.ones(true.shape[1]) if weights is None else weights
    share = share / share.sum()
    errors = np.empty(len(true))
    for number, (one, other) in enumerate(zip(found, true, strict=True)):
        scale, rotation, translation = similarity_from_points(one, other, share)
        moved = scale * one @ rotation.T + translation
        errors[number] = np.sqrt(share @ ((moved - other) ** 2).sum(1))
    return errors


def _binned(
    errors: np.ndarray, mean_errors: np.ndarray, yaw: np.ndarray, bins: Sequence[tuple[float, float]]
) -> tuple[PoseBin, ...]:
    turned = np.abs(np.asarray(yaw, np.float64))
    if turned.shape != errors.shape:
        raise ValueError(f"expected yaw ({len(errors)},) degrees, got {turned.shape}")
    found = []
    for low, high in bins:
        rows = (turned >= low) & (turned < high)
        if rows.any():
            found.append(
                PoseBin(low, high, int(rows.sum()), float(errors[rows].mean()), float(mean_errors[rows].mean()))
            )
    return tuple(found)

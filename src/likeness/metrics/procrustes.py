"""Meshes of one topology, brought into one pose so that what is left between them is shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.errors import listed
from likeness.mesh import Mesh

ROUNDS = 100
TOLERANCE = 1e-10
"""The mean stops moving when a round moves it by less than this share of its size."""


@dataclass(frozen=True, eq=False)
class Aligned:
    """Meshes in one pose.

    Args:
        vertices: (N, V, 3) mm.
        reference: (V, 3) mm, what they were aligned to: the given reference, or their mean.
        weights: (V,) not negative, summing to 1: how much each vertex counted.
    """

    vertices: np.ndarray
    reference: np.ndarray
    weights: np.ndarray

    def embedded(self) -> np.ndarray:
        """(N, 3V') float64, V' vertices of positive weight: Euclidean distances are weighted RMS vertex distances."""
        used = self.weights > 0
        scaled = self.vertices[:, used] * np.sqrt(self.weights[used])[:, None]
        return scaled.reshape(len(scaled), -1)


def align(
    meshes: Sequence[Mesh] | Sequence[np.ndarray] | np.ndarray,
    weights: np.ndarray | None = None,
    *,
    scale: bool = False,
    reference: np.ndarray | None = None,
) -> Aligned:
    """Bring meshes of one topology into one pose by rotation and translation, and one size if wanted.

    Without a reference this is generalised Procrustes analysis: all meshes are turned onto their mean, the mean is
    taken anew, until it stands still (Gower, Generalized Procrustes analysis, Psychometrika 1975). So all distances
    are those of one set of aligned meshes, and do not depend on the pose that any of them came in. The distance of
    two meshes is not minimised pair by pair: that would need N² alignments and would not be a metric of an embedding.

    Args:
        meshes: N meshes or arrays (V, 3), or (N, V, 3), mm.
        weights: (V,) not negative: a region's mask or vertex areas; None: all alike.
        scale: also divide every mesh by its size (root-mean-square distance of its vertices from their centre); all
            get the reference's size, or the median of their own without one.
        reference: (V, 3) mm: turn everything onto this in one go.

    Raises:
        ValueError: meshes of different topologies (says which), not finite, fewer than three weighted vertices, or a
            mesh without extent.
    """
    stacked = stack(meshes)
    share = _shares(weights, stacked.shape[1])
    if reference is not None and np.shape(reference) != stacked.shape[1:]:
        raise ValueError(f"expected a reference {stacked.shape[1:]} like the meshes, got {np.shape(reference)}")
    centred = stacked - _centres(stacked, share)
    size = np.sqrt((share[:, None] * centred**2).sum((1, 2)))
    if not size.all():
        raise ValueError(f"expected meshes with an extent, got points: {listed(np.flatnonzero(size == 0))}")
    if reference is not None:
        target = np.asarray(reference, np.float64)
        middle = _centres(target[None], share)[0]
        wanted = float(np.sqrt((share[:, None] * (target - middle) ** 2).sum()))
    else:
        target, middle, wanted = centred[0], np.zeros((1, 3)), float(np.median(size))
    if scale:
        centred = centred * (wanted / size)[:, None, None]
    if reference is None:
        centred, target = _to_mean(centred, target, share, wanted)
    else:
        centred = centred @ _rotations(centred, target - middle, share)
    return Aligned(centred + middle, target, share)


def stack(meshes: Sequence[Mesh] | Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Meshes of one topology as one array (N, V, 3) float64.

    Raises:
        ValueError: none, other numbers of vertices, other triangles (where these are known), or vertices that are not
            finite; says which meshes.
    """
    if len(meshes) == 0:
        raise ValueError("expected at least one mesh, got none")
    arrays = [np.asarray(mesh.vertices if isinstance(mesh, Mesh) else mesh) for mesh in meshes]
    if arrays[0].ndim != 2 or arrays[0].shape[1] != 3 or arrays[0].dtype.kind not in "fiu" or not len(arrays[0]):
        raise ValueError(f"expected meshes (V, 3) of numbers, got {arrays[0].dtype} {arrays[0].shape}")
    first = next((mesh.triangles for mesh in meshes if isinstance(mesh, Mesh)), None)
    other = [
        number
        for number, (mesh, array) in enumerate(zip(meshes, arrays, strict=True))
        if array.shape != arrays[0].shape
        or (isinstance(mesh, Mesh) and first is not None and not np.array_equal(mesh.triangles, first))
    ]
    if other:
        raise ValueError(
            f"expected meshes of one topology ({len(arrays[0])} vertices, as mesh 0), got {len(other)} others: "
            f"{listed(other)}"
        )
    stacked = np.stack(arrays).astype(np.float64, copy=False)
    bad = np.flatnonzero(~np.isfinite(stacked).all(axis=(1, 2)))
    if len(bad):
        raise ValueError(f"expected finite vertices, got {len(bad)} meshes with others: {listed(bad)}")
    return stacked


def _to_mean(
    centred: np.ndarray, target: np.ndarray, share: np.ndarray, size: float
) -> tuple[np.ndarray, np.ndarray]:
    """Generalised Procrustes: meshes (N, V, 3) turned onto their common mean (V, 3)."""
    for _ in range(ROUNDS):
        centred = centred @ _rotations(centred, target, share)
        mean = centred.mean(0)
        moved = np.sqrt((share[:, None] * (mean - target) ** 2).sum())
        target = mean
        if moved < TOLERANCE * size:
            break
    return centred, target


def _rotations(centred: np.ndarray, target: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(N, 3, 3) R with ``centred @ R`` closest to the target, never a reflection (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(centred.transpose(0, 2, 1) @ (share[:, None] * target))
    vt[:, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return u @ vt


def _centres(vertices: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(N, 1, 3) weighted centres."""
    return (share @ vertices)[:, None]


def _shares(weights: np.ndarray | None, count: int) -> np.ndarray:
    values = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    if values.shape != (count,) or not np.isfinite(values).all() or values.min() < 0 or (values > 0).sum() < 3:
        raise ValueError(f"expected weights ({count},) >= 0 with three that are not 0, got {values.shape}")
    return values / values.sum()

"""People: ICT's statistics and a moderated share of anny's own variation -> heads -> PCA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from correspondence import Template

from likeness.register import similarity_from_points

# At full range anny's faces are caricatures. These shares were chosen by eye on pages of random heads: with them
# no head stood out as drawn, and the spread stays below that of the scans' own statistics.
PHENOTYPE_SHARE = 0.55
LOCAL_STD = 0.16
LOCAL_ACTIVE = 14  # local targets that differ in one person


def anny_offsets(path: Path, template: Template, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, V, 3) mm: what makes random anny adults differ from the template, without pose and position."""
    arrays = np.load(path)
    phenotypes, local = arrays["phenotype_offsets"], arrays["local_offsets"]
    front = np.flatnonzero(template.skin & (template.vertices[:, 2] > 60))
    offsets = np.empty((count, *template.vertices.shape), np.float32)
    for number in range(count):
        offset = PHENOTYPE_SHARE * phenotypes[rng.integers(len(phenotypes))]
        chosen = rng.choice(len(local), LOCAL_ACTIVE, replace=False)
        for target, weight in zip(chosen, rng.normal(0, LOCAL_STD, LOCAL_ACTIVE), strict=True):
            offset = offset + abs(weight) * local[target, 0 if weight > 0 else 1]
        moved = template.vertices + offset
        _, rotation, _ = similarity_from_points(moved[front], template.vertices[front])
        shift = template.vertices[front].mean(0) - (moved[front] @ rotation.T).mean(0)
        offsets[number] = moved @ rotation.T + shift - template.vertices
    return offsets - offsets.mean(0)


def principal_components(samples: np.ndarray, weights: np.ndarray, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """PCA under per-vertex weights.

    Args:
        samples: (N, V, 3) mm, centred.
        weights: (V,) how much a vertex's error counts.
        modes: K.

    Returns:
        (K, V, 3) basis in mm per standard deviation, and the share (K,) of the weighted variance explained.
    """
    count = len(samples)
    root = np.sqrt(weights)[None, :, None].astype(np.float32)
    flat = (samples * root).reshape(count, -1)
    values, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    order = np.argsort(values)[::-1][:modes]
    # Row k of the combination matrix makes the k-th mode from the samples, scaled to one standard deviation.
    combine = vectors[:, order].T / np.sqrt(count)
    basis = np.tensordot(combine, samples, 1)
    signs = np.sign(basis.reshape(len(basis), -1).sum(1))
    return basis * signs[:, None, None], values[order] / values.sum()

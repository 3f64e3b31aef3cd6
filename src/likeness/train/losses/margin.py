"""Losses that make identities recognisable: margin softmax, uniformity.

Derived from the abstracts of the papers and from first principles (design, sections 3.4 and 3.5), except where a
source is named.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def margin_softmax(vectors: Tensor, centers: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Additive-margin softmax (Wang et al., CosFace, 2018) of directions against class directions.

    The cosine to the own class must win by ``margin`` over those to all others; lengths do not matter.

    Args:
        vectors: (n, K), any length.
        centers: (C, K) one vector per class, any length.
        labels: (n,) int64 in [0, C).
        scale: s of the logits.
        margin: m, cosine.

    Returns:
        scalar, the mean cross-entropy in nats; 0 for no vectors.
    """
    if len(vectors) == 0:
        return vectors.sum()
    cosines = functional.normalize(vectors, dim=-1) @ functional.normalize(centers, dim=-1).T
    own = functional.one_hot(labels, len(centers)).to(cosines.dtype)
    return functional.cross_entropy(scale * (cosines - margin * own), labels)


def uniformity(vectors: Tensor, temperature: float = 2.0) -> Tensor:
    """``log mean_{p<q} exp(−t |u_p − u_q|²)`` of the directions u (Wang and Isola 2020): −2 t at best in many
    dimensions, 0 where all point the same way.

    Args:
        vectors: (n, K), n ≥ 2, any length.
        temperature: t.
    """
    if len(vectors) < 2:
        raise ValueError(f"expected at least two vectors, got {tuple(vectors.shape)}")
    units = functional.normalize(vectors, dim=-1)
    squared = 2 - 2 * (units @ units.T)
    rows, columns = torch.triu_indices(len(units), len(units), 1, device=units.device)
    exponents = -temperature * squared[rows, columns]
    return torch.logsumexp(exponents, 0) - torch.log(exponents.new_tensor(float(len(exponents))))

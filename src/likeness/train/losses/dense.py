"""The loss of points that the network places freely in the crop."""

from __future__ import annotations

import torch
from torch import Tensor

from likeness.train.photos.point_decoder import DensePoints
from likeness.train.recipe_settings import DenseWeights

ROBUST_PIXELS = 0.5
"""Errors below this, pixels of the crop, count quadratically."""


def drawn_rows(weights: DenseWeights, count: int) -> Tensor | None:
    """Numbers (p,) int64 of a step's points among ``count``, from torch's generator; None: all."""
    return torch.randperm(count)[: weights.points] if 0 < weights.points < count else None


def weighted(terms: dict[str, Tensor], weights: DenseWeights) -> Tensor:
    """The weighted sum of what :func:`dense_loss` gives."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def dense_loss(found: DensePoints, truth: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Terms by the names of :class:`DenseWeights`, unweighted; 0 where nothing is known.

    Args:
        found: n crops' points.
        truth: (n, p, 2) crop pixels.
        weight: (n, p) >= 0; means are over what is weighted.
    """
    total = weight.sum().clamp_min(1.0)

    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum() / total

    def distance(points: Tensor) -> Tensor:
        return ((points - truth).square().sum(-1) + ROBUST_PIXELS**2).sqrt() - ROBUST_PIXELS

    coarse, middle = found.guesses
    # A Laplace density forgives wild labels. For 2D errors of deviation s along each axis, the mean distance is
    # s sqrt(pi / 2), and a Laplace density in distance / sqrt 2 of scale b is likeliest at b = mean / sqrt 2.
    scale = found.deviation * (torch.pi**0.5 / 2)
    away = (found.points.detach() - truth).norm(dim=-1) * 0.5**0.5
    return {
        "coarse": mean(distance(coarse)),
        "middle": mean(distance(middle)),
        "fine": mean(distance(found.points)),
        "sureness": mean(away / scale + scale.log()),
    }

"""Which weights are learned how fast, and one step of that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from likeness.train.schedule import Schedule


def parameter_groups(
    parameters: Iterable[nn.Parameter], schedule: Schedule, rate: float = 1.0
) -> list[dict[str, Any]]:
    """Groups for AdamW: weights of convolutions and linear layers decay, biases and normalisations do not.

    Args:
        parameters: to be learned.
        schedule: says how strongly they decay.
        rate: their learning rate relative to the schedule's.
    """
    every = list(parameters)
    matrices, others = ([one for one in every if (one.ndim > 1) == is_matrix] for is_matrix in (True, False))
    return [
        {"params": matrices, "weight_decay": schedule.weight_decay, "relative": rate},
        {"params": others, "weight_decay": 0.0, "relative": rate},
    ]


def descend(optimizer: Any, schedule: Schedule, step: int, steps: int) -> None:
    """Change weights by the gradients that were gathered, clipped, at the schedule's rate for this step, and forget
    the gradients."""
    for group in optimizer.param_groups:  # groups of earlier versions do not say how fast they are
        group["lr"] = schedule.rate(step, steps) * group.get("relative", 1.0)
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    torch.nn.utils.clip_grad_norm_(learned, schedule.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)

"""How long and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Args:
        budget: samples seen in all, negatives included, over all devices.
        learning_rate: the highest; after a linear warm-up it falls along a cosine to 1 % at the end of the budget.
        warmup: share of the budget.
        weight_decay: AdamW's, on weights of convolutions and linear layers.
        clip: largest norm of the gradient.
        ema: decay of the averaged weights per step, reached gradually.
        pseudo_at: shares of the budget at which the averaged network labels the photos anew.
    """

    budget: int = 1_500_000
    learning_rate: float = 2e-3
    warmup: float = 0.02
    weight_decay: float = 0.02
    clip: float = 5.0
    ema: float = 0.998
    pseudo_at: tuple[float, ...] = (0.06, 0.2, 0.4, 0.65)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step."""
        warm = max(1, round(self.warmup * steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        done = (step - warm) / max(1, steps - warm)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done))))

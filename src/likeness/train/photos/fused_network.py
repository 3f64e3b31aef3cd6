"""What was learned of whom to believe -> weights of the network (:mod:`likeness.train.photos.fusion`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from likeness.train.photos.fullness import FullEstimator
from likeness.train.photos.fusion import Estimator
from likeness.train.photos.network import Regressor

LEARNED = ("mean", "fusion", "photographed", "change")
"""Parts of the network that are what was learned."""


def install(
    network: Regressor,
    fused: Estimator | FullEstimator,
    plain: Estimator,
    colours: dict[str, tuple[np.ndarray, np.ndarray]],
) -> Regressor:
    """A copy of the network, in evaluation mode, with what was learned in it; all else is as it was.

    Args:
        network: whose features these are of.
        fused: becomes ``mean`` and ``fusion``, and what photographs get besides ``photographed`` and ``change``.
        plain: from the features alone, becomes the head ``identity``.
        colours: name of a head -> its weights (H, A) and bias (A,).
    """
    full = fused if isinstance(fused, FullEstimator) else None
    estimator = fused.estimator if isinstance(fused, FullEstimator) else fused
    settings = replace(network.settings, fused=len(estimator.matrices), fuller=full is not None)
    made = Regressor(settings).eval()
    state = {name: value for name, value in network.state_dict().items() if name.split(".")[0] not in LEARNED}
    new = {name: value for name, value in made.state_dict().items() if name.split(".")[0] in LEARNED}
    made.load_state_dict({**state, **new})
    _set(made.mean, estimator.weight, estimator.bias)
    made.fusion.copy_(torch.from_numpy(estimator.matrices))
    if full is not None:
        _set(made.photographed, full.weight[:, None], np.array([full.bias]))
        made.change.copy_(torch.from_numpy(full.change))
    _set(made.heads["identity"], plain.weight, plain.bias)
    for name, (weight, bias) in colours.items():
        _set(made.heads[name], weight, bias)
    return made


def _set(layer: nn.Module | None, weight: np.ndarray, bias: np.ndarray) -> None:
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.T))
        layer.bias.copy_(torch.from_numpy(bias))

"""Averaged weights, and reading what training wrote."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from likeness.errors import FileError, StrPath
from likeness.train.photos.network import NetSettings, Regressor

CHECKPOINT = "checkpoint.pt"
"""The file in a training's output folder."""


M = TypeVar("M", bound=nn.Module)


class MovingAverage(Generic[M]):
    """Exponential moving average of a module's weights; running statistics of normalisations are averaged too."""

    def __init__(self, module: M, decay: float) -> None:
        self.module: M = deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after a step; the first steps count more, or the start would linger."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        for kept, new in zip(self.module.state_dict().values(), module.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new.to(kept.dtype), 1.0 - decay)
            else:
                kept.copy_(new)


def load_regressor(path: StrPath) -> tuple[Regressor, dict[str, Any]]:
    """The averaged network of a checkpoint, ready for inference on the CPU, and what else the checkpoint holds.

    Raises:
        FileError: missing, damaged, or not written by :func:`likeness.train.photos.trainer.train_photos`.
    """
    state = read_checkpoint(path)
    network = Regressor(NetSettings(**state["net"]))
    network.load_state_dict(state["average"])
    return network.eval(), state


def read_checkpoint(path: StrPath) -> dict[str, Any]:
    """The contents of ``checkpoint.pt``; see :meth:`Trainer.state`.

    Raises:
        FileError: missing, damaged, or not a checkpoint of a regressor.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    except Exception as error:  # torch raises pickle, zip and runtime errors for damaged files
        raise FileError(path, "expected a regressor's checkpoint, the file is damaged or something else") from error
    if not isinstance(state, dict) or state.get("kind") != "likeness regressor":
        raise FileError(path, "expected a checkpoint of a regressor")
    return state


def with_defaults(known: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """Settings of a checkpoint with what it lacks of the usual ones, and so in the dictionaries within: an earlier
    version did not know all names, and did what is usual now."""
    both = dict(usual)
    for name, value in known.items():
        within = usual.get(name)
        both[name] = with_defaults(value, within) if isinstance(value, dict) and isinstance(within, dict) else value
    return both

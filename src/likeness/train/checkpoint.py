"""Averaged weights, and reading what training wrote."""

from __future__ import annotations

import io
import zipfile
from contextlib import AbstractContextManager
from copy import deepcopy
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from likeness.errors import FileError, StrPath, blamed_on
from likeness.files import write_atomically
from likeness.train.photos.network import NetSettings, Regressor

CHECKPOINT = "checkpoint.pt"
"""The file in a training's output folder."""

WHAT = "a checkpoint of a regressor"


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
    with taking_up(path, WHAT):
        settings = NetSettings(**state["net"])
        with torch.device("meta"):  # nothing is allocated for sizes that the weights do not have
            sizes = {name: value.shape for name, value in Regressor(settings).state_dict().items()}
        if sizes != {name: value.shape for name, value in state["average"].items()}:
            raise ValueError("weights of other sizes than it says")
        network = Regressor(settings)
        network.load_state_dict(state["average"])
    return network.eval(), state


def read_checkpoint(path: StrPath) -> dict[str, Any]:
    """The contents of ``checkpoint.pt``; see :meth:`Trainer.state`.

    Raises:
        FileError: missing, damaged, or not a checkpoint of a regressor.
    """
    return read_state(path, "likeness regressor", WHAT)


def read_state(path: StrPath, kind: str, what: str) -> dict[str, Any]:
    """What a training wrote with ``torch.save``: tensors, numbers, text and containers of them, never code.

    Args:
        path: the file.
        kind: what the state must say that it is, under ``kind``.
        what: that is, for messages: "a checkpoint of a regressor".

    Raises:
        FileError: missing, damaged, or of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch stores its tensors as they are: nothing in it may grow
            if any(entry.file_size > entry.compress_size for entry in archive.infolist()):
                raise FileError(path, f"expected {what}, the file is something else")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    except FileError:
        raise
    except Exception as error:  # torch raises pickle, zip and runtime errors for damaged files
        raise FileError(path, f"expected {what}, the file is damaged or something else") from error
    if not isinstance(state, dict) or state.get("kind") != kind:
        raise FileError(path, f"expected {what}")
    return state


def write_state(path: StrPath, state: dict[str, Any]) -> None:
    """Write what :func:`read_state` reads: whole, or not at all.

    Raises:
        FileError: it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def taking_up(path: StrPath, what: str) -> AbstractContextManager[None]:
    """While a state that was read is used: whatever does not fit is told as the file's fault.

    Raises:
        FileError: in place of any error within.
    """
    return blamed_on(path, what, "its parts do not fit")


def refuse_another_run(
    path: StrPath,
    state: dict[str, Any],
    settings: dict[str, Any],
    others: dict[str, Any] | None = None,
    usual: dict[str, Any] | None = None,
) -> None:
    """A run goes on only with what decides its result as it was.

    Args:
        path: of the checkpoint.
        state: its contents, the settings under ``settings``.
        settings: that decide the result, of the run that is to go on.
        others: what else decides it, by the names in the state.
        usual: settings of which an earlier version did not know all, with the values that it had for them.

    Raises:
        FileError: something differs.
    """
    theirs = state["settings"] if usual is None else with_defaults(state["settings"], usual)
    expected = {**{name: theirs.get(name) for name in settings}, **{name: state.get(name) for name in others or {}}}
    for name, value in {**settings, **(others or {})}.items():
        if value != expected[name]:
            raise FileError(path, f"cannot go on with another {name}: expected {expected[name]}, got {value}")


def with_defaults(known: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """Settings of a checkpoint with what it lacks of the usual ones, and so in the dictionaries within: an earlier
    version did not know all names, and did what is usual now."""
    both = dict(usual)
    for name, value in known.items():
        within = usual.get(name)
        both[name] = with_defaults(value, within) if isinstance(value, dict) and isinstance(within, dict) else value
    return both

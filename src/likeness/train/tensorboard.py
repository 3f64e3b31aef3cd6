"""The TensorBoard curves and pictures of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class Journal:
    """Writes into a folder, from the first process only.

    Args:
        folder: of the training.
        writes: whether this process does.
        step: where a resumed training begins: what was written beyond is dropped.
    """

    def __init__(self, folder: Path, writes: bool, step: int = 0) -> None:
        self._writer: Any = None
        if writes:
            from torch.utils.tensorboard import SummaryWriter

            folder.mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(str(folder), purge_step=step or None)

    def scalars(self, group: str, values: dict[str, float], step: int) -> None:
        """Points of the curves GROUP/NAME."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """A picture (H, W, 3) uint8."""
        if self._writer is not None:
            self._writer.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()

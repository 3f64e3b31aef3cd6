"""The TensorBoard curves and pictures of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SUFFIX = ".likeness"
"""Ends the names of the files: others may keep their curves in the same folder."""


class Journal:
    """Writes into a folder, from the first process only.

    Each opening is a file of its own, as TensorBoard wants it. A training that begins anew removes those of earlier
    ones, whose curves would be drawn into its own.

    Args:
        folder: of the training.
        writes: whether this process does.
        step: where a resumed training begins: what was written beyond is dropped; 0: it begins anew.
    """

    def __init__(self, folder: Path, writes: bool, step: int = 0) -> None:
        self._writer: Any = None
        if writes:
            from torch.utils.tensorboard import SummaryWriter

            folder.mkdir(parents=True, exist_ok=True)
            if not step:
                for path in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
                    path.unlink(missing_ok=True)
            self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None, filename_suffix=SUFFIX)

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

"""The regressor in ONNX: crops of faces in, coefficients out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.networks.session import describing, open_session

OUTPUTS = ("identity", "expression", "rotation", "translation", "albedo", "light", "score")


@dataclass(frozen=True, eq=False)
class Network:
    """The regressor in ONNX: crops (N, S, S, 3) uint8 RGB -> named arrays, see ``likeness.train.photos.network``."""

    session: Any
    size: int
    name: str
    model_name: str

    @classmethod
    def load(cls, path: StrPath, threads: int | None = None) -> Network:
        """Open an exported regressor.

        Args:
            path: the ``.onnx`` file.
            threads: CPU threads; None: ONNX Runtime's choice.

        Raises:
            FileError: missing, damaged, or not a regressor of this package.
        """
        session = open_session(path, "a regressor", threads=threads, gpu=True)
        with describing(path, "a regressor"):
            outputs = {output.name for output in session.get_outputs()}
            metadata = session.get_modelmeta().custom_metadata_map
            if set(OUTPUTS) - outputs:
                raise FileError(path, f"expected outputs {OUTPUTS}, got {sorted(outputs)}")
            size = int(session.get_inputs()[0].shape[1])
        return cls(session, size, metadata.get("name", Path(path).stem), metadata.get("face_model", ""))

    def __call__(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Crops (N, S, S, 3) uint8 -> name -> (N, ...) float32."""
        return dict(zip(OUTPUTS, self.session.run(list(OUTPUTS), {"image": crops}), strict=True))

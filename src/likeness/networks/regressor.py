"""The regressor in ONNX: crops of faces in, coefficients out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.networks.session import open_session

OUTPUTS = ("identity", "expression", "rotation", "translation", "albedo", "light", "score")
DENSE_OUTPUTS = ("points", "deviation")
"""What networks that place surface points say besides: (N, P, 2) and the standard deviations (N, P), crop pixels."""


@dataclass(frozen=True, eq=False)
class Network:
    """The regressor in ONNX: crops (N, S, S, 3) uint8 RGB -> named arrays, see ``likeness.train.photos.network``.

    Attributes:
        session: ONNX Runtime's.
        size: S.
        name: what it calls itself.
        model_name: of the face model that its coefficients are for.
        points: P, the surface points that it places; 0: none.
    """

    session: Any
    size: int
    name: str
    model_name: str
    points: int = 0

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
        outputs = {output.name: output.shape for output in session.get_outputs()}
        metadata = session.get_modelmeta().custom_metadata_map
        if set(OUTPUTS) - set(outputs):
            raise FileError(path, f"expected outputs {OUTPUTS}, got {sorted(outputs)}")
        size = int(session.get_inputs()[0].shape[1])
        points = 0
        if set(DENSE_OUTPUTS) <= set(outputs):
            points = outputs["deviation"][1]
            if not isinstance(points, int) or outputs["points"][1:] != [points, 2]:
                raise FileError(path, f"expected points (n, P, 2) and deviation (n, P), got {outputs}")
        return cls(session, size, metadata.get("name", Path(path).stem), metadata.get("face_model", ""), points)

    def __call__(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Crops (N, S, S, 3) uint8 -> name -> (N, ...) float32, by :data:`OUTPUTS`, and by :data:`DENSE_OUTPUTS`
        where the network places points."""
        names = [*OUTPUTS, *(DENSE_OUTPUTS if self.points else ())]
        return dict(zip(names, self.session.run(names, {"image": crops}), strict=True))

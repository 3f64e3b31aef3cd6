"""The ICT face model (MIT, USC-ICT) from ``ict-face-model.npz``, in millimetres, with ARKit's expression names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.model.formats.ict import arkit_shapes


@dataclass(frozen=True, eq=False)
class Ict:
    """ICT's arrays on its own topology; ``part`` 0 face, 1 head and neck, 2 and 3 the left and right eyeball."""

    mean: np.ndarray  # (N, 3) mm
    triangles: np.ndarray
    identity: np.ndarray  # (100, N, 3) mm per unit Gaussian weight
    expression: dict[str, np.ndarray]  # ARKit name -> (N, 3) mm at weight 1
    landmarks: np.ndarray  # (68,)
    part: np.ndarray  # (N,)

    @property
    def skin_triangles(self) -> np.ndarray:
        """Triangles (F, 3) without the eyeballs."""
        return self.triangles[(self.part[self.triangles] < 2).all(1)]

    @classmethod
    def load(cls, path: Path) -> Ict:
        arrays = np.load(path)
        fields = {}
        for key in ("identity", "expression"):
            scale = arrays[f"{key}_scale"][:, None, None] / 32767 * 10  # centimetres
            fields[key] = arrays[f"{key}_q"].astype(np.float32) * scale
        names = [str(name) for name in arrays["expression_names"]]
        return cls(
            arrays["mean"].astype(np.float64) * 10,
            arrays["triangles"],
            fields["identity"],
            arkit_shapes(dict(zip(names, fields["expression"], strict=True))),
            arrays["landmarks68"],
            arrays["part"],
        )

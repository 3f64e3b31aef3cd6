"""The ICT face model (MIT, USC-ICT) from ``ict-face-model.npz``, in millimetres, with ARKit's expression names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.face_model import ARKIT_NAMES


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
            _arkit(dict(zip(names, fields["expression"], strict=True))),
            arrays["landmarks68"],
            arrays["part"],
        )


def _arkit(shapes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ICT's ``_L``/``_R`` names -> ARKit's; a pair that ARKit has only as one shape is summed. No tongueOut."""
    result = {}
    for name in ARKIT_NAMES:
        own = name.replace("Left", "_L").replace("Right", "_R") if name[-4:] in ("Left", "ight") else name
        own = name if own in ("jaw_L", "jaw_R", "mouth_L", "mouth_R") else own
        if own in shapes:
            result[name] = shapes[own]
        elif f"{name}_L" in shapes:
            result[name] = shapes[f"{name}_L"] + shapes[f"{name}_R"]
    return result

"""Folders that :mod:`likeness.train.generate` writes, memory-mapped: rendered faces, and morphs between people."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.model.face_model import FaceModel
from likeness.readers import map_npy

Shape = tuple[int | None, ...]

SYNTHETIC_FILES = tuple(
    f"{name}.npy"
    for name in ("rgba", "identity", "expression", "albedo", "light", "rotation", "translation", "focal")
)
"""What a folder of rendered faces holds."""

MORPH_FILES = tuple(f"{name}.npy" for name in ("image", "landmarks", "told", "person"))
"""What a folder of morphs holds."""


class SyntheticFaces:
    """The folder that :mod:`likeness.train.generate.rendered` writes, memory-mapped: one ``.npy`` per field.

    Attributes:
        rgba: (N, S, S, 4) uint8, colours not multiplied by alpha.
        identity, expression, albedo: (N, K), (N, 52), (N, A).
        light: (N, 9, 3) upright camera axes.
        rotation, translation: (N, 3, 3), (N, 3) mm: ``pixel = K (R x + t)``, principal point in the middle.
        focal: (N,) pixels.

    Raises:
        FileError: a file is missing, is no array, or has another length or shape than the model needs.
    """

    def __init__(self, folder: StrPath, model: FaceModel) -> None:
        self.folder = Path(folder)
        self.rgba = self._field("rgba", (None, None, 4))
        self.identity = self._field("identity", (len(model.identity_basis),))
        self.expression = self._field("expression", (len(model.expression_basis),))
        self.albedo = self._field("albedo", (len(model.albedo_basis),))
        self.light = self._field("light", (9, 3))
        self.rotation = self._field("rotation", (3, 3))
        self.translation = self._field("translation", (3,))
        self.focal = self._field("focal", ())

    def __len__(self) -> int:
        return len(self.rgba)

    def _field(self, name: str, shape: Shape) -> np.ndarray:
        return _memory_map(self.folder / f"{name}.npy", shape, None if name == "rgba" else len(self.rgba))


class Morphs:
    """The folder that :mod:`likeness.train.generate.morphs` writes, memory-mapped.

    Attributes:
        image: (N, S, S, 3) uint8.
        landmarks: (N, 68, 2) pixels.
        embedding: (N, D) the teacher's embeddings.
        person: (N,) who it is, from 0.

    Raises:
        FileError: a file is missing, no array, or of another shape.
    """

    def __init__(self, folder: StrPath) -> None:
        path = Path(folder)
        self.image = _memory_map(path / "image.npy", (None, None, 3))
        self.landmarks = _memory_map(path / "landmarks.npy", (68, 2), len(self.image))
        self.embedding = _memory_map(path / "told.npy", (None,), len(self.image))
        self.person = np.asarray(_memory_map(path / "person.npy", (), len(self.image)))

    def __len__(self) -> int:
        return len(self.image)


def _memory_map(path: Path, shape: Shape, count: int | None = None) -> np.ndarray:
    """An array (count, *shape) in a ``.npy`` file; None: of any length there."""
    array = map_npy(path, "an array")
    wanted = (count, *shape)
    if array.ndim != len(wanted) or any(w not in (None, got) for w, got in zip(wanted, array.shape, strict=True)):
        sizes = ", ".join("any" if size is None else str(size) for size in wanted)
        raise FileError(path, f"expected an array ({sizes}), got {array.shape}")
    return array

"""Folders of rendered faces with all labels, memory-mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.model.face_model import FaceModel


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

    def _field(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r")
        except OSError as error:
            raise FileError(path, f"cannot be read ({error.strerror or error})") from error
        except ValueError as error:
            raise FileError(path, f"expected a .npy array ({error})") from error
        count = len(array) if name == "rgba" and array.ndim else len(self.rgba)
        fits = array.ndim == len(shape) + 1 and all(
            want in (None, got) for want, got in zip((count, *shape), array.shape, strict=True)
        )
        if not fits:
            raise FileError(path, f"expected an array {(count, *shape)} for this face model, got {array.shape}")
        return array

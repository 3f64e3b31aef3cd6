"""Photographs of a person in, a 3D head that people recognise out.

    import likeness
    faces = likeness.Reconstructor()("photo.jpg")

The public names below are all there is; they are loaded at first use, so importing the package costs little.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likeness.camera import Camera, project
    from likeness.errors import FileError, LikenessError, MissingExtraError
    from likeness.face_model import ARKIT_NAMES, Coefficients, FaceModel
    from likeness.identity import GaussianSpace, SphereSpace
    from likeness.mesh import Mesh
    from likeness.predict import Reconstructor
    from likeness.reconstruction import Reconstruction

__version__ = "0.1.0"

_HOMES = {
    "ARKIT_NAMES": "face_model",
    "Camera": "camera",
    "Coefficients": "face_model",
    "FaceModel": "face_model",
    "FileError": "errors",
    "GaussianSpace": "identity",
    "LikenessError": "errors",
    "Mesh": "mesh",
    "MissingExtraError": "errors",
    "Reconstruction": "reconstruction",
    "Reconstructor": "predict",
    "SphereSpace": "identity",
    "project": "camera",
}

__all__ = [
    "ARKIT_NAMES",
    "Camera",
    "Coefficients",
    "FaceModel",
    "FileError",
    "GaussianSpace",
    "LikenessError",
    "Mesh",
    "MissingExtraError",
    "Reconstruction",
    "Reconstructor",
    "SphereSpace",
    "project",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'likeness' has no attribute {name!r}")
    return getattr(importlib.import_module(f"likeness.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

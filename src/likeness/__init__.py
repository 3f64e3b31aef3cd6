"""Photographs of a person in, a 3D head that people recognise out.

    import likeness
    faces = likeness.Reconstructor()("photo.jpg")

The public names below are all there is; they are loaded at first use, so importing the package costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from likeness.lazy import lazy_names
from likeness.version import __version__ as _version

if TYPE_CHECKING:
    from likeness.errors import FileError, FileWarning, LikenessError, MissingExtraError
    from likeness.geometry.camera import Camera, project
    from likeness.mesh import Mesh
    from likeness.model.face_model import ARKIT_NAMES, Coefficients, FaceModel
    from likeness.model.identity import GaussianSpace, SphereSpace
    from likeness.reconstruct.reconstructor import Reconstructor
    from likeness.reconstruct.result import Reconstruction

__version__ = _version

_HOMES = {
    "ARKIT_NAMES": "model.face_model",
    "Camera": "geometry.camera",
    "Coefficients": "model.face_model",
    "FaceModel": "model.face_model",
    "FileError": "errors",
    "FileWarning": "errors",
    "GaussianSpace": "model.identity",
    "LikenessError": "errors",
    "Mesh": "mesh",
    "MissingExtraError": "errors",
    "Reconstruction": "reconstruct.result",
    "Reconstructor": "reconstruct.reconstructor",
    "SphereSpace": "model.identity",
    "project": "geometry.camera",
}

__all__ = [
    "ARKIT_NAMES",
    "Camera",
    "Coefficients",
    "FaceModel",
    "FileError",
    "FileWarning",
    "GaussianSpace",
    "LikenessError",
    "Mesh",
    "MissingExtraError",
    "Reconstruction",
    "Reconstructor",
    "SphereSpace",
    "project",
]

__getattr__, __dir__ = lazy_names("likeness", _HOMES)

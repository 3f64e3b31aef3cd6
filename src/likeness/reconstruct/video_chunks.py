"""What has been seen of a video so far, on disk in chunks, so that memory stays small and a killed run goes on.

A chunk is an ``.npz`` of arrays, written whole or not at all. The folder belongs to one video, one network and one
set of settings: its name says which.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import write_atomically
from likeness.geometry.camera import Camera
from likeness.model.face_model import Coefficients, FaceModel
from likeness.readers import NpzArrays
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.reconstruct.result import Cues, Reconstruction

FRAMES = 128
"""Frames of a chunk: what a run loses that is killed."""

NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


def made_by(reconstructor: Reconstructor) -> dict[str, str]:
    """The models on which what is seen depends, by their content: files of one name are not one network."""
    model, points = reconstructor.model, reconstructor.points
    surface = model.topology
    names = np.array([model.name, *model.expression_names, *model.albedo_names, *surface.regions])
    return {
        "network": f"{reconstructor.network.digest} {reconstructor.network.precision}",
        "model": _digest_of(
            [
                *(model.mean, model.identity_basis, model.expression_basis, model.albedo_mean, model.albedo_basis),
                *(one for one in (surface.triangles, surface.uv, surface.uv_triangles) if one is not None),
                *(*surface.regions.values(), names),
            ]
        ),
        "points": "" if points is None else _digest_of(points.arrays().values()),
    }


def _digest_of(arrays: Iterable[np.ndarray]) -> str:
    """The sha256 of arrays' bytes."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


class Chunks:
    """Numbered chunks of several kinds in a folder.

    Args:
        folder: that holds unfinished work; made when something is written.
        key: of all that the content depends on.
    """

    def __init__(self, folder: StrPath, key: Mapping[str, Any]) -> None:
        text = json.dumps(key, sort_keys=True).encode()
        self.folder = Path(folder) / f"video-{hashlib.sha256(text).hexdigest()[:16]}"

    def read(self, kind: str, number: int) -> dict[str, np.ndarray] | None:
        """A chunk's arrays; None where it is not there, or not as it was written."""
        path = self._path(kind, number)
        if not path.is_file():
            return None
        try:
            arrays = NpzArrays(path, "a chunk of a video")
            return {name: arrays[name] for name in arrays}
        except FileError:  # of another version, or damaged: made anew
            return None

    def write(self, kind: str, number: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a chunk; FileError where that cannot be."""
        buffer = io.BytesIO()
        whole: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
        np.savez(buffer, **whole)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(self.folder, f"cannot be made ({error.strerror}); expected a writable folder") from error
        write_atomically(self._path(kind, number), buffer.getvalue())

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, kind: str, number: int) -> Path:
        return self.folder / f"{kind}-{number:06d}.npz"


COEFFICIENTS = ("identity", "expression", "albedo", "light")
PLACE = ("rotation", "translation", "landmarks", "box", "points", "deviation")
CUES = ("features", "fitted", "expression")


def packed(faces: Sequence[Reconstruction]) -> dict[str, np.ndarray]:
    """Faces of one model and one size of picture as arrays (N, ...); nothing for none."""
    if not faces:
        return {}
    cues = [face.cues for face in faces]
    found = {name: np.stack([getattr(face.coefficients, name) for face in faces]) for name in COEFFICIENTS}
    found |= {name: np.stack([np.asarray(getattr(face, name)) for face in faces]) for name in PLACE}
    found |= {f"cue_{name}": np.stack([np.asarray(getattr(cue, name)) for cue in cues]) for name in CUES}
    found["precision"] = np.array([cue.precision for cue in cues if cue is not None])
    found["score"] = np.array([face.score for face in faces])
    found["focal"] = np.array([face.camera.focal for face in faces])
    found["center"] = np.array([face.camera.center for face in faces])
    return found


def unpacked(
    arrays: Mapping[str, np.ndarray], row: int, model: FaceModel, size: tuple[int, int], network: str
) -> Reconstruction:
    """One of the faces, without pixels; ``size``: (width, height) of the video; ``network``: sha256 of the file of
    the one that saw them."""
    # Copies: a view would keep the whole chunk in memory.
    values = {name: arrays[name][row].copy() for name in (*COEFFICIENTS, *PLACE)}
    features, fitted, expression = (arrays[f"cue_{name}"][row].copy() for name in CUES)
    cues = Cues(features, fitted, expression, float(arrays["precision"][row]), network)
    x, y = arrays["center"][row]
    return Reconstruction(
        model,
        Coefficients(*(values.pop(name) for name in COEFFICIENTS)),
        Camera(float(arrays["focal"][row]), (float(x), float(y)), size),
        score=float(arrays["score"][row]),
        photo=NO_PIXELS,
        cues=cues,
        **values,
    )


def seen_by(face: Reconstruction, focal: float) -> Reconstruction:
    """A face as a camera of another focal length (pixels) sees it: about the same picture, from another distance."""
    camera = replace(face.camera, focal=focal)
    nearer = np.array([1.0, 1.0, focal / face.camera.focal])
    return replace(face, camera=camera, translation=face.translation * nearer)

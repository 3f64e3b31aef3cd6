"""Other people's face models -> :class:`likeness.FaceModel`.

| model | files | module |
|---|---|---|
| Basel Face Model 2009 | ``01_MorphableModel.mat`` (and ``Exp_Pca.bin``) | :mod:`likeness.model.formats.bfm` |
| Basel Face Model 2017, 2019 | ``.h5`` (full, bfm, face12) | :mod:`likeness.model.formats.bfm` |
| FLAME 2020, 2023 | ``.pkl``, ``.npz`` | :mod:`likeness.model.formats.flame` |
| ICT face model | folder of OBJ files, ``ict-face-model.npz`` | :mod:`likeness.model.formats.ict` |
| Surrey and others of eos | ``.bin`` | :mod:`likeness.model.formats.eos` |
| FaceVerse 0 to 3 | ``.npy`` | :mod:`likeness.model.formats.faceverse` |
| FaceScape 1.6 | ``.npz`` | :mod:`likeness.model.formats.facescape` |
| likeness | ``.npz`` | :mod:`likeness.model.npz` |

Each module's docstring gives the layout and where it is published. Nothing in a file is executed, and no size that a
file claims is believed before it is checked against the bytes that are there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.model.face_model import FaceModel
from likeness.model.formats.arrays import Npz
from likeness.model.formats.assembly import Parts, assemble
from likeness.model.formats.landmark_mappings import read_contours, read_landmarks

__all__ = ["load_model"]

_EXPECTED = (
    "expected a face model: BFM (.mat, .h5), FLAME (.pkl, .npz), ICT (folder, .npz), eos (.bin), FaceVerse (.npy), "
    "FaceScape (.npz) or likeness (.npz)"
)
_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "bfm-h5",
    b"MATLAB 5.0": "bfm-2009",
    b"\x93NUMPY": "faceverse",
    **{bytes([0x80, protocol]): "flame" for protocol in range(2, 6)},
}
_SUFFIXES = {".bin": "eos", ".pkl": "flame", ".mat": "bfm-2009", ".h5": "bfm-h5"}  # without a beginning that tells
_NPZ = {  # an array that only this format has
    "format": "likeness",
    "identity_q": "ict-npz",
    "shapedirs": "flame-npz",
    "shape_bm_core": "facescape",
}


def load_model(
    path: StrPath,
    *,
    blendshapes: StrPath | None = None,
    landmarks: StrPath | None = None,
    contours: StrPath | None = None,
) -> FaceModel:
    """Read a face model of any format above; its beginning decides which, or the suffix if that tells nothing.

    The result is in millimetres with x to the subject's left, y up, z out of the face, and triangles
    counter-clockwise from outside. Its origin is midway between the eyes where the file or landmarks tell where they
    are (for lids: the mean of their points), otherwise that of the file. Identity codes are unit Gaussian. Expression
    names are ARKit's where the format has ARKit's shapes; expressions that are principal components take weights of
    about N(0, 1).

    Args:
        path: the file, or the folder of the ICT release.
        blendshapes: expressions in a file of their own: eos's, or Guo et al.'s ``Exp_Pca.bin`` for BFM 2009; None:
            what lies in the same folder under its usual name.
        landmarks: where the 68 iBUG points are; see :func:`likeness.model.formats.landmark_mappings.read_landmarks`.
            None: as the format knows them; models without have no ``landmark_map``.
        contours: eos's ``*_contours.json``, for mappings that lack the points of the jaw line.

    Raises:
        FileError: missing, damaged, hostile, or none of these formats; says what was expected.
        MissingExtraError: BFM 2017 or 2019 without h5py.
        ValueError: a companion file that the format has no use for.
    """
    source = Path(path)
    kind = _kind(source)
    if blendshapes is not None and kind not in ("bfm-2009", "eos"):
        raise ValueError(f"expected blendshapes only for BFM 2009 and eos models, {path} is {kind}")
    if kind == "likeness":
        if landmarks is not None or contours is not None:
            raise ValueError(f"expected no landmarks or contours, {path} is a likeness model and has its own")
        return FaceModel.load(source)
    try:
        with np.errstate(all="ignore"):  # what overflows is not finite, and refused for that
            parts = _read(kind, source, blendshapes)
            if landmarks is not None:
                parts = replace(parts, landmarks=read_landmarks(landmarks))
            if contours is not None:
                parts = replace(parts, contours=read_contours(contours))
            return assemble(parts)
    except (ValueError, OverflowError, IndexError) as error:
        raise FileError(path, f"cannot be used as a face model: {error}") from error


def _kind(path: Path) -> str:
    """Which format a file or folder is of."""
    if path.is_dir():
        return "ict-folder"
    try:
        with path.open("rb") as stream:
            head = stream.read(128)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error}); {_EXPECTED}") from error
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_npz(path)
    for start, kind in _MAGIC.items():
        if head.startswith(start):
            return kind
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    raise FileError(path, _EXPECTED)


def _kind_of_npz(path: Path) -> str:
    arrays = Npz(path)
    for name, kind in _NPZ.items():
        if name in arrays:
            return kind
    raise FileError(path, _EXPECTED)


def _read(kind: str, path: Path, blendshapes: StrPath | None) -> Parts:
    """The parts of a model; its format's module is imported only now."""
    if kind in ("bfm-2009", "bfm-h5"):
        from likeness.model.formats import bfm

        return bfm.read_bfm_2009(path, blendshapes) if kind == "bfm-2009" else bfm.read_bfm_h5(path)
    if kind in ("flame", "flame-npz"):
        from likeness.model.formats import flame

        return flame.read_flame_pickle(path) if kind == "flame" else flame.read_flame_npz(path, Npz(path))
    if kind in ("ict-folder", "ict-npz"):
        from likeness.model.formats import ict

        return ict.read_ict_folder(path) if kind == "ict-folder" else ict.read_ict_npz(path, Npz(path))
    if kind == "eos":
        from likeness.model.formats.eos import read_eos

        return read_eos(path, blendshapes)
    if kind == "faceverse":
        from likeness.model.formats.faceverse import read_faceverse

        return read_faceverse(path)
    from likeness.model.formats.facescape import read_facescape

    return read_facescape(path, Npz(path))

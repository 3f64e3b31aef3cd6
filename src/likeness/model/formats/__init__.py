"""Other people's face models -> :class:`likeness.FaceModel`.

| model | files | module |
|---|---|---|
| Basel Face Model 2009 | ``01_MorphableModel.mat`` (and ``Exp_Pca.bin``) | :mod:`likeness.model.formats.bfm` |
| Basel Face Model 2017, 2019 | ``.h5`` (full, bfm, face12) | :mod:`likeness.model.formats.bfm` |
| Deep3DFaceRecon's of BFM 2009 | ``BFM_model_front.mat`` | :mod:`likeness.model.formats.bfm_descendants` |
| 3DDFA_V2's of BFM 2009 | ``bfm_noneck_v3.pkl`` | :mod:`likeness.model.formats.bfm_descendants` |
| FLAME 2020, 2023 | ``.pkl``, ``.npz`` | :mod:`likeness.model.formats.flame` |
| FLAME's landmarks, masks | ``.npy``, ``.pkl`` beside it | :mod:`likeness.model.formats.flame_companions` |
| ICT face model | folder of OBJ files, ``ict-face-model.npz`` | :mod:`likeness.model.formats.ict` |
| Surrey and others of eos | ``.bin`` | :mod:`likeness.model.formats.eos` |
| FaceVerse 0 to 3 | ``.npy`` | :mod:`likeness.model.formats.faceverse` |
| FaceScape 1.6 | ``.npz`` | :mod:`likeness.model.formats.facescape` |
| likeness | ``.npz`` | :mod:`likeness.model.npz` |

Each module's docstring gives the layout and where it is published. Nothing in a file is executed, and no size that a
file claims is believed before it is checked against the bytes that are there.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from likeness.errors import FileError, FileWarning, StrPath
from likeness.files import read_bytes
from likeness.model.face_model import FaceModel
from likeness.model.formats.arrays import Npz
from likeness.model.formats.assembly import Parts, assemble
from likeness.model.formats.landmark_mappings import read_contours, read_landmarks
from likeness.model.formats.mat import read_mat

__all__ = ["load_model"]

_EXPECTED = (
    "expected a face model: BFM (.mat, .h5, .pkl), FLAME (.pkl, .npz), ICT (folder, .npz), eos (.bin), "
    "FaceVerse (.npy), FaceScape (.npz) or likeness (.npz)"
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
    masks: StrPath | None = None,
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
            For FLAME also its ``landmark_embedding.npy``. None: as the format knows them, for FLAME from a file of
            that name beside it; models without have no ``landmark_map``.
        contours: eos's ``*_contours.json``, for mappings that lack the points of the jaw line.
        masks: FLAME's ``FLAME_masks.pkl``, which become regions; None: a file of that name beside it. What was only
            found beside a model and cannot be used is left out with a :class:`likeness.FileWarning`.

    Raises:
        FileError: missing, damaged, hostile, or none of these formats; says what was expected.
        MissingExtraError: BFM 2017 or 2019 without h5py.
        ValueError: a companion file that the format has no use for.
    """
    source = Path(path)
    kind = _kind(source)
    if blendshapes is not None and kind not in ("bfm-2009", "eos"):
        raise ValueError(f"expected blendshapes only for BFM 2009 and eos models, {path} is {kind}")
    if masks is not None and not kind.startswith("flame"):
        raise ValueError(f"expected masks only for FLAME, {path} is {kind}")
    if kind == "likeness":
        if landmarks is not None or contours is not None:
            raise ValueError(f"expected no landmarks or contours, {path} is a likeness model and has its own")
        return FaceModel.load(source)
    try:
        with np.errstate(all="ignore"):  # what overflows is not finite, and refused for that
            parts = _read(kind, source, blendshapes)
            if kind.startswith("flame"):
                parts = _with_flames_companions(source, parts, landmarks, masks)
            elif landmarks is not None:
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
    kind = next((kind for start, kind in _MAGIC.items() if head.startswith(start)), None)
    kind = kind or _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise FileError(path, _EXPECTED)
    # An array's name is in a pickle as it is, whatever the protocol.
    return "3ddfa" if kind == "flame" and b"w_shp" in read_bytes(path) else kind


def _kind_of_npz(path: Path) -> str:
    arrays = Npz(path)
    for name, kind in _NPZ.items():
        if name in arrays:
            return kind
    raise FileError(path, _EXPECTED)


def _read(kind: str, path: Path, blendshapes: StrPath | None) -> Parts:
    """The parts of a model; its format's module is imported only now."""
    if kind == "bfm-2009":
        from likeness.model.formats import bfm, bfm_descendants

        arrays = read_mat(path, {*bfm.KEYS_2009, *bfm_descendants.DEEP3D})
        if "meanshape" not in arrays:
            return bfm.read_bfm_2009(path, arrays, blendshapes)
        if blendshapes is not None:
            raise ValueError(f"expected no blendshapes, {path} has its own")
        return bfm_descendants.read_deep3d(path, arrays)
    if kind == "bfm-h5":
        from likeness.model.formats.bfm import read_bfm_h5

        return read_bfm_h5(path)
    if kind == "3ddfa":
        from likeness.model.formats.bfm_descendants import read_3ddfa

        return read_3ddfa(path)
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


def _with_flames_companions(path: Path, parts: Parts, landmarks: StrPath | None, masks: StrPath | None) -> Parts:
    """FLAME with the landmarks and regions of files given, or found beside it: those are left out if they are bad."""
    from likeness.model.formats import flame_companions as companions

    if landmarks is not None and Path(landmarks).suffix.lower() == ".pkl":
        raise FileError(landmarks, f"expected {companions.EMBEDDING}: FLAME's .pkl of landmarks has no jaw line")
    if landmarks is not None and Path(landmarks).suffix.lower() != ".npy":
        parts = replace(parts, landmarks=read_landmarks(landmarks))
    else:
        with _forgiving(path, landmarks is None):
            file = path.parent / companions.EMBEDDING if landmarks is None else Path(landmarks)
            if landmarks is not None or file.is_file():
                parts = replace(parts, embedding=companions.read_embedding(file, np.asarray(parts.triangles)))
    with _forgiving(path, masks is None):
        file = path.parent / companions.MASKS if masks is None else Path(masks)
        if masks is not None or file.is_file():
            parts = replace(parts, regions=companions.read_masks(file, len(parts.mean)))
    return parts


@contextmanager
def _forgiving(path: Path, forgive: bool) -> Iterator[None]:
    """Turns an error about a companion file into a warning where nobody asked for that file."""
    try:
        yield
    except FileError as error:
        if not forgive:
            raise
        warnings.warn(FileWarning(path, f"left out: {error}"), stacklevel=5)

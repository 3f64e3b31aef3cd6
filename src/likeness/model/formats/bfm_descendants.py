"""Models that others made of the Basel Face Model 2009: Deep3DFaceRecon's and 3DDFA's.

``BFM_model_front.mat`` (Deng et al., "Accurate 3D face reconstruction with weakly-supervised learning", CVPRW 2019;
written by Deep3DFaceReconstruction and Deep3DFaceRecon): ``meanshape`` (1, 3V), ``idBase`` (3V, K), ``exBase``
(3V, E) with the standard deviations in them, ``meantex`` and ``texBase`` for sRGB 0 to 255, ``tri`` (F, 3) and
``keypoints`` (1, 68; iBUG) from 1. Decimetres. Shape = meanshape + idBase · code + exBase · weights.

``bfm_noneck_v3.pkl`` (Guo et al., "Towards fast, accurate and stable 3D dense face alignment", ECCV 2020; 3DDFA_V2):
a pickled dict of ``u`` (3V, 1), ``w_shp`` (3V, K), ``w_exp`` (3V, E) and ``keypoints`` (204): the places in ``u`` of
x, y and z of the 68 iBUG points. Micrometres. Shape = u + w_shp · α + w_exp · β. Its triangles come in a file of
their own, ``tri.pkl`` (3, F), the standard deviations of α and β in ``param_mean_std_62d_120x120.pkl`` (12 numbers of
the pose come first): both are looked for beside it and, as in the release, in ``../configs``. With them codes and
weights are about N(0, 1), without they are α and β.

Axes are ours in both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.mesh.defects import Defects, reported
from likeness.model.formats.assembly import Parts, modes, numbered, points
from likeness.model.formats.pickles import as_array, load_pickle

DEEP3D = ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints")
"""The variables of Deep3DFaceRecon's file that are read; the last may be missing."""

_POSE = 12
_TRIANGLES, _STATISTICS = "tri.pkl", "param_mean_std_62d_120x120.pkl"


def read_deep3d(path: StrPath, arrays: dict[str, np.ndarray]) -> Parts:
    """Deep3DFaceRecon's ``BFM_model_front.mat``, of its variables.

    Raises:
        FileError: some are missing.
    """
    missing = [key for key in DEEP3D[:-1] if key not in arrays]
    if missing:
        raise FileError(path, f"expected Deep3DFaceRecon's face model, but {', '.join(missing)} are missing")
    mean = points("meanshape", arrays["meanshape"].astype(np.float64))
    expression = modes("exBase", arrays["exBase"], len(mean))
    keypoints = arrays.get("keypoints", np.zeros(0)).ravel().astype(np.int64) - 1
    with reported(path) as defects:
        landmarks = _landmarks(defects, keypoints, len(mean))
    return Parts(
        name=Path(path).stem,
        unit=100.0,
        mean=mean,
        triangles=arrays["tri"].astype(np.int64) - 1,
        identity=modes("idBase", arrays["idBase"], len(mean)),
        expression=expression,
        expression_names=numbered(len(expression)),
        color_mean=points("meantex", arrays["meantex"].astype(np.float32)) / 255,
        color_basis=modes("texBase", arrays["texBase"], len(mean)) / 255,
        landmarks=landmarks,
    )


def read_3ddfa(path: StrPath) -> Parts:
    """3DDFA_V2's ``bfm_noneck_v3.pkl``.

    Without triangles, or without the statistics of its codes, a :class:`likeness.FileWarning` says so.

    Raises:
        FileError: truncated, hostile, or not such a file.
    """
    content: Any = load_pickle(path, read_bytes(path))
    if not isinstance(content, dict):
        raise FileError(path, "expected 3DDFA's dict with u, w_shp and w_exp")
    arrays = {}
    for key in ("u", "w_shp", "w_exp"):
        try:
            arrays[key] = as_array(content.get(key))
        except ValueError as error:
            raise FileError(path, f"expected 3DDFA's face model with an array {key!r}: {error}") from error
    mean = points("u", arrays["u"].astype(np.float64))
    with reported(path) as defects:
        scales = _deviations(defects, arrays["w_shp"].shape[-1], arrays["w_exp"].shape[-1])
        triangles = _triangles(defects, content, len(mean))
        landmarks = _landmarks(defects, _keypoints(content), len(mean))
    expression = modes("w_exp", arrays["w_exp"], len(mean), scales[1])
    return Parts(
        name=Path(path).stem,
        unit=1e-3,
        mean=mean,
        triangles=triangles,
        identity=modes("w_shp", arrays["w_shp"], len(mean), scales[0]),
        expression=expression,
        expression_names=numbered(len(expression)),
        landmarks=landmarks,
    )


def _keypoints(content: dict[str, Any]) -> np.ndarray:
    """(68,) vertices whose x, y and z lie at 3DDFA's key points; (0,) where these are something else."""
    try:
        places = as_array(content.get("keypoints")).ravel().astype(np.int64)
    except ValueError:
        return np.zeros(0, np.int64)
    vertices = places[::3] // 3
    same = places.size == 3 * vertices.size and (places.reshape(-1, 3) == 3 * vertices[:, None] + np.arange(3)).all()
    return vertices if same else np.zeros(0, np.int64)


def _landmarks(defects: Defects, vertices: np.ndarray, count: int) -> dict[int, int] | None:
    """iBUG point -> vertex; None, and a defect, where they are not 68 of the model's vertices."""
    if len(vertices) == 68 and vertices.min() >= 0 and vertices.max() < count:
        return dict(enumerate(vertices.tolist()))
    defects.add("no landmarks (keypoints are not 68 of its vertices)")
    return None


def _triangles(defects: Defects, content: dict[str, Any], count: int) -> np.ndarray:
    """(F, 3) from 0: those in the file itself, or of ``tri.pkl`` near it; (0, 3), and a defect, without."""
    file = _companion(defects.path, _TRIANGLES)
    source = content.get("tri")
    if source is None and file is not None:
        source = load_pickle(file, read_bytes(file))
    if source is None:
        defects.add(f"no triangles ({_TRIANGLES} of 3DDFA_V2 is not beside it)")
        return np.zeros((0, 3), np.int64)
    found = as_array(source)
    if found.ndim != 2 or 3 not in found.shape or found.dtype.kind not in "fiu" or not found.size:
        raise FileError(file or defects.path, f"expected triangles (3, F), got {found.dtype} {found.shape}")
    triangles = (found if found.shape[1] == 3 else found.T).astype(np.int64)
    return triangles - 1 if triangles.min() == 1 and triangles.max() == count else triangles


def _deviations(defects: Defects, shapes: int, expressions: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Standard deviations (K,) of α and (E,) of β; None, and a defect, where they are not known."""
    file = _companion(defects.path, _STATISTICS)
    if file is None:
        defects.add(f"codes as in the file, not N(0, 1) ({_STATISTICS} of 3DDFA_V2 is not beside it)")
        return None, None
    content = load_pickle(file, read_bytes(file))
    try:
        found = as_array(content["std"]).ravel().astype(np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(file, f"expected 3DDFA's statistics with an array 'std' ({error})") from error
    if len(found) != _POSE + shapes + expressions or not (found > 0).all():
        raise FileError(
            file, f"expected {_POSE + shapes + expressions} standard deviations above 0, got {len(found)}"
        )
    return found[_POSE : _POSE + shapes], found[_POSE + shapes :]


def _companion(path: StrPath, name: str) -> Path | None:
    folder = Path(path).parent
    return next((file for file in (folder / name, folder / ".." / "configs" / name) if file.is_file()), None)

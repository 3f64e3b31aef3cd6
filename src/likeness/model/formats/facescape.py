"""FaceScape's bilinear model, version 1.6 (Yang et al., CVPR 2020).

Layout (``facescape_bm.py`` of the release, ``facescape_bm_v1.6_*.npz``): ``shape_bm_core`` (3V, E, K), ``id_mean``
and ``id_var`` (K), ``fv_indices`` (F, 3 or 4) from 1, ``texcoords`` (U, 2) with ``ft_indices`` from 1,
``lm_list_v16`` (68 iBUG vertices), ``color_bm_mean`` (3C), ``color_bm_core`` (3C, A) as BGR 0 to 255 of vertices
``v_indices_front`` through ``vc_dict_front`` (row of the colours, or -1). Shape = core · id · exp with exp = (1 -
Σw, w): the first is neutral.

A bilinear model is not linear in both. Here it is taken at the mean person: identity ``core[:, 0] · √id_var`` at the
neutral expression (exact for neutral faces), expressions ``(core[:, k] - core[:, 0]) · id_mean``, which are exact for
``id_mean`` and carry that person's expressions over to all others. Millimetres. The release does not name the
51 expressions, so they are numbered; in the variant with ``_id_exp`` they are principal components.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.geometry.landmarks import CHIN, NOSE_TIP, eye_centers
from likeness.model.formats.arrays import Npz
from likeness.model.formats.assembly import PLAIN_SKIN, Parts, numbered, points, turned


def read_facescape(path: StrPath, arrays: Npz) -> Parts:
    """A FaceScape ``.npz``.

    Raises:
        FileError: truncated, or not FaceScape.
    """
    core = arrays["shape_bm_core"]
    if core.ndim != 3 or core.dtype.kind != "f" or len(core) % 3 or not core.size:
        raise FileError(path, f"expected FaceScape's shape_bm_core (3V, E, K), got {core.dtype} {core.shape}")
    count, size = len(core) // 3, core.shape[2]
    person, variance = (_numbers(path, arrays, key, size) for key in ("id_mean", "id_var"))
    if not (variance >= 0).all():
        raise FileError(path, "expected FaceScape's id_var not to be negative")
    faces = np.stack([core[:, k] @ person for k in range(core.shape[1])]).reshape(-1, count, 3)
    identity = (core[:, 0] * np.sqrt(variance)).T.reshape(size, count, 3)
    triangles, quads = _cut(arrays["fv_indices"])
    landmarks = _indices(arrays["lm_list_v16"], count)
    if len(landmarks) != 68:
        raise FileError(path, f"expected 68 points in FaceScape's lm_list_v16, got {len(landmarks)}")
    at = faces[0][landmarks].astype(np.float64)
    uv = arrays["texcoords"] if "texcoords" in arrays else np.zeros((0, 2))
    color_mean, color_basis = _colors(arrays, count)
    return Parts(
        name=Path(path).stem,
        unit=1.0,
        mean=faces[0],
        triangles=triangles,
        quads=quads,
        uv=uv,
        uv_triangles=_cut(arrays["ft_indices"])[0] if len(uv) else np.zeros((0, 3), np.int32),
        identity=identity,
        expression=faces[1:] - faces[0],
        expression_names=numbered(len(faces) - 1),
        landmarks=dict(enumerate(landmarks.tolist())),
        signs=turned(*eye_centers(at), at[NOSE_TIP], at[CHIN]),
        color_mean=color_mean,
        color_basis=color_basis,
    )


def _numbers(path: StrPath, arrays: Npz, key: str, size: int) -> np.ndarray:
    values = arrays[key].ravel()
    if values.dtype.kind != "f" or len(values) != size:
        raise FileError(path, f"expected FaceScape's {key} ({size}), got {values.dtype} {arrays[key].shape}")
    return values


def _cut(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces (F, 3 or 4) from 1 -> triangles from 0 and the starts of quadrilaterals."""
    if faces.ndim != 2 or faces.shape[1] not in (3, 4) or faces.dtype.kind not in "iu":
        raise ValueError(f"expected triangles or quadrilaterals, got {faces.dtype} {faces.shape}")
    corners = faces.astype(np.int64) - 1
    if faces.shape[1] == 3:
        return corners, np.zeros(0, np.int32)
    return corners[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3), np.arange(0, 2 * len(corners), 2)


def _indices(values: np.ndarray, count: int) -> np.ndarray:
    flat = values.ravel().astype(np.int64)
    if len(flat) and (flat.min() < 0 or flat.max() >= count):
        raise ValueError(f"expected vertices 0 to {count - 1}, got {flat.min()} to {flat.max()}")
    return flat


def _colors(arrays: Npz, count: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """sRGB mean (V, 3) and modes (A, V, 3) per unit of FaceScape's own colour code; plain skin off the front."""
    if not all(key in arrays for key in ("color_bm_mean", "color_bm_core", "v_indices_front", "vc_dict_front")):
        return None, None
    mean = points("color_bm_mean", arrays["color_bm_mean"]) / 255
    core = arrays["color_bm_core"]
    front = _indices(arrays["v_indices_front"], count)
    row = arrays["vc_dict_front"].ravel().astype(np.int64)
    if core.ndim != 2 or len(core) != mean.size or len(row) != len(front):
        raise ValueError(f"expected FaceScape's colours of {len(mean)} points, got {core.shape} and {len(row)} rows")
    known = row >= 0
    vertices, rows = front[known], _indices(row[known], len(mean))
    full_mean = np.tile(np.array(PLAIN_SKIN, np.float32), (count, 1))
    full_mean[vertices] = mean[rows][:, ::-1]
    full_core = np.zeros((core.shape[1], count, 3), np.float32)
    full_core[:, vertices] = core.T.reshape(-1, len(mean), 3)[:, rows, ::-1] / 255
    return full_mean, full_core

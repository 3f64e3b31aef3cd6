"""FaceVerse (Wang et al., CVPR 2022), versions 0 to 3.

Layout (``FaceVerseModel.py`` of the release; an ``.npy`` that holds one pickled dict): ``meanshape`` (3V),
``idBase`` (3V, K), ``exBase`` (3V, E) with ``exp_name_list``, in version 3 also ``exBase_52`` with
``exp_name_list_52``, ``meantex`` (3V) and ``texBase`` (3V, A) as sRGB 0 to 255, ``tri`` (F, 3) from 0,
``keypoints`` (68 iBUG vertices), in version 3 ``mediapipe_keypoints`` (MediaPipe's 478). Codes are unit Gaussian.
Version 3 is in millimetres with y up; the older ones are in decimetres with y down and z into the head, so unit and
axes are told by the key points.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.geometry.landmarks import CHIN, LEFT_EYE, NOSE_TIP, RIGHT_EYE
from likeness.model.face_model import ARKIT_NAMES
from likeness.model.formats.arrays import parse_npy
from likeness.model.formats.assembly import Parts, modes, numbered, points, turned
from likeness.model.formats.pickles import as_array, as_names

# MediaPipe's face mesh: the corners of either eye, the tip of the nose, the chin.
_MEDIAPIPE = {"right_eye": (33, 133), "left_eye": (362, 263), "nose": (1,), "chin": (152,)}
_IBUG = {"right_eye": tuple(RIGHT_EYE), "left_eye": tuple(LEFT_EYE), "nose": (NOSE_TIP,), "chin": (CHIN,)}
_EYES_APART = 200.0  # mm, the upper end of the power of ten in which the distance of anyone's eyes lies


def read_faceverse(path: StrPath) -> Parts:
    """A FaceVerse ``.npy``, read without running its pickle.

    If its expressions are ARKit's, in any order and capitals, they get ARKit's order and names.

    Raises:
        FileError: truncated, hostile, or not FaceVerse.
    """
    content: Any = parse_npy(path, "FaceVerse's dict", read_bytes(path))
    content = content.item() if content.shape == () else None
    if not isinstance(content, dict) or "idBase" not in content:
        raise FileError(path, "expected FaceVerse's dict with meanshape, idBase, exBase and tri")

    def get(key: str) -> np.ndarray:
        if key not in content:
            raise FileError(path, f"expected FaceVerse with {key!r}")
        return as_array(content[key])

    mean = points("meanshape", get("meanshape"))
    count = len(mean)
    suffix = "_52" if "exBase_52" in content else ""
    expression = modes("exBase", _columns(get(f"exBase{suffix}"), count), count)
    names = numbered(len(expression))
    if f"exp_name_list{suffix}" in content:
        names = as_names(content[f"exp_name_list{suffix}"])
    expression, names = _in_arkit_order(expression, names)
    color = content.keys() >= {"meantex", "texBase"}
    unit, signs, landmarks = _frame(mean, content)
    return Parts(
        name=Path(path).stem,
        unit=unit,
        mean=mean,
        triangles=get("tri").astype(np.int64),
        identity=modes("idBase", _columns(get("idBase"), count), count),
        expression=expression,
        expression_names=names,
        color_mean=points("meantex", get("meantex")) / 255 if color else None,
        color_basis=modes("texBase", _columns(get("texBase"), count), count) / 255 if color else None,
        signs=signs,
        landmarks=landmarks,
    )


def _columns(values: np.ndarray, count: int) -> np.ndarray:
    """Modes as (3V, K), also from (V, 3, K)."""
    return values.reshape(3 * count, -1) if values.ndim == 3 and values.shape[:2] == (count, 3) else values


def _frame(mean: np.ndarray, content: dict[str, Any]) -> tuple[float, np.ndarray, dict[int, int] | None]:
    """Millimetres per unit, signs of the axes, and the 68 points (None: only MediaPipe's are known)."""
    found, ibug = (
        as_array(content[key]).ravel().astype(np.int64) if key in content else np.zeros(0, np.int64)
        for key in ("mediapipe_keypoints", "keypoints")
    )
    named = _MEDIAPIPE
    if len(ibug) == 68:
        found, named = ibug, _IBUG
    elif len(found) != 478:
        raise ValueError("expected 68 keypoints or 478 mediapipe_keypoints, without which its axes are not known")
    if found.min() < 0 or found.max() >= len(mean):
        raise ValueError(f"expected key points among {len(mean)} vertices, got {found.min()} to {found.max()}")
    at = {name: mean[found[list(which)]].mean(0).astype(np.float64) for name, which in named.items()}
    apart = float(np.linalg.norm(at["left_eye"] - at["right_eye"]))
    if not 1e-6 < apart < 1e6:
        raise ValueError(f"expected two eyes, got key points {apart:g} apart")
    unit = 10.0 ** np.floor(np.log10(_EYES_APART / apart))
    signs = turned(at["right_eye"], at["left_eye"], at["nose"], at["chin"])
    return float(unit), signs, dict(enumerate(found.tolist())) if named is _IBUG else None


def _in_arkit_order(expression: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    plain = [name.lower().replace("_l", "left").replace("_r", "right") for name in names]
    arkit = [name.lower() for name in ARKIT_NAMES]
    if sorted(plain) != sorted(arkit):
        return expression, names
    return expression[[plain.index(name) for name in arkit]], ARKIT_NAMES

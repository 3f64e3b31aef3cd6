"""The ICT face model, light version (Li et al., "Learning formation of physically-based face attributes", CVPR 2020).

Layout of the release (ICT-FaceKit's ``FaceXModel`` folder and README): ``generic_neutral_mesh.obj``,
``identity000.obj`` and so on (one standard deviation each), one OBJ for each of the ``expressions`` that
``vertex_indices.json`` names; all 26,719 vertices with the same faces, in centimetres, axes as ours. Shape =
neutral + Σ code · (identity - neutral) + Σ weight · (expression - neutral). The README gives the 68 landmarks and
the vertex ranges of the parts.

``ict-face-model.npz`` holds the same, face, neck and eyeballs only: ``mean``, ``triangles``, ``identity_q`` and
``expression_q`` (int16, times ``*_scale`` / 32767), ``expression_names``, ``landmarks68``, ``part`` (0 face, 1 head
and neck, 2 and 3 left and right eyeball) and ``source_vertex`` (the vertex in the release).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.mesh import Mesh
from likeness.model.face_model import ARKIT_NAMES
from likeness.model.formats.arrays import Npz
from likeness.model.formats.assembly import Parts
from likeness.readers import read_json

NEUTRAL = "generic_neutral_mesh.obj"
VERTICES = 26719
UNIT = 10.0  # millimetres in a centimetre
FACE, SKIN, MOUTH = ((0, 6706),), ((0, 11248),), ((11248, 13294), (14062, 21451))
LEFT_EYEBALL, RIGHT_EYEBALL = (21451, 23021), (23021, 24591)
LANDMARKS = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268,
    493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360,
    1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200,
    6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip


def arkit_shapes(shapes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ICT's ``_L``/``_R`` names -> ARKit's; a pair that ARKit has only as one shape is summed. No tongueOut."""
    result = {}
    for name in ARKIT_NAMES:
        own = name.replace("Left", "_L").replace("Right", "_R") if name[-4:] in ("Left", "ight") else name
        own = name if own in ("jaw_L", "jaw_R", "mouth_L", "mouth_R") else own
        if own in shapes:
            result[name] = shapes[own]
        elif f"{name}_L" in shapes and f"{name}_R" in shapes:
            result[name] = shapes[f"{name}_L"] + shapes[f"{name}_R"]
    return result


def read_ict_npz(path: StrPath, arrays: Npz) -> Parts:
    """``ict-face-model.npz``: the 52 ARKit expressions (tongueOut does nothing); ICT's other four are left out.

    Raises:
        FileError: truncated, or not such a file.
    """
    mean = arrays["mean"]
    if mean.ndim != 2 or mean.shape[1] != 3 or mean.dtype.kind != "f":
        raise FileError(path, f"expected the ICT model's mean (V, 3), got {mean.dtype} {mean.shape}")
    identity, expression = (_dequantized(path, arrays, key, len(mean)) for key in ("identity", "expression"))
    names = [str(name) for name in arrays["expression_names"].ravel()]
    landmarks, part, source = (arrays[key] for key in ("landmarks68", "part", "source_vertex"))
    if len(names) != len(expression) or landmarks.shape != (68,) or not part.shape == source.shape == mean.shape[:1]:
        raise FileError(
            path, "expected the ICT model's names, 68 landmarks, parts and source vertices to fit its mean"
        )
    eyes = [part == 3, part == 2]
    return Parts(
        name="ict-face-model",
        unit=UNIT,
        mean=mean,
        triangles=arrays["triangles"],
        identity=identity,
        expression=_arkit_basis(dict(zip(names, expression, strict=True)), mean.shape),
        expression_names=ARKIT_NAMES,
        landmarks=dict(enumerate(landmarks.tolist())),
        regions={"face": _within(source, FACE), "skin": part < 2, "eyes": part >= 2},
        eyes=np.stack([mean[eye].mean(0) for eye in eyes]) if all(eye.any() for eye in eyes) else None,
    )


def read_ict_folder(folder: StrPath) -> Parts:
    """The released folder, with all its parts (teeth, lashes and so on): expressions as in :func:`read_ict_npz`.

    A folder with another number of vertices than the release has is read without landmarks and regions.

    Raises:
        FileError: a file is missing or damaged, or has another number of vertices than the neutral mesh.
    """
    root = Path(folder)
    if not (root / NEUTRAL).is_file():
        raise FileError(folder, f"expected the ICT face model's folder with {NEUTRAL}")
    neutral = Mesh.load(root / NEUTRAL)
    identity: list[np.ndarray] = []
    while (path := root / f"identity{len(identity):03d}.obj").is_file():
        identity.append(_offsets(path, neutral))
    if not identity:
        raise FileError(folder, "expected the ICT face model's folder with identity000.obj and so on")
    shapes = {
        name: _offsets(root / f"{name}.obj", neutral) for name in _expression_names(root / "vertex_indices.json")
    }
    shape = neutral.vertices.shape
    released = shape[0] == VERTICES
    vertex = np.arange(shape[0])
    eyes = [_within(vertex, (span,)) for span in (RIGHT_EYEBALL, LEFT_EYEBALL)]
    return Parts(
        name="ict-face-model",
        unit=UNIT,
        mean=neutral.vertices,
        triangles=neutral.triangles,
        quads=np.zeros(0, np.int32) if neutral.quads is None else neutral.quads,
        uv=np.zeros((0, 2)) if neutral.uv is None else neutral.uv,
        uv_triangles=neutral.triangles if neutral.uv_triangles is None else neutral.uv_triangles,
        identity=np.stack(identity),
        expression=_arkit_basis(shapes, shape),
        expression_names=ARKIT_NAMES,
        landmarks=dict(enumerate(LANDMARKS)) if released else None,
        eyes=np.stack([neutral.vertices[eye].mean(0) for eye in eyes]) if released else None,
        regions={
            "face": _within(vertex, FACE), "skin": _within(vertex, SKIN),
            "eyes": eyes[0] | eyes[1], "mouth": _within(vertex, MOUTH),
        } if released else {},
    )  # fmt: skip


def _dequantized(path: StrPath, arrays: Npz, key: str, count: int) -> np.ndarray:
    quantized, scale = arrays[f"{key}_q"], arrays[f"{key}_scale"]
    if quantized.shape != (scale.size, count, 3) or quantized.dtype.kind != "i" or scale.dtype.kind != "f":
        raise FileError(path, f"expected the ICT model's {key}_q ({scale.size}, {count}, 3), got {quantized.shape}")
    return quantized.astype(np.float32) * (scale.reshape(-1, 1, 1) / 32767)


def _arkit_basis(shapes: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    known = arkit_shapes(shapes)
    return np.stack([known.get(name, np.zeros(shape, np.float32)) for name in ARKIT_NAMES])


def _expression_names(path: Path) -> list[str]:
    try:
        names = read_json(path, "names of 'expressions'")["expressions"]
    except (KeyError, TypeError) as error:
        raise FileError(path, f"expected JSON with the names of 'expressions' ({type(error).__name__})") from error
    # Names become file names, so none may lead out of the folder.
    if not isinstance(names, list) or not all(isinstance(n, str) and re.fullmatch(r"\w{1,60}", n) for n in names):
        raise FileError(path, "expected the names of expressions, such as 'jawOpen'")
    return names


def _offsets(path: Path, neutral: Mesh) -> np.ndarray:
    vertices = Mesh.load(path).vertices
    if vertices.shape != neutral.vertices.shape:
        raise FileError(path, f"expected {len(neutral.vertices)} vertices like {NEUTRAL}, got {len(vertices)}")
    return (vertices - neutral.vertices).astype(np.float32)


def _within(vertices: np.ndarray, spans: tuple[tuple[int, int], ...]) -> np.ndarray:
    mask = np.zeros(len(vertices), bool)
    for start, end in spans:
        mask |= (vertices >= start) & (vertices < end)
    return mask

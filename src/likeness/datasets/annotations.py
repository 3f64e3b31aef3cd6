"""What lies beside pictures: `.json` notes, 300W's `.pts`, AFLW2000-3D's and 300W-LP's `.mat`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.mesh.files import read_bytes
from likeness.model.formats.mat import MATLAB_ORIGIN, read_mat


@dataclass(frozen=True)
class Note:
    """A picture's ``.json``: landmarks (68, 2) float32 in our pixels, the person and the clip, where given."""

    landmarks: np.ndarray | None
    identity: str | None
    clip: str | None


def read_note(path: StrPath, name: str, data: bytes) -> Note:
    """A note from its bytes.

    Args:
        path: the archive or folder, for messages.
        name: of the note in it.
        data: a JSON object; ``landmarks``: 68 times [x, y], ``identity`` and ``clip``: strings or integers.

    Raises:
        FileError: no JSON object, or landmarks that are not 68 finite points.
    """
    try:
        content = json.loads(data)
        known = {key: str(content[key]) for key in ("identity", "clip") if isinstance(content.get(key), str | int)}
        points = content.get("landmarks")
    except (ValueError, AttributeError, RecursionError) as error:
        raise FileError(path, f"expected a JSON object in {name} ({error})") from error
    landmarks = None if points is None else _points(path, name, points)
    return Note(landmarks, known.get("identity"), known.get("clip"))


def _points(path: StrPath, name: str, values: object) -> np.ndarray:
    try:
        points = np.array(values, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise FileError(path, f"expected 68 landmarks [x, y] in {name} ({error})") from error
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise FileError(path, f"expected 68 landmarks [x, y], finite, in {name}, got {points.shape}")
    return points


def read_pts(path: Path) -> np.ndarray:
    """Landmarks (68, 2) float32, our pixels, of iBUG's ``.pts``: ``version: 1 n_points: 68 { x y ... }``, from 1.

    Raises:
        FileError: another format, or not 68 points.
    """
    text = read_bytes(path).decode("latin1")
    found = re.fullmatch(r"(?:\s*\w+:\s*\S+)*\s*\{([^{}]*)\}\s*", text)
    if found is None:
        raise FileError(path, "expected iBUG's points: 'version: 1', 'n_points: 68', '{', lines of x y, '}'")
    try:
        values = np.array(found[1].split(), np.float64)
    except ValueError as error:
        raise FileError(path, f"expected numbers between braces ({error})") from error
    if len(values) != 136 or not np.isfinite(values).all():
        raise FileError(path, f"expected 68 finite points between braces, got {len(values) / 2:g}")
    return (values.reshape(68, 2) - MATLAB_ORIGIN).astype(np.float32)


def read_aflw2000_points(path: Path) -> np.ndarray:
    """Landmarks (68, 2) float32, our pixels, of AFLW2000-3D's ``NAME.mat``: x and y of ``pt3d_68`` (3, 68).

    Points of the jaw lie where the jaw is, behind the outline on the far side of a turned head.

    Raises:
        FileError: damaged, or without ``pt3d_68``.
    """
    return _matlab_points(path, "pt3d_68", (3, 68))[:2].T - np.float32(MATLAB_ORIGIN)


def read_300w_lp_points(folder: Path, stem: str) -> np.ndarray | None:
    """Landmarks (68, 2) float32, our pixels, of a picture of 300W-LP; None where it has none that hold for it.

    ``landmarks/SET/NAME_pts.mat`` has ``pts_2d`` (68, 2), on the visible outline as our landmarks are (``pts_3d``
    lies behind it). ``NAME.mat`` has ``pt2d`` (2, 68), which all pictures made of one photo share: it is the photo's,
    so it is taken for ``NAME_0``, the photo as it was, only; and not where it is a mirror image, which it is in LFPW,
    whose y points up.

    Args:
        folder: of the set (AFW, HELEN_Flip ...), beside ``landmarks``.
        stem: the picture's name without suffix.

    Raises:
        FileError: a damaged file, or another number of points.
    """
    own = folder.parent / "landmarks" / folder.name / f"{stem}_pts.mat"
    if own.is_file():
        return _matlab_points(own, "pts_2d", (68, 2)) - np.float32(MATLAB_ORIGIN)
    shared = folder / f"{stem}.mat"
    if not stem.endswith("_0") or not shared.is_file():
        return None
    points = _matlab_points(shared, "pt2d", (2, 68)).T - np.float32(MATLAB_ORIGIN)
    return None if _is_mirrored(points) else points


def _is_mirrored(points: np.ndarray) -> bool:
    """Whether the eye on the picture's left, seen with the chin below, is the subject's left one."""
    across = points[42:48].mean(0) - points[36:42].mean(0)
    down = points[8] - points[27]
    return bool(across[0] * down[1] - across[1] * down[0] <= 0)


def _matlab_points(path: Path, name: str, shape: tuple[int, int]) -> np.ndarray:
    values = read_mat(path, {name}).get(name)
    if values is None or values.shape != shape or not np.isfinite(values).all():
        got = "none" if values is None else f"{values.shape}, or not finite"
        raise FileError(path, f"expected 68 landmarks, {name} {shape} of finite numbers; got {got}")
    return values.astype(np.float32)

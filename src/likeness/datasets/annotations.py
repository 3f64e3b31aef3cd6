"""What lies beside pictures: `.json` notes, 300W's `.pts`, AFLW2000-3D's and 300W-LP's `.mat`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.errors import Excluded, FileError, StrPath, as_file_error, printable
from likeness.files import read_bytes, without_mark
from likeness.geometry.landmarks import CHIN, NOSE_BRIDGE, eye_centers
from likeness.model.formats.mat import MATLAB_ORIGIN, read_mat
from likeness.readers import read_json


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
    content = read_json(path, f"a JSON object in {name}", data)
    try:
        known = {key: str(content[key]) for key in ("identity", "clip") if isinstance(content.get(key), str | int)}
        points = content.get("landmarks")
    except AttributeError as error:
        raise FileError(path, f"expected a JSON object in {name}, got {type(content).__name__}") from error
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


def read_pts(path: StrPath, data: bytes | None = None) -> np.ndarray:
    """Landmarks (68, 2) float32, our pixels, of iBUG's ``.pts``: ``version: 1 n_points: 68 { x y ... }``, from 1; or
    of the lines x y alone.

    Args:
        path: the file, or what ``data`` is called in messages.
        data: the content; None: the file's.

    Raises:
        FileError: another format, or not 68 points.
    """
    text = without_mark(read_bytes(path) if data is None else data).decode("latin1")
    found = re.fullmatch(r"[^{}]*\{([^{}]*)\}\s*", text) or re.fullmatch(r"([-+\d.,eE\s]+)", text)
    if found is None:
        raise FileError(path, "expected iBUG's points: 'version: 1', 'n_points: 68', '{', lines of x y, '}'")
    try:
        values = np.array(found[1].replace(",", " ").split(), np.float64)
    except ValueError as error:
        raise FileError(path, f"expected numbers between braces ({error})") from error
    if len(values) != 136:
        raise FileError(path, f"expected 68 points between braces, got {len(values) / 2:g}")
    if not np.isfinite(values).all():
        raise FileError(path, "expected 68 finite points between braces, got some that are not")
    return (values.reshape(68, 2) - MATLAB_ORIGIN).astype(np.float32)


def read_aflw2000_points(path: StrPath, data: bytes | None = None) -> np.ndarray:
    """Landmarks (68, 2) float32, our pixels, of AFLW2000-3D's ``NAME.mat``: x and y of ``pt3d_68`` (3, 68).

    Points of the jaw lie where the jaw is, behind the outline on the far side of a turned head.

    Args:
        path: the file, or what ``data`` is called in messages.
        data: the content; None: the file's.

    Raises:
        FileError: damaged, or without ``pt3d_68``.
    """
    return _matlab_points(path, "pt3d_68", (3, 68), data)[:2].T - np.float32(MATLAB_ORIGIN)


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
    right, left = eye_centers(points)
    across, down = left - right, points[CHIN] - points[NOSE_BRIDGE]
    return bool(across[0] * down[1] - across[1] * down[0] <= 0)


def _matlab_points(path: StrPath, name: str, shape: tuple[int, int], data: bytes | None = None) -> np.ndarray:
    values = read_mat(path, {name}, data).get(name)
    if values is None or values.shape != shape or not np.isfinite(values).all():
        got = "none" if values is None else f"{values.shape}, or not finite"
        raise FileError(path, f"expected 68 landmarks, {name} {shape} of finite numbers; got {got}")
    return values.astype(np.float32)


MAX_MAT_BYTES = 1 << 26


@dataclass(frozen=True, eq=False)
class Aflw2000:
    """AFLW2000-3D (Zhu et al., Face Alignment Across Large Poses, CVPR 2016), or a part of it.

    Args:
        photos: N photo files.
        landmarks: (N, 68, 3) `pt3d_68`, pixels from 0 where the files count from 1 (points behind the face are where
            they are, not where the outline is), z up to an offset.
        yaw: (N,) radians, of the annotation's `Pose_Para`.
        excluded: files that could not be read, and why.
    """

    photos: tuple[Path, ...]
    landmarks: np.ndarray
    yaw: np.ndarray
    excluded: tuple[Excluded, ...]

    def in_yaw_bin(self, low: float, high: float) -> np.ndarray:
        """(N,) bool: |yaw| over ``low`` (at least, if 0) and at most ``high`` degrees; see :data:`YAW_BINS`."""
        degrees = np.degrees(np.abs(self.yaw))
        return ((degrees > low) | (low == 0)) & (degrees <= high)


def read_aflw2000(folder: StrPath) -> Aflw2000:
    """Read a folder of `NAME.mat` beside `NAME.jpg`.

    Annotations that are damaged or have no photo are left out and listed.

    Raises:
        FileError: no such folder, no annotation in it, or none that can be read.
    """
    directory = Path(folder)
    if not directory.is_dir():
        raise FileError(folder, "no such folder; expected AFLW2000-3D (.mat and .jpg)")
    files = sorted(directory.glob("*.mat"))
    if not files:
        raise FileError(folder, "has no .mat files; expected AFLW2000-3D (.mat and .jpg)")
    photos, landmarks, yaws, excluded = [], [], [], []
    for file in files:
        photo = file.with_suffix(".jpg")
        try:
            if not photo.is_file():
                raise FileError(file, "has no .jpg beside it")
            points, yaw = read_aflw2000_mat(file)
        except Exception as error:  # whatever a file holds, the others are measured
            excluded.append(Excluded(printable(file.name), as_file_error(file, error).reason))
            continue
        photos.append(photo)
        landmarks.append(points)
        yaws.append(yaw)
    if not photos:
        raise FileError(folder, f"none of {len(files)} annotations can be used; {files[0].name} {excluded[0].reason}")
    return Aflw2000(tuple(photos), np.stack(landmarks), np.array(yaws), tuple(excluded))


def read_aflw2000_mat(path: StrPath) -> tuple[np.ndarray, float]:
    """Landmarks (68, 3), pixels (0 is the centre of the first), and yaw, radians, of one annotation.

    Raises:
        FileError: missing, damaged, or without `pt3d_68` (3, 68) and `Pose_Para`.
    """
    if not Path(path).is_file():
        raise FileError(path, "no such file; expected an annotation of AFLW2000-3D (.mat)")
    if Path(path).stat().st_size > MAX_MAT_BYTES:
        raise FileError(path, f"is over {MAX_MAT_BYTES >> 20} MiB; expected an annotation of AFLW2000-3D (.mat)")
    content = read_mat(path, ("pt3d_68", "Pose_Para"))
    points, pose = (content.get(key, np.zeros(0)) for key in ("pt3d_68", "Pose_Para"))
    if points.shape != (3, 68) or points.dtype.kind not in "fiu" or not np.isfinite(points).all():
        raise FileError(path, f"expected pt3d_68 (3, 68) of finite numbers, got {points.dtype} {points.shape}")
    if pose.size < 3 or pose.dtype.kind not in "fiu" or not np.isfinite(pose).all():
        raise FileError(path, f"expected Pose_Para (1, 7) of finite numbers, got {pose.dtype} {pose.shape}")
    landmarks = points.T.astype(np.float64) - [MATLAB_ORIGIN, MATLAB_ORIGIN, 0.0]
    return landmarks, float(pose.ravel()[1])  # pitch, yaw, roll, translation, scale

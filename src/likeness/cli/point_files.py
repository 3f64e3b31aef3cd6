"""What `likeness fit` does: files of points read, heads fitted to them, and saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.cli.output import add_result, complain
from likeness.errors import FileError, LikenessError, as_file_error, printable
from likeness.files import check_writable, json_bytes, output_paths, read_bytes, write_atomically
from likeness.geometry.camera import Camera, image_center
from likeness.images.header import SUFFIXES
from likeness.readers import NpzArrays, read_json, read_npy
from likeness.result_folder import ResultFolder, Source
from likeness.result_names import ResultNames

if TYPE_CHECKING:
    from likeness.cli.fit import Fit
    from likeness.fit import FaceFit, FocalPrior, Observations, PersonFit
    from likeness.fit.points import Points
    from likeness.model.face_model import FaceModel

USUAL_DISTANCE = 900.0
"""mm from camera to head where the focal length is not known: that of the cameras that faces' crops are given."""

FOCAL_SPREAD = 0.4
"""How unsure the logarithm of such a focal length is: 0.6 to 1.3 m are usual."""

LARGEST_PHOTO = 1_000_000
"""Pixels of a side, more than any photo has."""

ERROR_SHARE = 0.015
"""Error of a point over the size of the face's box, where none is given: that of annotated landmarks."""

UNSEEN = -1.0
"""What stands for both x and y of a point that is not seen, in many formats."""


@dataclass(frozen=True, eq=False)
class _Task:
    """A photo's points and camera; ``exact`` if its focal length is known."""

    path: Path
    observations: Observations
    camera: Camera
    exact: bool


def fit_files(settings: Fit) -> int:
    """Run ``likeness fit``; returns the exit code: 0, or 2 if some file could not be used."""
    if not settings.points:
        raise ValueError("expected at least one file of points")
    for name, value in (("--focal", settings.focal), ("--error", settings.error)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ValueError(f"expected {name} above 0 pixels, got {value}")
    check_writable(settings.out)
    from likeness.assets import asset
    from likeness.fit import IBUG
    from likeness.model.face_model import FaceModel

    model = FaceModel.load(asset("face_model.npz") if settings.model is None else settings.model)
    points: Points = IBUG if settings.surface is None else _surface(settings.surface)
    tasks, failed = [], 0
    for path in settings.points:
        try:
            tasks.append(_task(path, model, points, settings))
        except Exception as error:  # whatever a file holds, the others are done
            failed += 1
            _refuse(path, as_file_error(path, error))
    fits: list[Callable[[], FaceFit]] = [partial(_alone, model, task) for task in tasks]
    if settings.together and tasks:
        fits = [partial(_known, face) for face in _together(model, tasks).faces]
    names = ResultNames(ResultFolder(settings.out, "fit"), settings.points)
    for task, find in zip(tasks, fits, strict=True):
        try:
            _save(task, find(), settings, names)
        except Exception as error:  # whatever the points are, the others are done
            failed += 1
            _refuse(task.path, as_file_error(task.path, error))
    return 2 if failed else 0


def _known(face: FaceFit) -> FaceFit:
    return face


def _save(task: _Task, face: FaceFit, settings: Fit, names: ResultNames) -> None:
    """Save a head, and tell."""
    source = Source.of(task.path)
    name = names.of(source)
    folder = ResultFolder(settings.out, "fit", overwrite=settings.overwrite)
    files = folder.save(name, source, partial(save_fit, face, formats=settings.formats, name=name))
    rms = float(np.sqrt((face.residuals[0][task.observations.root[:, 0, 0] > 0] ** 2).mean()))
    known, settled = _uncertainty(face), face.minimum.converged
    print(f"{printable(name)}: points within {rms:.2f} px (RMS), face known to {known:.2f} mm (RMS)")
    figures = {"name": printable(name), "rms_px": rms, "uncertainty_mm": known, "converged": settled}
    add_result(task.path, files=files, figures=figures)


def _refuse(path: Path, error: LikenessError) -> None:
    add_result(path, error=error)
    complain(error)


def save_fit(face: FaceFit, folder: Path, *, formats: tuple[str, ...], name: str) -> dict[str, Path]:
    """Write ``NAME.glb`` (head at rest, blendshapes and this photo's weights), ``NAME.obj`` (with expression) and
    ``NAME.json``.

    Returns:
        format -> path of what was written.

    Raises:
        ValueError: an unknown format.
        FileError: the folder cannot be made or written to.
    """
    from likeness.model.head import write_head_glb

    paths = output_paths(folder, name, formats, ("glb", "obj", "json"))
    model = face.model
    for format, path in paths.items():
        if format == "json":
            write_atomically(path, json_bytes(_fields(face, name)))
        elif format == "obj":
            face.mesh().save(path)
        else:
            extras = {"model": model.name, "identity": _rounded(face.identity, 5)}
            write_head_glb(path, model, face.mesh(neutral=True), face.expression, printable(name), extras)
    return paths


def _fields(face: FaceFit, name: str) -> dict[str, Any]:
    """What ``NAME.json`` holds, named as in the files of ``likeness reconstruct``."""
    model = face.model
    fields: dict[str, Any] = {"photo": printable(name), "photo_size": list(face.camera.size), "model": model.name}
    if model.topology.landmarks is not None:
        pose = face.camera, face.rotation, face.translation
        fields["landmarks"] = _rounded(model.seen_landmarks(face.identity, face.expression, *pose), 2)
    weights = (round(float(weight), 5) for weight in face.expression)
    return fields | {
        "camera": face.camera.to_dict(),
        "rotation": _rounded(face.rotation, 7),
        "translation": _rounded(face.translation, 4),
        "identity": _rounded(face.identity, 5),
        "expression": dict(zip(model.expression_names, weights, strict=True)),
        "uncertainty_mm": round(_uncertainty(face), 3),
        "trust": round(face.trust, 4),
        "converged": face.minimum.converged,
    }


def _uncertainty(face: FaceFit) -> float:
    """How well the face region is known: RMS over vertices and axes, mm."""
    from likeness.fit import vertex_std

    spread = vertex_std(face.model.identity_basis, face.covariance)
    region = face.model.topology.regions.get("face")
    return float(np.sqrt((spread[slice(None) if region is None else region] ** 2).mean()))


def _alone(model: FaceModel, task: _Task) -> FaceFit:
    from likeness.fit import fit_face

    return fit_face(model, task.observations, task.camera, focal=_prior(task.exact))


def _together(model: FaceModel, tasks: list[_Task]) -> PersonFit:
    from likeness.fit import fit_person

    seen, cameras = [task.observations for task in tasks], [task.camera for task in tasks]
    return fit_person(model, seen, cameras, focal=_prior(all(task.exact for task in tasks)))


def _prior(exact: bool) -> FocalPrior | None:
    from likeness.fit import FocalPrior

    return None if exact else FocalPrior(FOCAL_SPREAD)


def _task(path: Path, model: FaceModel, points: Points, settings: Fit) -> _Task:
    """One file's points with a camera.

    Raises:
        FileError: no such points, or nothing says how large the photo is.
    """
    from likeness.fit import Observations, RobustLoss
    from likeness.fit.points import bases_of

    pixels, size = _read_points(path)
    if pixels.shape != (len(points), 2):
        raise FileError(path, f"expected {len(points)} points x y, got {pixels.shape}")
    size, focal = settings.size or size, settings.focal
    if size is None or focal is None:
        size, focal = _of_photo(path, size, focal)
    seen = np.isfinite(pixels).all(1)
    if seen.sum() < 3:
        raise FileError(path, f"expected at least 3 points that are seen, got {seen.sum()}")
    farthest = max(float(np.abs(pixels[seen]).max()), *size)
    if farthest > LARGEST_PHOTO:
        raise FileError(path, f"expected pixels of a photo, up to {LARGEST_PHOTO}, got {farthest:g}")
    extent = np.ptp(pixels[seen], axis=0)
    if not extent.min() > 0:
        raise FileError(path, "expected points of a face, got all in one line")
    error = settings.error or ERROR_SHARE * float(np.sqrt(extent.prod()))
    exact = focal is not None
    if focal is None:
        mean = bases_of(model, points).mean
        focal = USUAL_DISTANCE * float(extent[1] / np.ptp(mean[:, 1]))
    observed = Observations(pixels, error**2, points, loss=RobustLoss("student", 4.0))
    return _Task(path, observed, Camera(focal, image_center(size), size), exact)


def _of_photo(path: Path, size: tuple[int, int] | None, focal: float | None) -> tuple[tuple[int, int], float | None]:
    """Size and, by EXIF, focal length of the photo beside a file, as far as they are not known.

    Raises:
        FileError: the size is not known and there is no photo, or it cannot be read.
    """
    from likeness.images.photo import load_photo

    beside = next((path.with_suffix(suffix) for suffix in SUFFIXES if path.with_suffix(suffix).is_file()), None)
    if beside is None:
        if size is None:
            raise FileError(path, "expected a photo of the same name beside the points, or --size WIDTH HEIGHT")
        return size, focal
    photo = load_photo(beside)
    return size or photo.size, photo.focal if focal is None else focal


def _read_points(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Points (P, 2) px of a file, NaN where it says that they are not seen, and the photo's size where it says so.

    Raises:
        FileError: missing, of another kind, or not such points.
    """
    if path.suffix == ".pts":
        from likeness.datasets.annotations import MATLAB_ORIGIN, read_pts

        return _without_marks(read_pts(path).astype(np.float64), UNSEEN - MATLAB_ORIGIN), None
    size, data = None, read_bytes(path)
    try:
        if path.suffix == ".json":
            content = read_json(path, "points x y in pixels", data)
            content = {"landmarks": content} if isinstance(content, list) else content
            values = content["landmarks"]
            size = tuple(int(side) for side in content["photo_size"]) if "photo_size" in content else None
        elif path.suffix in (".npy", ".npz"):
            values = _points_in_arrays(path)
        else:
            raise FileError(
                path, "expected points in a .pts, .json, .npy or .npz file (photos: likeness reconstruct)"
            )
        pixels = np.array(values, np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileError(path, f"expected points x y in pixels ({type(error).__name__}: {error})") from error
    if pixels.ndim != 2 or pixels.shape[1] != 2 or (size is not None and (len(size) != 2 or min(size) < 1)):
        raise FileError(path, f"expected points (P, 2) and a photo_size [width, height], got {pixels.shape}, {size}")
    return _without_marks(pixels, UNSEEN), size


def _without_marks(pixels: np.ndarray, mark: float) -> np.ndarray:
    """The points (P, 2), NaN where both numbers are the mark."""
    return np.where((pixels == mark).all(1, keepdims=True), np.nan, pixels)


def _points_in_arrays(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return read_npy(path, "points (P, 2)")
    arrays = NpzArrays(path, "points (P, 2)")
    return arrays["landmarks" if "landmarks" in arrays else "points"]


def _surface(path: Path) -> Points:
    """Surface points from an ``.npz`` with vertices, weights and perhaps offsets.

    Raises:
        FileError: missing, or without these.
    """
    from likeness.fit import SurfacePoints

    arrays = NpzArrays(path, "surface points with vertices and weights (P, 3)")
    try:
        parts = {name: arrays[name] for name in ("vertices", "weights", "offsets") if name in arrays}
        return SurfacePoints(**parts)
    except (ValueError, TypeError) as error:
        raise FileError(path, f"expected an .npz with vertices and weights (P, 3) ({error})") from error


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    return np.round(np.asarray(values, np.float64), digits).tolist()

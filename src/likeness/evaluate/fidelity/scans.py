"""Fidelity on real scans that our own renderer photographs: scan-to-mesh errors over the mean face's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.evaluate.fidelity.scan_photos import View, all_views, landmarks_seen, photograph
from likeness.evaluate.predictions import Predictor
from likeness.mesh import Mesh
from likeness.mesh.closest import Surface
from likeness.metrics.scan_error import ReconstructionError, reconstruction_error
from likeness.model.face_model import FaceModel
from likeness.progress import Steps
from likeness.register import read_landmarks, register_scan

FACE_REACH = 3.0
"""mm from the registered head's face region within which a point of the scan is measured."""

MEASURED = 6000
"""Points of a scan's face that are measured, chosen by chance where there are more."""

SCAN_SUFFIXES = (".obj", ".ply", ".stl", ".glb")


@dataclass(frozen=True)
class ScanSource:
    """A scan's file.

    Args:
        path: .obj, .ply, .stl or .glb with triangles, of one head at rest, in any axes.
        landmarks: text file of its 51 inner (or 68) iBUG points; None: found by looking at it.
        millimetres: per unit of the file; None: guessed.
    """

    path: Path
    landmarks: Path | None = None
    millimetres: float | None = None


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan in model axes, and what is photographed of it.

    Args:
        name: of the file.
        truth: the scan's own points on the outer face, mm, model axes. NoW's scans are of faces; of a whole head its
            ball of about 105 mm also holds ears and neck and the inside of nose and mouth, which no photo shows.
        marks: (51, 3) inner iBUG points on it.
        shown: the scan itself where it has colours, else its registered head with the model's mean colours.
        head: (V, 3) the registered head, which says where the 68 points are seen.
        model: of the registered head.
    """

    name: str
    truth: Mesh
    marks: np.ndarray
    shown: Mesh
    head: np.ndarray
    model: FaceModel


@dataclass(frozen=True)
class ViewError:
    """One photo of one scan: median, mean and standard deviation of the distances in mm, the median over the mean
    face's, and the same where the photo's focal length is told, as the camera's entry in a file does."""

    view: str
    median: float
    mean: float
    std: float
    ratio: float
    told_ratio: float


@dataclass(frozen=True)
class ScanFidelity:
    """One scan photographed several times; NoW's alignment from several starts, distances in mm of the scan.

    Args:
        name: of the scan.
        views: the errors of each photo.
        median, mean, std: of the distances, means over the photos.
        mean_face_median, mean_face_mean, mean_face_std: of the mean face.
        ratio: mean over the photos of the median over the mean face's.
        worst_ratio: of the worst photo.
        told_ratio, told_worst_ratio: the same where focal lengths are told.
    """

    name: str
    views: tuple[ViewError, ...]
    median: float
    mean: float
    std: float
    mean_face_median: float
    mean_face_mean: float
    mean_face_std: float
    ratio: float
    worst_ratio: float
    told_ratio: float
    told_worst_ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


def scan_sources(folder: StrPath) -> list[ScanSource]:
    """The scans of a folder; landmarks are NAME.txt beside them, where there are any.

    Raises:
        FileError: no such folder, or no scan in it.
    """
    paths = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in SCAN_SUFFIXES)
    if not paths:
        raise FileError(folder, f"expected scans ({', '.join(SCAN_SUFFIXES)}), found none")
    beside = [path.with_suffix(".txt") for path in paths]
    return [ScanSource(path, text if text.is_file() else None) for path, text in zip(paths, beside, strict=True)]


def prepared_scan(source: ScanSource, model: FaceModel) -> PreparedScan:
    """Register a scan, so that pose, landmarks and size are known; by the embedded network, whichever is measured.

    Raises:
        FileError: the scan or its landmarks cannot be used.
        MissingExtraError: the ``scans`` extra is not installed.
    """
    whole = Mesh.load(source.path)
    units, factor = None, 1.0
    if source.millimetres is not None:
        units, factor = "mm", source.millimetres
    scaled = whole.with_vertices(factor * whole.vertices.astype(np.float64))
    marks = None if source.landmarks is None else factor * read_landmarks(source.landmarks)
    try:
        found = register_scan(scaled, model, landmarks=marks, units=units)
    except ValueError as error:
        raise FileError(source.path, str(error)) from error
    model_from_scan = found.scan_from_model.inverse()
    placed = scaled.with_vertices(model_from_scan.apply(scaled.vertices))
    head = found.mesh.vertices.astype(np.float64)
    has_colors = placed.texture is not None or placed.colors is not None
    shown = placed if has_colors else model.mesh(found.identity, albedo=np.zeros(len(model.albedo_names)))
    return PreparedScan(
        name=source.path.stem,
        truth=_outer_face(placed, head, model),
        marks=model.landmark_map.gather(head)[:51],
        shown=shown if has_colors else shown.with_vertices(head),
        head=head,
        model=model,
    )


def _outer_face(scan: Mesh, head: np.ndarray, model: FaceModel) -> Mesh:
    """The scan's points, without triangles, that lie on the face of the registered head (V, 3)."""
    triangles = model.topology.triangles
    face = model.topology.regions.get("face", np.ones(len(head), bool))
    points = scan.vertices[np.unique(scan.triangles)].astype(np.float64)
    near = Surface(head, triangles).closest(points)
    points = points[face[triangles].all(1)[near.triangle] & (near.distance < FACE_REACH)]
    if len(points) > MEASURED:
        points = points[np.random.default_rng(0).choice(len(points), MEASURED, replace=False)]
    return Mesh(points, np.zeros((0, 3), np.int32))


def measure_scans(
    scans: Sequence[PreparedScan],
    predictor: Predictor,
    steps: Steps | None = None,
    views: Sequence[View] | None = None,
) -> list[ScanFidelity]:
    """Photograph scans, reconstruct the photos in the crops of their true landmarks, measure the neutral heads.

    Args:
        scans: from :func:`prepared_scan`.
        predictor: what reconstructs photos.
        steps: told of the progress.
        views: from where; None: :func:`likeness.evaluate.fidelity.scan_photos.all_views`.
    """
    views = list(all_views()) if views is None else views
    results = []
    for number, scan in enumerate(scans):
        base = error_of(scan, predictor.model, np.zeros(len(predictor.model.identity_basis)))
        errors = []
        for index, view in enumerate(views):
            if steps is not None:
                steps("photos of scans", number * len(views) + index, len(scans) * len(views))
            errors.append(_view_error(scan, view, predictor, base))
        results.append(_summed(scan.name, errors, base))
    return results


def error_of(scan: PreparedScan, model: FaceModel, identity: np.ndarray) -> ReconstructionError:
    """A neutral head against the scan: NoW's protocol, from several starts."""
    mesh, marks = model.mesh(identity), model.landmark_points(identity)[:51]
    return reconstruction_error(scan.truth, scan.marks, mesh, marks, "now", several_starts=True)


def _view_error(scan: PreparedScan, view: View, predictor: Predictor, base: ReconstructionError) -> ViewError:
    picture, camera, rotation, translation = photograph(scan.shown, scan.model, view)
    landmarks = landmarks_seen(scan.head, scan.model, camera, rotation, translation)
    guessed, told = (
        error_of(scan, predictor.model, face.coefficients.identity)
        for focal in (None, camera.focal)
        for face in predictor.reconstruct(picture, landmarks=landmarks[None], focal=focal)
    )
    ratio, told_ratio = guessed.median / base.median, told.median / base.median
    return ViewError(view.name, guessed.median, guessed.mean, guessed.std, ratio, told_ratio)


def _summed(name: str, errors: Sequence[ViewError], base: ReconstructionError) -> ScanFidelity:
    return ScanFidelity(
        name=name,
        views=tuple(errors),
        median=float(np.mean([error.median for error in errors])),
        mean=float(np.mean([error.mean for error in errors])),
        std=float(np.mean([error.std for error in errors])),
        mean_face_median=base.median,
        mean_face_mean=base.mean,
        mean_face_std=base.std,
        ratio=float(np.mean([error.ratio for error in errors])),
        worst_ratio=float(np.max([error.ratio for error in errors])),
        told_ratio=float(np.mean([error.told_ratio for error in errors])),
        told_worst_ratio=float(np.max([error.told_ratio for error in errors])),
    )

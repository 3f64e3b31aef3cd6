"""MediaPipe's points of a photo, where the user has its network, handed to :mod:`likeness.fit`."""

from __future__ import annotations

import numpy as np

from likeness.fit import FaceFit, Observations, RobustLoss, Start, SurfacePoints, fit_face
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap, default_point_map
from likeness.networks.mediapipe import FaceLandmarker
from likeness.reconstruct.result import Reconstruction
from likeness.reconstruct.teacher_points import FACE, TeacherPoints, teacher_points

MAP_MM = 2.0
"""How far a point of the network lies from the surface point it stands for, standard deviation along each axis."""

DISAGREEMENT = 2.0
"""By how many times the looks' disagreement a point is unsure besides: what two looks share they get wrong alike."""

OUTLIER_PIXELS = 8.0
"""Width of the loss that forgives points that are far off."""


def teacher_observations(model: FaceModel, found: TeacherPoints, points: PointMap) -> Observations:
    """MediaPipe's points of the face, without those of the irises, as :func:`likeness.fit.fit_face` takes them.

    Args:
        model: the face model.
        found: what the network saw.
        points: where its points lie on the model.
    """
    return placed_observations(model, found.points[:, :2], found.deviation, points)


def placed_observations(
    model: FaceModel, pixels: np.ndarray, deviation: np.ndarray, points: PointMap, unsure: float = MAP_MM
) -> Observations:
    """The same of points that were found before.

    Args:
        model: the face model; its size says how many pixels a millimetre has, by the box of the iBUG points.
        pixels: (P, 2) of a photo.
        deviation: (P,) pixels, by how much looks at it disagree.
        points: where they lie on the model.
        unsure: mm, how far a point lies from where the map says, standard deviation along each axis.
    """
    box, mean = (np.ptp(places[points.ibug, :2], axis=0) for places in (pixels, points.gather(model.mean)))
    per_mm = float(np.sqrt(np.prod(box) / np.prod(mean)))
    variance = (unsure * per_mm) ** 2 + (DISAGREEMENT * deviation[:FACE].astype(np.float64)) ** 2
    surface = SurfacePoints(points.vertices[:FACE], points.weights[:FACE])
    return Observations(pixels[:FACE], variance, surface, loss=RobustLoss("student", OUTLIER_PIXELS))


def fit_to_teacher(face: Reconstruction, network: FaceLandmarker, points: PointMap | None = None) -> FaceFit:
    """The shape, expression and pose that explain where MediaPipe's network sees a face's points.

    Nothing of what the reconstruction says about shape is used: it gives the place, the camera, and where to begin.

    Args:
        face: found by :class:`likeness.Reconstructor`.
        network: from the user's files.
        points: where its points lie on the face's model; None: the embedded map.

    Raises:
        ValueError: a map of another model.
    """
    known = default_point_map() if points is None else points
    found = teacher_points(face.photo, face.landmarks, network, known)
    start = Start(face.rotation, face.translation, face.coefficients.expression)
    return fit_face(face.model, teacher_observations(face.model, found, known), face.camera, start=start)

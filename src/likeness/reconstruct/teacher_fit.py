"""MediaPipe's points of a photo, where the user has its network, handed to :mod:`likeness.fit`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from likeness.errors import FileError
from likeness.fit import FaceFit, Observations, RobustLoss, Start, SurfacePoints, fit_face
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap, default_point_map
from likeness.networks.mediapipe import FaceLandmarker
from likeness.reconstruct.refine import Refiner
from likeness.reconstruct.result import Reconstruction
from likeness.reconstruct.teacher_points import FACE, TeacherPoints, teacher_points

MAP_MM = 2.0
"""How far a point of the network lies from the surface point it stands for, standard deviation along each axis."""

DISAGREEMENT = 2.0
"""By how many times the looks' disagreement a point is unsure besides: what two looks share they get wrong alike."""

LEAST_DEVIATION = 0.5
"""Pixels of the crop in which a face was found: no point is surer."""

LEAST_CHANCE = 0.5
"""What the network thinks less likely to be a face has no points."""

MEDIAPIPE = "mediapipe"

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


class TeacherRefiner:
    """Heads fitted to MediaPipe's points instead of those that the package's network places.

    The fit has to do with the population's prior: what features say of a person was learned to be fused with points
    of the other network, and beside these it made heads of portraits worse (docs/fidelity.md).

    Args:
        model: the face model.
        network: MediaPipe's.
        points: where its points lie on the model.

    Raises:
        FileError: a model of another topology than the map's.
    """

    def __init__(self, model: FaceModel, network: FaceLandmarker, points: PointMap) -> None:
        if points.vertices.max() >= len(model.mean):
            raise FileError(
                model.name, f"has no vertex {points.vertices.max()}: the map of MediaPipe's points is not its"
            )
        self.network, self.map = network, replace(points, landmarks=None, with_head=None, readout=None)
        self.refiner = Refiner(model, self.map, None)

    def __call__(self, face: Reconstruction, scale: float) -> Reconstruction | None:
        """The face anew; None where MediaPipe sees none.

        Args:
            face: its place, camera and pose say where to begin.
            scale: photo pixels per pixel of the crop in which it was found.
        """
        found = teacher_points(face.photo, face.landmarks, self.network, self.map)
        if found.chance < LEAST_CHANCE:
            return None
        pixels = found.points[:, :2]
        deviation = np.maximum(DISAGREEMENT * found.deviation, LEAST_DEVIATION * scale)
        start = Start(face.rotation, face.translation)
        refined = self.refiner(pixels, deviation, scale, face.camera, start)
        return refined.placed(replace(face, points=pixels, deviation=deviation, points_by=MEDIAPIPE))

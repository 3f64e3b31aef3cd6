"""From what a network says of a face and where it sees its surface points, to one head: the person's own shape.

The points say how this face is built, but pose, perspective and expression bend what one photo's points say in ways
that no point's own deviation tells; the features say who it resembles, which does not change from photo to photo.
What to believe of each was learned where the truth is known (:mod:`likeness.train.photos.fusion`): the code is the
best linear estimate from the network's code and the points' fit,

    c = mean + sum_j q_j(photo) F_j f,

with ``f`` the code fitted to the points under the population's prior, ``F_j`` (K, K) and ``q_j`` how far the head is
turned, how sure its points are and how strongly it makes a face. It lies inside the sphere, the nearer its centre
(the mean face) the less is known. A photo's mirror image shows the mirror image of the head: the mean, which views of
both share, is taken as symmetric, and matrices treat both sides alike. Then pose and expression are fitted once more,
under that shape (:mod:`likeness.reconstruct.expressions`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from likeness.fit import FaceFit, IdentityPrior, Observations, Start, Stopping, SurfacePoints, fit_face
from likeness.geometry.camera import Camera
from likeness.geometry.landmarks import box_of
from likeness.geometry.rotation import FRONTAL, euler_from_rotation
from likeness.model.face_model import FaceModel
from likeness.model.mirroring import mirrored_codes
from likeness.model.surface_points import PointMap
from likeness.networks.regressor import Fusion
from likeness.reconstruct.expressions import expression_prior, with_lips_closed
from likeness.reconstruct.posterior import ShapePosterior
from likeness.reconstruct.result import Cues, Reconstruction

GAIN = 1.5
"""Deviations count so many times as large: errors of neighbouring points are alike."""

FLOOR_MM = 1.5
"""mm at the head: errors that all of a photo's points of one kind share, as a standard deviation."""

TURN, SURE, CALM = np.radians(25.0), -0.2, 1.0
"""What is middling: the yaw (radians), the mean log deviation (pixels of the crop), the sum of the weights."""

TURNED = np.radians([35.0, 75.0])
"""Yaw (radians) from which the head's own points count among the landmarks, and from which there are no others: the
annotated faces of which it was learned how landmarks follow from points (:meth:`PointMap.ibug_landmarks`) were hardly
turned further than the first."""

BLURRED = -4.9, -4.7
"""Mean logarithm of the points' deviations over the face's size from which a picture counts as blurred, and from
which wholly: portraits have -5.1 to -4.8, video frames -5.0 to -4.3."""

CLOSED = 0.5
"""Lips that are less than this part as far apart as they are placed are taken to touch."""

CONVERGED = Stopping(decrease=3e-2)


@dataclass(frozen=True, eq=False)
class Refined:
    """A face after its points were fitted.

    Args:
        identity: (K,) code, inside the sphere of sphere codes.
        expression: (E,) weights.
        rotation, translation: the pose, as in :class:`likeness.Reconstruction`.
        landmarks: (68, 2) photo pixels, from the points; of heads turned far, from the head (:data:`TURNED`).
        free: what fits the points best for anyone of the population.
        precision: how much the photo tells, over a usual one: the usual variance of points over its own.
    """

    identity: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    landmarks: np.ndarray
    free: FaceFit
    precision: float

    def placed(self, face: Reconstruction, network: str = "") -> Reconstruction:
        """A reconstruction with this head, pose and landmarks instead of its own; ``network``: of :class:`Cues`."""
        features = face.coefficients.identity if face.cues is None else face.cues.features
        return replace(
            face,
            coefficients=replace(face.coefficients, identity=self.identity, expression=self.expression),
            rotation=self.rotation,
            translation=self.translation,
            landmarks=self.landmarks,
            box=np.array(box_of(self.landmarks), self.landmarks.dtype),
            cues=Cues(features, self.free.identity, self.free.expression, self.precision, network),
            posterior=ShapePosterior(face.model, self.identity, self.free),
        )


class Refiner:
    """Fits one face model to the points that a network places.

    Args:
        model: the face model.
        points: which points of its surface they are.
        fusion: what to believe; None: the points' fit alone, under the population's prior.
    """

    def __init__(self, model: FaceModel, points: PointMap, fusion: Fusion | None) -> None:
        self.model, self.map = model, points
        self.mirror = None if fusion is None else mirrored_codes(model)
        self.fusion = fusion if fusion is None or self.mirror is None else fusion.symmetric(self.mirror)
        eyes = model.topology.regions.get("eyes", np.zeros(len(model.mean), bool))
        # Where an iris is tells of the gaze, and no shape.
        self.rows = np.flatnonzero(~eyes[points.vertices].all(axis=1))
        self.points = SurfacePoints(points.vertices[self.rows], points.weights[self.rows])
        self.closed = replace(self.points, offsets=_closing(model, points)[self.rows])
        self.parting = _parting(model, points)
        self.population = IdentityPrior.population(model)

    def __call__(
        self,
        pixels: np.ndarray,
        deviation: np.ndarray,
        scale: float,
        camera: Camera,
        start: Start,
        mean: np.ndarray | None = None,
    ) -> Refined:
        """Refine one face.

        Args:
            pixels: (P, 2) photo pixels.
            deviation: (P,) photo pixels.
            scale: photo pixels per pixel of the crop that the network saw.
            camera: of the photo.
            start: the pose as the network sees it.
            mean: (K,) the network's part of the code; None: there is none, and no ``fusion``.
        """
        free = self.fit(pixels, deviation, camera, start)
        code, seen = free.identity, self.circumstances(free, deviation / scale)
        if self.fusion is not None and mean is not None:
            code = self.symmetric(mean) + self.fusion(code, seen)
        # The code changes the size too, and with it what pose fits.
        at = Start(free.rotation, free.translation, free.expression)
        fit = self.express(pixels, deviation, camera, at, code)
        parts = (code, fit.expression, fit.rotation, fit.translation)
        identity, expression, rotation, translation = (np.asarray(part, np.float32) for part in parts)
        landmarks, precision = self._landmarks(pixels, deviation, fit, code), float(np.exp(-seen[2]))
        return Refined(identity, expression, rotation, translation, landmarks, free, precision)

    def _landmarks(self, pixels: np.ndarray, deviation: np.ndarray, fit: FaceFit, code: np.ndarray) -> np.ndarray:
        """The 68 (68, 2) photo pixels, by the points and by the head."""
        head = self.model.seen_landmarks(code, fit.expression, fit.camera, fit.rotation, fit.translation)
        size = float(np.sqrt(np.prod(np.ptp(pixels, axis=0))))
        low, high = BLURRED
        blur = float(np.clip((np.log(deviation / size).mean() - low) / (high - low), 0.0, 1.0))
        placed = self.map.ibug_landmarks(pixels, head, blur)
        low, high = TURNED
        part = float(np.clip((abs(euler_from_rotation(FRONTAL @ fit.rotation)[0]) - low) / (high - low), 0.0, 1.0))
        return np.asarray(placed + part * (head - placed))

    def symmetric(self, code: np.ndarray) -> np.ndarray:
        """The symmetric part of a code (K,), where codes are fused; otherwise the code."""
        return code if self.mirror is None else 0.5 * (code + code @ self.mirror)

    def fit(self, pixels: np.ndarray, deviation: np.ndarray, camera: Camera, start: Start) -> FaceFit:
        """The face of anyone of the population that explains the points (arguments as above)."""
        seen = self.observations(pixels, deviation, camera, start)
        return fit_face(
            self.model, seen, camera, identity=self.population, start=start, stopping=CONVERGED, rounded=True
        )

    def express(
        self, pixels: np.ndarray, deviation: np.ndarray, camera: Camera, start: Start, code: np.ndarray
    ) -> FaceFit:
        """The face of a given ``code`` (K,) that explains the points; ``start`` holds the weights of :meth:`fit`."""
        assert start.expression is not None
        readout = self.map.readout
        prior = expression_prior(self.model, start.expression, pixels, readout)
        placed, points = pixels, self.points
        if readout is not None:
            nearer = readout.nearer(pixels)
            placed, points = readout.part(pixels, readout.lips, nearer), self.closed
            prior = with_lips_closed(prior, self.parting, nearer < CLOSED)
        seen = self.observations(placed, deviation, camera, start, points=points)
        return fit_face(
            self.model, seen, camera, expression=prior, code=code, start=start, stopping=CONVERGED, rounded=True
        )

    def observations(
        self,
        pixels: np.ndarray,
        deviation: np.ndarray,
        camera: Camera,
        start: Start,
        times: float = 1.0,
        points: SurfacePoints | None = None,
    ) -> Observations:
        """The points as a fit takes them.

        Args:
            pixels, deviation, camera, start: as above.
            times: how often they are seen: the covariance is multiplied by it.
            points: which points of the surface they are; None: the map's.
        """
        pixels, deviation = pixels[self.rows].astype(np.float64), deviation[self.rows].astype(np.float64)
        per_mm = camera.focal / float(start.translation[2])
        covariance = (GAIN * deviation) ** 2 + (FLOOR_MM * per_mm) ** 2
        return Observations(pixels, times * covariance, self.points if points is None else points)

    def circumstances(self, fit: FaceFit, deviation: np.ndarray) -> np.ndarray:
        """What decides how far a photo's points can be trusted, (4,): :func:`circumstances`.

        Args:
            fit: of the photo's points.
            deviation: (P,) pixels of the crop.
        """
        return circumstances(fit, float(np.log(deviation[self.rows].astype(np.float64)).mean()))


def _closing(model: FaceModel, points: PointMap) -> np.ndarray:
    """By how much points (P, 3) of the mean face move, mm, for its lips to touch: it is at rest with closed lips, and
    points of their rims lie a little above and below."""
    moved = np.zeros((len(points), 3))
    if points.readout is not None:
        upper, lower = points.readout.lips.T
        places = points.gather(model.mean.astype(np.float64))
        moved[upper] = 0.5 * (places[lower] - places[upper])
        moved[lower] = -moved[upper]
    return moved


def _parting(model: FaceModel, points: PointMap) -> np.ndarray:
    """How far each weight moves the lower lip's points down from the upper lip's, (M, E) mm; M = 0 where it is not
    known which touch."""
    if points.readout is None:
        return np.zeros((0, len(model.expression_basis)))
    upper, lower = points.readout.lips.T
    moves = points.gather(model.expression_basis.astype(np.float64))[..., 1]
    return np.asarray((moves[:, upper] - moves[:, lower]).T)


def circumstances(fit: FaceFit, log_deviation: float) -> np.ndarray:
    """What decides how far a photo's points can be trusted, (4,): one, and how far turn, unsureness and expression
    are from what is middling.

    Args:
        fit: of the photo's points.
        log_deviation: mean logarithm of their deviations, pixels of the crop.
    """
    yaw = euler_from_rotation(FRONTAL @ fit.rotation)[0]
    return np.array(
        [
            1.0,
            np.clip((yaw / TURN) ** 2, 0.0, 4.0) - 0.5,
            np.clip(2.0 * (log_deviation - SURE), -2.0, 2.0),
            np.clip(fit.expression.sum() - CALM, -1.0, 3.0),
        ]
    )

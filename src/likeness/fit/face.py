"""Points of one photo, or of many photos of one person -> coefficients with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from likeness.fit.gauss_newton import Minimum, Stopping, minimise
from likeness.fit.initial_pose import initial_pose
from likeness.fit.observations import Observations, as_sequence
from likeness.fit.photo_terms import PhotoState, PhotoTerms
from likeness.fit.points import PointBases, bases_of
from likeness.fit.posterior import identity_covariance, joint_covariance
from likeness.fit.priors import ExpressionPrior, FocalPrior, IdentityPrior
from likeness.fit.problem import Problem, State
from likeness.geometry.camera import Camera
from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel


@dataclass(frozen=True, eq=False)
class Start:
    """Where to begin with a photo, from a network say.

    Args:
        rotation: (3, 3) model axes -> camera axes.
        translation: (3,) mm, camera axes.
        expression: (E,) weights; None: the prior's mean.
    """

    rotation: np.ndarray
    translation: np.ndarray
    expression: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class FaceFit:
    """A face that explains the points of one photo.

    Args:
        model: the face model.
        identity: (K,) posterior mean of the code (inside the sphere, for sphere codes).
        expression: (E,) weights.
        rotation: (3, 3) model axes -> camera axes.
        translation: (3,) mm; ``pixel = project(camera, rotation @ x + translation)``.
        camera: of the photo, with the focal length found where it was not known.
        minimum: how the search ended.
        problem: what was minimised.
        number: which photo of the problem this is.
    """

    model: FaceModel
    identity: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    camera: Camera
    minimum: Minimum
    problem: Problem
    number: int = 0

    @property
    def cost(self) -> float:
        """Minus the log posterior at the end, nats, up to a constant."""
        return self.minimum.cost.total

    @property
    def residuals(self) -> tuple[np.ndarray, ...]:
        """(P, 2) px, predicted less seen, of each set of observations; of points without weight meaningless."""
        return tuple(points.residual for points in self.minimum.cost.photos[self.number].seen)

    @property
    def trust(self) -> float:
        """0 to 1: how much the photo as a whole counted (below 1 only where that was asked for)."""
        return self.minimum.cost.photos[self.number].trust

    @cached_property
    def covariance(self) -> np.ndarray:
        """(K, K) posterior covariance of the code (Laplace's approximation), everything else unknown; 0 where the
        code was known."""
        if len(self.problem.prior.mean) < len(self.identity):
            return np.zeros((len(self.identity),) * 2)
        return identity_covariance(self.problem, self.minimum.cost)

    def vertices(self, neutral: bool = False) -> np.ndarray:
        """Vertices (V, 3) mm in model axes, with this photo's expression or at rest."""
        return self.model.vertices(self.identity, None if neutral else self.expression)

    def mesh(self, neutral: bool = False) -> Mesh:
        """The head as a :class:`likeness.Mesh`, model axes, mm."""
        return self.model.mesh(self.identity, None if neutral else self.expression)

    def joint_covariance(self) -> np.ndarray:
        """(K + E + 6 or 7, ...) posterior covariance of code, weights, turn, place and log focal length; without the
        code's rows where it was known.

        Raises:
            ValueError: a fit of several photos.
        """
        return joint_covariance(self.problem, self.minimum.cost)


@dataclass(frozen=True, eq=False)
class PersonFit:
    """One person's shape from all of their photos.

    Args:
        model: the face model.
        identity: (K,) posterior mean of the shared code.
        faces: each photo's expression, pose and camera, with the shared code.
    """

    model: FaceModel
    identity: np.ndarray
    faces: tuple[FaceFit, ...]

    @property
    def covariance(self) -> np.ndarray:
        """(K, K) posterior covariance of the shared code."""
        return self.faces[0].covariance

    @property
    def trust(self) -> np.ndarray:
        """(N,) how much each photo counted, 0 to 1."""
        return np.array([face.trust for face in self.faces])

    def vertices(self) -> np.ndarray:
        """Vertices (V, 3) mm of the head at rest, model axes."""
        return self.model.vertices(self.identity)


def fit_face(
    model: FaceModel,
    observations: Observations | Sequence[Observations],
    camera: Camera,
    *,
    identity: IdentityPrior | None = None,
    expression: ExpressionPrior | None = None,
    focal: FocalPrior | None = None,
    start: Start | None = None,
    stopping: Stopping | None = None,
    code: np.ndarray | None = None,
    rounded: bool = False,
) -> FaceFit:
    """The most probable face behind points of one photo, and how sure that is.

    Minus the log posterior is minimised by Gauss-Newton steps over identity code, expression weights (within their
    bounds), rotation, translation and, if asked for, the focal length.

    Size cannot be seen: a head twice as large at twice the distance gives the same picture, whatever the focal
    length. The identity code says how large the head is, so its size is what the prior expects of such a shape, and
    the posterior says how unsure that is; no other parameter for the size is needed, none could be told apart from
    it. The focal length, if it is not known, shows in perspective only: from one view, depth along the line of sight,
    distance and focal length are nearly exchangeable, and ``focal`` decides.

    Args:
        model: the face model.
        observations: one set of points, or several (68 landmarks and a detector's own, say).
        camera: of the photo; its focal length is exact, or the middle of ``focal``.
        identity: default: the population's.
        expression: default: :meth:`ExpressionPrior.default`.
        focal: None: the camera's focal length is known.
        start: None: from the prior's mean shape and a closed form of the pose.
        stopping: default: when a step would gain less than 0.01 nats.
        code: (K,) the person's, where it is known exactly: only expression and pose are found, for a third of the
            time; instead of ``identity``.
        rounded: points may be 1e-5 mm off, far below what any is seen to; a tenth faster.

    Raises:
        ValueError: arrays that do not fit the model, or too few points to start from.
    """
    found = fit_person(
        model,
        [observations],
        [camera],
        identity=identity,
        expression=expression,
        focal=focal,
        starts=[start],
        photo_freedom=None,
        stopping=stopping,
        code=code,
        rounded=rounded,
    )
    return found.faces[0]


def fit_person(
    model: FaceModel,
    observations: Sequence[Observations | Sequence[Observations]],
    cameras: Sequence[Camera],
    *,
    identity: IdentityPrior | None = None,
    expression: ExpressionPrior | Sequence[ExpressionPrior] | None = None,
    focal: FocalPrior | None = None,
    starts: Sequence[Start | None] | None = None,
    photo_freedom: float | None = 4.0,
    stopping: Stopping | None = None,
    code: np.ndarray | None = None,
    rounded: bool = False,
) -> PersonFit:
    """One shape that explains points of many photos of a person; expression, pose (and focal length) of each.

    Args:
        model: the face model.
        observations: of each of N photos, as :func:`fit_face` takes them.
        cameras: of each photo.
        identity: prior of the shared code; default: the population's.
        expression: prior of every photo's weights, or one for each photo.
        focal: None: focal lengths are known.
        starts: None: as :func:`fit_face` starts.
        photo_freedom: degrees of freedom of a Student-t over whole photos, by which a photo that does not fit the
            others (somebody else, say) loses its say; None: all count fully.
        stopping: default: when a step would gain less than 0.01 nats.
        code: (K,) as :func:`fit_face` takes it.
        rounded: as there.

    Raises:
        ValueError: no photo, or arrays that do not fit together.
    """
    sets = [as_sequence(one) for one in observations]
    if not sets or len(cameras) != len(sets) or (starts is not None and len(starts) != len(sets)):
        raise ValueError(f"expected a camera (and start) for each of one or more photos, got {len(sets)} photos")
    identity = _identity_prior(model, identity, code)
    if expression is None or isinstance(expression, ExpressionPrior):
        expression = [expression or ExpressionPrior.default(model)] * len(sets)
    photos = tuple(
        PhotoTerms(_bases(model, seen, code, rounded), seen, camera, weights, focal, photo_freedom)
        for seen, camera, weights in zip(sets, cameras, expression, strict=True)
    )
    problem = Problem(identity, photos)
    states = tuple(
        _start(terms, identity.mean, start)
        for terms, start in zip(photos, starts or [None] * len(photos), strict=True)
    )
    minimum = minimise(problem, State(identity.mean, states), stopping or Stopping())
    faces = []
    shared = minimum.cost.state.identity if code is None else np.asarray(code, np.float64)
    for number, (terms, state) in enumerate(zip(photos, minimum.cost.state.photos, strict=True)):
        camera = terms.camera if focal is None else replace(terms.camera, focal=state.focal)
        pose = state.rotation, state.translation
        faces.append(FaceFit(model, shared, state.expression, *pose, camera, minimum, problem, number))
    return PersonFit(model, shared, tuple(faces))


def _identity_prior(model: FaceModel, identity: IdentityPrior | None, code: np.ndarray | None) -> IdentityPrior:
    """What is believed of the code; of none of its numbers where it is known."""
    size = len(model.identity_basis)
    if code is not None:
        if identity is not None:
            raise ValueError("expected a prior of the code or the code itself, got both")
        if np.shape(code) != (size,) or not np.isfinite(code).all():
            raise ValueError(f"expected a finite code ({size},), got {np.shape(code)}")
        return IdentityPrior(np.zeros(0), np.zeros((0, 0)))
    identity = identity or IdentityPrior.population(model)
    if len(identity.mean) != size:
        raise ValueError(f"expected a prior of {size} numbers, got {len(identity.mean)}")
    return identity


def _bases(
    model: FaceModel, seen: Sequence[Observations], code: np.ndarray | None, rounded: bool
) -> tuple[PointBases, ...]:
    """Of one photo's sets of points, of a person of this code where it is known."""
    bases = (bases_of(model, observed.points) for observed in seen)
    bases = (one.rounded for one in bases) if rounded else bases
    return tuple(bases if code is None else (one.of_person(code) for one in bases))


def _start(terms: PhotoTerms, identity: np.ndarray, start: Start | None) -> PhotoState:
    """Where the search begins in one photo."""
    prior = terms.expression_prior
    weights = prior.mean if start is None or start.expression is None else start.expression
    weights = np.clip(np.asarray(weights, np.float64), prior.lower, prior.upper)
    if start is not None:
        rotation = np.asarray(start.rotation, np.float64)
        return PhotoState(weights, rotation, np.asarray(start.translation, np.float64), terms.camera.focal)
    shape = np.concatenate([identity, weights])
    points, pixels, certain = [], [], []
    for bases, observed in zip(terms.bases, terms.observations, strict=True):
        still = bases.fixed()
        chosen = slice(None) if still is None else still
        own = slice(len(observed.pixels) - len(still), None) if still is not None else slice(None)
        points.append(bases.positions(shape)[chosen])
        pixels.append(observed.pixels[own])
        certain.append((observed.root[own] ** 2).sum((1, 2)))
    pose = initial_pose(np.concatenate(points), np.concatenate(pixels), np.concatenate(certain), terms.camera)
    return PhotoState(weights, *pose, terms.camera.focal)

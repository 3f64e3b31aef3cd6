"""People of one face model as another's: codes and meshes of model A -> codes and meshes of model B.

Points that are the same on both surfaces (:class:`Correspondence`) say where B's surface has to be; the code and the
expression of B that bring it there are the likeliest ones under B's prior, up to a rigid motion, since models differ
in where their heads are. Millimetres throughout; size is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.fit.bounded import box_minimum
from likeness.geometry.similarity import Similarity, similarity_from_points
from likeness.mesh import Mesh
from likeness.model.codes import least_squares_codes
from likeness.model.face_model import ARKIT_NAMES, FaceModel
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.register.transfer import INDEPENDENT, NOISE, carrier_between

Array = np.ndarray

SAME_MEAN = 3.0
"""mm (RMS, after a rigid motion) up to which two means of equally many vertices have the same vertices."""

ALTERNATIONS = 5
"""Times that the code is found again beside an expression within its bounds, and the expression beside that code."""

ROUNDS, SETTLED = 12, 1e-4
"""Rounds of codes and rigid motion in turn, and the change in mm below which they have settled."""

EXACT = 0.1
"""mm to which vertices of two models with the same vertices are the same."""

LEAST_PAIRS = 100
"""Fewer points that are the same on both surfaces say too little about a head."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """Points on a model's surface: (N, 3) vertices and their weights, which sum to 1 for each point."""

    vertices: Array
    weights: Array

    def of(self, values: Array) -> Array:
        """Values (..., V, 3) of the vertices at the points, (..., N, 3) float64."""
        return np.asarray((values.astype(np.float64)[..., self.vertices, :] * self.weights[..., None]).sum(-2))


@dataclass(frozen=True, eq=False)
class Correspondence:
    """N points that are the same on two models.

    Args:
        source, target: where they are on each.
        weights: (N,) how much each counts; they sum to 1.
        how: "same vertices", or the name of the model whose topology was registered to both.
        noise: mm to which they are the same.
    """

    source: Anchors
    target: Anchors
    weights: Array
    how: str
    noise: float = NOISE

    @classmethod
    def between(
        cls, source: FaceModel, target: FaceModel, *, reconstructor: Reconstructor | None = None
    ) -> Correspondence:
        """Find them.

        Models of one topology, or of equally many vertices whose means agree, share their vertices. Else one topology
        is registered to both means (:func:`likeness.register.transfer`): the target's or the source's if its regions
        and landmarks are known, else the embedded model's.

        Args:
            source, target: the models.
            reconstructor: as in :func:`likeness.register.register_scan`, for models without landmarks.

        Raises:
            ValueError: a model has no triangles to find them by, a mean is no face, or too few points are found.
            MissingExtraError: the ``scans`` extra is not installed.
        """
        if _share_vertices(source, target):
            every = np.arange(len(source.mean))
            anchors = Anchors(np.stack([every] * 3, 1), np.tile([1.0, 0.0, 0.0], (len(every), 1)))
            model = target if len(target.topology.triangles) else source
            return cls(anchors, anchors, _shares(model, np.ones(len(every), bool)), "same vertices", EXACT)
        for model in (source, target):
            if not len(model.topology.triangles):
                raise ValueError(f"expected a model with triangles, {model.name!r} has none and shares no vertices")
        template = next((model for model in (target, source) if _is_template(model)), None)
        if template is None:
            template = _embedded()
        (first, seen), (second, also) = (_on(model, template, reconstructor) for model in (source, target))
        both = seen & also
        if both.sum() < LEAST_PAIRS:
            raise ValueError(
                f"expected {source.name!r} and {target.name!r} to have a face in common, got {both.sum()}"
            )
        chosen = [Anchors(side.vertices[both], side.weights[both]) for side in (first, second)]
        return cls(chosen[0], chosen[1], _shares(template, both), template.name)


@dataclass(frozen=True, eq=False)
class Transferred:
    """A person as a model's.

    Args:
        identity: (K,) code.
        expression: (E,) weights.
        vertices: (V, 3) mm, the model's axes.
        model_from_source: the rigid motion from the axes of the shape that was given.
        rms: mm, of the corresponding points.
    """

    identity: Array
    expression: Array
    vertices: Array
    model_from_source: Similarity
    rms: float


def transfer_shape(
    target: FaceModel, correspondence: Correspondence, vertices: Array, at_rest: Array | None = None
) -> Transferred:
    """The likeliest code and expression of a model for another model's shape.

    Args:
        target: the model.
        correspondence: from the other model to it.
        vertices: (V_source, 3) mm, any axes.
        at_rest: (V_source, 3) the same person with a neutral face in the same axes, where that is known: then it
            alone decides on the code, and ``vertices`` on the expression. None: both are found together.

    Raises:
        ValueError: vertices of another shape, or not finite.
    """
    solver = _Solver(target, correspondence)
    points = solver.points(vertices)
    if at_rest is None:
        identity, motion = solver.identity(points, None)
    else:
        identity, motion = solver.identity(solver.points(at_rest), np.zeros(len(solver.moves)))
    expression, motion = solver.expression(points, identity, motion)
    for _ in range(ALTERNATIONS if at_rest is None else 0):  # the bounds of the expression change the code, too
        identity, motion = solver.identity(points, expression)
        expression, motion = solver.expression(points, identity, motion)
    identity, expression = identity.astype(np.float32), expression.astype(np.float32)
    shape = target.vertices(identity, expression)
    apart = motion.apply(points) - correspondence.target.of(shape)
    rms = float(np.sqrt(correspondence.weights @ (apart * apart).sum(1)))
    return Transferred(identity, expression, shape, motion, rms)


class _Solver:
    """The linear problems of one model at corresponding points."""

    def __init__(self, model: FaceModel, correspondence: Correspondence) -> None:
        self.model, self.pairs = model, correspondence
        at = correspondence.target
        self.mean, self.basis, self.moves = map(at.of, (model.mean, model.identity_basis, model.expression_basis))
        self.root = np.sqrt(correspondence.weights)[:, None]
        # Points near each other err together: only a part of them counts as independent evidence.
        self.ridge = correspondence.noise**2 / (INDEPENDENT * len(self.root))
        bounded = model.expression_names == ARKIT_NAMES
        self.bounds = (0.0, 1.0) if bounded else (-np.inf, np.inf)

    def points(self, vertices: Array) -> Array:
        vertices = np.asarray(vertices, np.float64)
        needed = int(self.pairs.source.vertices.max()) + 1
        if vertices.ndim != 2 or vertices.shape[1] != 3 or len(vertices) < needed or not np.isfinite(vertices).all():
            raise ValueError(f"expected finite vertices (at least {needed}, 3), got {vertices.shape}")
        return self.pairs.source.of(vertices)

    def flat(self, fields: Array) -> Array:
        """Fields (M, N, 3), weighted, (M, 3 N)."""
        return np.asarray((fields * self.root).reshape(len(fields), self.mean.size))

    def motion(self, points: Array, shape: Array) -> Similarity:
        return Similarity(*similarity_from_points(points, shape, self.pairs.weights, scale=1.0))

    def turns(self, shape: Array) -> Array:
        """(6, N, 3) small rotations about the middle, and translations, of points at ``shape``."""
        turned = [np.cross(axis, shape - shape.mean(0)) / 100 for axis in np.eye(3)]
        return np.stack([*turned, *(np.tile(axis, (len(shape), 1)) for axis in np.eye(3))])

    def identity(self, points: Array, weights: Array | None) -> tuple[Array, Similarity]:
        """The code (K,) and the rigid motion, in turn; small motions are let go along, and where the expression's
        weights (E,) are not known, expressions."""
        moves = self.moves if weights is None else self.moves[:0]
        mean = self.mean if weights is None else self.mean + np.tensordot(weights, self.moves, 1)
        ridges = np.append(np.full(len(moves), self.ridge), np.full(6, 1e-9))
        shape, code = mean, np.zeros(len(self.basis))
        motion = self.motion(points, shape)
        for _ in range(ROUNDS):
            beside = self.flat(np.concatenate([moves, self.turns(shape)]))
            wanted = self.flat((motion.apply(points) - mean)[None])
            codes, moved = least_squares_codes(
                self.model.space, self.flat(self.basis), wanted, beside, ridges, self.ridge
            )
            code, before = codes[0], shape
            shape = mean + np.tensordot(code, self.basis, 1) + np.tensordot(moved[0, :-6], moves, 1)
            motion = self.motion(points, shape)
            if np.abs(shape - before).max() < SETTLED:
                break
        return code, motion

    def expression(self, points: Array, code: Array, motion: Similarity) -> tuple[Array, Similarity]:
        """The weights (E,), within their bounds, beside a code that is known."""
        rest = self.mean + np.tensordot(code, self.basis, 1)
        weights, side = np.zeros(len(self.moves)), np.zeros(len(self.moves), int)
        if not len(weights):
            return weights, self.motion(points, rest)
        moves = self.flat(self.moves)
        lower, upper = (np.full(len(weights), bound) for bound in self.bounds)
        shape = rest
        for _ in range(ROUNDS):
            turns = self.flat(self.turns(shape))
            wanted = self.flat((motion.apply(points) - rest)[None])[0]
            inner = turns @ turns.T + 1e-9 * np.eye(6)
            carried = np.linalg.solve(inner, turns @ moves.T)
            matrix = moves @ moves.T - (moves @ turns.T) @ carried + self.ridge * np.eye(len(weights))
            gradient = -(moves @ wanted) + carried.T @ (turns @ wanted)
            weights, side = box_minimum(matrix, gradient, lower, upper, side)
            before, shape = shape, rest + np.tensordot(weights, self.moves, 1)
            motion = self.motion(points, shape)
            if np.abs(shape - before).max() < SETTLED:
                break
        return weights, motion


def _share_vertices(source: FaceModel, target: FaceModel) -> bool:
    if source.mean.shape != target.mean.shape:
        return False
    if len(source.topology.triangles) and np.array_equal(source.topology.triangles, target.topology.triangles):
        return True
    first, second = source.mean.astype(np.float64), target.mean.astype(np.float64)
    moved = Similarity(*similarity_from_points(first, second, scale=1.0)).apply(first)
    return bool(np.sqrt(((moved - second) ** 2).sum(1).mean()) < SAME_MEAN)


def _is_template(model: FaceModel) -> bool:
    return model.topology.landmarks is not None and "face" in model.topology.regions


def _embedded() -> FaceModel:
    from likeness.assets import asset

    return FaceModel.load(asset("face_model.npz"))


def _on(model: FaceModel, template: FaceModel, reconstructor: Reconstructor | None) -> tuple[Anchors, Array]:
    """Where the template's vertices lie on a model, and (V,) bool: on which that is known."""
    if model is template or _share_vertices(model, template):
        every = np.arange(len(template.mean))
        return Anchors(np.stack([every] * 3, 1), np.tile([1.0, 0.0, 0.0], (len(every), 1))), np.ones(len(every), bool)
    carrier, _ = carrier_between(model, template, None, reconstructor)
    return Anchors(carrier.triangles[carrier.nearest.triangle], carrier.nearest.barycentric), carrier.known


def _shares(model: FaceModel, mask: Array) -> Array:
    """The chosen vertices' shares of the mean's area; all alike without triangles."""
    if not len(model.topology.triangles):
        return np.full(int(mask.sum()), 1 / mask.sum())
    areas = Mesh(model.mean, model.topology.triangles).vertex_areas()[mask]
    return np.asarray(areas / areas.sum())

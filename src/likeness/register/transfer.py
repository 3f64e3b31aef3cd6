"""A whole face model in another topology, re-expressed in ours through one dense correspondence of the means.

A linear model moves every point of its surface linearly, so one correspondence carries all of it: the mean is the
template registered to the other mean, and every mode is read off where the template's vertices came to lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from likeness.geometry.landmarks import INNER_COUNT
from likeness.mesh import Mesh
from likeness.mesh.closest import ClosestPoints, Surface
from likeness.mesh.laplacians import carry_smoothly, components, graph_laplacian
from likeness.mesh.normals import vertex_normals
from likeness.model.face_model import FaceModel
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.register.head_parts import Parts
from likeness.register.pipeline import register_scan
from likeness.register.result import Registration

Array = np.ndarray

REACH = 3.0
"""mm between the registered template and the other mean within which a vertex is on it."""

NORMAL_COSINE = 0.3

LEAST_PIECE = 0.15
"""The part of a mesh's vertices that a connected piece of a head has; smaller ones are eyes, teeth and lashes."""

NOISE, INDEPENDENT = 0.5, 0.1
"""mm to which the template's modes are asked to explain another model's, and the part of vertices that count as
independent, where they stand in for what the other model does not have."""


def transfer(
    model: FaceModel,
    template: FaceModel,
    *,
    landmarks: Array | None = None,
    reconstructor: Reconstructor | None = None,
) -> FaceModel:
    """Re-express a model in another topology.

    On the common surface the result's shapes are the model's, whatever the codes. What only the template has (often
    the back of the head, the neck) moves as the template's own people do whose faces move likewise; eyeballs move
    with their sockets, and the inside of the mouth with the lips. Codes, expression names and the identity space
    stay the model's; the axes become the template's. A model that has the template's triangles already only takes
    over the template's topology.

    Args:
        model: the model to convert, in mm.
        template: a model in the wanted topology, with landmarks; also what says which shapes are likely.
        landmarks: (51, 3) or (68, 3) points on ``model.mean``, mm; None: those of the model's own map; a model
            without a map is looked at like a raw scan.
        reconstructor: as in :func:`likeness.register.register_scan`.

    Raises:
        ValueError: the mean is no face, or landmarks are of another shape.
        MissingExtraError: the ``scans`` extra is not installed.
    """
    same_triangles = np.array_equal(model.topology.triangles, template.topology.triangles)
    if same_triangles and model.mean.shape == template.mean.shape:
        return replace(model, topology=template.topology)
    carrier, registration = carrier_between(model, template, landmarks, reconstructor)
    own = dict(zip(template.expression_names, template.expression_basis.astype(np.float64), strict=True))
    nothing = np.zeros_like(template.mean, np.float64)
    expression_detail = np.stack([own.get(name, nothing) for name in model.expression_names])
    identity = carrier.carry(model.identity_basis, carrier.explained(model.identity_basis), gaze=False)
    expression = carrier.carry(model.expression_basis, expression_detail, gaze=True)
    albedo_mean, albedo_basis, albedo_names = carrier.albedo()
    return FaceModel(
        mean=registration.mesh.vertices.astype(np.float32),
        identity_basis=identity,
        expression_basis=expression,
        albedo_mean=albedo_mean,
        albedo_basis=albedo_basis,
        albedo_names=albedo_names,
        topology=template.topology,
        name=f"{model.name}-on-{template.name}",
        expression_names=model.expression_names,
        identity_space=model.identity_space,
    )


def carrier_between(
    model: FaceModel, template: FaceModel, landmarks: Array | None, reconstructor: Reconstructor | None
) -> tuple[Carrier, Registration]:
    """The template registered to a model's mean, and what carries fields over; arguments as in :func:`transfer`."""
    triangles = _skin_triangles(model)
    if landmarks is None and model.topology.landmarks is not None:
        landmarks = model.landmark_bases[0][:INNER_COUNT]
    registration = register_scan(
        Mesh(model.mean.astype(np.float64), triangles),
        template,
        landmarks=landmarks,
        units="mm",
        reconstructor=reconstructor,
    )
    return Carrier.of(model, template, triangles, registration), registration


def _skin_triangles(model: FaceModel) -> Array:
    """The model's triangles (F, 3) that a scanner would see: without eyeballs, mouth and other small pieces."""
    topology, count = model.topology, len(model.mean)
    hidden = np.zeros(count, bool)
    for name in ("eyes", "mouth"):
        hidden |= topology.regions.get(name, np.zeros(count, bool))
    piece = components(topology.triangles, count)
    sizes = np.bincount(piece)
    hidden |= sizes[piece] < LEAST_PIECE * sizes.max()
    kept = topology.triangles[~hidden[topology.triangles].any(1)]
    return kept if len(kept) else topology.triangles


@dataclass(frozen=True, eq=False)
class Carrier:
    """Carries fields on a model's mean over to the template registered to it."""

    model: FaceModel
    template: FaceModel
    triangles: Array  # of the model's skin
    parts: Parts  # of the template
    nearest: ClosestPoints  # of the template's vertices on the model's mean
    known: Array  # (V,) bool: template's vertices that lie on the model's mean
    turn: Array  # (3, 3) model's axes -> template's, displacements

    @classmethod
    def of(cls, model: FaceModel, template: FaceModel, triangles: Array, registration: Registration) -> Carrier:
        parts = Parts.of(template)
        back = registration.scan_from_model.inverse()
        surface = Surface(back.apply(model.mean), triangles)
        vertices = registration.mesh.vertices.astype(np.float64)
        nearest = surface.closest(vertices)
        agree = (vertex_normals(vertices, parts.triangles) * surface.triangle_normals[nearest.triangle]).sum(1)
        agree *= np.sign(np.median(agree[parts.face]))  # some programs write triangles the other way round
        known = (nearest.distance < REACH) & (agree > NORMAL_COSINE) & ~surface.on_boundary(nearest)
        known &= (parts.weights > 0) & ~parts.rim
        # A vertex whose neighbours are mostly unknown sits where two folds touch, and may be on the wrong one.
        laplacian = graph_laplacian(parts.triangles, len(known))
        known &= laplacian @ known.astype(float) <= 0.5
        return cls(model, template, triangles, parts, nearest, known, back.scale * back.rotation)

    def read(self, fields: Array) -> Array:
        """Displacements (M, V_model, 3) at the template's vertices: (M, V, 3) in its axes."""
        return self.nearest.interpolate(self.triangles, fields.astype(np.float64)) @ self.turn.T

    def explained(self, fields: Array) -> Array:
        """The template's identity displacement (M, V, 3) that is most like each field where both are known.

        Ridge regression: the likeliest codes under the template's prior, given the field with some noise.
        """
        basis = self.template.identity_basis.astype(np.float64)
        here = basis[:, self.known].reshape(len(basis), -1)
        strength = INDEPENDENT / NOISE**2
        right = strength * here @ self.read(fields)[:, self.known].reshape(len(fields), -1).T
        codes = np.linalg.solve(strength * here @ here.T + np.eye(len(basis)), right)
        return np.tensordot(codes.T, basis, 1)

    def carry(self, fields: Array, detail: Array, *, gaze: bool) -> Array:
        """Fields (M, V_model, 3) -> (M, V, 3) float32: read off where known, elsewhere in the shape of ``detail``.

        Args:
            gaze: the fields are expressions, in which eyeballs do nothing but what ``detail`` says.
        """
        read = self.read(fields)
        if not len(read):
            return np.zeros((0, *self.template.mean.shape), np.float32)

        def columns(values: Array) -> Array:
            return values.transpose(1, 0, 2).reshape(values.shape[1], -1)

        body = np.flatnonzero(self.parts.body)
        number = np.cumsum(self.parts.body) - 1
        triangles = number[self.parts.triangles[self.parts.body[self.parts.triangles].all(1)]]
        flat = carry_smoothly(self.known[body], columns(read)[body], triangles, columns(detail)[body])
        result = detail.copy()
        result[:, body] = flat.reshape(len(body), len(fields), 3).transpose(1, 0, 2)
        for vertices, around in self.parts.loose:
            if not (gaze and self.parts.eyes[vertices].all()):
                result[:, vertices] += (result[:, around] - detail[:, around]).mean(1, keepdims=True)
        return np.asarray(result, np.float32)

    def albedo(self) -> tuple[Array, Array, tuple[str, ...]]:
        """Albedo mean, basis and names: the model's, with the template's colours inside; all the template's where
        the model has none."""
        model, template = self.model, self.template
        if not len(model.albedo_basis) and np.ptp(model.albedo_mean, axis=0).max() == 0:
            return template.albedo_mean, template.albedo_basis, template.albedo_names
        outside = (self.parts.weights > 0)[:, None]
        mean = self.nearest.interpolate(self.triangles, model.albedo_mean)
        basis = self.nearest.interpolate(self.triangles, model.albedo_basis)
        return (
            np.where(outside, mean, template.albedo_mean).astype(np.float32),
            np.where(outside, basis, 0.0).astype(np.float32),
            model.albedo_names,
        )

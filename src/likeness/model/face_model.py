"""The face model: coefficients in, geometry, landmarks and colours out.

``S(c, e) = S̄ + W c + B e`` in millimetres, with identity codes ``c``, ARKit expression weights ``e`` and colours
``exp(T̄ + A a)``: albedo is linear in log reflectance because pigments multiply (see ``runs/build_albedo.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.geometry.camera import Camera
from likeness.geometry.landmarks import LandmarkMap
from likeness.images.color import srgb_from_linear
from likeness.mesh import Mesh
from likeness.model.identity import SPACES, GaussianSpace, GeometryMetric, Lift, SphereSpace
from likeness.model.npz import FORMAT, load_fields, save_fields
from likeness.model.topology import Topology
from likeness.model.uv_layout import laid_out

ARKIT_NAMES: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose",
    "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The 52 ARKit blendshapes in Apple's order and spelling; left is the subject's left."""


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What a face is made of, by name, with any leading batch dimensions (the same in every field).

    Args:
        identity: (..., K) code.
        expression: (..., 52) ARKit weights in [0, 1], in the order of :data:`ARKIT_NAMES`.
        albedo: (..., A) weights of the albedo maps, about N(0, 1) each.
        light: (..., 9, 3) spherical-harmonics light in camera axes turned upright (model axes of a frontal
            face), RGB; see :func:`likeness.render.shade`.
    """

    identity: np.ndarray
    expression: np.ndarray
    albedo: np.ndarray
    light: np.ndarray

    def __post_init__(self) -> None:
        batch = np.shape(self.identity)[:-1]
        for name, tail in (("expression", 1), ("albedo", 1), ("light", 2)):
            if np.shape(getattr(self, name))[:-tail] != batch:
                raise ValueError(f"expected {name} with leading dimensions {batch}, got {getattr(self, name).shape}")

    def __getitem__(self, index: Any) -> Coefficients:
        """One face, or some, of a batch."""
        return Coefficients(self.identity[index], self.expression[index], self.albedo[index], self.light[index])


@dataclass(frozen=True, eq=False)
class FaceModel:
    """A linear face model on one topology.

    Args:
        mean: (V, 3) mm, model axes.
        identity_basis: (K, V, 3) mm per unit of code.
        expression_basis: (52, V, 3) mm at weight 1.
        albedo_mean: (V, 3) log of linear RGB reflectance.
        albedo_basis: (A, V, 3) log reflectance per unit of weight.
        albedo_names: the A maps' names.
        topology: see :class:`Topology`.
        name: what results are labelled with.
        expression_names: the expressions' names.
        identity_space: ``gaussian`` or ``sphere``: where the codes live, see :attr:`space`.
    """

    mean: np.ndarray
    identity_basis: np.ndarray
    expression_basis: np.ndarray
    albedo_mean: np.ndarray
    albedo_basis: np.ndarray
    albedo_names: tuple[str, ...]
    topology: Topology
    name: str = "unnamed"
    expression_names: tuple[str, ...] = field(default=ARKIT_NAMES)
    identity_space: str = GaussianSpace.name

    def __post_init__(self) -> None:
        count = self.mean.shape[0]
        for label, shape in (
            ("mean", (count, 3)),
            ("identity_basis", (len(self.identity_basis), count, 3)),
            ("expression_basis", (len(self.expression_names), count, 3)),
            ("albedo_mean", (count, 3)),
            ("albedo_basis", (len(self.albedo_names), count, 3)),
        ):
            if getattr(self, label).shape != shape:
                raise ValueError(f"expected {label} {shape}, got {getattr(self, label).shape}")
        if self.identity_space not in SPACES:
            raise ValueError(f"expected identity_space of {sorted(SPACES)}, got {self.identity_space!r}")

    @property
    def space(self) -> GaussianSpace | SphereSpace:
        """The space that identity codes live in."""
        return SPACES[self.identity_space](len(self.identity_basis))

    @property
    def landmark_map(self) -> LandmarkMap:
        """The 68 iBUG points on the surface.

        Raises:
            ValueError: this model does not know where they are.
        """
        if self.topology.landmarks is None:
            raise ValueError(f"expected a face model with the 68 iBUG landmarks, {self.name!r} has none")
        return self.topology.landmarks

    @cached_property
    def metric(self) -> GeometryMetric:
        """The geometry metric of the face region (the whole surface where no region ``face`` is known)."""
        return self.metric_of("face" if "face" in self.topology.regions else None)

    def metric_of(self, region: str | None) -> GeometryMetric:
        """The geometry metric of a region by name (None: of the whole surface), weighted by the mean's areas.

        Raises:
            ValueError: there is no such region.
        """
        return GeometryMetric.from_basis(self.identity_basis, self._areas(region))

    @cached_property
    def shape_metric(self) -> GeometryMetric:
        """The metric of shape after the best similarity, linearised at the mean
        (:meth:`~likeness.model.identity.GeometryMetric.of_shape`), of the same region as :attr:`metric`."""
        areas = self._areas("face" if "face" in self.topology.regions else None)
        return GeometryMetric.of_shape(self.identity_basis, areas, self.mean)

    def _areas(self, region: str | None) -> np.ndarray:
        """Areas (V,) of the mean's vertices, 0 outside a region; None: of all."""
        areas = Mesh(self.mean, self.topology.triangles).vertex_areas()
        if region is None:
            return areas
        if region not in self.topology.regions:
            raise ValueError(f"expected a region of {sorted(self.topology.regions)}, got {region!r}")
        return areas * self.topology.regions[region]

    def lifted(self) -> FaceModel:
        """The same shapes with codes on a sphere: K Gaussian modes become K + 1
        (:class:`likeness.model.identity.Lift`).

        Raises:
            ValueError: the codes are on a sphere already.
        """
        if self.identity_space != GaussianSpace.name:
            raise ValueError(f"expected a model with Gaussian codes, {self.name!r} has {self.identity_space} codes")
        lift = Lift(len(self.identity_basis))
        return replace(
            self,
            identity_basis=lift.basis(self.identity_basis),
            identity_space=SphereSpace.name,
            name=f"{self.name}-lifted",
        )

    def geometry(self, codes: np.ndarray) -> np.ndarray:
        """Identity codes (..., K) -> millimetre embedding (..., K) whose Euclidean distances are RMS vertex
        distances over the face region (:class:`likeness.model.identity.GeometryMetric`)."""
        return np.asarray(self.metric.embed(codes))

    def vertices(self, identity: np.ndarray, expression: np.ndarray | None = None) -> np.ndarray:
        """Vertices (..., V, 3) in mm, model axes, of codes (..., K) and weights (..., 52) (None: neutral)."""
        return self._combine(self.mean, self.identity_basis, self.expression_basis, identity, expression)

    def landmark_points(self, identity: np.ndarray, expression: np.ndarray | None = None) -> np.ndarray:
        """All landmark candidates (..., 51 + 17 C, 3) in mm without decoding the mesh; see :class:`LandmarkMap`."""
        mean, identity_basis, expression_basis = self.landmark_bases
        return self._combine(mean, identity_basis, expression_basis, identity, expression)

    def seen_landmarks(
        self,
        identity: np.ndarray,
        expression: np.ndarray | None,
        camera: Camera,
        rotation: np.ndarray,
        translation: np.ndarray,
    ) -> np.ndarray:
        """The 68 iBUG points (68, 2) of a head as a camera sees them, pixels, the jaw's on the visible contour.

        Args:
            identity: (K,) code.
            expression: (E,) weights; None: at rest.
            camera: of the picture.
            rotation, translation: (3, 3) and (3,) mm, model axes -> camera axes.
        """
        points = self.landmark_points(identity, expression) @ rotation.T + translation
        return np.asarray(self.landmark_map.project(camera, points, rotation))

    @cached_property
    def landmark_bases(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean (N, 3), identity (K, N, 3) and expression (52, N, 3) bases of the landmark candidates, mm."""
        gather = self.landmark_map.gather
        return gather(self.mean), gather(self.identity_basis), gather(self.expression_basis)

    def _combine(
        self,
        mean: np.ndarray,
        identity_basis: np.ndarray,
        expression_basis: np.ndarray,
        identity: np.ndarray,
        expression: np.ndarray | None,
    ) -> np.ndarray:
        identity = np.asarray(identity, np.float32)
        if identity.shape[-1] != len(identity_basis):
            raise ValueError(f"expected identity (..., {len(identity_basis)}), got {identity.shape}")
        flat = identity @ identity_basis.reshape(len(identity_basis), mean.size)
        if expression is not None:
            expression = np.asarray(expression, np.float32)
            if expression.shape[-1] != len(expression_basis):
                raise ValueError(f"expected expression (..., {len(expression_basis)}), got {expression.shape}")
            flat = flat + expression @ expression_basis.reshape(len(expression_basis), mean.size)
        return flat.reshape(*flat.shape[:-1], -1, 3) + mean

    def albedo(self, weights: np.ndarray) -> np.ndarray:
        """Linear RGB reflectance (..., V, 3) in (0, 1] of albedo weights (..., A)."""
        weights = np.asarray(weights, np.float32)
        log = weights @ self.albedo_basis.reshape(len(self.albedo_basis), self.mean.size)
        return np.exp(np.minimum(log.reshape(*weights.shape[:-1], -1, 3) + self.albedo_mean, 0.0))

    def mesh(
        self,
        identity: np.ndarray,
        expression: np.ndarray | None = None,
        albedo: np.ndarray | None = None,
    ) -> Mesh:
        """One head as a :class:`likeness.Mesh`, with sRGB vertex colours if ``albedo`` weights (A,) are given."""
        topology = self.topology
        return Mesh(
            self.vertices(identity, expression),
            topology.triangles,
            uv=topology.uv if len(topology.uv) else None,
            uv_triangles=topology.uv_triangles if len(topology.uv) else None,
            colors=None if albedo is None else srgb_from_linear(self.albedo(albedo)),
            quads=topology.quads,
        )

    def save(self, path: StrPath) -> None:
        """Write the model to one compressed ``.npz`` (see ``likeness.model.npz``)."""
        save_fields(
            path,
            {
                "mean": self.mean,
                "identity_basis": self.identity_basis,
                "expression_basis": self.expression_basis,
                "albedo_mean": self.albedo_mean,
                "albedo_basis": self.albedo_basis,
                "albedo_names": self.albedo_names,
                "topology": self.topology,
                "name": self.name,
                "expression_names": self.expression_names,
                "identity_space": self.identity_space,
            },
        )

    @classmethod
    def load(cls, path: StrPath) -> FaceModel:
        """Read a model written by :meth:`save`; the embedded head's texture coordinates are laid out for faces
        (:mod:`likeness.model.uv_layout`).

        Raises:
            likeness.FileError: the file is missing, truncated, or not such a model.
        """
        fields = load_fields(path)
        fields["topology"] = laid_out(fields["topology"])
        try:
            return cls(**fields)
        except ValueError as error:
            raise FileError(path, f"expected a {FORMAT}: {error}") from error

"""An identity basis that is learned from photographs: ``W = W₁ + ΔW`` (Sphere Face Model, stage 2; design 3.6).

Photographs show a face at a few dozen points and from few sides, so most of ΔW would be noise. It is therefore a sum
of smooth fields, the lowest eigenvectors of the mesh's Laplacian, and penalties keep it small, smooth and symmetric.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from likeness.extras import import_extra
from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.model.mirroring import mirroring
from likeness.register import graph_laplacian
from likeness.train.losses.reconstruction import Bases
from likeness.train.recipe_settings import BasisSettings


class LearnedBasis(nn.Module):
    """ΔW as coefficients of smooth fields; starts at zero.

    Args:
        model: gives W₁, the mesh and its mirror map.
        settings: see :class:`BasisSettings`.

    Raises:
        likeness.MissingExtraError: SciPy is not installed.
    """

    start: Tensor
    fields: Tensor
    frequency: Tensor
    area: Tensor
    point_fields: Tensor
    mirror: Tensor
    partner: Tensor

    def __init__(self, model: FaceModel, settings: BasisSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or BasisSettings()
        fields, values = smooth_fields(model.topology.triangles, len(model.mean), self.settings.fields)
        self.coefficients = nn.Parameter(torch.zeros(len(model.identity_basis), len(fields), 3))
        self.register_buffer("start", torch.tensor(model.identity_basis), persistent=False)
        self.register_buffer("fields", torch.tensor(fields), persistent=False)
        self.register_buffer("frequency", torch.tensor(values / values.mean()), persistent=False)
        self.register_buffer("area", torch.tensor(_face_areas(model)), persistent=False)
        points = model.landmark_map.gather(np.repeat(fields[..., None], 3, -1))[..., 0]
        self.register_buffer("point_fields", torch.tensor(points), persistent=False)
        partner = model.topology.mirror
        self.symmetric = partner is not None
        if partner is not None:
            self.register_buffer("partner", torch.tensor(partner.astype(np.int64)), persistent=False)
            mirror = mirroring(model.identity_basis, partner)
            self.register_buffer("mirror", torch.tensor(mirror, dtype=torch.float32), persistent=False)

    def delta(self) -> Tensor:
        """ΔW (K, V, 3) mm per unit of code."""
        return torch.einsum("kmc,mv->kvc", self.coefficients, self.fields)

    def bases(self, point_identity: Tensor) -> Bases:
        """What the losses need, differentiable.

        Args:
            point_identity: (K, N, 3) W₁ at the landmark candidates.
        """
        points = point_identity + torch.einsum("kmc,mn->knc", self.coefficients, self.point_fields)
        flat = ((self.start + self.delta()) * self.area.sqrt()[:, None]).flatten(1)
        metric = flat @ flat.T
        # Directions that no vertex shows have no geometry; a ten-thousandth of the mean keeps the factor defined.
        jitter = 1e-4 * metric.diagonal().mean().detach()
        factor = torch.linalg.cholesky(metric + jitter * torch.eye(len(metric), device=metric.device))
        return Bases(points, factor)

    def penalty(self) -> Tensor:
        """The weighted sum of the penalties of :class:`BasisSettings`; 0 for ΔW = 0."""
        settings, unit = self.settings, self.start.square().mean()
        squared = self.coefficients.square().sum((0, 2)) / (self.start[0].numel() * len(self.start))
        size, smooth = squared.sum() / unit, (squared * self.frequency).sum() / unit
        penalty = settings.size * size + settings.smooth * smooth
        if self.symmetric:
            delta = self.delta()
            mirrored = delta[:, self.partner] * delta.new_tensor([-1.0, 1.0, 1.0])
            shared = (self.mirror @ delta.flatten(1)).view_as(delta)
            penalty = penalty + settings.mirror * (mirrored - shared).square().mean() / unit
        return penalty

    def model(self, model: FaceModel, name: str) -> FaceModel:
        """The face model with the learned basis."""
        with torch.no_grad():
            basis = (self.start + self.delta()).cpu().numpy()
        return replace(model, identity_basis=basis.astype(np.float32), name=name)


def smooth_fields(triangles: np.ndarray, count: int, fields: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest eigenvectors of a mesh's symmetric graph Laplacian: orthonormal fields (M, V) and eigenvalues (M,),
    float32; at most ``count - 2`` of them."""
    diags = import_extra("scipy.sparse", "learning a basis").diags
    eigsh = import_extra("scipy.sparse.linalg", "learning a basis").eigsh
    walk = graph_laplacian(triangles, count)  # I - D⁻¹A
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    degree = np.maximum(np.bincount(pairs.ravel(), minlength=count), 1.0)
    symmetric = diags(degree) @ walk
    values, vectors = eigsh(
        symmetric, k=min(fields, count - 2), sigma=-1e-3, which="LM", v0=np.ones(count) / np.sqrt(count)
    )
    order = np.argsort(values)
    return vectors.T[order].astype(np.float32), np.maximum(values[order], 0).astype(np.float32)


def _face_areas(model: FaceModel) -> np.ndarray:
    """(V,) float32 vertex areas of the face region that sum to 1: the weights of the geometry metric."""
    areas = Mesh(model.mean, model.topology.triangles).vertex_areas()
    areas = areas * model.topology.regions.get("face", np.ones(len(areas), bool))
    return np.asarray(areas / areas.sum(), np.float32)

"""The colours that a predicted face would show, against the photograph's (design, section 3.6).

At some hundred vertices of the face: predicted reflectance under predicted light, as sRGB, against the pixel that the
vertex lands on. Only vertices that are seen count, and of these only those that agree: hair, glasses, hands, beards
and cast shadows are none of the model's colours, and would drag reflectance and light along.

For 96 crops and 600 vertices, forward and backward, float32: 14 ms of one CPU core, of which the vertices' positions,
2 ms, are the floor; 22 ms where colours move the shape too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.geometry.camera import Camera, project
from likeness.geometry.rotation import FRONTAL
from likeness.images.color import srgb_curve
from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.render.lighting import shade
from likeness.train.photos.network import CROP_SIZE, Prediction

VERTICES = 600
"""How many vertices are compared: they lie about 6 mm, or three pixels of a crop, apart."""

NEAREST_MM = 100.0
"""What is nearer to the camera does not count and is put there: a wild step must not give infinite pixels."""

GRAZING, FACING = 0.15, 0.4
"""Cosines between surface and ray: below the first a vertex does not count, from the second on it does fully."""

CELL = 4
"""Side of the squares of pixels whose nearest vertex hides those behind it."""

HIDDEN_MM = 6.0
"""A vertex is hidden if something in its square is nearer by this and by what its own slope explains."""

WIDTH_PER_MEDIAN, NARROWEST, WIDEST = 1.5, 0.03, 0.12
"""Width of agreement over the median difference of a face, and its bounds, sRGB units: from compression's noise to
what gloss and soft shadows do."""

LEAST_SEEN, LEAST_AGREEING = 0.1, 0.2
"""Shares of the face that must be seen, and of what is seen that must agree, for a sample to teach anything."""

SATURATED = 254.0 / 255.0
"""A pixel from here on may have been any brighter."""


class Comparison(NamedTuple):
    """What was compared at V vertices of n faces.

    Attributes:
        pixels: (n, V, 2) where the vertices land in the crop.
        difference: (n, V, 3) predicted minus photographed colour, sRGB in units of 1.
        seen: (n, V) from 0, hidden or turned away or outside, to 1.
        width: (n,) up to what difference a vertex agrees, sRGB units.
        agreement: (n, V) from 0 to 1, exp(-r² / 2 width²) of the difference's RMS over the channels.
    """

    pixels: Tensor
    difference: Tensor
    seen: Tensor
    width: Tensor
    agreement: Tensor


class PhotometricLoss(nn.Module):
    """Difference of colours per face, (n,), robust.

    With r the RMS difference of a vertex's three channels and σ the face's own width of agreement, a vertex costs
    ``σ (1 - exp(-r² / 2σ²))`` (Welsch): its gradient is that of ``r² / 2σ`` times the agreement ``exp(-r² / 2σ²)``,
    so what does not agree does not pull. σ follows the median difference, between bounds, without gradient.

    Args:
        model: the face model; of its regions ``face``, if known, without ``eyes`` and ``mouth``.
        count: V, vertices that are compared, spread evenly, in mirrored pairs where the mesh has them.
        detach_shape: colours teach reflectance and light alone, not shape, expression and pose. On faces that the
            model itself rendered their gradient leads home (2.5 to 0.3 pixels); on video frames it took the landmarks
            away from where people had set them, from 2.1 to 2.8 pixels while light was off and to 2.2 after.
    """

    mean: Tensor
    basis: Tensor
    albedo_mean: Tensor
    albedo_basis: Tensor
    area: Tensor
    upright: Tensor

    def __init__(self, model: FaceModel, count: int = VERTICES, detach_shape: bool = True) -> None:
        super().__init__()
        self.detach_shape = detach_shape
        self.camera = Camera.from_crop_size(CROP_SIZE)
        vertices, area = spread_vertices(model, count)
        stencils = Stencils.of(model, vertices)
        basis = np.concatenate([model.identity_basis, model.expression_basis])
        for name, value in (
            ("mean", stencils.apply(model.mean)),
            ("basis", stencils.apply(basis).reshape(len(basis), -1)),
            ("albedo_mean", model.albedo_mean[vertices]),
            ("albedo_basis", model.albedo_basis[:, vertices].reshape(len(model.albedo_basis), -1)),
            ("area", area),
            ("upright", FRONTAL),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)
        self.vertices = vertices

    def forward(self, prediction: Prediction, images: Tensor, gate: Tensor) -> Tensor:
        """Costs (n,) of predictions for crops (n, 112, 112, 3) uint8; 0, and no work, where the gate (n,) is 0.

        An open gate does not scale the cost; :func:`likeness.train.losses.reconstruction.gated_mean` does.
        """
        costs = prediction.albedo.new_zeros(len(gate))
        (rows,) = torch.nonzero(gate > 0, as_tuple=True)
        if len(rows) == 0:
            return costs
        some = Prediction(*(value.index_select(0, rows) for value in prediction))
        return costs.index_copy(0, rows, self.cost(self.compare(some, images.index_select(0, rows))))

    def compare(self, prediction: Prediction, images: Tensor) -> Comparison:
        """Colours of predictions against crops (n, 112, 112, 3) uint8."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach_shape):
            points, normals = self.surface(prediction)
            pixels = project(self.camera, points)
            photographed = sample(images, pixels)
        predicted = self.colors(prediction, normals)
        difference = predicted - photographed
        # A clipped pixel says "at least so bright", and a brighter prediction does not contradict it.
        difference = difference.masked_fill((photographed >= SATURATED) & (difference > 0), 0.0)
        with torch.no_grad():
            seen = self._seen(points, normals, pixels)
            width, agreement = agree(_root_mean_square(difference), seen)
        return Comparison(pixels, difference, seen, width, agreement)

    def cost(self, compared: Comparison) -> Tensor:
        """Costs (n,) of a comparison, sRGB units; without gradients where too little is seen or agrees."""
        width, counted = compared.width[:, None], compared.seen * self.area
        apart = compared.difference.square().mean(-1) / (2 * width * width)
        total = counted.sum(1)
        costs = (counted * width * (1 - torch.exp(-apart))).sum(1) / total.clamp_min(LEAST_SEEN)
        agreeing = (counted * compared.agreement).sum(1) >= LEAST_AGREEING * total
        return torch.where(agreeing & (total >= LEAST_SEEN), costs, costs.detach())

    def surface(self, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """Vertices, mm, and their unit normals, (n, V, 3) each, camera axes."""
        codes = torch.cat([prediction.identity, prediction.expression], dim=1)
        blocks = (codes @ self.basis).unflatten(1, self.mean.shape) + self.mean  # (n, 3, 3, V)
        points, across, up = (prediction.rotation @ blocks.transpose(0, 1)).unbind(0)
        normals = torch.linalg.cross(across, up, dim=1)
        normals = normals / (normals.square().sum(1, keepdim=True) + 1e-12).sqrt()
        points = points + prediction.translation[..., None]
        points = torch.cat([points[:, :2], points[:, 2:].clamp_min(NEAREST_MM)], dim=1)
        return points.transpose(1, 2), normals.transpose(1, 2)

    def colors(self, prediction: Prediction, normals: Tensor) -> Tensor:
        """sRGB (n, V, 3) of the vertices with normals in camera axes; not clipped."""
        log = (prediction.albedo @ self.albedo_basis).unflatten(1, (-1, 3)) + self.albedo_mean
        linear = shade(normals * self.upright.diagonal(), log.clamp_max(0.0).exp(), prediction.light)
        return torch.as_tensor(srgb_curve(linear))

    def _seen(self, points: Tensor, normals: Tensor, pixels: Tensor) -> Tensor:
        """(n, V): facing the camera, before it, inside the crop, not hidden."""
        cosine = -(points * normals).sum(-1) / points.square().sum(-1).sqrt()
        facing = ((cosine - GRAZING) / (FACING - GRAZING)).clamp(0.0, 1.0)
        inside = ((pixels >= -0.5) & (pixels <= CROP_SIZE - 0.5)).all(-1) & (points[..., 2] > NEAREST_MM)
        return facing * (inside & ~hidden(points[..., 2], cosine, pixels, self.camera))


def agree(distance: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """RMS differences (n, V) and what is seen of them -> each face's width (n,) and agreement (n, V)."""
    middle = distance.masked_fill(seen <= 0, torch.nan).nanmedian(1).values.nan_to_num(0.0)
    width = (WIDTH_PER_MEDIAN * middle).clamp(NARROWEST, WIDEST)
    return width, torch.exp(-0.5 * (distance / width[:, None]).square())


def sample(images: Tensor, pixels: Tensor) -> Tensor:
    """Colours (n, V, 3) in [0, 1] of images (n, H, W, 3) uint8 at pixels (n, V, 2), bilinear; (0, 0) is the first
    pixel's centre, and outside the nearest edge pixel goes on."""
    height, width = images.shape[1:3]
    # grid_sample's -1 and 1 are the outer edges of the first and the last pixel (align_corners=False).
    grid = (2 * pixels + 1) / pixels.new_tensor([width, height]) - 1
    planes = images.permute(0, 3, 1, 2).to(pixels.dtype)
    found = functional.grid_sample(planes, grid[:, None], "bilinear", "border", align_corners=False)
    return found[:, :, 0].transpose(1, 2) / 255


def hidden(depth: Tensor, cosine: Tensor, pixels: Tensor, camera: Camera) -> Tensor:
    """Which vertices (n, V) lie behind another one: a coarse depth buffer of the vertices themselves.

    Args:
        depth: (n, V) mm along the optical axis.
        cosine: (n, V) between the normals and the rays to the camera.
        pixels: (n, V, 2).
        camera: gives image size and focal length.
    """
    across, down = (-(-side // CELL) for side in camera.size)
    cell = ((pixels + 0.5) / CELL).floor().clamp_min(0)
    place = (cell[..., 0].clamp_max(across - 1) + across * cell[..., 1].clamp_max(down - 1)).long()
    nearest = depth.new_full((len(depth), across * down), torch.inf)
    nearest = nearest.scatter_reduce(1, place, depth, "amin").gather(1, place)
    # Within a square a surface that is seen at an angle goes back by the square's size times the slope; half of that,
    # the middle's distance from the edge, loses few that are seen (2 %) and keeps what a nose hides hidden.
    slope = (1 - cosine.square()).clamp_min(0).sqrt() / cosine.clamp_min(GRAZING)
    return depth - nearest > HIDDEN_MM + 0.5 * CELL / camera.focal * depth * slope


def spread_vertices(model: FaceModel, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the face, evenly spread: numbers (V,) and shares of the area (V,), which sum to 1.

    Farthest points first, in mirrored pairs where the mesh has them, from the one nearest to the face's middle.
    """
    regions, every = model.topology.regions, np.arange(len(model.mean))
    wanted = regions.get("face", np.ones(len(every), bool)).copy()
    for name in ("eyes", "mouth", "scalp"):
        wanted &= ~regions.get(name, np.zeros(len(every), bool))
    partner = every if model.topology.mirror is None else model.topology.mirror
    candidates = np.flatnonzero(wanted & wanted[partner] & (every <= partner))
    folded = 0.5 * (model.mean[candidates] + model.mean[partner[candidates]] * [-1.0, 1.0, 1.0])
    if model.topology.mirror is None:
        folded = model.mean[candidates].astype(np.float64)
    areas = Mesh(model.mean, model.topology.triangles).vertex_areas()
    areas = areas[candidates] + np.where(candidates == partner[candidates], 0.0, areas[partner[candidates]])
    distance, nearest = np.full(len(candidates), np.inf), np.zeros(len(candidates), np.int64)
    chosen: list[int] = []
    total, next_one = 0, int(np.linalg.norm(folded - folded.mean(0), axis=1).argmin())
    while total < count and len(chosen) < len(candidates):
        apart = np.linalg.norm(folded - folded[next_one], axis=1)
        nearest[apart < distance] = len(chosen)
        distance = np.minimum(distance, apart)
        chosen.append(next_one)
        total += 1 + int(partner[candidates[next_one]] != candidates[next_one])
        next_one = int(distance.argmax())
    share = np.bincount(nearest, areas, len(chosen)) / areas.sum()
    one = candidates[chosen]
    paired = partner[one] != one
    share = np.where(paired, 0.5, 1.0) * share
    return np.concatenate([one, partner[one[paired]]]), np.concatenate([share, share[paired]])


class Stencils(NamedTuple):
    """Linear rules that give a vertex and two tangents of the surface there, from its neighbours' positions.

    A normal is then the cross product of two things that are linear in the codes, like the vertex itself, and takes a
    share of the work that the areas of all triangles around it would.

    Attributes:
        ring: (V, M) vertices, the vertex itself first; unused places repeat it.
        weights: (3, V, M): of the vertex, and of the two tangents.
    """

    ring: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, model: FaceModel, vertices: np.ndarray) -> Stencils:
        """The rules at some vertices (V,); on the mean face the cross product has the area-weighted normal."""
        mesh = Mesh(model.mean.astype(np.float64), model.topology.triangles)
        normals, edges = mesh.vertex_normals(), mesh.edges()
        both = np.concatenate([edges, edges[:, ::-1]])
        both = both[np.argsort(both[:, 0], kind="stable")]
        start = np.searchsorted(both[:, 0], np.arange(len(model.mean) + 1))
        around = [both[start[v] : start[v + 1], 1] for v in vertices]
        size = 1 + max(len(one) for one in around)
        ring, weights = np.repeat(vertices[:, None], size, 1), np.zeros((3, len(vertices), size))
        weights[0, :, 0] = 1.0
        for row, (vertex, neighbours) in enumerate(zip(vertices, around, strict=True)):
            tangents = _tangents(mesh.vertices[neighbours] - mesh.vertices[vertex], normals[vertex])
            ring[row, 1 : len(neighbours) + 1] = neighbours
            weights[1:, row, 1 : len(neighbours) + 1] = tangents
            weights[1:, row, 0] = -tangents.sum(1)
        return cls(ring, weights)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values (..., all vertices, 3) -> vertices and tangents (..., 3, 3, V): which of them, x y z, where."""
        return np.asarray(np.einsum("...vmc,bvm->...bcv", values[..., self.ring, :], self.weights))


def _tangents(spokes: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Weights (2, M) that make of edges (M, 3) from a vertex the unit vectors e₁, e₂ with e₁ × e₂ the normal (3,).

    Of all such weights the smallest: they are then least sensitive to how single neighbours move.
    """
    _, _, axes = np.linalg.svd(normal[None])
    e1 = axes[1]
    frame = np.stack([e1, np.cross(normal, e1), normal])
    local = frame @ spokes.T
    # A nearly flat ring has no third direction to be exact about: the small number keeps the weights small.
    gram = local @ local.T
    ridge = 1e-3 * np.diag([0.0, 0.0, gram[0, 0] + gram[1, 1]])
    return np.asarray(np.linalg.solve(gram + ridge, np.eye(3)[:, :2]).T @ local)


def _root_mean_square(difference: Tensor) -> Tensor:
    """Over the last axis; (..., 3) -> (...)."""
    return difference.square().mean(-1).sqrt()

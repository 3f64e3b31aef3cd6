"""Texture coordinates for the head: most of the picture for the face, mirrored left and right -> ``uv_layout.npz``.

The template's own coordinates are cut well (one seam, down the back of the head) and laid out for a whole body: one
pixel per millimetre of face at 1024 pixels, where these give it three. Here the same pieces are flattened again. Of
every triangle it is said how large it should be, and the piece takes the shape of least distortion, measured by the
symmetric Dirichlet energy (Smith and Schaefer, Bijective Parameterization with Free Boundaries, SIGGRAPH 2015), in
which a triangle that turns over costs infinitely much. Left and right stay mirror images, so that a flipped texture
is the other side's.

    python runs/build_uv.py MODEL.npz OUT/uv_layout.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve
from scipy.spatial import KDTree

from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.model.npz import load_fields
from likeness.model.uv_layout import UvLayout

REACH_MM = 45.0
"""How far from the face a millimetre's share of the picture falls to 1/e."""

LEAST = 0.22
"""The smallest share, of the face's."""

EYES, EYES_MM = 1.25, 22.0
"""How much larger eyelids are, and how far that reaches."""

GAP = 0.012
"""Between pieces and to the border, of the picture's side."""

STEPS = 300

SMALL = {"mouth": 0.4, "eye cavity": 0.3, "tongue": 0.35, "neck": 0.35, "eye": 1.5, "back of the eye": 0.35}
"""Pieces beside the head, by their number of triangles, and their scale to the face's."""


def pieces_of(model: FaceModel) -> list[np.ndarray]:
    """Triangles of each connected piece of the coordinates, largest first."""
    corners = model.topology.uv_triangles
    count = len(model.topology.uv)
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), (count, count))
    label = connected_components(graph, directed=False)[1][corners[:, 0]]
    pieces = [np.flatnonzero(label == number) for number in np.unique(label)]
    return sorted(pieces, key=len, reverse=True)


def mirrored_coordinates(model: FaceModel) -> np.ndarray:
    """(U,) which texture coordinate is each one's mirror image: that of the mirrored face at the mirrored vertex."""
    topology = model.topology
    assert topology.mirror is not None
    starts, is_quad = Mesh(model.mean, topology.triangles, quads=topology.quads).polygons()
    corners_of: dict[frozenset[int], dict[int, int]] = {}
    for start, four in zip(starts.tolist(), is_quad.tolist(), strict=True):
        rows = [start, start + 1] if four else [start]
        vertices, coordinates = topology.triangles[rows].ravel(), topology.uv_triangles[rows].ravel()
        corners_of[frozenset(vertices.tolist())] = dict(zip(vertices.tolist(), coordinates.tolist(), strict=True))
    partner = np.full(len(topology.uv), -1)
    for corners in corners_of.values():
        mirrored = {vertex: int(topology.mirror[vertex]) for vertex in corners}
        others = corners_of[frozenset(mirrored.values())]
        for vertex, coordinate in corners.items():
            partner[coordinate] = others[mirrored[vertex]]
    if not np.array_equal(partner[partner], np.arange(len(partner))):
        raise ValueError("expected coordinates whose cuts are mirror images")
    return partner


def wanted_sizes(model: FaceModel) -> np.ndarray:
    """(F,) length in the picture per millimetre, 1 on the face."""
    regions, triangles, mean = model.topology.regions, model.topology.triangles, model.mean.astype(float)
    middle = mean[triangles].mean(1)
    far = KDTree(mean[regions["face"] | regions["lips"]]).query(middle)[0]
    size = np.maximum(np.exp(-far / REACH_MM), LEAST)
    eyes = mean[regions["eyes"]]
    lids = np.minimum(
        *(np.linalg.norm((middle - eyes[eyes[:, 0] * side > 0].mean(0)) * [0.7, 1, 1], axis=1) for side in (-1, 1))
    )
    return np.asarray(size * (1 + (EYES - 1) * np.exp(-((lids / EYES_MM) ** 2))))


class Flattening:
    """One piece with its energy; coordinates are those of U' points, numbered by the piece.

    Args:
        rest: (F, 3, 3) corners, mm.
        size: (F,) wanted lengths per mm.
        corners: (F, 3) indices of the points.
    """

    def __init__(self, rest: np.ndarray, size: np.ndarray, corners: np.ndarray) -> None:
        first, second = (rest[:, 1] - rest[:, 0]) * size[:, None], (rest[:, 2] - rest[:, 0]) * size[:, None]
        length = np.maximum(np.linalg.norm(first, axis=1), 1e-3)
        height = np.maximum(np.linalg.norm(np.cross(first, second), axis=1) / length, 1e-3)
        flat = np.zeros((len(rest), 2, 2))
        flat[:, 0, 0], flat[:, 0, 1], flat[:, 1, 1] = length, (first * second).sum(1) / length, height
        self.area = length * height / (length * height).sum()
        self.corners = corners
        inverse = np.linalg.inv(flat)  # of edges: the Jacobian is the points' edges times this
        self.by_corner = np.concatenate([-inverse.sum(1, keepdims=True), inverse], axis=1)  # (F, 3, 2)

    def jacobians(self, points: np.ndarray) -> np.ndarray:
        """(F, 2, 2) of points (U', 2)."""
        return np.einsum("fki,fkj->fij", points[self.corners], self.by_corner)

    def __call__(self, points: np.ndarray) -> float:
        """Energy of points (U', 2): 4 without any distortion; infinite where a triangle is turned over."""
        jacobian = self.jacobians(points)
        determinant = np.linalg.det(jacobian)
        if determinant.min() <= 0:
            return np.inf
        return float((self.area * (jacobian**2).sum((1, 2)) * (1 + determinant**-2)).sum())

    def proxy_minimum(self, points: np.ndarray) -> np.ndarray:
        """Points of least reweighted distance to the nearest rotations (Rabinovich et al., Scalable Locally
        Injective Mappings, 2017)."""
        U, scales, Vt = np.linalg.svd(self.jacobians(points))
        near = np.abs(scales - 1) < 1e-4
        stiff = np.where(near, 4.0, (scales - scales**-3) / np.where(near, 1.0, scales - 1))
        W = (U * np.sqrt(stiff)[:, None]) @ U.transpose(0, 2, 1) * np.sqrt(self.area)[:, None, None]
        target = (W @ U @ Vt).reshape(-1)
        # Rows are (f, i, j): sum over k, a of W[f, i, a] x[corner k, a] by_corner[f, k, j].
        values = np.einsum("fia,fkj->fijka", W, self.by_corner)
        columns = np.broadcast_to((2 * self.corners[:, :, None] + np.arange(2))[:, None, None], values.shape)
        rows = np.broadcast_to(np.arange(len(target)).reshape(-1, 2, 2)[..., None, None], values.shape)
        M = coo_matrix((values.ravel(), (rows.ravel(), columns.ravel())), (len(target), points.size)).tocsc()
        pinned = 1e-9 * identity(points.size, format="csc")
        return np.asarray(spsolve(M.T @ M + pinned, M.T @ target + 1e-9 * points.ravel())).reshape(-1, 2)


def flattened(start: np.ndarray, energy: Flattening, partner: np.ndarray | None) -> np.ndarray:
    """Points (U', 2) of least energy from ``start``; with a ``partner`` (U',), x of one is -x of the other."""

    def symmetric(points: np.ndarray) -> np.ndarray:
        return points if partner is None else (points + points[partner] * [-1, 1]) / 2

    points = symmetric(start)
    points = points * np.sqrt((energy.area / np.linalg.det(energy.jacobians(points))).sum())
    value = energy(points)
    for _ in range(STEPS):
        towards, step = symmetric(energy.proxy_minimum(points)) - points, 1.0
        while energy(points + step * towards) >= value and step > 1e-8:
            step *= 0.6
        if step <= 1e-8:
            break
        points = points + step * towards
        value, before = energy(points), value
        if before - value < 1e-6 * value:
            break
    print(f"{len(energy.corners)} triangles: energy {value:.3f} (4 is none)")
    return points


def loops_of(corners: np.ndarray) -> list[np.ndarray]:
    """Points along each border of a piece's triangles, longest first; the piece lies on their left."""
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    forward = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in forward if (b, a) not in forward}
    loops = []
    while following:
        start, point = following.popitem()
        loop = [start]
        while point != start:
            loop.append(point)
            point = following.pop(point)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def with_holes_closed(
    start: np.ndarray, rest: np.ndarray, size: np.ndarray, corners: np.ndarray
) -> tuple[np.ndarray, Flattening]:
    """Points with one more in the middle of each hole, and the energy with fans of triangles around those: lips and
    lids that meet in space must not lie over each other in the picture. A fan's shape is that of ``start``."""
    per_unit = np.sqrt(
        np.linalg.norm(np.cross(rest[:, 1] - rest[:, 0], rest[:, 2] - rest[:, 0]), axis=1).sum()
        / np.abs(np.linalg.det(start[corners[:, 1:]] - start[corners[:, :1]])).sum()
    )
    for loop in loops_of(corners)[1:]:
        fan = np.column_stack([np.roll(loop, -1), loop, np.full(len(loop), len(start))])
        spokes = start[loop] - start[loop].mean(0)
        if np.cross(np.roll(spokes, -1, axis=0), spokes).min() <= 0:
            continue  # not seen whole from its middle: the eyes', which stay open by themselves
        start = np.concatenate([start, start[loop].mean(0, keepdims=True)])
        flat = np.concatenate([start[fan] * per_unit, np.zeros((len(fan), 3, 1))], axis=2)
        rest, corners = np.concatenate([rest, flat]), np.concatenate([corners, fan])
        size = np.concatenate([size, np.ones(len(fan))])
    return start, Flattening(rest, size, corners)


def build(model: FaceModel) -> np.ndarray:
    """(U, 2) coordinates for the model's ``uv_triangles``, origin bottom left, symmetric about u = 1/2."""
    topology, partner = model.topology, mirrored_coordinates(model)
    sizes, laid = wanted_sizes(model), []
    done: set[int] = set()
    for piece in pieces_of(model):
        own = np.unique(topology.uv_triangles[piece])
        if own[0] in done:
            continue
        done |= set(own.tolist()) | set(partner[own].tolist())
        mirrored = bool(np.isin(partner[own], own).all())
        corners = np.searchsorted(own, topology.uv_triangles[piece])
        start = oriented(topology.uv[own].astype(float), model, piece, corners)
        other = np.searchsorted(own, partner[own]) if mirrored else np.arange(len(own))
        start[:, 0] -= (start[:, 0] + start[other, 0]).mean() / 2
        start, energy = with_holes_closed(
            start, model.mean[topology.triangles[piece]].astype(float), sizes[piece], corners
        )
        middles = start[len(own) :]
        if len(middles):
            across = np.linalg.norm(middles[:, None] * [-1, 1] - middles, axis=2).argmin(1)
            other = np.append(other, len(own) + across)
        points = flattened(start, energy, other if mirrored else None)
        laid.append((own, points[: len(own)], mirrored))
    return packed(laid, partner, len(topology.uv))


def oriented(start: np.ndarray, model: FaceModel, piece: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The piece turned by quarters so that the head's x runs along u."""
    middle = model.mean[model.topology.triangles[piece]].mean(1)
    flat = start[corners].mean(1)
    turns = [np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), k) for k in range(4)]
    spread = [np.cov(np.column_stack([middle[:, 0], flat @ turn.T[:, 0]]).T)[0, 1] for turn in turns]
    return np.asarray(start @ turns[int(np.argmax(spread))].T)


def packed(laid: list[tuple[np.ndarray, np.ndarray, bool]], partner: np.ndarray, count: int) -> np.ndarray:
    """Pieces in the unit square: the head over the whole width at the bottom, the others in a row at the top, pairs
    to both sides of the middle.

    Args:
        laid: of each piece, or one half of each pair, its coordinates' numbers, their places, and whether it is its
            own mirror image; the head, then the others in the order of :data:`SMALL`.
        partner: (U,) mirror images.
        count: U.
    """
    uv = np.zeros((count, 2))
    own, points, _ = laid[0]
    scale = (1 - 2 * GAP) / np.ptp(points[:, 0])
    head = (points - [0, points[:, 1].min()]) * scale + [0.5, GAP]
    uv[own] = head
    ceiling, top = head[:, 1].max() + GAP, 1 - GAP
    shares = dict(zip(SMALL, laid[1:], strict=True))
    middle_row, column = ceiling, GAP
    for name, (own, points, mirrored) in shares.items():
        factor = SMALL[name] * scale
        points = (points - (points.max(0) + points.min(0)) / 2) * factor
        half = np.ptp(points, axis=0) / 2
        if mirrored:  # one above the other in the middle
            uv[own] = points + [0.5, middle_row + half[1]]
            middle_row += 2 * half[1] + GAP
        else:  # from the borders inwards
            uv[own] = points + [column + half[0], top - half[1]]
            uv[partner[own]] = uv[own] * [-1, 1] + [1, 0]
            column += 2 * half[0] + GAP
    if middle_row > 1 or column > 0.5 or uv.min() < 0 or uv.max() > 1:
        raise ValueError(f"expected pieces that fit, got a row up to {middle_row:.3f}, columns up to {column:.3f}")
    return uv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    model = FaceModel(**load_fields(arguments.model))  # as it lies in the file, not laid out anew
    UvLayout.of(build(model), model.topology).save(arguments.out)


if __name__ == "__main__":
    main()

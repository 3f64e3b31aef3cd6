"""A fitted head draped over a raw scan: a smooth displacement on top of the model's own shape, both ways.

Minimised over the vertices x, with x⁰ the model's shape and L the graph Laplacian::

    Σ wᵢ [(nᵢ · (qᵢ − xᵢ))² + τ |qᵢ − xᵢ|²]  +  γ Σ mₖ (nₖ · (pₖ − Σⱼ bₖⱼ xⱼ))²  +  λ |L (x − x⁰)|²

The first sum pulls vertices to their closest points qᵢ on the scan (Amberg et al. 2007, with point-to-plane
distances), the second pulls triangles to the scan's own vertices pₖ, which is what the scan-to-mesh error is made
of: a coarse mesh whose vertices lie on a curved scan would cut its corners. λ falls from step to step. What has no
scan under it (holes, hair, the inside of lids and mouth) has only the third term: it follows the model's shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.extras import import_extra, one_blas_thread
from likeness.mesh.closest import Surface
from likeness.mesh.laplacians import carry_smoothly, graph_laplacian, grown
from likeness.mesh.normals import vertex_normals
from likeness.register.head_parts import Parts
from likeness.register.nonrigid_surface import folded_triangles

Array = np.ndarray

LINING = (4.0, 10.0)
"""mm behind the skin up to which the inside moves as the skin does, and from which it does not know of it."""

CLEARANCE = 0.5
"""mm of flesh that the face keeps in front of the tongue."""

NEAR = 6.0
"""mm from the tongue within which a vertex of the face is asked on which side of it it is."""

TOLERATED = 0.1
"""mm by which skin may be deeper in an eyeball or the tongue than in the model's own shape."""

UNFOLDING = (
    (1, False),
    (2, False),
    *((rings, True) for widest in range(1, 8) for rings in (1, widest, 0)),
    *((rings, False) for rings in (3, 4, 6)),
)
"""Attempts to undo folds: rings of triangles around them, and whether what is inside is laid flat."""


@dataclass(frozen=True)
class DrapeSettings:
    """Numbers of :func:`drape`; lengths in mm."""

    stiffness: tuple[float, ...] = tuple(np.geomspace(20.0, 0.3, 8))
    two_way: int = 5  # steps at the end that also pull triangles to the scan's vertices
    reach: tuple[float, float] = (8.0, 3.0)  # farthest believed closest point, first and last step
    normal_cosine: float = 0.7
    tangential: float = 0.02
    robust: float = 2.0  # where the robust weight has fallen to a quarter
    back: float = 1.0  # γ, per vertex of the face
    samples: int = 40_000


def drape(parts: Parts, start: Array, surface: Surface, settings: DrapeSettings | None = None) -> Array:
    """Deform a head onto a scan.

    Args:
        parts: of the head's topology.
        start: (V, 3) mm, the fitted model.
        surface: the scan in the same axes, normals outwards.

    Returns:
        (V, 3) mm.
    """
    settings = settings or DrapeSettings()
    body = np.flatnonzero(parts.body)
    triangles = (np.cumsum(parts.body) - 1)[parts.triangles[parts.body[parts.triangles].all(1)]]
    laplacian = graph_laplacian(triangles, len(body))
    smooth = (laplacian.T @ laplacian).tocsc()
    pull = _Pull(triangles, parts.weights[body], surface, settings)
    base = start[body].astype(np.float64)
    at = base
    last = len(settings.stiffness) - 1
    for step, stiffness in enumerate(settings.stiffness):
        normal, right = pull.to_scan(at, step / max(last, 1))
        if step > last - settings.two_way:
            more, more_right = pull.to_mesh(at)
            normal, right = normal + more, right + more_right
        rest = right - normal @ base.reshape(-1)
        at = base + _solved(normal, stiffness * smooth, rest, at - base)
    at = unfolded(parts.rest[body], base, at, triangles)
    result: Array = start.astype(np.float64).copy()
    result[body] = at
    return with_loose_parts(parts, start, with_lining(parts, start, result))


def unfolded(rest: Array, before: Array, after: Array, triangles: Array) -> Array:
    """Relax the neighbourhood of folded triangles until none is left; of all attempts the one with the fewest.

    First they keep the shape that they had before; where that folds again (corners of a mouth that closes), they are
    laid flat, which may fold a neighbour, which then has its turn.

    Args:
        rest: (V, 3) a shape without folds, which folds are told by.
        before, after: (V, 3) the shape before and after the deformation.
    """
    folded = folded_triangles(rest, after, triangles)
    best, fewest = after, len(folded)
    for from_best in (False, True):  # each attempt on top of the last one, then each on the best so far
        for rings, flat in UNFOLDING:
            if not fewest:
                return best
            if from_best:
                after, folded = best, folded_triangles(rest, best, triangles)
            free = np.zeros(len(after), bool)
            free[triangles[folded]] = True
            after = carry_smoothly(~grown(free, triangles, rings), after, triangles, None if flat else before)
            folded = folded_triangles(rest, after, triangles)
            if len(folded) < fewest:
                best, fewest = after, len(folded)
    return best


def with_lining(parts: Parts, start: Array, result: Array) -> Array:
    """Move what lies close behind the skin (the inside of cheeks, lips and lids) with the skin in front of it.

    Over the mesh it hangs on the skin only at the rim of the mouth or the lids, a long way off, so without this a
    crease that the scan presses deeper would come through.

    Args:
        start: (V, 3) mm, the model's own shape, which says what lies behind what.
        result: (V, 3) mm; the inside is changed in place.
    """
    inner = np.flatnonzero(parts.body & (parts.weights == 0) & ~parts.face)
    if not len(inner):
        return result
    triangles = parts.triangles[parts.face_triangles]
    skin = Surface(start, triangles)
    near = skin.closest(start[inner])
    ahead = ((near.points - start[inner]) * skin.triangle_normals[near.triangle]).sum(1)
    thin, thick = LINING
    share = np.clip((thick - near.distance) / (thick - thin), 0, 1) * ((ahead > 0) & ~skin.on_boundary(near))
    moved = near.interpolate(triangles, result - start)
    result[inner] += share[:, None] * (start[inner] + moved - result[inner])
    return result


def with_loose_parts(parts: Parts, start: Array, result: Array) -> Array:
    """Move eyeballs and tongue as rigid bodies with what lies around them; where the skin has come nearer than it was
    in ``start``, it pushes them back inside.

    Args:
        start: (V, 3) mm, the model's own shape, in which nothing pierces anything.
        result: (V, 3) mm; changed in place.
    """
    for vertices, around in parts.loose:
        result[vertices] = start[vertices] + (result[around] - start[around]).mean(0)
        if parts.eyes[vertices].all():
            result[vertices] += _eye_clearance(parts, start, result, vertices)
        else:
            result[vertices] += _inner_clearance(parts, start, result, vertices)
    return result


def _inner_clearance(parts: Parts, start: Array, result: Array, vertices: Array, rounds: int = 10) -> Array:
    """The shift (3,) backwards that takes a part inside the head (the tongue) to where the face's vertices, creases
    under a lip say, are as far in front of it as they were in ``start``, or ``CLEARANCE``."""
    own = parts.triangles[np.isin(parts.triangles, vertices).all(1)]
    if not len(own):
        return np.zeros(3)
    own = np.searchsorted(vertices, own)

    def in_front(head: Array, shift: Array) -> Array:
        piece = Surface(head[vertices] + shift, own)
        near = piece.closest(head[parts.face])
        signed = ((head[parts.face] - near.points) * piece.vertex_normals[own[near.triangle, 0]]).sum(1)
        return np.where(piece.on_boundary(near) | (near.distance > NEAR), CLEARANCE, signed)

    least, shift = np.minimum(in_front(start, np.zeros(3)), CLEARANCE), np.zeros(3)
    for _ in range(rounds):
        lacking = float((least - in_front(result, shift)).max())
        if lacking < TOLERATED:
            break
        shift[2] -= lacking
    return shift


def _eye_clearance(parts: Parts, start: Array, result: Array, vertices: Array, rounds: int = 20) -> Array:
    """The shift (3,) of an eyeball that gets it out of the lids that it pierces.

    Each round moves the centre away from the vertices of the face that are deeper inside the eye's sphere than they
    were in ``start``, by the mean of what they are too deep.
    """
    center = start[vertices].mean(0)
    radius = float(np.linalg.norm(start[vertices] - center, axis=1).mean())
    allowed = np.minimum(np.linalg.norm(start[parts.face] - center, axis=1), radius)
    skin, center, shift = result[parts.face], result[vertices].mean(0), np.zeros(3)
    for _ in range(rounds):
        away = center + shift - skin
        apart = np.linalg.norm(away, axis=1)
        deep = allowed - apart
        pierced = deep > TOLERATED
        if not pierced.any():
            break
        shift += (deep[pierced] / apart[pierced]) @ away[pierced] / pierced.sum()
    return shift


def _solved(normal: Any, smooth: Any, right: Array, start: Array) -> Array:
    """The displacement (V, 3) with ``(normal + smooth ⊗ I₃) d = right``, by conjugate gradients.

    The data term couples x, y and z of a vertex, the smoothness term does not and is the same for all three: so one
    factorisation of a third of the size, with the data term's mean strength, is a good preconditioner. That is ten
    times faster than a factorisation of the whole.
    """
    sparse, linalg = import_extra("scipy.sparse"), import_extra("scipy.sparse.linalg")
    count = len(start)
    strength = normal.diagonal().reshape(count, 3).mean(1)
    near = linalg.splu(
        (smooth + sparse.diags(strength + 1e-6)).tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
    )

    def product(d: Array) -> Array:
        return normal @ d + (smooth @ d.reshape(count, 3)).reshape(-1) + 1e-6 * d

    def precondition(r: Array) -> Array:
        return near.solve(r.reshape(count, 3)).reshape(-1)

    shape = (3 * count, 3 * count)
    with one_blas_thread():
        found, _ = linalg.cg(
            linalg.LinearOperator(shape, product, dtype=np.float64),
            right,
            start.reshape(-1),
            rtol=1e-4,
            maxiter=150,
            M=linalg.LinearOperator(shape, precondition, dtype=np.float64),
        )
    return np.asarray(found).reshape(count, 3)


class _Pull:
    """The data terms of one step as sparse normal equations (3 V, 3 V) and right-hand sides (3 V,)."""

    def __init__(self, triangles: Array, weights: Array, surface: Surface, settings: DrapeSettings) -> None:
        self.triangles, self.weights, self.surface, self.settings = triangles, weights, surface, settings
        self.sparse = import_extra("scipy.sparse")
        rng = np.random.default_rng(0)
        points = surface.vertices
        chosen = np.arange(len(points))
        if len(points) > settings.samples:
            chosen = rng.choice(len(points), settings.samples, replace=False)
        self.samples, self.sample_normals = points[chosen], surface.vertex_normals[chosen]

    def to_scan(self, at: Array, share: float) -> Any:
        """Vertices to their closest points on the scan."""
        settings, count = self.settings, len(at)
        near = self.surface.closest(at)
        normals = self.surface.triangle_normals[near.triangle]
        agree = (vertex_normals(at, self.triangles) * normals).sum(1)
        first, last = settings.reach
        believed = (agree > settings.normal_cosine) & (near.distance < first ** (1 - share) * last**share)
        believed &= ~self.surface.on_boundary(near)
        weights = self.weights * believed / (1 + (near.distance / (settings.robust * (3 - 2 * share))) ** 2) ** 2
        blocks = normals[:, :, None] * normals[:, None, :] + settings.tangential * np.eye(3)
        blocks *= weights[:, None, None]
        right = (blocks @ near.points[:, :, None]).reshape(-1)
        index = np.arange(count)
        return self.sparse.bsr_matrix((blocks, index, np.arange(count + 1)), shape=(3 * count,) * 2).tocsc(), right

    def to_mesh(self, at: Array) -> Any:
        """Triangles to the scan's vertices."""
        settings, count = self.settings, len(at)
        mesh = Surface(at, self.triangles)
        near = mesh.closest(self.samples)
        normals, corners = mesh.triangle_normals[near.triangle], self.triangles[near.triangle]
        believed = (normals * self.sample_normals).sum(1) > settings.normal_cosine
        believed &= (near.distance < settings.reach[1]) & ~mesh.on_boundary(near)
        weights = believed * self.weights[corners].min(1) / (1 + (near.distance / settings.robust) ** 2) ** 2
        taken = np.flatnonzero(weights > 0)
        if not len(taken):
            return self.sparse.csc_matrix((3 * count, 3 * count)), np.zeros(3 * count)
        weights, normals, corners = weights[taken], normals[taken], corners[taken]
        weights = weights * settings.back * self.weights.sum() / weights.sum()
        rows = np.repeat(np.arange(len(taken)), 9)
        columns = (3 * corners[:, :, None] + np.arange(3)).reshape(-1)
        values = (near.barycentric[taken][:, :, None] * normals[:, None, :]).reshape(-1)
        matrix = self.sparse.csr_matrix((values, (rows, columns)), shape=(len(taken), 3 * count))
        offset = (normals * self.samples[taken]).sum(1)
        weighted = matrix.multiply(weights[:, None]).tocsr()
        return (weighted.T @ matrix).tocsc(), weighted.T @ offset

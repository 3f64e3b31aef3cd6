"""Meshes of a model's own topology -> the identity codes whose shapes come nearest to them.

A linear least-squares problem for Gaussian codes; for codes on a sphere the same with a bound on the length, which
one root of the secular equation solves exactly (Gander, Golub and von Matt, A constrained eigenvalue problem, 1989).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import write_atomically
from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.model.identity import GaussianSpace, SphereSpace
from likeness.readers import NpzArrays

EXPRESSION_RIDGE = 1e-3
"""Weight of Σe² (mm² per unit of weight squared) where the expression is solved with the code: keeps shapes that
nearly cancel each other from growing without bound."""

BISECTIONS = 80


@dataclass(frozen=True, eq=False)
class ShapeCodes:
    """Codes (..., K), expression weights (..., E) (None: taken as at rest) and the shapes (..., V, 3) mm of both."""

    identity: np.ndarray
    expression: np.ndarray | None
    vertices: np.ndarray


def codes_of_vertices(
    model: FaceModel,
    vertices: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    with_expression: bool = False,
    ridge: float = 0.0,
) -> ShapeCodes:
    """The codes whose shapes have the least weighted squared distance to given meshes.

    Args:
        model: identity basis with Gaussian or sphere codes.
        vertices: (..., V, 3) mm in model axes.
        weights: (V,) how much a vertex counts, at least 0; None: its area in the mean.
        with_expression: solve for expression weights too (not bounded to [0, 1]); else meshes are taken as at rest.
        ridge: weight of |c|² in mm² (Gaussian codes only: on a sphere the length is given).

    Raises:
        ValueError: another number of vertices, or weights that do not fit.
    """
    count = len(model.mean)
    vertices = np.asarray(vertices, np.float64)
    if vertices.shape[-2:] != (count, 3) or not np.isfinite(vertices).all():
        raise ValueError(f"expected finite vertices (..., {count}, 3), got {vertices.shape}")
    if weights is None:
        weights = Mesh(model.mean, model.topology.triangles).vertex_areas()
    if weights.shape != (count,) or weights.min() < 0 or weights.sum() <= 0:
        raise ValueError(f"expected weights ({count},) >= 0, got {weights.shape}")
    root = np.sqrt(weights / weights.sum())[:, None]
    target = ((vertices - model.mean) * root).reshape(-1, 3 * count)
    identity = (model.identity_basis * root).reshape(len(model.identity_basis), -1).astype(np.float64)
    moves = (model.expression_basis[: None if with_expression else 0] * root).reshape(-1, 3 * count)
    moves = moves.astype(np.float64)
    codes, solved = least_squares_codes(
        model.space, identity, target, moves, np.full(len(moves), EXPRESSION_RIDGE), ridge
    )
    batch = vertices.shape[:-2]
    expression = solved.reshape(*batch, -1).astype(np.float32) if with_expression else None
    codes = codes.reshape(*batch, -1).astype(np.float32)
    return ShapeCodes(codes, expression, model.vertices(codes, expression))


def least_squares_codes(
    space: GaussianSpace | SphereSpace,
    basis: np.ndarray,
    target: np.ndarray,
    moves: np.ndarray,
    moves_ridge: np.ndarray,
    ridge: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ``|t - Aᵀ c - Mᵀ m|² + ridge |c|² + Σ rᵢ mᵢ²`` over codes c and what moves beside them, for many t.

    Args:
        space: of the codes; on a sphere their length is given and ``ridge`` does nothing.
        basis: (K, P) A.
        target: (n, P) t.
        moves: (M, P); M may be 0.
        moves_ridge: (M,) r.

    Returns:
        (n, K) codes and (n, M) moves.
    """
    normal, right = basis @ basis.T, target @ basis.T
    inner = moves @ moves.T + np.diag(moves_ridge)
    mixed = basis @ moves.T
    carried = np.linalg.solve(inner, mixed.T)  # the moves that a unit of each code would need
    normal, right = normal - mixed @ carried, right - target @ moves.T @ carried
    if isinstance(space, SphereSpace):
        codes = nearest_on_sphere(normal, right, space.radius)
    else:
        codes = np.linalg.solve(normal + (ridge + 1e-9) * np.eye(len(normal)), right.T).T
    return codes, np.linalg.solve(inner, ((target - codes @ basis) @ moves.T).T).T


def nearest_on_sphere(normal: np.ndarray, right: np.ndarray, radius: float) -> np.ndarray:
    """Minimise ``cᵀ N c − 2 bᵀ c`` over ``|c| = radius``, for many b at once.

    The minimum is ``(N + λ I)⁻¹ b`` with the one λ above minus the smallest eigenvalue that gives this length, found
    by bisection. If no λ does (b has no part along the smallest eigenvector), what is missing is added along it.

    Args:
        normal: (K, K) symmetric N.
        right: (n, K) vectors b.
        radius: > 0.

    Returns:
        (n, K) minimisers.
    """
    values, vectors = np.linalg.eigh(normal)
    rotated = right @ vectors
    above = values - values[0]
    low = np.zeros(len(right))
    high = np.linalg.norm(rotated, axis=1) / radius + 1e-300
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        length = np.linalg.norm(rotated / np.maximum(above + middle[:, None], 1e-300), axis=1)
        too_long = length > radius
        low, high = np.where(too_long, middle, low), np.where(too_long, high, middle)
    solution = rotated / np.maximum(above + high[:, None], 1e-300)
    missing = np.maximum(radius**2 - (solution * solution).sum(1), 0)
    solution[:, 0] = np.where(solution[:, 0] < 0, -1.0, 1.0) * np.sqrt(solution[:, 0] ** 2 + missing)
    return np.asarray(solution @ vectors.T)


@dataclass(frozen=True, eq=False)
class ShapeEncoder:
    """A linear map from meshes to codes, learned not to see expressions.

    Args:
        center: (V, 3) mm.
        matrix: (K, V, 3) per mm.
        offset: (K,).
    """

    center: np.ndarray
    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """Meshes (..., V, 3) mm, model axes, any expression -> codes (..., K) on the sphere."""
        flat = (vertices - self.center).reshape(*vertices.shape[:-2], -1).astype(np.float32)
        codes = flat @ self.matrix.reshape(len(self.matrix), -1).T + self.offset
        return np.asarray(SphereSpace(len(self.matrix)).project(codes), np.float32)

    def save(self, path: StrPath) -> None:
        """Write an ``.npz``."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, center=self.center, matrix=self.matrix, offset=self.offset)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: StrPath) -> ShapeEncoder:
        """Read what :meth:`save` wrote.

        Raises:
            FileError: missing, damaged, or something else.
        """
        arrays = NpzArrays(path, "an encoder with center, matrix and offset")
        center, matrix, offset = (arrays[name] for name in ("center", "matrix", "offset"))
        shapes = (len(matrix), *center.shape) if matrix.ndim else (), matrix.shape[:1]
        if (matrix.shape, offset.shape) != shapes or center.ndim != 2 or center.shape[1] != 3 or not matrix.size:
            got = f"{center.shape}, {matrix.shape} and {offset.shape}"
            raise FileError(path, f"expected center (V, 3), matrix (K, V, 3) and offset (K,), got {got}")
        for values in (center, matrix, offset):
            if values.dtype.kind != "f" or not np.isfinite(values).all():
                raise FileError(path, "expected an encoder of finite numbers")
        return cls(center, matrix, offset)


def importance(vertices: np.ndarray, triangles: np.ndarray, regions: dict[str, np.ndarray]) -> np.ndarray:
    """How much each vertex counts when a head's basis is learned: (V,) > 0.

    By area, the face four times, what nobody sees of mouth and eyeballs a fifth.
    """
    weights = Mesh(vertices, triangles).vertex_areas().astype(np.float64)
    weights = np.maximum(weights, 1e-6 * weights.mean())
    if "face" in regions:
        weights = weights * np.where(regions["face"], 4.0, 1.0)
    for name in ("mouth", "eyes"):
        if name in regions:
            weights = np.where(regions[name], 0.2 * weights, weights)
    return weights

"""From what a reader found in a file to a :class:`likeness.FaceModel`: units, axes, winding, origin, albedo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from likeness.geometry.landmarks import eye_centers as points_around_eyes
from likeness.images.color import linear_from_srgb
from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.model.formats.landmark_mappings import Contours, Embedding, embedded_map, eye_centers, landmark_map
from likeness.model.topology import Topology

DARKEST = 2 / 255  # sRGB; where a logarithm of reflectance still means something
PLAIN_SKIN = (0.80, 0.61, 0.52)  # sRGB of vertices whose colour a file does not tell


@dataclass(frozen=True, eq=False)
class Parts:
    """A model in the units and axes of its file.

    Args:
        name: what the model is called.
        unit: millimetres per unit of the file.
        mean: (V, 3).
        triangles: (F, 3), either winding.
        identity: (K, V, 3) per unit of code.
        expression: (E, V, 3) at weight 1.
        expression_names: the E names.
        color_mean, color_basis: (V, 3) and (A, V, 3) sRGB, 0 to 1; None where the file has no colours.
        landmarks: iBUG point 0 to 67 -> vertex; some may be missing, see :func:`landmark_map`.
        embedding: all 68 points on the surface; then ``landmarks`` are not needed.
        contours: outlines of the face, if the file tells them; see :class:`Contours`.
        eyes: (2, 3) centres of the right and the left eye where they are known better than by landmarks.
        signs: (3,) of ±1 with product 1: which axes of the file run against ours.
        quads, uv, uv_triangles, regions: as in :class:`likeness.model.topology.Topology`.
    """

    name: str
    unit: float
    mean: np.ndarray
    triangles: np.ndarray
    identity: np.ndarray
    expression: np.ndarray | None = None
    expression_names: tuple[str, ...] = ()
    color_mean: np.ndarray | None = None
    color_basis: np.ndarray | None = None
    landmarks: Mapping[int, int] | None = None
    embedding: Embedding | None = None
    contours: Contours | None = None
    eyes: np.ndarray | None = None
    signs: np.ndarray = field(default_factory=lambda: np.ones(3))
    quads: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    uv: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    uv_triangles: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    regions: Mapping[str, np.ndarray] = field(default_factory=dict)


def assemble(parts: Parts) -> FaceModel:
    """The face model in millimetres, our axes, and counter-clockwise triangles.

    Raises:
        ValueError: arrays that do not fit each other, are not finite, or indices out of range.
    """
    count = len(parts.mean)
    has_uv = len(parts.uv) > 0
    mesh = Mesh(
        parts.mean.astype(np.float64) * (parts.unit * parts.signs),
        parts.triangles,
        uv=parts.uv if has_uv else None,
        uv_triangles=parts.uv_triangles if has_uv else None,
        quads=parts.quads,
    )
    triangles, uv_triangles = _counter_clockwise(mesh)
    eyes = eye_centers(mesh.vertices, parts.landmarks)
    if parts.embedding is not None:
        eyes = np.stack(points_around_eyes(parts.embedding.points(mesh.vertices)))
    if parts.eyes is not None:
        eyes = parts.eyes * (parts.unit * parts.signs)
    mean = mesh.vertices if eyes is None else mesh.vertices - eyes.mean(0)
    landmarks = None
    skin = parts.regions.get("skin", np.ones(count, bool))
    surface = triangles[skin[triangles].all(1)]
    if parts.embedding is not None:
        landmarks = embedded_map(parts.embedding, mean, surface)
    elif parts.landmarks is not None:
        landmarks = landmark_map(parts.landmarks, mean, surface, parts.contours)
    if not all(name.isprintable() for name in parts.expression_names):
        raise ValueError("expected printable names of expressions")
    albedo_mean, albedo_basis = log_albedo(count, parts.color_mean, parts.color_basis)
    factors = (parts.unit * parts.signs).astype(np.float32)
    expression = np.zeros((0, count, 3)) if parts.expression is None else parts.expression
    return FaceModel(
        mean.astype(np.float32),
        _finite("identity", parts.identity) * factors,
        _finite("expression", expression) * factors,
        albedo_mean,
        albedo_basis,
        tuple(f"albedo{i:03d}" for i in range(len(albedo_basis))),
        Topology(
            triangles,
            np.asarray(parts.quads, np.int32),
            _finite("uv", parts.uv),
            uv_triangles if has_uv and uv_triangles is not None else np.zeros((0, 3), np.int32),
            mirror=None,
            regions={name: np.asarray(mask, bool) for name, mask in parts.regions.items()},
            landmarks=landmarks,
        ),
        parts.name,
        parts.expression_names,
    )


def modes(what: str, matrix: np.ndarray, count: int, scale: np.ndarray | None = None) -> np.ndarray:
    """Columns (3 V, K) of a basis, xyz by xyz, each times its scale (K,) -> (K, V, 3) float32.

    Raises:
        ValueError: other shapes.
    """
    if matrix.ndim != 2 or len(matrix) != 3 * count or matrix.dtype.kind not in "fiu":
        raise ValueError(f"expected {what} ({3 * count}, K) for {count} vertices, got {matrix.dtype} {matrix.shape}")
    basis = matrix.T.astype(np.float32)
    if scale is not None:
        if scale.size != len(basis):
            raise ValueError(f"expected one scale for each of {len(basis)} {what} modes, got {scale.size}")
        basis *= scale.reshape(-1, 1).astype(np.float32)
    return basis.reshape(len(basis), count, 3)


def points(what: str, values: np.ndarray) -> np.ndarray:
    """Numbers x y z x y z ... of any shape -> (V, 3).

    Raises:
        ValueError: they are no numbers, or not whole points.
    """
    if values.dtype.kind not in "fiu" or values.size % 3 or not values.size:
        raise ValueError(f"expected {what} as x y z of each vertex, got {values.dtype} {values.shape}")
    return values.reshape(-1, 3)


def numbered(count: int) -> tuple[str, ...]:
    """Names for expression modes that have none: ``expression000`` and so on."""
    return tuple(f"expression{i:03d}" for i in range(count))


def turned(right_eye: np.ndarray, left_eye: np.ndarray, nose: np.ndarray, chin: np.ndarray) -> np.ndarray:
    """Signs (3,) that turn a file's axes into ours (half a turn about an axis, or none), from four points (3,).

    Raises:
        ValueError: only a mirror image, or other axes, would do.
    """
    between = (right_eye + left_eye) / 2
    signs = np.where(
        np.array([left_eye[0] - right_eye[0], between[1] - chin[1], nose[2] - between[2]]) < 0, -1.0, 1.0
    )
    if signs.prod() < 0:
        raise ValueError("expected a face along x, y and z in a right-handed system, got a mirrored or turned one")
    return signs


def log_albedo(count: int, mean: np.ndarray | None, basis: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """A colour model that is linear in sRGB -> one that is linear in the log of linear reflectance.

    ``log linear(μ + Σ aᵢ bᵢ)`` has no exact linear form, so it is linearised at the mean: its value there, and
    ``bᵢ · d log linear / d sRGB`` (IEC 61966-2-1: ``2.4 / (s + 0.055)``, near black ``1 / s``). For one standard
    deviation the difference is a few grey levels; it grows with the square of the weights.

    Args:
        count: V.
        mean: (V, 3) sRGB, clipped to [2/255, 1]; None: plain skin everywhere.
        basis: (A, V, 3) sRGB per unit of weight; None: no maps.

    Returns:
        (V, 3) and (A, V, 3) float32, see :class:`likeness.FaceModel`.
    """
    if mean is None:
        mean = np.broadcast_to(np.array(PLAIN_SKIN), (count, 3))
    if mean.shape != (count, 3):
        raise ValueError(f"expected a colour for each of {count} vertices, got {mean.shape}")
    srgb = np.clip(_finite("colours", mean), DARKEST, 1.0)
    slope = np.where(srgb <= 0.04045, 1 / srgb, 2.4 / (srgb + 0.055))
    maps = np.zeros((0, count, 3), np.float32) if basis is None else _finite("colour modes", basis)
    return np.log(linear_from_srgb(srgb)).astype(np.float32), maps * slope.astype(np.float32)


def _finite(what: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite {what}")
    return values


def _counter_clockwise(mesh: Mesh) -> tuple[np.ndarray, np.ndarray | None]:
    """Triangles (and uv triangles) turned over together if they enclose a negative volume.

    The volume is that of the cones from the vertices' centroid, which also tells for a face that is open at the back:
    the centroid lies behind it.
    """
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] - mesh.vertices.mean(0) for i in range(3))
    triangles, uv_triangles = mesh.triangles, mesh.uv_triangles
    if np.einsum("ij,ij->", a, np.cross(b, c)) >= 0:
        return triangles, uv_triangles
    order = np.arange(len(triangles))
    if mesh.quads is not None:  # a, b, c and a, c, d are a, d, c and a, c, b when turned over
        order[mesh.quads], order[mesh.quads + 1] = mesh.quads + 1, mesh.quads
    flipped = None if uv_triangles is None else uv_triangles[order][:, [0, 2, 1]]
    return triangles[order][:, [0, 2, 1]], flipped

"""Wrinkles and pores of a photograph as a normal map: relief that is finer than the face model's.

Linear shape from shading (Pentland, Linear Shading Analysis, CVPR 1988) in the plane of the texture. Where the skin
leans by a slope ``p`` = (dz/dt, dz/db) against the head's surface, t and b the directions of growing u and v, light
that was fitted to the face gives

    r = -a . p,    a = d log(shading) / d normal, along t and b,

``r`` what of the photo's log reflectance is finer than some millimetres. One photo tells one of the two components
of a slope, and none where its light comes from straight ahead. What it leaves open is filled by "dark is deep"
(Beeler et al., High-Quality Single-Shot Capture of Facial Geometry, SIGGRAPH 2010): creases get less light from all
around,

    p = (sum a a' + M I)^-1 (-sum a r + M D grad r),

sums over the photos by their shares, ``D`` mm of depth for a log unit. Spots that differ in colour too are pigment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likeness.geometry.rotation import FRONTAL
from likeness.mesh import vertex_normals
from likeness.mesh.fields import MeshFields
from likeness.mesh.seams import split_seams
from likeness.mesh.tangents import vertex_tangents
from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.atlas import Atlas, Window, atlas_of
from likeness.reconstruct.texture.blend import check_texture_of
from likeness.reconstruct.texture.fill import resized_part
from likeness.reconstruct.texture.laid import base_of, texels_per_mm
from likeness.reconstruct.texture.layers import Layer, layer_of, seen_window
from likeness.reconstruct.texture.several import shares_of
from likeness.reconstruct.texture.view import LEAST_LIGHT, View
from likeness.render.lighting import shade

FINE_MM = 2.0
"""Standard deviation of the mean that is taken off: what is coarser is the model's own shape."""

SURE, DEPTH_MM = 0.1, 0.5
"""``M``: squared relative change of light per unit of slope that tells as much as "dark is deep"; and its ``D``."""

STEEPEST = 0.35
"""Slope that no texel exceeds: 19 degrees."""

NOISE = 0.02
"""Log reflectance below which differences are taken for noise."""

HAIR = -0.7
"""Log reflectance below the face's own from which on what is seen is hair, or a shadow's edge."""

PIGMENT = 0.045
"""Difference of a channel from the others, log reflectance, beside which differences of brightness are taken for
pigment: moles, freckles, lipstick."""

FLAT = (128, 128, 255)
"""The bytes of a normal that does not lean."""

_STEP = 0.05
"""Slope by which light is differentiated."""


def normal_map_of(model: FaceModel, albedo: np.ndarray, views: Sequence[View], size: int = 1024) -> np.ndarray:
    """The normal map of a head, from any number of photos.

    Args:
        model: of the head; with texture coordinates.
        albedo: (V, 3) linear reflectance by the model.
        views: the photos; none: a flat map.
        size: of the map's side, texels.

    Returns:
        (size, size, 3) uint8 for ``model.topology.uv``: ``2 * value / 255 - 1`` are, to within a step, the components
        of a unit normal along growing u (right), growing v (up) and out of the surface, as glTF 2.0 (3.9.3) and
        OpenGL have it; flat where nothing was seen on either side of the face.

    Raises:
        ValueError: as :func:`likeness.reconstruct.texture.texture_of`.
    """
    check_texture_of(model, albedo, views, size)
    atlas = atlas_of(model, size)
    out = np.empty((size, size, 3), np.uint8)
    out[:] = FLAT
    base = base_of(atlas, albedo)
    layers = [layer_of(atlas, albedo, base, view) for view in views]
    window = seen_window(atlas, layers) if layers else None
    if window is not None:
        leaning = _slopes(atlas, base, layers, window)
        normal = np.dstack([-leaning, np.ones(leaning.shape[:2], np.float32)])
        normal /= np.linalg.norm(normal, axis=2, keepdims=True)
        # Not 127.5 (1 + n): flat skin is one value then, and a file a third as large.
        out[window.rows, window.columns] = 128 + np.rint(127 * normal)
    return out


def _slopes(atlas: Atlas, base: np.ndarray, layers: Sequence[Layer], window: Window) -> np.ndarray:
    """(h, w, 2) slopes along u and v in a window of the texture."""
    overs = [layer.over(atlas, base, window) for layer in layers]
    shares = shares_of(atlas, layers, overs, window)
    covered = atlas.fine.covered[window.rows, window.columns]
    sigma = FINE_MM * texels_per_mm(atlas)
    shape = covered.shape
    square, told, mean = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 2), np.float32), np.zeros(shape)
    skin = resized_part(_bare(atlas), atlas.size, window) * covered
    for layer, over, share in zip(layers, overs, shares, strict=True):
        seen = layer.detail * resized_part(share * layer.weight * _bald(base, layer), atlas.size, window) * skin
        fine = _finer(over, seen, sigma)
        a = resized_part(_turning(atlas, layer), atlas.size, window)
        square += seen[..., None] * np.dstack([a[..., 0] ** 2, a[..., 0] * a[..., 1], a[..., 1] ** 2])
        told -= (seen * fine)[..., None] * a
        mean += seen * fine
    down, right = np.gradient(mean)
    told += SURE * DEPTH_MM * texels_per_mm(atlas) * np.dstack([right, -down])
    slope = _solved(square, told)
    if atlas.symmetric:
        best = np.max([layer.weight for layer in layers], axis=0)
        missing = resized_part(1 - best, atlas.size, window)
        slope = slope + missing[..., None] * slope[:, ::-1] * np.array([-1, 1], np.float32)
    return _limited(slope)


def _bare(atlas: Atlas) -> np.ndarray:
    """(C, C) 1 on the face's skin, 0 where brows, lashes and hair grow, in eyes and mouth."""
    hairy = sum(atlas.zones[name] for name in ("brows", "lids", "hair", "scalp", "eyes", "mouth"))
    face = atlas.zones["face"] if atlas.zones["face"].any() else np.ones_like(hairy)
    return np.asarray(face * (1 - np.clip(hairy, 0, 1)), np.float32)


def _bald(base: np.ndarray, layer: Layer) -> np.ndarray:
    """(C, C) 1 where a photo shows skin, 0 in hair and around it."""
    import cv2

    dark = (layer.coarse - base - layer.usual).mean(axis=2) < HAIR
    hairy = np.maximum(dark.astype(np.float32), layer.hair)
    reach = max(1, round(0.01 * len(hairy)))
    around = cv2.dilate(hairy, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    return np.asarray(1 - np.clip(2 * cv2.GaussianBlur(around, (0, 0), reach), 0, 1), np.float32)


def _finer(over: np.ndarray, seen: np.ndarray, sigma: float) -> np.ndarray:
    """(h, w) brightness of ``over`` (h, w, 3) less that around it, by ``seen`` (h, w), without noise and pigment."""
    import cv2

    sums = cv2.GaussianBlur(np.dstack([over * seen[..., None], seen]), (0, 0), sigma)
    around = sums[..., :3] / np.maximum(sums[..., 3:], 1e-3)
    fine = np.where(sums[..., 3:] > 1e-3, over - around, 0).astype(np.float32)
    brightness = fine.mean(axis=2)
    color = np.abs(cv2.GaussianBlur(fine - brightness[..., None], (0, 0), max(0.3 * sigma, 0.5))).max(axis=2)
    kept = brightness**2 / (brightness**2 + NOISE**2) * np.exp(-((color / PIGMENT) ** 2))
    return np.asarray(brightness * kept, np.float32)


def _turning(atlas: Atlas, layer: Layer) -> np.ndarray:
    """(C, C, 2): by how much log shading grows where normals lean to growing u and v."""
    topology, placed = atlas.model.topology, layer.view.placed
    head = MeshFields(placed, topology.triangles, uv=topology.uv, uv_triangles=topology.uv_triangles)
    source, triangles, uv = split_seams(head)
    assert uv is not None
    normals = vertex_normals(placed, topology.triangles)[source]
    tangents = vertex_tangents(placed[source], normals, triangles, uv)
    across = tangents[:, 3:] * np.cross(normals, tangents[:, :3])
    least = LEAST_LIGHT * max(float(np.median(_brightness(normals, layer.sh))), 1e-3)
    lit = [
        np.log(np.maximum(_brightness(normals + way * _STEP * axis, layer.sh), least))
        for axis in (tangents[:, :3], across)
        for way in (1, -1)
    ]
    change = np.stack([lit[0] - lit[1], lit[2] - lit[3]], axis=1) / (2 * _STEP)
    return atlas.coarse.picture(atlas.coarse.on(triangles).values(change))


def _brightness(normals: np.ndarray, light: np.ndarray) -> np.ndarray:
    """(N,) mean over the channels of what a white surface reflects; normals (N, 3) in camera axes, of any length."""
    unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return np.asarray(shade(unit @ FRONTAL, np.ones((len(unit), 1)), light).mean(axis=1))


def _solved(square: np.ndarray, told: np.ndarray) -> np.ndarray:
    """(h, w, 2) what solves (square + M I) p = told, square (h, w, 3) the upper half of symmetric matrices."""
    a, b, c = square[..., 0] + SURE, square[..., 1], square[..., 2] + SURE
    x, y = told[..., 0], told[..., 1]
    return np.asarray(np.dstack([c * x - b * y, a * y - b * x]) / (a * c - b * b)[..., None], np.float32)


def _limited(slopes: np.ndarray) -> np.ndarray:
    """Slopes (h, w, 2) made shorter than :data:`STEEPEST`, small ones hardly."""
    size = np.maximum(np.linalg.norm(slopes, axis=2, keepdims=True), 1e-9)
    return np.asarray(slopes * (STEEPEST * np.tanh(size / STEEPEST) / size), np.float32)

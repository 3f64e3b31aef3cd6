"""Upper lids of which a photo with open eyes shows a narrow strip: smoothed along the lid.

Closed, the strip is two to three times as high: single lashes, and the photo's pixels, would be streaks across the
lid. So what is painted there is averaged along the lid, the more the strip grows; from crease to edge it stays as it
is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.atlas import Atlas, Window
from likeness.reconstruct.texture.laid import texels_per_mm
from likeness.reconstruct.texture.view import smoothstep

CLOSED = ("eyeBlinkLeft", "eyeBlinkRight")

GROWN = (1.4, 2.2)
"""How many times as long as wide a texel becomes as the eyes close, from which on it is smoothed, and wholly."""

LEAST_MM = 1.0
"""How far the corners of a triangle move that is part of a lid."""

ALONG_MM, REACH = 1.2, 2.5
"""Standard deviation of the mean along the lid, mm of the open face, and where it ends, standard deviations."""


def smooth_lids(atlas: Atlas, log_texture: np.ndarray) -> None:
    """Average a texture along its upper lids, in place; nothing where the model does not close its eyes.

    Args:
        atlas: of the texture.
        log_texture: (S, S, 3) float32 log reflectance.
    """
    import cv2

    found = _strips(atlas)
    if found is None:
        return
    window, share, along = found
    part = np.ascontiguousarray(log_texture[window.rows, window.columns])
    rows, columns = np.indices(share.shape, dtype=np.float32)
    sigma = max(ALONG_MM * texels_per_mm(atlas), 1e-6)
    total, weights = np.zeros_like(part), np.zeros_like(share)
    reach = int(np.ceil(REACH * sigma))
    for step in range(-reach, reach + 1):
        x, y = columns + step * along[..., 0], rows + step * along[..., 1]
        near = float(np.exp(-0.5 * (step / sigma) ** 2)) * cv2.remap(share, x, y, cv2.INTER_LINEAR)
        total += near[..., None] * cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        weights += near
    mean = total / np.maximum(weights, 1e-6)[..., None]
    log_texture[window.rows, window.columns] = np.where(
        share[..., None] > 0, part + share[..., None] * (mean - part), part
    )


@lru_cache(maxsize=2)
def _strips(atlas: Atlas) -> tuple[Window, np.ndarray, np.ndarray] | None:
    """Where lids are smoothed: the window around them (h, w), how much (h, w) float32 in [0, 1], and the way along
    the lid (h, w, 2) in texels, x and y; None: nowhere."""
    model, grid = atlas.model, atlas.fine
    if not set(CLOSED) <= set(model.expression_names):
        return None
    grown, along = _growth(model)
    share = smoothstep(grown, *GROWN).astype(np.float32)
    rows = np.flatnonzero(share[grid.triangle] > 0)
    if not len(rows):
        return None
    y, x = np.divmod(grid.texel[rows], grid.side)
    window = Window(slice(int(y.min()), int(y.max()) + 1), slice(int(x.min()), int(x.max()) + 1))
    shape = window.rows.stop - window.rows.start, window.columns.stop - window.columns.start
    strength, way = np.zeros(shape, np.float32), np.zeros((*shape, 2), np.float32)
    place = y - window.rows.start, x - window.columns.start
    strength[place], way[place] = share[grid.triangle[rows]], along[grid.triangle[rows]]
    return window, strength, way


def _growth(model: FaceModel) -> tuple[np.ndarray, np.ndarray]:
    """Of each triangle of the outer lids: how many times as long as wide a texel's square becomes on the mean head
    with closed eyes (F,), and the direction in the texture in which it does not grow (F, 2) unit, x and y down; 1
    elsewhere."""
    topology = model.topology
    weights = np.array([float(name in CLOSED) for name in model.expression_names])
    closing = np.tensordot(weights, model.expression_basis, 1)
    ways = topology.uv[topology.uv_triangles].astype(np.float64) * [1, -1]
    across = np.stack([ways[:, 1] - ways[:, 0], ways[:, 2] - ways[:, 0]], axis=2)
    found = []
    for points in (model.mean, model.mean + closing):
        corners = np.asarray(points, np.float64)[topology.triangles]
        edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
        flat = np.abs(np.linalg.det(across)) < 1e-12
        per_texel = edges @ np.linalg.inv(np.where(flat[:, None, None], np.eye(2), across))
        found.append(per_texel.transpose(0, 2, 1) @ per_texel)
    # The longest and the shortest way of what was a circle on the open face.
    values, vectors = np.linalg.eigh(found[1])
    grown = np.sqrt(values[:, 1] / np.maximum(values[:, 0], 1e-9))
    bigger = np.linalg.det(found[1]) > 1.2 * np.linalg.det(found[0])
    skin = topology.regions.get("face", np.ones(len(model.mean), bool))[topology.triangles].all(1)
    moves = np.linalg.norm(closing, axis=1)[topology.triangles].max(1) > LEAST_MM
    return np.where(bigger & skin & moves & ~flat, grown, 1.0), vectors[:, :, 0]

"""What comes in files of its own for FLAME: landmarks (``landmark_embedding.npy``) and masks (``FLAME_masks.pkl``).

The embedding (of RingNet and DECA; a pickled dict in an ``.npy``) has the 68 iBUG points for a face from the front as
``full_lmk_faces_idx`` (1, 68), triangles, and ``full_lmk_bary_coords`` (1, 68, 3), weights of their corners; and the
same of points 17 to 67 (``static_...``: 51) and of points 0 to 16 at 79 angles (``dynamic_...``: (79, 17), the first
is the front). The masks are a pickled dict, name -> vertices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.model.formats.arrays import parse_npy
from likeness.model.formats.landmark_mappings import Embedding
from likeness.model.formats.pickles import as_array, load_pickle

EMBEDDING, MASKS = "landmark_embedding.npy", "FLAME_masks.pkl"
"""The files' usual names."""

_OURS = {
    "eyes": ("left_eyeball", "right_eyeball"),
    "ears": ("left_ear", "right_ear"),
    **{name: (name,) for name in ("face", "lips", "neck", "scalp")},
}
"""Our regions, of FLAME's masks."""


def check_model(path: StrPath, content: dict[Any, Any]) -> None:
    """Say of FLAME's other files what they are, where a model is expected.

    Raises:
        FileError: its landmarks (``flame_static_embedding.pkl``) or its masks.
    """
    if "lmk_face_idx" in content:
        raise FileError(
            path,
            f"has 51 landmarks of FLAME (no jaw line) and no head; expected generic_model.pkl or the like, and for "
            f"landmarks {EMBEDDING}, which has all 68, beside it",
        )
    if "v_template" not in content and _OURS["eyes"][0] in content:
        raise FileError(
            path, f"has FLAME's masks and no head; expected generic_model.pkl or the like, and {MASKS} beside it"
        )


def read_embedding(path: StrPath, triangles: np.ndarray) -> Embedding:
    """The 68 points on the surface with ``triangles`` (F, 3), FLAME's own and in its order.

    Raises:
        FileError: truncated, hostile, not such a file, or of other triangles.
    """
    found = parse_npy(path, "FLAME's landmarks", read_bytes(path))
    content: Any = found.item() if found.dtype == object and found.shape == () else None
    if not isinstance(content, dict):
        raise FileError(path, "expected FLAME's landmarks: a dict with full_lmk_faces_idx and full_lmk_bary_coords")
    try:
        if "full_lmk_faces_idx" in content:
            faces, weights = (as_array(content[f"full_lmk_{key}"]) for key in ("faces_idx", "bary_coords"))
        else:
            inner, outer = (
                [as_array(content[f"{part}_lmk_{key}"]) for key in ("faces_idx", "bary_coords")]
                for part in ("static", "dynamic")
            )
            faces = np.concatenate([outer[0][0].ravel(), inner[0].ravel()])
            weights = np.concatenate([outer[1][0].reshape(-1, 3), inner[1].reshape(-1, 3)])
        faces = faces.ravel().astype(np.int64)[:68]
        weights = weights.reshape(-1, 3).astype(np.float64)[:68]
    except (KeyError, ValueError, IndexError) as error:
        raise FileError(path, f"expected FLAME's landmarks: {type(error).__name__}: {error}") from error
    if len(faces) != 68 or len(weights) != 68 or not np.isfinite(weights).all():
        raise FileError(path, f"expected 68 landmarks with finite weights, got {len(faces)} and {len(weights)}")
    if faces.min() < 0 or faces.max() >= len(triangles):
        raise FileError(path, f"expected landmarks on {len(triangles)} triangles, got {faces.min()} to {faces.max()}")
    return Embedding(triangles[faces].astype(np.int64), weights)


def read_masks(path: StrPath, count: int) -> dict[str, np.ndarray]:
    """Regions of a head with ``count`` vertices: name -> (V,) bool; FLAME's own, and ours made of them.

    Raises:
        FileError: truncated, hostile, not such a file, or of another number of vertices.
    """
    content: Any = load_pickle(path, read_bytes(path))
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise FileError(path, "expected FLAME's masks: a dict of vertices by name")
    masks = {}
    for name, value in content.items():
        try:
            vertices = as_array(value).ravel()
        except ValueError as error:
            raise FileError(path, f"expected vertices of {name[:40]!r}: {error}") from error
        if vertices.size and (vertices.dtype.kind not in "iu" or vertices.min() < 0 or vertices.max() >= count):
            raise FileError(path, f"expected vertices 0 to {count - 1} in {name[:40]!r}, got others")
        masks[name] = np.zeros(count, bool)
        masks[name][vertices.astype(np.int64)] = True
    regions = dict(masks)
    for name, parts in _OURS.items():
        if all(part in masks for part in parts):
            regions[name] = np.any([masks[part] for part in parts], axis=0)
    if "eyes" in regions:
        regions["skin"] = ~regions["eyes"]
        if "face" in regions:
            regions["face"] = regions["face"] & regions["skin"]
    return regions

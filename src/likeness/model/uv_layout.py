"""Where every point of the embedded head lies in a texture: ``assets/uv_layout.npz``, made by ``runs/build_uv.py``.

The face fills most of the picture, upright, without a seam (that is at the back of the head); left and right mirror
each other about u = 1/2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from likeness.assets import asset
from likeness.errors import StrPath
from likeness.files import npz_bytes, write_atomically
from likeness.model.topology import Topology
from likeness.readers import reading_npz

LARGEST = 10_000_000
"""Bytes of one array; more than any needs."""

STEPS = 65535
"""Coordinates are kept in 16 bits."""


@dataclass(frozen=True, eq=False)
class UvLayout:
    """Texture coordinates for one topology.

    Args:
        uv: (U, 2) in [0, 1], origin bottom left.
        digest: of the topology's own coordinates, which they replace.
    """

    uv: np.ndarray
    digest: str

    def __post_init__(self) -> None:
        if self.uv.ndim != 2 or self.uv.shape[1] != 2 or not ((self.uv >= 0) & (self.uv <= 1)).all():
            raise ValueError(f"expected uv (U, 2) from 0 to 1, got {self.uv.shape}")

    @classmethod
    def of(cls, uv: np.ndarray, topology: Topology) -> UvLayout:
        """Coordinates (U, 2) instead of a topology's own, rounded as :meth:`save` does."""
        return cls(np.rint(np.asarray(uv) * STEPS) / STEPS, _digest(topology))

    def fits(self, topology: Topology) -> bool:
        """Whether it was made for this topology, with the coordinates that it has."""
        return len(topology.uv) == len(self.uv) and _digest(topology) == self.digest

    def save(self, path: StrPath) -> None:
        """Write an ``.npz``; raises FileError."""
        uv = np.rint(self.uv * STEPS).astype(np.uint16)
        write_atomically(path, npz_bytes({"uv": uv, "digest": np.array(self.digest)}))

    @classmethod
    def load(cls, path: StrPath) -> UvLayout:
        """Read what :meth:`save` wrote.

        Raises:
            FileError: missing, damaged, or something else.
        """
        with reading_npz(path, "texture coordinates", LARGEST) as arrays:
            uv, digest = arrays["uv"], str(arrays["digest"])
            if uv.dtype != np.uint16:
                raise ValueError(f"expected 16-bit coordinates, got {uv.dtype}")
            return cls(uv.astype(np.float64) / STEPS, digest)


@lru_cache(maxsize=1)
def default_layout() -> UvLayout:
    """The embedded layout, loaded once.

    Raises:
        FileError: the embedded file is missing or damaged.
    """
    return UvLayout.load(asset("uv_layout.npz"))


def laid_out(topology: Topology) -> Topology:
    """The topology with the embedded texture coordinates, if these were made to replace those that it has; else as it
    is."""
    layout = default_layout()
    return replace(topology, uv=layout.uv.astype(np.float32)) if layout.fits(topology) else topology


def _digest(topology: Topology) -> str:
    arrays = (np.ascontiguousarray(topology.uv, "<f4"), np.ascontiguousarray(topology.uv_triangles, "<i4"))
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

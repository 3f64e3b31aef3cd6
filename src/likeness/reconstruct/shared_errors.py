"""What the photos of a person say of the shape when their errors are split: into those that each photo makes by
itself and those that all of them share.

A mean of many photos' codes lies too near the mean face: each code was drawn towards it for what *one* photo leaves
open, and what a network gets wrong of a face it gets wrong in all of its photos. So the codes are taken as what they
are, measurements that shrink. Of photo i of a person with the true shape c (mm along the axes of shape, see
:class:`likeness.reconstruct.agreement.Agreement`) two codes z_i are seen, the one fitted to its points and the one
that features and points say together:

    z_i = G(q_i) c + b(q_i) + s + e_i,    c ~ N(0, C), s ~ N(0, S), e_i ~ N(0, E / p_i),

with the photo's circumstances q_i (one, and how far it is turned), an error s that all photos of the person share,
one of its own and the precision p_i. The posterior mean of c is the usual one of linear Gaussian models: with more
photos E is averaged away, and the mean grows longer as far as S allows. G, b, S and E of renderings are learned on
rendered people, whose shapes are known; of photographs S and E are learned on training people, whose codes vary more
than G C G' + S does (``runs/several_photos.py``). They belong to a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from likeness.assets import asset
from likeness.errors import StrPath
from likeness.files import npz_bytes, write_atomically
from likeness.geometry.rotation import FRONTAL, euler_from_rotation
from likeness.readers import reading_npz
from likeness.reconstruct.refine import TURN

PRECISE = (0.13, 2.7)
"""Precisions below and above count as these."""

LARGEST = 10_000_000
"""Bytes of one array of a file; more than any needs."""

ARRAYS = ("maps", "shared", "own", "spread")


@dataclass(frozen=True, eq=False)
class SharedErrors:
    """How codes of a person's photos err.

    Args:
        network: sha256 of the file whose codes these are.
        maps: (Q, M + 1, 2 M) G and b: seen codes (mm) of ``(c, 1)``, for each circumstance.
        shared: (2 M, 2 M) S, mm².
        own: (2 M, 2 M) E of a usual photo, mm².
        spread: (M,) standard deviations of people along each axis, mm.

    Raises:
        ValueError: arrays that do not fit together.
    """

    network: str
    maps: np.ndarray
    shared: np.ndarray
    own: np.ndarray
    spread: np.ndarray

    def __post_init__(self) -> None:
        size = len(self.spread)
        fits = self.maps.ndim == 3 and self.maps.shape[1:] == (size + 1, 2 * size)
        if not fits or self.shared.shape != (2 * size,) * 2 or self.own.shape != (2 * size,) * 2:
            shapes = [np.shape(getattr(self, name)) for name in ARRAYS]
            raise ValueError(f"expected arrays (Q, M + 1, 2 M), (2 M, 2 M), (2 M, 2 M) and (M,), got {shapes}")

    def posterior_mean(self, seen: np.ndarray, circumstances: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """The shape (M,) mm.

        Args:
            seen: (N, 2 M) mm, the codes of N photos.
            circumstances: (N, Q).
            precision: (N,) of each; copies share one photo's.
        """
        size = len(self.spread)
        maps = np.tensordot(circumstances, self.maps, 1)
        rest = seen - maps[:, -1]
        # Unknown are c and y = s: normal equations of both, c first.
        inverse = np.linalg.inv(self.own)
        weighted = precision[:, None] * rest @ inverse
        matrix = np.zeros((3 * size, 3 * size))
        right = np.zeros(3 * size)
        matrix[:size, :size] = np.diag(1 / self.spread**2)
        matrix[size:, size:] = np.linalg.inv(self.shared) + precision.sum() * inverse
        for one, weight, away in zip(maps[:, :size], precision, weighted, strict=True):
            informed = weight * one @ inverse
            matrix[:size, :size] += informed @ one.T
            matrix[:size, size:] += informed
            right[:size] += one @ away
        matrix[size:, :size] = matrix[:size, size:].T
        right[size:] = weighted.sum(0)
        return np.asarray(np.linalg.solve(matrix, right)[:size])

    def save(self, path: StrPath) -> None:
        """Write an ``.npz``; raises FileError."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in ARRAYS}
        write_atomically(path, npz_bytes({"network": np.array(self.network), **arrays}))

    @classmethod
    def load(cls, path: StrPath) -> SharedErrors:
        """Read what :meth:`save` wrote.

        Raises:
            FileError: missing, damaged, or something else.
        """
        with reading_npz(path, "errors that photos share", LARGEST) as arrays:
            return cls(str(arrays["network"]), **{name: arrays[name].astype(np.float64) for name in ARRAYS})


def circumstances(rotation: np.ndarray) -> np.ndarray:
    """What the maps depend on, (N, 2): one, and how far heads of rotation (N, 3, 3) are turned."""
    yaw = np.array([euler_from_rotation(FRONTAL @ one)[0] for one in rotation])
    return np.stack([np.ones(len(yaw)), np.clip((yaw / TURN) ** 2, 0.0, 4.0) - 0.5], 1)


def counted(precision: np.ndarray) -> np.ndarray:
    """Precisions as errors go by them."""
    return np.clip(precision, *PRECISE)


@lru_cache(maxsize=1)
def default_errors() -> SharedErrors:
    """The embedded ones, loaded once.

    Raises:
        FileError: the embedded file is missing or damaged.
    """
    return SharedErrors.load(asset("shared_errors.npz"))

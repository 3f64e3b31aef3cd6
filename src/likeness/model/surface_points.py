"""Named points of a head's surface: which combination of vertices each one is.

The embedded map (:func:`default_point_map`) says where the 478 points that MediaPipe's face landmarker places lie on
the embedded face model; ``runs/map_points.py`` learns it from pictures of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from likeness.assets import asset
from likeness.errors import StrPath
from likeness.files import npz_bytes, write_atomically
from likeness.geometry.landmarks import COUNT
from likeness.model.point_readout import PointReadout
from likeness.readers import reading_npz

INNER_LIP_PAIRS = ((61, 67), (62, 66), (63, 65))
"""iBUG points of the upper and the lower lip that touch where lips are closed."""

COMBINATIONS = ("landmarks", "with_head")
"""Combinations of points, in a file as half floats."""

READOUT = "readout_"
"""Before the names of a readout's arrays in a file."""

LARGEST = 10_000_000
"""Bytes of one array of a map; more than any needs."""


@dataclass(frozen=True, eq=False)
class PointMap:
    """P points of the surface, as barycentric combinations of three vertices each.

    Args:
        vertices: (P, 3) int, the corners of a triangle, counter-clockwise seen from outside.
        weights: (P, 3) float >= 0, sum 1.
        mirror: (P,) int: the point that each is on a mirrored face.
        ibug: (68,) int: the points that stand for the 68 iBUG landmarks; definitions differ by millimetres.
        landmarks: (68, P) float, rows sum to 1: each iBUG landmark, as annotators place it, as a combination of the
            points (``runs/landmark_weights.py``); None: ``ibug`` is all that is known.
        with_head: (2, 68, P + 68) float, rows sum to 1: the same of the points and of where the head that was fitted
            to them has its landmarks, in clear and in blurred pictures; None: not known.
        readout: what the points tell of lids and lips (``runs/point_readout.py``); None: nothing is known.

    Raises:
        ValueError: arrays that do not fit together.
    """

    vertices: np.ndarray
    weights: np.ndarray
    mirror: np.ndarray
    ibug: np.ndarray
    landmarks: np.ndarray | None = None
    with_head: np.ndarray | None = None
    readout: PointReadout | None = None

    def __post_init__(self) -> None:
        vertices, weights, count = self.vertices, self.weights, len(self.vertices)
        if vertices.shape != (count, 3) or weights.shape != (count, 3) or not count:
            raise ValueError(f"expected vertices and weights (P, 3), got {vertices.shape} and {weights.shape}")
        if self.mirror.shape != (count,) or self.ibug.shape != (COUNT,):
            raise ValueError(f"expected mirror ({count},) and ibug (68,), got {self.mirror.shape}, {self.ibug.shape}")
        for name, limit in (("vertices", 1 << 31), ("mirror", count), ("ibug", count)):
            values = getattr(self, name)
            if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= limit:
                raise ValueError(f"expected {name} to be indices below {limit}")
        if not np.isfinite(weights).all() or weights.min() < -1e-6 or np.abs(weights.sum(1) - 1.0).max() > 1e-4:
            raise ValueError("expected weights that are not negative and sum to 1")
        if not np.array_equal(self.mirror[self.mirror], np.arange(count)):
            raise ValueError("expected mirror to be its own inverse")
        shapes = {"landmarks": (COUNT, count), "with_head": (2, COUNT, count + COUNT)}
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values is not None and (values.shape != shape or not np.abs(values.sum(-1) - 1.0).max() < 0.01):
                raise ValueError(f"expected {name} {shape} with rows that sum to 1")
        if self.readout is not None and self.readout.weight.shape[1] != 2 * count:
            raise ValueError(f"expected a readout of {count} points, got {self.readout.weight.shape[1] // 2}")

    def __len__(self) -> int:
        return len(self.vertices)

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Values (..., V, C) at a model's vertices -> at the points (..., P, C)."""
        corners = values[..., self.vertices, :]
        return np.asarray((corners * self.weights[..., None].astype(values.dtype)).sum(axis=-2))

    def mirrored(self, points: np.ndarray, width: float) -> np.ndarray:
        """Points (..., P, 2) of an image -> those of the mirrored image (pixel centres: x -> width - 1 - x)."""
        turn, offset = np.array([-1.0, 1.0], points.dtype), np.array([width - 1.0, 0.0], points.dtype)
        return np.asarray(points[..., self.mirror, :] * turn + offset)

    def ibug_landmarks(self, points: np.ndarray, head: np.ndarray | None = None, blur: float = 0.0) -> np.ndarray:
        """Points (..., P, 2) of an image -> the 68 iBUG landmarks (..., 68, 2), however the face is turned or
        stretched. Where the points' lips are known to be nearer than they are placed, so are the landmarks'.

        Args:
            points: of an image.
            head: (..., 68, 2) where the head that was fitted to them has its landmarks: no point lies on the outline
                of jaws as annotators draw it. None: points are all there is.
            blur: 0, a clear picture, to 1, a blurred one, in which each point says less.
        """
        if head is not None and self.with_head is not None:
            weights = self.with_head[0] + blur * (self.with_head[1] - self.with_head[0])
            found = np.asarray(weights @ np.concatenate([points, head], axis=-2))
        elif self.landmarks is not None:
            found = np.asarray(self.landmarks @ points)
        else:
            found = np.asarray(points[..., self.ibug, :])
        if self.readout is None:
            return found
        pairs, rows = self._known_lips
        if not len(rows):
            return found
        return PointReadout.part(found, pairs, np.minimum(self.readout.nearer(points)[..., rows], 1.0))

    @cached_property
    def _known_lips(self) -> tuple[np.ndarray, np.ndarray]:
        """The pairs (N, 2) of iBUG landmarks of the inner lips that the readout has, and which (N,) of its pairs."""
        assert self.readout is not None
        inner = {tuple(pair): row for row, pair in enumerate(self.readout.lips.tolist())}
        rows = [inner.get(tuple(self.ibug[list(pair)].tolist())) for pair in INNER_LIP_PAIRS]
        known = [(pair, row) for pair, row in zip(INNER_LIP_PAIRS, rows, strict=True) if row is not None]
        return np.array([pair for pair, _ in known], int).reshape(-1, 2), np.array([row for _, row in known], int)

    def save(self, path: StrPath) -> None:
        """Write an ``.npz``; raises FileError."""
        write_atomically(path, npz_bytes(self.arrays()))

    def arrays(self) -> dict[str, np.ndarray]:
        """For a file, by name."""
        arrays = {
            "vertices": self.vertices.astype(np.int32),
            "weights": self.weights.astype(np.float32),
            "mirror": self.mirror.astype(np.int32),
            "ibug": self.ibug.astype(np.int32),
        }
        for name in COMBINATIONS:
            if (values := getattr(self, name)) is not None:
                arrays[name] = values.astype(np.float16)
        if self.readout is not None:
            arrays |= {READOUT + name: value for name, value in self.readout.arrays().items()}
        return arrays

    @classmethod
    def load(cls, path: StrPath) -> PointMap:
        """Read what :meth:`save` wrote.

        Raises:
            FileError: missing, damaged, or something else.
        """
        with reading_npz(path, "a map of surface points", LARGEST) as arrays:
            known = {name: arrays[name] for name in ("vertices", "weights", "mirror", "ibug")}
            read = {name.removeprefix(READOUT): v for name, v in arrays.items() if name.startswith(READOUT)}
            readout = PointReadout.from_arrays(read) if read else None
            landmarks, with_head = (_normalised(arrays.get(name)) for name in COMBINATIONS)
            return cls(**known, landmarks=landmarks, with_head=with_head, readout=readout)


def _normalised(combinations: np.ndarray | None) -> np.ndarray | None:
    """Rows that sum to 1 exactly again, which half floats do not."""
    if combinations is None or combinations.ndim < 2:
        return combinations
    weights = combinations.astype(np.float64)
    return weights / weights.sum(axis=-1, keepdims=True)


@lru_cache(maxsize=1)
def default_point_map() -> PointMap:
    """The embedded map of MediaPipe's 478 points, loaded once.

    Raises:
        FileError: the embedded file is missing or damaged.
    """
    return PointMap.load(asset("surface_points.npz"))

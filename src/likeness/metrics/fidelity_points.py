"""How much of a person hand-placed points of a frontal portrait find in what was predicted.

Found and true points rarely mean quite the same places: a network's lip corner may lie a little outside an
annotator's, on everybody. Such offsets, one per point, tell nothing about people, so all measures here take them out.
Where an offset is used on a person it was estimated without that person, so that a small set does not flatter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL
from likeness.model.face_model import FaceModel

ROUNDS, TOLERANCE = 100, 1e-12
FEWEST_PEOPLE = 3

FRONT_DISTANCE = 1500.0
"""mm from the camera to the head's origin: a studio portrait's. From 600 to 3,000 mm what is explained by the first
default network's heads moves by 0.004."""


@dataclass(frozen=True)
class HandPlacedFidelity:
    """How near found points come to the hand-placed ones of N people.

    With shapes ``t_i`` and ``f_i`` of true and found points (Procrustes: place, size and turn removed, see
    :func:`planar_shapes`), and ``a_i = t_i - mean t``, ``b_i = f_i - mean f``:

    Args:
        people: N.
        explained: ``1 - sum |a - b|^2 / sum |a|^2``: the share of the variation between people that is found. 1 is
            perfect, 0 is what the mean face has for everyone, and less than 0 is worse than that. Offsets and means
            that are estimated without the person would scale both sums by ``(N / (N - 1))^2``: few people do not
            flatter it.
        explained_error: its standard error over people (jackknife).
        spread: ``sqrt(sum |b|^2 / sum |a|^2)``: 1 where the found shapes differ as much as the true ones.
        slope: of truth on prediction, ``sum a.b / sum |b|^2``: 1 is calibrated, under 1 exaggerated, over 1 shy; None
            where the found shapes do not differ.
        rank1: share of people whose own true shape is the nearest of all to the found one. The offset is estimated
            without either of the two people that are compared.
        nearer: share of pairs (i, j) in which the found shape of i is nearer to the true one of i than to that of j:
            0.5 is chance; moves in smaller steps than ``rank1``.
        error_percent: mean distance of the points in the photo, over the box's size, without each point's offset as
            estimated from the others; None where the points are not in the photo.
        error_aligned_percent: the same after the similarity that lays each face's found points on its true ones.
        proportions: by name, correlation over people of the found with the true distance, each in its own shape's
            size; None where one of them does not vary.
    """

    people: int
    explained: float
    explained_error: float
    spread: float
    slope: float | None
    rank1: float
    nearer: float
    error_percent: float | None
    error_aligned_percent: float
    proportions: dict[str, float | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


def hand_placed_fidelity(
    found: np.ndarray,
    true: np.ndarray,
    *,
    sizes: np.ndarray | None = None,
    in_photo: bool = True,
    proportions: Mapping[str, tuple[int, int]] | None = None,
) -> HandPlacedFidelity:
    """Compare found with hand-placed points.

    Args:
        found: (N, P, 2) of N people, N >= 3; any place, size and turn where ``in_photo`` is False.
        true: (N, P, 2) pixels, the same points.
        sizes: (N,) pixels, > 0, of the box that errors are a share of; None: sqrt(w h) of the box of the true points.
        in_photo: whether ``found`` are pixels of the same photos.
        proportions: name -> the two points whose distance is correlated.

    Raises:
        ValueError: other shapes, fewer people, values that are not finite, points of one person all in one place,
            or true shapes that do not differ.
    """
    found, true = _checked(found, true)
    count = len(true)
    box = np.sqrt(np.prod(np.ptp(true, axis=1), axis=-1)) if sizes is None else np.asarray(sizes, np.float64)
    if box.shape != (count,) or not (box > 0).all():
        raise ValueError(f"expected sizes ({count},) > 0, got {box.shape}")
    true_shapes, reference = planar_shapes(true)
    found_shapes, _ = planar_shapes(found, reference)
    a, b = true_shapes - true_shapes.mean(0), found_shapes - found_shapes.mean(0)
    if _square(a) < 1e-12 * count:
        raise ValueError("expected people whose true shapes differ, got all alike")
    distance = _distances(found_shapes, true_shapes)
    own = np.diag(distance)[:, None]
    others = ~np.eye(count, dtype=bool)
    return HandPlacedFidelity(
        people=count,
        explained=explained_share(found_shapes, true_shapes),
        explained_error=_jackknife(found_shapes, true_shapes),
        spread=float(np.sqrt(_square(b) / _square(a))),
        slope=None if _square(b) < 1e-9 * _square(a) else float((a * b).sum() / _square(b)),
        rank1=float(np.mean([distance[i, others[i]].min() > distance[i, i] for i in range(count)])),
        nearer=float((distance > own)[others].mean()),
        error_percent=100 * _offset_free(found - true, box) if in_photo else None,
        error_aligned_percent=100 * _offset_free(_laid_on(found, true) - true, box),
        proportions={
            name: _correlation(_length(found, pair), _length(true, pair))
            for name, pair in (proportions or {}).items()
        },
    )


def explained_share(found: np.ndarray, true: np.ndarray) -> float:
    """``1 - sum |r|^2 / sum |a|^2``: r is found minus true, a the truth, both without their mean over the first axis.

    Args:
        found, true: (N, ...) in one unit.
    """
    difference, truth = found - true, true - true.mean(0)
    return 1.0 - _square(difference - difference.mean(0)) / _square(truth)


def front_points(model: FaceModel, identity: np.ndarray, distance: float = FRONT_DISTANCE) -> np.ndarray:
    """The 68 points (N, 68, 2) of neutral heads seen from the front, in an arbitrary but common unit, y down.

    Args:
        model: of the codes.
        identity: (N, K) codes.
        distance: mm from the camera to the model's origin.
    """
    camera = Camera(distance, (0.0, 0.0), (1, 1))
    seen = model.landmark_points(identity) @ FRONTAL.T + np.array([0.0, 0.0, distance])
    return np.asarray(model.landmark_map.project(camera, seen, np.broadcast_to(FRONTAL, (len(seen), 3, 3))))


def planar_shapes(points: np.ndarray, reference: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Shapes of points in the plane: centred, brought to size 1 and turned onto a common mean (Gower 1975).

    Args:
        points: (N, P, 2), not all of a person in one place.
        reference: (P, 2) a shape to turn onto; None: the shapes' own mean.

    Returns:
        the shapes (N, P, 2), each with a sum of squares of 1, and the reference (P, 2).
    """
    z = points @ np.array([1, 1j])
    z = z - z.mean(1, keepdims=True)
    size = np.sqrt((np.abs(z) ** 2).sum(1, keepdims=True))
    if not (size > 0).all():
        raise ValueError("expected points with an extent, got a face with all of them in one place")
    z = z / size
    target = z[0] if reference is None else reference @ np.array([1, 1j])
    for _ in range(ROUNDS if reference is None else 0):
        z, before = _turned(z, target), target
        target = z.mean(0)
        target = target / np.linalg.norm(target)
        if np.abs(target - before).max() < TOLERANCE:
            break
    return _pairs(_turned(z, target)), _pairs(target)


def _turned(z: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Complex shapes (N, P), each under the turn that takes it nearest to the target (P,)."""
    return z * np.exp(-1j * np.angle(z @ target.conj()))[:, None]


def _pairs(z: np.ndarray) -> np.ndarray:
    return np.stack([z.real, z.imag], axis=-1)


def _laid_on(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Found points (N, P, 2) under the least-squares similarity onto the true ones, person by person."""
    f, t = (points @ np.array([1, 1j]) for points in (found, true))
    f = f - f.mean(1, keepdims=True)
    middle = t.mean(1, keepdims=True)
    factor = (f.conj() * (t - middle)).sum(1) / (np.abs(f) ** 2).sum(1)
    return _pairs(f * factor[:, None] + middle)


def _offset_free(difference: np.ndarray, box: np.ndarray) -> float:
    """Mean length of differences (N, P, 2) over the box (N,), without each point's mean over the other people."""
    share = difference / box[:, None, None]
    others = (share.sum(0) - share) / (len(share) - 1)
    return float(np.linalg.norm(share - others, axis=-1).mean())


def _distances(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(N, N) distance of found shape i to true shape j, the points' offsets estimated without persons i and j."""
    count = len(true)
    flat_found, flat_true = (shapes.reshape(count, -1) for shapes in (found, true))
    offset = flat_found - flat_true
    total = offset.sum(0)
    result = np.empty((count, count))
    for i in range(count):
        without = (total - offset[i] - offset) / max(count - 2, 1)
        without[i] = (total - offset[i]) / (count - 1)
        result[i] = np.linalg.norm(flat_found[i] - flat_true - without, axis=1)
    return result


def _jackknife(found: np.ndarray, true: np.ndarray) -> float:
    """Standard error over people of the explained share (Efron and Tibshirani 1993, chapter 11)."""
    count = len(true)
    keep = ~np.eye(count, dtype=bool)
    values = np.array([explained_share(found[rows], true[rows]) for rows in keep])
    return float(np.sqrt((count - 1) * values.var()))


def _length(points: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """(N,) distance of two points over the size of all."""
    size = np.sqrt(((points - points.mean(1, keepdims=True)) ** 2).sum((1, 2)))
    return np.linalg.norm(points[:, pair[0]] - points[:, pair[1]], axis=-1) / size


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if min(np.ptp(a), np.ptp(b)) < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _square(values: np.ndarray) -> float:
    return float((values * values).sum())


def _checked(found: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found, true = np.asarray(found, np.float64), np.asarray(true, np.float64)
    if true.ndim != 3 or found.shape != true.shape or true.shape[1] < 3 or true.shape[2] != 2:
        raise ValueError(f"expected found and true points (N, P >= 3, 2), got {found.shape} and {true.shape}")
    if len(true) < FEWEST_PEOPLE:
        raise ValueError(f"expected at least {FEWEST_PEOPLE} people, got {len(true)}")
    if not (np.isfinite(found).all() and np.isfinite(true).all()):
        raise ValueError("expected finite points, got some that are not")
    return found, true

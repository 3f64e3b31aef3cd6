"""The 68 iBUG points of other people's models: mapping files, and lines along which the contour points march."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.geometry.landmarks import (
    CHIN,
    INNER,
    INNER_COUNT,
    JAW_COUNT,
    LEFT_EYE,
    NOSE_BOTTOM,
    RIGHT_EYE,
    LandmarkMap,
)
from likeness.readers import read_json

CANDIDATES = 14
# The inner corners of the mouth lie this share of the way from the outer corner to between the inner lips' outermost
# points; measured on the ICT model, whose landmarks have all 68. eos leaves the two points out.
INNER_CORNER = 0.145
_CORNERS = {60: (48, 61, 67), 64: (54, 63, 65)}


@dataclass(frozen=True)
class Contours:
    """Vertices of the outline of the face from beside the eye down to the chin, on either side of the subject."""

    right: tuple[int, ...]
    left: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Embedding:
    """The 68 iBUG points of a face from the front, on the surface.

    Args:
        vertices, weights: (68, 3) corners of triangles and their weights.
    """

    vertices: np.ndarray
    weights: np.ndarray

    def points(self, vertices: np.ndarray) -> np.ndarray:
        """(68, 3) where they are on a head (V, 3)."""
        return np.asarray((vertices[self.vertices] * self.weights[..., None]).sum(axis=1))


def read_landmarks(path: StrPath) -> dict[int, int]:
    """iBUG point (0 to 67) -> vertex, from a file.

    Understood: eos's mapping files (``ibug_to_sfm.txt`` and the like: lines ``18 = 225``, points from 1), and plain
    lists of 68 vertices (all points) or 51 (points 17 to 67), from 0, separated by blanks, commas or lines.

    Raises:
        FileError: anything else.
    """
    text = _text(path)
    pairs = re.findall(r"^\s*\"?(\d{1,3})\"?\s*=\s*\"?(\d{1,9})\"?\s*(?:#.*)?$", text, re.MULTILINE)
    if pairs:
        found = {int(point) - 1: int(vertex) for point, vertex in pairs}
        if not all(0 <= point < 68 for point in found):
            raise FileError(path, f"expected iBUG points 1 to 68, got {min(found) + 1} to {max(found) + 1}")
        return found
    words = re.split(r"[\s,;\[\]]+", text.strip(" \t\r\n[],;"))
    if len(words) not in (51, 68) or not all(re.fullmatch(r"\d{1,9}", word) for word in words):
        raise FileError(path, "expected a mapping of iBUG points (lines '18 = 225'), or 68 or 51 vertex numbers")
    return {68 - len(words) + i: int(word) for i, word in enumerate(words)}


def read_contours(path: StrPath) -> Contours:
    """The outlines in eos's ``*_contours.json``: {"model_contour": {"right_contour": [...], "left_contour": [...]}}.

    Raises:
        FileError: anything else.
    """
    try:
        contour = read_json(path, "eos's model contours", _text(path))["model_contour"]
        sides = [contour[side] for side in ("right_contour", "left_contour")]
    except (KeyError, TypeError) as error:
        raise FileError(path, f"expected eos's model contours as JSON ({type(error).__name__})") from error
    for side in sides:
        if not isinstance(side, list) or len(side) < 2 or not all(type(vertex) is int for vertex in side):
            raise FileError(path, "expected lists of at least two vertex numbers as model contours")
    return Contours(tuple(sides[0]), tuple(sides[1]))


def eye_centers(vertices: np.ndarray, landmarks: Mapping[int, int] | None) -> np.ndarray | None:
    """(2, 3) means of the six lid points of the right and the left eye; None if some are not known."""
    if landmarks is None or not all(point in landmarks for point in (*RIGHT_EYE, *LEFT_EYE)):
        return None
    _check(landmarks.values(), len(vertices))
    return np.stack([_center(vertices, landmarks, eye) for eye in (RIGHT_EYE, LEFT_EYE)])


def landmark_map(
    landmarks: Mapping[int, int], vertices: np.ndarray, triangles: np.ndarray, contours: Contours | None
) -> LandmarkMap:
    """All 68 points on the surface, from a mapping that may lack some.

    The inner corners of the mouth may be missing; they are then put between the points around them. Contour points
    may be missing if the chin (8) and ``contours`` are there: they are spread evenly by length, as in the ICT model,
    from the level of the eyes to the chin. Each contour point gets candidates along the line in which the surface
    meets the plane through the point and the z axis that leads outwards.

    Args:
        landmarks: iBUG point -> vertex.
        vertices: (V, 3) mean, mm, our axes.
        triangles: (F, 3) where contour points may lie.
        contours: see :class:`Contours`.

    Raises:
        ValueError: other points are missing, or vertices out of range.
    """
    lacking = [i for i in INNER if i not in landmarks and i not in _CORNERS]
    contour_lacking = [i for i in range(JAW_COUNT) if i not in landmarks]
    if lacking or (contour_lacking and (contours is None or CHIN not in landmarks)):
        missing = ", ".join(str(i + 1) for i in [*contour_lacking, *lacking])
        raise ValueError(f"expected all iBUG points but 61 and 65 (and contours for 1 to 17), {missing} are missing")
    _check(landmarks.values(), len(vertices))
    inner, weights = np.zeros((INNER_COUNT, 3), np.int32), np.tile([1.0, 0.0, 0.0], (INNER_COUNT, 1))
    for i in INNER:
        if i in landmarks:
            inner[i - JAW_COUNT] = landmarks[i]
        else:
            inner[i - JAW_COUNT] = [landmarks[j] for j in _CORNERS[i]]
            weights[i - JAW_COUNT] = [1 - INNER_CORNER, INNER_CORNER / 2, INNER_CORNER / 2]
    if contour_lacking and contours is not None:
        jaw = _spread(landmarks, vertices, contours)
    else:
        jaw = vertices[[landmarks[i] for i in range(JAW_COUNT)]]
    return _with_lines(inner, weights, jaw, vertices[landmarks[NOSE_BOTTOM]], vertices, triangles)


def embedded_map(embedding: Embedding, vertices: np.ndarray, triangles: np.ndarray) -> LandmarkMap:
    """As :func:`landmark_map`, of points anywhere on the surface."""
    at = embedding.points(vertices)
    inner, weights = embedding.vertices[JAW_COUNT:], embedding.weights[JAW_COUNT:]
    return _with_lines(inner.astype(np.int32), weights, at[:JAW_COUNT], at[NOSE_BOTTOM], vertices, triangles)


def _with_lines(
    inner: np.ndarray,
    weights: np.ndarray,
    jaw: np.ndarray,
    nose: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
) -> LandmarkMap:
    lines = [_line(i, jaw[i], nose, vertices, triangles) for i in range(JAW_COUNT)]
    return LandmarkMap(
        inner,
        weights.astype(np.float32),
        np.stack([line[0] for line in lines]),
        np.stack([line[1] for line in lines]),
        np.stack([line[2] for line in lines]),
    )


def _spread(landmarks: Mapping[int, int], vertices: np.ndarray, contours: Contours) -> np.ndarray:
    """(17, 3) contour points at equal steps along the outlines, from the level of the eyes to the chin."""
    chin = vertices[landmarks[CHIN]]
    sides = []
    for outline, lids in ((contours.right, RIGHT_EYE), (contours.left, LEFT_EYE)):
        _check(outline, len(vertices))
        eye = _center(vertices, landmarks, lids)
        path = vertices[list(outline)]
        path = np.concatenate([path[np.argsort(-path[:, 1], kind="stable")], [chin]])
        path = path[np.searchsorted(-path[:, 1], -eye[1]).clip(max=len(path) - 2) :]
        steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        at = np.linspace(0, steps[-1], 9)[:8]
        sides.append(np.stack([np.interp(at, steps, path[:, axis]) for axis in range(3)], axis=1))
    return np.concatenate([sides[0], [chin], sides[1][::-1]])


def _line(
    number: int, point: np.ndarray, nose: np.ndarray, vertices: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates of contour point ``number``: vertices and weights (C, 3), front to back, and outward direction (3,).

    The plane is level beside the ears, radial from below the nose along the jaw, upright at the chin; as in
    ``runs/annotate.py``, where the embedded model's come from. Candidates lie on edges that cross it.
    """
    share = np.clip((abs(number - 8) - 2) / 4, 0, 1)
    center = np.array([nose[0], (1 - share) * nose[1] + share * point[1]])
    outward = point[:2] - center
    outward = outward / max(float(np.linalg.norm(outward)), 1e-9)
    height = (vertices[:, :2] - point[:2]) @ np.array([-outward[1], outward[0]])
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    cut = edges[(height[edges[:, 0]] >= 0) != (height[edges[:, 1]] >= 0)]
    part = height[cut[:, 0]] / (height[cut[:, 0]] - height[cut[:, 1]])
    crossing = vertices[cut[:, 0]] + part[:, None] * (vertices[cut[:, 1]] - vertices[cut[:, 0]])
    reach, full = (crossing[:, :2] - center) @ outward, (point[:2] - center) @ outward
    # From 55 % of the way out on the front to a little behind the point itself: annotators do not go farther.
    kept = np.flatnonzero((reach > 0.55 * full) & (reach < 1.3 * full) & (crossing[:, 2] > point[2] - 6))
    direction = np.array([*outward, 0.0], np.float32)
    if not len(kept):
        nearest = int(np.linalg.norm(vertices - point, axis=1).argmin())
        alone = np.tile(np.array([1, 0, 0], np.float32), (CANDIDATES, 1))
        return np.full((CANDIDATES, 3), nearest, np.int32), alone, direction
    kept = kept[np.argsort(0.5 * reach[kept] - crossing[kept, 2], kind="stable")]
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(crossing[kept], axis=0), axis=1))])
    wanted = np.linspace(0, steps[-1], CANDIDATES)
    kept = kept[np.abs(steps - wanted[:, None]).argmin(axis=1)]
    on_edge = np.stack([1 - part[kept], part[kept], np.zeros(CANDIDATES)], axis=1).astype(np.float32)
    return cut[kept][:, [0, 1, 1]].astype(np.int32), on_edge, direction


def _center(vertices: np.ndarray, landmarks: Mapping[int, int], points: range) -> np.ndarray:
    return vertices[[landmarks[point] for point in points]].mean(axis=0)


def _check(indices: Iterable[int], count: int) -> None:
    values = np.array(list(indices))
    if values.size and (values.min() < 0 or values.max() >= count):
        raise ValueError(f"expected landmarks among {count} vertices, got {values.min()} to {values.max()}")


def _text(path: StrPath) -> str:
    data = read_bytes(path)
    if len(data) > 1_000_000 or b"\0" in data:
        raise FileError(path, "expected a small text file")
    return data.decode("utf-8", errors="replace")

"""Names for parts of the registered head: regions and the 68 landmarks with their contour candidates."""

from __future__ import annotations

import numpy as np
from correspondence import Template
from ict import Ict

from likeness.geometry.landmarks import LandmarkMap
from likeness.register import closest_points, graph_laplacian

CANDIDATES = 14
OUTER_LIPS = range(48, 60)


def landmark_map(template: Template, ict: Ict, vertices: np.ndarray) -> LandmarkMap:
    """ICT's 68 points on the registered template; points 0-16 with candidates along their lines.

    Args:
        vertices: (V, 3) registered template in ICT's axes, mm.
    """
    return landmarks_through(ict.mean[ict.landmarks], vertices, skin_triangles(template))


def landmarks_through(points: np.ndarray, vertices: np.ndarray, skin: np.ndarray) -> LandmarkMap:
    """The map whose inner points are those of the skin nearest to ``points`` (68, 3), and whose contour points march
    along lines through them.

    Args:
        points: mm; the contour as it is seen from the front.
        vertices: (V, 3) mm.
        skin: (F, 3) triangles where landmarks may lie.
    """
    inner = closest_points(points[17:], vertices, skin)
    lines = [_line(k, points, vertices, skin) for k in range(17)]
    on_line = closest_points(np.concatenate([line for line, _ in lines]), vertices, skin)
    return LandmarkMap(
        skin[inner.triangle],
        inner.barycentric,
        skin[on_line.triangle].reshape(17, CANDIDATES, 3),
        on_line.barycentric.reshape(17, CANDIDATES, 3),
        np.stack([outward for _, outward in lines]),
    )


def skin_triangles(template: Template) -> np.ndarray:
    """Triangles (F, 3) where landmarks may lie: the outside without the ears."""
    usable = template.part("head") & ~template.ears & ~template.part("eye", "mouth", "tongue")
    return template.triangles[usable[template.triangles].all(1)]


def _line(number: int, points: np.ndarray, vertices: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidates (C, 3) of jaw point ``number``, front to back, and its outward direction (3,).

    The line is the cut of the skin with the plane through the point that holds the z axis and a direction
    outwards: level beside the ears, radial from below the nose along the jaw, straight down at the chin.
    """
    point = points[number]
    share = np.clip((abs(number - 8) - 2) / 4, 0, 1)
    center = np.array([0.0, (1 - share) * points[33, 1] + share * point[1]])
    outward = point[:2] - center
    outward /= np.linalg.norm(outward)
    across = np.array([-outward[1], outward[0]])
    height = (vertices[:, :2] - point[:2]) @ across  # signed distance from the plane
    edges = np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
    cut = edges[(height[edges[:, 0]] >= 0) != (height[edges[:, 1]] >= 0)]
    share_cut = height[cut[:, 0]] / (height[cut[:, 0]] - height[cut[:, 1]])
    crossing = vertices[cut[:, 0]] + share_cut[:, None] * (vertices[cut[:, 1]] - vertices[cut[:, 0]])
    reach = (crossing[:, :2] - center) @ outward
    full = (point[:2] - center) @ outward
    # From 55 % of the way out on the front to a little behind the point itself (annotators do not go farther).
    front = (reach > 0.55 * full) & (crossing[:, 2] > point[2] - 6) & (reach < 1.3 * full)
    path = crossing[front]
    path = path[np.argsort(-path[:, 2] + 0.5 * ((path[:, :2] - center) @ outward))]
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0, steps[-1], CANDIDATES)
    line = np.stack([np.interp(at, steps, path[:, axis]) for axis in range(3)], axis=1)
    return line, np.array([outward[0], outward[1], 0.0])


def regions(template: Template, ict: Ict, vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Region masks (V,) bool of the registered template (ICT's axes, mm)."""
    points = ict.mean[ict.landmarks]
    outside = template.part("head") & ~template.part("eye", "mouth", "tongue")
    x, y, z = vertices.T
    lips = outside & (z > 80) & _inside(vertices[:, :2], points[list(OUTER_LIPS), :2])
    chin, brow = points[8], points[19:25].mean(0)
    # The neck begins below a plane from under the chin to the back of the skull.
    neck = outside & (y < chin[1] - 4 + 0.42 * (chin[2] - 12 - z)) & (z < chin[2] - 6) & ~template.ears
    neck |= outside & (y < chin[1] - 14)
    hairline = brow[1] + 34
    scalp = outside & ~neck & ~template.ears & ((y > hairline - 0.9 * np.maximum(0, 45 - z)) & (z < 100))
    scalp &= (y > hairline) | (z < 25)
    ellipse = (x / 74) ** 2 + np.where(y > 0, (y - 0) / 82, (y - 0) / 98) ** 2
    face = outside & ~neck & ~scalp & ~template.ears & (ellipse < 1) & (z > 22)
    return {
        "face": face,
        "skin": outside,
        "lips": lips,
        "eyes": template.part("eye_front", "eye_back"),
        "ears": template.ears,
        "scalp": scalp,
        "neck": neck,
        "mouth": template.part("mouth", "tongue"),
    }


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Even-odd rule: (N, 2) points inside a closed polygon (M, 2)."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    px, py = points[:, :1], points[:, 1:]
    crosses = (a[:, 1] > py) != (b[:, 1] > py)
    slope = (b[:, 0] - a[:, 0]) / np.where(b[:, 1] == a[:, 1], 1e-9, b[:, 1] - a[:, 1])
    return (crosses & (px < a[:, 0] + slope * (py - a[:, 1]))).sum(1) % 2 == 1


def soften(mask: np.ndarray, triangles: np.ndarray, rounds: int) -> np.ndarray:
    """A mask (V,) with soft edges in [0, 1]: averaged ``rounds`` times over neighbours."""
    laplacian = graph_laplacian(triangles, len(mask))
    values = mask.astype(float)
    for _ in range(rounds):
        values = values - 0.5 * (laplacian @ values)
    return np.asarray(np.clip(values, 0, 1))

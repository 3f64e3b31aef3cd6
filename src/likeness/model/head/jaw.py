"""The hinge of a person's jaw, and what the jaw takes along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.geometry.rotation import rotation_from_vector
from likeness.model.face_model import FaceModel
from likeness.model.head.anatomy import Anatomy

RIGID = 0.9
"""Skin that jawOpen moves by this share of the most moves with the bone."""

BEFORE_EAR_MM = 8.0
"""How far behind the ears' front the jaw's joint lies: just before the ear canal."""

SLIDES = ("jawForward", "jawLeft", "jawRight")
"""Shapes that move the jaw without turning it."""


@dataclass(frozen=True, eq=False)
class Jaw:
    """A jaw that turns about an axis from ear to ear, and slides.

    Args:
        place: (3,) mm, the middle of the axis.
        angle: radians that it turns at ``jawOpen`` 1.
        slides: shape -> (3,) mm at weight 1.
    """

    place: np.ndarray
    angle: float
    slides: dict[str, np.ndarray]

    def opened(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) displacements of points (N, 3) on the jaw at ``jawOpen`` 1."""
        turn = rotation_from_vector(np.array([self.angle, 0.0, 0.0]))
        local = points - self.place
        return np.asarray(local @ turn.T - local)

    def shapes(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Displacements (N, 3) of points on the jaw, by shape."""
        moved = {name: np.broadcast_to(slide, points.shape) for name, slide in self.slides.items()}
        return {"jawOpen": self.opened(points), **moved}

    def influence(self, points: np.ndarray, displacement: np.ndarray) -> np.ndarray:
        """(N,) in [0, 1]: which share of the bone's movement skin follows whose displacements at ``jawOpen`` 1 are
        (N, 3): their projection on the bone's own."""
        own = self.opened(points)
        share = (own * displacement).sum(1) / np.maximum((own * own).sum(1), 1e-9)
        return np.clip(share, 0.0, 1.0)


def fitted_jaw(model: FaceModel, anatomy: Anatomy, rest: np.ndarray) -> Jaw:
    """The jaw of a person: its axis lies at the depth of the joint before the ears, and turned by the angle at which
    chin and lower lip move, on average, as ``jawOpen`` moves them.

    A turn by any angle takes one mean displacement where the axis is at one place; the angle is that whose axis has
    the right depth.

    Args:
        model: whose shapes they are.
        anatomy: of the model.
        rest: (V, 3) mm.
    """
    shapes = dict(zip(model.expression_names, model.expression_basis.astype(np.float64), strict=True))
    opening = shapes["jawOpen"]
    far = np.linalg.norm(opening, axis=1)
    rigid = anatomy.skin & (far > RIGID * far[anatomy.skin].max())
    middle, moved = rest[rigid].mean(0), opening[rigid].mean(0)
    depth = rest[model.topology.regions["ears"], 2].max() - BEFORE_EAR_MM
    best, found = np.inf, Jaw(middle, 0.3, {})
    slides = {name: shapes[name][rigid].mean(0) for name in SLIDES}
    for angle in np.radians(np.arange(8.0, 45.0, 0.25)):
        turn = rotation_from_vector(np.array([angle, 0.0, 0.0]))[1:, 1:] - np.eye(2)
        axis = middle[1:] - np.linalg.solve(turn, moved[1:])
        if abs(axis[1] - depth) < best:
            best, found = abs(axis[1] - depth), Jaw(np.array([middle[0], *axis]), float(angle), slides)
    return found

"""Hair that stands off a rendered head: what hides a skull's outline, ears and foreheads in photographs."""

from __future__ import annotations

import numpy as np

from likeness.images.color import srgb_from_linear
from likeness.mesh import vertex_normals
from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.atlas import atlas_of

THICKNESS_MM = (3.0, 35.0)
"""How far hair stands off, least and most; half of the heads have less than 10 mm."""

REACH_MM = 22.0
"""How far a hairline may come down, or go up, from the model's own."""


class Hair:
    """Hair for heads of one model: its scalp moved outwards, in the colours of hair.

    Without a map of hair (``hairDark``) and a region ``scalp`` the model knows no hair, and heads stay as they are.
    """

    def __init__(self, model: FaceModel) -> None:
        self.model = model
        self.triangles = model.topology.triangles
        strength = np.zeros(len(model.mean))
        if "hairDark" in model.albedo_names:
            darker = np.abs(model.albedo_basis[model.albedo_names.index("hairDark")]).max(1)
            strength = darker / max(float(darker.max()), 1e-9)
        self._strength = strength
        self._place = model.mean / 100.0

    def __call__(
        self, vertices: np.ndarray, albedo: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices (V, 3) mm and linear colours (V, 3) with hair, and where it is (V,) in [0, 1]."""
        cover = self._cover(rng)
        low, high = THICKNESS_MM
        thick = low + (high - low) * rng.beta(0.9, 2.6)
        # Locks of a few centimetres, of unlike thickness.
        lock = 1.0 + 0.35 * self._waves(rng, 4.0)
        normals = vertex_normals(vertices, self.triangles)
        outside = vertices + normals * (thick * cover * np.clip(lock, 0.3, 1.7))[:, None]
        streaks = np.exp(0.35 * self._waves(rng, 25.0) + 0.25 * self._waves(rng, 9.0))[:, None]
        color = np.clip(_color(rng) * streaks, 0.004, 0.9)
        return outside, albedo + cover[:, None] * (color - albedo), cover

    def _cover(self, rng: np.random.Generator) -> np.ndarray:
        """Where hair is: the model's own hair, with a hairline that is moved about."""
        up, strength = 100.0 * self._place[:, 1], self._strength
        # A fringe comes down in the middle or at the sides, by a wave along the hairline.
        line = np.quantile(up[strength > 0.5], 0.02) if (strength > 0.5).any() else np.inf
        wave = rng.uniform(-1, 1) * REACH_MM + 0.4 * REACH_MM * self._waves(rng, 3.0)
        fringe = (up - (line + 60.0 + wave)) / 8.0
        fringe = 1.0 / (1.0 + np.exp(-np.clip(fringe, -30, 30)))
        return np.asarray(np.clip(np.maximum(strength * (strength > 0.15), fringe * (strength > 0.01)), 0.0, 1.0))

    def _waves(self, rng: np.random.Generator, per_dm: float) -> np.ndarray:
        """(V,) a sum of random waves over the head, about 1 in size; ``per_dm``: radians in 10 cm, about."""
        ways = rng.normal(0.0, per_dm, (6, 3))
        phases = rng.uniform(0, 2 * np.pi, 6)
        return np.asarray(np.cos(self._place @ ways.T + phases).sum(1) / np.sqrt(3.0))

    def painted(self, pixels: np.ndarray, albedo: np.ndarray, cover: np.ndarray) -> np.ndarray:
        """A skin (S, S, 3) uint8 with hair of these colours over it."""
        grid = atlas_of(self.model, len(pixels)).fine
        part = grid.picture(grid.values(cover[:, None]))
        color = grid.picture(grid.values(srgb_from_linear(albedo)))
        mixed = pixels + part * (255 * color - pixels)
        return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)


def _color(rng: np.random.Generator) -> np.ndarray:
    """Linear reflectance (3,): black to fair, grey, or red."""
    kind = rng.random()
    if kind < 0.12:
        return np.asarray(rng.uniform(0.15, 0.6) * np.array([1.0, 0.98, 0.95]))
    if kind < 0.2:
        return np.asarray(rng.uniform(0.6, 1.3) * np.array([0.22, 0.07, 0.03]))
    dark = rng.uniform(0, 1) ** 1.6
    return np.asarray((1 - dark) * np.array([0.012, 0.009, 0.008]) + dark * np.array([0.45, 0.30, 0.15]))

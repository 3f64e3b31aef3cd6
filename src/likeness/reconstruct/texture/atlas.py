"""Where on the head every texel of a texture lies, and what of the head that is."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from likeness.model.face_model import FaceModel
from likeness.render.kernels import interpolate_corners
from likeness.render.raster import Fragments, rasterize

COARSE = 512
"""Side of the grid on which visibility, light and colours that agree are computed, texels."""

SMOOTH = 128
"""Side of the grid on which what is not seen is filled, texels: about 3 mm of face each."""

KEPT = 2
"""How many models' and sizes' atlases are kept."""


@dataclass(frozen=True)
class Window:
    """Rows and columns of a picture."""

    rows: slice
    columns: slice


@dataclass(frozen=True, eq=False)
class Grid:
    """The texels of a square picture that lie on the head.

    Args:
        side: of the picture.
        texel: (N,) index of each, row by row.
        triangle: (N,) int32.
        barycentric: (N, 3) float32.
        corners: (F, 3) int32, the head's triangles.
    """

    side: int
    texel: np.ndarray
    triangle: np.ndarray
    barycentric: np.ndarray
    corners: np.ndarray

    @classmethod
    def of(cls, model: FaceModel, side: int) -> Grid:
        """The texels of a picture of this side, by the model's texture coordinates."""
        topology = model.topology
        pixels = topology.uv.astype(np.float64) * [side, -side] + [-0.5, side - 0.5]
        points = np.column_stack([pixels, np.full(len(pixels), 100.0)])
        found: Fragments = rasterize(points, topology.uv_triangles, (side, side))
        texel = np.flatnonzero(found.triangle >= 0)
        return cls(
            side,
            texel,
            found.triangle.reshape(-1)[texel],
            found.barycentric.reshape(-1, 3)[texel],
            np.ascontiguousarray(topology.triangles, np.int32),
        )

    def on(self, corners: np.ndarray) -> Grid:
        """The same texels of triangles (F, 3) with other vertices at their corners."""
        return replace(self, corners=np.ascontiguousarray(corners, np.int32))

    def values(self, attributes: np.ndarray) -> np.ndarray:
        """What vertices carry (V, C) at the texels, (N, C) float32."""
        return interpolate_corners(
            self.triangle, self.barycentric, self.corners, np.ascontiguousarray(attributes, np.float32)
        )

    def part(self, attributes: np.ndarray, window: Window) -> np.ndarray:
        """What vertices carry (V, C) in a window of the picture (h, w, C) float32; 0 outside the head."""
        top, bottom = window.rows.start, window.rows.stop
        first, last = np.searchsorted(self.texel, [top * self.side, bottom * self.side])
        some = slice(int(first), int(last))
        values = interpolate_corners(
            self.triangle[some], self.barycentric[some], self.corners, np.ascontiguousarray(attributes, np.float32)
        )
        out = np.zeros(((bottom - top) * self.side, values.shape[1]), np.float32)
        out[self.texel[some] - top * self.side] = values
        return out.reshape(bottom - top, self.side, -1)[:, window.columns]

    def picture(self, values: np.ndarray, outside: float = 0.0) -> np.ndarray:
        """Values (N, C) or (N,) at the texels as a picture (side, side, C) or (side, side) float32."""
        out = np.full((self.side * self.side, *values.shape[1:]), outside, np.float32)
        out[self.texel] = values
        return out.reshape(self.side, self.side, *values.shape[1:])

    @cached_property
    def covered(self) -> np.ndarray:
        """(side, side) bool: a texel of the head."""
        return self.picture(np.ones(len(self.texel), np.float32)) > 0


@dataclass(frozen=True, eq=False)
class Atlas:
    """A model's texture plane at one size.

    Args:
        model: whose coordinates these are.
        size: the texture's side, texels.
        fine, coarse: its texels, and those of a picture of at most :data:`COARSE`.
        zones: name -> (coarse side, coarse side) float32 in [0, 1]: ``eyes``, ``mouth``, ``scalp``, ``lips``,
            ``face``, ``brows``, ``beard``, ``lids``, ``hair`` and ``nose``; zero where the model does not know them.
        height: (coarse side, coarse side) float32, mm above the eyes on the mean head.
        symmetric: left and right of the texture mirror each other.
    """

    model: FaceModel
    size: int
    fine: Grid
    coarse: Grid
    zones: dict[str, np.ndarray]
    height: np.ndarray
    symmetric: bool

    @classmethod
    def of(cls, model: FaceModel, size: int) -> Atlas:
        """That of a model, made anew.

        Raises:
            ValueError: the model has no texture coordinates.
        """
        if not len(model.topology.uv):
            raise ValueError(f"expected a face model with texture coordinates, {model.name!r} has none")
        fine, coarse = Grid.of(model, size), Grid.of(model, min(size, COARSE))
        zones = {name: coarse.picture(coarse.values(mask[:, None])[:, 0]) for name, mask in _zones(model).items()}
        mirrored = coarse.covered[:, ::-1]
        symmetric = model.topology.mirror is not None and bool((coarse.covered == mirrored).mean() > 0.99)
        height = coarse.picture(coarse.values(model.mean[:, 1:2])[:, 0])
        return cls(model, size, fine, coarse, zones, height, symmetric)

    def region(self, name: str) -> np.ndarray:
        """(C, C) float32 in [0, 1]: one of the model's regions; 0 where it has none of that name."""
        mask = self.model.topology.regions.get(name, np.zeros(len(self.model.mean), bool))
        return self.coarse.picture(self.coarse.values(mask[:, None].astype(np.float32))[:, 0])

    @cached_property
    def places(self) -> np.ndarray:
        """(s, s, Z + 3) float32, s = :data:`SMOOTH`: where on the head a texel is, its zones and dm on the mean."""
        import cv2

        mean = self.coarse.picture(self.coarse.values(self.model.mean)) / 100.0
        every = np.dstack([*self.zones.values(), mean])
        small = [
            cv2.resize(every[..., n], (SMOOTH, SMOOTH), interpolation=cv2.INTER_AREA) for n in range(every.shape[2])
        ]
        return np.asarray(np.dstack(small), np.float32)


def _zones(model: FaceModel) -> dict[str, np.ndarray]:
    """Masks (V,) from the model's regions, and from where its albedo maps of that name are strong."""
    regions, count = model.topology.regions, len(model.mean)
    zones = {
        name: regions.get(name, np.zeros(count, bool)).astype(np.float32)
        for name in ("eyes", "mouth", "scalp", "lips", "face")
    }
    for zone, names in (
        ("brows", ("browDensity", "browThickness")),
        ("beard", ("stubble", "moustache", "chinBeard")),
        ("lids", ("lashes",)),
        ("hair", ("hairDark",)),
        ("nose", ("noseFlush",)),
    ):
        strong = np.zeros(count, np.float32)
        for name in names:
            if name in model.albedo_names:
                size = np.abs(model.albedo_basis[model.albedo_names.index(name)]).max(1)
                strong = np.maximum(strong, size / max(float(size.max()), 1e-6))
        zones[zone] = strong
    return zones


_KEPT: OrderedDict[tuple[int, int], Atlas] = OrderedDict()


def atlas_of(model: FaceModel, size: int) -> Atlas:
    """That of a model; the last :data:`KEPT` are kept, since making one costs as much as a texture.

    Raises:
        ValueError: the model has no texture coordinates.
    """
    key = id(model), size
    found = _KEPT.get(key)
    if found is None or found.model is not model:
        found = Atlas.of(model, size)
        _KEPT[key] = found
        while len(_KEPT) > KEPT:
            _KEPT.popitem(last=False)
    return found

"""What one photo says of a head's skin: where each texel is seen, how well, and in what light."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.geometry.landmarks import COUNT, INNER_LIPS, LEFT_EYE, RIGHT_EYE
from likeness.geometry.rotation import FRONTAL
from likeness.images.color import linear_from_srgb
from likeness.mesh import Mesh, vertex_normals
from likeness.mesh.assembly import vertex_colors
from likeness.model.face_model import FaceModel
from likeness.render.lighting import shade
from likeness.render.raster import rasterize_view

DEPTH_SIDE = 320
"""Pixels of the longer side of the head's picture in which it is decided what hides what."""

GRAZING, FACING = 0.18, 0.5
"""Cosines between surface and ray: below the first nothing is taken from a photo, from the second on all."""

RIM_MM = (2.0, 8.0)
"""Distance from the head's outline, where photo and head seldom agree: nothing, all."""

HIDDEN_MM, MOST_HIDDEN_MM = 3.0, 8.0
"""A texel is hidden if something is nearer by this and by what its own slope explains, and by the second in any
case."""

NEAR_EDGE_MM = 2.5
"""How far from the edge of what is in front nothing is taken."""

DARKEST = 1.5e-3
"""Linear; darker pixels hold no colour."""

LIGHT_ROUNDS, LIGHT_WIDTH, LIGHT_PRIOR = 6, 0.12, 0.02
"""Rounds, relative width of agreement, and weight of the network's light against a face full of vertices."""

LEAST_VERTICES = 50
"""How many vertices of the face a light is fitted to, at least."""

LEAST_LIGHT = 0.3
"""Of the mean light of a face: in deeper shadow the photo's noise would be blown up."""


@dataclass(frozen=True, eq=False)
class View:
    """One photo of a head.

    Args:
        photo: (H, W, 3) uint8 RGB.
        vertices: (V, 3) mm, model axes, with the photo's expression.
        camera: of the photo.
        rotation, translation: model axes -> camera axes, (3, 3) and (3,) mm.
        light: (9, 3) as :class:`likeness.model.face_model.Coefficients` has it.
        landmarks: (68, 2) iBUG points, photo pixels; None: those of the model.
        tint: (3,) log reflectance by which the skin is another than the model's; None: it is the model's.

    Raises:
        ValueError: a shape or type is wrong, or a value is not finite.
    """

    photo: np.ndarray
    vertices: np.ndarray
    camera: Camera
    rotation: np.ndarray
    translation: np.ndarray
    light: np.ndarray
    landmarks: np.ndarray | None = field(default=None)
    tint: np.ndarray | None = field(default=None)

    def __post_init__(self) -> None:
        if self.photo.dtype != np.uint8 or self.photo.shape != (*self.camera.size[::-1], 3):
            raise ValueError(
                f"expected a uint8 photo {(*self.camera.size[::-1], 3)}, got {self.photo.dtype} {self.photo.shape}"
            )
        for name, shape in (
            ("vertices", (len(self.vertices), 3)),
            ("rotation", (3, 3)),
            ("translation", (3,)),
            ("light", (9, 3)),
        ):
            value = np.asarray(getattr(self, name))
            if value.shape != shape or not np.isfinite(value).all():
                raise ValueError(f"expected finite {name} {shape}, got {value.shape}")
        if self.landmarks is not None and np.shape(self.landmarks) != (68, 2):
            raise ValueError(f"expected landmarks (68, 2), got {np.shape(self.landmarks)}")
        if self.tint is not None and (np.shape(self.tint) != (3,) or not np.isfinite(self.tint).all()):
            raise ValueError(f"expected a finite tint (3,), got {self.tint}")

    @cached_property
    def placed(self) -> np.ndarray:
        """(V, 3) mm, camera axes."""
        return np.asarray(self.vertices @ np.transpose(self.rotation) + self.translation, np.float64)

    @cached_property
    def pixels(self) -> np.ndarray:
        """(V, 2) photo pixels."""
        return np.asarray(project(self.camera, self.placed))

    @property
    def per_mm(self) -> float:
        """Photo pixels per millimetre at the head."""
        return self.camera.focal / float(np.median(self.placed[:, 2]))

    def normals(self, triangles: np.ndarray) -> np.ndarray:
        """(V, 3) unit normals, camera axes."""
        return vertex_normals(self.placed, triangles)


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to ``low``, 1 from ``high`` on, smooth between (3 t² - 2 t³)."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


class Seen:
    """What a view's camera sees of the head: depth, outline, and where eyes and mouth are open.

    Args:
        view: the photo.
        model: of the head.
    """

    def __init__(self, view: View, model: FaceModel) -> None:
        import cv2

        low, high = view.pixels.min(0) - 2, view.pixels.max(0) + 2
        self.scale = DEPTH_SIDE / float((high - low).max())
        self.low = low
        size = tuple(int(np.ceil(side)) for side in (high - low) * self.scale)
        center = (np.asarray(view.camera.center) - low) * self.scale
        self.camera = Camera(view.camera.focal * self.scale, (float(center[0]), float(center[1])), (size[0], size[1]))
        fragments = rasterize_view(view.placed, model.topology.triangles, self.camera, cull=False)
        self.view, depth = view, fragments.depth
        self.per_mm = view.per_mm * self.scale
        far = float(view.placed[:, 2].max()) + 1.0
        solid = np.where(np.isfinite(depth), depth, far).astype(np.float32)
        reach = max(1, round(NEAR_EDGE_MM * self.per_mm))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        self.front = cv2.erode(solid, kernel)
        self.reach_mm = reach / self.per_mm
        inside = np.pad(np.isfinite(depth), 1).astype(np.uint8)  # the picture's border is outside the head
        self.rim = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1] / self.per_mm
        self.open = self._openings(model)

    def _openings(self, model: FaceModel) -> np.ndarray:
        """(h, w) float32 1 where the photo shows eyes, teeth or the mouth's inside: what no skin looks like."""
        import cv2

        landmarks = self.view.landmarks
        if landmarks is None:
            if model.topology.landmarks is None:
                return np.zeros(self.front.shape, np.float32)
            points = model.landmark_map.gather(self.view.placed)
            landmarks = np.asarray(model.landmark_map.project(self.view.camera, points, self.view.rotation))
        mask = np.zeros(self.front.shape, np.uint8)
        for loop in (RIGHT_EYE, LEFT_EYE, range(INNER_LIPS, COUNT)):
            corners = (landmarks[list(loop)] - self.low) * self.scale
            if cv2.contourArea(corners.astype(np.float32)) > (2.0 * self.per_mm) ** 2:
                cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
        mask = cv2.dilate(mask, np.ones((3, 3), np.uint8))
        return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8))

    def at(self, picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """A picture of this camera's size at photo pixels (N, 2) -> (N,), bilinear."""
        import cv2

        maps = ((pixels - self.low) * self.scale).astype(np.float32)
        rows = -(-len(maps) // 4096)
        padded = np.zeros((rows * 4096, 2), np.float32)
        padded[: len(maps)] = maps
        x, y = padded.T.reshape(2, rows, 4096)
        found = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found.ravel()[: len(maps)])

    def weights(self, points: np.ndarray, normals: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """How well points of the skin are seen, 0 to 1: (N,), 0 for what is hidden or where eyes or mouth are open.

        Args:
            points, normals: (N, 3) camera axes, mm and unit.
            pixels: (N, 2) where they are in the photo.
        """
        distance = np.linalg.norm(points, axis=1)
        cosine = -(normals * points).sum(1) / np.maximum(distance, 1e-6)
        slope = np.sqrt(np.maximum(1 - cosine**2, 0)) / np.maximum(cosine, 0.1)
        behind = points[:, 2] - self.at(self.front, pixels)
        allowed = np.minimum(HIDDEN_MM + 1.3 * slope * self.reach_mm, MOST_HIDDEN_MM - 2.0)
        found = smoothstep(cosine, GRAZING, FACING) * (1 - smoothstep(behind, allowed, allowed + 2.0))
        found = found * smoothstep(self.at(self.rim, pixels), *RIM_MM)
        width, height = self.view.camera.size
        border = np.minimum(pixels, [width - 1, height - 1] - pixels).min(1) / self.view.per_mm
        found = found * smoothstep(border, 0.0, RIM_MM[0])
        return np.asarray(found * (1 - self.at(self.open, pixels)))


class Sampler:
    """The photo around the head in linear light, made small enough for a grid without aliasing.

    Args:
        view: the photo.
        per_texel: photo pixels per texel.
    """

    def __init__(self, view: View, per_texel: float) -> None:
        import cv2

        margin = 4 + 2 * per_texel
        limits = [view.camera.size[0] - 1, view.camera.size[1] - 1]
        low = np.clip(np.floor(view.pixels.min(0) - margin), 0, limits).astype(int)
        high = np.clip(np.ceil(view.pixels.max(0) + margin) + 1, low + 1, view.camera.size).astype(int)
        window = view.photo[low[1] : high[1], low[0] : high[0]]
        linear = linear_from_srgb(np.arange(256) / 255.0).astype(np.float32)[window]
        shrink = max(1.0, per_texel)
        size = np.maximum(np.round((high - low) / shrink), 1).astype(int)
        self.shrink = (high - low) / size
        if shrink > 1.0:
            linear = cv2.resize(linear, tuple(int(side) for side in size), interpolation=cv2.INTER_AREA)
        self.linear, self.low = linear, low

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Photo pixels (H, W, 2) -> log of linear RGB (H, W, 3) float32, bicubic."""
        return self.at(self.places(pixels))

    def places(self, pixels: np.ndarray) -> np.ndarray:
        """Photo pixels (..., 2) -> pixels of the smaller photo (..., 2) float32, linear in them."""
        return np.asarray((pixels - self.low + 0.5) / self.shrink - 0.5, np.float32)

    def at(self, places: np.ndarray) -> np.ndarray:
        """Places (H, W, 2) as :meth:`places` gives them -> log of linear RGB (H, W, 3) float32, bicubic."""
        import cv2

        found = cv2.remap(self.linear, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        np.maximum(found, DARKEST, out=found)
        return np.asarray(cv2.log(found, found))


def fitted_light(
    view: View, model: FaceModel, albedo: np.ndarray, seen: Seen, trust: np.ndarray | None = None
) -> np.ndarray:
    """(9, 3) the light under which the photo shows this albedo: the network's, refined where they agree.

    Light of one colour: nine harmonics for all channels and three gains, in turns by least squares over vertices,
    reweighted by exp(-r² / 2 σ²) of the relative difference r (Welsch). Harmonics for each channel explain what is no
    light at the face's rim, in the brightest colours.

    Args:
        view: the photo.
        model: of the head.
        albedo: (V, 3) linear reflectance.
        seen: what the camera sees.
        trust: (V,) 0 where something is in front of the skin; None: 1 everywhere.
    """
    normals = view.normals(model.topology.triangles)
    regions = model.topology.regions
    skin = regions.get("face", np.ones(len(albedo), bool)) & ~regions.get("eyes", np.zeros(len(albedo), bool))
    rows = np.flatnonzero(skin)
    weight = seen.weights(view.placed[rows], normals[rows], view.pixels[rows])
    weight = weight if trust is None else weight * trust[rows]
    rows, weight = rows[weight > 0.1], weight[weight > 0.1]
    if len(rows) < LEAST_VERTICES:
        return np.asarray(view.light, np.float64)
    color = np.exp(Sampler(view, 4.0 * view.per_mm)(view.pixels[rows][None])[0]).astype(np.float64)
    basis = shade(normals[rows] @ FRONTAL, np.ones((len(rows), 1)), np.eye(9))
    start = np.asarray(view.light, np.float64).mean(axis=1)
    light, scale = start, np.maximum(color, 0.02)
    for round_ in range(LIGHT_ROUNDS):
        lit = np.maximum(basis @ light, 1e-3)[:, None] * albedo[rows]
        gains = np.median(color / lit, axis=0)
        left = (gains * lit - color) / scale
        width = max(LIGHT_WIDTH, 1.2 * float(np.median(np.abs(left))) / (1 + round_))
        trust = weight[:, None] * np.exp(-0.5 * (left / width) ** 2) / scale**2
        gain = gains * albedo[rows]
        share, target = (trust * gain**2).sum(axis=1), (trust * gain * color).sum(axis=1)
        prior = LIGHT_PRIOR * float((share * basis[:, 0] ** 2).sum())
        normal = (basis.T * share) @ basis + prior * np.eye(9)
        light = np.linalg.solve(normal, basis.T @ target + prior * start)
    return np.asarray(light[:, None] * gains)


def light_on(view: View, model: FaceModel, rest: Mesh) -> np.ndarray:
    """(9, 3) the light of a photo for a head of these colours or this texture (:func:`fitted_light`)."""
    return fitted_light(view, model, linear_from_srgb(vertex_colors(rest)), Seen(view, model))


def log_shading(light: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N, 3) float32 log of the light (9, 3) that a white surface with ``normals`` (N, 3), camera axes, would
    reflect, never less than :data:`LEAST_LIGHT` of the mean."""
    lit = shade(normals @ FRONTAL, np.ones((len(normals), 1)), light)
    least = LEAST_LIGHT * np.maximum(np.median(lit, axis=0), 1e-3)
    return np.asarray(np.log(np.maximum(lit, least)), np.float32)

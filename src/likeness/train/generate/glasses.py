"""Glasses of many makes drawn on a head in a photograph: rims, bridge and arms in three dimensions, lenses, shadows.

Where they sit is what a network has to learn from them (``runs/build_glasses.py``), so they are placed on the head in
its pose, hidden by what of the head is in front of them; what they are made of is drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from likeness.geometry.camera import Camera, project
from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.view import View
from likeness.render.raster import rasterize_view

FINER = 4
"""Drawn pixels per photo pixel and axis: frames are thinner than those."""

BEHIND_MM = 4.0
"""How far something must be behind the head's surface to be hidden by it; the fitted head is not exact."""

RIM_POINTS, ARM_POINTS = 48, 14
"""Points along a rim and an arm."""


@dataclass(frozen=True, eq=False)
class Make:
    """One pair of glasses, at random. Millimetres.

    Args:
        half: (2,) half width and height of a lens.
        drop: of the lenses' middle below the eyes.
        ahead: of the lenses' plane before the eyes' centres.
        power: of the superellipse of the rims; 2 is round.
        lift: by how much the outer upper corner is raised (cat's eye), or the lower one lowered (aviator).
        rims: (3,) thickness above, below and of the bridge; 0: none.
        arm: (2,) height of an arm, and the share of it that hair leaves to see.
        apart: of the lenses' middles, over that of the eyes.
        wrap: by how much the outer edges are farther back.
    """

    half: np.ndarray
    drop: float
    ahead: float
    power: float
    lift: np.ndarray
    rims: np.ndarray
    arm: np.ndarray
    apart: float
    wrap: float


def random_make(rng: np.random.Generator) -> Make:
    """Any make of glasses."""
    thick = rng.uniform(2.0, 6.5) if rng.random() < 0.5 else rng.uniform(0.8, 2.2)
    rims = np.array([thick, thick * rng.uniform(0.6, 1.0), thick * rng.uniform(0.7, 1.3)])
    what = rng.random()
    if what < 0.15:  # half rims
        rims[1] = 0.0
    elif what < 0.25:  # rimless
        rims = np.array([0.35, 0.35, rng.uniform(0.8, 1.6)])
    half = np.array([rng.uniform(21.0, 30.0), 0.0])
    half[1] = half[0] * rng.uniform(0.5, 0.98)
    lift = np.array([rng.uniform(2, 7) * (rng.random() < 0.2), rng.uniform(2, 8) * (rng.random() < 0.2)])
    arm = np.array([rng.uniform(1.0, 2.0) if thick < 2.2 else rng.uniform(2.0, 9.0), rng.uniform(0.3, 1.0)])
    return Make(
        half,
        drop=float(rng.uniform(-1.0, 9.0)),
        ahead=float(rng.uniform(20.0, 30.0)),
        power=float(rng.choice([2.0, 2.5, 3.5, 6.0])),
        lift=lift,
        rims=rims,
        arm=arm,
        apart=float(rng.uniform(0.98, 1.12)),
        wrap=float(rng.uniform(0.0, 7.0)),
    )


@dataclass(frozen=True, eq=False)
class Wearer:
    """A head in a photo, on which glasses are put.

    Args:
        view: the photo.
        eyes: (2, 3) mm, model axes: the right and the left eye's centre.
        temple: half of the head's width where arms pass.
        ear: (2,) height and depth of the place where an arm goes over the ear, model axes.
        depth: (H, W) float32, mm, of the head in the photo's pixels; infinite beside it.
    """

    view: View
    eyes: np.ndarray
    temple: float
    ear: np.ndarray
    depth: np.ndarray

    @classmethod
    def of(cls, view: View, model: FaceModel) -> Wearer:
        """That of a view of a model's head with regions ``eyes``, ``ears`` and ``skin``."""
        regions, points = model.topology.regions, np.asarray(view.vertices, np.float64)
        sides = (regions["eyes"] & (model.mean[:, 0] < 0), regions["eyes"] & (model.mean[:, 0] > 0))
        eyes = np.stack([points[side].mean(0) for side in sides])
        level = regions["skin"] & ~regions["ears"] & (np.abs(points[:, 1]) < 12) & (np.abs(points[:, 2] + 40) < 20)
        ears = points[regions["ears"]]
        ear = np.array([ears[:, 1].max() - 3.0, float(np.median(ears[:, 2])) + 4.0])
        depth = rasterize_view(view.placed, model.topology.triangles, view.camera, cull=False).depth
        return cls(view, eyes, float(np.abs(points[level, 0]).max()), ear, depth)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) photo pixels of points (N, 3), model axes."""
        return np.asarray(project(self.view.camera, self._placed(points)))

    def hidden(self, points: np.ndarray) -> np.ndarray:
        """(N,) bool: the head is in front of points (N, 3), model axes."""
        camera: Camera = self.view.camera
        column, row = np.clip(np.rint(self.pixels(points)).astype(int), 0, np.array(camera.size) - 1).T
        return np.asarray(self._placed(points)[:, 2] > self.depth[row, column] + BEHIND_MM)

    def _placed(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points @ np.transpose(self.view.rotation) + self.view.translation)


def glasses_on(wearer: Wearer, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A photo with glasses on its head.

    Args:
        wearer: the head in its photo.
        rng: draws their make, colours, lenses and shadows.

    Returns:
        The photo (H, W, 3) uint8, and how much of each pixel is not the face's, (H, W) float32 in [0, 1].
    """
    make, photo = random_make(rng), wearer.view.photo.astype(np.float32)
    rims = [_rim(wearer, make, side) for side in (0, 1)]
    frames = _frames(wearer, make, rims)
    lenses = _filled(wearer, rims)
    shadow = _shadow(wearer, frames, rng)
    photo = photo * shadow[..., None]
    lens, shown = _lens(wearer, photo, lenses, rims, rng)
    solid = rng.uniform(0.35, 0.75) if rng.random() < 0.1 else rng.uniform(0.9, 1.0)
    blur = rng.uniform(0.35, 0.8)
    alpha = cv2.GaussianBlur(np.clip(frames * solid, 0, 1), (0, 0), blur)
    shown = shown + alpha[..., None] * (_material(photo.shape[:2], wearer, rng) - shown)
    covered = np.maximum(np.clip(alpha / solid, 0, 1), lens)
    return np.asarray(shown.clip(0, 255), np.uint8), covered.astype(np.float32)


def _rim(wearer: Wearer, make: Make, side: int) -> np.ndarray:
    """(RIM_POINTS, 3) around a lens, from its outer edge upwards, over the bridge's side and back below."""
    sign, middle = (-1.0, 1.0)[side], wearer.eyes.mean(0)
    angle = np.linspace(0, 2 * np.pi, RIM_POINTS, endpoint=False)
    wave = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    flat = np.sign(wave) * np.abs(wave) ** (2.0 / make.power) * make.half
    outer = np.clip(wave[:, 0], 0, 1)
    flat[:, 1] += outer * np.where(wave[:, 1] > 0, make.lift[0] * np.abs(wave[:, 1]), 0)
    flat[:, 1] -= (0.4 + 0.6 * outer) * np.where(wave[:, 1] < 0, make.lift[1] * np.abs(wave[:, 1]), 0)
    apart = make.apart * abs(wearer.eyes[1, 0] - middle[0])
    across = np.maximum(apart + flat[:, 0], 6.0)
    back = make.wrap * (across / (apart + make.half[0])) ** 2 - 0.06 * flat[:, 1]
    return np.column_stack(
        [middle[0] + sign * across, middle[1] - make.drop + flat[:, 1], middle[2] + make.ahead - back]
    )


def _frames(wearer: Wearer, make: Make, rims: list[np.ndarray]) -> np.ndarray:
    """(H, W) float32 in [0, 1]: rims, bridge and arms."""
    canvas = _canvas(wearer)
    half = RIM_POINTS // 2
    for rim in rims:
        _stroke(wearer, canvas, rim[: half + 1], make.rims[0])
        _stroke(wearer, canvas, np.concatenate([rim[half:], rim[:1]]), make.rims[1])
    inner = [rim[half - RIM_POINTS // 8] for rim in rims]
    raised = 0.5 * (inner[0] + inner[1]) + [0.0, 2.0, 2.0]
    _stroke(wearer, canvas, np.stack([inner[0], raised, inner[1]]), make.rims[2])
    steps = np.linspace(0, 1, ARM_POINTS)[:, None]
    for rim, sign in zip(rims, (-1.0, 1.0), strict=True):
        hinge = rim[RIM_POINTS // 16] + [0.0, 0.0, -2.0]
        corner = np.array([sign * max(wearer.temple + 1.0, abs(hinge[0])), hinge[1], hinge[2] - 8.0])
        ear = np.array([sign * (wearer.temple + 3.0), wearer.ear[0], wearer.ear[1]])
        arm = corner + steps * make.arm[1] * (ear - corner)
        _stroke(wearer, canvas, np.concatenate([[rim[RIM_POINTS // 16], hinge], arm]), make.arm[0])
    return _small(wearer, canvas)


def _canvas(wearer: Wearer) -> np.ndarray:
    height, width = wearer.view.photo.shape[:2]
    return np.zeros((height * FINER, width * FINER), np.uint8)


def _small(wearer: Wearer, canvas: np.ndarray) -> np.ndarray:
    size = wearer.view.photo.shape[1::-1]
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _fine(wearer: Wearer, points: np.ndarray) -> np.ndarray:
    """Points (N, 3) as drawn pixels (N, 2) int32."""
    return np.asarray(np.rint((wearer.pixels(points) + 0.5) * FINER - 0.5), np.int32)


def _stroke(wearer: Wearer, canvas: np.ndarray, line: np.ndarray, thick: float) -> None:
    """Draw what is seen of a line (N, 3) of this thickness, mm."""
    if thick <= 0:
        return
    hidden, places = wearer.hidden(line), _fine(wearer, line)
    width = max(1, round(thick * wearer.view.per_mm * FINER))
    for a in range(len(line) - 1):
        if not (hidden[a] or hidden[a + 1]):
            cv2.line(canvas, places[a].tolist(), places[a + 1].tolist(), 255, width, cv2.LINE_AA)


def _filled(wearer: Wearer, rims: list[np.ndarray]) -> np.ndarray:
    """(H, W) float32 in [0, 1]: where lenses are."""
    canvas = _canvas(wearer)
    for rim in rims:
        if not wearer.hidden(rim).all():
            cv2.fillPoly(canvas, [_fine(wearer, rim)], 255)
    return _small(wearer, canvas)


def _lens(
    wearer: Wearer, photo: np.ndarray, lenses: np.ndarray, rims: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """How much lenses cover (H, W), and the photo with them: dark, tinted, clear, and with reflections."""
    cover, shown, what = np.zeros_like(lenses), photo, rng.random()
    if what < 0.28:  # dark, some lighter below
        ramp = np.ones_like(lenses)
        if rng.random() < 0.4:
            rows = wearer.pixels(np.concatenate(rims))[:, 1]
            place = (np.arange(len(photo)) - rows.min()) / max(float(np.ptp(rows)), 1.0)
            ramp = np.broadcast_to(np.clip(1 - rng.uniform(0.2, 0.8) * place, 0, 1)[:, None], lenses.shape)
        alpha = lenses * ramp * rng.uniform(0.7, 1.0)
        mirrored = cv2.GaussianBlur(rng.normal(0, 1, lenses.shape), (0, 0), rng.uniform(2, 8) * wearer.view.per_mm)
        mirrored *= rng.uniform(0, 70) * (rng.random() < 0.5) / max(float(mirrored.std()), 1e-6)
        color = rng.uniform(0, 60) * rng.uniform(0.7, 1.3, 3) + np.abs(mirrored)[..., None]
        shown, cover = shown + alpha[..., None] * (color - shown), np.where(alpha > 0.45, lenses, 0)
    elif what < 0.36:
        shown = shown * (1 - lenses[..., None] * rng.uniform(0.05, 0.5) * rng.uniform(0.5, 1.0, 3))
    if rng.random() < 0.35:
        canvas = _canvas(wearer)
        for rim in rims:
            middle = wearer.pixels(rim.mean(0, keepdims=True))[0]
            size = 20 * wearer.view.per_mm * rng.uniform(0.1, 0.6, 2)
            at = (middle + rng.normal(0, 8, 2) * wearer.view.per_mm) * FINER
            axes = np.maximum(size * FINER, 1).astype(int).tolist()
            cv2.ellipse(canvas, np.rint(at).astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, 255, -1)
        shine = cv2.GaussianBlur(_small(wearer, canvas), (0, 0), 0.6) * lenses * rng.uniform(0.2, 1.0)
        shown = shown + shine[..., None] * (rng.uniform(170, 255) * rng.uniform(0.85, 1.0, 3) - shown)
        cover = np.maximum(cover, np.where(shine > 0.4, 1.0, 0.0))
    return cv2.GaussianBlur(cover.astype(np.float32), (0, 0), 0.5), shown


def _shadow(wearer: Wearer, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W) what light frames leave below and beside them."""
    shift = np.array([[1, 0, rng.normal(0, 2)], [0, 1, rng.uniform(0, 5)]])
    shift[:, 2] *= wearer.view.per_mm
    cast = cv2.warpAffine(frames, shift, frames.shape[::-1])
    soft = max(rng.uniform(0.5, 3.0) * wearer.view.per_mm, 0.4)
    return np.asarray(1 - rng.uniform(0, 0.45) * cv2.GaussianBlur(cast, (0, 0), soft), np.float32)


def _material(shape: tuple[int, int], wearer: Wearer, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) what frames look like: black, brown with spots, metal, coloured, pale."""
    what = rng.choice(5, p=[0.42, 0.18, 0.22, 0.1, 0.08])
    color = (
        rng.uniform(3, 55) * rng.uniform(0.9, 1.1, 3),
        rng.uniform(30, 110) * np.array([1.0, rng.uniform(0.5, 0.75), rng.uniform(0.2, 0.5)]),
        rng.uniform(70, 190) * np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.6, 1.05)]),
        rng.uniform(20, 220, 3),
        rng.uniform(150, 245) * rng.uniform(0.9, 1.0, 3),
    )[what]
    uneven = (0.1, 0.5, 0.5, 0.15, 0.1)[what]
    size = max(float(rng.uniform(1.5, 6.0)) * wearer.view.per_mm, 0.8)
    spots = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), size)
    spots /= max(float(spots.std()), 1e-6)
    return np.asarray(color * (1 + uneven * spots[..., None]), np.float32)

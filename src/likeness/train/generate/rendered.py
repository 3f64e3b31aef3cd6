"""Synthetic faces with exact labels, rendered from the face model.

    likeness train synthetic --model work/face_model.npz --out work/synthetic --count 24000 --processes 2

Writes one ``.npy`` per field, memory-mapped by :mod:`likeness.train.photos.samples`: ``rgba`` (N, S, S, 4) uint8 with
the head's coverage as alpha (backgrounds are put behind while training), and the labels ``identity``, ``expression``,
``albedo``, ``light``, ``rotation``, ``translation`` and ``focal`` of ``pixel = K (R x + t)`` with the principal
point at the image's centre. With ``--skins`` (:mod:`likeness.train.generate.skins`) some wear a real person's skin,
have hair, or are turned further; the ``albedo`` of those with a skin is NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.images.color import srgb_from_linear
from likeness.mesh import vertex_normals
from likeness.model.face_model import FaceModel
from likeness.render.lighting import ambient_light, distant_light, shade
from likeness.render.raster import Rasterizer, interpolate_seen
from likeness.render.texture import Texture
from likeness.train.generate.hair import Hair
from likeness.train.generate.processes import reserve, rows_done, whole_set
from likeness.train.generate.skins import Skins

SIZE = 160
SEEDS = 10_000_019  # faces of one seed have numbers up to here
SUPERSAMPLE = 2
FACE_MM = 250.0  # what the picture's side covers at the head's distance: the crop of the face and a margin
MIDDLE = np.array([0.0, -28.0, 20.0])  # mm, model axes: about the middle of the landmarks' box


@dataclass(frozen=True, eq=False)
class Variety:
    """What some faces have beyond a model's own looks; the others are as they are without.

    Args:
        skins: real people's, which a face of any shape may wear; its ``albedo`` is unknown then, NaN. None: there are
            none.
        skinned: share of the faces that wear one.
        haired: share whose hair stands off the head.
        profiles: share that is turned by 60 to 100 degrees, beyond those that are anyway.
        asleep: share with closed eyes, beyond those that are anyway.
    """

    skins: Skins | None = None
    skinned: float = 0.6
    haired: float = 0.6
    profiles: float = 0.15
    asleep: float = 0.08


@dataclass(frozen=True)
class Sample:
    """One synthetic face: labels and picture, as in the module's docstring."""

    rgba: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    albedo: np.ndarray
    light: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    focal: np.float32


def sample_expression(rng: np.random.Generator, names: tuple[str, ...]) -> np.ndarray:
    """ARKit weights (52,): a face at rest, a smile, speech, or a few muscles at random; sides nearly equal."""
    weights = dict.fromkeys(names, 0.0)

    def pair(name: str, value: float) -> None:
        for side in ("Left", "Right"):
            if name + side in weights:
                weights[name + side] = float(np.clip(value * rng.normal(1, 0.12), 0, 1))

    kind = rng.choice(["rest", "smile", "speech", "random"], p=[0.25, 0.3, 0.2, 0.25])
    if kind == "smile":
        amount = rng.uniform(0.2, 1.0)
        pair("mouthSmile", amount)
        pair("cheekSquint", 0.7 * amount)
        pair("eyeSquint", amount * rng.uniform(0, 0.6))
        pair("mouthUpperUp", amount * rng.uniform(0, 0.5))
        pair("mouthLowerDown", amount * rng.uniform(0, 0.4))
        weights["jawOpen"] = float(rng.choice([0.0, rng.uniform(0, 0.35)]))
    elif kind == "speech":
        weights["jawOpen"] = float(rng.beta(1.3, 3.0))
        weights[str(rng.choice(["mouthFunnel", "mouthPucker", "mouthShrugUpper", "mouthClose"]))] = float(
            rng.uniform(0, 0.6)
        )
        pair("mouthStretch", rng.uniform(0, 0.4))
    elif kind == "random":
        for name in rng.choice(names, size=rng.integers(1, 7), replace=False):
            weights[str(name)] = float(rng.uniform(0, 0.9))
        weights["tongueOut"] *= 0.2
    if weights["mouthClose"] > weights["jawOpen"]:  # ARKit: closes the lips of an open jaw, meaningless without
        weights["mouthClose"] = weights["jawOpen"]
    if rng.random() < 0.4:
        pair(str(rng.choice(["browDown", "browOuterUp"])), rng.uniform(0, 0.8))
    if rng.random() < 0.3:
        weights["browInnerUp"] = float(rng.uniform(0, 0.8))
    pair("eyeBlink", rng.choice([rng.uniform(0, 0.25), rng.uniform(0.3, 1.0)], p=[0.85, 0.15]))
    _look(weights, rng)
    return np.array([weights[name] for name in names], np.float32)


def _look(weights: dict[str, float], rng: np.random.Generator) -> None:
    """Both eyes the same way."""
    across, up = rng.normal(0, 0.3, 2)
    weights["eyeLookOutLeft"] = weights["eyeLookInRight"] = float(np.clip(across, 0, 1))
    weights["eyeLookInLeft"] = weights["eyeLookOutRight"] = float(np.clip(-across, 0, 1))
    for side in ("Left", "Right"):
        weights[f"eyeLookUp{side}"] = float(np.clip(up, 0, 1))
        weights[f"eyeLookDown{side}"] = float(np.clip(-up, 0, 1))


def sample_rotation(rng: np.random.Generator) -> np.ndarray:
    """Camera rotation (3, 3) of a head: mostly towards the camera, a quarter anywhere up to ±75° yaw, a tenth in
    profile."""
    kind = rng.random()
    if kind < 0.6:
        yaw = rng.normal(0, 22)
    elif kind < 0.9:
        yaw = rng.uniform(-75, 75)
    else:
        yaw = rng.choice([-1, 1]) * rng.uniform(58, 95)
    angles = np.radians([np.clip(yaw, -95, 95), np.clip(rng.normal(0, 11), -35, 35), rng.normal(0, 7)])
    return FRONTAL @ rotation_from_euler(*angles)


def sample_light(rng: np.random.Generator) -> np.ndarray:
    """Spherical-harmonics light (9, 3) in upright camera axes: ambient and one to three coloured sources."""
    light = ambient_light(rng.uniform(0.15, 0.6) * _tint(rng, 0.08))
    for _ in range(rng.integers(1, 4)):
        direction = rng.normal([0, 0.5, 0.9], [0.9, 0.6, 0.5])
        light = light + distant_light(direction, rng.uniform(0.1, 0.75) * _tint(rng, 0.12))
    return light.astype(np.float32)


def _tint(rng: np.random.Generator, spread: float) -> np.ndarray:
    """A light's colour (3,): red against blue varies more than green."""
    return np.exp(rng.normal(0, spread, 3) * [1, 0.4, 1])


class SyntheticFaces:
    """Renders random people of a face model; the same seed gives the same face.

    ``like``: whose identity and albedo a face has, instead of its own: another photo of the same person.

    Args:
        model: of the faces.
        size: side of the pictures, pixels.
        variety: looks that the model does not have; None: none.

    Raises:
        ValueError: there are skins, and the model has no texture coordinates.
    """

    def __init__(self, model: FaceModel, size: int = SIZE, variety: Variety | None = None) -> None:
        self.model, self.size, self.variety = model, size, variety
        if variety is not None and variety.skins is not None and not len(model.topology.uv):
            raise ValueError(f"expected a face model with texture coordinates, {model.name!r} has none")
        full = size * SUPERSAMPLE
        self._rasterizer = Rasterizer(model.topology.triangles, len(model.mean), (full, full))
        self._hair = None if variety is None else Hair(model)

    def __call__(self, seed: int, like: Sample | None = None) -> Sample:
        rng = np.random.default_rng(seed)
        model = self.model
        identity = model.space.project(np.clip(model.space.sample(1, rng)[0], -3, 3))
        expression = sample_expression(rng, model.expression_names)
        albedo = rng.standard_normal(len(model.albedo_names)).astype(np.float32)
        if "melanin" in model.albedo_names:  # dark skin is as frequent as its share of people, not of a bell curve
            albedo[model.albedo_names.index("melanin")] = rng.uniform(-2.0, 2.6)
        if "lipstick" in model.albedo_names:  # worn or not: less than none would make lips green
            worn = albedo[model.albedo_names.index("lipstick")]
            albedo[model.albedo_names.index("lipstick")] = max(worn, 0.0)
        if like is not None:
            identity, albedo = like.identity, like.albedo
        light, rotation = sample_light(rng), sample_rotation(rng)
        # Of a generator of its own: without variety a seed gives the face that it always gave.
        looks = np.random.default_rng([seed, 1])
        if self.variety is not None:
            expression, rotation = self._varied(expression, rotation, looks)
        vertices = model.vertices(identity, expression)
        # The crop's camera sees the head from about 860 mm; photographs are taken from 0.4 m to far away.
        distance = 860.0 * np.exp(rng.uniform(np.log(0.6), np.log(3.0)))
        focal = self.size * distance / (FACE_MM * np.exp(rng.normal(0, 0.06)))
        shift = np.array([*rng.normal(0, 6, 2), distance])
        translation = shift - rotation @ MIDDLE
        dressed, colors, skin = vertices, model.albedo(albedo), None
        if self.variety is not None:
            dressed, colors, skin = self._dressed(vertices, colors, looks)
        rgba, exposure = self._render(dressed, colors, light, rotation, translation, focal, rng, skin)
        return Sample(
            rgba,
            identity,
            expression,
            albedo if skin is None else np.full_like(albedo, np.nan),
            # What a picture shows is light times exposure, and no picture tells the two apart.
            light * exposure,
            rotation.astype(np.float32),
            translation.astype(np.float32),
            np.float32(focal),
        )

    def _varied(
        self, expression: np.ndarray, rotation: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Expression and rotation, some of them with closed eyes or in profile."""
        assert self.variety is not None
        if rng.random() < self.variety.asleep:
            expression, names = expression.copy(), self.model.expression_names
            for name in ("eyeBlinkLeft", "eyeBlinkRight"):
                expression[names.index(name)] = rng.uniform(0.9, 1.0)
        if rng.random() < self.variety.profiles:
            yaw = rng.choice([-1, 1]) * rng.uniform(60, 100)
            angles = np.radians([yaw, np.clip(rng.normal(0, 9), -25, 25), rng.normal(0, 7)])
            rotation = FRONTAL @ rotation_from_euler(*angles)
        return expression, rotation

    def _dressed(
        self, vertices: np.ndarray, albedo: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, Texture | None]:
        """Vertices that are drawn, with hair, their colours (V, 3), and a skin to draw instead, if there is one."""
        assert self.variety is not None
        assert self._hair is not None
        skins, topology, skin = self.variety.skins, self.model.topology, None
        if skins is not None and rng.random() < self.variety.skinned:
            pixels = skins.pixels[int(rng.integers(len(skins)))]
            skin = Texture(pixels, topology.uv, topology.uv_triangles)
        if rng.random() < self.variety.haired:
            vertices, albedo, cover = self._hair(vertices, albedo, rng)
            if skin is not None:
                skin = replace(skin, pixels=self._hair.painted(skin.pixels, albedo, cover))
        return vertices, albedo, skin

    def _render(
        self,
        vertices: np.ndarray,
        albedo: np.ndarray,
        light: np.ndarray,
        rotation: np.ndarray,
        translation: np.ndarray,
        focal: float,
        rng: np.random.Generator,
        skin: Texture | None = None,
    ) -> tuple[np.ndarray, np.float32]:
        """The picture (S, S, 4) and the exposure: colours are ``srgb(exposure * linear)``; a skin goes before the
        vertices' albedo (V, 3)."""
        full = self.size * SUPERSAMPLE
        camera = Camera(focal * SUPERSAMPLE, image_center((full, full)), (full, full))
        fragments = self._rasterizer(vertices, camera, rotation, translation)
        normals = vertex_normals(vertices, self.model.topology.triangles) @ (FRONTAL @ rotation).T
        attributes = np.concatenate([albedo, normals], axis=1).astype(np.float32)
        covered = fragments.triangle >= 0
        drawn = interpolate_seen(fragments, attributes)
        base, normal = drawn[:, :3], drawn[:, 3:]
        if skin is not None:
            placed = vertices @ rotation.T + translation
            base = skin.seen(fragments, skin.levels_seen(placed, self.model.topology.triangles, camera))
        normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        gloss = rng.uniform(0, 0.12) * np.maximum(normal @ _half_vector(rng), 0) ** rng.uniform(8, 40)
        linear = np.maximum(shade(normal, base, light), 0.02 * base) + gloss[:, None].astype(np.float32)
        brightness = float(linear.mean()) if len(linear) else 1.0
        exposure = np.float32(rng.uniform(0.25, 0.55) / max(brightness, 0.05) ** 0.7)
        picture = np.zeros((full, full, 4), np.float32)
        picture[covered, :3] = srgb_from_linear(linear * exposure)
        picture[covered, 3] = 1.0
        small = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
        return np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8), exposure


def _half_vector(rng: np.random.Generator) -> np.ndarray:
    half = rng.normal([0, 0.3, 1.0], [0.4, 0.3, 0.1])
    return (half / np.linalg.norm(half)).astype(np.float32)


CHUNK = 100
"""Faces that a process renders at once."""


def write_set(
    model: FaceModel, out: Path, count: int, seed: int = 0, processes: int = 1, variety: Variety | None = None
) -> Iterator[int]:
    """Render ``count`` faces into ``out`` (see the module's docstring); yields how many are done.

    How many processes share the work changes nothing of the result.
    """
    fields = {name: np.asarray(value) for name, value in vars(SyntheticFaces(model)(seed * SEEDS)).items()}
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    with whole_set(out, "rgba.npy") as stage:
        for name, value in fields.items():
            reserve(stage / f"{name}.npy", value.dtype, (count, *value.shape))
        yield from rows_done(partial(_render_rows, model, stage, seed, variety), chunks, processes)


def _render_rows(model: FaceModel, out: Path, seed: int, variety: Variety | None, rows: range) -> None:
    """Render the faces of these rows into the files that are there."""
    faces = SyntheticFaces(model, variety=variety)
    arrays = {}
    for row in rows:
        for name, value in vars(faces(seed * SEEDS + row)).items():
            if name not in arrays:
                arrays[name] = np.load(out / f"{name}.npy", mmap_mode="r+")
            arrays[name][row] = value
    for array in arrays.values():
        array.flush()

"""Scenes for the face detector: faces pasted into other scenes, with hard negatives, made from a seed.

A scene is a pure function of the bank of faces, the seed and the size, so training can be resumed and held-out sets
need no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from likeness.train.detector.clutter import draw_any, paste_turned, skin_color
from likeness.train.detector.faces import Face, FaceBank
from likeness.train.photos.augment import noise_field, procedural_background

SMALLEST = 0.85
"""Faces from this part of the smallest wanted size on are in the scene but need not be found."""

SEEN = 0.75, 0.4
"""The share of a face's box that is in the picture and not covered, from which it should be found, and from which it
need not be."""

COVERED = 12
"""Levels of 255 by which a pixel of a face has to change for something to be in front of it."""

FAINTEST = 20
"""Levels of grey between the 5th and the 95th percentile of a face, from which it should be found: below, as in the
dark, there is nothing to see."""

ENLARGED = 3.0
"""Faces are enlarged at most so many times."""

GIANTS = 0.08
"""The share of scenes whose ground is a part of a face larger than the scene."""


@dataclass(frozen=True)
class SceneSettings:
    """What a scene is like.

    Args:
        sizes: least and most size of faces, pixels; drawn evenly in the logarithm.
        most: faces at most.
        angle: standard deviation of the in-plane turn of two thirds of the faces, degrees.
        turned: the others are turned evenly within this, degrees.
        hard: probability of each of up to four hard negatives.
        hidden: probability that something covers a part of a face.
        spoilt: probability of another tone, blur, noise or compression.
    """

    sizes: tuple[float, float] = (9.0, 185.0)
    most: int = 5
    angle: float = 12.0
    turned: float = 75.0
    hard: float = 0.5
    hidden: float = 0.12
    spoilt: float = 0.85


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and where its faces are.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        faces: (n, 4) middle x, y, size (pixels) and angle (radians), as in
            :class:`likeness.networks.detector.Detections`.
        yaw: (n,) degrees, without sign.
        ignored: (m, 3) middle x, y and size of faces that need not be found: cut off, covered, faint or too small.
        kinds: (n,) what the faces are: "frame", "photo" or "synthetic".
    """

    image: np.ndarray
    faces: np.ndarray
    yaw: np.ndarray
    ignored: np.ndarray
    kinds: tuple[str, ...]

    def mirrored(self) -> Scene:
        """The scene in a mirror."""
        width = self.image.shape[1]
        faces, ignored = self.faces.copy(), self.ignored.copy()
        faces[:, 0], ignored[:, 0] = width - 1 - faces[:, 0], width - 1 - ignored[:, 0]
        faces[:, 3] *= -1.0
        return Scene(np.ascontiguousarray(self.image[:, ::-1]), faces, self.yaw, ignored, self.kinds)


class SceneMaker:
    """Makes scenes from a bank of faces."""

    def __init__(self, bank: FaceBank, settings: SceneSettings | None = None) -> None:
        self.bank, self.settings = bank, settings or SceneSettings()

    def __call__(self, seed: tuple[int, ...], size: tuple[int, int]) -> Scene:
        """The scene of a seed; size: (width, height), pixels."""
        rng = np.random.default_rng(seed)
        scene = _Draft(size, self.settings)
        self._background(scene, rng)
        self._clutter(scene, rng)
        count = int(rng.choice([0, 1, 1, 1, 2, 2, 3, self.settings.most]))
        if scene.placed and rng.random() < 0.5:
            count = 0
        for _ in range(min(count, self.settings.most)):
            self._paste(scene, self.bank.draw(rng), rng)
        for place, _ in scene.placed:
            if rng.random() < self.settings.hidden:  # something small in front
                draw_any(scene.image, place.at + rng.uniform(-0.45, 0.45, 2) * place.size, 0.3 * place.size, rng)
        scene.compare()
        if rng.random() < self.settings.spoilt:
            scene.image = spoilt(scene.image, rng)
        return scene.finished()

    def _background(self, scene: _Draft, rng: np.random.Generator) -> None:
        """A frame with its face, a frame without it, a piece of one, a part of a face, or a pattern."""
        kind, (width, height) = rng.random(), scene.size
        number = int(rng.integers(len(self.bank.frames.images)))
        if kind < 0.15:
            small = min(256, max(width, height))
            scene.image[:] = cv2.resize(procedural_background(small, rng), scene.size)
            return
        if kind > 1.0 - GIANTS:
            self._giant(scene, self.bank.draw(rng, (0.2, 0.5, 0.3)), rng)
            return
        face = self.bank.frame(number) if kind < 0.7 else self.bank.draw(rng, (0.6, 0.4, 0.0))
        if kind < 0.5:  # as it is, with the face
            self._place(scene, face, rng, whole=True)
            return
        if kind < 0.7:  # the face's place is taken by something else; hair, neck and body stay
            image = face.image.copy()
            self._cover(image, face, rng)
            face = Face(image, face.center, face.size, face.angle, face.yaw, face.kind)
            self._place(scene, face, rng, whole=True, known=False)
            return
        self._piece(scene, face, rng)

    def _giant(self, scene: _Draft, face: Face, rng: np.random.Generator) -> None:
        """A part of a face that is larger than the scene: eyes, ears and chins by themselves are no faces."""
        size = float(rng.uniform(1.4, 4.0)) * max(scene.size)
        away = rng.uniform(-0.6, 0.6, 2) * size
        place = _Place(np.array(scene.size) / 2.0 + away, size, self._turn(rng), bool(rng.random() < 0.5))
        image = np.ascontiguousarray(face.image[..., :3])
        if face.image.shape[2] == 4:  # a synthetic head has no background of its own
            pattern = cv2.resize(procedural_background(96, rng), face.image.shape[1::-1])
            image = np.where(face.image[..., 3:] > 127, image, pattern)
        scene.image[:] = cv2.warpAffine(
            image, place.matrix(face), scene.size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )

    def _cover(self, image: np.ndarray, face: Face, rng: np.random.Generator) -> None:
        """Paint over a face in place."""
        mask = np.zeros(image.shape[:2], np.uint8)
        axes = (round(0.62 * face.size), round(0.72 * face.size))
        center = (round(float(face.center[0])), round(float(face.center[1])))
        cv2.ellipse(mask, center, axes, math.degrees(face.angle), 0, 360, 255, -1)
        soft = cv2.GaussianBlur(mask, (0, 0), 0.05 * face.size)[..., None] / np.float32(255)
        kind = rng.random()
        if kind < 0.4:  # skin or hair without features
            ring = cv2.dilate(mask, np.ones((5, 5), np.uint8)) > mask
            color = image[ring].mean(0) if ring.any() and rng.random() < 0.5 else skin_color(rng)
            front = np.broadcast_to(color.astype(np.float32), image.shape)
        else:  # another part of the picture, or a pattern
            shift = np.array([[1.0, 0.0, rng.uniform(-1, 1) * 0.3 * image.shape[1]], [0.0, 1.0, -1.3 * face.size]])
            moved = cv2.warpAffine(image, shift, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
            pattern = cv2.resize(procedural_background(64, rng), image.shape[1::-1])
            front = (moved if kind < 0.75 else pattern).astype(np.float32)
        image[:] = (image + (front - image) * soft).clip(0, 255).astype(np.uint8)

    def _piece(self, scene: _Draft, face: Face, rng: np.random.Generator) -> None:
        """A magnified part of a picture beside its face."""
        height, width = face.image.shape[:2]
        for _ in range(8):
            side = rng.uniform(0.15, 0.6) * min(width, height)
            middle = rng.uniform([0.5 * side] * 2, [width - 0.5 * side, height - 0.5 * side])
            if (np.abs(middle - face.center) > 0.62 * face.size + 0.45 * side).any():
                break
        else:
            scene.image[:] = cv2.resize(procedural_background(96, rng), scene.size)
            return
        left, top = (int(v) for v in np.maximum(middle - side / 2, 0))
        part = np.ascontiguousarray(face.image[top : top + int(side) + 1, left : left + int(side) + 1, :3])
        paste_turned(scene.image, part, (np.array(scene.size) - 1) / 2.0, 1.5 * max(scene.size), rng.normal(0, 0.4))

    def _clutter(self, scene: _Draft, rng: np.random.Generator) -> None:
        """Hard negatives, some of which may hide faces that are there already."""
        for _ in range(4):
            if rng.random() > self.settings.hard:
                continue
            size = self._size(rng)
            at = rng.uniform([0, 0], scene.size)
            if scene.is_taken(at, 1.3 * size):
                continue
            if self.bank.backs is not None and rng.random() < 0.25:
                back = self.bank.backs[int(rng.integers(len(self.bank.backs)))]
                middle = np.array([back.shape[1], back.shape[0]]) / 2.0 - 0.5
                head = Face(back, middle, 0.38 * back.shape[0], 0.0, 180.0, "back")
                self._blend(scene, head, _Place(at, size, rng.normal(0, 0.3), rng.random() < 0.5), back[..., 3])
            else:
                draw_any(scene.image, at, size, rng)

    def _size(self, rng: np.random.Generator) -> float:
        low, high = np.log(self.settings.sizes)
        return float(np.exp(rng.uniform(low, high)))

    def _turn(self, rng: np.random.Generator) -> float:
        """The in-plane angle that a face should have, radians."""
        widest = self.settings.turned
        degrees = rng.normal(0, self.settings.angle) if rng.random() < 0.67 else rng.uniform(-widest, widest)
        return math.radians(float(np.clip(degrees, -widest, widest)))

    def _place(self, scene: _Draft, face: Face, rng: np.random.Generator, whole: bool, known: bool = True) -> None:
        """Put a whole picture into the scene so that its face is of a drawn size, anywhere."""
        smallest = min(scene.size)
        fits = (0.3 if whole else 0.0) * smallest * face.size / max(face.image.shape[:2])
        size = float(np.clip(self._size(rng), max(self.settings.sizes[0], fits), 0.95 * smallest))
        margin = 0.42 * size
        at = rng.uniform([margin] * 2, np.maximum(np.array(scene.size) - margin, margin + 1.0))
        place = _Place(at, size, self._turn(rng), bool(rng.random() < 0.5))
        mode = int(rng.choice([cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT]))
        fill = tuple(int(v) for v in (rng.integers(0, 256, 3) if rng.random() < 0.7 else [127] * 3))
        matrix = place.matrix(face)
        image = _shrunk_for(np.ascontiguousarray(face.image[..., :3]), size / face.size)
        matrix[:, :2] *= face.image.shape[0] / image.shape[0]
        scene.image[:] = cv2.warpAffine(
            image, matrix, scene.size, flags=cv2.INTER_LINEAR, borderMode=mode, borderValue=fill
        )
        if known:
            scene.add(place, face)

    def _paste(self, scene: _Draft, face: Face, rng: np.random.Generator) -> None:
        """A face cut out along a soft oval, as a picture in the picture, or by its alpha."""
        size = min(self._size(rng), ENLARGED * face.size, 0.95 * min(scene.size))
        for _ in range(6):
            margin = rng.uniform(0.25, 0.6) * size
            at = rng.uniform([margin] * 2, np.maximum(np.array(scene.size) - margin, margin + 1.0))
            if not scene.is_taken(at, size):
                break
        else:
            return
        place = _Place(at, size, self._turn(rng), bool(rng.random() < 0.5))
        shape = face.image.shape[:2]
        if face.image.shape[2] == 4:
            mask = face.image[..., 3]
        elif rng.random() < 0.35:  # a picture in the picture
            mask = np.full(shape, 255, np.uint8)
        else:
            mask = np.zeros(shape, np.uint8)
            wide, up = rng.uniform(0.62, 0.95), rng.uniform(0.0, 0.3)
            c, s = math.cos(face.angle), math.sin(face.angle)
            middle = face.center + up * face.size * np.array([s, -c])
            axes = (round(wide * face.size), round((0.72 + up + rng.uniform(0, 0.2)) * face.size))
            oval = (round(float(middle[0])), round(float(middle[1])))
            cv2.ellipse(mask, oval, axes, math.degrees(face.angle), 0, 360, 255, -1)
            mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.01, 0.08)) * face.size + 0.5)
        self._blend(scene, face, place, mask)
        scene.add(place, face)

    def _blend(self, scene: _Draft, face: Face, place: _Place, mask: np.ndarray) -> None:
        """A picture over the scene where its mask (H, W) uint8 is."""
        scale = cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR)
        front = cv2.merge([cv2.multiply(np.ascontiguousarray(face.image[..., :3]), scale, scale=1 / 255), mask])
        matrix = place.matrix(face)
        front = _shrunk_for(front, place.size / face.size)
        matrix[:, :2] *= face.image.shape[0] / front.shape[0]
        moved = cv2.warpAffine(front, matrix, scene.size, flags=cv2.INTER_LINEAR)
        rest = cv2.cvtColor(255 - moved[..., 3], cv2.COLOR_GRAY2BGR)
        color = np.ascontiguousarray(moved[..., :3])
        scene.image[:] = cv2.add(color, cv2.multiply(scene.image, rest, scale=1 / 255))


def _shrunk_for(image: np.ndarray, factor: float) -> np.ndarray:
    """The picture at about twice the size at which it is drawn, so that drawing does not alias."""
    if factor > 0.6:
        return image
    height, width = image.shape[:2]
    size = max(1, round(width * 1.2 * factor)), max(1, round(height * 1.2 * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a face shall be: middle (2,), size, angle, and whether it is mirrored."""

    at: np.ndarray
    size: float
    angle: float
    mirrored: bool

    def matrix(self, face: Face) -> np.ndarray:
        """(2, 3) from the face's picture to the scene, pixels."""
        scale = self.size / face.size
        c, s = math.cos(face.angle), math.sin(face.angle)
        level = np.array([[c, s], [-s, c]])
        if self.mirrored:
            level = np.diag([-1.0, 1.0]) @ level
        c, s = math.cos(self.angle), math.sin(self.angle)
        linear = scale * np.array([[c, -s], [s, c]]) @ level
        return np.column_stack([linear, self.at - linear @ face.center])


class _Draft:
    """A scene in the making."""

    def __init__(self, size: tuple[int, int], settings: SceneSettings) -> None:
        self.size, self.settings = size, settings
        self.image = np.zeros((size[1], size[0], 3), np.uint8)
        self.placed: list[tuple[_Place, Face]] = []
        self.seen: list[float] = []  # the share of each face's box that can be seen
        self._drawn: list[np.ndarray] = []

    def add(self, place: _Place, face: Face) -> None:
        """Note a face that was just drawn."""
        self.placed.append((place, face))
        self._drawn.append(self.image[self._box(place)].copy())

    def compare(self) -> None:
        """Note what of each face is still to be seen, before the whole picture is changed."""
        for (place, _), drawn in zip(self.placed, self._drawn, strict=True):
            if drawn.size == 0:  # wholly outside
                self.seen.append(0.0)
                continue
            same = cv2.absdiff(self.image[self._box(place)], drawn).max(axis=2) <= COVERED
            low, high = (np.clip(place.at + sign * place.size, 0, self.size) for sign in (-0.5, 0.5))
            self.seen.append(float(same.mean() * np.prod(high - low)) / place.size**2)

    def _box(self, place: _Place) -> tuple[slice, slice]:
        """A face's box in the picture."""
        low, high = (np.clip(place.at + sign * place.size, 0, self.size).round().astype(int) for sign in (-0.5, 0.5))
        return slice(low[1], high[1]), slice(low[0], high[0])

    def _is_faint(self, place: _Place) -> bool:
        """Whether a face is too dark, or too even, to be seen."""
        grey = cv2.cvtColor(np.ascontiguousarray(self.image[self._box(place)]), cv2.COLOR_RGB2GRAY)
        return bool(np.ptp(np.percentile(grey, [5, 95])) < FAINTEST)

    def is_taken(self, at: np.ndarray, size: float) -> bool:
        """Whether something of that size would hide a face or be hidden."""
        return any(np.abs(at - place.at).max() < 0.75 * (size + place.size) for place, _ in self.placed)

    def finished(self) -> Scene:
        """The scene with its labels."""
        faces, yaw, ignored, kinds = [], [], [], []
        for (place, face), seen in zip(self.placed, self.seen, strict=True):
            large = place.size >= self.settings.sizes[0]
            if seen >= SEEN[0] and large and not self._is_faint(place):
                faces.append([*place.at, place.size, place.angle])
                yaw.append(face.yaw)
                kinds.append(face.kind)
            elif seen >= SEEN[1] and place.size >= SMALLEST * self.settings.sizes[0]:
                ignored.append([*place.at, place.size])
        return Scene(
            self.image,
            np.array(faces).reshape(-1, 4),
            np.array(yaw),
            np.array(ignored).reshape(-1, 3),
            tuple(kinds),
        )


def spoilt(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another camera and light: tone, colour, sharpness, noise, compression; (H, W, 3) uint8 of any size."""
    height, width = image.shape[:2]
    draw = rng.random(6)
    gamma, contrast, balance = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(0, 0.2)), np.exp(rng.normal(0, 0.08, 3))
    levels = np.linspace(0.0, 1.0, 256)[:, None] ** gamma * balance
    exposure = rng.uniform(0.15, 0.5) if draw[0] < 0.1 else 1.0
    table = ((levels - 0.5) * contrast + 0.5 + rng.normal(0, 0.08)) * exposure
    image = cv2.LUT(image, (table * 255 + 0.5).clip(0, 255).astype(np.uint8).reshape(1, 256, 3))
    if draw[1] < 0.3:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        amount = 0.0 if draw[1] < 0.12 else float(rng.uniform(0.3, 1.4))
        image = cv2.addWeighted(image, amount, grey, 1.0 - amount, 0.0)
    if draw[2] < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3)))
    if draw[3] < 0.2:
        factor = rng.uniform(0.5, 0.9)
        small = cv2.resize(image, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if draw[4] < 0.3:
        side = min(256, max(width, height))
        tile = noise_field(side, rng)
        noise = np.tile(tile, (-(-height // side), -(-width // side), 1))[:height, :width]
        strength = float(rng.gamma(2.0, 3.5)) / 256.0
        image = cv2.addWeighted(image.astype(np.int16), 1.0, noise, strength, 0.0).clip(0, 255).astype(np.uint8)
    if draw[5] < 0.35:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 90))])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return image

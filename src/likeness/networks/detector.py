"""The face detector: a small fully convolutional network that looks at a photo at a few sizes.

Every cell of its three maps (one per 8, 16 and 32 pixels) says whether a face's middle is near, and where, how large
and how far turned the face is; so an image of any size takes one run, and a face of 10 pixels as well as one that
fills the view has cells of its own size. A look at a small copy finds the large faces for little; larger
copies then find the small ones. :mod:`likeness.train.detector.trainer` trains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from likeness.assets import asset
from likeness.errors import FileError, StrPath
from likeness.networks.session import describing, open_session

STRIDES = (8, 16, 32)
"""Pixels per cell of the maps, each of which is of half the resolution of the one before."""

SIZES = (16.0, 44.0, 110.0)
"""The size of face, in pixels of the view, that each map answers with where its size channel is 0."""

CHANNELS = 6
"""Of a map: the score's logit; the face's middle from the cell's (x, y), in cells; the logarithm of its size over the
map's own; the cosine and the sine of its angle."""

VIEW_SIDES = (96, 208, 416)
"""The longer sides of the copies that are looked at, pixels; the first no smaller than the photo is the last."""

SPAN = (20.0, 56.0)
"""Faces under the first size, pixels of the copy, are left to the next copy; over the second, to the one before. The
small first copy keeps all large faces: there a face is told best from what only looks like a part of one."""

LEAST_SIZE = 12.0
"""Smaller faces than this are not told from other things, pixels of the view."""

SURE, BESIDES = 0.5, 0.65
"""A face is sure from the first score on. Once one is, those that a larger copy shows besides need the second: there
are many places in a large copy, and most photos have no further face. On pasted scenes 0.8 lost half a percent of all
faces, small ones beside large ones; 0.5 doubled the false ones."""

OVERLAP = 0.5
"""Answers that share more than this part of the smaller one's square are about one face."""

MARGIN, GREY = 8, 127
"""The border around every copy, pixels, and its level: a face that the photo's edge cuts has cells on either side."""

LEAST_SCORE = 0.2
"""Answers below are dropped."""


class Detections(NamedTuple):
    """Faces in an image, best first.

    Attributes:
        center: (n, 2) the middle of the box of the 68 landmarks, that is upright in the face, pixels.
        size: (n,) the square root of its area, pixels.
        angle: (n,) radians by which the face is turned, from x towards y.
        score: (n,) 0 … 1.
    """

    center: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    score: np.ndarray

    def select(self, rows: np.ndarray) -> Detections:
        """Some of them, by number or by a mask."""
        return Detections(*(values[rows] for values in self))

    @property
    def is_sure(self) -> bool:
        """Whether one of the faces is, by :data:`SURE`."""
        return bool((self.score >= SURE).any())

    def enlarged(self, view: tuple[int, ...], image: tuple[int, ...]) -> Detections:
        """The same faces in the image of a view; shapes (height, width, ...)."""
        step = np.array([image[1] / view[1], image[0] / view[0]])
        return self._replace(center=(self.center + 0.5) * step - 0.5, size=self.size * np.prod(step) ** 0.5)

    @classmethod
    def joined(cls, parts: list[Detections]) -> Detections:
        """All of several, best first; of none: no face."""
        none = cls(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))
        parts = [none, *parts]
        whole = cls(*(np.concatenate(values) for values in zip(*parts, strict=True)))
        return whole.select(np.argsort(-whole.score, kind="stable"))


def cell_centers(shape: tuple[int, int], stride: int) -> np.ndarray:
    """(h, w, 2) the middles x, y of a map's cells, pixels of the view."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.stack([x, y], axis=-1) * float(stride) + 0.5 * (stride - 1)


def decode(maps: list[np.ndarray], least: float = LEAST_SCORE) -> Detections:
    """What the cells say, before answers about one face are joined.

    Args:
        maps: one (6, h, w) float per stride, channels as in :data:`CHANNELS`.
        least: cells with a lower score are left out.

    Returns:
        The faces in the view's pixels, one per cell.
    """
    logit = np.log(least / (1.0 - least))
    parts = []
    for values, stride, size in zip(maps, STRIDES, SIZES, strict=True):
        rows, columns = np.nonzero(values[0] > logit)
        if not len(rows):
            continue
        score, x, y, log_size, c, s = values[:, rows, columns].astype(np.float64)
        middle = np.stack([columns, rows], axis=-1) * float(stride) + 0.5 * (stride - 1)
        parts.append(
            Detections(
                middle + stride * np.stack([x, y], axis=-1),
                size * np.exp(np.clip(log_size, -3.0, 3.0)),
                np.arctan2(s, c),
                1.0 / (1.0 + np.exp(-score)),
            )
        )
    return Detections.joined(parts)


def without_doubles(found: Detections, overlap: float = OVERLAP) -> Detections:
    """One answer per face: the mean of those that overlap with the best, weighted by their scores squared.

    Args:
        found: best first.
        overlap: two squares with more of the smaller one's area in common are about one face.
    """
    if len(found.score) < 2:
        return found
    left, kept = found, []
    while len(left.score):
        low, high = (left.center + sign * left.size[:, None] / 2.0 for sign in (-1.0, 1.0))
        common = np.prod(np.maximum(np.minimum(high, high[0]) - np.maximum(low, low[0]), 0.0), axis=-1)
        same = common > overlap * np.minimum(left.size, left.size[0]) ** 2
        same[0] = True
        group = left.select(same)
        # An answer of quite another size (a face in a face) or angle goes, but has no say.
        like = (np.abs(np.log(group.size / group.size[0])) < 0.5) & (np.cos(group.angle - group.angle[0]) > 0.7)
        weight = group.score**2 * like
        weight /= weight.sum()
        turn = weight @ np.exp(1j * group.angle)
        size = np.exp(weight @ np.log(group.size))
        kept.append((weight @ group.center, size, np.angle(turn), group.score[0]))
        left = left.select(~same)
    return Detections(*(np.array(values) for values in zip(*kept, strict=True)))


@dataclass(frozen=True, eq=False)
class Detector:
    """The network, ready to look.

    Attributes:
        session: of ONNX Runtime; images (n, h, w, 3) uint8 RGB, sides multiples of 32 -> three (n, 6, h/s, w/s) maps.
    """

    session: Any

    @classmethod
    def load(cls, path: StrPath, threads: int = 1) -> Detector:
        """Open an exported detector.

        Args:
            path: the ``.onnx`` file.
            threads: CPU threads; more than one pays for large photos only.

        Raises:
            FileError: missing, damaged, or not a detector of this package.
        """
        session = open_session(path, "a face detector", threads=threads)
        with describing(path, "a face detector"):
            outputs = [output.name for output in session.get_outputs()]
        if outputs != map_names():
            raise FileError(path, f"expected a face detector with outputs {map_names()}, got {outputs}")
        return cls(session)

    def maps(self, view: np.ndarray) -> list[np.ndarray]:
        """One (6, ⌈h/s⌉, ⌈w/s⌉) float32 per stride for a view (h, w, 3) uint8 RGB of any size."""
        height, width = view.shape[:2]
        step = STRIDES[-1]
        padded = np.full((1, -(-height // step) * step, -(-width // step) * step, 3), GREY, np.uint8)
        padded[0, :height, :width] = view
        maps = self.session.run(map_names(), {"image": padded})
        return [
            values[0, :, : -(-height // stride), : -(-width // stride)]
            for values, stride in zip(maps, STRIDES, strict=True)
        ]

    def detect_in_view(self, image: np.ndarray, side: int, least: float = LEAST_SCORE) -> Detections:
        """Faces of an image (H, W, 3) uint8 RGB, seen in a copy whose longer side has at most ``side`` pixels."""
        import cv2

        view = shrunk(image, side)
        framed = cv2.copyMakeBorder(view, *(4 * (MARGIN,)), cv2.BORDER_CONSTANT, value=(GREY,) * 3)
        found = decode(self.maps(framed), least)
        found = found._replace(center=found.center - MARGIN)
        return without_doubles(found.select(found.size >= LEAST_SIZE)).enlarged(view.shape, image.shape)

    def __call__(
        self, image: np.ndarray, sides: tuple[int, ...] = VIEW_SIDES, least: float = LEAST_SCORE
    ) -> Detections:
        """Faces of an image (H, W, 3) uint8 RGB, in copies from small to large: see :data:`VIEW_SIDES`.

        Args:
            image: of any size.
            sides: the longer sides of the copies, pixels, each at most 2.8 times the one before (:data:`SPAN`).
            least: answers with lower scores are dropped.
        """
        largest = shrunk(image, sides[-1])  # the smaller copies are made of it: that is faster than of the photo
        longer, parts = max(largest.shape[:2]), list[Detections]()
        for number, side in enumerate(sides):
            sure = any(part.is_sure for part in parts)
            found = self.detect_in_view(largest, side, max(least, BESIDES) if sure else least)
            factor = min(1.0, side / longer)
            is_last = side >= longer or number == len(sides) - 1
            low, high = LEAST_SIZE if is_last else SPAN[0], SPAN[1] if number else np.inf
            parts.append(found.select((found.size * factor >= low) & (found.size * factor < high)))
            if is_last:
                break
        return without_doubles(Detections.joined(parts)).enlarged(largest.shape, image.shape)


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """An image (H, W, 3) with at most ``side`` pixels on the longer side.

    Averaged where less than half is left; above, averaging over uneven squares would take four times as long. For the
    same reason even squares come first, as long as they are much smaller than those that are wanted.
    """
    import cv2

    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1.0:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    while factor <= 0.25 and height % 2 == 0 and width % 2 == 0:
        height, width, factor = height // 2, width // 2, 2.0 * factor
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor <= 0.5 else cv2.INTER_LINEAR))


def map_names() -> list[str]:
    """The network's outputs."""
    return [f"stride{stride}" for stride in STRIDES]


@lru_cache(maxsize=1)
def default_detector() -> Detector:
    """The embedded detector, loaded once; safe for many threads.

    Raises:
        FileError: the embedded file is missing or damaged.
    """
    return Detector.load(asset("finder.onnx"))

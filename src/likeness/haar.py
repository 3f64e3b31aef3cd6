"""OpenCV's bundled Haar cascades (Viola and Jones 2001): where faces may be, quickly and with mistakes.

The cascades answer with squares of their own; here they become the boxes that the 68 landmarks are expected
to have, and their weights become chances. Both maps were measured on frames with landmarks: see `Cascade`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.camera import OUTSIDE_GREY
from likeness.errors import FileError, LikenessError

WINDOW = 24
"""The smallest square that is looked at, pixels of the view; the cascades were trained at 24 and 20."""

SCALE_STEP = 1.15
"""From one size of square to the next; 1.1 finds no more and takes a third longer, 1.2 finds 1 % less."""

NEIGHBOURS = 2
"""How many overlapping answers make a detection."""


@dataclass(frozen=True)
class Cascade:
    """One cascade and what its answers mean.

    Measured on 1,824 video frames of 273 people with 68 landmarks: medians over the faces that were found (for the
    profile cascade: those turned by about 30° and more), and a logistic fit of right against wrong answers.

    Attributes:
        file: its name in OpenCV's data folder.
        down: how far the centre of the landmarks' box lies below the square's, in sides.
        scale: the size sqrt(w h) of the landmarks' box, in sides.
        slope, offset: chance of a face = 1 / (1 + exp(-(slope · weight + offset))).
    """

    file: str
    down: float
    scale: float
    slope: float
    offset: float


FRONTAL = Cascade("haarcascade_frontalface_default.xml", 0.164, 0.856, 0.91, -0.97)
PROFILE = Cascade("haarcascade_profileface.xml", 0.153, 0.712, 1.55, -0.88)


@dataclass(frozen=True, eq=False)
class View:
    """A scaled, padded or turned grey copy of a photo.

    Attributes:
        grey: (h, w) uint8.
        photo_from_view: (2, 3) a similarity, pixels to pixels.
    """

    grey: np.ndarray
    photo_from_view: np.ndarray

    @property
    def scale(self) -> float:
        """Photo pixels per pixel of the view."""
        return float(np.hypot(*self.photo_from_view[:, 0]))

    @classmethod
    def scaled(cls, grey: np.ndarray, pixels: int, largest: float = 4.0) -> View:
        """The grey photo at about ``pixels`` in all, enlarged at most ``largest`` times."""
        import cv2

        height, width = grey.shape
        factor = min((pixels / grey.size) ** 0.5, largest)
        # A panorama's short side keeps room for two windows.
        factor = max(factor, min(1.0, 2.0 * WINDOW / min(grey.shape)))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        step = width / size[0], height / size[1]
        matrix = [[step[0], 0.0, (step[0] - 1) / 2], [0.0, step[1], (step[1] - 1) / 2]]
        return cls(cv2.resize(grey, size, interpolation=method), np.array(matrix))

    def padded(self, margin: float) -> View:
        """With a border that repeats the edge, ``margin`` times the short side: for faces that fill the photo."""
        import cv2

        pad = round(margin * min(self.grey.shape))
        grey = cv2.copyMakeBorder(self.grey, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        return View(grey, _compose(self.photo_from_view, np.array([[1.0, 0.0, -pad], [0.0, 1.0, -pad]])))

    def turned(self, angle: float) -> View:
        """The view whose x axis lies ``angle`` radians from this one's x towards its y; nothing is cut off."""
        import cv2

        height, width = self.grey.shape
        c, s = np.cos(angle), np.sin(angle)
        size = [int(np.ceil(abs(c) * a + abs(s) * b - 1e-9)) for a, b in ((width, height), (height, width))]
        linear = np.array([[c, -s], [s, c]])
        center, own_center = (np.array(sides) / 2.0 - 0.5 for sides in ((width, height), size))
        matrix = np.column_stack([linear, center - linear @ own_center])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        grey = cv2.warpAffine(
            self.grey, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE_GREY
        )
        return View(grey, _compose(self.photo_from_view, matrix))


def _compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The (2, 3) transform that applies ``inner``, then ``outer``."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def detect(
    view: View, cascade: Cascade, *, mirrored: bool = False, largest: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run a cascade over a view.

    Args:
        mirrored: look in the mirror image: the profile cascade knows one side only.
        largest: skip squares over this many photo pixels; 0 for no limit.

    Returns:
        Expected boxes of the 68 landmarks: centres (n, 2) and sizes sqrt(w h) (n,) in photo pixels, and the chances
        (n,) that they are faces.
    """
    grey = np.ascontiguousarray(view.grey[:, ::-1]) if mirrored else view.grey
    limit = int(largest / view.scale)
    if min(grey.shape) < WINDOW or (largest and limit < WINDOW):
        return np.zeros((0, 2)), np.zeros(0), np.zeros(0)
    squares, _, weights = _classifier(cascade.file).detectMultiScale3(
        grey, SCALE_STEP, NEIGHBOURS, 0, (WINDOW, WINDOW), (limit, limit), True
    )
    squares = np.asarray(squares, np.float64).reshape(-1, 4)
    side = squares[:, 2]
    # A square of n pixels from pixel x on spans x - 0.5 … x + n - 0.5.
    center = squares[:, :2] + (side[:, None] - 1) / 2.0
    if mirrored:
        center[:, 0] = grey.shape[1] - 1 - center[:, 0]
    center[:, 1] += cascade.down * side
    center = center @ view.photo_from_view[:, :2].T + view.photo_from_view[:, 2]
    chance = 1.0 / (1.0 + np.exp(-(cascade.slope * np.asarray(weights).reshape(-1) + cascade.offset)))
    return center, cascade.scale * view.scale * side, chance


_loaded = threading.local()  # a classifier keeps state while it looks, so every thread has its own


def _classifier(file: str) -> Any:
    """OpenCV's cascade of that name, loaded once per thread."""
    import cv2
    import cv2.data

    if not hasattr(_loaded, file):
        if not hasattr(cv2, "CascadeClassifier"):
            raise LikenessError(
                f"OpenCV {cv2.__version__} has no Haar cascades: pip install 'opencv-python-headless<5'"
            )
        path = cv2.data.haarcascades + file
        classifier = cv2.CascadeClassifier(path)
        if classifier.empty():
            raise FileError(path, "cannot be loaded; expected OpenCV's Haar cascade")
        setattr(_loaded, file, classifier)
    return getattr(_loaded, file)

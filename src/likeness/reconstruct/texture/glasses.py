"""Glasses, learned: whether a face wears any, and where frames, reflections and dark lenses are in front of it.

What is in front of skin (``front.py``) is told texel by texel, some millimetres each; frames are thinner than that,
and as dark as brows. But glasses always sit in the same place: so a small convolutional network
(``runs/build_glasses.py``) looks at the photo around the eyes, upright and at one scale by the head's pose. Where it
does not say that the face wears glasses, nothing is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from likeness.assets import asset
from likeness.errors import FileError, StrPath
from likeness.geometry.camera import project
from likeness.networks.session import describing, open_session
from likeness.reconstruct.texture.view import View, smoothstep

CROP, PER_MM = (128, 80), 0.8
"""What the network looks at: pixels, width and height, and pixels per millimetre at the head."""

MIDDLE_MM = (0.0, -6.0, 0.0)
"""Model axes: what is in the middle of that."""

LEAST_UP = 0.3
"""Cosine between the head's up and the picture's plane, below which a face is seen from above or below."""

LEAST_PER_MM = 0.25
"""Photo pixels per millimetre below which no frame is told from a brow."""

WEARS = 0.8
"""How likely a face must wear glasses for any to be taken out."""

COVERED = (0.2, 0.55)
"""What the network says of a place that is taken a little less, and not at all."""

AROUND_MM = 1.8
"""How far around a frame nothing is taken: its edge is mixed with skin, and lies in its shadow."""

LENS_MM, THROUGH = 36.0, 0.5
"""Height of lenses, at most; and how much of what is seen through one counts where another photo shows it without."""

EYE_MM, EYE_HIDDEN = 32.0, 0.5
"""Where eyes are, beside the middle of the face; and how much is in front of one whose iris is not seen."""


@dataclass(frozen=True, eq=False)
class Glasses:
    """What was found in a photo.

    Args:
        chance: that the face wears glasses, 0 to 1.
        covered: (h, w) float32 in [0, 1], h and w by :data:`CROP`: how much something is in front of the face.
        crop_from_photo: (2, 3) maps photo pixels to those of ``covered``.
    """

    chance: float
    covered: np.ndarray
    crop_from_photo: np.ndarray

    def skin_at(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W) float32 in [0, 1]: 0 where glasses are in front of photo pixels (H, W, 2), else 1."""
        import cv2

        found = cv2.dilate(smoothstep(self.covered, *COVERED), _disc(AROUND_MM))
        return 1 - self._at(_blurred(found, 0.6), pixels)

    def worth_at(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W) float32 in [0, 1]: how much of what photo pixels (H, W, 2) show counts beside a photo without
        glasses: 1, but less within the rims."""
        import cv2

        margin = round(LENS_MM * PER_MM)
        frames = np.pad(smoothstep(self.covered, *COVERED), margin)
        within = cv2.morphologyEx(frames, cv2.MORPH_CLOSE, _disc(0.5 * LENS_MM))[margin:-margin, margin:-margin]
        return 1 - (1 - THROUGH) * self._at(_blurred(within, 2.5), pixels)

    def hides_eyes(self, view: View) -> bool:
        """Whether an iris' colour is nothing that the photo shows."""
        middles = np.array([[-EYE_MM, 0.0, 0.0], [EYE_MM, 0.0, 0.0]]) @ np.transpose(view.rotation) + view.translation
        found = self._at(_blurred(self.covered, 3.0), project(view.camera, middles)[None])
        return bool(found.max() > EYE_HIDDEN)

    def _at(self, picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """A picture of the crop at photo pixels (H, W, 2); 0 beside it."""
        import cv2

        places = np.asarray(pixels @ self.crop_from_photo[:, :2].T + self.crop_from_photo[:, 2], np.float32)
        return np.asarray(cv2.remap(picture, places[..., 0], places[..., 1], cv2.INTER_LINEAR), np.float32)


class GlassesNetwork:
    """The network of an ``.onnx`` file.

    Args:
        path: the file.

    Raises:
        FileError: missing, damaged, or no such network.
    """

    def __init__(self, path: StrPath) -> None:
        self.session = open_session(path, "a network that finds glasses", threads=1)
        with describing(path, "a network that finds glasses"):
            inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
            shapes = {one.name: list(one.shape[1:]) for one in [*inputs, *outputs]}
        width, height = CROP
        expected = {"image": [3, height, width], "covered": [height, width], "wears": []}
        if shapes != expected:
            raise FileError(path, f"expected a network that finds glasses, {expected}, got {shapes}")

    def __call__(self, crop: np.ndarray) -> tuple[float, np.ndarray]:
        """Of a crop (h, w, 3) uint8 RGB how likely its face wears glasses, and where, (h, w) float32; both in [0, 1].
        Of a mirrored crop it is the mirror image, by construction."""
        both = np.stack([crop, crop[:, ::-1]]).transpose(0, 3, 1, 2).astype(np.float32)
        wears, covered = self.session.run(["wears", "covered"], {"image": both})
        return float(wears.mean()), np.asarray(0.5 * (covered[0] + covered[1][:, ::-1]), np.float32)


def _disc(radius: float) -> np.ndarray:
    """Of a radius in millimetres, a kernel."""
    import cv2

    side = 2 * max(1, round(radius * PER_MM)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Means over so many millimetres."""
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma * PER_MM))


@cache
def _embedded() -> GlassesNetwork:
    return GlassesNetwork(asset("glasses.onnx"))


def photo_from_crop(view: View) -> np.ndarray | None:
    """(2, 3) the similarity that maps pixels of the network's crop to the photo's; None where the face is seen too
    much from above or below, or is too small."""
    up = np.asarray(view.rotation, np.float64)[:2, 1]
    length = float(np.linalg.norm(up))
    if length < LEAST_UP or view.per_mm < LEAST_PER_MM:
        return None
    down = -up / length
    middle = np.asarray(view.rotation) @ MIDDLE_MM + view.translation
    if middle[2] <= 1.0:
        return None
    place = np.asarray(view.camera.center) + view.camera.focal * middle[:2] / middle[2]
    turned = np.column_stack([[down[1], -down[0]], down]) * (view.camera.focal / middle[2] / PER_MM)
    half = (np.asarray(CROP) - 1) / 2
    return np.column_stack([turned, place - turned @ half])


def crop_of(photo: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """(h, w, 3) what a photo (H, W, 3) uint8 shows there, means over areas where it is finer; also of one channel.

    Args:
        photo: the picture.
        transform: (2, 3) crop pixels -> photo pixels.
    """
    import cv2

    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    corners = np.array([[0, 0], [CROP[0], 0], [0, CROP[1]], CROP]) @ transform[:, :2].T + transform[:, 2]
    limits = np.array(photo.shape[1::-1])
    low = np.clip(np.floor(corners.min(0) - 2 * scale), 0, limits - 1).astype(int)
    high = np.clip(np.ceil(corners.max(0) + 2 * scale), low + 1, limits).astype(int)
    window, shrink = photo[low[1] : high[1], low[0] : high[0]], np.ones(2)
    if scale > 1.0:
        size = np.maximum(np.rint((high - low) / scale), 1).astype(int)
        shrink = (high - low) / size
        window = cv2.resize(window, tuple(size.tolist()), interpolation=cv2.INTER_AREA)
    matrix = transform.copy()
    matrix[:, 2] = (matrix[:, 2] - low + 0.5) / shrink - 0.5
    matrix[:, :2] /= shrink[:, None]
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(window, matrix, CROP, None, how, cv2.BORDER_REPLICATE))


def glasses_in(view: View) -> Glasses | None:
    """The glasses that a photo's face wears, by the embedded network; None: none, or it cannot be told."""
    import cv2

    transform = photo_from_crop(view)
    if transform is None:
        return None
    chance, covered = _embedded()(crop_of(view.photo, transform))
    if chance < WEARS:
        return None
    return Glasses(chance, covered, np.asarray(cv2.invertAffineTransform(transform)))

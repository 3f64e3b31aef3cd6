"""Square crops of photos, and where a head seen in one is in the photo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from likeness.geometry.camera import Camera, image_center, project
from likeness.geometry.rotation import (
    rotation_from_vector,
    rotation_onto,
)

OUTSIDE_GREY = 128
"""What a crop shows where the photo has no pixels."""


FOCAL_PER_OFFSET = 3.0
"""A photo of unknown focal length gets at least this times the face's distance from the photo's centre.

A shorter one stretches a face near the edge, a longer one flattens it; 3 is near the best for both.
"""


REFINEMENT_STEPS = 5
"""Gauss-Newton steps that carry a pose from a crop's camera to the photo's; three are mostly enough."""


class Pose(NamedTuple):
    """Where a head is in a photo, and how far it is from where the crop's camera saw it.

    Attributes:
        camera: the photo's camera.
        rotation: (3, 3), model axes -> camera axes.
        translation: (3,), mm, camera axes.
        difference: the largest distance, pixels of the photo, between the points through this camera and
            through the crop's.
    """

    camera: Camera
    rotation: np.ndarray
    translation: np.ndarray
    difference: float


@dataclass(frozen=True, eq=False)
class Crop:
    """A square cut out of a photo: moved, turned and scaled, never sheared or mirrored.

    Args:
        photo_from_crop: (2, 3) float64, crop pixels -> photo pixels, a similarity.
        size: the crop's side, pixels.
    """

    photo_from_crop: np.ndarray
    size: int

    def __post_init__(self) -> None:
        matrix = np.array(self.photo_from_crop, np.float64)
        if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
            raise ValueError(f"expected a finite (2, 3) photo_from_crop, got {self.photo_from_crop!r}")
        (a, b, _), (c, d, _) = matrix.tolist()
        if max(abs(a - d), abs(b + c)) > 1e-6 * max(abs(a), abs(b), abs(c), abs(d)) or not (a or b or c or d):
            raise ValueError("expected a similarity (rotation, scale > 0, shift) in photo_from_crop")
        if self.size < 1:
            raise ValueError(f"expected a crop size of at least 1 pixel, got {self.size}")
        matrix.setflags(write=False)
        object.__setattr__(self, "photo_from_crop", matrix)

    @classmethod
    def from_box(cls, center: Any, side: float, size: int, angle: float = 0.0) -> Crop:
        """The crop whose outer edges are a square in the photo.

        Args:
            center: (2,) the square's middle, photo pixels.
            side: the square's side, photo pixels, > 0; edge to edge, a square over n whole pixels has side n.
            size: the crop's side, pixels.
            angle: radians by which the square is turned, from the photo's x to its y (clockwise as seen).
        """
        if not (math.isfinite(side) and side > 0):
            raise ValueError(f"expected a side > 0 pixels, got {side}")
        scale = side / size
        linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        shift = np.asarray(center, np.float64).reshape(2) - linear @ np.array(image_center((size, size)))
        return cls(np.column_stack([linear, shift]), size)

    @property
    def scale(self) -> float:
        """Photo pixels per crop pixel."""
        return float(np.hypot(*self.photo_from_crop[:, 0]))

    @property
    def angle(self) -> float:
        """The angle that ``from_box`` took, radians in (-pi, pi]."""
        return float(np.arctan2(self.photo_from_crop[1, 0], self.photo_from_crop[0, 0]))

    @property
    def center(self) -> np.ndarray:
        """(2,) the square's middle, photo pixels."""
        return self.to_photo(np.array(image_center((self.size, self.size))))

    @property
    def side(self) -> float:
        """The square's side, photo pixels."""
        return self.scale * self.size

    @property
    def crop_from_photo(self) -> np.ndarray:
        """(2, 3) photo pixels -> crop pixels."""
        inverse = self.photo_from_crop[:, :2].T / self.scale**2
        return np.column_stack([inverse, -inverse @ self.photo_from_crop[:, 2]])

    def to_photo(self, points: Any) -> Any:
        """Crop pixels (..., 2) -> photo pixels (..., 2)."""
        return np.asarray(points) @ self.photo_from_crop[:, :2].T + self.photo_from_crop[:, 2]

    def to_crop(self, points: Any) -> Any:
        """Photo pixels (..., 2) -> crop pixels (..., 2)."""
        matrix = self.crop_from_photo
        return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]

    def boxes_to_photo(self, boxes: Any) -> np.ndarray:
        """Boxes (..., 4) x0 y0 x1 y1 in the crop -> the upright boxes (..., 4) around them in the photo."""
        boxes = np.asarray(boxes, np.float64)
        corners = self.to_photo(
            np.stack([boxes[..., [0, 1]], boxes[..., [2, 1]], boxes[..., [2, 3]], boxes[..., [0, 3]]], -2)
        )
        return np.concatenate([corners.min(-2), corners.max(-2)], axis=-1)

    def extract(self, image: np.ndarray) -> np.ndarray:
        """Cut the crop out of a photo: (H, W, 3) uint8 -> (size, size, 3) uint8, grey outside the photo.

        Bilinear; a crop that shrinks the photo 2 times or more is averaged over whole pixels first, so that
        it does not alias.
        """
        import cv2

        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
        height, width = image.shape[:2]
        shrink = max(1, math.floor(self.scale + 1e-9))
        # Only the window that the crop touches, and a block more for the interpolation: cheap to average, and
        # OpenCV warps no side over 32,767.
        x0, y0, x1, y1 = self.boxes_to_photo([-0.5, -0.5, self.size - 0.5, self.size - 0.5])
        left, top = (min(max(math.floor(v) - shrink, 0), end) for v, end in ((x0, width), (y0, height)))
        right, bottom = (min(max(math.ceil(v) + 1 + shrink, 0), end) for v, end in ((x1, width), (y1, height)))
        if left >= right or top >= bottom:
            return np.full((self.size, self.size, 3), OUTSIDE_GREY, np.uint8)
        window = image[top:bottom, left:right]
        if shrink > 1:
            window = _shrunk(window, shrink)
        window_from_crop = self.photo_from_crop - [[0.0, 0.0, left], [0.0, 0.0, top]]
        window_from_crop = window_from_crop / shrink + [[0.0, 0.0, 0.5 / shrink - 0.5]]
        return cv2.warpAffine(
            np.ascontiguousarray(window),
            window_from_crop,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(OUTSIDE_GREY,) * 3,
        )

    def camera_to_photo(
        self,
        photo_size: tuple[int, int],
        rotation: np.ndarray,
        translation: np.ndarray,
        points: np.ndarray,
        focal: float | None = None,
    ) -> Pose:
        """Carry a pose from the crop's camera to a camera whose principal point is the photo's centre.

        A crop's camera looks straight at the face; the photo's sees it at an angle and, when ``focal`` is
        known, from another distance, so no pose gives the same picture exactly. Start from the closed form
        (turned by the viewing ray of the crop's centre and by the crop's angle, at the distance that keeps
        the size), then move the pose by Gauss-Newton steps until the given points project as closely as
        they can to where the crop's camera had them.

        Args:
            photo_size: (width, height) of the photo, pixels.
            rotation: (3, 3) model axes -> the crop camera's axes.
            translation: (3,) mm, in the crop camera's axes.
            points: (N, 3) mm, model axes, N >= 4: what should stay where it is (landmarks, say).
            focal: the photo's focal length, pixels, when known (EXIF); else the crop's, scaled, which keeps
                the distance, and longer the farther the face is from the photo's centre.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or len(points) < 4:
            raise ValueError(f"expected at least 4 points (N, 3), got {points.shape}")
        target = self.to_photo(
            project(Camera.from_crop_size(self.size), points @ np.transpose(rotation) + translation)
        )
        camera, R, t = self.near_camera_to_photo(photo_size, rotation, translation, focal)
        R, t, difference = _refine(camera, R, t, points, target)
        return Pose(camera, R, t, difference)

    def near_camera_to_photo(
        self,
        photo_size: tuple[int, int],
        rotation: np.ndarray,
        translation: np.ndarray,
        focal: float | None = None,
    ) -> tuple[Camera, np.ndarray, np.ndarray]:
        """The photo's camera, rotation (3, 3) and translation (3,) by the closed form alone that
        :meth:`camera_to_photo` starts from: exact for a crop in the photo's middle, and a start for a fit elsewhere.
        Arguments as there.
        """
        equal_focal = Camera.from_crop_size(self.size).focal * self.scale
        offset = self.center - image_center(photo_size)
        if focal is None:
            focal = math.hypot(equal_focal, FOCAL_PER_OFFSET * math.hypot(*offset))
        camera = Camera(focal, image_center(photo_size), photo_size)

        ray = np.append(offset / focal, 1.0)
        ray /= np.linalg.norm(ray)
        c, s = math.cos(self.angle), math.sin(self.angle)
        turn = rotation_onto(ray) @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        # Off the axis a picture grows by 1 / cos across and 1 / cos² along the direction from the centre.
        distance = focal / equal_focal / ray[2] ** 1.5
        return camera, turn @ rotation, turn @ np.asarray(translation, np.float64) * distance


def _shrunk(image: np.ndarray, factor: int) -> np.ndarray:
    """The image averaged over factor × factor blocks; grey fills the blocks that stick out of it."""
    import cv2

    height, width = (-(-side // factor) for side in image.shape[:2])
    below, beside = height * factor - image.shape[0], width * factor - image.shape[1]
    if below or beside:
        grey = (OUTSIDE_GREY,) * 3
        image = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=grey)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _refine(
    camera: Camera, R: np.ndarray, t: np.ndarray, points: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Gauss-Newton on the pose: rotation (3, 3), translation (3,), and the largest distance left, pixels."""
    best, cost, residual = (R, t), math.inf, np.full_like(target, np.inf)
    J = np.zeros((2, len(points), 6))
    for _ in range(REFINEMENT_STEPS + 1):
        turned = points @ R.T
        x, y, z = seen = (turned + t).T
        left = project(camera, seen.T) - target
        previous, cost_now = cost, float((left * left).sum()) if z.min() > 0 else math.inf
        if not cost_now < cost:
            break
        best, cost, residual = (R, t), cost_now, left
        if cost > 0.999 * previous:
            break
        # A pixel moves by (a, 0, b), (0, a, c) per mm of its point, which a small turn w moves by w × turned.
        a = camera.focal / z
        b, c = -a * x / z, -a * y / z
        u, v, w = turned.T
        J[0] = np.stack([v * b, w * a - u * b, -v * a, a, 0 * a, b], axis=1)
        J[1] = np.stack([v * c - w * a, -u * c, u * a, 0 * a, a, c], axis=1)
        A = J.reshape(-1, 6)
        normal = A.T @ A
        step = np.linalg.solve(normal + 1e-9 * np.diag(normal.diagonal()), -A.T @ left.T.reshape(-1))
        R, t = rotation_from_vector(step[:3]) @ R, t + step[3:]
    return *best, float(np.hypot(residual[:, 0], residual[:, 1]).max())

"""Faces by YuNet (Wu et al. 2023) through OpenCV, for users who have its model file; the model is not shipped."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.images.photo import quiet_opencv

SEARCHED_SIDE = 640
"""The longer side of the image that YuNet searches, pixels at most."""

LEAST_SCORE, OVERLAP, MOST_FACES = 0.5, 0.3, 500
"""What YuNet drops: scores below, boxes that overlap more, and all but so many."""

# The box of the 68 landmarks from five of them, both level with the eyes; medians and a least-squares slope on 1,824
# video frames of 273 people. What is left: the centre within 3.5 % and 2.5 % (standard deviations), the size 4 %.
SIZE_PER_SPREAD = 3.625  # size sqrt(w h) over the five points' root mean square distance from their mean
DOWN = 0.072  # centre below the five points' mean, in sizes
AGAINST_NOSE = 1.675  # centre against the nose's offset from the other four, which shows the turn of the head


def find_by_yunet(image: np.ndarray, model: StrPath) -> list[tuple[np.ndarray, float, float, float]]:
    """Faces in an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        model: YuNet's ONNX file.

    Returns:
        Per face the centre (2,) and the size sqrt(w h) that the box of the 68 landmarks is expected to have, photo
        pixels; the face's angle in the image, radians from x towards y; the score, 0 … 1.

    Raises:
        FileError: the model is missing or is no YuNet model.
    """
    import cv2

    height, width = image.shape[:2]
    factor = min(1.0, SEARCHED_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    view = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    try:
        with quiet_opencv():
            detector = _detector(model)
            detector.setInputSize(size)
            rows = detector.detect(cv2.cvtColor(view, cv2.COLOR_RGB2BGR))[1]
    except cv2.error as error:
        raise FileError(model, "cannot be used; expected YuNet's ONNX model for cv2.FaceDetectorYN") from error
    rows = np.asarray([] if rows is None else rows, np.float64).reshape(-1, 15)
    scale = np.array([width / size[0], height / size[1]])
    return [(*box_from_five_points((row[4:14].reshape(5, 2) + 0.5) * scale - 0.5), float(row[14])) for row in rows]


def box_from_five_points(points: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The centre (2,), size sqrt(w h) and angle that the box of the 68 landmarks is expected to have.

    Args:
        points: (5, 2) the eyes' centres, the nose's tip, the mouth's corners; the subject's right before left.
    """
    x, y = points[1] - points[0]
    angle = float(np.arctan2(y, x))
    across = np.array([np.cos(angle), np.sin(angle)])
    down = np.array([-across[1], across[0]])
    mean = points.mean(axis=0)
    size = SIZE_PER_SPREAD * float(((points - mean) ** 2).sum(axis=1).mean()) ** 0.5
    nose = float((points[2] - points[[0, 1, 3, 4]].mean(axis=0)) @ across)
    return mean + DOWN * size * down - AGAINST_NOSE * nose * across, size, angle


_loaded = threading.local()  # a detector keeps its input's size, so every thread has its own


def _detector(model: StrPath) -> Any:
    """OpenCV's detector with that model, loaded once per thread."""
    import cv2

    path = os.path.abspath(model)
    detectors: dict[str, Any] = _loaded.__dict__.setdefault("detectors", {})
    if path not in detectors:
        if not os.path.isfile(path):
            raise FileError(model, "does not exist; expected YuNet's ONNX model")
        detectors[path] = cv2.FaceDetectorYN.create(path, "", (320, 320), LEAST_SCORE, OVERLAP, MOST_FACES)
    return detectors[path]

"""A face-recognition network of the user's, in ONNX: the upper reference of what shapes can tell, and a teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.geometry.crop import Crop
from likeness.geometry.landmarks import MOUTH_CORNERS, NOSE_TIP, eye_centers
from likeness.networks.session import describing, open_session

FIVE_POINTS = np.array([(30.29, 51.70), (65.53, 51.50), (48.03, 71.74), (33.55, 92.37), (62.73, 92.20)])
"""Where such networks expect the image's left and right eye, nose tip, left and right corner of the mouth in 96 x 112
pixels (Liu et al., SphereFace, 2017); in 112 x 112 pixels (ArcFace) 8 to the right."""

HEIGHT, WIDTHS = 112, (96, 112)


@dataclass(frozen=True, eq=False)
class Teacher:
    """A face-recognition network: aligned faces in, embeddings out that are compared by cosine.

    Args:
        session: ONNX Runtime's.
        width: of the pictures it takes, 96 or 112 pixels; they are 112 high.
        size: D, numbers per embedding.
    """

    session: Any
    width: int
    size: int

    @classmethod
    def load(cls, path: StrPath, threads: int | None = None) -> Teacher:
        """Open a network with one input (n, 3, 112, 96) or (n, 3, 112, 112), RGB scaled by ``(x - 127.5) / 128``, and
        one output (n, D).

        Raises:
            FileError: missing, damaged, or of other shapes.
        """
        session = open_session(path, "a face-recognition network", threads=threads)
        with describing(path, "a face-recognition network"):
            inputs = [tuple(one.shape) for one in session.get_inputs()]
            outputs = [tuple(one.shape) for one in session.get_outputs()]
            fits = len(inputs) == 1 and inputs[0][1:] in [(3, HEIGHT, width) for width in WIDTHS]
            if not fits or len(outputs) != 1 or len(outputs[0]) != 2:
                raise FileError(path, f"expected (n, 3, 112, 96 or 112) -> (n, D), got {inputs} -> {outputs}")
            return cls(session, inputs[0][3], int(outputs[0][1]))

    def aligned(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(112, width, 3) uint8: the face with these 68 landmarks (photo pixels) as the network wants it."""
        return aligned(image, five_of(landmarks), self.width)

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Aligned faces (n, 112, width, 3) uint8 -> embeddings (n, D) float32, not normalised."""
        pixels = (faces.astype(np.float32) - 127.5) / 128
        name = self.session.get_inputs()[0].name
        return np.asarray(self.session.run(None, {name: np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})[0])


def five_of(landmarks: np.ndarray) -> np.ndarray:
    """The five points (5, 2) of 68 landmarks (68, 2)."""
    return np.stack([*eye_centers(landmarks), landmarks[NOSE_TIP], *landmarks[list(MOUTH_CORNERS)]])


def aligned(image: np.ndarray, points: np.ndarray, width: int = WIDTHS[0]) -> np.ndarray:
    """(112, width, 3) the image under the similarity that takes points (5, 2) nearest to :data:`FIVE_POINTS`."""
    expected = FIVE_POINTS + [(HEIGHT - WIDTHS[0]) / 2, 0.0]
    edge = (HEIGHT - width) // 2
    return aligned_to(image, points, expected, HEIGHT)[:, edge : edge + width]


def aligned_to(image: np.ndarray, points: np.ndarray, expected: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3) the image under the similarity that takes points (P, 2) nearest to the expected ones."""
    target, source = expected.mean(0), points.mean(0)
    # As complex numbers a similarity is one factor: the least-squares one of the centred points.
    a, b = ((p - p.mean(0)) @ [1, 1j] for p in (points, expected))
    factor = (a.conj() @ b) / (a.conj() @ a).real
    middle = np.full(2, (size - 1) / 2)
    # `Crop` averages where it makes smaller; a bare warp of a large portrait would alias.
    offset = (middle - target) @ [1, 1j] / factor
    center = source + [offset.real, offset.imag]
    return Crop.from_box(center, size / abs(factor), size, float(-np.angle(factor))).extract(image)

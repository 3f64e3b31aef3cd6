"""People that were rendered once with everything about them known, to be reconstructed by any network.

The truth is kept as vertices, not as codes, so that networks with other face models of the same topology can be
compared on one set.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import write_atomically
from likeness.readers import NpzArrays

TRUTH = "truth.npz"
FIELDS = ("vertices", "landmarks", "yaw")


@dataclass(frozen=True, eq=False)
class RenderedPeople:
    """Pictures of N people and the truth.

    Args:
        photos: N files, one person each.
        vertices: (N, V, 3) mm, neutral heads, model axes.
        landmarks: (N, 68, 2) pixels, the points as they are seen.
        yaw: (N,) degrees by which the head is turned, to its left positive.
    """

    photos: tuple[Path, ...]
    vertices: np.ndarray
    landmarks: np.ndarray
    yaw: np.ndarray

    def __len__(self) -> int:
        return len(self.photos)

    def first(self, count: int) -> RenderedPeople:
        """The first ``count`` people, or all where there are fewer."""
        return RenderedPeople(self.photos[:count], self.vertices[:count], self.landmarks[:count], self.yaw[:count])


def photo_name(number: int) -> str:
    """File name of a person's picture."""
    return f"{number:05d}.png"


def write_truth(folder: StrPath, vertices: np.ndarray, landmarks: np.ndarray, yaw: np.ndarray) -> None:
    """Write what :func:`read_rendered_people` reads, beside the pictures; the last thing to be written of a set."""
    buffer = io.BytesIO()
    heads, points, turns = (np.asarray(array, np.float32) for array in (vertices, landmarks, yaw))
    np.savez_compressed(buffer, vertices=heads, landmarks=points, yaw=turns)
    write_atomically(Path(folder) / TRUTH, buffer.getvalue())


def read_rendered_people(folder: StrPath) -> RenderedPeople:
    """Read a folder of pictures with ``truth.npz``.

    Raises:
        FileError: missing, damaged, or a picture is not there.
    """
    path = Path(folder) / TRUTH
    arrays = NpzArrays(path, "rendered people")
    try:
        vertices, landmarks, yaw = (np.asarray(arrays[name], np.float64) for name in FIELDS)
    except ValueError as error:
        raise FileError(path, f"expected rendered people (.npz) with {', '.join(FIELDS)} ({error})") from error
    count = len(yaw)
    if vertices.ndim != 3 or vertices.shape[::2] != (count, 3) or landmarks.shape != (count, 68, 2) or yaw.ndim != 1:
        raise FileError(path, f"expected vertices (N, V, 3) and landmarks (N, 68, 2), got {vertices.shape}")
    photos = tuple(Path(folder) / photo_name(number) for number in range(count))
    missing = [photo.name for photo in photos if not photo.is_file()]
    if missing:
        raise FileError(path, f"has no picture {missing[0]} beside it")
    return RenderedPeople(photos, vertices, landmarks, yaw)

"""Portraits with hand-placed points: ``NAME.tem`` beside ``NAME.jpg``.

The files are those of the Face Research Lab London Set (DeBruine and Jones 2017): a count of 189, then ``x y`` of
each point in pixels of the original picture, 1350 wide, then curves that are not needed here. Some of the points lie
where iBUG's do, others nearly: those are taken as they are or as the middle of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.images.photo import load_photo

COUNT, ORIGINAL_WIDTH = 189, 1350

LARGEST = 1 << 20
"""Bytes of a file of points; more than any needs."""

SAME_PLACE = {
    36: 18, 39: 22, 42: 23, 45: 27, 31: 64, 33: 55, 35: 69, 48: 87, 54: 93, 50: 89, 51: 90, 52: 91,
    56: 107, 57: 106, 58: 105, 62: 96, 66: 101,
}  # fmt: skip
"""iBUG point -> the hand-placed one at the same place: corners of eyes and mouth, nose, middles of the lips."""

NEARLY = {
    37: (19, 20), 38: (20, 21), 40: (29, 30), 41: (28, 29), 43: (24, 25), 44: (25, 26), 46: (32, 33), 47: (31, 32),
    49: (88,), 53: (92,), 55: (108,), 59: (104,), 61: (95,), 63: (97,), 65: (102,), 67: (100,), 8: (129,),
}  # fmt: skip
"""iBUG point -> hand-placed ones whose middle is near it: the lids, the rest of the lips, the chin."""

IBUG_POINTS: tuple[int, ...] = tuple(sorted({*SAME_PLACE, *NEARLY}))
"""The 34 of the 68 iBUG points that are hand-placed, in the order in which they are given here."""

OUTLINE = (*range(71, 83), 109, 110, 111, 112, 113, 114, *range(125, 134))
"""Hand-placed points of brows, sides and jaw: their box is that of the 68 points, within 2 %."""

_PROPORTIONS = {
    "nose width": (31, 35),
    "inner eye distance": (39, 42),
    "mouth width": (48, 54),
    "upper lip": (51, 62),
}
PROPORTIONS = {
    name: (IBUG_POINTS.index(first), IBUG_POINTS.index(second)) for name, (first, second) in _PROPORTIONS.items()
}
"""Distances that people recognise each other by: pairs of columns of :data:`IBUG_POINTS`."""


@dataclass(frozen=True, eq=False)
class Portraits:
    """Portraits with hand-placed points.

    Args:
        photos: N files.
        names: N, without suffix.
        points: (N, 34, 2) photo pixels, the points of :data:`IBUG_POINTS`.
        boxes: (N, 4) x0 y0 x1 y1 pixels, around brows, sides and chin.
    """

    photos: tuple[Path, ...]
    names: tuple[str, ...]
    points: np.ndarray
    boxes: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """(N,) pixels, sqrt(w h) of the faces' boxes."""
        return np.asarray(np.sqrt(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=-1)))


def read_portraits(folder: StrPath) -> Portraits:
    """Read a folder of ``NAME.tem`` beside ``NAME.jpg`` (or .png, .webp).

    Raises:
        FileError: no such folder, no points in it, points without a photo, or a damaged file.
    """
    directory = Path(folder)
    files = sorted(directory.glob("*.tem"))
    if not files:
        raise FileError(folder, "expected a folder with hand-placed points (NAME.tem) beside NAME.jpg, found none")
    photos, points, boxes = [], [], []
    for file in files:
        photo = next((p for p in map(file.with_suffix, (".jpg", ".png", ".webp")) if p.is_file()), None)
        if photo is None:
            raise FileError(file, "has no photo of its name beside it")
        placed = read_tem(file, load_photo(photo).size[0])
        photos.append(photo)
        points.append(ibug_points(placed))
        outline = placed[list(OUTLINE)]
        boxes.append(np.concatenate([outline.min(0), outline.max(0)]))
    return Portraits(tuple(photos), tuple(photo.stem for photo in photos), np.stack(points), np.stack(boxes))


def read_tem(path: StrPath, width: int = ORIGINAL_WIDTH) -> np.ndarray:
    """The hand-placed points (189, 2) of one file.

    Args:
        path: the ``.tem`` file.
        width: pixels of the picture that the points are wanted in.

    Raises:
        FileError: missing, or not 189 finite points.
    """
    try:
        lines = read_bytes(path, LARGEST).decode().split("\n")
        count = int(lines[0])
        points = np.array([[float(value) for value in line.split()] for line in lines[1 : COUNT + 1]])
    except (FileError, ValueError) as error:
        raise FileError(path, f"expected {COUNT} hand-placed points ({getattr(error, 'reason', error)})") from error
    if count != COUNT or points.shape != (COUNT, 2) or not np.isfinite(points).all():
        raise FileError(path, f"expected {COUNT} finite points x y, got {count} and {points.shape}")
    return (points + 0.5) * (width / ORIGINAL_WIDTH) - 0.5


def ibug_points(placed: np.ndarray) -> np.ndarray:
    """Hand-placed points (..., 189, 2) -> those of :data:`IBUG_POINTS` (..., 34, 2)."""
    groups = [(SAME_PLACE[point],) if point in SAME_PLACE else NEARLY[point] for point in IBUG_POINTS]
    return np.stack([placed[..., list(group), :].mean(-2) for group in groups], axis=-2)

"""Files of the landmarks that put a mesh onto a scan: seven to sixty-eight points, in five formats."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.metrics.scan_landmarks import _COUNTS, FaceLandmarks
from likeness.readers import read_json, read_npy

LANDMARK_SUFFIXES = (".txt", ".npy", ".json", ".ljson", ".pp")

_ENDINGS = (*LANDMARK_SUFFIXES, "_picked_points.pp")
_FOLDERS = ("_lmks_onlypp", "_lmks", "_landmarks")
"""What a folder of landmarks is called behind the name of the scans' folder beside it."""


def landmark_file(mesh: Path) -> Path | None:
    """The landmark file of a mesh; None where there is none.

    It is called like the mesh, as MeshLab and NoW name it (``NAME_picked_points.pp``) too, and lies beside it, or at
    the same place below a folder beside the meshes' (``scans_lmks_onlypp/S/NAME...`` of ``scans/S/NAME.obj``).
    """
    places = [mesh.parent]
    for above in (mesh.parent, *mesh.parent.parents[:3]):
        inner = mesh.parent.relative_to(above)
        places += [above.with_name(above.name + ending) / inner for ending in _FOLDERS if above.name]
    names = [mesh.stem + ending for ending in _ENDINGS]
    return next((place / name for place in places for name in names if (place / name).is_file()), None)


def read_landmarks(path: StrPath) -> FaceLandmarks:
    """Read a landmark file of 7, 8, 51 or 68 points (:meth:`FaceLandmarks.from_points`); the suffix decides how.

    - .npy: an array (N, 3).
    - .json, .ljson: a list of [x, y, z]; or such a list under ``points`` or ``landmarks``, at any depth (menpo's
      LJSON, in which GANFit's MICC landmarks are given).
    - .pp: MeshLab's picked points, in which NoW's scan landmarks are given.
    - others: text, one point a line, numbers separated by blanks or commas; ``#`` begins a comment.

    Raises:
        likeness.FileError: missing, damaged, another number of points, or a value that is not finite.
    """
    data = read_bytes(path)
    suffix = Path(path).suffix.lower()
    points: Any
    try:
        if suffix == ".npy":
            points = read_npy(path, f"{_COUNTS} landmarks", data)
        elif suffix in (".json", ".ljson"):
            points = _points_in(read_json(path, f"{_COUNTS} landmarks", data))
        elif suffix == ".pp":
            points = _picked_points(data.decode())
        else:
            lines = (line.partition("#")[0].replace(",", " ").split() for line in data.decode().splitlines())
            points = [[float(number) for number in numbers] for numbers in lines if numbers]
        return FaceLandmarks.from_points(np.array(points, np.float64))
    except (ValueError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileError(path, f"expected a file of {_COUNTS} landmarks x y z: {reason}") from error


def _points_in(data: Any) -> Any:
    """The first list of points in a JSON document: itself, or under ``points`` or ``landmarks``, outermost first."""
    if isinstance(data, list):
        return data
    if isinstance(data, dict):
        for key in ("points", "landmarks", *data):
            try:
                return _points_in(data[key])
            except (KeyError, TypeError):
                continue
    raise TypeError("no list of points found")


def _picked_points(text: str) -> list[list[float]]:
    points = []
    for tag in re.findall(r"<point\b[^>]*>", text):
        values = dict(re.findall(r'\b([xyz])\s*=\s*"([^"]*)"', tag))
        if len(values) != 3:
            raise ValueError(f"expected x, y and z, got {tag[:80]}")
        points.append([float(values[axis]) for axis in "xyz"])
    return points

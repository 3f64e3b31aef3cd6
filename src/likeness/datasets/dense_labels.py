"""Labels of surface points: files that say where each point lies in pictures, and which of a source's pictures those
are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from likeness.datasets.image_store import ImageStore
from likeness.errors import FileError, StrPath, printable
from likeness.files import npz_bytes, write_atomically
from likeness.readers import read_npz

PER_PIXEL = 16
"""Steps per pixel of points that are stored as integers."""

LARGEST = 8 << 30
"""Bytes that one array of a file may claim: two million pictures' points."""


@dataclass(frozen=True, eq=False)
class PlacedPoints:
    """Where surface points lie in some of a source's pictures.

    Args:
        index: (M,) numbers of the pictures.
        points: (M, P, 2) float32 pixels of each.
        embedding: (M, D) float32 a face-recognition network's of each; None: there are none.
        deviation: (M, P) float32 pixels, how sure each is, 0 where that is not known; None: of none it is.
    """

    index: np.ndarray
    points: np.ndarray
    embedding: np.ndarray | None = None
    deviation: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, eq=False)
class PointLabels:
    """Points of N pictures, by name.

    Args:
        path: the file.
        key: N names: of a file in a folder or archive, without its suffix.
        points: (N, P, 2) float32 pixels, (0, 0) the first pixel's centre.
        deviation: (N, P) float32 pixels, how sure each is; None: not known.
        embedding: (N, D) float32 a face-recognition network's; None: there are none.
    """

    path: str
    key: tuple[str, ...]
    points: np.ndarray
    deviation: np.ndarray | None = None
    embedding: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.key)


def read_point_labels(path: StrPath, points: int) -> PointLabels:
    """Read an ``.npz`` of labels.

    Its arrays: ``key`` (N,) names, ``points`` (N, P, 2 or 3), pixels as floats or sixteenths of one as integers;
    where there is more: ``presence`` (N,), negative where no face was found, ``std`` (N, P) pixels, and ``embedding``
    or ``sface`` (N, D). Pictures without a face, or with points that are not finite, are left out.

    Args:
        path: the file.
        points: P.

    Raises:
        FileError: missing, damaged, of other shapes or with a name twice.
    """
    arrays = read_npz(path, "labels of surface points", LARGEST)
    for name in ("key", "points"):
        if name not in arrays:
            raise FileError(path, f"expected labels of surface points, but {name} is missing")
    key, places = arrays["key"], arrays["points"]
    count = len(key) if key.ndim == 1 and key.dtype.kind == "U" else -1
    if count < 1 or len(set(key.tolist())) != count:
        raise FileError(path, f"expected key (N,), different names, got {key.shape} {key.dtype}")
    if places.shape not in ((count, points, 2), (count, points, 3)) or places.dtype.kind not in "fi":
        raise FileError(path, f"expected points ({count}, {points}, 2 or 3), got {places.shape} {places.dtype}")
    unit = np.float32(1 / PER_PIXEL if places.dtype.kind == "i" else 1.0)
    embedding = _rows(path, arrays, "embedding" if "embedding" in arrays else "sface", count, None)
    deviation = _rows(path, arrays, "std", count, points)
    places = places[..., :2].astype(np.float32) * unit
    good = np.isfinite(places).all((1, 2))
    presence = arrays.get("presence")
    if presence is not None:
        if presence.shape != (count,) or presence.dtype.kind not in "fiub":
            raise FileError(path, f"expected presence ({count},), got {presence.shape} {presence.dtype}")
        good &= presence >= 0
    return PointLabels(
        str(path),
        tuple(key[good].tolist()),
        places[good],
        None if deviation is None else deviation[good],
        None if embedding is None else embedding[good],
    )


def _rows(
    path: StrPath, arrays: dict[str, np.ndarray], name: str, count: int, width: int | None
) -> np.ndarray | None:
    """An array (count, width) of floats that may be missing; width None: any."""
    values = arrays.get(name)
    if values is None:
        return None
    if values.ndim != 2 or len(values) != count or width not in (None, values.shape[1]) or values.dtype.kind != "f":
        raise FileError(path, f"expected {name} ({count}, {width or 'D'}) floats, got {values.shape} {values.dtype}")
    return values.astype(np.float32)


def write_point_labels(path: StrPath, labels: PointLabels) -> None:
    """Write what :func:`read_point_labels` reads, points as floats; raises FileError."""
    arrays = {"key": np.array(labels.key), "points": labels.points.astype(np.float32)}
    if labels.deviation is not None:
        arrays["std"] = labels.deviation.astype(np.float16)
    if labels.embedding is not None:
        arrays["embedding"] = labels.embedding.astype(np.float16)
    write_atomically(path, npz_bytes(arrays))


def key_of(name: str) -> str:
    """The key of a picture: its name in its folder or archive, without the suffix."""
    return str(PurePosixPath(name).with_suffix(""))


def match_points(labels: Sequence[PointLabels], stores: Sequence[ImageStore | None]) -> list[PlacedPoints | None]:
    """Which pictures labels are of, by their keys.

    Args:
        labels: files; of a picture that several know the first one counts.
        stores: pictures; None: none.

    Returns:
        For each store what is known of its pictures; None where nothing is.

    Raises:
        FileError: a file has labels of no picture, or of two pictures under one key, or embeddings of other lengths
            than another file.
    """
    found: list[dict[int, tuple[PointLabels, int]]] = [{} for _ in stores]
    places: dict[str, list[tuple[int, int]]] = {}
    for number, store in enumerate(stores):
        for index, name in enumerate(() if store is None else store.places.names):
            places.setdefault(key_of(name), []).append((number, index))
    for one in labels:
        known = 0
        for row, key in enumerate(one.key):
            there = places.get(key, [])
            if len(there) > 1:
                raise FileError(
                    one.path, f"expected one picture called {printable(key)}, the sources have {len(there)}"
                )
            for number, index in there:
                found[number].setdefault(index, (one, row))
                known += 1
        if not known:
            raise FileError(
                one.path, f"expected labels of pictures of the sources, e.g. not of {printable(one.key[0])}"
            )
    return [_joined(rows) for rows in found]


def _joined(rows: dict[int, tuple[PointLabels, int]]) -> PlacedPoints | None:
    """Labels by picture -> arrays in the order of the pictures."""
    if not rows:
        return None
    index = sorted(rows)
    known = [rows[number] for number in index]
    points = np.stack([one.points[row] for one, row in known])
    return PlacedPoints(np.array(index), points, _embeddings(known), _deviations(known))


def _embeddings(known: list[tuple[PointLabels, int]]) -> np.ndarray | None:
    """Embeddings (M, D), rows of NaN where there are none; None: there are none at all."""
    embeddings = [(one, one.embedding[row]) for one, row in known if one.embedding is not None]
    sizes = {len(values) for _, values in embeddings}
    if len(sizes) > 1:
        raise FileError(embeddings[-1][0].path, f"expected embeddings of one network, got lengths {sorted(sizes)}")
    if not sizes:
        return None
    unknown = np.full(sizes.pop(), np.nan, np.float32)
    return np.stack([unknown if one.embedding is None else one.embedding[row] for one, row in known])


def _deviations(known: list[tuple[PointLabels, int]]) -> np.ndarray | None:
    """Deviations (M, P), 0 where they are not known; None: of none they are."""
    if all(one.deviation is None for one, _ in known):
        return None
    unknown = np.zeros(known[0][0].points.shape[1], np.float32)
    return np.stack([unknown if one.deviation is None else one.deviation[row] for one, row in known])

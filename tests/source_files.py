"""Small training sources in the layouts in which data sets are published, made from a seed."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from conftest import landmark_drawing
from train_sources import add, picture

Rng = np.random.Generator


def face(rng: Rng) -> np.ndarray:
    """68 points of a face in a picture of 90 x 100 pixels."""
    return (landmark_drawing() * [0.3, -0.3] + rng.uniform(40, 50, 2)).astype(np.float32)


def pixels(data: bytes) -> np.ndarray:
    """(H, W, 3) RGB of an encoded picture."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def write_files(folder: Path, names: list[str], rng: Rng) -> dict[str, bytes]:
    """Pictures by their paths in a folder; the suffix tells the format."""
    found = {}
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        found[name] = cv2.imencode(Path(name).suffix.lower(), pixels(picture(rng)))[1].tobytes()
        (folder / name).write_bytes(found[name])
    return found


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            add(archive, name, data)
    return path


def note(**values: object) -> bytes:
    return json.dumps(values).encode()


def same(store: Sequence[np.ndarray], wanted: list[bytes]) -> None:
    """A store shows these pictures in this order."""
    assert len(store) == len(wanted)
    for got, data in zip(store, wanted, strict=True):
        np.testing.assert_array_equal(got, pixels(data))

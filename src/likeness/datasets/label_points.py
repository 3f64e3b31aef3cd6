"""Labels of surface points for all pictures of sources, by MediaPipe's network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from likeness.datasets.dense_labels import PointLabels, key_of
from likeness.datasets.training import Opened
from likeness.errors import Excluded, FileError
from likeness.model.surface_points import PointMap
from likeness.networks.mediapipe import FaceLandmarker
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.reconstruct.teacher_points import teacher_points

LEAST_CHANCE = 0.5
"""What the network thinks less likely to be a face is left out."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labels, and the pictures that have none."""

    labels: PointLabels
    excluded: tuple[Excluded, ...]


def label_points(
    opened: Opened,
    network: FaceLandmarker,
    finder: Reconstructor,
    points: PointMap,
    path: str,
    report: Callable[[int, int], None] | None = None,
) -> Labelled:
    """Label every picture: of pictures with landmarks the face that these are of, of others the best one.

    Args:
        opened: the sources.
        network: MediaPipe's.
        finder: finds the faces of pictures without landmarks.
        points: the map of MediaPipe's points.
        path: what the labels are called in messages.
        report: hears how many of how many pictures are done.

    Raises:
        FileError: no picture has a face, or two pictures have one name.
    """
    stores = [one.images for one in (opened.frames, opened.photos) if one is not None]
    keys = [key_of(name) for store in stores for name in store.places.names]
    if len(set(keys)) < len(keys):
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise FileError(path, f"two pictures are called {twice}: label their sources apart")
    found: list[tuple[str, np.ndarray, np.ndarray]] = []
    excluded: list[Excluded] = []
    done = 0
    for source in (opened.frames, opened.photos):
        for number in range(0 if source is None else len(source.images)):
            assert source is not None
            key, image = keys[done], source.images[number]
            done += 1
            landmarks = opened.frames.landmarks[number] if source is opened.frames and opened.frames else None
            if landmarks is None:
                faces = finder(image, max_faces=1)
                landmarks = faces[0].landmarks if faces else None
            seen = None if landmarks is None else teacher_points(image, landmarks, network, points)
            if seen is None or seen.chance < LEAST_CHANCE:
                excluded.append(Excluded(key, "no face was found" if seen is None else "the teacher sees no face"))
            else:
                found.append((key, seen.points[:, :2], seen.deviation))
            if report is not None:
                report(done, len(keys))
    if not found:
        raise FileError(path, "no picture of the sources shows a face: there is nothing to label")
    names, places, deviation = zip(*found, strict=True)
    return Labelled(
        PointLabels(path, names, np.stack(places).astype(np.float32), np.stack(deviation).astype(np.float32)),
        tuple(excluded),
    )

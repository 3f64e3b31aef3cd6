"""A habit of annotations that no face has: they lie to one side.

Half of all training pictures are mirrored. Points that lie a little to the right of the face in every picture lie to
the left in every mirrored one, so a network that is asked for both learns neither but the middle, and is never told
how near it is to that: between the two the sum of distances is the same everywhere. What is seen in a picture and in
its mirror image says where the middle is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from likeness.datasets import Frames
from likeness.datasets.image_store import readable
from likeness.geometry.landmarks import JAW_COUNT
from likeness.progress import Steps, unheard
from likeness.reconstruct.proposals import crop_from_landmarks
from likeness.train.losses.reconstruction import LandmarkHead
from likeness.train.photos.augment import box_of
from likeness.train.photos.inference import BATCH, batches, locate
from likeness.train.photos.network import CROP_SIZE, Regressor

COMPARING = "comparing annotations with mirror images"


def sideways(
    network: Regressor, head: LandmarkHead, frames: Frames, batch: int = BATCH, watch: Steps = unheard
) -> float:
    """How far the annotated points lie to the right of where they are seen, in sizes sqrt(w h) of their box.

    The median over all pictures and the 51 inner points, of a network's answers for pictures and mirror images, which
    are as good in one as in the other when it was trained with both.
    """
    found = []
    watch(COMPARING, 0, len(frames.images))
    for rows in batches(len(frames.images), batch):
        readable_ones = dict(readable(frames.images, rows))
        if not readable_ones:
            continue
        images, truth = [*readable_ones.values()], frames.landmarks[[*readable_ones]]
        crops = [crop_from_landmarks(points, CROP_SIZE) for points in truth]
        seen = [locate(network, head, images, crops, mirrored=mirrored).landmarks for mirrored in (False, True)]
        sizes = np.array([box_of(points)[1] for points in truth])
        found.append((truth - np.mean(seen, axis=0))[:, JAW_COUNT:, 0] / sizes[:, None])
        watch(COMPARING, rows.stop, len(frames.images))
    return float(np.median(np.concatenate(found)))


def centered(frames: Frames, share: float) -> Frames:
    """The frames with their landmarks moved to the left by so many sizes of their boxes."""
    sizes = np.array([box_of(points)[1] for points in frames.landmarks])
    moved = frames.landmarks.copy()
    moved[..., 0] -= (share * sizes)[:, None]
    return replace(frames, landmarks=moved)

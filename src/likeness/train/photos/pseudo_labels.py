"""Landmarks for photos that have none, by a network: when in the course of a training, of which photos, by whom.

Labels are made in rounds, each by a better network than the one before, and in portions, so that no round keeps the
training waiting: a portion is labelled, learned from for as long as its photos last, and the next one is labelled. Of
more photos than a round will come to no more are labelled than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from likeness.datasets import Photos
from likeness.datasets.image_store import readable
from likeness.errors import FileError
from likeness.geometry.crop import Crop
from likeness.model.face_model import FaceModel
from likeness.progress import Steps, unheard
from likeness.train.checkpoint import load_regressor
from likeness.train.losses.reconstruction import LandmarkHead
from likeness.train.photos.inference import BATCH, batches, landmark_error, locate, next_crop
from likeness.train.photos.labels import PseudoLabels
from likeness.train.photos.network import CROP_SIZE, Regressor
from likeness.train.settings import PhotoSettings

MIN_SCORE = 0.6
MAX_DISAGREEMENT = 0.04
"""A pseudo-label is kept where the score is at least, and the mirrored crop's landmarks are no farther off than, this
(mean distance over sqrt(w h) of their box)."""

PORTION = 2048
"""Photos that are labelled at first, within half a minute of a slow core or two; twice as many each time after."""

HALF_GROWN = 0.3
"""The share of a training before which an earlier network labels better than the one that learns."""

LABELLING = "labelling photos"


@dataclass(frozen=True)
class LabellingPlan:
    """At which steps which photos are labelled.

    Args:
        portions: step -> which photos, by their place in an order that takes one person after the other.
        order: (N,) that order.
    """

    portions: dict[int, range]
    order: np.ndarray

    @classmethod
    def of(cls, person: np.ndarray, rounds: set[int], steps: int, drawn: int, seed: int = 0) -> LabellingPlan:
        """The plan of a training.

        Args:
            person: (N,) whose photos they are, -1 unknown.
            rounds: steps at which a round begins.
            steps: of the training.
            drawn: photos that a step learns from.
            seed: of the order of people.
        """
        starts = sorted(start for start in rounds if start < steps)
        portions: dict[int, range] = {}
        for start, end in pairwise([*starts, steps]):
            step, first, most = start, 0, PORTION
            while first < len(person) and step < end:
                size = min(most, len(person) - first, drawn * (end - step))
                portions[step] = range(first, first + size)
                first, step, most = first + size, step + -(-size // drawn), 2 * most
        return cls(portions, together_by_person(person, seed))

    def numbers(self, step: int) -> np.ndarray:
        """The photos that are labelled at a step, ascending; none at most steps."""
        portion = self.portions.get(step, range(0))
        return np.sort(self.order[portion.start : portion.stop])

    def segments(self, step: int, steps: int) -> Iterator[int]:
        """From a step on, the steps before which photos are labelled, and the end."""
        yield from (stop for stop in sorted({*self.portions, steps}) if stop > step)


def together_by_person(person: np.ndarray, seed: int) -> np.ndarray:
    """An order (N,) that takes one person after the other, people at random; the unknown (-1) are one each."""
    whose = np.where(person < 0, person.max(initial=-1) + 1 + np.arange(len(person)), person)
    rank = np.random.default_rng(seed).permutation(int(whose.max(initial=-1)) + 1)
    return np.argsort(rank[whose], kind="stable")


class PseudoLabelling:
    """Labels photos as a training goes.

    Args:
        settings: of the training.
        model: the face model.
        photos: those without landmarks; None: there are none, and nothing is labelled.
        steps: of the training.
        per_batch: photos that a step learns from are so many times those of one batch.
        fabric: Lightning Fabric, launched.
        watch: hears how many photos are done.

    Attributes:
        labeller: an earlier network; None: there is none.
        labelled_at: the last step at which photos were labelled; -1: none yet.

    Raises:
        FileError: the labeller cannot be used.
    """

    def __init__(
        self,
        settings: PhotoSettings,
        model: FaceModel,
        photos: Photos | None,
        steps: int,
        per_batch: int,
        fabric: Any,
        watch: Steps = unheard,
    ) -> None:
        self.photos, self._fabric, self._watch, self.labelled_at = photos, fabric, watch, -1
        self.labeller = _load(settings, model, fabric)
        drawn = settings.mix.photos + settings.mix.people * settings.mix.each
        has_use = photos is not None and drawn > 0
        rounds = _rounds(settings, steps) if has_use else set()
        person = photos.person if photos is not None and has_use else np.zeros(0, np.int64)
        self.plan = LabellingPlan.of(person, rounds, steps, max(1, drawn * per_batch), settings.seed)

    def is_due(self, step: int) -> bool:
        """Whether photos are labelled before this step (once: a resumed run has the labels in its checkpoint)."""
        return step in self.plan.portions and step != self.labelled_at

    def renewed(self, step: int, known: PseudoLabels | None, network: Regressor, head: LandmarkHead) -> PseudoLabels:
        """What is known, with this step's photos labelled anew: by the earlier network before the first step, by
        ``network`` later; of all devices, the first one's answer."""
        labels = None
        if self._fabric.is_global_zero:
            assert self.photos is not None
            labeller = network if step > 0 or self.labeller is None else self.labeller
            numbers = self.plan.numbers(step)
            labels = merged(known, label_photos(labeller, head, self.photos, numbers, watch=self._watch), numbers)
        self.labelled_at = step
        shared: PseudoLabels = self._fabric.broadcast(labels)
        return shared


def _rounds(settings: PhotoSettings, steps: int) -> set[int]:
    shares = settings.schedule.pseudo_at
    if settings.labeller is not None:
        shares = tuple(share for share in shares if share >= HALF_GROWN)
    marks = {min(steps, max(1, round(share * steps))) for share in shares}
    return marks | ({0} if settings.labeller is not None else set())


def _load(settings: PhotoSettings, model: FaceModel, fabric: Any) -> Regressor | None:
    if settings.labeller is None:
        return None
    network, state = load_regressor(settings.labeller)
    if state["face_model"] != model.name:
        raise FileError(settings.labeller, f"expected a network for {model.name!r}, got {state['face_model']!r}")
    return network.to(fabric.device)


def merged(known: PseudoLabels | None, new: PseudoLabels, numbers: np.ndarray) -> PseudoLabels:
    """Labels of which those of some photos (n,) are replaced by new ones, photos ascending."""
    if known is None:
        return new
    kept = ~np.isin(known.index, numbers)
    index = np.concatenate([known.index[kept], new.index])
    order = np.argsort(index, kind="stable")
    landmarks = np.concatenate([known.landmarks[kept], new.landmarks])
    return PseudoLabels(index[order], landmarks[order])


def label_photos(
    network: Regressor,
    head: LandmarkHead,
    photos: Photos,
    numbers: np.ndarray | None = None,
    batch: int = BATCH,
    watch: Steps = unheard,
) -> PseudoLabels:
    """Landmarks of photos by the network itself.

    First the whole width is seen (such photos are tight crops of one face), then the crop of the landmarks found
    there, once as it is and once mirrored. Their mean is kept where both agree and the score is high.

    Args:
        network: in evaluation mode.
        head: its landmarks.
        photos: to be labelled.
        numbers: (n,) of those that are; None: all.
        batch: photos at a time.
        watch: hears how many are done, from the start on.
    """
    every = np.arange(len(photos.images)) if numbers is None else numbers
    kept, landmarks = [np.zeros(0, np.int64)], [np.zeros((0, 68, 2))]
    watch(LABELLING, 0, len(every))
    for rows in batches(len(every), batch):
        seen = dict(readable(photos.images, every[rows.start : rows.stop].tolist()))
        if seen:
            found, good = _label([*seen.values()], network, head)
            kept.append(np.array([*seen])[good])
            landmarks.append(found[good])
        watch(LABELLING, rows.stop, len(every))
    return PseudoLabels(np.concatenate(kept), np.concatenate(landmarks).astype(np.float32))


def _label(images: list[np.ndarray], network: Regressor, head: LandmarkHead) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (n, 68, 2) in pictures, and whether they are to be trusted (n,)."""
    whole = []
    for image in images:
        height, width = image.shape[:2]
        side = min(height, width)
        middle = [0.5 * width - 0.5, min(0.54 * height, height - 0.4 * side) - 0.5]
        whole.append(Crop.from_box(middle, side, CROP_SIZE))
    first = locate(network, head, images, whole)
    crops = [next_crop(points, crop) for points, crop in zip(first.landmarks, whole, strict=True)]
    plain, mirrored = (locate(network, head, images, crops, mirrored=flag) for flag in (False, True))
    mean = 0.5 * (plain.landmarks + mirrored.landmarks)
    apart = landmark_error(plain.landmarks, mean) * 2.0
    return mean, (np.minimum(plain.score, mirrored.score) >= MIN_SCORE) & (apart <= MAX_DISAGREEMENT)

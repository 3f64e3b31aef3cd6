"""What a frozen network's features are of crops to learn from and of crops to judge by, looked at once.

A trunk that no variant of ``benchmarks/claims.py`` changes answers the same for all of them; looking takes a quarter
of an hour on one core, and heads on what was seen are then learned in a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likeness.datasets import Frames, Photos, SyntheticFaces, open_sources
from likeness.datasets.dense_labels import PlacedPoints, match_points, read_point_labels
from likeness.datasets.image_store import readable
from likeness.files import file_digest, npz_bytes, write_atomically
from likeness.geometry.crop import Crop
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap
from likeness.readers import read_npz
from likeness.reconstruct.proposals import crop_from_landmarks
from likeness.train.checkpoint import CHECKPOINT, load_regressor
from likeness.train.losses.reconstruction import Targets
from likeness.train.photos.augment import cut
from likeness.train.photos.batches import collate
from likeness.train.photos.fidelity_curves import HeldOutPortraits
from likeness.train.photos.inference import batches
from likeness.train.photos.labels import PseudoLabels, Sources, TeacherEmbeddings
from likeness.train.photos.network import CROP_SIZE, Regressor
from likeness.train.photos.point_validation import places
from likeness.train.photos.samples import Sample, SampleMaker
from likeness.train.photos.validation import HeldOut
from likeness.train.settings import AugmentSettings

BATCH = 64
TIMES = 3
"""Crops of each frame with annotated landmarks, each strayed and coloured anew; of other pictures there is one."""

EACH = 12
"""Photos of a person, at most."""

PEOPLE = 600
"""People that are told apart, at most: those of whom there are the most crops. What SIR asks of all pairs of centres
takes ten times as long with three times as many."""

RENDERED = 8000
"""Rendered faces, at most."""

LARGEST = 1 << 31
KINDS = ("frame", "photo", "rendered")


@dataclass(frozen=True, eq=False)
class Looks:
    """Crops to learn from.

    Args:
        features: (N, H) of the frozen network.
        targets: what is known of them.
        kind: (N,) which of :data:`KINDS` each is.
        people: C, how many identities are told apart; other people's number is -1.
    """

    features: Tensor
    targets: Targets
    kind: np.ndarray
    people: int

    def rotated(self, rotation: np.ndarray) -> Looks:
        """The same with codes of another basis, ``codes @ rotation``."""
        turned = self.targets.identity @ torch.from_numpy(rotation.astype(np.float32))
        return replace(self, targets=self.targets._replace(identity=turned))


@dataclass(frozen=True, eq=False)
class Judged:
    """Crops of people who are not learned from: features (n, H) of each set, and what is known.

    Args:
        frames, landmarks, person, clip: (n, H), (n, 68, 2) photo pixels, (n,), (n,) of pictures with annotated
            landmarks.
        photos, photo_person: (m, H) and (m,) of photographs.
        portraits: (p, H) of portraits with hand-placed points, in their order.
        rendered, identity: (r, H) and (r, K) of rendered faces.
    """

    frames: np.ndarray
    landmarks: np.ndarray
    person: np.ndarray
    clip: np.ndarray
    photos: np.ndarray
    photo_person: np.ndarray
    portraits: np.ndarray
    rendered: np.ndarray
    identity: np.ndarray

    @property
    def frame_crops(self) -> list[Crop]:
        """The crops of the pictures with annotated landmarks."""
        return _crops(self.landmarks)


def look(
    run: Path, data: Path, labels: list[Path], synthetic: Path, model: FaceModel, points: PointMap, out: Path
) -> tuple[Looks, Judged]:
    """Look at everything, or read what was seen by the same network before.

    Args:
        run: folder of a training whose network is asked.
        data: see ``benchmarks/README.md``.
        labels: where surface points lie in the pictures.
        synthetic: folder of rendered faces.
        model: their face model.
        points: the map of the points.
        out: folder to keep the looks in.
    """
    digest = file_digest(run / CHECKPOINT)[:16]
    seen, held = out / f"looks-{digest}.npz", out / f"judged-{digest}.npz"
    if not (seen.is_file() and held.is_file()):
        out.mkdir(parents=True, exist_ok=True)
        _look(run, data, labels, synthetic, model, points, (seen, held))
    return _read(seen), Judged(**read_npz(held, "looks at crops", LARGEST))


def _look(
    run: Path,
    data: Path,
    labels: list[Path],
    synthetic: Path,
    model: FaceModel,
    points: PointMap,
    files: tuple[Path, Path],
) -> None:
    """Look at both, and keep what is seen in two files."""
    network, _ = load_regressor(run / CHECKPOINT)
    trained = open_sources([data / "photos" / f"{name}-train.tar" for name in ("video", "photo", "people")])
    known = [read_point_labels(path, len(points)) for path in labels if "-train" in path.name]
    stores = [None if one is None else one.images for one in (trained.frames, trained.photos)]
    _, placed = match_points(known, stores)
    sources = Sources(model, trained.frames, SyntheticFaces(synthetic, model), trained.photos)
    held_out = HeldOut().with_rendered(sources)
    assert placed is not None
    assert held_out.rendered_before is not None
    learned, held = files
    if not held.is_file():
        _save(held, vars(judged(network, data, labels, points, held_out)))
    if not learned.is_file():
        _save(learned, _seen(network, _maker(sources, placed, points), held_out.rendered_before))


def _save(path: Path, arrays: dict[str, Any]) -> None:
    write_atomically(path, npz_bytes(arrays, compressed=False))


def _maker(sources: Sources, placed: PlacedPoints, points: PointMap) -> SampleMaker:
    """Makes samples of frames, labelled photos and rendered faces; labels bring a teacher's embeddings of the
    photos."""
    assert sources.photos is not None
    assert placed.embedding is not None
    pseudo = PseudoLabels(placed.index, points.ibug_landmarks(placed.points.astype(np.float64)))
    told = np.full((len(sources.photos.images), placed.embedding.shape[1]), np.nan, np.float32)
    told[placed.index] = placed.embedding
    return SampleMaker(sources, AugmentSettings(), pseudo, TeacherEmbeddings(None, told))


def _samples(maker: SampleMaker, rendered: int) -> Iterator[tuple[int, Sample]]:
    """Kind and sample of every crop, each of a seed of its own."""
    frames, photos, pseudo = maker.sources.frames, maker.sources.photos, maker.pseudo
    assert frames is not None
    assert photos is not None
    assert pseudo is not None
    person = photos.person[pseudo.index]
    order = np.random.default_rng(0).permutation(len(person))
    chosen = np.sort(np.concatenate([order[person[order] == who][:EACH] for who in np.unique(person[person >= 0])]))
    makers: list[tuple[Callable[[int, np.random.Generator], Sample], np.ndarray]] = [
        (maker.frame, np.tile(np.arange(len(frames.images)), TIMES)),
        (maker.photo, chosen),
        (maker.synthetic, np.arange(min(rendered, RENDERED))),
    ]
    for kind, (make, numbers) in enumerate(makers):
        for row, number in enumerate(numbers.tolist()):
            yield kind, make(number, np.random.default_rng([kind, row]))


def _seen(network: Regressor, maker: SampleMaker, rendered: int) -> dict[str, np.ndarray]:
    """The arrays of :class:`Looks`."""
    features, targets, kinds = [], [], []
    some: list[Sample] = []

    def flush() -> None:
        images, known = collate(some, maker.sources)
        features.append(features_of(network, images))
        # Batches without an embedding have room for none.
        width = 0 if maker.embeddings.photos is None else maker.embeddings.photos.shape[1]
        if known.embedding.shape[1] == 0:
            known = known._replace(embedding=torch.zeros(len(some), width))
        targets.append(known)
        some.clear()

    for kind, sample in _samples(maker, rendered):
        kinds.append(kind)
        some.append(sample)
        if len(some) == BATCH:
            flush()
            if len(kinds) % (16 * BATCH) == 0:
                print(f"{len(kinds):,} crops seen", flush=True)
    if some:
        flush()
    arrays = {name: torch.cat([getattr(one, name) for one in targets]).numpy() for name in Targets._fields}
    return {**arrays, "features": np.concatenate(features), "kind": np.array(kinds)}


def _read(path: Path) -> Looks:
    arrays = read_npz(path, "looks at crops", LARGEST)
    person, count = np.unique(arrays["person"][arrays["person"] >= 0], return_counts=True)
    kept = np.sort(person[np.argsort(-count, kind="stable")[:PEOPLE]])
    number = np.full(person.max() + 2, -1)  # the last is what nobody's -1 finds
    number[kept] = np.arange(len(kept))
    arrays["person"] = number[arrays["person"]]
    targets = Targets(**{name: torch.from_numpy(arrays[name]) for name in Targets._fields})
    return Looks(torch.from_numpy(arrays["features"]), targets, arrays["kind"], len(kept))


def features_of(network: Regressor, images: Tensor) -> np.ndarray:
    """Crops (n, S, S, 3) uint8 -> (n, H)."""
    with torch.inference_mode():
        return np.concatenate([network.features(part).numpy() for part in images.split(BATCH)])


def judged(network: Regressor, data: Path, labels: list[Path], points: PointMap, held_out: HeldOut) -> Judged:
    """Crops of people who are not learned from: about annotated landmarks, labelled points, hand-placed boxes."""
    opened = open_sources([data / "photos" / f"{name}-val.tar" for name in ("video", "photo")])
    frames, photos = opened.frames, opened.photos
    assert frames is not None
    assert photos is not None
    known = [read_point_labels(path, len(points)) for path in labels if "photo-val" in path.name]
    _, placed = match_points(known, [frames.images, photos.images])
    assert placed is not None
    assert held_out.synthetic is not None
    make = held_out.synthetic.synthetic
    samples = [make(number, np.random.default_rng(number)) for number in held_out.numbers]
    see = partial(features_of, network)
    photographed = points.ibug_landmarks(placed.points.astype(np.float64))
    return Judged(
        see(_cut(frames, frames.landmarks)),
        frames.landmarks,
        frames.person,
        np.array(frames.clip),
        see(_cut(photos, photographed, placed.index)),
        photos.person[placed.index],
        see(_portraits(network, HeldOutPortraits.read(data / "portraits"), points)),
        see(torch.from_numpy(np.stack([one.image for one in samples]))),
        np.stack([one.labels["identity"] for one in samples]),
    )


def _crops(landmarks: np.ndarray) -> list[Crop]:
    """Upright crops about landmarks (n, 68, 2)."""
    return [crop_from_landmarks(one, CROP_SIZE, upright=True) for one in landmarks]


def _cut(source: Frames | Photos, landmarks: np.ndarray, index: np.ndarray | None = None) -> Tensor:
    """Upright crops (n, S, S, 3) about landmarks (n, 68, 2) of pictures of these numbers; None: of all."""
    crops, numbers = _crops(landmarks), range(len(landmarks)) if index is None else index.tolist()
    pixels = [
        cut(image, crop)
        for number, crop in zip(numbers, crops, strict=True)
        for _, image in readable(source.images, [number])
    ]
    if len(pixels) != len(crops):
        raise ValueError(f"expected {len(crops)} pictures that can be read, got {len(pixels)}")
    return torch.from_numpy(np.stack(pixels))


def _portraits(network: Regressor, portraits: HeldOutPortraits, points: PointMap) -> Tensor:
    """Upright crops (n, S, S, 3) about the points that the network places in the hand-placed boxes."""
    first = portraits.crops(CROP_SIZE)
    pixels = [cut(image, crop) for image, crop in zip(portraits.images, first, strict=True)]
    found = np.concatenate(
        [places(network, [pixels[row] for row in rows])[0] for rows in batches(len(pixels), BATCH)]
    )
    landmarks = [points.ibug_landmarks(crop.to_photo(one)) for crop, one in zip(first, found, strict=True)]
    second = _crops(np.stack(landmarks))
    return torch.from_numpy(
        np.stack([cut(image, crop) for image, crop in zip(portraits.images, second, strict=True)])
    )

"""Batches of mixed samples: how many of which kind, and in which order.

A batch is a pure function of (seed, number, rank), so a resumed run sees what an uninterrupted one would have seen,
whatever the number of loader processes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from likeness.train.losses.reconstruction import Targets
from likeness.train.photos.labels import Sources
from likeness.train.photos.samples import Sample, SampleMaker
from likeness.train.recipe_settings import Mix


class People:
    """Who has which pictures: persons with at least two, and the maker's numbers of these.

    People are drawn in proportion to the square root of how many pictures they have: neither those with hundreds
    nor those with two alone make the batches.
    """

    def __init__(self, maker: SampleMaker) -> None:
        pictures: dict[int, list[tuple[bool, int]]] = {}
        frames, photos, pseudo = maker.sources.frames, maker.sources.photos, maker.pseudo
        if frames is not None:
            for number, person in enumerate(frames.person.tolist()):
                pictures.setdefault(person if person >= 0 else -1, []).append((True, number))
        if photos is not None and pseudo is not None:
            first = 0 if frames is None else frames.people
            for number, person in enumerate(photos.person[pseudo.index].tolist()):
                pictures.setdefault(first + person if person >= 0 else -1, []).append((False, number))
        pictures.pop(-1, None)
        self.pictures = [pictures[person] for person in sorted(pictures) if len(pictures[person]) > 1]
        weights = np.sqrt([len(one) for one in self.pictures])
        self.chance = weights / weights.sum()

    def __len__(self) -> int:
        return len(self.pictures)

    def draw(self, count: int, each: int, rng: np.random.Generator) -> list[tuple[bool, int]]:
        """``count`` people (all different while there are enough) with ``each`` pictures: (is a frame, number)."""
        chosen: list[tuple[bool, int]] = []
        for person in rng.choice(len(self), count, replace=count > len(self), p=self.chance):
            mine = self.pictures[person]
            chosen += [mine[i] for i in rng.choice(len(mine), each, replace=len(mine) < each)]
        return chosen


@lru_cache(maxsize=16)
def _permutation(seed: int, epoch: int, source: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, source]).permutation(count)


def together(order: np.ndarray, person: np.ndarray) -> np.ndarray:
    """An order (N,) of pictures -> one in which each person's follow the first of them; ``person`` (N,) says whose
    picture a number is."""
    _, first, whose = np.unique(person[order], return_index=True, return_inverse=True)
    return np.asarray(order[np.argsort(first[whose], kind="stable")])


class TrainBatches(Dataset):
    """Batches by number: ``batches[number]`` is (images (n, 112, 112, 3) uint8, :class:`Targets`).

    Args:
        maker: makes the samples.
        mix: samples per batch and process.
        seed: with number and rank, all that a batch depends on.
        rank, world: this process among those that train together; they share out each source.
        rendered: only so many of the synthetic faces; None: all.
    """

    def __init__(
        self,
        maker: SampleMaker,
        mix: Mix,
        seed: int,
        rank: int = 0,
        world: int = 1,
        rendered: int | None = None,
    ) -> None:
        self.maker, self.mix, self.seed, self.rank, self.world = maker, mix, seed, rank, world
        self.lengths = {
            "frames": _length(maker.sources.frames and maker.sources.frames.images),
            "synthetic": min(_length(maker.sources.synthetic), 1 << 62 if rendered is None else rendered),
            "photos": 0 if maker.sources.photos is None else _length(maker.pseudo and maker.pseudo.index),
            "morphs": _length(maker.sources.morphs),
            "placed": maker.sources.placed,
        }
        self.people = People(maker) if mix.people else None
        if self.people is not None:
            self.lengths["people"] = len(self.people)
        missing = {name for name, count in mix.counts().items() if count and self.lengths.get(name, 1) == 0}
        self.counts = mix.without(missing)
        self._make: dict[str, Callable[[int, np.random.Generator], Sample]] = {
            "frames": maker.frame,
            "synthetic": maker.synthetic,
            "photos": maker.photo,
            "morphs": maker.morph,
            "placed": maker.placed,
        }
        self._order: tuple[tuple[int, int], np.ndarray] | None = None

    def __getitem__(self, number: int) -> tuple[Tensor, Targets]:
        samples: list[Sample] = []
        turn = number * self.world + self.rank
        for source, (kind, count) in enumerate(self.counts.items()):
            generators = [
                np.random.default_rng([self.seed, number, self.rank, source, slot]) for slot in range(count)
            ]
            if kind == "negatives":
                samples += [self.maker.negative(rng) for rng in generators]
            elif kind == "people" and count:
                samples += self._several(np.random.default_rng([self.seed, number, self.rank, source]), generators)
            elif count:
                length = self.lengths[kind]
                for position, rng in enumerate(generators, turn * count):
                    order = self._ordered(kind, source, position // length)
                    samples.append(self._make[kind](int(order[position % length]), rng))
        return collate(samples, self.maker.sources)

    def _ordered(self, kind: str, source: int, epoch: int) -> np.ndarray:
        """In which order a pass goes through a source."""
        order = _permutation(self.seed, epoch, source, self.lengths[kind])
        morphs = self.maker.sources.morphs
        if kind != "morphs" or morphs is None:
            return order
        if self._order is None or self._order[0] != (source, epoch):
            self._order = (source, epoch), together(order, morphs.person)
        return self._order[1]

    def _several(self, rng: np.random.Generator, generators: list[np.random.Generator]) -> list[Sample]:
        """Several pictures of some people."""
        assert self.people is not None
        drawn = self.people.draw(self.mix.people, self.mix.each, rng)
        makers = [self.maker.frame if is_frame else self.maker.photo for is_frame, _ in drawn]
        return [make(one[1], mine) for make, one, mine in zip(makers, drawn, generators, strict=True)]


def _length(values: object) -> int:
    return 0 if values is None else len(values)  # type: ignore[arg-type]


def collate(samples: list[Sample], sources: Sources) -> tuple[Tensor, Targets]:
    """Samples -> images (n, 112, 112, 3) uint8 and targets; what a sample lacks is 0 and its gate is closed."""
    n, model = len(samples), sources.model
    points = 0 if sources.point_map is None else len(sources.point_map)
    shapes = {
        "landmarks": (68, 2),
        "landmark_gate": (),
        "score": (),
        "score_gate": (),
        "shape_gate": (),
        "identity": (len(model.identity_basis),),
        "expression": (len(model.expression_basis),),
        "albedo": (len(model.albedo_basis),),
        "light": (9, 3),
        "rotation": (3, 3),
        "translation": (3,),
        "embedding": (max((len(one.embedding) for one in samples if one.embedding is not None), default=0),),
        "embedding_gate": (),
        "dense": (points, 2),
        "dense_weight": (points,),
    }
    arrays = {name: np.zeros((n, *shape), np.float32) for name, shape in shapes.items()}
    arrays["score_gate"][:] = 1.0
    person = np.full(n, -1, np.int64)
    for row, sample in enumerate(samples):
        arrays["score"][row] = sample.score
        person[row] = sample.person
        if sample.landmarks is not None:
            arrays["landmarks"][row] = sample.landmarks
            arrays["landmark_gate"][row] = sample.landmark_gate
        if sample.embedding is not None:
            arrays["embedding"][row], arrays["embedding_gate"][row] = sample.embedding, 1.0
        if sample.dense is not None:
            arrays["dense"][row], arrays["dense_weight"][row] = sample.dense, sample.dense_weight
        for name, value in sample.labels.items():
            arrays[name][row] = value
        arrays["shape_gate"][row] = 1.0 if sample.labels else 0.0
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return images, Targets(**tensors, person=torch.from_numpy(person))

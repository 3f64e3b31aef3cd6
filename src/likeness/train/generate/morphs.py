"""Morphs: new people between two, and shapes a little beyond, with landmarks and what a teacher sees in them.

    likeness train morphs --data photos/ --teacher teacher.onnx --out work/morphs --count 24000

A few hundred people are few points in the space of faces, and a network that is told where each of them lies learns
those points by heart. A morph is a new point: shape and texture are mixed in shares of their own, the landmarks move
along, and the teacher (a face-recognition network of the user's) says where the result lies. Distilling a teacher on
such mixtures, from the very picture that it has seen, is what Beyer et al. (Knowledge distillation: a good teacher is
patient and consistent, 2022) found to matter most.

Of each new person there are several pictures, from different pictures of the two and in the same shares: what stays
the same from picture to picture is learned from thousands of people, not from a few hundred.

Writes ``image.npy`` (N, S, S, 3) uint8, ``landmarks.npy`` (N, 68, 2) pixels, ``told.npy`` (N, D) embeddings and
``person.npy`` (N,): picture ``n`` shows new person ``n // PICTURES``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from likeness.datasets import Frames, Photos
from likeness.datasets.image_store import readable
from likeness.errors import StrPath
from likeness.geometry.crop import Crop
from likeness.networks.recogniser import Teacher
from likeness.reconstruct.proposals import crop_from_landmarks
from likeness.train.generate.processes import reserve, rows_done, whole_set
from likeness.train.photos.augment import cut
from likeness.train.photos.labels import PseudoLabels

SIZE = 160
MARGIN = 1.4
"""Side of the pictures over that of the crop that the network takes: room for crops that stray."""

CANDIDATES = 12
"""Of so many random partners the one whose landmarks are nearest, so that poses fit."""

PICTURES = 4
"""Pictures of each new person."""

BATCH = 16
"""People whose pictures the teacher sees at once."""


@dataclass(frozen=True, eq=False)
class Face:
    """A picture (H, W, 3) uint8 with 68 landmarks (68, 2), and whose it is (-1: not known)."""

    image: np.ndarray
    landmarks: np.ndarray
    person: int


Leveled = tuple[np.ndarray, np.ndarray]
"""An upright face in the middle of a picture (S, S, 3), and its landmarks there (68, 2)."""


def leveled(face: Face, rng: np.random.Generator) -> Leveled:
    """The face upright in the middle of a picture (S, S, 3), and its landmarks there (68, 2)."""
    crop = crop_from_landmarks(face.landmarks, SIZE, upright=True)
    crop = Crop.from_box(crop.center, MARGIN * crop.side, SIZE, crop.angle)
    return cut(face.image, crop, rng), crop.to_crop(face.landmarks)


def morph(first: Leveled, second: Leveled, shape: float, texture: float) -> Leveled:
    """A face between two leveled ones (:func:`leveled`).

    Args:
        first, second: picture (S, S, 3) uint8 and landmarks (68, 2) pixels.
        shape: share of the second one's landmarks; below 0 the first becomes less like the second.
        texture: share of the second one's pixels, 0 to 1.

    Returns:
        The picture (S, S, 3) and its landmarks (68, 2): each triangle between landmarks is moved affinely.
    """
    size = first[0].shape[0]
    border = np.array([(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)]) * (size - 1)
    landmarks = first[1] + shape * (second[1] - first[1])
    landmarks = landmarks.clip(1, size - 2)
    target = np.concatenate([landmarks, border])
    triangles = _delaunay(target, size)
    number = np.zeros((size, size), np.int32)
    for index, corners in enumerate(triangles):
        cv2.fillConvexPoly(number, np.rint(target[corners]).astype(np.int32), index)
    grid = np.stack([*np.meshgrid(np.arange(size), np.arange(size)), np.ones((size, size))], -1)
    inverse = np.linalg.pinv(np.concatenate([target[triangles], np.ones((len(triangles), 3, 1))], -1))
    mixed = np.zeros(first[0].shape, np.float32)
    for share, (image, points) in ((1 - texture, first), (texture, second)):
        if share > 0:
            source = np.concatenate([points, border])
            affine = inverse @ source[triangles]  # (T, 3, 2), [x y 1] of the target -> source
            place = (grid[..., None, :] @ affine[number])[..., 0, :].astype(np.float32)
            moved = cv2.remap(image, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            mixed += np.float32(share) * moved
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8), landmarks


def _delaunay(points: np.ndarray, size: int) -> np.ndarray:
    """Triangles (T, 3) of points (N, 2) inside a picture."""
    division = cv2.Subdiv2D((-1, -1, size + 2, size + 2))
    number = {}
    for index, (x, y) in enumerate(points.astype(np.float32)):
        number[division.insert((float(x), float(y)))] = index
    corners = []
    for edge in division.getLeadingEdgeList():
        # The triangle left of an edge: its origin, then those of the next two edges around.
        around = [edge, division.getEdge(edge, cv2.Subdiv2D_NEXT_AROUND_LEFT)]
        around.append(division.getEdge(around[1], cv2.Subdiv2D_NEXT_AROUND_LEFT))
        vertices = [number.get(division.edgeOrg(one)[0], -1) for one in around]
        if min(vertices) >= 0:
            corners.append(vertices)
    return np.array(corners)


class FacesByPerson:
    """Whose faces there are: ``faces`` holds for each person the numbers of its faces.

    A face of an unknown person counts as one of its own.

    Raises:
        ValueError: there are not two people.
    """

    def __init__(self, faces: list[Face]) -> None:
        whose: dict[int, list[int]] = {}
        for number, face in enumerate(faces):
            whose.setdefault(face.person if face.person >= 0 else -1 - number, []).append(number)
        if len(whose) < 2:
            raise ValueError(f"expected faces of at least two people to mix, got {len(whose)}")
        self.faces = [np.array(numbers) for numbers in whose.values()]
        plain = np.random.default_rng(0)
        self._places = np.stack([leveled(face, plain)[1].ravel() for face in faces])
        # By the square root of how many pictures there are: neither those with hundreds nor those with one make all.
        weights = np.sqrt([len(numbers) for numbers in self.faces])
        self._chance = weights / weights.sum()

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """The numbers of so many people, all different; fewer if there are not as many."""
        drawn = rng.choice(len(self.faces), min(count, len(self.faces)), replace=False, p=self._chance)
        return [int(one) for one in drawn]

    def nearest(self, numbers: np.ndarray, person: int, rank: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """For faces (n,) those of a person that are posed most alike (n,), and how far their landmarks are apart;
        with ``rank`` (n,) the next best but so many, as far as there are."""
        theirs = self.faces[person]
        apart = np.abs(self._places[numbers][:, None] - self._places[theirs]).sum(-1)
        wanted = np.zeros(len(numbers), int) if rank is None else np.minimum(rank, len(theirs) - 1)
        best = np.take_along_axis(np.argsort(apart, axis=1), wanted[:, None], 1)[:, 0]
        return theirs[best], float(np.take_along_axis(apart, best[:, None], 1).sum())


def make_person(faces: list[Face], people: FacesByPerson, rng: np.random.Generator) -> list[Leveled]:
    """:data:`PICTURES` pictures of a random new person, each with its landmarks.

    Args:
        faces: all faces.
        people: whose they are.
        rng: draws who and how much.
    """
    first, *others = people.draw(1 + CANDIDATES, rng)
    mine = np.resize(rng.permutation(people.faces[first]), PICTURES)
    again = np.arange(PICTURES) // len(people.faces[first])  # a picture that comes again meets the next best partner
    nearest = [people.nearest(mine, other, again) for other in others]
    partners = min(nearest, key=lambda found: found[1])[0]
    shape = rng.uniform(0.0, 1.0) if rng.random() < 0.7 else rng.uniform(-0.4, 0.0)
    texture = rng.uniform(0.0, 0.6) if rng.random() < 0.8 else 0.0
    return [
        morph(leveled(faces[one], rng), leveled(faces[other], rng), shape, texture)
        for one, other in zip(mine, partners, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Writer:
    """Makes rows of the files in a folder.

    Args:
        faces, people: to mix.
        teacher: the file of the network that sees the result.
        out, seed: as of :func:`write_morphs`.
    """

    faces: list[Face]
    people: FacesByPerson
    teacher: Path
    out: Path
    seed: int

    def __call__(self, rows: range) -> None:
        """Rows that begin with a person's first."""
        new = range(rows.start // PICTURES, -(-rows.stop // PICTURES))
        generators = {person: np.random.default_rng([self.seed, person]) for person in new}
        made = [one for rng in generators.values() for one in make_person(self.faces, self.people, rng)]
        made = made[: len(rows)]
        teacher = _teacher(self.teacher)
        found = {
            "image": np.stack([image for image, _ in made]),
            "landmarks": np.stack([points for _, points in made]),
            "told": teacher(np.stack([teacher.aligned(*one) for one in made])),
        }
        for name, values in found.items():
            array = np.load(self.out / f"{name}.npy", mmap_mode="r+")
            array[rows.start : rows.stop] = values
            array.flush()


@cache
def _teacher(path: Path) -> Teacher:
    """A process's own, on one thread: there are as many processes as wanted."""
    return Teacher.load(path, threads=1)


def write_morphs(
    faces: list[Face], teacher: StrPath, out: Path, count: int, seed: int = 0, processes: int = 1
) -> Iterator[int]:
    """Make ``count`` morphs of ``faces`` into ``out`` (see the module's docstring); yields how many are done.

    How many processes share the work changes nothing of the result.

    Raises:
        ValueError: there are not two people.
        FileError: the teacher cannot be used.
    """
    size = Teacher.load(teacher).size
    shapes = {"image": ((SIZE, SIZE, 3), np.uint8), "landmarks": ((68, 2), np.float32), "told": ((size,), np.float32)}
    chunks = [range(start, min(start + BATCH * PICTURES, count)) for start in range(0, count, BATCH * PICTURES)]
    people = FacesByPerson(faces)
    with whole_set(out, "image.npy") as stage:
        for name, (shape, kind) in shapes.items():
            reserve(stage / f"{name}.npy", kind, (count, *shape))
        np.save(stage / "person.npy", np.arange(count, dtype=np.int32) // PICTURES)
        yield from rows_done(_Writer(faces, people, Path(teacher), stage, seed), chunks, processes)


def faces_of(frames: Frames | None, photos: Photos | None, pseudo: PseudoLabels | None) -> list[Face]:
    """All faces with landmarks: annotated ones, and photos that a network has labelled."""
    faces = []
    if frames is not None:
        faces += [
            Face(image, frames.landmarks[number], int(frames.person[number]))
            for number, image in readable(frames.images, range(len(frames.images)))
        ]
    if photos is not None and pseudo is not None:
        first = 0 if frames is None else frames.people
        for index, points in zip(pseudo.index.tolist(), pseudo.landmarks, strict=True):
            person = int(photos.person[index])
            for _, image in readable(photos.images, [index]):
                faces.append(Face(image, points, first + person if person >= 0 else -1))
    return faces

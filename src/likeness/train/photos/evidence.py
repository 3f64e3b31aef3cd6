"""What shapes people have, as far as the labelled points of all their photos together tell.

One photo's points say little of a person: pose, perspective and expression bend them, and what a labeller gets wrong
in one photo it gets wrong in all neighbouring points. Of many photos one shape is asked for that explains them all,
each with its own pose and expression (:func:`likeness.fit.fit_person`). Whether it is the person's own is told by
halves: of two disjoint sets of a person's photos both shapes should be alike, and unlike other people's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from likeness.datasets.dense_labels import PlacedPoints, key_of
from likeness.datasets.image_store import ImageStore
from likeness.errors import FileError, StrPath
from likeness.files import npz_bytes, write_atomically
from likeness.fit import ExpressionPrior, IdentityPrior, fit_person
from likeness.geometry.camera import FOCAL_PER_SIZE, Camera, image_center
from likeness.geometry.crop import Crop
from likeness.metrics.roc import auc, counts_of
from likeness.model.face_model import FaceModel
from likeness.readers import read_npz
from likeness.reconstruct.proposals import crop_from_landmarks
from likeness.reconstruct.teacher_fit import placed_observations
from likeness.train.photos.labels import Sources

SIZE = 112
"""Side of the crops in whose pixels points are fitted: that of what the network sees."""

DISTANT = 1.6
"""How much longer than a crop's camera those of photographs are: faces are taken from 1.5 m rather than from 0.9."""

UNSURE_MM = 5.0
"""By how much a label misses its surface point, standard deviation: more than its own deviation, because neighbouring
ones err together."""

PHOTO_FREEDOM = 4.0
"""Degrees of freedom of the loss by which a photo of somebody else loses its say."""

MOST, HALVED = 20, 8
"""Photos of a person that are fitted at most; so many are needed for halves."""

LARGEST = 1 << 30
"""Bytes that one array of a file may claim."""


@dataclass(frozen=True, eq=False)
class PlacedFaces:
    """Labelled points of known people's photos, in crops about them.

    Args:
        key: N names of the pictures.
        is_frame: (N,) bool: of the sources' frames, otherwise of their photos.
        number: (N,) of the picture in its source.
        person: (N,) its number among all people of the sources.
        crops: N, upright.
        points: (N, P, 2) crop pixels.
        deviation: (N, P) crop pixels; 0: not known.
        embedding: (N, D) of a face-recognition network, rows of NaN where it was not asked; None: nowhere.
    """

    key: tuple[str, ...]
    is_frame: np.ndarray
    number: np.ndarray
    person: np.ndarray
    crops: tuple[Crop, ...]
    points: np.ndarray
    deviation: np.ndarray
    embedding: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.key)

    @cached_property
    def rows(self) -> dict[int, np.ndarray]:
        """The photos of each person, people in the order of their numbers."""
        order = np.argsort(self.person, kind="stable")
        people, starts = np.unique(self.person[order], return_index=True)
        return dict(zip(people.tolist(), np.split(order, starts[1:]), strict=True))

    def first(self, people: int | None) -> PlacedFaces:
        """Those of so many people; None: of all."""
        kept = np.isin(self.person, [*self.rows][:people])
        chosen = np.flatnonzero(kept).tolist()
        return PlacedFaces(
            tuple(self.key[row] for row in chosen),
            self.is_frame[kept],
            self.number[kept],
            self.person[kept],
            tuple(self.crops[row] for row in chosen),
            self.points[kept],
            self.deviation[kept],
            None if self.embedding is None else self.embedding[kept],
        )


def placed_faces(sources: Sources) -> PlacedFaces:
    """The labelled photos of known people.

    Raises:
        ValueError: there are none, or there is no map of the points.
    """
    points = sources.point_map
    if points is None:
        raise ValueError("expected the map of the surface points that are labelled")
    key: list[str] = []
    crops: list[Crop] = []
    parts: list[tuple[np.ndarray, ...]] = []
    for is_frame, source, known in (
        (True, sources.frames, sources.frame_points),
        (False, sources.photos, sources.photo_points),
    ):
        if source is None or known is None:
            continue
        person = np.array([sources.numbered(int(source.person[number]), is_frame) for number in known.index], int)
        kept = np.flatnonzero(person >= 0)
        cut = [crop_from_landmarks(known.points[row][points.ibug], SIZE, upright=True) for row in kept]
        crops += cut
        key += [_name(source.images, number) for number in known.index[kept].tolist()]
        size = sources.embedding_size
        parts.append(
            (np.full(len(kept), is_frame), known.index[kept], person[kept], *_in_crops(known, kept, cut, size))
        )
    if not crops:
        raise ValueError("expected labelled points of photos of known people, got none")
    is_frame_, number, person, places, deviation, embedding = (
        np.concatenate(some) for some in zip(*parts, strict=True)
    )
    there = embedding if sources.embedding_size else None
    return PlacedFaces(tuple(key), is_frame_, number, person, tuple(crops), places, deviation, there)


def _name(images: ImageStore, number: int) -> str:
    return key_of(images.places.names[number])


def _in_crops(
    known: PlacedPoints, rows: np.ndarray, crops: list[Crop], size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points and deviations in crop pixels, and embeddings of so many numbers."""
    count, places = len(rows), known.points.shape[1]
    points, deviation = np.zeros((count, places, 2), np.float32), np.zeros((count, places), np.float32)
    for row, (index, crop) in enumerate(zip(rows.tolist(), crops, strict=True)):
        points[row] = crop.to_crop(known.points[index])
        if known.deviation is not None:
            deviation[row] = known.deviation[index] / crop.scale
    embedding = np.full((count, size), np.nan, np.float32) if known.embedding is None else known.embedding[rows]
    return points, deviation, embedding


def crop_camera() -> Camera:
    """What the crops of photographs are taken to be taken with."""
    return Camera(DISTANT * FOCAL_PER_SIZE * SIZE, image_center((SIZE, SIZE)), (SIZE, SIZE))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Shapes of N people.

    Args:
        key: N names of each person's first picture.
        code: (N, K) float32, inside the sphere.
        pictures: (N,) how many photos it is of.
        halves: (N, 2, K) float32, of two halves of the photos; NaN where there are too few.
    """

    key: tuple[str, ...]
    code: np.ndarray
    pictures: np.ndarray
    halves: np.ndarray

    def __len__(self) -> int:
        return len(self.key)


def evidence_of_people(
    model: FaceModel,
    faces: PlacedFaces,
    sources: Sources,
    *,
    halves: bool = True,
    report: Callable[[int, int], None] | None = None,
    seed: int = 0,
) -> Evidence:
    """The shape of everybody, in the order of :attr:`PlacedFaces.rows`.

    Args:
        model: the face model.
        faces: their labelled photos.
        sources: where these are from: has the map of the points.
        halves: also fit halves, three times the work.
        report: hears how many of how many people are done.
        seed: of which photos are chosen where there are many.

    Raises:
        ValueError: points that no face explains (:func:`likeness.fit.fit_person`).
    """
    points = sources.point_map
    assert points is not None
    population, expression = IdentityPrior.population(model), ExpressionPrior.default(model)

    def shape_of(rows: np.ndarray) -> np.ndarray:
        seen = [placed_observations(model, faces.points[r], faces.deviation[r], points, UNSURE_MM) for r in rows]
        fit = fit_person(
            model,
            seen,
            [crop_camera()] * len(rows),
            identity=population,
            expression=expression,
            photo_freedom=PHOTO_FREEDOM,
        )
        return fit.identity

    rng, people, size = np.random.default_rng(seed), faces.rows, len(model.identity_basis)
    code, halved = np.zeros((len(people), size), np.float32), np.full((len(people), 2, size), np.nan, np.float32)
    for done, everything in enumerate(people.values()):
        rows = rng.permutation(everything)
        code[done] = shape_of(rows[:MOST])
        if halves and len(rows) >= HALVED:
            middle = len(rows) // 2
            halved[done] = [shape_of(half[:MOST]) for half in (rows[:middle], rows[middle:])]
        if report is not None:
            report(done + 1, len(people))
    key = tuple(faces.key[rows[0]] for rows in people.values())
    pictures = np.array([min(MOST, len(rows)) for rows in people.values()])
    return Evidence(key, code, pictures, halved)


def agreement(evidence: Evidence, factor: np.ndarray) -> dict[str, float]:
    """Whether halves of people's photos agree: RMS distances in mm of a person's halves (``halves_within_mm``) and of
    different people's (``halves_between_mm``), and the AUC of telling the former from the latter (``halves_auc``).
    Nothing where fewer than two people have halves.

    Args:
        evidence: with halves.
        factor: (K, K) L of the metric, mm per unit of code.
    """
    known = np.isfinite(evidence.halves).all((1, 2))
    if known.sum() < 2:
        return {}
    first, second = np.moveaxis(evidence.halves[known].astype(np.float64) @ factor, 1, 0)
    distance = np.linalg.norm(first[:, None] - second, axis=-1)
    own = np.eye(len(distance), dtype=bool)
    within, between = distance[own], distance[~own]
    _, genuine, impostor = counts_of(within, between)
    return {
        "halves_within_mm": float(np.sqrt((within**2).mean())),
        "halves_between_mm": float(np.sqrt((between**2).mean())),
        "halves_auc": float(auc(genuine, impostor)),
    }


def write_evidence(path: StrPath, evidence: Evidence) -> None:
    """Write what :func:`read_evidence` reads; raises FileError."""
    arrays = {
        "key": np.array(evidence.key),
        "code": evidence.code.astype(np.float32),
        "pictures": evidence.pictures.astype(np.int32),
        "halves": evidence.halves.astype(np.float32),
    }
    write_atomically(path, npz_bytes(arrays))


def read_evidence(path: StrPath, size: int) -> Evidence:
    """Read an ``.npz`` of :func:`write_evidence`.

    Args:
        path: the file.
        size: K, numbers per code.

    Raises:
        FileError: missing, damaged, of other shapes, or with codes that are not finite.
    """
    arrays = read_npz(path, "shapes of people", LARGEST)
    missing = {"key", "code", "pictures", "halves"} - set(arrays)
    if missing:
        raise FileError(path, f"expected shapes of people, but {min(missing)} is missing")
    key, code, pictures, halves = (arrays[name] for name in ("key", "code", "pictures", "halves"))
    count = len(key) if key.ndim == 1 and key.dtype.kind == "U" else -1
    if code.shape != (count, size) or halves.shape != (count, 2, size) or pictures.shape != (count,):
        raise FileError(path, f"expected codes ({count}, {size}) and their halves, got {code.shape}, {halves.shape}")
    if code.dtype.kind != "f" or halves.dtype.kind != "f" or pictures.dtype.kind not in "iu":
        raise FileError(path, f"expected floats and counts, got {code.dtype}, {halves.dtype} and {pictures.dtype}")
    if not np.isfinite(code).all() or (count and pictures.min() < 1):
        raise FileError(path, "expected finite codes, each of a picture at least")
    return Evidence(tuple(key.tolist()), code.astype(np.float32), pictures, halves.astype(np.float32))

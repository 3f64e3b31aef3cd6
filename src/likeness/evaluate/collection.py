"""What all evaluations work on: codes or meshes with names and people, whatever they were read from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from likeness.datasets.identities import people_of, person_among
from likeness.datasets.listing import people_told
from likeness.datasets.test_sets import NOBODY, PhotoItem
from likeness.errors import Excluded, StrPath, printable
from likeness.evaluate.predictions import FoundFace, Prediction
from likeness.metrics.distances import Measure
from likeness.metrics.procrustes import Aligned
from likeness.metrics.records import Pairs, Samples
from likeness.model.face_model import FaceModel


@dataclass(frozen=True, eq=False)
class Collection:
    """Faces of people.

    Args:
        kind: ``photos``, ``results``, ``codes`` or ``meshes``.
        names: N, one each.
        labels: (N,) identities; empty where it is not known who it is.
        groups: (N,) clips or sessions, see :class:`likeness.metrics.Samples`; None: each its own.
        excluded: what was left out, and why.
        codes: (N, K), for all kinds but meshes.
        model: whose codes these are, where that is known.
        aligned: the meshes in one pose, for meshes.
        triangles: (F, 3), for meshes.
        faces: N, for photos and results.
        items: the N photos, for photos.
        pairs: those that the input itself names.
        read: lines that say what was taken for what: people, splits.
        splits: names of the splits that the faces are from.
    """

    kind: str
    names: tuple[str, ...]
    labels: np.ndarray
    groups: np.ndarray | None
    excluded: tuple[Excluded, ...] = ()
    codes: np.ndarray | None = None
    model: FaceModel | None = None
    aligned: Aligned | None = None
    triangles: np.ndarray | None = None
    faces: tuple[FoundFace, ...] | None = None
    items: tuple[PhotoItem, ...] | None = None
    pairs: Pairs | None = None
    read: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_shapes(self) -> bool:
        """Whether vertices are known."""
        return self.aligned is not None or self.model is not None

    def samples(self) -> Samples:
        """Codes with people and groups.

        Raises:
            ValueError: these are meshes.
        """
        if self.codes is None:
            raise ValueError("expected codes, got meshes")
        return Samples(self.codes, self.labels, self.groups)

    def vertices(self, index: int | np.ndarray) -> np.ndarray:
        """Neutral shapes (..., V, 3) mm of one face or some.

        Raises:
            ValueError: only codes are known, of no face model.
        """
        if self.aligned is not None:
            return self.aligned.vertices[index]
        if self.model is None or self.codes is None:
            raise ValueError("expected a face model (--model) to see the shapes of codes, got none")
        return self.model.vertices(self.model.space.project(self.codes[index]))

    @property
    def faces_triangles(self) -> np.ndarray:
        """(F, 3) triangles of :meth:`vertices`."""
        if self.triangles is not None:
            return self.triangles
        return np.zeros((0, 3), np.int32) if self.model is None else self.model.topology.triangles

    @cached_property
    def region(self) -> np.ndarray:
        """(V,) bool: the vertices that are measured: the model's face region, or what meshes were aligned on."""
        if self.aligned is not None:
            return self.aligned.weights > 0
        if self.model is None:
            return np.zeros(0, bool)
        everywhere = np.ones(len(self.model.mean), bool)
        return self.model.topology.regions.get("face", everywhere)

    @cached_property
    def embedding(self) -> tuple[np.ndarray, str]:
        """(N, D) whose Euclidean distances say how alike two faces are, and the distances' unit: mm of shape where
        shapes are known, else of unit codes (their distance grows with the cosine's)."""
        if self.aligned is not None:
            return self.aligned.embedded(), "mm"
        codes = self.samples().codes
        if self.model is not None:
            return self.model.geometry(self.model.space.project(codes)), "mm"
        return Measure("cosine").prepare(codes, codes[0]), "of unit codes"

    def told(self, path: StrPath) -> Collection:
        """With a line that says what was read from a path, where there is none yet: splits, people and how many."""
        if self.read:
            return self
        splits = tuple(sorted({s for s in people_of(self.names, lone_folder=True).split if s is not None}))
        who = people_told([str(label) for label in self.labels if label != ""], splits)
        return replace(self, read=(f"{printable(path)}: {self.kind}: {len(self):,}, {who}",), splits=splits)

    def summary(self) -> dict[str, Any]:
        """What was read, for the head of the results."""
        crowded = sum(face.faces > 1 for face in self.faces or ())
        return {
            "kind": self.kind,
            "used": len(self),
            "people": len({*self.labels.tolist()} - {""}),
            "splits": list(self.splits) or None,
            "groups": None if self.groups is None else len(set(zip(self.labels, self.groups, strict=True))),
            "excluded": len(self.excluded),
            "model": None if self.model is None else self.model.name,
            "more_than_one_face": crowded,
            "read": list(self.read),
        }


def from_predictions(
    predictions: Sequence[Prediction],
    model: FaceModel,
    excluded: Iterable[Excluded] = (),
    *,
    kind: str = "photos",
) -> Collection:
    """The photos with a face; the others are listed, and so are people of whom none is left.

    Raises:
        ValueError: no photo has a face.
    """
    used = [p for p in predictions if p.face is not None]
    gone = [*excluded, *(Excluded(p.item.name, p.reason) for p in predictions if p.face is None)]
    if not used:
        reason = f"; the first: {gone[0].item}: {gone[0].reason}" if gone else ""
        raise ValueError(f"expected faces, found none in {len(predictions)} photos{reason}")
    labels = [p.item.identity for p in used]
    lost = sorted({p.item.identity for p in predictions} - {*labels, ""})
    gone += [Excluded(person, "no photo of this person is left") for person in lost]
    faces = tuple(p.face for p in used if p.face is not None)
    return Collection(
        kind=kind,
        names=tuple(p.item.name for p in used),
        labels=np.array(labels),
        groups=grouped([p.item.group for p in used], [p.item.name for p in used]),
        excluded=tuple(gone),
        codes=np.stack([face.identity for face in faces]),
        model=model,
        faces=faces,
        items=tuple(p.item for p in used) if kind == "photos" else None,
    )


def grouped(groups: Sequence[str | None], names: Sequence[str]) -> np.ndarray | None:
    """(N,) groups; None where there are none at all. Those without one get a group of their own."""
    if not any(groups):
        return None
    return np.array([name if group is None else group for group, name in zip(groups, names, strict=True)])


def without(collection: Collection, unwanted: Iterable[str]) -> Collection:
    """Leave out people or photos by name; each photo is listed.

    Raises:
        ValueError: nobody is left, or these are meshes (which are aligned together: leave their files out).
    """
    names = set(unwanted)
    if not names:
        return collection
    if collection.aligned is not None:
        raise ValueError("expected photos, results or codes to exclude people from; of meshes leave out the files")
    keep = np.array(
        [n not in names and label not in names for n, label in zip(collection.names, collection.labels, strict=True)]
    )
    if not keep.any():
        raise ValueError(f"expected someone who is not excluded, got none of {len(collection)} photos")
    return _kept(collection, keep, "is on the list of names to exclude")


def of_known_people(collection: Collection) -> Collection:
    """Without the faces of whom it is not known who they are; each is listed.

    Raises:
        ValueError: nobody is left.
    """
    known = np.array([label != "" for label in collection.labels])
    if not known.any():
        raise ValueError(
            "expected an input that tells who is in the photos (IDENTITY/NAME.jpg, or NAME.json with identity), got "
            f"{len(collection)} faces of nobody known"
        )
    return collection if known.all() else _kept(collection, known, NOBODY)


def named_among(collection: Collection, people: Iterable[str]) -> Collection:
    """With the people of whom there are scans told by any folder of a face's path."""
    wanted = set(people)
    labels = [
        person_among(name, wanted, str(label))
        for name, label in zip(collection.names, collection.labels, strict=True)
    ]
    return replace(collection, labels=np.array(labels))


def _kept(collection: Collection, keep: np.ndarray, reason: str) -> Collection:
    """The faces that a mask (N,) keeps; the others are listed. Not of meshes, which are aligned together."""
    rows = np.flatnonzero(keep)
    return replace(
        collection,
        names=tuple(collection.names[row] for row in rows),
        labels=collection.labels[rows],
        groups=None if collection.groups is None else collection.groups[rows],
        excluded=(*collection.excluded, *(Excluded(collection.names[row], reason) for row in np.flatnonzero(~keep))),
        codes=None if collection.codes is None else collection.codes[rows],
        faces=None if collection.faces is None else tuple(collection.faces[row] for row in rows),
        items=None if collection.items is None else tuple(collection.items[row] for row in rows),
    )

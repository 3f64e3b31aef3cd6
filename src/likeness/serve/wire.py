"""What the server and the processes that work for it tell each other."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from likeness.model.face_model import FaceModel
from likeness.reconstruct.people import Sighting
from likeness.reconstruct.person import Person
from likeness.reconstruct.result import Reconstruction

MODEL = "model"
"""What stands for the face model, which both sides have, in place of its megabytes."""


@dataclass(frozen=True)
class PhotoTask:
    """A photo to make heads of.

    Args:
        data: the file's bytes.
        faces: how many at most.
        texture: side of the skins in texels; None: none.
    """

    data: bytes
    faces: int
    texture: int | None


@dataclass(frozen=True, eq=False)
class PeopleTask:
    """Faces to sort into people. ``label`` of each is its head's id, ``given`` its photo's bytes."""

    faces: tuple[Sighting, ...]
    texture: int | None


@dataclass(frozen=True)
class Step:
    """How far a task is: a sentence, and the share from 0 to 1 that is done."""

    text: str
    share: float


@dataclass(frozen=True)
class Failed:
    """Why a task came to nothing: a kind of :data:`likeness.serve.problems.KINDS`, and a sentence."""

    kind: str
    detail: str


@dataclass(frozen=True, eq=False)
class Made:
    """A head that was made.

    Args:
        head: a face's or a person's, without pixels.
        skin: (S, S, 3) uint8 texture, if there is one.
        portrait: JPEG of the head at rest.
        members: ids of the heads that it was made of, for a person.
    """

    head: Reconstruction | Person
    skin: np.ndarray | None
    portrait: bytes
    members: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PhotoDone:
    """What became of a photo: its heads, best first, a smaller JPEG of it, and what to know of it (or nothing)."""

    made: tuple[Made, ...]
    preview: bytes
    note: str


@dataclass(frozen=True, eq=False)
class PeopleDone:
    """People, with the most photos first, and ids of the heads that are nobody's for certain."""

    made: tuple[Made, ...]
    unsure: tuple[str, ...]


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> str | None:
        return MODEL if isinstance(value, FaceModel) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, model: FaceModel) -> None:
        super().__init__(io.BytesIO(data))
        self._model = model

    def persistent_load(self, name: Any) -> FaceModel:
        return self._model


def send(pipe: Connection, value: Any) -> None:
    """Send anything; OSError where the other side has gone."""
    packed = io.BytesIO()
    _Pickler(packed, pickle.HIGHEST_PROTOCOL).dump(value)
    pipe.send_bytes(packed.getbuffer())


def receive(pipe: Connection, model: FaceModel) -> Any:
    """Receive what :func:`send` sent; EOFError or OSError where the other side has gone."""
    return _Unpickler(pipe.recv_bytes(), model).load()

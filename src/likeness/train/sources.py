"""What training reads: archives of pictures and folders of synthetic faces, held in memory or mapped."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from likeness.errors import FileError, StrPath
from likeness.face_model import FaceModel

IMAGE_SUFFIXES = {".webp", ".jpg", ".jpeg", ".png", ".bmp"}

DECODED_LIMIT = 4 << 30
"""Bytes of pictures that are kept decoded; a larger archive is decoded picture by picture."""


class ImageStore(Sequence[np.ndarray]):
    """Pictures (H, W, 3) uint8 RGB by number, decoded once if all of them fit into ``limit`` bytes."""

    def __init__(self, encoded: list[bytes], names: list[str], path: StrPath, limit: int = DECODED_LIMIT) -> None:
        self._encoded, self._names, self._path = encoded, names, path
        self._decoded: list[np.ndarray] | None = None
        if not encoded:
            raise FileError(path, "expected an archive with pictures, found none")
        if self._decode(0).nbytes * len(encoded) < limit:
            self._decoded = [self._decode(number) for number in range(len(encoded))]
            self._encoded = []

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, number: int) -> np.ndarray:  # type: ignore[override]
        return self._decode(number) if self._decoded is None else self._decoded[number]

    def _decode(self, number: int) -> np.ndarray:
        image = cv2.imdecode(np.frombuffer(self._encoded[number], np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise FileError(self._path, f"expected a picture in {self._names[number]}, cannot decode it")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@dataclass(frozen=True, eq=False)
class Frames:
    """Pictures with 68 landmarks.

    Args:
        images: N pictures.
        landmarks: (N, 68, 2) float32, pixels, (0, 0) the first pixel's centre.
        person: (N,) int64 number of the identity within this source, -1 unknown.
        clip: (N,) the clip's name: frames of one clip are alike.
    """

    images: ImageStore
    landmarks: np.ndarray
    person: np.ndarray
    clip: tuple[str, ...]

    @property
    def people(self) -> int:
        """How many identities there are."""
        return int(self.person.max()) + 1


@dataclass(frozen=True, eq=False)
class Photos:
    """Pictures without landmarks: ``images`` and ``person`` as in :class:`Frames`."""

    images: ImageStore
    person: np.ndarray

    @property
    def people(self) -> int:
        """How many identities there are."""
        return int(self.person.max()) + 1


def _members(path: StrPath) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Files of a tar in the order of their names."""
    try:
        with tarfile.open(path) as archive:
            for member in sorted(archive.getmembers(), key=lambda m: m.name):
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield PurePosixPath(member.name), stream.read()
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    except tarfile.TarError as error:
        raise FileError(path, f"expected a tar archive ({error})") from error


def _numbered(labels: list[str | None]) -> np.ndarray:
    """Names -> (N,) numbers in the order of the names; None -> -1."""
    number = {name: index for index, name in enumerate(sorted({name for name in labels if name is not None}))}
    return np.array([-1 if name is None else number[name] for name in labels], np.int64)


def read_frames(path: StrPath) -> Frames:
    """Read a WebDataset tar of pictures ``KEY.webp`` (or .jpg, .png), each with ``KEY.json`` = {landmarks,
    identity?, clip?}.

    Raises:
        FileError: no tar, a picture without landmarks, or not 68 of them.
    """
    encoded: dict[str, bytes] = {}
    notes: dict[str, dict] = {}
    for name, data in _members(path):
        if name.suffix == ".json":
            try:
                notes[str(name.with_suffix(""))] = json.loads(data)
            except ValueError as error:
                raise FileError(path, f"expected JSON in {name} ({error})") from error
        elif name.suffix in IMAGE_SUFFIXES:
            encoded[str(name.with_suffix(""))] = data
    landmarks, people, clips = [], [], []
    for key in encoded:
        note = notes.get(key, {})
        points = np.array(note.get("landmarks", ()), np.float32)
        if points.shape != (68, 2):
            raise FileError(path, f"expected 68 landmarks [x, y] in {key}.json, got {points.shape}")
        landmarks.append(points)
        people.append(note.get("identity"))
        clips.append(str(note.get("clip", key)))
    store = ImageStore(list(encoded.values()), list(encoded), path)
    return Frames(store, np.stack(landmarks), _numbered(people), tuple(clips))


def read_photos(path: StrPath) -> Photos:
    """Read a tar of pictures ``IDENTITY/NAME.webp`` (or .jpg, .png); the folder is the identity.

    Raises:
        FileError: no tar, or no pictures in it.
    """
    names: list[str] = []
    encoded: list[bytes] = []
    people: list[str | None] = []
    for name, data in _members(path):
        if name.suffix in IMAGE_SUFFIXES:
            names.append(str(name))
            encoded.append(data)
            people.append(name.parent.name or None)
    store = ImageStore(encoded, names, path)
    return Photos(store, _numbered(people))


class SyntheticFaces:
    """The folder that :mod:`likeness.train.synthetic` writes, memory-mapped: one ``.npy`` per field.

    Attributes:
        rgba: (N, S, S, 4) uint8, colours not multiplied by alpha.
        identity, expression, albedo: (N, K), (N, 52), (N, A).
        light: (N, 9, 3) upright camera axes.
        rotation, translation: (N, 3, 3), (N, 3) mm: ``pixel = K (R x + t)``, principal point in the middle.
        focal: (N,) pixels.

    Raises:
        FileError: a file is missing, is no array, or has another length or shape than the model needs.
    """

    def __init__(self, folder: StrPath, model: FaceModel) -> None:
        self.folder = Path(folder)
        self.rgba = self._field("rgba", (None, None, 4))
        self.identity = self._field("identity", (len(model.identity_basis),))
        self.expression = self._field("expression", (len(model.expression_basis),))
        self.albedo = self._field("albedo", (len(model.albedo_basis),))
        self.light = self._field("light", (9, 3))
        self.rotation = self._field("rotation", (3, 3))
        self.translation = self._field("translation", (3,))
        self.focal = self._field("focal", ())

    def __len__(self) -> int:
        return len(self.rgba)

    def _field(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r")
        except OSError as error:
            raise FileError(path, f"cannot be read ({error.strerror or error})") from error
        except ValueError as error:
            raise FileError(path, f"expected a .npy array ({error})") from error
        count = len(array) if name == "rgba" and array.ndim else len(self.rgba)
        fits = array.ndim == len(shape) + 1 and all(
            want in (None, got) for want, got in zip((count, *shape), array.shape, strict=True)
        )
        if not fits:
            raise FileError(path, f"expected an array {(count, *shape)} for this face model, got {array.shape}")
        return array

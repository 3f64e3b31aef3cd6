"""Where encoded pictures lie, and pictures by number: decoded when asked for, or once if all of them are small."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from likeness.datasets.archives import MAX_MEMBER_BYTES
from likeness.errors import FileError, as_file_error, printable
from likeness.images.header import FORMATS, is_known, read_header
from likeness.images.photo import photo_from_bytes

DECODED_LIMIT = 4 << 30
"""Bytes of pictures that are kept decoded; what is larger is decoded picture by picture."""

HEAD, TAIL = 64, 1024
"""Bytes at either end of a picture that tell whether it is one and whole."""

SIZED = 32
"""Pictures of a store whose size is looked at to tell how large all are."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where N encoded pictures lie: pieces of archives, or files below folders. Small, and the same in any process.

    Args:
        roots: the archives and folders.
        root: (N,) int32 which of them.
        names: N members of the archive, or paths below the folder.
        offset, size: (N,) int64 bytes, of a member's content; offset -1: a file of its own, whole.
    """

    roots: tuple[Path, ...]
    root: np.ndarray
    names: tuple[str, ...]
    offset: np.ndarray
    size: np.ndarray

    @classmethod
    def of_members(cls, archive: Path, members: Sequence[tuple[str, int, int]]) -> Places:
        """Members (name, offset, size) of an archive."""
        offset, size = (np.array([member[column] for member in members], np.int64) for column in (1, 2))
        return cls((archive,), np.zeros(len(members), np.int32), tuple(m[0] for m in members), offset, size)

    @classmethod
    def of_files(cls, folder: Path, names: Sequence[str]) -> Places:
        """Files below a folder."""
        nowhere = np.full(len(names), -1, np.int64)
        return cls((folder,), np.zeros(len(names), np.int32), tuple(names), nowhere, nowhere)

    @classmethod
    def joined(cls, parts: Sequence[Places]) -> Places:
        """One after the other."""
        starts = np.cumsum([0, *(len(part.roots) for part in parts)])
        return cls(
            tuple(root for part in parts for root in part.roots),
            np.concatenate([part.root + int(start) for part, start in zip(parts, starts, strict=False)]),
            tuple(name for part in parts for name in part.names),
            np.concatenate([part.offset for part in parts]),
            np.concatenate([part.size for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.names)

    def select(self, numbers: np.ndarray) -> Places:
        """Those of the numbers, in their order."""
        names = tuple(self.names[number] for number in numbers.tolist())
        return Places(self.roots, self.root[numbers], names, self.offset[numbers], self.size[numbers])

    def path(self, number: int) -> Path | None:
        """The picture's own file; None where it lies in an archive."""
        return self.roots[int(self.root[number])] / self.names[number] if int(self.offset[number]) < 0 else None

    def label(self, number: int) -> str:
        """What to call a picture in a message: the archive or folder, and the name in it."""
        return f"{self.roots[int(self.root[number])]}: {printable(self.names[number])}"

    def read(self, number: int) -> bytes:
        """The encoded picture.

        Every call opens the file anew: nothing is shared between processes, whether forked or spawned.

        Raises:
            FileError: the file cannot be read or ends too early.
        """
        root, name = self.roots[int(self.root[number])], self.names[number]
        alone = int(self.offset[number]) < 0
        path = root / name if alone else root
        size = MAX_MEMBER_BYTES + 1 if alone else int(self.size[number])
        try:
            with open(path, "rb", buffering=0) as stream:
                if not alone:
                    stream.seek(int(self.offset[number]))
                data = _exactly(stream, size)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            raise FileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
        if max(len(data), size if not alone else 0) > MAX_MEMBER_BYTES:
            raise FileError(path, f"{name} is over {MAX_MEMBER_BYTES >> 20} MiB; expected a picture")
        if not alone and len(data) != size:
            raise FileError(path, f"is cut short: expected {size} bytes of {name}, got {len(data)}")
        return data

    def ends(self, numbers: Iterable[int]) -> Iterator[tuple[bytes, bytes, int]]:
        """First and last bytes, and the size, of each picture; nothing at all of those that cannot be read."""
        archive: BinaryIO | None = None
        opened = -1
        try:
            for number in numbers:
                root, offset, size = int(self.root[number]), int(self.offset[number]), int(self.size[number])
                try:
                    if offset < 0:
                        with open(self.roots[root] / self.names[number], "rb", buffering=0) as stream:
                            yield _ends_of(stream, 0, stream.seek(0, 2))
                        continue
                    if archive is None or opened != root:
                        if archive is not None:
                            archive.close()
                        archive, opened = open(self.roots[root], "rb", buffering=0), root  # noqa: SIM115
                    yield _ends_of(archive, offset, size)
                except (OSError, ValueError):
                    yield b"", b"", 0
        finally:
            if archive is not None:
                archive.close()


def _exactly(stream: Any, size: int) -> bytes:
    """Up to ``size`` bytes; an unbuffered read may give fewer than there are."""
    pieces = []
    while size > 0:
        piece = stream.read(min(size, 1 << 22))
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _ends_of(stream: Any, offset: int, size: int) -> tuple[bytes, bytes, int]:
    stream.seek(offset)
    head = _exactly(stream, min(HEAD, size))
    stream.seek(offset + max(0, size - TAIL))
    return head, _exactly(stream, min(TAIL, size)), size


def problem_of(head: bytes, tail: bytes, size: int) -> str:
    """What is wrong with a picture as far as its ends tell; empty if nothing is.

    JPEG must end with its end-of-image marker, PNG with its IEND chunk, WebP must have the length that it says.
    """
    if size <= 0:
        return "is empty or cannot be read"
    if size > MAX_MEMBER_BYTES:
        return f"is over {MAX_MEMBER_BYTES >> 20} MiB"
    if len(tail) < min(TAIL, size):
        return "is cut short"
    if head[:3] == b"\xff\xd8\xff":
        return "" if b"\xff\xd9" in tail else "is a JPEG that is cut short"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "" if b"IEND" in tail else "is a PNG that is cut short"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "" if int.from_bytes(head[4:8], "little") + 8 <= size else "is a WebP that is cut short"
    return "" if is_known(head) else f"is no {FORMATS}"


MOST_IN_A_ROW = 100
"""Pictures that cannot be read, one after the other, after which a training ends: the source itself is gone."""


class ImageStore(Sequence[np.ndarray]):
    """Pictures (H, W, 3) uint8 RGB, upright, by number, read and decoded when they are asked for.

    What :meth:`hold` has decoded stays in memory, is shared with forked processes, and is not pickled: a spawned
    process reads from the files.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self._held: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> np.ndarray:  # type: ignore[override]
        return self._decode(number) if self._held is None else self._held[number]

    def __getstate__(self) -> dict[str, Any]:
        return {"places": self.places, "_held": None}

    @property
    def is_held(self) -> bool:
        """Whether all pictures are in memory, decoded."""
        return self._held is not None

    def hold(self, limit: int = DECODED_LIMIT) -> tuple[ImageStore, dict[int, str]]:
        """Decode all pictures if they fit into ``limit`` bytes.

        Returns:
            The store of those that decode, and what is wrong with the others by their number. Where the pictures do
            not fit, this store itself and what was found until then.
        """
        damaged: dict[int, str] = {}
        if not len(self) or self._expected_bytes() >= limit:
            return self, damaged
        held: list[np.ndarray] = []
        bytes_held = 0
        for number in range(len(self)):
            try:
                held.append(self._decode(number))
                bytes_held += held[-1].nbytes
            except FileError as error:
                damaged[number] = error.reason
            if bytes_held >= limit:
                return self.without(damaged), damaged
        whole = self.without(damaged)
        whole._held = held
        return whole, damaged

    def select(self, numbers: np.ndarray) -> ImageStore:
        """Those of the numbers, in their order, held if all are."""
        some = ImageStore(self.places.select(numbers))
        some._held = None if self._held is None else [self._held[number] for number in numbers.tolist()]
        return some

    def without(self, numbers: Iterable[int]) -> ImageStore:
        """The others, none of them held."""
        return ImageStore(self.places.select(np.setdiff1d(np.arange(len(self)), np.array([*numbers], np.int64))))

    def _expected_bytes(self) -> float:
        """Decoded size of all, from the headers of a few spread evenly."""
        sizes = []
        for number in np.unique(np.linspace(0, len(self) - 1, SIZED).astype(int)).tolist():
            try:
                width, height = read_header(self.places.read(number)).size
            except (FileError, ValueError, OverflowError):  # a damaged picture: it takes no memory
                continue
            sizes.append(3.0 * width * height)
        return len(self) * float(np.mean(sizes)) if sizes else 0.0

    def _decode(self, number: int) -> np.ndarray:
        # However small: of a large source sizes are not looked at before, and a tiny picture that training has come
        # to must not end it.
        try:
            return photo_from_bytes(self.places.read(number), smallest=1).image
        except ValueError as error:
            raise FileError(self.places.label(number), str(error)) from error
        except (MemoryError, OverflowError) as error:
            raise as_file_error(self.places.label(number), error) from error


def readable(images: Sequence[np.ndarray], numbers: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The pictures of these numbers, each with its number, but those that cannot be read.

    Of a source that is too large to be decoded beforehand damage shows only here. A warning names each such picture.
    """
    for number in numbers:
        try:
            image = images[number]
        except FileError as error:
            warnings.warn(f"{error}; left out", RuntimeWarning, stacklevel=2)
            continue
        yield number, image


def next_readable(
    images: Sequence[np.ndarray], number: int, index: np.ndarray | None = None
) -> tuple[int, np.ndarray]:
    """The ``number``-th picture (of those that ``index`` lists), or the next one that can be read, and its number.

    Raises:
        FileError: none of :data:`MOST_IN_A_ROW` can be read.
    """
    count = len(images) if index is None else len(index)
    tries = min(count, MOST_IN_A_ROW)
    for step in range(tries):
        at = (number + step) % count
        for _, image in readable(images, [at if index is None else int(index[at])]):
            return at, image
    place = images.places.label(number) if isinstance(images, ImageStore) else "pictures"
    raise FileError(place, f"expected a picture that can be read, got {tries} in a row that cannot")

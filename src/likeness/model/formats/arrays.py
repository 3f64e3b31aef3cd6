"""Reading arrays out of other people's files without believing what their headers claim.

Every size is compared with the bytes that are there before anything is allocated. Compressed content may grow, but
not beyond :data:`GROWTH` times the file (or :data:`SMALL` bytes, whatever is more): real models shrink by a factor
of two or so, decompression bombs by a thousand.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.model.formats.pickles import array_of_bytes, load_pickle

SMALL = 64_000_000  # bytes that any file may claim
GROWTH = 20


def check_growth(path: StrPath, what: str, claimed: int, present: int) -> None:
    """FileError if ``claimed`` bytes are more than ``present`` ones can reasonably hold."""
    if claimed > max(SMALL, GROWTH * present):
        raise FileError(path, f"expected {what} of a face model, got a claim of {claimed} bytes in {present}")


class Cursor:
    """Reads little-endian values one after the other from a file's bytes; FileError at the end of them."""

    def __init__(self, path: StrPath, data: bytes, expected: str) -> None:
        self.path, self.data, self.expected, self.position = path, data, expected, 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self.data) - self.position

    def take(self, kind: str, count: int, what: str) -> np.ndarray:
        """The next ``count`` values of NumPy type ``kind`` (such as ``<f4``), read-only."""
        size = count * np.dtype(kind).itemsize
        if count < 0 or size > self.left:
            raise FileError(
                self.path,
                f"expected {self.expected}, but {what} claims {count} values and {self.left} bytes are left",
            )
        values = np.frombuffer(self.data, kind, count, self.position)
        self.position += size
        return values

    def number(self, kind: str, what: str) -> int:
        """The next single value."""
        return int(self.take(kind, 1, what)[0])


def parse_npy(path: StrPath, what: str, data: bytes) -> np.ndarray:
    """The array in an ``.npy`` file's bytes; object arrays by :func:`likeness.model.formats.pickles.load_pickle`.

    Raises:
        FileError: not an ``.npy``, truncated, or of another kind than numbers, text and objects.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read(stream)
    except Exception as error:  # NumPy parses the header as Python text, whose parsers raise a dozen types
        reason = str(error).replace("\n", " ")[:80]
        raise FileError(path, f"expected {what} as .npy ({type(error).__name__}: {reason})") from error
    body = data[stream.tell() :]
    if kind.hasobject:
        values = load_pickle(path, body)
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise FileError(path, f"expected {what} as an array of objects {shape}")
        return values
    try:
        return array_of_bytes(body, kind, shape, fortran)
    except ValueError as error:
        raise FileError(path, f"expected {what}: {error}") from error


class Npz:
    """The arrays of an ``.npz``, read one at a time.

    Raises:
        FileError: not an ``.npz``, damaged, or its members claim to be far larger than the file.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise FileError(path, f"expected an .npz ({type(error).__name__}: {error})") from error
        check_growth(path, "the arrays", sum(self._sizes.values()), Path(path).stat().st_size)

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self._sizes

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            raise FileError(self.path, f"expected an array {name!r}, got {', '.join(sorted(self._sizes))[:120]}")
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as member:
                data = member.read(self._sizes[f"{name}.npy"] + 1)
        except Exception as error:  # zipfile and the decompressors raise a dozen types for damaged members
            raise FileError(self.path, f"cannot read {name!r} ({type(error).__name__}: {error})") from error
        return parse_npy(self.path, repr(name), data)

"""Reading arrays out of other people's files without believing what their headers claim.

What :mod:`likeness.readers` does, for other programs' binary layouts and for arrays of Python objects, whose pickles
are taken apart (:mod:`likeness.model.formats.pickles`), never run.
"""

from __future__ import annotations

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.model.formats.pickles import load_pickle
from likeness.readers import NpzArrays, array_of_bytes, npy_header


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


def parse_npy(path: StrPath, what: str, data: bytes | bytearray) -> np.ndarray:
    """The array in an ``.npy`` file's bytes; object arrays by :func:`likeness.model.formats.pickles.load_pickle`.

    Raises:
        FileError: not an ``.npy``, truncated, or of another kind than numbers, text and objects.
    """
    try:
        header = npy_header(data)
        body = memoryview(data)[header.start :]
        if header.kind.hasobject:
            values = load_pickle(path, bytes(body))
            if not isinstance(values, np.ndarray) or values.shape != header.shape:
                raise ValueError(f"expected an array of objects {header.shape}")
            return values
        return array_of_bytes(body, header.kind, header.shape, header.fortran)
    except ValueError as error:
        raise FileError(path, f"expected {what} as .npy: {' '.join(str(error).split())[:200]}") from error


class Npz(NpzArrays):
    """The arrays of a face model's ``.npz``, of objects too, read one at a time."""

    def __init__(self, path: StrPath) -> None:
        super().__init__(path, "a face model")

    def __getitem__(self, name: str) -> np.ndarray:
        return parse_npy(self.path, repr(name), self.member(name))

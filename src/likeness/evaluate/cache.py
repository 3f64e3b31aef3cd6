"""Results of a long run on disk, so that a killed run goes on where it was.

An entry is named by what it was made from (a digest of contents and settings, never of file names or times) and
begins with the digest of its own bytes: one that was cut short, changed or made by hand counts as not there.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, FileWarning, StrPath
from likeness.files import digest, npz_bytes, write_atomically
from likeness.readers import read_npz

FORMAT = "likeness evaluation 2"
"""Part of every key: another version of the program computes anew."""

_DIGEST_BYTES = 32


class Cache:
    """A folder of entries; each is a set of named arrays.

    Args:
        folder: is made if missing.

    Attributes:
        hits: entries that were used.
        damaged: entries that were there and not usable.
        lost: entries that could not be written.

    Raises:
        FileError: the folder cannot be made.
    """

    def __init__(self, folder: StrPath) -> None:
        self.folder = Path(folder)
        self.hits = self.damaged = self.lost = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(self.folder, f"cannot be made ({error.strerror}); expected a writable folder") from error

    def load(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays stored under a key; None where there are none, or none that can be trusted."""
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        arrays = _unpacked(data, key)
        if arrays is None:
            self.damaged += 1
        else:
            self.hits += 1
        return arrays

    def store(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        """Write arrays under a key. Where that is not possible the run goes on without; one warning says so."""
        content = npz_bytes(arrays, compressed=False)
        path = self._path(key)
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, hashlib.sha256(content).digest() + content)
        except (OSError, FileError) as error:
            if not self.lost:
                reason = error.reason if isinstance(error, FileError) else f"cannot be made ({error.strerror})"
                warnings.warn(FileWarning(self.folder, f"results are not kept there: {reason}"), stacklevel=2)
            self.lost += 1

    def _path(self, key: str) -> Path:
        # Two levels: a hundred thousand files in one folder are slow on some file systems.
        return self.folder / key[:2] / f"{key}.bin"


def key_of(*parts: Any) -> str:
    """A key of everything that an entry depends on: strings, numbers, None, lists of them."""
    return digest(json.dumps([FORMAT, *parts]).encode())


def _unpacked(data: bytes, key: str) -> dict[str, np.ndarray] | None:
    content = data[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != data[:_DIGEST_BYTES]:
        return None
    try:
        return read_npz(key, "an entry of the cache", data=content)
    except FileError:
        return None

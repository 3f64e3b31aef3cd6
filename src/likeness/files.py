"""Files: reading, digests, and writing so that a failure leaves either the old file or none, never half of one."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath


def write_atomically(path: StrPath, data: bytes) -> None:
    """Write ``data`` to ``path`` through a temporary file in the same folder, then rename.

    Raises:
        FileError: the folder is missing or read-only, or the disk is full; nothing is left behind.
    """
    target = Path(path)
    temporary: str | None = None
    try:
        # A name of its own: with the target's in it, it would be too long where the target's just fits.
        descriptor, temporary = tempfile.mkstemp(prefix=".likeness-", dir=target.parent or ".")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise FileError(target, f"cannot be written ({error.strerror or error})") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def output_paths(folder: StrPath, name: str, formats: Iterable[str], known: tuple[str, ...]) -> dict[str, Path]:
    """Where results go: format -> ``FOLDER/NAME.FORMAT``; folders, of the name too, are made if missing.

    Raises:
        ValueError: a format that is not among ``known``.
        FileError: the folder cannot be made.
    """
    formats = tuple(formats)
    unknown = set(formats) - set(known)
    if unknown:
        raise ValueError(f"expected formats of {known}, got {sorted(unknown)}")
    out = Path(folder)
    try:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(out, f"cannot be made ({error.strerror}); expected a writable folder") from error
    return {format: out / f"{name}.{format}" for format in formats}


def _umask() -> int:
    """The process's umask: mkstemp ignores it and makes files that only their owner can read."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def digest(data: bytes) -> str:
    """sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: StrPath) -> str:
    """sha256 of a file's content; raises FileError."""
    try:
        with open(path, "rb") as stream:
            state = hashlib.sha256()
            while block := stream.read(1 << 20):
                state.update(block)
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    return state.hexdigest()


def read_bytes(path: StrPath) -> bytes:
    """A file's content; FileError if it is missing, a folder, unreadable or empty."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not data:
        raise FileError(path, "expected some content, got an empty file")
    return data


def without_mark(data: bytes) -> bytes:
    """Text without a byte-order mark; UTF-16, which only its mark tells, as UTF-8 (what is none becomes U+FFFD)."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")


SMALL_NPZ, NPZ_GROWTH = 256_000_000, 50
"""Bytes that the arrays of any ``.npz`` may have, and how many times its own size a larger one may."""


def read_npz(path: StrPath, what: str, largest: int | None = None) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz``; no pickle in it is ever run, and no size that it claims is believed.

    Args:
        path: the file.
        what: it should be, for messages: "a face model".
        largest: bytes that one array may claim; None: any.

    Raises:
        FileError: missing, damaged, no ``.npz``, an array of objects, or one that claims too much.
    """
    source = Path(path)
    if not source.is_file():
        raise FileError(path, f"no such file; expected {what} (.npz)")
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            if largest is not None and any(entry.file_size > largest for entry in entries):
                raise FileError(path, f"an array is larger than {largest} bytes; expected {what}")
            claimed = sum(entry.file_size for entry in entries)
            if claimed > max(SMALL_NPZ, NPZ_GROWTH * source.stat().st_size):
                raise FileError(path, f"its arrays claim {claimed} bytes; expected {what}")
            return {entry.filename.removesuffix(".npy"): _member(archive, entry) for entry in entries}
    except FileError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen types for damaged files
        reason = " ".join(str(error).split())[:200]
        raise FileError(
            path, f"cannot be read as .npz, expected {what} ({type(error).__name__}: {reason})"
        ) from error


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """An array of an ``.npz``; ValueError if its header claims another size than there is."""
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read(stream)
        size = math.prod(shape) * kind.itemsize
        if kind.hasobject or size > entry.file_size:
            raise ValueError(f"{entry.filename[:80]!r} claims {str(kind)[:40]} {str(shape)[:40]}")
        data = bytearray(stream.read(size))
        if len(data) != size or stream.read(1):
            raise ValueError(f"{entry.filename[:80]!r} is not of {size} bytes")
    return np.ndarray(shape, kind, data, order="F" if fortran else "C")

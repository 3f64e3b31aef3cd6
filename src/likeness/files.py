"""Files: bytes, digests, and writing so that a failure leaves either the old file or none, never half of one."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from likeness.errors import FileError, StrPath
from likeness.unfinished import finish, unfinished_file


def write_atomically(path: StrPath, data: bytes) -> None:
    """Write ``data`` to ``path`` through a temporary file in the same folder, then rename.

    Raises:
        FileError: the folder is missing or read-only, or the disk is full; nothing is left behind.
    """
    target = Path(path)
    try:
        with unfinished_file(target.parent) as (stream, temporary):
            stream.write(data)
            os.chmod(temporary, 0o666 & ~_umask())
            finish(stream, temporary, target)
    except OSError as error:
        raise FileError(target, f"cannot be written ({error.strerror or error})") from error


def npz_bytes(arrays: Mapping[str, Any], *, compressed: bool = True) -> bytes:
    """Arrays as the content of an ``.npz``.

    Raises:
        ValueError: an array holds Python's objects, for which readers would have to run code.
    """
    import numpy as np

    for name, array in arrays.items():  # NumPy before 2.1 takes savez's allow_pickle=False for one more array
        if np.asanyarray(array).dtype.hasobject:
            raise ValueError(f"expected {name} of numbers or text, got objects")
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def json_bytes(value: Any) -> bytes:
    """A JSON document, as files of results are; numbers that are infinite or unknown become null.

    Args:
        value: dicts, lists, text and numbers, NumPy's too.
    """
    return (json.dumps(plain(value), indent=1, allow_nan=False) + "\n").encode()


def plain(value: Any) -> Any:
    """The same with values that JSON knows."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if hasattr(value, "tolist"):  # NumPy's
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_writable(folder: Path) -> None:
    """Say before the work, not after it, that the results could not be written; the folder is made if missing.

    Raises:
        FileError: it cannot be.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise FileError(folder, "is a file; expected a folder for the results")
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished_file(folder):
            pass
    except OSError as error:
        raise FileError(folder, f"cannot be written to ({error.strerror}); expected a writable folder") from error


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


LARGEST_FILE = 4 << 30
"""Bytes that are read of a file at most: more than any mesh or face model has."""

LARGEST_STREAM = 1 << 28
"""Bytes that are read at most of what does not say how long it is: a pipe, a device."""


def read_bytes(path: StrPath, largest: int = LARGEST_FILE) -> bytes:
    """A file's content; FileError if it is missing, a folder, unreadable, empty, or has more than ``largest`` bytes
    (of a pipe or a device: more than :data:`LARGEST_STREAM`)."""
    try:
        with open(path, "rb") as stream:
            status = os.fstat(stream.fileno())
            limit = largest if stat.S_ISREG(status.st_mode) else min(largest, LARGEST_STREAM)
            data = read_at_most(stream, limit) if status.st_size <= limit else b""
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if status.st_size > limit or len(data) > limit:
        raise FileError(path, f"expected at most {limit >> 20} MiB, got more")
    if not data:
        raise FileError(path, "expected some content, got an empty file")
    return data


def read_at_most(stream: BinaryIO, limit: int) -> bytes:
    """All that is left in an open file; of one that has more than ``limit`` bytes a little more than these.

    Not at once: a read sets aside all that it may give, however small the file.
    """
    pieces, size = [], 0
    while size <= limit and (piece := stream.read(1 << 22)):
        pieces.append(piece)
        size += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def without_mark(data: bytes) -> bytes:
    """Text without a byte-order mark; UTF-16, which only its mark tells, as UTF-8 (what is none becomes U+FFFD)."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")

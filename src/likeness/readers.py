"""Reading arrays, JSON and tables out of bytes that nobody vouches for.

No size that a file claims is believed: it is compared with the bytes that are there before anything is allocated.
What is compressed may grow, but only to :data:`SMALL` bytes or :data:`GROWTH` times the file, whatever is more:
measurements shrink by a factor of two or so, decompression bombs by a thousand. No pickle is ever run. Whatever is
wrong with the bytes, the answer is a :class:`likeness.FileError` with the file's name.

Every reader takes the content as ``data`` where it is no file of its own (a member of an archive, a cache's entry);
``path`` then only names it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes

SMALL = 64_000_000
"""Bytes that any compressed file may grow to, however small it is."""

GROWTH = 20
"""How many times its size a compressed file may grow to."""

MAX_JSON_BYTES = 1 << 25
"""Of a JSON document: what it is read into takes forty times as much where it is made of empty lists."""

MAX_TABLE_BYTES = 1 << 28
MAX_CELLS = 1 << 24
"""Of a CSV table, lines counted too: what they are read into takes about 100 bytes each."""

MAX_EMPTY = 1 << 24
"""What the sides of an array without values may multiply to, but for those that are 0: who makes another array as
long as one that takes no bytes must not be led astray."""

MAX_DEPTH = 64
"""Lists within lists within ... of a JSON document: as deep as an array can be."""

_WHOLE_DIGITS = 18  # what fits 64 bits for certain
_KINDS = "biufUS"  # of NumPy types: numbers and text
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; LZMA's header may ask for gigabytes


@dataclass(frozen=True)
class NpyHeader:
    """What an ``.npy`` says of its array: shape, order and type; ``start``: the first byte of the values."""

    shape: tuple[int, ...]
    fortran: bool
    kind: np.dtype
    start: int

    @property
    def size(self) -> int:
        """Bytes that the values claim to take."""
        return math.prod(self.shape) * self.kind.itemsize


def check_growth(path: StrPath, what: str, claimed: int, present: int) -> None:
    """FileError if ``claimed`` bytes are more than ``present`` ones can reasonably hold."""
    if claimed > max(SMALL, GROWTH * present):
        raise FileError(path, f"expected {what}, got a claim of {claimed} bytes in {present}")


def npy_header(data: bytes | bytearray) -> NpyHeader:
    """The header at the start of an ``.npy``'s bytes.

    Raises:
        ValueError: no such header; the message is one line.
    """
    stream = io.BytesIO(bytes(data[:20_000]))  # longer ones NumPy takes for hostile
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers by Python 2, and of odd text that is refused anyway
            shape, fortran, kind = read(stream)
    except Exception as error:  # NumPy parses the header as Python text, whose parsers raise a dozen types
        raise ValueError(f"expected the header of an .npy array ({_reason(error)})") from error
    if len(shape) > MAX_DEPTH or not all(isinstance(side, int) and 0 <= side < 1 << 48 for side in shape):
        raise ValueError(f"expected an array's shape, got {str(shape)[:60]}")
    return NpyHeader(shape, bool(fortran), kind, stream.tell())


def array_of_bytes(data: Any, kind: np.dtype, shape: tuple[int, ...], fortran: bool) -> np.ndarray:
    """Bytes as an array of numbers or text: a view, which can be written to where the bytes can.

    Raises:
        ValueError: another type, another number of bytes, or text that is no Unicode.
    """
    present = len(memoryview(data).cast("B"))
    if kind.hasobject:
        raise ValueError(
            "expected numbers or text, got Python objects, which are not read (a pickle); save the array as str"
        )
    if kind.kind not in _KINDS or not kind.itemsize or math.prod(shape) * kind.itemsize != present:
        raise ValueError(f"expected an array {str(kind)[:40]} {str(shape)[:60]}, got {present} bytes")
    if math.prod(side for side in shape if side) > MAX_EMPTY and not present:
        raise ValueError(f"expected an array, got an empty one {str(shape)[:60]}")
    if kind.kind == "U" and (np.frombuffer(data, np.dtype("u4").newbyteorder(kind.byteorder)) > 0x10FFFF).any():
        raise ValueError("expected text, got numbers beyond Unicode")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def read_npy(path: StrPath, what: str, data: bytes | None = None) -> np.ndarray:
    """The array of an ``.npy``.

    Args:
        path: the file, or what ``data`` is called in messages.
        what: it should be, for messages: "landmarks".
        data: the content; None: the file's.

    Raises:
        FileError: missing, damaged, no ``.npy``, or an array of anything but numbers and text.
    """
    return _npy_array(path, what, bytearray(read_bytes(path) if data is None else data))


def map_npy(path: StrPath, what: str) -> np.ndarray:
    """The array of an ``.npy`` file as a read-only memory map, so that it may be larger than memory.

    Raises:
        FileError: as :func:`read_npy`.
    """
    try:
        with open(path, "rb") as stream:
            header = npy_header(stream.read(20_000))
            stream.seek(0, io.SEEK_END)
            present = stream.tell() - header.start
        if header.kind.kind not in _KINDS or header.size != present or not header.size:
            raise ValueError(
                f"expected an array {str(header.kind)[:40]} {str(header.shape)[:60]}, got {present} bytes"
            )
        order: Any = "F" if header.fortran else "C"
        return np.memmap(path, header.kind, "r", header.start, header.shape, order)
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error}); expected {what} (.npy)") from error
    except ValueError as error:
        raise FileError(path, f"expected {what} (.npy): {_one_line(error)}") from error


class NpzArrays:
    """The arrays of an ``.npz``, each read when it is asked for.

    Args:
        path: the file, or what ``data`` is called in messages.
        what: it should be, for messages: "a face model".
        data: the content; None: the file's.
        largest: bytes that one array may claim; None: any that the file can hold.

    Raises:
        FileError: missing, no ``.npz``, damaged, or its arrays claim to be far larger than the file.
    """

    def __init__(self, path: StrPath, what: str, data: bytes | None = None, largest: int | None = None) -> None:
        self.path, self.what, self._data = path, what, data
        if data is None and not Path(path).is_file():
            raise FileError(path, f"no such file; expected {what} (.npz)")
        try:
            with self._open() as archive:
                entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            present = len(data) if data is not None else Path(path).stat().st_size
        except Exception as error:  # zipfile raises a dozen types for damaged files
            raise self._damaged(error) from error
        self._sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in entries}
        if len(self._sizes) != len(entries) or any(entry.compress_type not in _COMPRESSIONS for entry in entries):
            raise FileError(path, f"expected {what} (.npz), each array once, stored or deflated")
        if largest is not None and max(self._sizes.values(), default=0) > largest:
            raise FileError(path, f"an array is larger than {largest} bytes; expected {what}")
        check_growth(path, what, sum(self._sizes.values()), present)

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def __iter__(self) -> Any:
        return iter(self._sizes)

    def __getitem__(self, name: str) -> np.ndarray:
        return _npy_array(self.path, f"an array {name!r} of {self.what}", self.member(name))

    def member(self, name: str) -> bytearray:
        """The bytes of an array's ``.npy``; FileError where there is none, or a damaged one."""
        if name not in self:
            known = ", ".join(sorted(self._sizes))[:120]
            raise FileError(self.path, f"expected an array {name!r}, got {known or 'none'}")
        try:
            content = bytearray(self._sizes[name])
            with self._open() as archive, archive.open(f"{name}.npy") as member:
                view, filled = memoryview(content), 0
                while filled < len(content) and (got := member.readinto(view[filled:])):  # type: ignore[attr-defined]
                    filled += got
                if filled < len(content) or member.read(1):
                    raise ValueError(f"{name!r} is not as long as it says")
            return content
        except Exception as error:  # zipfile and the decompressor raise a dozen types for damaged members
            raise self._damaged(error) from error

    def _open(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.path if self._data is None else io.BytesIO(self._data))

    def _damaged(self, error: Exception) -> FileError:
        return FileError(self.path, f"cannot be read as .npz, expected {self.what} ({_reason(error)})")


def read_npz(
    path: StrPath, what: str, largest: int | None = None, data: bytes | None = None
) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz``; they can be written to. Arguments and errors: :class:`NpzArrays`."""
    arrays = NpzArrays(path, what, data, largest)
    return {name: arrays[name] for name in arrays}


@contextmanager
def reading_npz(path: StrPath, what: str, largest: int | None = None) -> Iterator[dict[str, np.ndarray]]:
    """:func:`read_npz` for a block that makes something of the arrays: what it asks for and is missing, and its
    TypeErrors and ValueErrors, become a FileError that says what was expected."""
    arrays = read_npz(path, what, largest)
    try:
        yield arrays
    except KeyError as error:
        raise FileError(path, f"expected {what}, but {error.args[0]} is missing") from error
    except (TypeError, ValueError) as error:
        raise FileError(path, f"expected {what}: {error}") from error


def read_json(path: StrPath, what: str, data: bytes | str | None = None, largest: int = MAX_JSON_BYTES) -> Any:
    """A JSON document. Whole numbers that do not fit 64 bits become floats, too large ones infinity.

    Args:
        path: the file, or what ``data`` is called in messages.
        what: it should be, for messages: "a result".
        data: the content; None: the file's.
        largest: bytes that are read.

    Raises:
        FileError: missing, too large, no JSON, no UTF-8, or nested more than :data:`MAX_DEPTH` deep.
    """
    if data is None:
        _check_size(path, what, largest)
        data = read_bytes(path)
    if len(data) > largest:
        raise FileError(path, f"is over {largest} bytes; expected {what} (JSON)")
    try:
        content = json.loads(data, parse_int=_whole)
        if _depth(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")) > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
    except (ValueError, RecursionError, MemoryError) as error:
        raise FileError(path, f"cannot be read as JSON, expected {what} ({_reason(error)})") from error
    return content


def read_table(path: StrPath, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a title line, as title -> value.

    Args:
        path: the file, UTF-8.
        columns: titles that must be there.

    Raises:
        FileError: missing, too large, no text, a column missing, no rows, or a row with more or fewer values.
    """
    wanted = f"a CSV table with the columns {', '.join(columns)}"
    rows = read_rows(path, wanted)
    titles = [title.strip() for title in rows[0]] if rows else []
    missing = [name for name in columns if name not in titles]
    if missing:
        raise FileError(path, f"expected {wanted}; {', '.join(missing)} missing")
    if len(rows) < 2:
        raise FileError(path, f"expected {wanted}, got no rows")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(titles):
            raise FileError(path, f"row {number}: expected {len(titles)} values, got {len(row)}")
    return [dict(zip(titles, row, strict=True)) for row in rows[1:]]


def read_rows(path: StrPath, what: str, *, blank: bool = False) -> list[list[str]]:
    """The rows of a CSV file as they are, blank lines left out unless ``blank`` asks for them, as empty rows, where
    messages count lines; FileError if it is missing, too large or no text."""
    _check_size(path, what, MAX_TABLE_BYTES)
    try:
        text = read_bytes(path).decode("utf-8-sig")
        rows, cells = [], 0
        for row in csv.reader(io.StringIO(text, newline=""), skipinitialspace=True):
            cells += len(row) + 1
            if cells > MAX_CELLS:
                raise FileError(path, f"has over {MAX_CELLS} cells; expected {what}")
            if row or blank:
                rows.append(row)
        return rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(path, f"cannot be read as text, expected {what} ({_reason(error)})") from error


def _npy_array(path: StrPath, what: str, data: bytearray) -> np.ndarray:
    try:
        header = npy_header(data)
        return array_of_bytes(memoryview(data)[header.start :], header.kind, header.shape, header.fortran)
    except ValueError as error:
        raise FileError(path, f"expected {what}: {_one_line(error)}") from error


def _check_size(path: StrPath, what: str, largest: int) -> None:
    """Before it is read, where the file system says it; what is no file is told by who reads it."""
    source = Path(path)
    if source.is_file() and source.stat().st_size > largest:
        raise FileError(path, f"is over {largest >> 20} MiB; expected {what}")


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= _WHOLE_DIGITS else float(text)


def _depth(data: bytes) -> int:
    """How deep a valid JSON document is nested; json's own limit is the interpreter's stack."""
    depth = deepest = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', data, re.DOTALL):
        if token[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in b"]}":
            depth -= 1
    return deepest


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

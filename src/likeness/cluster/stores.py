"""Files of this machine and of object stores, by one interface.

URLs are opened as Ray Data opens them: by Arrow itself where it knows the scheme (``file``, ``s3``, ``gs``, ``abfs``,
``hdfs``), else by fsspec. Paths of this machine are Python's own, because Arrow takes no names that are not UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from likeness.errors import FileError
from likeness.extras import import_extra
from likeness.files import write_atomically

MAX_OPEN_STORES = 64
"""Connections to object stores that a process keeps."""


def is_url(path: str) -> bool:
    """Whether it names something in a store: ``scheme://...``."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


def parquet_extra(module: str) -> Any:
    """A module of Arrow's or fsspec's; MissingExtraError where it is not installed."""
    return import_extra(module, "tables of faces", "parquet")


def without_query(url: str) -> str:
    """A URL as it is shown and recorded: options of a store (``?region=...``), which may be secret, are left out."""
    return url.partition("?")[0]


@lru_cache(maxsize=MAX_OPEN_STORES)
def open_store(url: str) -> tuple[Any, str]:
    """The file system of a URL (``pyarrow.fs.FileSystem``), and the path there.

    Raises:
        FileError: no such kind of store, or it cannot be reached.
        MissingExtraError: Arrow is not installed.
    """
    arrow, fs = parquet_extra("pyarrow"), parquet_extra("pyarrow.fs")
    try:
        store, path = fs.FileSystem.from_uri(url)
        return store, path
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError):  # not one of its schemes
        fsspec = parquet_extra("fsspec")
    except OSError as error:
        raise FileError(without_query(url), f"cannot be reached ({_first_line(error)})") from error
    try:
        other, path = fsspec.core.url_to_fs(url)
    except Exception as error:  # every store has errors of its own
        raise FileError(without_query(url), f"cannot be opened ({_first_line(error)})") from error
    return fs.PyFileSystem(fs.FSSpecHandler(other)), path


@contextmanager
def opened(path: str, within: str = "") -> Iterator[BinaryIO]:
    """A file, open for reading and seeking.

    Args:
        path: of this machine, or a URL.
        within: the file in the folder that a URL names; empty: the URL names it.

    Raises:
        FileError: missing or unreadable, also while it is read.
    """
    named = joined(path, within)
    try:
        if not is_url(path):
            with open(path, "rb") as stream:
                yield stream
            return
        store, base = open_store(path)
        with store.open_input_file(joined(base, within)) as stream:
            yield stream
    except OSError as error:
        raise FileError(named, f"cannot be read ({_first_line(error)})") from error


def list_store(url: str) -> Iterator[str]:
    """Files in the folder that a URL names, as paths in it, by name; the empty path where it names a file.

    Raises:
        FileError: there is nothing, or the store cannot be reached.
    """
    store, base = open_store(url)
    fs = parquet_extra("pyarrow.fs")
    try:
        kind = store.get_file_info(base).type
        if kind == fs.FileType.File:
            yield ""
            return
        if kind == fs.FileType.NotFound:
            raise FileError(without_query(url), "does not exist; expected photos")
        found = store.get_file_info(fs.FileSelector(base, recursive=True))
    except OSError as error:
        raise FileError(without_query(url), f"cannot be listed ({_first_line(error)})") from error
    prefix = base.strip("/")
    yield from sorted(
        info.path.strip("/").removeprefix(prefix).strip("/") for info in found if info.type == fs.FileType.File
    )


def joined(path: str, within: str) -> str:
    """``path/within``; of a URL without its query."""
    base = without_query(path) if is_url(path) else path
    return f"{base.rstrip('/')}/{within}" if within else base


class Output:
    """Where results go: a folder of this machine (or one that all machines share), or a URL.

    A file is there whole or not at all: of this machine it is renamed when it is complete, and object stores show an
    object when it is complete.

    Args:
        place: a path, or a URL; what is missing is made.
    """

    def __init__(self, place: str) -> None:
        if is_url(place) and urlsplit(place).scheme == "file":
            place = open_store(place)[1]
        self.place = place

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none.

        Raises:
            FileError: it cannot be read.
        """
        if name not in self.names(name.rpartition("/")[0]):
            return None
        with opened(self.place, name) if is_url(self.place) else opened(str(Path(self.place, name))) as stream:
            return stream.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a file; FileError where that is not possible."""
        if not is_url(self.place):
            path = Path(self.place, name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FileError(path.parent, f"cannot be made ({error.strerror})") from error
            write_atomically(path, data)
            return
        store, base = open_store(self.place)
        target = joined(base, name)
        try:
            store.create_dir(target.rpartition("/")[0], recursive=True)
            with store.open_output_stream(target) as stream:
                stream.write(data)
        except OSError as error:
            raise FileError(joined(self.place, name), f"cannot be written ({_first_line(error)})") from error

    def names(self, folder: str) -> set[str]:
        """Paths of all files in one of its folders; none where that is missing."""
        if not is_url(self.place):
            top = Path(self.place)
            return {path.relative_to(top).as_posix() for path in (top / folder).rglob("*") if path.is_file()}
        try:
            return {joined(folder, name) if folder else name for name in list_store(joined_url(self.place, folder))}
        except FileError:
            if self._is_there(folder):
                raise
            return set()

    def remove(self, name: str) -> None:
        """Remove one of its files; FileError where that is not possible."""
        try:
            if not is_url(self.place):
                Path(self.place, name).unlink(missing_ok=True)
                return
            store, base = open_store(self.place)
            store.delete_file(joined(base, name))
        except OSError as error:
            raise FileError(joined(self.place, name), f"cannot be removed ({_first_line(error)})") from error

    def _is_there(self, folder: str) -> bool:
        store, base = open_store(self.place)
        fs = parquet_extra("pyarrow.fs")
        return bool(store.get_file_info(joined(base, folder)).type != fs.FileType.NotFound)


def joined_url(url: str, within: str) -> str:
    """A URL of something in the folder that another one names, with that one's query."""
    base, mark, query = url.partition("?")
    return f"{base.rstrip('/')}/{within}{mark}{query}" if within else url


def _first_line(error: Exception) -> str:
    told = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {told.splitlines()[0][:200]}" if told else type(error).__name__

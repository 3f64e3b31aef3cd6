"""Where the files of an archive lie: those of a tar without reading them, those of a compressed one unpacked.

No header is believed. What is compressed goes into a temporary folder of this process, where other processes find it
too, and is gone when this process ends.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, BinaryIO

from likeness.errors import FileError, StrPath
from likeness.readers import GROWTH, SMALL

ARCHIVES = (
    ".tar", ".tgz", ".tar.gz", ".tbz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".zip",
)  # fmt: skip
"""Suffixes, in lower case."""

MAX_MEMBER_BYTES = 1 << 28
"""The largest file of an archive or folder that is read."""

MAX_HEADER = 1 << 20
"""Bytes of an extended header (a long name, PAX) that are read."""

Member = tuple[str, int, int]
"""Name, offset and size, bytes."""


def is_archive(path: StrPath) -> bool:
    """By its suffix."""
    return Path(path).name.lower().endswith(ARCHIVES)


def archive_stem(path: Path) -> str:
    """The name without an archive's suffix."""
    suffix = max((one for one in ARCHIVES if path.name.lower().endswith(one)), key=len, default="")
    return path.name[: len(path.name) - len(suffix)]


def open_archive(path: Path) -> tuple[Path, list[Member], int]:
    """The file in which the regular files of an archive lie (itself, or what it was unpacked to), these in its order,
    and how many other members there are (folders apart).

    What an archive is, its first bytes tell.

    Raises:
        FileError: missing, no archive, damaged, an absurd header, more content than its size can reasonably hold, or
            no room to unpack it.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(6)
        status = os.stat(path)
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    packer = next((known for magic, known in _PACKERS.items() if head.startswith(magic)), None)
    if packer is None:
        return path, *_whole_tar(path, path)
    try:
        return packer(path, (os.path.abspath(path), status.st_mtime_ns, status.st_size))
    except (EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, LookupError) as error:
        raise FileError(path, f"is damaged ({error or type(error).__name__})") from error
    except OSError as error:
        raise FileError(path, f"cannot be unpacked ({error.strerror or error})") from error


def list_members(path: StrPath, opened: BinaryIO | None = None) -> tuple[list[Member], int, int]:
    """The regular files of a tar in its order, how many other members there are (folders apart), and where it ends.

    A hard link is the file that it names, which tars have once (a folder with the same file under two names).

    Args:
        path: of the tar.
        opened: its content, where ``path`` only names it; stays open.

    Raises:
        FileError: missing, no tar or a compressed one, an absurd header, or files beyond the end.
    """
    found: list[Member] = []
    links: dict[int, str] = {}
    others = 0
    try:
        with open(path, "rb") if opened is None else contextlib.nullcontext(opened) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            with tarfile.open(fileobj=_HeaderReads(stream), mode="r:") as archive:  # type: ignore[call-overload]
                last = -1
                for member in archive:
                    archive.members.clear()  # or a kilobyte of each stays in memory
                    if archive.offset <= last or member.size < 0:  # a loop, which tarfile walks for ever
                        raise tarfile.ReadError(f"member {member.name[:80]!r} claims {member.size} bytes")
                    last = archive.offset
                    if member.isreg() and not member.issparse():
                        found.append((member.name, member.offset_data, member.size))
                    elif member.islnk():
                        links[len(found)] = member.linkname
                        found.append((member.name, 0, 0))
                    else:
                        others += not member.isdir()
                end = archive.offset
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        raise FileError(path, f"expected an archive of pictures ({error})") from error
    if links:
        found, others = _followed(found, links, others)
    for name, offset, length in found:
        if offset + length > size:
            raise FileError(path, f"is cut short: expected {length} bytes of {name}, it ends before them")
    return found, others, end


def _followed(found: list[Member], links: dict[int, str], others: int) -> tuple[list[Member], int]:
    """Members with those that are links, by number, at the place of what they name; of nothing: one of the others."""
    places = {name: at for number, (name, *at) in enumerate(found) if number not in links}
    kept = []
    for number, member in enumerate(found):
        if number not in links:
            kept.append(member)
        elif links[number] in places:
            offset, length = places[links[number]]
            kept.append((member[0], offset, length))
    return kept, others + len(found) - len(kept)


def _whole_tar(path: Path, file: Path) -> tuple[list[Member], int]:
    """Members of a tar that is not cut short, and how many others there are.

    tarfile takes a damaged header, or a file that was cut before one, for the archive's end.
    """
    try:
        members, others, end = list_members(file)
    except FileError as error:
        raise FileError(path, error.reason) from error
    with open(file, "rb") as stream:
        stream.seek(end)
        block = stream.read(tarfile.BLOCKSIZE)
    if block.strip(b"\0"):
        raise FileError(path, f"is damaged: expected a tar header at byte {end}")
    if len(block) < tarfile.BLOCKSIZE:
        raise FileError(path, f"is cut short: expected a tar's end marker at byte {end}")
    return members, others


Version = tuple[str, int, int]
"""A file's path, time and size: while they stay, it is unpacked once."""


Packed = gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile


def _tar_within(opened: Callable[[Path], Packed]) -> Callable[[Path, Version], tuple[Path, list[Member], int]]:
    @cache
    def unpack(path: Path, version: Version) -> tuple[Path, list[Member], int]:
        file = _new_file(path)
        with opened(path) as source, open(file, "wb") as target:
            _copied(path, source, target, max(SMALL, GROWTH * version[2]))
        return file, *_whole_tar(path, file)

    return unpack


@cache
def _unzipped(path: Path, version: Version) -> tuple[Path, list[Member], int]:
    """The members of a .zip one after the other in one file."""
    file, members, others = _new_file(path), [], 0
    left = max(SMALL, GROWTH * version[2])
    with zipfile.ZipFile(path) as archive, open(file, "wb") as target:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.create_system == 3 and (info.external_attr >> 28) not in (0, 8):  # of Unix: no regular file
                others += 1
                continue
            start = target.tell()
            with archive.open(info) as source:
                left -= _copied(path, source, target, left)
            members.append((info.filename, start, target.tell() - start))
    return file, members, others


_PACKERS: dict[bytes, Callable[[Path, Version], tuple[Path, list[Member], int]]] = {
    b"\x1f\x8b": _tar_within(gzip.GzipFile),
    b"BZh": _tar_within(bz2.BZ2File),
    b"\xfd7zXZ\0": _tar_within(lzma.LZMAFile),
    b"PK\x03\x04": _unzipped,
    b"PK\x05\x06": _unzipped,
}
"""First bytes -> how it is unpacked."""


def _copied(path: Path, source: Packed | IO[bytes], target: IO[bytes], limit: int) -> int:
    """How many bytes were copied; FileError over the limit."""
    count = 0
    while piece := source.read(1 << 20):
        count += len(piece)
        if count > limit:
            raise FileError(path, f"grows beyond {limit >> 20} MiB; expected pictures, which hardly shrink")
        target.write(piece)
    return count


def _new_file(path: Path) -> Path:
    """A new file's path in this process's temporary folder, named like the archive, for messages."""
    return Path(tempfile.mkdtemp(dir=_folder().name)) / path.name


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Emptied when the process ends; what killed ones have left is removed now."""
    _remove_left_over()
    return tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-")


_PREFIX = "likeness-unpacked-"


def _remove_left_over() -> None:
    if os.name != "posix":  # elsewhere asking after a process may end it
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        found = re.fullmatch(rf"{_PREFIX}(\d{{1,9}})-.*", folder.name)
        if found is None or int(found[1]) == os.getpid():
            continue
        try:
            os.kill(int(found[1]), 0)
        except ProcessLookupError:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)
        except OSError:  # somebody else's
            continue


class _HeaderReads:
    """A file as tarfile reads it: at once as much as a header claims, which is refused where it is absurd."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def read(self, size: int = -1) -> bytes:
        """At most ``MAX_HEADER`` bytes; ReadError if more are asked for."""
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self._stream.read(size)

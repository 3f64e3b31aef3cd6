"""Where the files of an uncompressed tar lie, without reading them and without believing its headers."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import BinaryIO

from likeness.errors import FileError

MAX_HEADER = 1 << 20
"""Bytes of an extended header (a long name, PAX) that are read."""

Member = tuple[str, int, int]
"""Name, offset and size, bytes."""


def list_members(path: Path) -> tuple[list[Member], int, int]:
    """The regular files of a tar in its order, how many other members there are (folders apart), and where it ends.

    Raises:
        FileError: missing, no tar or a compressed one, an absurd header, or files beyond the end.
    """
    found: list[Member] = []
    others = 0
    try:
        with open(path, "rb") as stream:
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
                    else:
                        others += not member.isdir()
                end = archive.offset
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        raise FileError(path, f"expected an uncompressed tar archive ({error})") from error
    for name, offset, length in found:
        if offset + length > size:
            raise FileError(path, f"is cut short: expected {length} bytes of {name}, it ends before them")
    return found, others, end


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

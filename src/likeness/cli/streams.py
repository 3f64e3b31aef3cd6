"""What is printed, and who reads it: a terminal, a pipe that closes early, a full disk, nobody.

Work never ends because its lines cannot be shown. Where the reader of a pipe has gone (``likeness ... | head -1``)
the other lines go nowhere; where a line is lost for another reason, that is said at the end.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator


class _Lasting(io.RawIOBase):
    """A file descriptor; from the first write that fails on, what is written goes nowhere.

    Args:
        descriptor: open for writing; stays open.

    Attributes:
        reason: why lines were lost, if not because the reader has gone.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.reason = ""

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.reason = error.strerror or str(error)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)
            return memoryview(data).nbytes


@contextlib.contextmanager
def lasting_streams() -> Iterator[list[str]]:
    """Standard output and error that take anything, within.

    Characters that a terminal or pipe cannot show become their numbers: no message may end what it tells of.

    Yields:
        A list, which holds at the end why lines of standard output were lost.
    """
    before, lost = (sys.stdout, sys.stderr), list[str]()
    raws = [_replaced("stdout"), _replaced("stderr")]
    try:
        yield lost
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before
        if raws[0] is not None and raws[0].reason:
            lost.append(raws[0].reason)


def _replaced(name: str) -> _Lasting | None:
    """Put a lasting stream in place of one of ``sys``; what is no file (a notebook's, a test's) stays."""
    stream = getattr(sys, name)
    if stream is None:  # closed by who called
        setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # open as long as anybody prints
        return None
    if not isinstance(stream, io.TextIOWrapper):
        return None
    stream.reconfigure(errors="backslashreplace")
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    raw = _Lasting(descriptor)
    by_line = name == "stderr" or raw.isatty()
    buffered = io.BufferedWriter(raw)  # type: ignore[type-var]  # the stub knows no raw streams but its own
    lasting = io.TextIOWrapper(
        buffered, stream.encoding, "backslashreplace", line_buffering=by_line, write_through=by_line
    )
    setattr(sys, name, lasting)
    return raw

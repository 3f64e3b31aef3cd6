"""Commands in processes forked from one that has loaded everything, and killed on the way.

An interpreter of its own for each would take seconds to load what the command needs. What the first run of a command
had to load is there for the next one. A process is killed when it has
touched so many files, and a while after that, or after a time: so most kills fall where something is being written.

    python tests/warm.py        # answers each line, a request as JSON, by a line
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

COMMAND = "likeness.cli.main:main"
TOUCHES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "shutil.rmtree"}
LOOK = 0.01
"""Seconds between two looks at a process that touches nothing."""


@dataclass(frozen=True)
class Request:
    """A call in a process of its own.

    Args:
        arguments: of the function, a list.
        folder: files in it are watched.
        told: file for what it says.
        touches: kill it when it has opened for writing, moved or removed so many; None: never.
        seconds: kill it so long after that (or after its start).
        alone: kill it, not the processes that it has started.
        function: ``module:name``.
    """

    arguments: list[str]
    folder: str
    told: str
    touches: int | None = None
    seconds: float | None = None
    alone: bool = False
    function: str = COMMAND


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Args:
        code: the exit status; minus the signal that ended it.
        touches: files opened for writing, moved or removed.
        seconds: that it took.
        processor: seconds of processors, its own processes' not counted that it did not wait for.
    """

    code: int
    touches: int
    seconds: float
    processor: float


def serve() -> None:
    """Answer requests until there are no more."""
    preload()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(asdict(run(Request(**json.loads(line))))) + "\n")
        sys.stdout.flush()


def preload() -> None:
    """Load the package."""
    import likeness

    load(module.name for module in pkgutil.walk_packages(likeness.__path__, "likeness."))


def load(names: Iterable[str]) -> None:
    """Load modules, as far as that is possible; none may start a thread, which would not survive a fork."""
    for name in names:
        if not name.endswith("__main__"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    if threading.active_count() > 1:
        raise SystemExit(f"a module started a thread: {threading.enumerate()}")
    gc.collect()
    gc.freeze()  # or every process would copy all of it, to count who refers to what


def run(request: Request) -> Outcome:
    """One call, from its start to its end."""
    began = time.monotonic()
    told, telling = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(told)
        _called(request, telling)
    os.close(telling)
    try:
        outcome = _watched(request, process, told, began)
    finally:
        os.close(told)
    _wait_for_the_others(process)
    loaded = Path(f"{request.told}.modules")
    if loaded.exists():
        load(loaded.read_text().split())
        loaded.unlink()
    return outcome


def _watched(request: Request, process: int, told: int, began: float) -> Outcome:
    """What becomes of a process that is killed in its time."""
    touches, due = 0, began + request.seconds if request.touches is None and request.seconds is not None else None
    while True:
        ended, status, used = os.wait4(process, os.WNOHANG)
        if ended:
            while data := _read(told, 0):
                touches += len(data)
            seconds = time.monotonic() - began
            return Outcome(os.waitstatus_to_exitcode(status), touches, seconds, used.ru_utime + used.ru_stime)
        touches += len(_read(told, LOOK if due is None else max(0.0, min(LOOK, due - time.monotonic()))))
        if request.touches is not None and due is None and touches >= request.touches:
            due = time.monotonic() + (request.seconds or 0.0)
        if due is not None and time.monotonic() >= due:
            with contextlib.suppress(ProcessLookupError):
                (os.kill if request.alone else os.killpg)(process, signal.SIGKILL)


def _read(told: int, wait: float) -> bytes:
    if not select.select([told], [], [], wait)[0]:
        return b""
    data = os.read(told, 1)
    if not data:  # nobody is left who could say something
        time.sleep(wait)
    return data


def _wait_for_the_others(process: int, patience: float = 60.0) -> None:
    """Processes that it has started end by themselves."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            os.killpg(process, 0)
        except ProcessLookupError:
            return
        time.sleep(LOOK)
    raise SystemExit("processes of a killed command do not end")


def _called(request: Request, telling: int) -> NoReturn:
    """In the new process; it ends without taking down, one by one, all objects that it was given."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(request.told, "w") as told, open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
        for descriptor in (1, 2):
            os.dup2(told.fileno(), descriptor)
    sys.addaudithook(_teller(request.folder, telling))
    module, _, name = request.function.partition(":")
    call: Callable[[list[str]], Any] = getattr(importlib.import_module(module), name)
    before, code = set(sys.modules), 0
    try:
        call(request.arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    Path(f"{request.told}.modules").write_text("\n".join(name for name in sys.modules if name not in before))
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _teller(folder: str, telling: int) -> Callable[[str, tuple[Any, ...]], None]:
    """Says a byte for each file in the folder that is touched."""

    def tell(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in TOUCHES or isinstance(arguments[0], int):
            return
        if event == "open" and not _is_written(arguments[1], arguments[2]):
            return
        if os.fsdecode(arguments[0]).startswith(folder):
            with contextlib.suppress(OSError):
                os.write(telling, b".")

    return tell


def _is_written(mode: str | None, flags: int) -> bool:
    return any(letter in mode for letter in "wax+") if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    serve()

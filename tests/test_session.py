"""ONNX Runtime without telemetry: nothing is written outside the results, no socket is opened."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import likeness
from likeness.errors import FileError
from likeness.networks.session import TELEMETRY_OFF, open_session

SOCKET = {"x86_64": 41, "aarch64": 198}
"""The number of the system call by which any code, native too, opens a socket."""

FORBIDDEN = """
import ctypes, struct

def forbid_sockets(number):
    "Any socket of the internet ends this process (seccomp); those of the machine itself, such as nscd's, are let be."
    allow, kill = 0x7FFF0000, 0x80000000
    load, equal, give = 0x20, 0x15, 0x06
    steps = [
        (load, 0, 0, 0), (equal, 0, 4, number),
        (load, 0, 0, 16), (equal, 1, 0, 2), (equal, 0, 1, 10),
        (give, 0, 0, kill), (give, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(38, 1, 0, 0, 0) == 0
    assert prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
"""

WATCHED = """
import json, os, sys

written = set()

def watch(event, values):
    if event == "open" and isinstance(values[0], (str, bytes)) and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.add(os.path.abspath(os.fsdecode(values[0])))
    elif event in ("socket.connect", "socket.bind", "socket.getaddrinfo"):
        raise AssertionError(event)

sys.addaudithook(watch)
from likeness import cli
cli.main(["reconstruct", "photo.jpg", "-o", "out"])
found = json.dumps(sorted(written))
with open("written.json", "w") as stream:
    stream.write(found)
"""


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key != TELEMETRY_OFF}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def homes(folder: Path) -> dict[str, str]:
    """Every folder that programs keep things in, below one that is empty."""
    names = {"HOME": "home", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data"}
    names |= {"XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "runtime", "TMPDIR": "tmp"}
    for name in names.values():
        (folder / name).mkdir()
    return {variable: str(folder / name) for variable, name in names.items()}


linux_only = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in SOCKET, reason="seccomp on x86-64 and ARM"
)


@linux_only
def test_the_watch_sees_sockets_of_native_code(tmp_path: Path) -> None:
    opened = "forbid_sockets({number})\nctypes.CDLL(None).socket({family}, 1, 0)\nprint('alive')"
    number = SOCKET[platform.machine()]
    for family in (2, 10):
        done = run(FORBIDDEN + opened.format(number=number, family=family), tmp_path)
        assert done.returncode == -signal.SIGSYS, done.stderr
    assert run(FORBIDDEN + opened.format(number=number, family=1), tmp_path).stdout == "alive\n"


@linux_only
def test_reconstruct_writes_its_results_and_opens_no_socket(tmp_path: Path) -> None:
    import cv2

    photo = pytest.importorskip("skimage.data").astronaut()[:300, 100:400, ::-1]
    cv2.imwrite(str(tmp_path / "photo.jpg"), photo)
    places = homes(tmp_path)
    before = {path for path in tmp_path.rglob("*")}
    code = FORBIDDEN + f"forbid_sockets({SOCKET[platform.machine()]})\n" + WATCHED
    done = run(code, tmp_path, **places)
    assert done.returncode == 0, done.stderr
    new = {path.relative_to(tmp_path).as_posix() for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    results = {f"out/photo.{suffix}" for suffix in ("glb", "obj", "mtl", "json", "png")}
    results |= {"out/photo-texture.jpg", "out/.likeness/photo.json"}
    assert new == results | {"written.json"}
    written = [Path(path) for path in json.loads((tmp_path / "written.json").read_text())]
    allowed = [tmp_path / "out", tmp_path / "tmp", Path("/dev"), Path("/proc/self")]
    assert any(path.is_relative_to(allowed[0]) for path in written)
    assert [path for path in written if not any(path.is_relative_to(place) for place in allowed)] == []


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({TELEMETRY_OFF: "0"}, "0"), ({TELEMETRY_OFF: ""}, "")])
def test_the_users_own_setting_counts(tmp_path: Path, given: dict[str, str], expected: str) -> None:
    code = (
        "import os, sys\n"
        "seen = []\n"
        "def watch(event, values):\n"
        "    if event == 'import' and values[0] == 'onnxruntime':\n"
        f"        seen.append(os.environ.get('{TELEMETRY_OFF}'))\n"
        "sys.addaudithook(watch)\n"
        "import likeness\n"
        "likeness.Reconstructor()\n"
        "print(seen)\n"
    )
    done = run(code, tmp_path, **given)
    assert done.stdout == f"['{expected}']\n", done.stderr


def test_one_module_imports_onnx_runtime() -> None:
    root = Path(likeness.__file__).parent
    importing = re.compile(r"^\s*(import|from) onnxruntime", re.MULTILINE)
    assert [path.name for path in sorted(root.rglob("*.py")) if importing.search(path.read_text("utf-8"))] == [
        "session.py"
    ]


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no network")
    for name, reason in (("a.onnx", "cannot be read as ONNX"), ("none.onnx", "no such file; expected a network")):
        with pytest.raises(FileError, match=f"{name}: {reason}"):
            open_session(tmp_path / name, "a network")

"""What a killed process leaves: never taken for whole, known for what it is, removed by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from likeness import FileError, unfinished
from likeness.files import check_writable, write_atomically
from likeness.result_folder import RECORDS, ResultFolder, Source
from likeness.unfinished import alone_in, remove_left_over, unfinished_file, unfinished_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="without locks nothing younger than a day is removed")


@pytest.fixture(autouse=True)
def _a_process_that_has_looked_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_looked_into", set())


def killed(code: str, *arguments: object) -> None:
    """Run code that ends with SIGKILL."""
    setup = (
        "import os, signal, sys\nfrom pathlib import Path\nkill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", setup + code, *map(str, arguments)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_a_killed_write_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_atomically(target, b"old")
    killed(
        "import likeness.files as files\nfiles.finish = kill\nfiles.write_atomically(sys.argv[1], b'new')",
        target,
    )
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    unfinished._looked_into.clear()
    write_atomically(tmp_path / "b.json", b"other")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "b.json"}


def test_the_next_run_removes_what_a_killed_one_had_made_aside(tmp_path: Path) -> None:
    killed(
        "from likeness.result_folder import ResultFolder, Source\n"
        "def write(stage):\n    (stage / 'me.json').write_text('half')\n    kill()\n"
        "ResultFolder(sys.argv[1], 'fit').save('people/me', Source('/a'), write)",
        tmp_path,
    )
    assert list(tmp_path.rglob("me.json"))
    check_writable(tmp_path)
    ResultFolder(tmp_path, "fit").keep("x", ("y",), Source())
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"x.json"}


def test_what_somebody_holds_and_what_is_the_users_stays(tmp_path: Path) -> None:
    mine = [tmp_path / name for name in (".likeness-notes", "unfinished-novel", ".likeness-ABCDEFGH")]
    for path in mine:
        path.write_text("mine")
    (tmp_path / ".likeness-abcd1234").symlink_to(mine[0])
    with unfinished_file(tmp_path) as (_, held), unfinished_folder(tmp_path) as stage:
        unfinished._looked_into.clear()
        remove_left_over(tmp_path)
        assert held.exists()
        assert stage.exists()
    assert not held.exists()
    assert not stage.exists()
    assert all(path.read_text() == "mine" for path in mine)
    assert (tmp_path / ".likeness-abcd1234").is_symlink()


def test_it_looks_into_folders_within_only_if_told_to(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "unfinished-abcdefgh"
    (deep / "b").mkdir(parents=True)
    remove_left_over(tmp_path)
    assert deep.exists()
    unfinished._looked_into.clear()
    remove_left_over(tmp_path, within=True)
    assert list((tmp_path / "a").iterdir()) == []


def test_what_is_swept_away_in_the_moment_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = unfinished._lock, []

    def late(descriptor: int, wait: bool = False) -> bool:
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        return lock(descriptor, wait)

    monkeypatch.setattr(unfinished, "_lock", late)
    write_atomically(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"
    assert len(swept) == 1


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    with alone_in(tmp_path):
        with pytest.raises(FileError, match="another run"), alone_in(tmp_path):
            pass
        (tmp_path / RECORDS).mkdir()
        with alone_in(tmp_path / RECORDS):
            pass
    with alone_in(tmp_path):
        pass
    with pytest.raises(FileError, match="cannot be opened"), alone_in(tmp_path / "missing"):
        pass


def whole_sets() -> object:
    pytest.importorskip("torch")
    from likeness.train.generate import processes

    return processes


def write_set(out: Path, value: int, fails: bool = False) -> None:
    processes = whole_sets()
    with processes.whole_set(out, "first.npy") as stage:  # type: ignore[attr-defined]
        for name in ("first", "second"):
            processes.reserve(stage / f"{name}.npy", np.int32, (3,))  # type: ignore[attr-defined]
            np.load(stage / f"{name}.npy", mmap_mode="r+")[:] = value
        if fails:
            raise RuntimeError


def test_half_a_set_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path, 1)
    with pytest.raises(RuntimeError):
        write_set(tmp_path, 2, fails=True)
    assert {path.name for path in tmp_path.iterdir()} == {"first.npy", "second.npy"}
    assert all(np.load(path).tolist() == [1, 1, 1] for path in tmp_path.iterdir())
    replace = os.replace

    def stopped(source: Path, target: Path) -> None:
        if target.name == "first.npy":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_set(tmp_path, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"second.npy"}  # readers miss the first, and say so


def test_a_disk_without_room_is_told_before_the_work(tmp_path: Path) -> None:
    whole_sets()
    code = (
        "import resource, numpy as np\nfrom pathlib import Path\n"
        "from likeness.train.generate.processes import reserve, whole_set\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        f"with whole_set(Path({str(tmp_path)!r}), 'a.npy') as stage:\n"
        "    reserve(stage / 'a.npy', np.uint8, (1 << 20,))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "FileError" in done.stderr
    assert "cannot be written to" in done.stderr
    assert list(tmp_path.iterdir()) == []

"""Small and odd machines: a clear line each, exit codes that are right, nothing that was done is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from likeness import FileError
from likeness.assets import asset
from likeness.evaluate import cache as cache_file
from likeness.evaluate.cache import Cache
from likeness.result_folder import RECORDS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
MODEL = str(asset("face_model.npz"))
WITHOUT_ROOTS_POWERS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cv2

    path = tmp_path_factory.mktemp("photos") / "me.jpg"
    cv2.imwrite(str(path), pytest.importorskip("skimage.data").astronaut()[:300, 100:400, ::-1])
    return path


def likeness(
    *arguments: object, limits: str = "", before: tuple[str, ...] = (), **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell with limits; None: without that variable of the environment."""
    command = [*before, sys.executable, "-m", "likeness", *map(str, arguments)]
    return subprocess.run(
        ["sh", "-c", f'{limits}\nexec "$@"', "sh", *command],
        env=variables(**environment),
        capture_output=True,
        text=True,
        check=False,
    )


def variables(**environment: str | None) -> dict[str, str]:
    found = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return {name: value for name, value in found.items() if value is not None}


def is_one_line_each(done: subprocess.CompletedProcess[str]) -> bool:
    return all(line.startswith("likeness: ") for line in done.stderr.splitlines())


def locked() -> tuple[str, ...]:
    """What a command is put behind so that permissions hold for it."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and setpriv is not there")
    return WITHOUT_ROOTS_POWERS


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits the address space")
def test_a_gigabyte_of_address_space_is_enough(photo: Path, tmp_path: Path) -> None:
    done = likeness("reconstruct", photo, "-o", tmp_path, limits="ulimit -v 1000000")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "me.glb").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits the address space")
def test_too_little_memory_is_one_line(photo: Path, tmp_path: Path) -> None:
    # With some more OpenBLAS ends the process where it finds no room, in a line of its own.
    done = likeness("reconstruct", photo, "-o", tmp_path, limits="ulimit -v 150000")
    assert done.returncode == 2
    assert "needs more memory" in done.stderr
    assert is_one_line_each(done)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_eight_open_files_are_enough(photo: Path, tmp_path: Path) -> None:
    done = likeness("reconstruct", photo, "-o", tmp_path, limits="ulimit -n 8")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_home_is_not_needed(photo: Path, tmp_path: Path) -> None:
    done = likeness("reconstruct", photo, "-o", tmp_path / "a", "--formats", "json", HOME=None)
    assert (done.returncode, done.stderr) == (0, "")
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    plain = ("--formats", "json", "glb", "png", "--texture", "none")
    done = likeness("reconstruct", photo, "-o", tmp_path / "b", *plain, before=locked(), HOME=str(home))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.iterdir()) == []


def test_a_report_without_a_home(photo: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("anna/1.jpg", "anna/2.jpg", "berta/1.jpg", "berta/2.jpg"):
        (tmp_path / "people" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / name).write_bytes(photo.read_bytes())
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    people = tmp_path / "people"
    done = likeness("evaluate", "recognisability", people, "-o", tmp_path / "out", before=locked(), HOME=str(home))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "report.html").exists()


def test_a_package_that_cannot_be_written_to(photo: Path, tmp_path: Path) -> None:
    import likeness as package

    site = tmp_path / "site"
    shutil.copytree(Path(package.__file__).parent, site / "likeness", ignore=shutil.ignore_patterns("__pycache__"))
    folders = [site, *(path for path in site.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        plain = ("--formats", "json", "png", "--texture", "none")
        done = likeness("reconstruct", photo, "-o", tmp_path / "out", *plain, before=locked(), PYTHONPATH=str(site))
        assert (done.returncode, done.stderr) == (0, "")
        assert not list(site.rglob("__pycache__"))
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_full_disk_names_the_file_and_leaves_nothing(photo: Path, tmp_path: Path) -> None:
    done = likeness("reconstruct", photo, "-o", tmp_path / "out", "--texture", "none", limits="ulimit -f 100")
    assert done.returncode == 2
    assert "me.glb: cannot be written (File too large)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_full_cache_costs_the_cache_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise FileError(path, f"cannot be written ({os.strerror(errno.ENOSPC)})")

    monkeypatch.setattr(cache_file, "write_atomically", full)
    cache = Cache(tmp_path / "cache")
    with pytest.warns(UserWarning, match="No space left"):
        cache.store("aa", {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.store("ab", {})
    assert cache.lost == 2
    assert cache.load("aa") is None


def test_who_stops_listening_does_not_stop_the_work(photo: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "likeness", "models", "convert", MODEL, str(tmp_path / "again.npz")]
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, env=variables(), check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "again.npz").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_lines_that_are_lost_are_told() -> None:
    done = likeness("models", "info", MODEL, limits="exec > /dev/full")
    assert done.returncode == 2
    assert done.stderr == f"likeness: what was printed is not all there ({os.strerror(errno.ENOSPC)})\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_streams_may_be_closed(closed: str) -> None:
    done = likeness("models", "info", MODEL, limits=f"exec {closed}")
    assert done.returncode == 0
    assert likeness("models", "info", "missing.npz", limits=f"exec {closed}").returncode == 2


def copies(photo: Path, folder: Path, count: int) -> list[str]:
    folder.mkdir()
    return [str(shutil.copy(photo, folder / f"{number:03d}.jpg")) for number in range(count)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_done_is_kept_when_one_stops_it(photo: Path, tmp_path: Path, jobs: int) -> None:
    photos, out = copies(photo, tmp_path / "photos", 100), tmp_path / "out"
    options = ["-o", str(out), "--formats", "json", "obj", "--texture", "none", "--jobs", str(jobs), "--threads", "1"]
    command = [sys.executable, "-m", "likeness", "reconstruct", *photos, *options]
    process = subprocess.Popen(
        command,
        env=variables(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in a shell's background ignore it
    )
    while not list(out.glob("*.obj")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: all processes hear of it
    assert process.stderr is not None
    lines = process.stderr.read().splitlines()
    assert process.wait() == 130
    assert lines == ["likeness: stopped; what was written stays"]
    found = {path.name for path in out.iterdir()} - {RECORDS}
    stems = {Path(name).stem for name in found}
    assert 0 < len(stems) < len(photos)
    assert found == {f"{stem}.{suffix}" for stem in stems for suffix in ("json", "mtl", "obj")}
    for stem in stems:
        json.loads((out / f"{stem}.json").read_bytes())
    assert not [name for name in files_of(out) if "unfinished-" in name or ".likeness-" in name]


def test_two_runs_into_one_folder(photo: Path, tmp_path: Path) -> None:
    photos = copies(photo, tmp_path / "photos", 2)
    options = ["--formats", "json", "obj", "--texture", "none", "--views", "1", "--threads", "1"]
    alone = likeness("reconstruct", *photos, "-o", tmp_path / "alone", *options)
    command = [sys.executable, "-m", "likeness", "reconstruct", *photos, *options, "-o", str(tmp_path / "out")]
    both = [subprocess.Popen(command, env=variables(), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.communicate()[1] == alone.stderr == ""
        assert process.returncode == alone.returncode == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "alone")

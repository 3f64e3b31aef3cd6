"""Photos shared out to processes: the same results and reports as by one, whatever becomes of a process."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from likeness import FileError, LikenessError, cli
from likeness.cli.workers import Shared


def run(*arguments: object) -> int:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def worker(folder: str) -> Callable[[int], str]:
    return partial(square, Path(folder))


def square(folder: Path, number: int) -> str:
    """Of some numbers the process ends: always of 5, the first time of 3."""
    time.sleep(0.01 * (number % 3))  # so that answers come in another order
    tried = folder / f"{number}"
    if number == 5 or (number == 3 and not tried.exists()):
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{number * number}"


def refusing() -> Callable[[int], str]:
    raise FileError("net.onnx", "is damaged")


def stillborn() -> Callable[[int], str]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_order_and_ends_of_processes_cost_at_most_their_task(tmp_path: Path, jobs: int) -> None:
    shared = Shared(partial(worker, str(tmp_path)), range(12), jobs, lambda number: f"given up: {number}")
    assert list(shared) == [f"{n * n}" if n != 5 else "given up: 5" for n in range(12)]
    assert not [one for one in shared._workers if one.process.is_alive()]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_what_keeps_processes_from_starting_is_told() -> None:
    with pytest.raises(LikenessError, match=r"net\.onnx: is damaged"):
        list(Shared(refusing, range(3), 2, str))
    with pytest.raises(LikenessError, match="end before they can work"):
        list(Shared(stillborn, range(3), 2, str))


def test_who_stops_asking_leaves_no_process(tmp_path: Path) -> None:
    shared = Shared(partial(worker, str(tmp_path)), [1, 2, 4, 6], 2, str)
    asked = iter(shared)
    assert next(asked) == "1"
    asked.close()  # type: ignore[attr-defined]  # it is a generator
    assert not [one for one in shared._workers if one.process.is_alive()]


def test_any_number_of_jobs_gives_the_same_files_and_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    image = pytest.importorskip("skimage.data").astronaut()[..., ::-1]
    photos = tmp_path / "photos"
    (photos / "a").mkdir(parents=True)
    monkeypatch.chdir(photos)
    cv2.imwrite("a/me.jpg", image[:300, 100:400])
    cv2.imwrite("me.jpg", image[:400, 50:450])
    cv2.imwrite("empty.png", image[400:, :100])
    Path("bad.jpg").write_text("no photo")
    given = ["me.jpg", "empty.png", "bad.jpg", "a/me.jpg", "missing.jpg"]
    seen = []
    for jobs in (1, 2):
        code = run("reconstruct", *given, "-o", "../out", "--jobs", jobs)
        files = {
            path.relative_to("../out"): path.read_bytes() for path in Path("../out").rglob("*") if path.is_file()
        }
        seen.append((code, capfd.readouterr(), files))
        shutil.rmtree("../out")
    assert seen[0][0] == 2
    assert len(seen[0][1].err.splitlines()) == 3
    assert {path.suffix for path in seen[0][2]} == {".glb", ".obj", ".mtl", ".jpg", ".json", ".png"}
    assert seen[0] == seen[1]
    assert run("reconstruct", "me.jpg", "-o", "../out", "--jobs", 0) == 2

"""The engine of Ray: the same tables, also where its processes are killed (`make test-cluster`)."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from likeness import FileError
from likeness.cluster.engines import by_ray
from likeness.cluster.photos import Shard, list_photos
from likeness.cluster.worker import Answer, Task

pytest.importorskip("ray.data", reason="the engine ray needs the extra cluster")

from likeness.cluster.archive import reconstruct_archive

TASKS = [Task(Shard(number, 0, ()), alone=True) for number in range(7)]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two processes on this machine, which find this file too."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=2, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def killed(folder: str) -> Callable[[Task], Answer]:
    return partial(killed_at, Path(folder))


def killed_at(folder: Path, task: Task) -> Answer:
    """Ends its process always at task 5, the first time at task 3."""
    tried = folder / f"{task.shard.number}"
    if task.shard.number == 5 or (task.shard.number == 3 and not tried.exists()):
        with tried.open("a") as stream:
            stream.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return Answer(task)


def refusing() -> Callable[[Task], Answer]:
    raise FileError("net.onnx", "is on another machine")


def test_a_task_is_done_again_elsewhere_and_given_up_in_the_end(tmp_path: Path) -> None:
    answers = by_ray(2)(partial(killed, str(tmp_path)), TASKS)
    assert sorted(answer.task.shard.number for answer in answers) == [0, 1, 2, 3, 4, 6]
    assert (tmp_path / "5").read_text() == "xxx"
    (refused,) = by_ray(1)(refusing, TASKS[:1])
    assert refused.error == "net.onnx: is on another machine"


@pytest.mark.skipif(sys.platform != "linux", reason="actors are found in /proc")
def test_an_actor_that_is_killed_changes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import cv2

    image = pytest.importorskip("skimage.data").astronaut()[..., ::-1]
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        cv2.imwrite(str(photos / f"{number:02d}.jpg"), image[: 190 + number, 110:320])
    (photos / "bad.jpg").write_text("no photo")
    listed = list_photos([photos.as_uri()])
    reconstruct_archive(listed, tmp_path / "here", shard=2)
    victims: list[int] = []

    def kill() -> None:
        """After the first table one of the actors is killed, in the midst of the next."""
        until = time.monotonic() + 120
        while not victims and time.monotonic() < until:
            time.sleep(0.002)
            if any((tmp_path / "ray" / "faces").glob("*.parquet")):
                victims.extend(actors()[:1])
        with suppress(ProcessLookupError):
            os.kill(victims[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    reconstruct_archive(listed, tmp_path / "ray", shard=2, engine=by_ray(2))
    killer.join()
    assert victims
    assert "Dataset execution" not in capfd.readouterr().err
    kept, made = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "faces").iterdir()} for name in ("here", "ray")
    )
    assert len(made) == 7
    assert kept == made


def actors() -> list[int]:
    """Ray's actors that this process started, the newest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            told = (path / "cmdline").read_bytes()
            if told.startswith((b"ray::MapWorker", b"ray::_MapWorker")) and is_ours(int(path.name)):
                found.append((path.stat().st_mtime_ns, int(path.name)))
        except OSError:
            continue
    return [process for _, process in sorted(found, reverse=True)]


def is_ours(process: int) -> bool:
    while process > 1 and process != os.getpid():
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process == os.getpid()

"""Photos a second of ``likeness reconstruct``, and its memory as photos go by.

    python benchmarks/throughput.py [--photos FOLDER TAR ...] [--count 2000] [--jobs 1 2] [--engine ray] [--tables]
                                    [--kill 0.3 0.6] [--kill-worker 0.2] [--undisturbed] [--json FILE]

The command is run as a user runs it (``--formats json``; with ``--tables`` or ``--engine ray`` into tables), on the
photos of folders and tars, or on COUNT crops of the astronaut of scikit-image, each shifted and of its own size, so
that no two are alike.
Resident memory is looked at all along: of the command, of the processes that work, of what else it has started (Ray's
own), and what of it is shared, which is Ray's object store and in none of the other three. "growth" is the straight
line through each after the last start and a tenth of the photos, in MiB per 1,000 photos.
With ``--kill`` a run into tables is killed (SIGKILL) when so much of it is done, and begun again: a photo that is
repeated or lost ends the benchmark. With ``--kill-worker`` one of the processes that work is killed when so much is
done, and the run has to go on. "digest" is of all tables: the same for every engine, number of jobs and kills. With
``--undisturbed`` a run of as many processes without Ray and without kills comes first; a digest that differs from its
ends the benchmark.
The floor is what cannot be saved: decoding a photo, proposing faces and one run of the network on one crop, on one
thread, in this process; it and the command are compared by the processors' time, so other work on the machine matters
less. Linux only (/proc is read).
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from likeness.cluster.archive import SHARD
from likeness.cluster.photos import list_photos
from likeness.files import digest

EVERY = 0.5
"""Seconds between two looks at the memory."""

FLOOR_PHOTOS = 40

KINDS = "command", "workers", "others", "shared"
"""Whose memory: the command's, of the processes that work, of all others that it has started; what they share."""


def make_photos(folder: Path, count: int) -> None:
    """Different photos of one face: (400 to 511 px)², JPEG."""
    import cv2
    from skimage.data import astronaut

    image = np.ascontiguousarray(astronaut()[..., ::-1])
    rng = np.random.default_rng(0)
    for number in range(count):
        side = 400 + int(rng.integers(0, 112))
        x, y = int(rng.integers(0, 512 - side + 1)), int(rng.integers(0, 60))
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), image[y : y + side, x : x + side])


def floor_seconds(photos: list[bytes]) -> dict[str, float]:
    """Median seconds of what no program can save, a photo."""
    from likeness import Reconstructor
    from likeness.images.photo import photo_of_content
    from likeness.reconstruct.proposals import crop_from_proposal, find_faces

    network = Reconstructor(threads=1).network
    taken = []
    for data in photos:
        times = [time.process_time()]
        image = photo_of_content(data, "photo").image
        times.append(time.process_time())
        found = find_faces(image)
        times.append(time.process_time())
        if found:
            network(crop_from_proposal(found[0], network.size).extract(image)[None])
            times.append(time.process_time())
            taken.append(np.diff(times))
    parts = np.median(taken[3:], 0)
    return dict(zip(("decode", "find", "regress"), map(float, parts), strict=True))


def spread(places: list[Path], count: int) -> list[bytes]:
    """The content of some photos, spread over what is measured."""
    listed = list_photos([str(place) for place in places])
    return [photo.read() for photo in listed[:: max(1, len(listed) // count)]]


@dataclass
class Watched:
    """What was seen of the command's processes.

    Args:
        looks: at each, photos done, and bytes in memory of each of :data:`KINDS`.
        started: photos that were done at the last start.
        processor: ticks that each process has used, when it was last seen.
        workers_killed: processes that were killed, and the command was not.
    """

    looks: list[tuple[int, ...]] = field(default_factory=list)
    started: int = 0
    processor: dict[int, int] = field(default_factory=dict)
    workers_killed: int = 0

    def look(self, done: int, process: int) -> None:
        """One more."""
        own, workers, rest, shared = self._used(process)[0], 0, 0, 0
        for one in _descendants(process):
            private, of_all = self._used(one)
            shared = max(shared, of_all)
            if _is_worker(one):
                workers += private
            else:
                rest += private
        self.looks.append((done, own, workers, rest, shared))

    @property
    def seconds(self) -> float:
        """Of processors."""
        return sum(self.processor.values()) / os.sysconf("SC_CLK_TCK")

    def _used(self, process: int) -> tuple[int, int]:
        """Bytes of a process in memory: its own, and those that it shares; its processor time is noted."""
        with suppress(OSError, IndexError, KeyError):
            told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            self.processor[process] = int(told[11]) + int(told[12])
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            kib = {
                name: int(value.split()[0])
                for name, _, value in (line.partition(":") for line in lines)
                if "Rss" in name
            }
            return 1024 * (kib["RssAnon"] + kib["RssFile"]), 1024 * kib["RssShmem"]
        return 0, 0


def _descendants(process: int) -> list[int]:
    children = _children(process)
    return [*children, *(one for child in children for one in _descendants(child))]


def _a_worker(process: int) -> int | None:
    """One of the processes that do a command's work, an actor of Ray or one of ``--jobs``; None: there is none."""
    return next((one for one in _descendants(process) if _is_worker(one)), None)


def _is_worker(process: int) -> bool:
    with suppress(OSError):
        told = Path(f"/proc/{process}/cmdline").read_bytes()
        return told.startswith((b"ray::MapWorker", b"ray::_MapWorker")) or b"spawn_main" in told
    return False


def _children(process: int) -> list[int]:
    found = []
    for task in glob.glob(f"/proc/{process}/task/*/children"):
        with suppress(OSError):
            found += [int(one) for one in Path(task).read_text().split()]
    return found


@dataclass(frozen=True)
class Run:
    """A run of the command.

    Args:
        photos: files, folders and tars.
        count: of the photos in them.
        jobs: processes.
        engine: local or ray.
        kills: when so much of it is done; in increasing order.
        worker_kill: when so much of it is done, one of its workers is killed; None: none is.
        tables: instead of a file for each photo.
    """

    photos: list[Path]
    count: int
    jobs: int
    engine: str
    kills: tuple[float, ...]
    worker_kill: float | None
    tables: bool

    def command(self, out: Path) -> list[str]:
        """What is called."""
        options = ["-o", str(out), "--jobs", str(self.jobs), "--threads", "1", "--engine", self.engine]
        options += ["--formats", "parquet" if self.tables else "json"]
        return [sys.executable, "-m", "likeness", "reconstruct", *map(str, self.photos), *options]

    def done(self, out: Path) -> int:
        """How many photos have results."""
        if not self.tables:
            return sum(name.endswith(".json") for name in os.listdir(out))
        return min(self.count, SHARD * len(_tables(out)))


def _tables(out: Path) -> dict[str, tuple[int, int]]:
    """What tells of a table that it was written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("faces/*.parquet")}


def measure(run: Run) -> dict[str, Any]:
    """One run, begun again after each kill."""
    seen = Watched()
    with tempfile.TemporaryDirectory() as folder:
        out, start = Path(folder), time.perf_counter()
        kept: dict[str, tuple[int, int]] = {}
        for kill in (*run.kills, float("inf")):
            told = _until(kill * run.count, run, out, seen)
            now = _tables(out)
            if any(now.get(name) != was for name, was in kept.items()):
                raise SystemExit("a table that was there is gone, or was written again")
            kept = now
        seconds = time.perf_counter() - start
        digest = _check_whole(run, out) if run.tables else ""
    return {
        "engine": run.engine,
        "jobs": run.jobs,
        "photos": run.count,
        "kills": len(run.kills),
        "workers killed": seen.workers_killed,
        "seconds": round(seconds, 1),
        "photos per second": round(run.count / seconds, 2),
        "processor ms a photo": round(1e3 * seen.seconds / run.count, 1),
        **_memory(seen, run),
        "digest": digest,
        "told": told,
    }


def _until(done: float, run: Run, out: Path, seen: Watched) -> str:
    """The command, killed when so many photos are done; what it said."""
    process = subprocess.Popen(run.command(out), stdout=subprocess.PIPE, text=True)
    seen.started = run.done(out)
    while process.poll() is None:
        seen.look(run.done(out), process.pid)
        now = seen.looks[-1][0]
        if now >= done:
            process.kill()
        elif run.worker_kill is not None and not seen.workers_killed and now >= run.worker_kill * run.count:
            worker = _a_worker(process.pid)
            if worker is not None:
                os.kill(worker, signal.SIGKILL)
                seen.workers_killed += 1
        time.sleep(EVERY)
    if process.returncode and process.returncode != -signal.SIGKILL:
        raise SystemExit(process.returncode)
    assert process.stdout is not None
    return process.stdout.read().strip()


def _check_whole(run: Run, out: Path) -> str:
    """The digest of all tables; none of the photos is missing in them, or there twice."""
    import pyarrow.parquet

    paths = sorted(out.glob("faces/*.parquet"))
    numbers = [number for path in paths for number in pyarrow.parquet.read_table(path)["photo"].unique().to_pylist()]
    if numbers != list(range(run.count)):
        raise SystemExit(f"expected each of {run.count} photos once, got {len(numbers)} of {len(set(numbers))}")
    return digest("".join(digest(path.read_bytes()) for path in paths).encode())


def _memory(seen: Watched, run: Run) -> dict[str, Any]:
    """MiB of each kind: at most all together, the growth, and the median at each tenth."""
    done, *looks = np.array(seen.looks, np.float64).T
    used = np.stack(looks) / 2**20
    after = (done > seen.started + 0.1 * run.count) & (done < 0.98 * run.count)
    growth = (
        np.polyfit(done[after], used[:, after].T, 1)[0] * 1000 if after.sum() > 2 else np.full(len(KINDS), np.nan)
    )
    tenths = [(done > 0) & (done // (run.count / 10) == tenth) for tenth in range(10)]
    curve = [np.median(used[:, part], 1) if part.any() else np.full(len(KINDS), np.nan) for part in tenths]
    return {
        "MiB at most": round(used.sum(0).max()),
        "growth": dict(zip(KINDS, np.round(growth, 2).tolist(), strict=True)),
        "MiB by tenths": dict(zip(KINDS, np.round(np.transpose(curve)).tolist(), strict=True)),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1])
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--kill", type=float, nargs="+", default=[])
    parser.add_argument("--kill-worker", type=float)
    parser.add_argument("--undisturbed", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        places = given.photos or [Path(made)]
        if given.photos is None:
            make_photos(places[0], given.count)
        count = len(list_photos([str(place) for place in places]))
        parts = floor_seconds(spread(places, FLOOR_PHOTOS + 3))
        floor = sum(parts.values())
        tables = given.tables or given.engine == "ray"
        if given.kill and not tables:
            parser.error("--kill: expected --tables, or --engine ray, which go on where they ended")
        kills = tuple(given.kill), given.kill_worker
        runs = [Run(places, count, jobs, given.engine, *kills, tables) for jobs in given.jobs]
        if given.undisturbed:
            runs.insert(0, Run(places, count, given.jobs[0], "local", (), None, True))
        rows = [measure(run) for run in runs]
    told = ", ".join(f"{name} {1e3 * value:.1f}" for name, value in parts.items())
    print(f"floor: {1e3 * floor:.1f} ms a photo ({told}), {1 / floor:.1f} photos a second on one thread")
    for row in rows:
        row["of the floor"] = round(row["processor ms a photo"] / 1e3 / floor, 2)
        print(", ".join(f"{name} {value}" for name, value in row.items()))
    if given.undisturbed and len({row["digest"] for row in rows}) > 1:
        raise SystemExit("kills, engines or jobs change the tables")
    if given.json is not None:
        given.json.write_text(json.dumps({"floor": parts, "runs": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

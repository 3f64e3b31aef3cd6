"""Photos a second of ``likeness reconstruct``, and its memory as photos go by.

    python benchmarks/throughput.py [--photos FOLDER] [--count 2000] [--jobs 1 2] [--engine ray] [--json FILE]

The command is run as a user runs it (``--formats json``; with ``--engine ray`` into tables), on COUNT photos: those
of FOLDER, or crops of the astronaut of scikit-image, each shifted and of its own size, so that no two are alike.
Its resident memory and that of its processes are looked at all along; "growth" is the straight line through them
after the first tenth, in MiB per 1,000 photos. The floor is what cannot be saved: decoding a photo, proposing faces
and one run of the network on one crop, on one thread, in this process. Linux only (memory is read from /proc).
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from likeness.cluster.archive import SHARD

EVERY = 0.5
"""Seconds between two looks at the memory."""

FLOOR_PHOTOS = 40


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


def floor_seconds(photos: list[Path]) -> float:
    """Median seconds of what no program can save, a photo."""
    from likeness import Reconstructor
    from likeness.images.photo import load_photo
    from likeness.reconstruct.proposals import crop_from_proposal, find_faces

    network = Reconstructor(threads=1).network
    taken = []
    for path in photos[: FLOOR_PHOTOS + 3]:
        start = time.perf_counter()
        image = load_photo(path).image
        crop = crop_from_proposal(find_faces(image)[0], network.size)
        network(crop.extract(image)[None])
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[3:]))


def resident(process: int) -> int:
    """Bytes of a process and all it has started that are in memory, as far as they are still there."""
    total = 0
    for one in (process, *_descendants(process)):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            continue
    return total


def _descendants(process: int) -> list[int]:
    children = _children(process)
    return [*children, *(one for child in children for one in _descendants(child))]


def _children(process: int) -> list[int]:
    found = []
    for task in glob.glob(f"/proc/{process}/task/*/children"):
        with suppress(OSError):
            found += [int(one) for one in Path(task).read_text().split()]
    return found


def photos_done(out: Path, engine: str) -> int:
    """How many photos have results."""
    if engine == "local":
        return sum(name.endswith(".json") for name in os.listdir(out))
    return SHARD * len([*out.glob("faces/*.parquet")])


def measure(photos: Path, count: int, jobs: int, engine: str) -> dict[str, Any]:
    """One run of the command over a folder."""
    with tempfile.TemporaryDirectory() as out:
        options = ["-o", out, "--jobs", str(jobs), "--threads", "1", "--engine", engine]
        options += ["--formats", "json" if engine == "local" else "parquet"]
        command = [sys.executable, "-m", "likeness", "reconstruct", str(photos), *options]
        start, seen = time.perf_counter(), []
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            seen.append((photos_done(Path(out), engine), resident(process.pid)))
            time.sleep(EVERY)
        seconds = time.perf_counter() - start
        assert process.stdout is not None
        told = process.stdout.read().strip()
    done, memory = np.array(seen, np.float64).T
    after = (done > 0.1 * count) & (done < 0.98 * count)
    growth = np.polyfit(done[after], memory[after], 1)[0] * 1000 / 2**20 if after.sum() > 2 else float("nan")
    return {
        "jobs": jobs,
        "photos": count,
        "seconds": round(seconds, 1),
        "photos per second": round(count / seconds, 2),
        "MiB at most": round(memory.max() / 2**20),
        "growth": round(float(growth), 2),
        "told": told,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1])
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = given.photos or Path(made)
        if given.photos is None:
            make_photos(folder, given.count)
        photos = sorted(path for path in folder.rglob("*") if path.is_file())
        floor = floor_seconds(photos)
        rows = [measure(folder, len(photos), jobs, given.engine) for jobs in given.jobs]
    print(f"floor: {1e3 * floor:.1f} ms a photo, {1 / floor:.1f} photos a second on one thread")
    for row in rows:
        row["of the floor"] = round(row["seconds"] * min(row["jobs"], os.cpu_count() or 1) / row["photos"] / floor, 2)
        print(", ".join(f"{name} {value}" for name, value in row.items()))
    if given.json is not None:
        given.json.write_text(json.dumps({"floor": floor, "runs": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

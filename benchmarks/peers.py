"""The time from a photograph to coefficients beside that of other tools, on the same photo in one run.

    python benchmarks/peers.py DATA [--photo FILE] [--photos FOLDER] [--network FILE] [--runs N] [--work DIR]
                                    [--json FILE]

Other tools: MediaPipe's face landmarker with blendshapes (its networks from ``DATA/teachers/mediapipe``), from the
file and from the decoded image, and eos's fit of its model (``DATA/eos``) to our 68 landmarks. Both are installed
from the package index into an environment of their own in ``--work``, once; pip needs some 650 MB there.

Each runs in a process of its own, takes one thread, and all take turns, so that what else the machine does hits all
alike. Given are milliseconds of processor time of all of a process's threads (the clock of a busy machine says
little) and of the clock, the least and the median of the runs, and how many times as long as MediaPipe's each takes:
the median of the ratios of runs that followed each other. MediaPipe looks for one face, so that is what is asked of
both; "all faces" looks for small ones too. With ``--photos`` both also take the photos of a folder as they are,
another one in each run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

PEERS = ("mediapipe", "eos-py", "numpy")
NETWORKS = ("face_detector", "face_landmarks_detector", "face_blendshapes")
WIDTH, HEIGHT = 413, 551
REFERENCE = "MediaPipe, from the file"
ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
}

Tasks = dict[str, Callable[[], Any]]


def environment(folder: Path) -> Path:
    """The interpreter of the environment that has the peers; made where it is not there."""
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
        done.touch()
    return python


def portrait(source: Path, out: Path) -> Path:
    """The middle of a photo as a JPEG of 413 x 551 pixels."""
    import cv2

    image = cv2.imread(str(source))
    if image is None:
        raise SystemExit(f"{source}: cannot be read as a photo")
    scale = max(WIDTH / image.shape[1], HEIGHT / image.shape[0])
    size = max(WIDTH, round(scale * image.shape[1])), max(HEIGHT, round(scale * image.shape[0]))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (image.shape[1] - WIDTH) // 2, (image.shape[0] - HEIGHT) // 2
    cv2.imwrite(str(out), image[top : top + HEIGHT, left : left + WIDTH], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return out


def photos_in(folder: Path) -> Iterator[str]:
    """A folder's photos, again and again."""
    return itertools.cycle([str(path) for path in sorted(folder.glob("*.jpg"))])


def own_tasks(photo: Path, network: Path | None, photos: Path | None) -> Tasks:
    """This package, from the file and from the image, and its fit of 68 landmarks and of dense points."""
    import cv2

    cv2.setNumThreads(1)
    from likeness import Reconstructor
    from likeness.fit import Observations, Start, fit_face
    from likeness.images.photo import load_photo

    reconstruct, twice = (Reconstructor(network=network, threads=1, views=views) for views in (1, 2))
    image = load_photo(photo).image
    faces = reconstruct(image)
    if len(faces) != 1:
        raise SystemExit(f"{photo}: expected one face, found {len(faces)}")
    seen = Observations(faces[0].landmarks, 2.0**2)
    face, refiner = faces[0], reconstruct.refiner
    assert face.points is not None
    assert face.deviation is not None
    assert refiner is not None
    start = Start(face.rotation, face.translation)
    dense = partial(refiner.fit, face.points, face.deviation, face.camera, start)
    tasks: Tasks = {
        "likeness, one face, from the file": lambda: reconstruct(photo, max_faces=1),
        "likeness, views=2, one face, from the file": lambda: twice(photo, max_faces=1),
        "likeness, one face, from the image": lambda: reconstruct(image, max_faces=1),
        "likeness, all faces, from the file": lambda: reconstruct(photo),
        "likeness, 68 landmarks fitted": lambda: fit_face(reconstruct.model, seen, face.camera),
        "likeness, dense points fitted": dense,
    }
    if photos is not None:
        each, others = photos_in(photos), photos_in(photos)
        tasks["likeness, all faces, each photo"] = lambda: reconstruct(next(each))
        tasks["likeness, one face, each photo"] = lambda: reconstruct(next(others), max_faces=1)
    return tasks


def peer_tasks(photo: Path, data: Path, landmarks: list[list[float]], work: Path, photos: Path | None) -> Tasks:
    """MediaPipe and eos; runs in their environment."""
    tasks: Tasks = {}
    folder = data / "teachers" / "mediapipe"
    if folder.is_dir():
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        bundle = work / "face_landmarker.task"
        with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
            for name in NETWORKS:
                archive.write(folder / f"{name}.tflite", f"{name}.tflite")
        options = vision.FaceLandmarkerOptions(BaseOptions(str(bundle)), output_face_blendshapes=True)
        landmarker = vision.FaceLandmarker.create_from_options(options)
        image = mediapipe.Image.create_from_file(str(photo))
        if not landmarker.detect(image).face_blendshapes:
            raise SystemExit(f"{photo}: MediaPipe finds no face")
        tasks[REFERENCE] = lambda: landmarker.detect(mediapipe.Image.create_from_file(str(photo)))
        tasks["MediaPipe, from the image"] = lambda: landmarker.detect(image)
        if photos is not None:
            each = photos_in(photos)
            tasks["MediaPipe, each photo"] = lambda: landmarker.detect(mediapipe.Image.create_from_file(next(each)))
    if (data / "eos").is_dir():
        tasks["eos, 68 landmarks fitted"] = eos_task(data / "eos", landmarks)
    return tasks


def eos_task(folder: Path, landmarks: list[list[float]]) -> Callable[[], Any]:
    """eos's fit of shape, expression and pose, without contours."""
    import eos

    shape = eos.morphablemodel.load_model(str(folder / "sfm_shape_3448.bin"))
    blendshapes = eos.morphablemodel.load_blendshapes(str(folder / "expression_blendshapes_3448.bin"))
    model = eos.morphablemodel.MorphableModel(
        shape.get_shape_model(), blendshapes, color_model=eos.morphablemodel.PcaModel(), vertex_definitions=None
    )
    mapper = eos.core.LandmarkMapper(str(folder / "ibug_to_sfm.txt"))
    points = [eos.core.Landmark(str(number), point) for number, point in enumerate(landmarks, start=1)]
    return lambda: eos.fitting.fit_shape_and_pose(model, points, mapper, WIDTH, HEIGHT)


def serve(tasks: Tasks) -> None:
    """Run the task whose number stands on a line of the input and answer with its times, until the input ends."""
    calls = list(tasks.values())
    for call in calls:
        for _ in range(3):
            call()
    answer = sys.stdout
    answer.write(json.dumps(list(tasks)) + "\n")
    answer.flush()
    for line in sys.stdin:
        call = calls[int(line)]
        clock, processor = time.perf_counter_ns(), time.process_time_ns()
        call()
        spent = time.process_time_ns() - processor, time.perf_counter_ns() - clock
        answer.write(json.dumps([value / 1e6 for value in spent]) + "\n")
        answer.flush()


@dataclass
class Worker:
    """A process that runs tasks on demand."""

    process: subprocess.Popen[str]
    names: list[str]

    @classmethod
    def started(cls, python: Path, arguments: list[str]) -> Worker:
        """Start one with this file's ``--serve``."""
        source = str(Path(__file__).resolve().parents[1] / "src")
        process = subprocess.Popen(
            [str(python), str(Path(__file__).resolve()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": source},
        )
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise SystemExit(f"{python}: did not start, exit code {process.wait()}")
        return cls(process, json.loads(line))

    def run(self, number: int) -> tuple[float, float]:
        """Milliseconds of the processor and of the clock of one run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        processor, clock = json.loads(self.process.stdout.readline())
        return processor, clock

    def stop(self) -> None:
        """End it."""
        self.process.communicate()


def compare(workers: list[Worker], runs: int) -> dict[str, dict[str, float]]:
    """Every task of every worker in turn, ``runs`` times."""
    every = [(worker, number, name) for worker in workers for number, name in enumerate(worker.names)]
    times: dict[str, list[tuple[float, float]]] = {name: [] for _, _, name in every}
    for _ in range(runs):
        for worker, number, name in every:
            times[name].append(worker.run(number))
    reference = [processor for processor, _ in times[REFERENCE]] if REFERENCE in times else None
    rows = {}
    for name, pairs in times.items():
        processor, clock = ([pair[column] for pair in pairs] for column in (0, 1))
        row = {"least_ms": min(processor), "median_ms": statistics.median(processor)}
        row |= {"least_clock_ms": min(clock), "median_clock_ms": statistics.median(clock)}
        if reference:
            row["over_mediapipe"] = statistics.median(a / b for a, b in zip(processor, reference, strict=True))
        rows[name] = row
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed beside other tools.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--photo", type=Path, help="default: the first portrait of DATA")
    parser.add_argument("--photos", type=Path, help="a folder of .jpg")
    parser.add_argument("--network", type=Path, help="another regressor (.onnx)")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--work", type=Path, default=Path("work") / "peers")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", choices=("own", "peers"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    photo, points = work / "photo.jpg", work / "landmarks.json"
    if arguments.serve == "own":
        serve(own_tasks(photo, arguments.network, arguments.photos))
        return
    if arguments.serve == "peers":
        serve(peer_tasks(photo, arguments.data, json.loads(points.read_text()), work, arguments.photos))
        return
    work.mkdir(parents=True, exist_ok=True)
    portrait(arguments.photo or sorted((arguments.data / "portraits").glob("*.jpg"))[0], photo)
    from likeness import Reconstructor

    points.write_text(json.dumps(Reconstructor(threads=1)(photo)[0].landmarks.tolist()))
    same = [str(arguments.data), "--work", str(work)]
    same += ["--photos", str(arguments.photos.resolve())] if arguments.photos else []
    own = ["--network", str(arguments.network.resolve())] if arguments.network else []
    workers = [
        Worker.started(Path(sys.executable), [*same, *own, "--serve", "own"]),
        Worker.started(environment(work / "environment"), [*same, "--serve", "peers"]),
    ]
    rows = compare(workers, arguments.runs)
    for worker in workers:
        worker.stop()
    print(f"{'':43} {'processor ms':>18} {'clock ms':>18} {'over':>10}\n{'':43} {'least':>9} {'median':>8}", end="")
    print(f" {'least':>9} {'median':>8} {'MediaPipe':>10}")
    for name, row in rows.items():
        over = f"{row['over_mediapipe']:10.2f}" if "over_mediapipe" in row else ""
        print(f"{name:43} {row['least_ms']:9.1f} {row['median_ms']:8.1f} {row['least_clock_ms']:9.1f}", end="")
        print(f" {row['median_clock_ms']:8.1f} {over}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

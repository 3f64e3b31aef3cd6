"""Time from a photograph's file to coefficients and mesh, warm and cold.

    python benchmarks/speed.py [PHOTO] [--network FILE] [--views 4] [--json FILE]

Warm: one process, one thread, a 1-megapixel JPEG with one face (PHOTO enlarged or shrunk; default: the astronaut of
scikit-image), medians of many runs, split into decode, find, regress (all crops, with cutting them), carry back (with
the fit to the points) and decode mesh; ``one_face`` is the whole path where one face is asked for. ``passes`` counts
the crops that the network saw. Cold: ``python -m likeness reconstruct`` from start to exit with all four files, best
of five, and ``import likeness``; the embedded network, whatever ``--network`` says. The floor of the warm path is
what the libraries alone need: decoding the JPEG and two runs of the network, given as ``floor``.

Times are of the process (of its one thread), so that they hold on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MEGAPIXEL = 1_000_000


def median_ms(call: Callable[[], Any], runs: int = 40) -> float:
    """Median processor time of a call in milliseconds, after three calls to warm up."""
    for _ in range(3):
        call()
    times = []
    for _ in range(runs):
        start = time.process_time_ns()
        call()
        times.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(times)


def one_megapixel(photo: Path | None, folder: Path) -> Path:
    """The photo as a JPEG of one megapixel."""
    import cv2

    if photo is None:
        from skimage.data import astronaut

        image = np.ascontiguousarray(astronaut()[..., ::-1])
    else:
        image = np.asarray(cv2.imread(str(photo)))
    scale = (MEGAPIXEL / (image.shape[0] * image.shape[1])) ** 0.5
    path = folder / "photo.jpg"
    cv2.imwrite(str(path), cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    return path


def warm(path: Path, network: Path | None, views: int) -> dict[str, float]:
    """Medians in ms of the whole path and of its parts, one thread."""
    import cv2

    cv2.setNumThreads(1)
    from likeness import Reconstructor
    from likeness.images.photo import load_photo
    from likeness.reconstruct.proposals import crop_from_proposal, find_faces

    reconstruct = Reconstructor(network=network, threads=1, views=views)
    image = load_photo(path).image
    proposals = find_faces(image)
    found = reconstruct._find(image)
    face = reconstruct(path)[0]
    crop = crop_from_proposal(proposals[0], reconstruct.network.size)
    once = median_ms(lambda: reconstruct.network(crop.extract(image)[None]))
    find = median_ms(lambda: find_faces(image))
    parts = {
        "decode_ms": median_ms(lambda: load_photo(path)),
        "find_ms": find,
        "network_once_ms": once,
        "regress_ms": median_ms(lambda: reconstruct._find(image)) - find,
        "carry_back_ms": median_ms(lambda: reconstruct.carry_back(found[0], image, None, "photo")),
        "mesh_ms": median_ms(face.mesh),
        "file_to_coefficients_ms": median_ms(lambda: reconstruct(path)),
        "one_face_ms": median_ms(lambda: reconstruct(path, max_faces=1)),
    }
    parts["floor_ms"] = parts["decode_ms"] + 2 * once
    return parts | {
        "proposals": float(len(proposals)),
        "passes": float(passes(reconstruct, path, None)),
        "passes_one_face": float(passes(reconstruct, path, 1)),
    }


def passes(reconstruct: Any, path: Path, most: int | None) -> int:
    """How many crops the network sees of a photo."""
    seen: list[int] = []
    network = reconstruct.network

    class Counted:
        """The network, which notes how many crops it is given."""

        def __getattr__(self, name: str) -> Any:
            return getattr(network, name)

        def __call__(self, crops: np.ndarray) -> Any:
            seen.append(len(crops))
            return network(crops)

    reconstruct.network = Counted()
    reconstruct(path, max_faces=most)
    reconstruct.network = network
    return sum(seen)


def cold(path: Path, folder: Path) -> dict[str, float]:
    """Seconds of a fresh process: the command with all four files, and the bare import; best of five."""
    source = str(Path(__file__).resolve().parents[1] / "src")
    environment = {**os.environ, "PYTHONPATH": source}
    commands = {
        "reconstruct": [sys.executable, "-m", "likeness", "reconstruct", str(path), "-o", str(folder / "out")],
        "import": [sys.executable, "-c", "import likeness"],
        "python": [sys.executable, "-c", "pass"],
    }
    best = {}
    for name, command in commands.items():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run(command, check=True, env=environment, capture_output=True)
            times.append(time.perf_counter() - start)
        best[f"cold_{name}_s"] = min(times)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the main job.")
    parser.add_argument("photo", type=Path, nargs="?")
    parser.add_argument("--network", type=Path, help="another regressor (.onnx) than the embedded one")
    parser.add_argument("--views", type=int, default=1, choices=(1, 2, 4), help="of every face, at least")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = one_megapixel(arguments.photo, Path(name))
        result = warm(path, arguments.network, arguments.views)
        result |= cold(path, Path(name))
    for key, value in result.items():
        print(f"{key:28} {value:8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

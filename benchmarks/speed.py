"""Time from a photograph's file to coefficients and mesh, warm and cold.

    python benchmarks/speed.py [PHOTO] [--json FILE]

Warm: one process, one thread, a 1-megapixel JPEG with one face (PHOTO enlarged or shrunk; default: the astronaut of
scikit-image), medians of many runs, split into decode, find, regress (all crops, with cutting them), carry back, and
decode mesh. Cold: ``python -m likeness reconstruct`` from start to exit with all four files, best of five, and
``import likeness``. The floor of the warm path is what the libraries alone need: decoding the JPEG and
two runs of the network, given as ``floor``.
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
    """Median time of a call in milliseconds, after three calls to warm up."""
    for _ in range(3):
        call()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
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


def warm(path: Path) -> dict[str, float]:
    """Medians in ms of the whole path and of its parts, one thread."""
    import cv2

    cv2.setNumThreads(1)
    from likeness import Reconstructor
    from likeness.images.photo import load_photo
    from likeness.reconstruct.proposals import crop_from_proposal, find_faces

    reconstruct = Reconstructor(threads=1)
    image = load_photo(path).image
    proposals = find_faces(image)
    crops = [crop_from_proposal(proposal, reconstruct.network.size) for proposal in proposals]
    face = reconstruct(path)[0]
    batch = np.stack([crop.extract(image) for crop in crops[:1]])
    network = median_ms(lambda: reconstruct.network(batch))
    parts = {
        "decode": median_ms(lambda: load_photo(path)),
        "find": median_ms(lambda: find_faces(image)),
        "network_once": network,
        "regress": median_ms(lambda: reconstruct._regress(image, crops)) + median_ms(
            lambda: reconstruct._regress(image, [crop_from_proposal(proposals[0], reconstruct.network.size)])
        ),
        "mesh": median_ms(face.mesh),
        "file_to_coefficients": median_ms(lambda: reconstruct(path)),
    }  # fmt: skip
    parts["floor"] = parts["decode"] + 2 * network
    parts["proposals"] = float(len(proposals))
    return parts


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
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = one_megapixel(arguments.photo, Path(name))
        result = {f"{key}_ms" if key != "proposals" else key: value for key, value in warm(path).items()}
        result |= cold(path, Path(name))
    for key, value in result.items():
        print(f"{key:28} {value:8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

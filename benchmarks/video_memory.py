"""Memory of reconstructing a video, against its length.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/video_memory.py [--frames 150 600 2400] [--json FILE]

Rendered people as ``benchmarks/video.py`` films them. Every video is reconstructed and saved (all formats, with the
overlay) by a process of its own; measured is the most memory that this ever held (``ru_maxrss``), MB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from video import RATE, film, truth

from likeness import FaceModel, Reconstructor
from likeness.assets import asset
from likeness.reconstruct.video import reconstruct_video


def measure(frames: list[int]) -> dict[int, float]:
    """MB for each length."""
    model, found = FaceModel.load(asset("face_model.npz")), {}
    with tempfile.TemporaryDirectory() as folder:
        for count in frames:
            path, rng = Path(folder) / f"{count}.mp4", np.random.default_rng(0)
            _, angles, weights, _ = truth(count / RATE, rng)
            film(path, model, rng, angles, weights)
            command = [sys.executable, __file__, "--of", str(path)]
            found[count] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def most_memory(path: Path) -> float:
    """MB that this process holds at most after it has reconstructed a video."""
    result = reconstruct_video(Reconstructor(threads=1), path)
    result.save(path.with_suffix(""))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of reconstructing a video, against its length.")
    parser.add_argument("--frames", type=int, nargs="+", default=[150, 600, 2400])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--of", type=Path, help="print that of one video, of this process")
    arguments = parser.parse_args()
    if arguments.of is not None:
        print(most_memory(arguments.of))
        return
    found = measure(arguments.frames)
    for count, megabytes in found.items():
        print(f"{count:6} frames: {megabytes:7.1f} MB")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

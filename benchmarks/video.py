"""Lag, jitter and blinks of videos, on rendered people whose movement is known; and what a frame costs.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/video.py [--people N] [--seconds S] [--json FILE]

Each person turns and nods, opens the mouth and blinks, at 30 frames a second, 320 x 256 pixels, with noise of a small
sensor, as MPEG-4. Measured of the raw results (every frame by itself) and of the smoothed ones:

- lag: the shift of the truth in time that, with the best scale and offset, explains the result best, ms;
- jitter: RMS second difference of result less truth (of raw results mostly noise), and error after the best offset;
- blinks: depth over the raw depth, and by how much the half-way point of closing moves, ms.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from likeness import ARKIT_NAMES, FaceModel, Reconstructor
from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL, euler_from_rotation, rotation_from_euler
from likeness.images.video import VideoWriter
from likeness.reconstruct.performance import Performance
from likeness.reconstruct.video import reconstruct_video
from likeness.render.shading import render_image

RATE, SIZE, NOISE, DISTANCE = 30.0, (320, 256), 5.0, 650.0
BLINK_SECONDS = 0.2
LAGS = np.arange(-100, 101) / 1000.0
JAW, BLINKS = ARKIT_NAMES.index("jawOpen"), [ARKIT_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]


def truth(seconds: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times (N,), head angles (N, 3), weights (N, 52), when blinks begin (B,)."""
    times = np.arange(round(seconds * RATE)) / RATE
    phase = rng.uniform(0, 2 * np.pi, 4)
    angles = np.stack(
        [
            0.30 * np.sin(2 * np.pi * 0.5 * times + phase[0]) + 0.05 * np.sin(2 * np.pi * 1.3 * times + phase[1]),
            0.10 * np.sin(2 * np.pi * 0.8 * times + phase[2]),
            0.06 * np.sin(2 * np.pi * 0.4 * times + phase[3]),
        ],
        axis=1,
    )
    weights = np.zeros((len(times), len(ARKIT_NAMES)))
    weights[:, JAW] = 0.3 * (1 - np.cos(2 * np.pi * 1.5 * times)) * (np.sin(2 * np.pi * 0.3 * times) > -0.5)
    begins = np.arange(0.7, seconds - 0.5, 1.3)
    for begin in begins:
        share = np.clip((times - begin) / BLINK_SECONDS, 0, 1)
        closed = np.where(share < 1 / 3, np.sin(1.5 * np.pi * share), np.cos(0.75 * np.pi * (share - 1 / 3))) ** 2
        weights[:, BLINKS] = np.maximum(weights[:, BLINKS], closed[:, None])
    return times, angles, weights, begins


def film(path: Path, model: FaceModel, rng: np.random.Generator, angles: np.ndarray, weights: np.ndarray) -> None:
    """A video of somebody."""
    code = model.space.sample(1, rng)[0]
    albedo = model.albedo(0.6 * rng.normal(size=len(model.albedo_names)))
    camera = Camera(2.4 * SIZE[1], ((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2), SIZE)
    with VideoWriter(path, SIZE, RATE) as writer:
        for turn, weight in zip(angles, weights, strict=True):
            rotation, place = FRONTAL @ rotation_from_euler(*turn), np.array([0.0, 25.0, DISTANCE])
            vertices = model.vertices(code, weight)
            picture = render_image(vertices, model.topology.triangles, albedo, camera, rotation, place)
            noisy = picture + rng.normal(0, NOISE, picture.shape)
            writer.write(np.clip(noisy, 0, 255).astype(np.uint8))


def lag_of(times: np.ndarray, found: np.ndarray, true: np.ndarray) -> float:
    """ms by which a result comes late."""
    inner = (times > times[0] + 0.15) & (times < times[-1] - 0.15)
    target = found[inner] - found[inner].mean()
    misfit = []
    for lag in LAGS:
        shifted = np.interp(times[inner] - lag, times, true)
        shifted -= shifted.mean()
        scale = shifted @ target / max(shifted @ shifted, 1e-12)
        misfit.append(float(((target - scale * shifted) ** 2).sum()))
    return 1000.0 * float(LAGS[int(np.argmin(misfit))])


def jitter_of(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """RMS second difference of the error, and RMS error about its mean."""
    error = found - true
    return float(np.sqrt((np.diff(error, 2) ** 2).mean())), float(error.std())


def crossing(times: np.ndarray, values: np.ndarray, level: float) -> float:
    """When a level is first reached, seconds."""
    after = int(np.argmax(values >= level))
    if after == 0:
        return float(times[0])
    before = values[after - 1]
    return float(times[after - 1] + (times[after] - times[after - 1]) * (level - before) / (values[after] - before))


def blinks(raw: Performance, smooth: Performance, begins: np.ndarray) -> list[tuple[float, float, float]]:
    """Of each blink of each eye: the raw depth, the smooth depth over it, and the shift of its onset, ms."""
    found = []
    for begin in begins:
        near = (raw.times > begin - 0.1) & (raw.times < begin + BLINK_SECONDS + 0.1)
        for eye in BLINKS:
            one, other = raw.expression[near, eye], smooth.expression[near, eye]
            depth = float(one.max())
            if depth < 0.2:
                found.append((depth, np.nan, np.nan))
                continue
            moved = [crossing(raw.times[near], values, 0.5 * depth) for values in (other, one)]
            found.append((depth, float(other.max()) / depth, 1000.0 * (moved[0] - moved[1])))
    return found


def measure(people: int, seconds: float) -> dict[str, Any]:
    """The table's numbers."""
    reconstructor = Reconstructor(threads=1)
    rows: dict[str, list[float]] = {}
    every, milliseconds, frames = [], 0.0, 0
    for seed in range(people):
        rng = np.random.default_rng(seed)
        times, angles, weights, begins = truth(seconds, rng)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "person.mp4"
            film(path, reconstructor.model, rng, angles, weights)
            begun = time.process_time()
            result = reconstruct_video(reconstructor, path, smooth=False)
            milliseconds += 1000 * (time.process_time() - begun)
        raw = result.people[0]
        smooth = raw.steadied()
        frames += len(times)
        rows.setdefault("frames found, %", []).append(100 * len(raw) / len(times))
        for kind, one in (("raw", raw), ("smooth", smooth)):
            turns = np.degrees(euler_from_rotation(FRONTAL @ np.asarray(one.rotation, np.float64)))
            curves = {
                "yaw": (turns[:, 0], np.degrees(angles[one.frames, 0])),
                "pitch": (turns[:, 1], np.degrees(angles[one.frames, 1])),
                "jawOpen": (one.expression[:, JAW], weights[one.frames, JAW]),
            }
            for name, (found, true) in curves.items():
                jitter, error = jitter_of(found, true)
                rows.setdefault(f"{name} {kind}: lag, ms", []).append(lag_of(one.times, found, true))
                rows.setdefault(f"{name} {kind}: jitter", []).append(jitter)
                rows.setdefault(f"{name} {kind}: error", []).append(error)
            still = one.expression[:, [n for n in range(52) if n != JAW and n not in BLINKS]]
            rows.setdefault(f"weights at rest {kind}: jitter", []).append(
                float(np.sqrt((np.diff(still, 2, axis=0) ** 2).mean()))
            )
        every += blinks(raw, smooth, begins)
    depth, kept, shift = np.array(every).T
    seen = np.isfinite(kept)
    result_rows: dict[str, Any] = {name: float(np.mean(values)) for name, values in rows.items()}
    result_rows |= {
        "blinks": len(every),
        "blinks seen raw (depth over 0.2)": int(seen.sum()),
        "raw depth, median": float(np.median(depth)),
        "smooth depth over raw, median": float(np.median(kept[seen])),
        "smooth depth over raw, least": float(kept[seen].min()),
        "onset moved, ms, mean absolute": float(np.abs(shift[seen]).mean()),
        "onset moved, ms, largest": float(np.abs(shift[seen]).max()),
        "processor ms a frame": milliseconds / frames,
    }
    return result_rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Lag, jitter and blinks of videos of rendered people.")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments.people, arguments.seconds)
    for name, value in result.items():
        print(f"{name:42} {value:10.4f}" if isinstance(value, float) else f"{name:42} {value:10}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

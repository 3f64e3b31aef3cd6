"""How many scans an hour the reconstruction error is measured for, and how far that is from what it must cost.

    python benchmarks/reconstruction_speed.py [--scans 8] [--points 30000] [--processes 2] [--json FILE]

Every scan is a smooth, head-like surface made from a seed, closed, with so many points on its whole that ``--points``
lie in NoW's face region; the mesh is another head of 5,000 vertices (the same face, smoothly deformed by about
1.5 mm), turned, moved and scaled, with landmarks 2 mm off. Both go through files, as a user's do.

The floor: an alignment by closest points must look every point up once an iteration, so it costs at least

    look-ups x points x (libigl's time for one look-up on this tree),

that time taken by asking the tree for the aligned points alone. What the measured time has on top is linear algebra
(the Jacobian of seven parameters), the tree, and reading the files. The goal is 1,000 scans an hour on two cores.

Seconds are CPU seconds (of this process) where it says so: other work on the machine lengthens the wall clock, not
those.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from likeness.datasets.scan_landmark_files import read_landmarks
from likeness.evaluate.scan_batches import ScanPair, measure_pairs
from likeness.geometry.rotation import rotation_from_euler
from likeness.mesh import Mesh
from likeness.mesh.closest import Surface
from likeness.metrics.scan_alignment import refine, similarity_from_landmarks
from likeness.metrics.scan_error import PROTOCOLS, reconstruction_error
from likeness.metrics.scan_landmarks import FaceLandmarks

GOAL = 1000  # scans an hour on two cores
MESH_VERTICES = 5000
AHEAD = 2  # scans a process that `measure_pairs` hands out ahead
CALM_SECONDS = 0.2  # a look-up's time is the least of as many repetitions as fit

MARKS = np.array(
    [[-45, 30, 1], [-16, 28, 1], [16, 28, 1], [45, 30, 1], [0, -18, 1], [-25, -48, 1], [25, -48, 1], [0, -8, 1]],
    float,
)
"""Where landmarks lie on the front, x and y mm: the seven of NoW and the nose tip."""


def head(directions: np.ndarray, waves: np.ndarray, depth: float) -> np.ndarray:
    """(N, 3) mm of a smooth head in unit directions (N, 3): an ellipsoid with a nose and ``depth`` mm of waves."""
    points = directions * [75.0, 110.0, 95.0]
    nose = 18.0 * np.exp(-((points[:, 0] / 12.0) ** 2) - ((points[:, 1] + 2.0) / 16.0) ** 2) * (directions[:, 2] > 0)
    bumps = np.sin(directions @ waves[:, :3].T + waves[:, 3]).sum(axis=1) / np.sqrt(len(waves))
    return points + directions * (depth * bumps)[:, None] + np.outer(nose, [0.0, 0.0, 1.0])


def grid(count: int) -> tuple[np.ndarray, np.ndarray]:
    """About ``count`` directions (V, 3) in rings about the y axis, and triangles (F, 3)."""
    rings = max(4, round(np.sqrt(count / 2)))
    polar = np.linspace(0.02, np.pi - 0.02, rings)[:, None]
    around = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    parts = np.broadcast_arrays(np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around))
    a = np.arange(rings * 2 * rings).reshape(rings, 2 * rings)
    b = np.roll(a, -1, axis=1)
    low = [np.stack([a[1:], b[1:], a[:-1]], -1).reshape(-1, 3), np.stack([b[1:], b[:-1], a[:-1]], -1).reshape(-1, 3)]
    return np.stack(parts, axis=-1).reshape(-1, 3), np.concatenate(low)


def landmark_directions() -> np.ndarray:
    """(8, 3) unit directions whose points on the ellipsoid have the x and y of ``MARKS``."""
    x, y = MARKS[:, 0] / 75.0, MARKS[:, 1] / 110.0
    return np.stack([x, y, np.sqrt(1.0 - x * x - y * y)], axis=1)


def make_pair(folder: Path, seed: int, points: int) -> tuple[ScanPair, int]:
    """Writes a scan and a mesh with landmarks; also how many of the scan's points are in NoW's region."""
    rng = np.random.default_rng(seed)
    waves = np.column_stack([rng.normal(0, 5.0, (12, 3)), rng.uniform(0, 2 * np.pi, 12)])
    other = np.column_stack([rng.normal(0, 4.0, (12, 3)), rng.uniform(0, 2 * np.pi, 12)])
    marks = landmark_directions()
    landmarks = FaceLandmarks.from_points(head(marks, waves, 3.0))
    center, radius = landmarks.disc()
    probe = head(grid(points)[0], waves, 3.0)
    share = float((np.linalg.norm(probe - center, axis=1) <= radius).mean())
    directions, triangles = grid(round(points / share))
    scan = head(directions, waves, 3.0)
    coarse, coarse_triangles = grid(MESH_VERTICES)
    rotation, scale = rotation_from_euler(*rng.uniform(-0.5, 0.5, 3)), rng.uniform(0.01, 100.0)
    predicted, predicted_marks = (
        (head(d, waves, 3.0) + d * (1.5 * np.sin(d @ other[:, :3].T).sum(axis=1) / 2.4)[:, None])
        for d in (coarse, marks)
    )
    predicted_marks += rng.normal(0, 2.0 / np.sqrt(3), predicted_marks.shape)
    pair = ScanPair(*(folder / f"{seed}{end}" for end in ("-scan.ply", "-scan.npy", "-mesh.obj", "-mesh.npy")))
    Mesh(scan.astype(np.float32), triangles).save(pair.scan)
    Mesh(scale * predicted @ rotation.T, coarse_triangles).save(pair.mesh)
    np.save(pair.scan_landmarks, head(marks, waves, 3.0))
    np.save(pair.mesh_landmarks, scale * predicted_marks @ rotation.T)
    return pair, int((np.linalg.norm(scan - center, axis=1) <= radius).sum())


def parts(pair: ScanPair) -> dict[str, float]:
    """One scan by the ``now`` protocol in this process, step by step: CPU seconds, and the floor."""
    clock = [time.process_time()]

    def lap() -> float:
        clock.append(time.process_time())
        return clock[-1] - clock[-2]

    scan, mesh = Mesh.load(pair.scan), Mesh.load(pair.mesh)
    scan_marks, mesh_marks = read_landmarks(pair.scan_landmarks), read_landmarks(pair.mesh_landmarks)
    read = lap()
    start = similarity_from_landmarks(mesh_marks.points, scan_marks.points)
    center, radius = scan_marks.disc()
    points = scan.vertices[np.linalg.norm(scan.vertices - center, axis=1) <= radius].astype(np.float64)
    surface = Surface(mesh.vertices, mesh.triangles)
    align = lap()
    alignment = refine(points, surface, start, with_scale=True)
    refined = lap()
    local = alignment.motion.inverse().apply(points)
    gap = np.einsum(
        "ni,ni->n", local - alignment.closest.points, surface.triangle_normals[alignment.closest.triangle]
    )
    float(np.median(alignment.motion.scale * alignment.closest.distance)), float(np.abs(gap).mean())
    measure = lap()
    looks: list[float] = []
    while len(looks) < 3 or sum(looks) < CALM_SECONDS:
        lap()
        surface.closest(local)
        looks.append(lap())
    return {
        "read": read,
        "align": align,
        "refine": refined,
        "measure": measure,
        "look_ups": alignment.queries,
        "us_per_look_up": 1e6 * min(looks) / len(points),
        "floor": alignment.queries * min(looks),
    }


def by_protocol(pair: ScanPair) -> dict[str, float]:
    """CPU seconds of every protocol for one scan, files read already."""
    scan, mesh = Mesh.load(pair.scan), Mesh.load(pair.mesh)
    scan_marks, mesh_marks = read_landmarks(pair.scan_landmarks), read_landmarks(pair.mesh_landmarks)
    size = scan_marks.outer_eye_distance / mesh_marks.outer_eye_distance  # metrical: a mesh of about the true size
    mesh, mesh_marks = mesh.transformed(scale=size), mesh_marks.scaled(size)
    seconds = {}
    for protocol in PROTOCOLS:
        begun = time.process_time()
        reconstruction_error(scan, scan_marks, mesh, mesh_marks, protocol)
        seconds[protocol] = time.process_time() - begun
    return seconds


def run(scans: int, points: int, processes: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        made = [make_pair(Path(name), seed, points) for seed in range(scans)]
        pairs = [pair for pair, _ in made]
        rows = [parts(pair) for pair in pairs]
        mean = {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}
        protocols = by_protocol(pairs[0])
        # A process's start-up (imports) is paid once, not per scan: the clock starts after the first scans. What may
        # have been worked ahead by then is not counted.
        results = measure_pairs(pairs * 3, processes=processes)
        first = [next(results) for _ in range(scans)]
        begun = time.perf_counter()
        rest = list(results)
        wall = time.perf_counter() - begun
    failed = [result.failure for result in (*first, *rest) if result.failure]
    if failed:
        raise SystemExit(f"{len(failed)} scans failed, the first: {failed[0]}")
    cpu = sum(mean[key] for key in ("read", "align", "refine", "measure"))
    return {
        "scans": scans,
        "points": statistics.fmean(count for _, count in made),
        "processes": processes,
        "cpu_seconds": mean | {"total": cpu},
        "times_floor": mean["refine"] / mean["floor"],
        "scans_per_hour_cpu": processes * 3600.0 / cpu,
        "scans_per_hour_wall": 3600.0 * max(len(rest) - AHEAD * processes, 1) / wall,
        "goal": GOAL,
        "cpu_seconds_by_protocol": protocols,
        "median_error_mm": statistics.fmean(result.error.median for result in rest if result.error),
    }


def table(figures: dict[str, Any]) -> str:
    cpu = figures["cpu_seconds"]
    names = ("read", "align", "refine", "measure", "total")
    protocols = figures["cpu_seconds_by_protocol"]
    return "\n".join(
        [
            f"{figures['scans']} scans of {figures['points']:,.0f} points in NoW's region, mesh of {MESH_VERTICES:,} "
            f"vertices; CPU seconds a scan, mean",
            "",
            "| " + " | ".join(names) + " | look-ups | us a look-up | floor of refine | refine / floor |",
            "|" + "---|" * 9,
            "| " + " | ".join(f"{cpu[name]:.3f}" for name in names) + f" | {cpu['look_ups']:.1f} | "
            f"{cpu['us_per_look_up']:.2f} | {cpu['floor']:.3f} | {figures['times_floor']:.2f} |",
            "",
            f"scans an hour in {figures['processes']} processes: {figures['scans_per_hour_cpu']:,.0f} by CPU time, "
            f"{figures['scans_per_hour_wall']:,.0f} by the clock of this machine now (goal {figures['goal']:,})",
            "",
            "protocol, CPU seconds a scan without reading: "
            + ", ".join(f"{name} {seconds:.2f}" for name, seconds in protocols.items()),
            f"median error, mm: {figures['median_error_mm']:.3f}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--scans", type=int, default=8)
    parser.add_argument("--points", type=int, default=30_000, help="of each scan, in the face region")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    figures = run(arguments.scans, arguments.points, arguments.processes)
    print(table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Time and memory of the SIR metric on many codes, against the matrix products alone.

    python benchmarks/recognisability_speed.py [--codes 100000] [--size 128] [--json FILE]

Random codes of people around their own centres, all pairs, with 1,000 bootstrap replicates. The goal: 100,000 codes
of 128 numbers in 60 s and 2 GiB on two cores. Every row is a process of its own, so that its peak memory is its own
(importing NumPy and the package is in it, some 60 MiB; so are the codes).

The floor is what no exact method can avoid: every pair's dot product, once (the product is symmetric, so half of
N² · K · 2 operations), float32, in the same blocks and threads, with nothing done to the results. What comes on top
are passes over the results while they are in the cache (minima by row and by column, the bits of the float as a bin,
counting: about as much again on one core), genuine pairs in float64, and the bootstrap. Few people make it slower:
the more pairs are genuine, the more are looked at one by one.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from likeness.extras import one_blas_thread
from likeness.metrics import Samples, recognisability_of_codes
from likeness.metrics.distances import Measure
from likeness.metrics.pairs import PairSet, cores

CASES = {
    "floor: matrix products": ("floor", "euclidean", 2000),
    "euclidean, 2,000 people": ("metric", "euclidean", 2000),
    "cosine, 2,000 people": ("metric", "cosine", 2000),
    "euclidean, 100 people": ("metric", "euclidean", 100),
}
GOAL_SECONDS, GOAL_MIB = 60.0, 2048.0


def codes_of_people(codes: int, size: int, people: int) -> Samples:
    """Random codes, 1.5 standard deviations around their people's centres."""
    rng = np.random.default_rng(0)
    labels = np.arange(codes) % people
    return Samples(rng.standard_normal((people, size))[labels] + 1.5 * rng.standard_normal((codes, size)), labels)


def products_alone(samples: Samples, measure: str) -> None:
    """Every pair's core, float32, in the metric's blocks; results are overwritten."""
    pairs = PairSet.of(samples, None, Measure(measure))
    left = pairs.measure.left(pairs.rows).astype(np.float32)
    right = np.ascontiguousarray(pairs.measure.right(pairs.columns).astype(np.float32).T)

    def multiply(block: tuple[slice, int, int]) -> None:
        rows, start, _ = block
        for columns in pairs.pure(start, start):
            np.matmul(left[rows], right[:, columns])

    with one_blas_thread(), ThreadPoolExecutor(cores()) as pool:
        list(pool.map(multiply, pairs.blocks()))


def measure_case(kind: str, measure: str, people: int, codes: int, size: int) -> dict[str, float]:
    """Seconds and peak MiB of one case, in this process."""
    samples = codes_of_people(codes, size, people)
    start = time.perf_counter()
    row: dict[str, float] = {}
    if kind == "floor":
        products_alone(samples, measure)
    else:
        found = recognisability_of_codes(samples, measure=measure)
        row = {"auc": found.auc.value or 0.0, "auc_uncertainty": found.auc_uncertainty}
        row["pairs"] = found.genuine_pairs + found.impostor_pairs
    row["seconds"] = time.perf_counter() - start
    row["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return row


def in_own_process(name: str, codes: int, size: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", name, "--codes", str(codes), "--size", str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"case": name, **json.loads(done.stdout)}


def table(rows: list[dict[str, Any]], codes: int, size: int) -> str:
    floor = rows[0]["seconds"]
    lines = [
        f"{codes:,} codes of {size} numbers, {codes * (codes - 1) // 2:,} pairs, {cores()} cores",
        "",
        "| what | seconds | × floor | goal s | peak MiB | goal MiB | AUC ± histogram |",
        "|" + "---|" * 7,
    ]
    for row in rows:
        first = row is rows[0]
        goals = ("", "") if first else (f"{GOAL_SECONDS:.0f}", f"{GOAL_MIB:.0f}")
        auc = "" if first else f"{row['auc']:.6f} ± {row['auc_uncertainty']:.6f}"
        lines.append(
            f"| {row['case']} | {row['seconds']:.1f} | {row['seconds'] / floor:.1f} | {goals[0]} | "
            f"{row['peak_mib']:.0f} | {goals[1]} | {auc} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--codes", type=int, default=100_000, help="how many codes")
    parser.add_argument("--size", type=int, default=128, help="numbers per code")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--case", choices=CASES, help="measure this one only, in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure_case(*CASES[arguments.case], arguments.codes, arguments.size)))
        return
    rows = [in_own_process(name, arguments.codes, arguments.size) for name in CASES]
    print(table(rows, arguments.codes, arguments.size))
    if arguments.json:
        figures = {"codes": arguments.codes, "size": arguments.size, "cores": cores(), "rows": rows}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

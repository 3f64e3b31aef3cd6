"""Reconstruction error of many files: every pair on its own, in one process or several, and what they sum up to."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from likeness.datasets.scan_landmark_files import read_landmarks
from likeness.errors import FileError, LikenessError, StrPath
from likeness.geometry.units import UNITS
from likeness.mesh import Mesh
from likeness.metrics.scan_error import PROTOCOLS, ErrorCurve, ReconstructionError, error_curve, reconstruction_error

_AHEAD = 2
"""Pairs a process that are handed out before the oldest result is taken: bounds what waits in memory."""


class ScanPair(NamedTuple):
    """Four files: a scan and a predicted mesh with their landmarks.

    Args:
        scan, mesh: .obj, .ply, .stl or .glb, of any topology.
        scan_landmarks, mesh_landmarks: see :func:`likeness.datasets.scan_landmark_files.read_landmarks`.
    """

    scan: StrPath
    scan_landmarks: StrPath
    mesh: StrPath
    mesh_landmarks: StrPath


@dataclass(frozen=True, eq=False)
class ScanResult:
    """What became of one pair: ``error``, or ``failure`` (why there is none)."""

    pair: ScanPair
    error: ReconstructionError | None
    failure: str | None = None


def measure_files(
    pair: ScanPair, protocol: str = "now", *, scan_unit: str = "mm", mesh_unit: str = "mm"
) -> ReconstructionError:
    """:func:`likeness.metrics.scan_error.reconstruction_error` of four files.

    Raises:
        likeness.FileError: a file is missing or damaged, or the two do not fit together; names the file.
        ValueError: another protocol or unit.
    """
    _check(protocol, scan_unit, mesh_unit)
    scan_landmarks, mesh_landmarks = read_landmarks(pair.scan_landmarks), read_landmarks(pair.mesh_landmarks)
    scan, mesh = Mesh.load(pair.scan), Mesh.load(pair.mesh)
    if not len(mesh.triangles):
        raise FileError(pair.mesh, f"expected a mesh with triangles, got {len(mesh.vertices)} points without any")
    try:
        return reconstruction_error(
            scan, scan_landmarks, mesh, mesh_landmarks, protocol, scan_unit=scan_unit, mesh_unit=mesh_unit
        )
    except ValueError as error:
        raise FileError(pair.scan, f"cannot be measured against {pair.mesh}: {error}") from error


def measure_pairs(
    pairs: Iterable[ScanPair | tuple[StrPath, StrPath, StrPath, StrPath]],
    protocol: str = "now",
    *,
    scan_unit: str = "mm",
    mesh_unit: str = "mm",
    processes: int = 1,
) -> Iterator[ScanResult]:
    """Measure one pair of files after the other and yield every result, in the order of the pairs.

    A pair that cannot be measured is yielded too, with the reason: nothing is left out, and the others go on.

    Args:
        pairs: (scan, scan landmarks, mesh, mesh landmarks) each.
        protocol, scan_unit, mesh_unit: as in :func:`measure_files`.
        processes: 1 works in this process; more start that many Python processes, so a script must then have its
            ``if __name__ == "__main__":``.

    Raises:
        ValueError: another protocol or unit, or processes < 1; before the first result.
        likeness.LikenessError: a process died (of memory, say); names the pair it was due to return.
    """
    _check(protocol, scan_unit, mesh_unit)
    if processes < 1:
        raise ValueError(f"expected at least one process, got {processes}")
    work = partial(_measured, protocol=protocol, scan_unit=scan_unit, mesh_unit=mesh_unit)
    named = (ScanPair(*pair) for pair in pairs)
    return map(work, named) if processes == 1 else _in_processes(work, named, processes)


@dataclass(frozen=True, eq=False)
class ErrorSummary:
    """Many scans' errors; numbers in mm.

    Args:
        protocol: by which they were measured.
        errors: (S,) the protocol's number of every measured scan.
        distances: (N,) float32, of all scans' points together.
        failures: the pairs that could not be measured, with the reason.
    """

    protocol: str
    errors: np.ndarray
    distances: np.ndarray
    failures: tuple[ScanResult, ...]

    @property
    def total(self) -> int:
        """Pairs, measured or not."""
        return len(self.errors) + len(self.failures)

    @property
    def median(self) -> float:
        """Median over all points of all scans, as the NoW challenge reports it."""
        return float(np.median(self.distances))

    @property
    def mean(self) -> float:
        """Mean over all points of all scans (NoW)."""
        return float(self.distances.mean(dtype=np.float64))

    @property
    def std(self) -> float:
        """Standard deviation over all points of all scans (NoW)."""
        return float(self.distances.std(dtype=np.float64))

    @property
    def scan_mean(self) -> float:
        """Mean over scans of each scan's number, as MICC results are reported."""
        return float(self.errors.mean())

    @property
    def scan_std(self) -> float:
        """Standard deviation over scans of each scan's number (MICC)."""
        return float(self.errors.std())

    def curve(self, limit: float = 8.0, count: int = 801) -> ErrorCurve:
        """:func:`likeness.metrics.scan_error.error_curve` over all points of all scans."""
        return error_curve(self.distances, limit, count)


def _check(protocol: str, scan_unit: str, mesh_unit: str) -> None:
    """What no file can be blamed for."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"expected a protocol of {', '.join(PROTOCOLS)}, got {protocol!r}")
    for name, unit in (("scan", scan_unit), ("mesh", mesh_unit)):
        if unit not in UNITS:
            raise ValueError(f"expected a {name} unit of {', '.join(UNITS)}, got {unit!r}")


def _measured(pair: ScanPair, protocol: str, scan_unit: str, mesh_unit: str) -> ScanResult:
    try:
        return ScanResult(pair, measure_files(pair, protocol, scan_unit=scan_unit, mesh_unit=mesh_unit))
    except FileError as error:
        return ScanResult(pair, None, str(error))


def _in_processes(work: partial[ScanResult], pairs: Iterator[ScanPair], processes: int) -> Iterator[ScanResult]:
    # Fresh processes, not forked ones: a fork copies locks that this process's threads may hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context)
    waiting: deque[tuple[ScanPair, Future[ScanResult]]] = deque()
    try:
        for pair in pairs:
            waiting.append((pair, pool.submit(work, pair)))
            if len(waiting) >= _AHEAD * processes:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _result(pair: ScanPair, future: Future[ScanResult]) -> ScanResult:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise LikenessError(f"a process died while {pair.scan} and {pair.mesh} were due to be measured") from error

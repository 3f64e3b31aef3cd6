"""Reconstruction error: how far a predicted face lies from a scan of the same person, in millimetres.

Papers' numbers differ by protocol more than by method, so a protocol is always named:

``now``
    The NoW challenge (Sanyal et al., CVPR 2019; code: github.com/soubhiksanyal/now_evaluation). The scan is cropped
    to the face (:meth:`FaceLandmarks.disc`); the mesh is laid onto it by a similarity of the seven landmarks, then by
    the similarity that makes the sum of squared scan-to-mesh distances least; the error is the distance of every
    scan point in the crop to the closest point of the mesh. Reported: median, mean and standard deviation over the
    points of all scans together (:class:`likeness.evaluate.scan_batches.ErrorSummary`).
``now-metrical``
    The same without scale: the mesh's own size counts. The challenge's code starts from the translation of the fit
    *with* scale, we from that of the rigid fit; both are only starting points.
``deng``
    MICC Florence after Deng et al. (Accurate 3D Face Reconstruction with Weakly-Supervised Learning, CVPRW 2019; the
    author in github.com/microsoft/Deep3DFaceReconstruction, issue 23): alignment with a scale of its own for every
    mesh, point-to-plane distances of the scan's points within 95 mm of its nose tip, their RMS for each mesh, mean
    and standard deviation over meshes. No code is public. Ours, where the source is silent: the start by the seven
    landmarks, the alignment's objective (that of ``now``), the plane (that of the closest triangle), the nose tip
    where it is not marked. The paper also cuts the forehead, but says not where; we do not cut it.
``genova``
    MICC Florence after Genova et al. (Unsupervised Training for 3D Morphable Model Regression, CVPR 2018) as
    implemented for GANFit (Gecer et al., CVPR 2019; ``micc_evaluation.py`` in github.com/barisgecer/GANFit): points
    within 95 mm of the nose tip; closest-point iteration by similarities until the mean distance falls by no more
    than 0.001 mm; the mean distance of scan to mesh and, aligned anew, of mesh to scan; their average. What that code
    prints as point-to-plane is the distance to the closest point of the other's surface, and so is our number; the
    distances to the closest triangle's plane are in ``plane``. Ours: any topology (GANFit registers the scans to its
    template first), hence the start by landmarks, and millimetres of the scan in both directions. Genova et al.
    themselves use one scale for all of a model's meshes and an unpublished region. Mesh to scan measures all of the
    mesh within 95 mm: leave out eyeballs, teeth and the inside of the mouth, which no scan has.

All measure every scan point of the region, so a mesh that does not cover the region pays for the gap.

The word "point-to-point" stands for two things in the literature; here it is point to *surface* (``surface``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from likeness.geometry.similarity import Similarity
from likeness.geometry.units import UNITS
from likeness.mesh import Mesh
from likeness.mesh.closest import Surface
from likeness.metrics.scan_alignment import Alignment, icp, refine, refine_from_several, similarity_from_landmarks
from likeness.metrics.scan_landmarks import FaceLandmarks

PROTOCOLS: tuple[str, ...] = ("now", "now-metrical", "deng", "genova")
"""The names of the protocols."""

MICC_RADIUS = 95.0
"""mm around the nose tip: what the MICC protocols measure."""

ICP_TOLERANCE = 0.001
"""mm: ``genova`` stops when the mean distance falls by no more."""

_FACE_WIDTHS = (30.0, 300.0)
"""mm between outer eye corners (adults: 80 to 110); outside, the unit is not what the caller said."""


@dataclass(frozen=True, eq=False)
class PointErrors:
    """Distances of one surface's points to another surface, after alignment.

    Args:
        index: (N,) which vertices were measured (of the scan, or of the mesh where mesh to scan was measured).
        surface: (N,) mm, to the closest point of the surface.
        plane: (N,) mm, to the plane of the closest triangle; at most ``surface``.
        alignment: mesh (in mm) -> scan (in mm).
        history: mm, the alignment's objective step by step; see :class:`Alignment`.
        queries: look-ups of every point.
        converged: whether the alignment ended by itself.
    """

    index: np.ndarray
    surface: np.ndarray
    plane: np.ndarray
    alignment: Similarity
    history: tuple[float, ...] = ()
    queries: int = 1
    converged: bool = True


@dataclass(frozen=True, eq=False)
class ReconstructionError:
    """One mesh against one scan.

    Args:
        protocol: one of :data:`PROTOCOLS`.
        scan_to_mesh: of the scan's points.
        mesh_to_scan: of the mesh's points, where the protocol measures them (``genova``).
    """

    protocol: str
    scan_to_mesh: PointErrors
    mesh_to_scan: PointErrors | None = None

    @property
    def distances(self) -> np.ndarray:
        """(N,) mm, of the scan's points, of the protocol's kind: to planes for ``deng``, else to the surface."""
        return self.scan_to_mesh.plane if self.protocol == "deng" else self.scan_to_mesh.surface

    @cached_property
    def error(self) -> float:
        """The protocol's number for one scan, mm: median (NoW), RMS (``deng``), mean of two means (``genova``)."""
        if self.protocol == "deng":
            return self.rms
        if self.mesh_to_scan is not None:
            return (self.mean + float(self.mesh_to_scan.surface.mean())) / 2
        return self.median

    @property
    def median(self) -> float:
        """Median of :attr:`distances`, mm."""
        return float(np.median(self.distances))

    @property
    def mean(self) -> float:
        """Mean of :attr:`distances`, mm."""
        return float(self.distances.mean())

    @property
    def std(self) -> float:
        """Standard deviation of :attr:`distances`, mm."""
        return float(self.distances.std())

    @property
    def rms(self) -> float:
        """Root mean square of :attr:`distances`, mm."""
        return float(np.sqrt(np.square(self.distances).mean()))

    def per_vertex(self, count: int) -> np.ndarray:
        """(count,) :attr:`distances` at the scan's vertices, NaN where none was measured, for an error map."""
        values = np.full(count, np.nan)
        values[self.scan_to_mesh.index] = self.distances
        return values


def reconstruction_error(
    scan: Mesh,
    scan_landmarks: Any,
    mesh: Mesh,
    mesh_landmarks: Any,
    protocol: str = "now",
    *,
    scan_unit: str = "mm",
    mesh_unit: str = "mm",
    several_starts: bool = False,
) -> ReconstructionError:
    """Align a predicted mesh to a scan and measure, by a named protocol (this module's docstring).

    Args:
        scan: the truth; triangles are needed by ``genova`` only.
        scan_landmarks: a :class:`FaceLandmarks`, or points for its ``from_points``, in the scan's unit.
        mesh: the prediction, of any topology.
        mesh_landmarks: of the mesh, in the mesh's unit.
        protocol: one of :data:`PROTOCOLS`.
        scan_unit, mesh_unit: "mm", "cm", "m" or "inch". The mesh's matters to ``now-metrical`` only.
        several_starts: of all protocols but ``genova``: align from starts around the landmarks' too, and take the
            best. The protocols have one start; errors can only be told from local minima with more.

    Returns:
        distances and statistics in millimetres of the scan.

    Raises:
        ValueError: another protocol or unit; landmarks of another number, order or not finite; a mesh without
            triangles; no scan point in the measured region; eyes too near or far apart for the scan's unit (for
            ``now-metrical`` the mesh's too).
        MissingExtraError: libigl is not installed.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"expected a protocol of {', '.join(PROTOCOLS)}, got {protocol!r}")
    scan_at, scan_marks = _in_millimetres(scan, scan_landmarks, scan_unit, "scan")
    mesh_at, mesh_marks = _in_millimetres(mesh, mesh_landmarks, mesh_unit, "mesh")
    for name, checked in (("mesh", mesh), *((("scan", scan),) if protocol == "genova" else ())):
        if not len(checked.triangles):
            raise ValueError(f"expected a {name} with triangles, got {len(checked.vertices)} points without any")
    _check_width(scan_marks, "scan", scan_unit)
    if protocol == "now-metrical":
        _check_width(mesh_marks, "mesh", mesh_unit)
    if protocol == "genova":
        return _genova(scan_at, scan.triangles, scan_marks, mesh_at, mesh.triangles, mesh_marks)
    center, radius = scan_marks.disc() if protocol != "deng" else (scan_marks.nose_tip_on(scan_at), MICC_RADIUS)
    index = _inside(scan_at, center, radius, "scan")
    with_scale = protocol != "now-metrical"
    surface = Surface(mesh_at, mesh.triangles)
    start = similarity_from_landmarks(mesh_marks.points, scan_marks.points, with_scale)
    aligned = refine_from_several if several_starts else refine
    alignment = aligned(scan_at[index], surface, start, with_scale)
    local = alignment.motion.inverse().apply(scan_at[index])
    motion = alignment.motion
    return ReconstructionError(protocol, _errors(index, local, surface, alignment, motion, motion.scale))


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """A cumulative error curve.

    Args:
        thresholds: (T,) mm, from 0 to ``limit``.
        fraction: (T,) of the points whose distance is at most the threshold, in [0, 1].
        auc: area under the exact curve from 0 to ``limit``, over ``limit``: in [0, 1], 1 for no error at all.
        limit: mm.
    """

    thresholds: np.ndarray
    fraction: np.ndarray
    auc: float
    limit: float


def error_curve(distances: np.ndarray, limit: float = 8.0, count: int = 801) -> ErrorCurve:
    """The cumulative curve of distances; the limit of 8 mm is where NoW's plots end, the area is ours.

    Args:
        distances: (N,) mm, >= 0, N >= 1.
        limit: mm, > 0.
        count: thresholds, >= 2.

    Raises:
        ValueError: an argument is out of range, or a distance is not finite.
    """
    values = np.sort(np.asarray(distances, np.float64).ravel())
    if not len(values) or not np.isfinite(values).all() or values[0] < 0:
        raise ValueError(f"expected finite distances >= 0, at least one, got {len(values)}")
    if not (np.isfinite(limit) and limit > 0) or count < 2:
        raise ValueError(f"expected a limit > 0 mm and at least 2 thresholds, got {limit} and {count}")
    thresholds = np.linspace(0.0, limit, count)
    fraction = np.searchsorted(values, thresholds, side="right") / len(values)
    # Each distance d lifts the curve from d on, so it adds limit - d to the area.
    auc = float(np.clip(1.0 - values / limit, 0.0, 1.0).mean())
    return ErrorCurve(thresholds, fraction, auc, float(limit))


def _genova(
    scan: np.ndarray,
    scan_triangles: np.ndarray,
    scan_marks: FaceLandmarks,
    mesh: np.ndarray,
    mesh_triangles: np.ndarray,
    mesh_marks: FaceLandmarks,
) -> ReconstructionError:
    start = similarity_from_landmarks(mesh_marks.points, scan_marks.points)
    placed = start.apply(mesh)
    tip = start.apply(mesh_marks.nose_tip_on(mesh)[None])[0]

    on_scan = _inside(scan, scan_marks.nose_tip_on(scan), MICC_RADIUS, "scan")
    surface = Surface(placed, mesh_triangles)
    there = icp(scan[on_scan], surface, Similarity.identity(), tolerance=ICP_TOLERANCE)
    onto_scan = there.motion.inverse()
    moved = there.motion.apply(scan[on_scan])
    scan_to_mesh = _errors(on_scan, moved, surface, there, onto_scan.after(start), onto_scan.scale)

    on_mesh = _inside(placed, tip, MICC_RADIUS, "mesh")
    surface = Surface(scan, scan_triangles)
    back = icp(placed[on_mesh], surface, Similarity.identity(), tolerance=ICP_TOLERANCE)
    moved = back.motion.apply(placed[on_mesh])
    mesh_to_scan = _errors(on_mesh, moved, surface, back, back.motion.after(start), 1.0)
    return ReconstructionError("genova", scan_to_mesh, mesh_to_scan)


def _errors(
    index: np.ndarray,
    points: np.ndarray,
    surface: Surface,
    alignment: Alignment,
    onto_scan: Similarity,
    scale: float,
) -> PointErrors:
    """Both distances of points in the surface's frame, times ``scale`` (mm of the scan per unit there)."""
    closest = alignment.closest
    normals = surface.triangle_normals[closest.triangle]
    plane = np.abs(np.einsum("ni,ni->n", points - closest.points, normals))
    # Rounding may put the plane a hair farther away than the point on it.
    plane = np.minimum(plane, closest.distance)
    history, queries, converged = alignment.history, alignment.queries, alignment.converged
    return PointErrors(index, scale * closest.distance, scale * plane, onto_scan, history, queries, converged)


def _in_millimetres(mesh: Mesh, landmarks: Any, unit: str, name: str) -> tuple[np.ndarray, FaceLandmarks]:
    if unit not in UNITS:
        raise ValueError(f"expected a {name} unit of {', '.join(UNITS)}, got {unit!r}")
    try:
        marks = landmarks if isinstance(landmarks, FaceLandmarks) else FaceLandmarks.from_points(landmarks)
    except ValueError as error:
        raise ValueError(f"{name} landmarks: {error}") from error
    return UNITS[unit] * mesh.vertices.astype(np.float64), marks.scaled(UNITS[unit])


def _check_width(landmarks: FaceLandmarks, name: str, unit: str) -> None:
    low, high = _FACE_WIDTHS
    width = landmarks.outer_eye_distance
    if not low <= width <= high:
        raise ValueError(
            f"expected a {name} with {low:g} to {high:g} mm between its outer eye corners, got {width:.4g} mm: "
            f"is {unit} its unit?"
        )


def _inside(points: np.ndarray, center: np.ndarray, radius: float, name: str) -> np.ndarray:
    """Indices (N,) of the points within the radius, at least one."""
    distance = np.linalg.norm(points - center, axis=1)
    index = np.flatnonzero(distance <= radius)
    if not len(index):
        place = ", ".join(f"{x:.1f}" for x in center)
        raise ValueError(
            f"expected {name} points within {radius:.1f} mm of the face's centre ({place}), found none; the nearest "
            f"is {distance.min():.1f} mm away: do the {name} and its landmarks belong together?"
        )
    return index

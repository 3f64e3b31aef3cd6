"""A raw scan -> the same head in our topology: everything from a file's numbers to a checked mesh."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.extras import import_extra, one_blas_thread
from likeness.geometry.similarity import Similarity
from likeness.geometry.units import UNITS
from likeness.mesh import Mesh
from likeness.mesh.closest import Surface
from likeness.mesh.normals import vertex_normals
from likeness.model.face_model import FaceModel
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.register.find_face import place_by_views
from likeness.register.head_parts import Parts
from likeness.register.initial_pose import Placement, place_by_landmarks, read_landmarks, with_scale
from likeness.register.model_fit import FitSettings, fit_model
from likeness.register.nonrigid_scan import DrapeSettings, drape
from likeness.register.nonrigid_surface import folded_triangles
from likeness.register.result import Quality, Registration
from likeness.register.scan import checked_scan, cropped, read_scan, simplified
from likeness.result_folder import Source

Array = np.ndarray


VIEW_VERTICES = 40_000
"""A scan that is looked at from many sides is simplified to this."""

WORK_VERTICES = 150_000
"""A head that is fitted is simplified to this: edges of about a millimetre, a quarter of our topology's."""

MEASURED_VERTICES = 300_000
"""Scan vertices, chosen by chance, that the scan-to-mesh error is measured on."""

HEAD_RADIUS = 230.0
"""mm around the face's centre that are looked at; more is shoulders and furniture."""

FACE_REACH = 20.0
"""mm from the mesh's face region within which a scan's vertex counts as a vertex of the face."""

COVERED = 5.0
"""mm within which a vertex of the mesh's face counts as having scan under it."""

FACING = 0.3
"""Cosine of the normals above which the scan is under a vertex, and not another side of the same fold."""

LEAST_COVERAGE, LARGEST_MEDIAN = 0.3, 3.0
"""A result with less of the face on the scan, or a larger median error (mm), is no registered face."""

OFF_SURFACE = 15.0
"""mm: landmarks whose median distance from the scan is larger are in other axes or units than the scan."""


def register_scan(
    scan: Mesh | StrPath,
    model: FaceModel | None = None,
    *,
    landmarks: Array | StrPath | None = None,
    units: str | None = None,
    reconstructor: Reconstructor | None = None,
    fit: FitSettings | None = None,
    drape_settings: DrapeSettings | None = None,
) -> Registration:
    """Register a raw scan: find units and pose, fit the model, drape it over the scan.

    Args:
        scan: a mesh with triangles, or its file (.obj, .ply, .stl, .glb); any axes and units, holes, hair and
            shoulders welcome. Of a file, errors name it.
        model: the face model; None: the embedded default.
        landmarks: (51, 3) inner iBUG points or (68, 3), or their text file, in the scan's own axes and units, NaN
            where not known; None: found by rendering the scan and running the photo network on the pictures.
        units: "m", "cm", "mm" or "inch" where you know it; None: guessed from the face's size.
        reconstructor: the photo network that finds the landmarks; None: the embedded default. It may have another
            face model than ``model``.
        fit, drape_settings: numbers of the two stages.

    Raises:
        FileError: a file cannot be used, or holds no face.
        ValueError: an array cannot be used, or a mesh has no face.
        MissingExtraError: the ``scans`` extra is not installed.
    """
    import_extra("igl"), import_extra("scipy.sparse")
    with one_blas_thread():
        found = _register(scan, model, landmarks, units, reconstructor, fit, drape_settings)
    return found if isinstance(scan, Mesh) else replace(found, source=Source.of(scan))


def _register(
    scan: Mesh | StrPath,
    model: FaceModel | None,
    landmarks: Array | StrPath | None,
    units: str | None,
    reconstructor: Reconstructor | None,
    fit: FitSettings | None,
    drape_settings: DrapeSettings | None,
) -> Registration:
    started = time.perf_counter(), time.process_time()
    if units is not None and units not in UNITS:
        raise ValueError(f"expected units of {sorted(UNITS)}, got {units!r}")
    whole = checked_scan(scan) if isinstance(scan, Mesh) else read_scan(scan)
    points = landmarks if landmarks is None or isinstance(landmarks, np.ndarray) else read_landmarks(landmarks)
    if model is None:
        model = _default_model() if reconstructor is None else reconstructor.model
    try:
        placement = _placed(whole, model, points, units, reconstructor)
        return _registered(whole, model, placement, _name(scan), started, fit, drape_settings)
    except ValueError as error:
        if isinstance(scan, Mesh):
            raise
        raise FileError(scan, str(error)) from error


def _name(scan: Mesh | StrPath) -> str:
    return "scan" if isinstance(scan, Mesh) else Path(scan).stem


def _default_model() -> FaceModel:
    from likeness.assets import asset

    return FaceModel.load(asset("face_model.npz"))


def _placed(
    whole: Mesh, model: FaceModel, landmarks: Array | None, units: str | None, reconstructor: Reconstructor | None
) -> Placement:
    """Units and pose; the placement's scale is exactly the unit's where that is known."""
    if landmarks is None:
        seen = simplified(whole, VIEW_VERTICES)
        placement = place_by_views(seen, model, Reconstructor() if reconstructor is None else reconstructor)
    else:
        placement = place_by_landmarks(landmarks, model)
    if units is not None:
        placement = placement.in_units(units)
    return with_scale(placement, model, 1 / UNITS[placement.units]) if placement.known_scale else placement


def _registered(
    whole: Mesh,
    model: FaceModel,
    placement: Placement,
    name: str,
    started: tuple[float, float],
    fit_settings: FitSettings | None,
    drape_settings: DrapeSettings | None,
) -> Registration:
    parts = Parts.of(model)
    size = placement.scan_from_model.scale
    center = placement.scan_from_model.apply(model.mean[parts.face].mean(0)[None])[0]
    head = cropped(whole, center, HEAD_RADIUS * size)
    work = simplified(head, WORK_VERTICES)
    # From here on millimetres around the face, whatever the scan's numbers are: no digit is lost far from the origin.
    mm_from_scan = Similarity(1 / size, np.eye(3), -center / size)
    placed = placement.moved(mm_from_scan)
    surface = _outward(
        Surface(mm_from_scan.apply(work.vertices), work.triangles), placed.scan_from_model, model, parts
    )
    _check_landmarks(surface, placed)
    fit = fit_model(model, parts, surface, placed, fit_settings)
    model_from_scan = fit.surface_from_model.inverse().after(mm_from_scan)
    surface = Surface(fit.surface_from_model.inverse().apply(surface.vertices), surface.triangles)
    vertices = drape(parts, fit.vertices, surface, drape_settings)
    points = _measured(model_from_scan.apply(head.vertices))
    error = _vertex_error(parts, vertices, surface)
    quality = _quality(parts, fit.vertices, vertices, points, error, started)
    if quality.coverage < LEAST_COVERAGE or not quality.scan_to_mesh_median < LARGEST_MEDIAN:
        raise ValueError(
            f"no face found where the landmarks are: {quality.coverage:.0%} of a face lies on the scan, median "
            f"distance {quality.scan_to_mesh_median:.1f} mm"
        )
    return Registration(
        model=model,
        mesh=model.mesh(fit.identity).with_vertices(vertices.astype(np.float32)),
        identity=fit.identity,
        expression=fit.expression,
        scan_from_model=model_from_scan.inverse(),
        units=placement.units,
        landmarks=placement.landmarks,
        landmark_index=placement.index,
        landmarks_found=placement.found,
        error=error,
        quality=quality,
        scan=Mesh(surface.vertices, surface.triangles, colors=work.colors),
        name=name,
    )


def _outward(surface: Surface, surface_from_model: Similarity, model: FaceModel, parts: Parts) -> Surface:
    """The surface with normals that look out of the face: some programs write triangles the other way round."""
    face = np.flatnonzero(parts.face)
    near = surface.closest(surface_from_model.apply(model.mean[face]))
    own = vertex_normals(model.mean.astype(np.float64), parts.triangles)[face] @ surface_from_model.rotation.T
    agree = (own * surface.triangle_normals[near.triangle]).sum(1)
    return surface if np.median(agree) >= 0 else Surface(surface.vertices, surface.triangles[:, ::-1])


def _check_landmarks(surface: Surface, placement: Placement) -> None:
    off = float(np.median(surface.closest(placement.landmarks).distance))
    if off > OFF_SURFACE:
        raise ValueError(f"expected landmarks on the scan, in its axes and units, got points {off:.0f} mm off it")


def _measured(points: Array) -> Array:
    if len(points) <= MEASURED_VERTICES:
        return points
    return points[np.random.default_rng(0).choice(len(points), MEASURED_VERTICES, replace=False)]


def _vertex_error(parts: Parts, vertices: Array, surface: Surface) -> Array:
    error = np.full(len(vertices), np.nan)
    near = surface.closest(vertices[parts.face])
    normals = vertex_normals(vertices, parts.triangles)[parts.face]
    facing = (normals * surface.triangle_normals[near.triangle]).sum(1) > FACING  # not so inside closed lips
    there = facing & (near.distance < COVERED) & ~surface.on_boundary(near)
    error[parts.face] = np.where(there, near.distance, np.nan)
    return error


def _scan_to_mesh(parts: Parts, vertices: Array, points: Array) -> Array:
    """Distances (N,) of the scan's vertices that lie on the face region."""
    near = Surface(vertices, parts.triangles).closest(points)
    return near.distance[parts.face_triangles[near.triangle] & (near.distance < FACE_REACH)]


def _quality(
    parts: Parts,
    fitted: Array,
    vertices: Array,
    points: Array,
    error: Array,
    started: tuple[float, float],
) -> Quality:
    before, after = (_scan_to_mesh(parts, shape, points) for shape in (fitted, vertices))
    folded = folded_triangles(parts.rest, vertices, parts.triangles)

    def quantile(distance: Array, share: float) -> float:
        return float(np.quantile(distance, share)) if len(distance) else float("inf")

    known = error[np.isfinite(error)]
    return Quality(
        scan_to_mesh_median=quantile(after, 0.5),
        scan_to_mesh_p95=quantile(after, 0.95),
        scan_vertices=len(after),
        mesh_to_scan_median=quantile(known, 0.5),
        coverage=len(known) / int(parts.face.sum()),
        folded_triangles=int(parts.face_triangles[folded].sum()),
        model_fit_median=quantile(before, 0.5),
        model_fit_p95=quantile(before, 0.95),
        seconds=time.perf_counter() - started[0],
        cpu_seconds=time.process_time() - started[1],
    )

"""What a registration gives: the head in the model's topology, how well it fits, and its files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import StrPath, printable
from likeness.files import output_paths, write_atomically
from likeness.geometry.landmarks import JAW_COUNT
from likeness.geometry.similarity import Similarity
from likeness.images.color import srgb_from_linear
from likeness.images.encode import png_bytes
from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.model.head import write_head_glb
from likeness.register.report import PANEL, registration_picture
from likeness.result_folder import ResultFolder, Source
from likeness.result_names import fitted
from likeness.view.heads import ViewedHead
from likeness.view.page import Page

Array = np.ndarray

FORMATS = ("obj", "ply", "glb", "json", "png")
DEFAULT_FORMATS = ("obj", "glb", "json", "png")


@dataclass(frozen=True)
class Quality:
    """How well a registered mesh fits its scan; lengths in mm, over the face region.

    Attributes:
        scan_to_mesh_median, scan_to_mesh_p95: distance from the scan's vertices to the mesh's surface, of the
            vertices whose closest point on the mesh is in the face region, up to 20 mm away.
        scan_vertices: how many those were.
        mesh_to_scan_median: distance from the face's vertices to the scan, of those with scan under them.
        coverage: 0 to 1, the part of the face's vertices with scan under them.
        folded_triangles: triangles of the face turned inside out against the model's mean.
        model_fit_median, model_fit_p95: scan-to-mesh of the fitted model alone, before the non-rigid part.
        seconds: wall clock from the scan's arrays to the mesh.
        cpu_seconds: processor time of the same, all threads.
    """

    scan_to_mesh_median: float
    scan_to_mesh_p95: float
    scan_vertices: int
    mesh_to_scan_median: float
    coverage: float
    folded_triangles: int
    model_fit_median: float
    model_fit_p95: float
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, eq=False)
class Registration:
    """A scan's head in the face model's topology.

    Args:
        model: whose topology it is.
        mesh: the registered head, mm, model axes; where the scan has holes, hair or nothing it follows the model.
        identity: (K,) code of the model fit, before the non-rigid part.
        expression: (E,) weights in [0, 1] of the model fit.
        scan_from_model: model axes in mm -> the scan's own axes and units.
        units: "m", "cm", "mm", "inch", or "unknown": then the face's size is the model's guess, not a measure.
        landmarks: (N, 3) that were used, the scan's own axes and units.
        landmark_index: (N,) which of the 51 inner landmarks they are.
        landmarks_found: whether the photo network found them.
        error: (V,) mm from each vertex of the face to the scan; NaN outside the face and where there is no scan.
        quality: see :class:`Quality`.
        scan: the head's part of the scan, simplified if it was large, mm, model axes.
        name: what files are called.
        source: the scan's file.
    """

    model: FaceModel
    mesh: Mesh
    identity: Array
    expression: Array
    scan_from_model: Similarity
    units: str
    landmarks: Array
    landmark_index: Array
    landmarks_found: bool
    error: Array
    quality: Quality
    scan: Mesh
    name: str = "scan"
    source: Source = field(default_factory=Source)

    def mesh_in_scan(self) -> Mesh:
        """The registered head in the scan's own axes and units, to be laid over it."""
        return self.mesh.with_vertices(self.scan_from_model.apply(self.mesh.vertices))

    def to_dict(self) -> dict[str, Any]:
        """What ``NAME.json`` holds: everything but the meshes, as plain numbers."""
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self.quality).items()}
        weights = (round(float(weight), 5) for weight in self.expression)
        return {
            "scan": printable(self.name),
            "source": self.source.to_dict(),
            "model": self.model.name,
            "units": self.units,
            "scan_from_model": self.scan_from_model.to_dict(),
            "quality": rounded,
            "identity": np.round(self.identity, 5).tolist(),
            "expression": dict(zip(self.model.expression_names, weights, strict=True)),
            "landmarks_found": self.landmarks_found,
            "landmark_index": (self.landmark_index + JAW_COUNT).tolist(),
            "landmarks": np.round(self.landmarks, 7).tolist(),
            "error_mm": [None if np.isnan(value) else round(float(value), 4) for value in self.error],
        }

    def save(
        self,
        folder: StrPath,
        formats: Iterable[str] = DEFAULT_FORMATS,
        name: str | None = None,
        *,
        overwrite: bool = False,
    ) -> dict[str, Path]:
        """Write ``NAME.obj`` or ``NAME.ply`` (the head, mm, model axes), ``NAME.glb`` (m; at rest, with the
        model's mean colours and its blendshapes, whose default weights are the scan's expression: so the registered
        head is seen),
        ``NAME.json`` (:meth:`to_dict`; its ``scan_from_model`` leads back to the scan) and ``NAME.png`` (scan, head,
        error map).

        Args:
            folder: is made if missing.
            formats: any of :data:`FORMATS`.
            name: file name without suffix, with folders if you like; default: the scan's.
            overwrite: also replace files that are no earlier results of this scan, or were changed since. What
                :mod:`likeness.result_folder` has on record is replaced in any case.

        Returns:
            format -> path of what was written.

        Raises:
            ValueError: an unknown format.
            FileError: the folder cannot be made or written to, or a file there belongs to somebody else; nothing is
                written then.
        """
        name, formats = name or fitted(self.name), tuple(formats)
        ResultFolder(folder, "register", overwrite=overwrite).save(
            name, self.source, lambda stage: self._write(output_paths(stage, name, formats, FORMATS))
        )
        return {format: Path(folder) / f"{name}.{format}" for format in formats}

    def _write(self, paths: dict[str, Path]) -> None:
        for format, path in paths.items():
            if format == "json":
                write_atomically(path, (json.dumps(self.to_dict(), indent=1) + "\n").encode())
            elif format == "png":
                write_atomically(path, png_bytes(self.picture()))
            elif format == "glb":
                self._write_glb(path)
            else:
                self.mesh.save(path)

    def _write_glb(self, path: Path) -> None:
        model = self.model
        extras = {
            "model": model.name,
            "source": self.source.to_dict(),
            "identity": np.round(self.identity, 5).tolist(),
        }
        write_head_glb(path, model, self._at_rest(), self.expression, printable(self.name), extras)

    def view(self) -> Page:
        """A page of the registered head, with the model's expressions, and the scan beside it
        (:meth:`likeness.Reconstruction.view`)."""
        weights = dict(zip(self.model.expression_names, self.expression.tolist(), strict=True))
        head = ViewedHead.of_model(self.name, self.model, self._at_rest(), weights=weights)
        return Page([head, ViewedHead.of_mesh(f"{self.name} (scan)", self.scan)], self.name)

    def _repr_html_(self) -> str:
        return self.view()._repr_html_()

    def _at_rest(self) -> Mesh:
        """The head without its expression, in the model's mean colours."""
        model, weights = self.model, np.asarray(self.expression, np.float64)
        rest = self.mesh.with_vertices(self.mesh.vertices - np.tensordot(weights, model.expression_basis, 1))
        return replace(rest, colors=srgb_from_linear(model.albedo(np.zeros(len(model.albedo_names)))))

    def picture(self, side: int = PANEL) -> Array:
        """What ``NAME.png`` shows: scan, head and error map, front above and turned below, each ``side`` pixels."""
        quality = self.quality
        median, p95 = quality.scan_to_mesh_median, quality.scan_to_mesh_p95
        return registration_picture(self.scan, self.mesh, self.error, median=median, p95=p95, side=side)

"""Scans and models in other topologies -> ours. Needs the ``scans`` extra (SciPy, libigl).

:func:`register_scan` takes a raw scan, :func:`transfer` a whole face model; below them are the steps that both are
made of. Vertices are millimetres throughout, arrays float64, similarities named by direction.
"""

from __future__ import annotations

from likeness.geometry.similarity import Similarity, robust_similarity, similarity_from_points
from likeness.geometry.units import UNITS
from likeness.mesh.closest import ClosestPoints, Surface, closest_points
from likeness.mesh.laplacians import carry_smoothly, graph_laplacian, warp_through_points
from likeness.mesh.normals import vertex_normals as vertex_normals_of
from likeness.register.coefficients import Correspondence, Transferred, transfer_shape
from likeness.register.initial_pose import Placement, place_by_landmarks, read_landmarks
from likeness.register.model_fit import FitSettings, ModelFit, fit_model
from likeness.register.nonrigid_scan import DrapeSettings, drape
from likeness.register.nonrigid_surface import NonRigid, folded_triangles, register_nonrigid
from likeness.register.pipeline import register_scan
from likeness.register.result import FORMATS, Quality, Registration
from likeness.register.scan import guess_units, read_scan, simplified
from likeness.register.transfer import transfer

__all__ = [
    "FORMATS",
    "UNITS",
    "ClosestPoints",
    "Correspondence",
    "DrapeSettings",
    "FitSettings",
    "ModelFit",
    "NonRigid",
    "Placement",
    "Quality",
    "Registration",
    "Similarity",
    "Surface",
    "Transferred",
    "carry_smoothly",
    "closest_points",
    "drape",
    "fit_model",
    "folded_triangles",
    "graph_laplacian",
    "guess_units",
    "place_by_landmarks",
    "read_landmarks",
    "read_scan",
    "register_nonrigid",
    "register_scan",
    "robust_similarity",
    "similarity_from_points",
    "simplified",
    "transfer",
    "transfer_shape",
    "vertex_normals_of",
    "warp_through_points",
]

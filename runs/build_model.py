"""``template.npz`` and the ICT model -> the face model: registration, population, PCA, landmarks, albedo.

    python runs/build_model.py TEMPLATE.npz ICT.npz OUT.npz [--frames FRAMES.tar]

Prints the figures of the correspondence and of the population, and writes them next to the model as JSON. What the
correspondence carried over (``carried.npz``: ICT's modes and both versions of the expressions) stays for
``build_people.py``.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import annotate
import numpy as np
from build_albedo import build_albedo
from calibrate_landmarks import calibrate
from correspondence import Carrier, Template, register_template
from ict import Ict
from population import anny_offsets, principal_components

from likeness.model.codes import importance
from likeness.model.face_model import ARKIT_NAMES, FaceModel
from likeness.model.topology import Topology
from likeness.register import closest_points, folded_triangles

PEOPLE = 4000
MODES = 120
LEAST_MM = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the face model from the template and the ICT model.")
    parser.add_argument("template", type=Path)
    parser.add_argument("ict", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--frames", type=Path, help="tar of frames with 68 landmarks, which then lie as annotated there"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    start = time.time()
    template, ict = Template.load(arguments.template), Ict.load(arguments.ict)
    model, carried, figures = build(template, ict, arguments.template, arguments.frames, arguments.seed)
    model.save(arguments.out)
    np.savez(arguments.out.with_name("carried.npz"), **carried)
    figures["seconds"] = round(time.time() - start)
    arguments.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def build(
    template: Template, ict: Ict, path: Path, frames: Path | None, seed: int
) -> tuple[FaceModel, dict[str, Any], dict[str, Any]]:
    """The model, the arrays of ``carried.npz``, and the figures (millimetres, counts, shares)."""
    vertices = register_template(template, ict)
    regions = annotate.regions(template, ict, vertices)
    landmarks = annotate.landmark_map(template, ict, vertices)
    figures: dict[str, Any] = correspondence_figures(template, ict, vertices, regions)
    carrier = Carrier.of(template, ict, vertices)
    modes = np.stack([carrier.carry(mode) for mode in ict.identity]).astype(np.float32)
    expression = trimmed(np.stack([
        carrier.carry(ict.expression[name], own) if name in ict.expression else own
        for name, own in zip(ARKIT_NAMES, template.expression, strict=True)
    ])).astype(np.float32)  # fmt: skip
    mean, basis, extra = population(template, path, vertices, modes, regions, seed)
    figures |= extra
    origin = np.mean([mean[template.part(f"eye_front.{s}", f"eye_back.{s}")].mean(0) for s in "LR"], axis=0)
    mean = (mean - origin).astype(np.float32)
    template_arrays = np.load(path)
    uv_quads = template_arrays["uv_quads"]
    topology = Topology(
        triangles=template.triangles.astype(np.int32),
        quads=np.arange(0, len(template.triangles), 2, dtype=np.int32),
        uv=template_arrays["uv"],
        uv_triangles=np.stack([uv_quads[:, [0, 1, 2]], uv_quads[:, [0, 2, 3]]], axis=1)
        .reshape(-1, 3)
        .astype(np.int32),
        mirror=template.mirror.astype(np.int32),
        regions=regions,
        landmarks=landmarks,
    )
    empty = np.zeros((0, len(mean), 3), np.float32)
    model = FaceModel(
        mean=mean,
        identity_basis=basis.astype(np.float32),
        expression_basis=expression,
        albedo_mean=np.zeros_like(mean),
        albedo_basis=empty,
        albedo_names=(),
        topology=topology,
        name=f"likeness-pca{MODES}-1",
    )
    if frames is not None:
        moved, residuals = calibrate(model, annotate.skin_triangles(template), frames)
        figures["landmark_fit_percent"] = [round(value, 3) for value in residuals]
        model = replace(model, topology=replace(topology, landmarks=moved))
    carried = {"modes": modes, "expression": expression, "own_expression": trimmed(template.expression)}
    return with_albedo(model, template), carried, figures


def with_albedo(model: FaceModel, template: Template) -> FaceModel:
    """The model with the maps of ``build_albedo``."""
    landmarks = model.landmark_map
    at = landmarks.gather(model.mean)
    points = np.concatenate([at[51:].reshape(17, -1, 3)[:, -3], at[:51]]).astype(np.float64)
    albedo = build_albedo(template, model.mean.astype(np.float64), model.topology.regions, points)
    return replace(
        model,
        albedo_mean=albedo.mean.astype(np.float32),
        albedo_basis=albedo.basis.astype(np.float32),
        albedo_names=albedo.names,
    )


def trimmed(shapes: np.ndarray) -> np.ndarray:
    """Expressions (52, V, 3) whose displacements under ``LEAST_MM`` are gone, without a step where they end: noise
    of the scans that moves every vertex a little keeps blendshapes from being sparse in files and engines."""
    length = np.linalg.norm(shapes, axis=-1, keepdims=True)
    return np.asarray(shapes * np.maximum(0, 1 - (LEAST_MM / np.maximum(length, 1e-9)) ** 2))


def population(
    template: Template, path: Path, vertices: np.ndarray, modes: np.ndarray, regions: dict[str, np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Mean (V, 3) and PCA basis (K, V, 3) of ICT people with anny's offsets, and their figures."""
    rng = np.random.default_rng(seed)
    codes = rng.standard_normal((PEOPLE, len(modes))).astype(np.float32)
    people = np.tensordot(codes, modes, 1)
    anny = anny_offsets(path, template, PEOPLE, rng)
    face = regions["face"]
    figures = {
        "face_rms_mm_ict": float(np.sqrt((people[:, face] ** 2).sum(-1).mean())),
        "face_rms_mm_anny": float(np.sqrt((anny[:, face] ** 2).sum(-1).mean())),
    }
    people += anny
    center = people.mean(0)
    weights = importance(vertices, template.triangles, regions)
    basis, share = principal_components(people - center, weights, MODES)
    figures["pca_variance_share"] = float(share.sum())
    return vertices + center, basis, figures


def correspondence_figures(
    template: Template, ict: Ict, vertices: np.ndarray, regions: dict[str, np.ndarray]
) -> dict[str, float]:
    """Distance of the registered face to ICT's surface, and folded triangles."""
    face = regions["face"] & template.skin
    distance = closest_points(vertices[face], ict.mean, ict.skin_triangles).distance
    return {
        "vertices": len(vertices),
        "face_distance_mm_mean": float(distance.mean()),
        "face_distance_mm_p95": float(np.percentile(distance, 95)),
        "folded_triangles": len(folded_triangles(template.vertices, vertices, template.triangles)),
    }


if __name__ == "__main__":
    main()

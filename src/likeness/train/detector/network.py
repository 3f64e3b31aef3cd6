"""The face detector's network, what its cells should say about known faces, and how far they are from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.networks.detector import CHANNELS, SIZES, STRIDES, cell_centers

LIMITS = (28.0, 70.0)
"""Faces under the first are for the first map, those over the second for the last, pixels."""

SHARED = 1.3
"""Within this factor of a limit the map beyond it neither gains nor loses by an answer."""

NEAR, CLEAR = 0.2, 0.5
"""Cells up to NEAR sizes from a face's middle should answer, those beyond CLEAR should not; between, both is fine."""

WIDTHS = (16, 32, 48, 64, 64)
NECK = 32
CHANCE = 0.01  # of a face in a cell, before anything is learned


def _layer(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class _Block(nn.Module):
    """Two 3 × 3 convolutions and a shortcut (He et al., Deep Residual Learning, 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _layer(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class DetectorNet(nn.Module):
    """Images (n, h, w, 3) uint8 RGB, sides multiples of 32 -> one (n, 6, h/s, w/s) map per stride s.

    Plain 3 × 3 convolutions, thin where the maps are large: on a CPU they run near its peak, which depthwise ones do
    not. What the coarse maps see goes back into the finer ones (Lin et al., Feature Pyramid Networks, 2017).
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d, e = WIDTHS
        self.stages = nn.ModuleList(
            [
                nn.Sequential(_layer(3, a, 2), _layer(a, b, 2), _layer(b, c, 2), _Block(c)),
                nn.Sequential(_layer(c, d, 2), _Block(d)),
                nn.Sequential(_layer(d, e, 2), _Block(e)),
            ]
        )
        self.necks = nn.ModuleList([nn.Conv2d(width, NECK, 1) for width in (c, d, e)])
        self.mix = nn.Sequential(nn.ReLU(), _layer(NECK, NECK))
        self.heads = nn.ModuleList([nn.Conv2d(NECK, CHANNELS, 1) for _ in STRIDES])
        for head in self.heads:
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            nn.init.normal_(head.weight, std=0.01)
            with torch.no_grad():
                head.bias.copy_(torch.tensor([float(np.log(CHANCE)), 0.0, 0.0, 0.0, 1.0, 0.0]))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = (image.permute(0, 3, 1, 2).float() - 127.0) / 64.0
        seen = []
        for stage in self.stages:
            x = stage(x)
            seen.append(x)
        maps: list[Tensor] = []
        above: Tensor | None = None
        for level in reversed(range(len(STRIDES))):
            above = self._joined(self.necks[level](seen[level]), above)
            mixed = self.mix(above)
            with torch.autocast(image.device.type, enabled=False):  # where a face is takes more than two digits
                maps.append(self.heads[level](mixed.float()))
        return tuple(reversed(maps))

    @staticmethod
    def _joined(own: Tensor, above: Tensor | None) -> Tensor:
        return own if above is None else own + functional.interpolate(above, scale_factor=2.0, mode="nearest")


def encode(faces: np.ndarray, ignored: np.ndarray, shape: tuple[int, int]) -> list[np.ndarray]:
    """What the cells should say.

    Args:
        faces: (n, 4) middle x, y, size (pixels) and angle (radians) of each face.
        ignored: (m, 3) middle x, y and size of what is a face but need not be found.
        shape: (height, width) of the view, multiples of 32.

    Returns:
        One (6, h, w) float32 per stride: 1 for a face, 0 for none, -1 for either; then the five numbers as in
        :data:`likeness.networks.detector.CHANNELS`, where there is a face.
    """
    maps = []
    bounds = (0.0, *LIMITS, np.inf)
    for level, stride in enumerate(STRIDES):
        cells = cell_centers((shape[0] // stride, shape[1] // stride), stride)
        out = np.zeros((CHANNELS, *cells.shape[:2]), np.float32)
        best = np.full(cells.shape[:2], np.inf)
        for x, y, size in ignored:
            out[0][np.hypot(*(cells - [x, y]).transpose(2, 0, 1)) < CLEAR * size] = -1.0
        own = [(face, bounds[level] <= face[2] < bounds[level + 1]) for face in faces]
        shared = [face for face, is_own in own if not is_own and _near_bounds(face[2], bounds[level : level + 2])]
        for x, y, size, _ in shared + [face for face, is_own in own if is_own]:
            out[0][np.hypot(*(cells - [x, y]).transpose(2, 0, 1)) < CLEAR * size] = -1.0
        for face, is_own in own:
            if not is_own:
                continue
            offset = face[:2] - cells
            distance = np.hypot(offset[..., 0], offset[..., 1])
            near = distance <= max(NEAR * face[2], distance.min())
            near &= distance / face[2] < best
            best[near] = distance[near] / face[2]
            out[0][near] = 1.0
            out[1:3, near] = offset[near].T / stride
            out[3:, near] = np.array([[np.log(face[2] / SIZES[level])], [np.cos(face[3])], [np.sin(face[3])]])
        maps.append(out)
    return maps


def _near_bounds(size: float, bounds: tuple[float, ...]) -> bool:
    low, high = bounds
    return bool(low / SHARED < size < high * SHARED)


def detector_loss(maps: tuple[Tensor, ...], targets: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of all terms, and each by its name.

    Scores: focal loss (Lin et al., Focal Loss for Dense Object Detection, 2017; gamma 2) over faces. The rest: mean
    absolute differences where there are faces, places in sizes of the face.

    Args:
        maps: (n, 6, h, w) per stride, from the network.
        targets: the same of :func:`encode`.
    """
    logit = torch.cat([m[:, 0].flatten() for m in maps])
    state = torch.cat([t[:, 0].flatten() for t in targets])
    chance = torch.sigmoid(logit)
    right = torch.where(state > 0, chance, 1.0 - chance)
    focal = (
        0.5
        * (1.0 - right) ** 2
        * functional.binary_cross_entropy_with_logits(logit, (state > 0).float(), reduction="none")
    )
    terms: dict[str, Any] = {"score": 0.0, "place": 0.0, "size": 0.0, "angle": 0.0}
    count = (state > 0).sum().clamp(min=1)
    terms["score"] = (focal * (state >= 0)).sum() / count
    for got, want, stride, size in zip(maps, targets, STRIDES, SIZES, strict=True):
        faces = want[:, 0] > 0
        g, w = got.permute(0, 2, 3, 1)[faces], want.permute(0, 2, 3, 1)[faces]
        length = size / stride * torch.exp(w[:, 3:4])
        terms["place"] = terms["place"] + ((g[:, 1:3] - w[:, 1:3]).abs() / length).sum() / count
        terms["size"] = terms["size"] + (g[:, 3] - w[:, 3]).abs().sum() / count
        terms["angle"] = terms["angle"] + (g[:, 4:] - w[:, 4:]).abs().sum() / count
    total = terms["score"] + 2.0 * terms["place"] + terms["size"] + terms["angle"]
    return total, terms

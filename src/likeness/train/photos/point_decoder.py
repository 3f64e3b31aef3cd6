"""Several hundred surface points, placed freely in the crop: a first guess from the features, then two looks at the
maps about each point.

Points that are projections of a code can lie only where the code lets them. Here a guess of all points, linear in the
trunk's features, is corrected twice by what feature maps show in a small window about each point (as in cascaded
regression: Dollár et al., Cascaded pose regression, 2010; Xiong and De la Torre, Supervised descent method, 2013), on
maps of a fourth and then of half of the crop's resolution. Each point also says how far off it may be.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_DEVIATION = 0.12
"""Pixels of the crop: no label is better."""

MIDDLE_DEVIATION = 1.0
"""Pixels: what an untrained decoder says of its points, less the least one."""

WIDTHS = (64, 48)
"""Channels of the decoder's own maps of strides 8 and 4."""

HIDDEN = 96
"""Numbers that are read off a window."""

COARSE = 4
"""Stride from which maps are small enough to be read everywhere."""


class DensePoints(NamedTuple):
    """Where points lie in n crops.

    Attributes:
        points: (n, P, 2) crop pixels.
        deviation: (n, P) pixels: the standard deviation of x and of y.
        guesses: the same points (n, P, 2) before both corrections and before the last one, for the losses.
    """

    points: Tensor
    deviation: Tensor
    guesses: tuple[Tensor, Tensor]


class _Window(nn.Module):
    """Corrects points by what maps show in 3 x 3 windows about each; every point reads them in its own way.

    Args:
        maps: for each map its channels, its stride (crop pixels per cell) and the spacing of the window's samples
            (crop pixels).
        points: P.
        outputs: numbers per point.
        step: pixels by which an output of 1 moves a point.
    """

    window: Tensor

    def __init__(self, maps: tuple[tuple[int, int, float], ...], points: int, outputs: int, step: float) -> None:
        super().__init__()
        self.maps, self.step = maps, step
        steps = torch.tensor([-1.0, 0.0, 1.0])
        window = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(9, 2)
        self.register_buffer("window", window, persistent=False)
        self.read = nn.Linear(9 * sum(channels for channels, _, _ in maps), HIDDEN)
        self.own = nn.Parameter(0.1 * torch.randn(points, HIDDEN))
        self.weight = nn.Parameter(torch.randn(points, HIDDEN, outputs) * 0.3 / HIDDEN**0.5)
        self.bias = nn.Parameter(torch.zeros(points, outputs))

    def forward(self, values: tuple[Tensor, ...], points: Tensor, rows: Tensor | None) -> Tensor:
        """Maps (n, C, h, w) and points (n, p, 2), those of numbers ``rows`` (None: all) -> (n, p, outputs), of which
        the first two are pixels."""
        own, weight, bias = (mine if rows is None else mine[rows] for mine in (self.own, self.weight, self.bias))
        read = self._read(values, points, few=rows is not None).transpose(1, 2) + self.read.bias
        hidden = functional.leaky_relu(read + own, 0.1)
        out = torch.matmul(hidden.transpose(0, 1), weight).transpose(0, 1) + bias
        return torch.cat([self.step * out[..., :2], out[..., 2:]], dim=-1)

    def _read(self, values: tuple[Tensor, ...], points: Tensor, few: bool) -> Tensor:
        """What is read off the windows about points (n, p, 2), without the bias, (n, HIDDEN, p): of every map by
        itself, as joining the samples would take a fourth of the products' time.

        A window whose samples are a cell apart is read as a convolution, whose answer is then sampled once instead of
        nine times: the same, as sampling is linear, and less work where many points are asked for.
        """
        channels = [count for count, _, _ in self.maps]
        shares = self.read.weight.split([len(self.window) * count for count in channels], dim=1)
        parts: list[Tensor] = []
        for one, (count, stride, spacing), share in zip(values, self.maps, shares, strict=True):
            kernel = share.unflatten(1, (len(self.window), count)).transpose(1, 2)
            if spacing == stride and not few and stride >= COARSE:
                seen = functional.conv2d(one, kernel.unflatten(2, (3, 3)), padding=2)
                part = _sampled(seen, points, stride, border=1).flatten(1, 2)
            else:
                steps = spacing * self.window[:, None]
                part = kernel.flatten(1) @ _sampled(one, points, stride, steps).flatten(1, 2)
            parts.append(part)
        return functools.reduce(torch.add, parts)


def _sampled(values: Tensor, points: Tensor, stride: int, steps: Tensor | None = None, border: int = 0) -> Tensor:
    """What a map (n, C, h, w), 0 outside of it, shows at points (n, p, 2), crop pixels, moved by each of some steps
    (k, 1, 2): (n, C, k, p), without steps (n, C, 1, p).

    Args:
        values, points, steps: as above.
        stride: crop pixels per cell of the map.
        border: cells that the map is wider than the crop, on every side.
    """
    sides = values.new_tensor([values.shape[-1], values.shape[-2]])
    # A cell's centre lies in the middle of its pixels: the map begins at pixel -0.5, less its border.
    scale = 2.0 / (stride * sides)
    offset = scale * (0.5 + stride * border) - 1.0
    grid = (points * scale)[:, None]
    if steps is None:
        return functional.grid_sample(values, grid + offset, align_corners=False)
    # Repeated before the steps are added: ONNX Runtime takes ten times as long to repeat pairs while it adds.
    count = points.shape[1]
    moved = (steps * scale + offset).expand(-1, count, -1)
    return functional.grid_sample(values, grid.repeat(1, len(steps), 1, 1) + moved, align_corners=False)


def _normalised(channels_in: int, channels_out: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, 1, size // 2, bias=False), nn.BatchNorm2d(channels_out)
    )


class PointDecoder(nn.Module):
    """Maps and features of a trunk -> :class:`DensePoints`.

    Args:
        widths: channels of the trunk's maps, each of half the resolution of the one before.
        features: length of its feature vector.
        start: (P, 2) crop pixels: where the untrained decoder puts the points, about.
        stride: crop pixels per cell of the first map.
    """

    start: Tensor

    def __init__(self, widths: tuple[int, ...], features: int, start: Tensor, stride: int = 2) -> None:
        super().__init__()
        count = len(start)
        self.register_buffer("start", start.float())
        self.coarse = nn.Linear(features, 2 * count)
        nn.init.normal_(self.coarse.weight, std=0.002)
        nn.init.zeros_(self.coarse.bias)
        wide, middle = WIDTHS
        self.from16, self.from8 = _normalised(widths[3], wide, 1), _normalised(widths[2], wide, 1)
        self.mix8 = _normalised(wide, wide, 3)
        self.down8, self.from4 = _normalised(wide, middle, 1), _normalised(widths[1], middle, 1)
        self.mix4 = _normalised(middle, middle, 3)
        self.first = _Window(((middle, 2 * stride, 4.0),), count, 2, 3.0)
        self.second = _Window(((middle, 2 * stride, 3.0), (widths[0], stride, 2.0)), count, 3, 1.5)

    def mixed(self, four: Tensor, eight: Tensor, sixteen: Tensor) -> Tensor:
        """The trunk's coarser maps -> one of the finest's resolution that knows what is about it."""
        relu = functional.relu
        at8 = relu(self.mix8(relu(self.from8(eight) + _enlarged(self.from16(sixteen), eight))))
        return relu(self.mix4(relu(self.from4(four) + _enlarged(self.down8(at8), four))))

    def forward(self, maps: tuple[Tensor, ...], features: Tensor, rows: Tensor | None = None) -> DensePoints:
        """Where the points are.

        Args:
            maps: (n, C, h, w) from fine to coarse: the stem's and those of the three stages.
            features: (n, F).
            rows: (p,) numbers of the points that are wanted; None: all.
        """
        four = self.mixed(*maps[1:]).float()
        with torch.autocast(features.device.type, enabled=False):
            coarse = self.start + self.coarse(features.float()).unflatten(1, (-1, 2))
            if rows is not None:
                coarse = coarse[:, rows]
            # Each look learns from its own error only: what came before is asked for the same by its own loss.
            better = coarse.detach() + self.first((four,), coarse.detach(), rows)
            last = self.second((four, maps[0].float()), better.detach(), rows)
            deviation = LEAST_DEVIATION + MIDDLE_DEVIATION * torch.exp(last[..., 2].clamp(-4.0, 4.0))
            return DensePoints(better.detach() + last[..., :2], deviation, (coarse, better))


def _enlarged(values: Tensor, like: Tensor) -> Tensor:
    """A map (n, C, h, w), each cell repeated, in the resolution of another one; of odd sides the last cell goes."""
    doubled = functional.interpolate(values, scale_factor=2.0, mode="nearest")
    # Nothing is cut where nothing has to be: in an exported file ONNX Runtime would not see what follows as one.
    same = tuple(doubled.shape[-2:]) == tuple(like.shape[-2:])
    return doubled if same else doubled[..., : like.shape[-2], : like.shape[-1]]

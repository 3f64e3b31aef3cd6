"""The regressor: a crop of a face in, coefficients, pose and a face score out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.geometry.rotation import FRONTAL, rotation_from_6d
from likeness.model.codes import codes_of_vertices
from likeness.model.face_model import FaceModel
from likeness.model.identity import SPACES, GaussianSpace

CROP_SIZE = 112
"""Side of the crops that the network takes, pixels."""

DISTANCE_MM = 940.0
"""Where the untrained network puts the head: where a crop of 1.5 landmark boxes shows an average face."""

SHIFT_MM = 60.0
"""How far a translation output of 1 moves the head across the image, mm."""

START_LENGTH = 0.35
"""Length of the untrained code before it is projected, over the radius: the shorter, the sooner it turns."""

EXPRESSION_BIAS = -2.5
"""Logit of an untrained expression weight: 0.08, muscles are mostly at rest."""


class Prediction(NamedTuple):
    """What the regressor says about n crops; the order and the names are those of the ONNX file's outputs.

    Attributes:
        identity: (n, K) codes.
        expression: (n, 52) ARKit weights in [0, 1].
        rotation: (n, 3, 3) R of ``pixel = K (R x + t)`` in the crop's camera
            (:meth:`likeness.geometry.camera.Camera.from_crop_size`).
        translation: (n, 3) t, mm.
        albedo: (n, A) weights of the albedo maps.
        light: (n, 9, 3) spherical-harmonics light in upright camera axes.
        score: (n,) logit of "this crop shows a face about where it should be"; a probability in the ONNX file.
    """

    identity: Tensor
    expression: Tensor
    rotation: Tensor
    translation: Tensor
    albedo: Tensor
    light: Tensor
    score: Tensor


@dataclass(frozen=True)
class NetSettings:
    """Sizes of the network; what a checkpoint needs to be rebuilt.

    Args:
        identity, expression, albedo: numbers of coefficients.
        center: the landmarks' middle (x, y, z), mm, model axes: starts in the middle of the crop.
        start: the identity code that the untrained network answers; empty: zeros. On a sphere, where zero is no code,
            the one whose shape comes nearest to the mean.
        identity_space: name of the model's identity space; codes are projected onto it.
        widths: channels of the stem and of the stages.
        blocks: residual blocks of each stage; every stage halves the resolution.
        neck: channels that are flattened.
        hidden: width of the layer before the heads.
        told: D, numbers of a teacher's embedding that a head for the training alone guesses; 0: none.
        shrink: crops are averaged over squares of so many pixels first: 2 makes everything four times as fast, and
            blind to details; for experiments.
    """

    identity: int
    expression: int
    albedo: int
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    start: tuple[float, ...] = ()
    identity_space: str = GaussianSpace.name
    widths: tuple[int, ...] = (32, 64, 112, 208)
    blocks: tuple[int, ...] = (2, 2, 2)
    neck: int = 64
    hidden: int = 320
    told: int = 0
    shrink: int = 1

    @classmethod
    def for_model(cls, model: FaceModel, *, told: int = 0, shrink: int = 1) -> NetSettings:
        """The settings that fit a face model."""
        size = len(model.identity_basis)
        start = np.zeros(size, np.float32)
        if model.identity_space != GaussianSpace.name:
            start = codes_of_vertices(model, model.mean).identity
        points = model.landmark_points(start)
        x, y, z = (0.5 * (points.min(0) + points.max(0))).round(3).tolist()
        return cls(
            size,
            len(model.expression_names),
            len(model.albedo_names),
            (x, y, z),
            tuple(start.round(5).tolist()),
            model.identity_space,
            told=told,
            shrink=shrink,
        )


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., Deep Residual Learning, 2016)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def backbone(settings: NetSettings) -> nn.Sequential:
    """Images (n, 3, 112, 112) -> features (n, hidden): a thin ResNet whose last map is flattened, not averaged,
    because where things are is what pose and landmarks need."""
    stem = settings.widths[0]
    layers: list[nn.Module] = [
        nn.Conv2d(3, stem, 3, 2, 1, bias=False),
        nn.BatchNorm2d(stem),
        nn.ReLU(inplace=True),
    ]
    channels = stem
    for width, count in zip(settings.widths[1:], settings.blocks, strict=True):
        for number in range(count):
            layers.append(BasicBlock(channels, width, 2 if number == 0 else 1))
            channels = width
    side = math.ceil(CROP_SIZE / settings.shrink / 2 ** len(settings.widths))
    layers += [
        nn.Conv2d(channels, settings.neck, 1, bias=False),
        nn.BatchNorm2d(settings.neck),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(settings.neck * side * side, settings.hidden, bias=False),
        # Normalised and leaky: with a plain ReLU 93 of 100 of these features died in training, and with them all that
        # the landmarks do not need, skin colour and light among it.
        nn.BatchNorm1d(settings.hidden),
        nn.LeakyReLU(0.1, inplace=True),
    ]
    return nn.Sequential(*layers)


class Regressor(nn.Module):
    """Crops (n, 112, 112, 3) uint8 RGB -> :class:`Prediction`.

    The untrained network answers with the mean face at rest, frontal and centred: every head starts at zero with
    small weights, so the landmark loss begins on the face.
    """

    frontal: Tensor
    start: Tensor

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.space = SPACES[settings.identity_space](settings.identity)
        self.backbone = backbone(settings)
        sizes = {
            "identity": settings.identity,
            "expression": settings.expression,
            "rotation": 6,
            "translation": 3,
            "albedo": settings.albedo,
            "light": 27,
            "score": 1,
        }
        self.heads = nn.ModuleDict({name: nn.Linear(settings.hidden, size) for name, size in sizes.items()})
        for head in self.heads.values():
            assert isinstance(head, nn.Linear)
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        # What a teacher sees is learned from the features, not from the codes, which have shapes to agree with too.
        self.guess = nn.Linear(settings.hidden, settings.told) if settings.told else None
        with torch.no_grad():
            if settings.start:
                self._bias("identity").copy_(START_LENGTH * torch.tensor(settings.start))
            self._bias("expression").fill_(EXPRESSION_BIAS)
            self._bias("rotation").copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
            self._bias("light")[:3] = 1.0
        x, y, _ = settings.center
        self.register_buffer("frontal", torch.tensor(FRONTAL, dtype=torch.float32), persistent=False)
        self.register_buffer("start", torch.tensor([-x, y]), persistent=False)

    def _bias(self, name: str) -> Tensor:
        head = self.heads[name]
        assert isinstance(head, nn.Linear)
        return head.bias

    def forward(self, image: Tensor, guess: bool = False) -> Prediction | tuple[Prediction, Tensor]:
        """The prediction; with ``guess`` also what a teacher would say, (n, D)."""
        features = self.features(image)
        # Half floats have two digits: enough for convolutions, not for where a head is.
        with torch.autocast(image.device.type, enabled=False):
            prediction = self._answer(features)
            return (prediction, self.guess(features)) if guess and self.guess is not None else prediction

    def features(self, image: Tensor) -> Tensor:
        """Crops (n, 112, 112, 3) uint8 -> (n, hidden) float32."""
        pixels = (image.permute(0, 3, 1, 2).float() - 127.5) / 64.0
        if self.settings.shrink > 1:
            pixels = functional.avg_pool2d(pixels, self.settings.shrink)
        features: Tensor = self.backbone(pixels)
        return features.float()

    def _answer(self, features: Tensor) -> Prediction:
        """Features (n, hidden) float32 -> what they mean."""
        out = {name: head(features) for name, head in self.heads.items()}
        shift = self.start + SHIFT_MM * out["translation"][:, :2]
        # The exponent is bounded to distances from 1/20 to 20 times the usual one: no overflow early in training.
        distance = DISTANCE_MM * torch.exp(out["translation"][:, 2:].clamp(-3.0, 3.0))
        return Prediction(
            identity=self.space.project(out["identity"]),
            expression=torch.sigmoid(out["expression"]),
            rotation=self.frontal @ rotation_from_6d(out["rotation"]),
            translation=torch.cat([shift, distance], dim=1),
            albedo=out["albedo"],
            light=out["light"].reshape(-1, 9, 3),
            score=out["score"][:, 0],
        )

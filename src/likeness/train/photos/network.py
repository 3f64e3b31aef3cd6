"""The regressor: a crop of a face in, coefficients, pose and a face score out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.geometry.camera import Camera, project
from likeness.geometry.rotation import FRONTAL, rotation_from_6d
from likeness.model.codes import codes_of_vertices
from likeness.model.face_model import FaceModel
from likeness.model.identity import SPACES, GaussianSpace
from likeness.model.surface_points import PointMap
from likeness.train.photos.point_decoder import DensePoints, PointDecoder

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


STEM_LAYERS = 3
"""Layers of the backbone before its first residual block."""


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


class Answer(NamedTuple):
    """All that the network says of n crops; more than is exported.

    Attributes:
        prediction: coefficients, poses, scores.
        guess: (n, D) a teacher's embeddings as the network guesses them; None: it has no head for them.
        dense: where surface points lie; None: it has no decoder for them.
        mean: (n, K) the features' part of a code that is fused with what the points say
            (:mod:`likeness.reconstruct.refine`); None: nothing is fused.
        features: (n, H) what all of that is read from.
    """

    prediction: Prediction
    guess: Tensor | None
    dense: DensePoints | None
    mean: Tensor | None = None
    features: Tensor | None = None


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
        points: P surface points that a decoder places freely in the crop: (x, y) crop pixels of each before anything
            is learned; empty: there is no decoder.
        fused: Q matrices by which the code of the points' fit is fused with what the features say; 0: it is not.
        fuller: whether codes that are fused get a change as far as features take a picture for a photograph
            (:mod:`likeness.train.photos.fullness`).
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
    points: tuple[tuple[float, float], ...] = ()
    fused: int = 0
    fuller: bool = False

    @classmethod
    def for_model(
        cls, model: FaceModel, *, told: int = 0, shrink: int = 1, dense: PointMap | None = None
    ) -> NetSettings:
        """The settings that fit a face model; ``dense`` are the surface points that a decoder is to place."""
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
            points=() if dense is None else _average_places(dense.gather(model.mean), np.array([x, y, z])),
        )


def _average_places(points: np.ndarray, center: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Crop pixels of the mean face's points (P, 3) where the untrained network sees it: frontal, centred."""
    seen = (points - [*center[:2], 0.0]) @ FRONTAL.T + [0.0, 0.0, DISTANCE_MM]
    pixels = project(Camera.from_crop_size(CROP_SIZE), seen)
    return tuple((x, y) for x, y in np.round(pixels, 2).tolist())


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
    fusion: Tensor
    change: Tensor

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
        self.dense: PointDecoder | None = None
        if settings.points:
            start = torch.tensor(settings.points)
            self.dense = PointDecoder(settings.widths, settings.hidden, start, 2 * settings.shrink)
        self.mean = nn.Linear(settings.hidden, settings.identity) if settings.fused else None
        if settings.fused:
            self.register_buffer("fusion", torch.zeros(settings.fused, settings.identity, settings.identity))
        self.photographed = nn.Linear(settings.hidden, 1) if settings.fuller else None
        if settings.fuller:
            self.register_buffer("change", torch.zeros(settings.identity))
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

    def forward(self, image: Tensor, whole: bool = False, rows: Tensor | None = None) -> Prediction | Answer:
        """The prediction; if ``whole`` all that there is, of the dense points those of numbers ``rows`` (p,), None:
        all."""
        maps, features = self._look(image)
        # Half floats have two digits: enough for convolutions, not for where a head is.
        with torch.autocast(image.device.type, enabled=False):
            prediction = self.predict(features)
            guess = self.guess(features) if whole and self.guess is not None else None
            mean = self.mean_code(features) if whole and self.mean is not None else None
        dense = self.dense(maps, features, rows) if whole and self.dense is not None else None
        return Answer(prediction, guess, dense, mean, features) if whole else prediction

    def features(self, image: Tensor) -> Tensor:
        """Crops (n, 112, 112, 3) uint8 -> (n, hidden) float32."""
        return self._look(image)[1]

    def _look(self, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """The maps of the stem and of each stage, from fine to coarse, and the features (n, hidden) float32."""
        values = (image.permute(0, 3, 1, 2).float() - 127.5) / 64.0
        if self.settings.shrink > 1:
            values = functional.avg_pool2d(values, self.settings.shrink)
        maps = []
        for number, layer in enumerate(self.backbone):
            values = layer(values)
            if number in self._ends:
                maps.append(values)
        return tuple(maps), values.float()

    @property
    def _ends(self) -> list[int]:
        """Numbers of the backbone's layers that end the stem and each stage."""
        return [STEM_LAYERS - 1 + blocks for blocks in np.cumsum([0, *self.settings.blocks]).tolist()]

    def mean_code(self, features: Tensor) -> Tensor:
        """The features' part (n, K) of a code that is fused with what the points say, of features (n, hidden)."""
        assert self.mean is not None
        mean: Tensor = self.mean(features)
        if self.photographed is None:
            return mean
        return mean + self.photographed(features).clamp(0.0, 1.0) * self.change

    def predict(self, features: Tensor) -> Prediction:
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

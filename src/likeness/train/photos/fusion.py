"""What to believe of a network's features and of its points' fit, learned where shapes are known: the best linear
estimate of a person's code, drawn towards what can be relied on, as part of the network.

A person's code is read from the features and from ``q_j f``, the code ``f`` fitted to the network's points times the
circumstances ``q_j`` of the photo (:mod:`likeness.reconstruct.refine`). Wanted are shapes (mm after the best
similarity: photographs show no more) like the evidence of real people (:mod:`likeness.train.photos.evidence`) and
like those of rendered ones, which are known, and directions of shape that tell people apart (the margin softmax of
SIR). As all of it is linear it ends as weights: of the layer ``mean`` on the features, and Q matrices for the fit's
code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from likeness.progress import Steps, unheard, watched
from likeness.train.losses.margin import margin_softmax
from likeness.train.losses.sir import relation_distance, within_scatter
from likeness.train.photos.fusion_inputs import FusionInputs
from likeness.train.photos.posterior_codes import filter_of_codes, spread_of
from likeness.train.recipe_settings import SirWeights

if TYPE_CHECKING:
    from likeness.train.settings import FusionSettings

EACH = 4
"""Photos of each person in a batch, drawn with replacement."""

TRUSTED = 0.6
"""The share of the fit's code that is believed before anything is learned."""

SPREAD_OUT = 1e-3
"""Added to a feature's standard deviation."""

DOUBT = 4.0
"""Evidence of n photos counts n / (n + this)."""

LEAST_EVIDENCE = 3
"""People with fewer photos are not learned from."""

LEAST_SPREAD = 4
"""People with fewer photos do not tell how people spread."""

FIRM = 0.1
"""The ridge's strength where rendered faces are all there is. With 0.003 others of their kind are missed alike, and
pictures of another kind by more than the mean face misses them (4.25 mm; 3.32 with 0.1; mean face 3.73)."""

FLOOR = 1e-4
"""Variances between people are at least this share of the largest."""


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of people, real and rendered.

    Args:
        inputs: N looks at photographs.
        person: (N,) whose, from 0 without gaps.
        code: (N, K) the evidence of that person.
        weight: (N,) how much it counts.
        embedding: (N, D) of a face-recognition network, rows of NaN where it was not asked; None: nowhere.
        rendered: looks at rendered faces.
        truth: (M, K) their codes.
    """

    inputs: FusionInputs
    person: np.ndarray
    code: np.ndarray
    weight: np.ndarray
    embedding: np.ndarray | None
    rendered: FusionInputs
    truth: np.ndarray

    @classmethod
    def of(
        cls,
        inputs: FusionInputs,
        person: np.ndarray,
        code: np.ndarray,
        pictures: np.ndarray,
        rendered: FusionInputs,
        truth: np.ndarray,
        embedding: np.ndarray | None = None,
    ) -> Known:
        """Of looks at photographs and the evidence of P people.

        Args:
            inputs: N looks.
            person: (N,) numbers of people, in ``code``.
            code: (P, K) evidence.
            pictures: (P,) of how many photos.
            rendered, truth, embedding: see :class:`Known`.

        Raises:
            ValueError: nobody has enough photos.
        """
        kept = np.flatnonzero(pictures[person] >= LEAST_EVIDENCE)
        if not len(kept):
            raise ValueError(f"expected people with {LEAST_EVIDENCE} labelled photos, got none")
        who, member, count = np.unique(person[kept], return_inverse=True, return_counts=True)
        # Somebody with many photos counts more than somebody with few, but not as many times.
        weight = (pictures[who] / (pictures[who] + DOUBT))[member] / np.sqrt(count)[member]
        of_kept = None if embedding is None else embedding[kept]
        return cls(inputs[kept], member, code[who][member], weight / weight.mean(), of_kept, rendered, truth)

    @property
    def people(self) -> int:
        """How many real ones."""
        return int(self.person.max()) + 1

    @property
    def well_known(self) -> int:
        """How many have :data:`LEAST_SPREAD` photos; if no more than there are directions of shape, how people spread
        in some of them is not known, and a filter would give these up."""
        return int((np.bincount(self.person) >= LEAST_SPREAD).sum())


@dataclass(frozen=True, eq=False)
class Estimator:
    """A linear estimate of codes: ``features @ weight + bias + sum_j q_j F_j f``.

    Args:
        weight: (H, K) of the features.
        bias: (K,).
        matrices: (Q, K, K) of the fit's code, see :class:`likeness.networks.regressor.Fusion`.
    """

    weight: np.ndarray
    bias: np.ndarray
    matrices: np.ndarray

    def __call__(self, inputs: FusionInputs) -> np.ndarray:
        """Codes (N, K)."""
        fitted = np.einsum("nq,qkl,nl->nk", inputs.circumstances, self.matrices, inputs.code, optimize=True)
        return np.asarray(inputs.features @ self.weight + self.bias + fitted)

    def lengthened(self, inputs: FusionInputs, truth: np.ndarray, factor: np.ndarray) -> Estimator:
        """With differences between people as large as they are where the truth is known: a linear estimate from looks
        of which many say little makes those between sharp ones too small. Its middle stays.

        Args:
            inputs: N looks.
            truth: (N, K) their codes.
            factor: (K, K) L of the metric, mm.
        """
        codes = self(inputs)
        middle = codes.mean(0)
        found, true = (codes - middle) @ factor, (truth - truth.mean(0)) @ factor
        gain = float((found * true).sum() / max(float((found * found).sum()), FLOOR))
        return Estimator(gain * self.weight, middle + gain * (self.bias - middle), gain * self.matrices)

    def towards_points(self, share: float) -> Estimator:
        """``(1 - share)`` of it and ``share`` of the points' fit alone.

        The people of the evidence are those that the network was trained on: its features say more of them than of
        anybody else, and an estimate that was learned from them believes features too much.
        """
        matrices = (1 - share) * self.matrices
        matrices[0] += share * np.eye(len(self.bias))
        return Estimator((1 - share) * self.weight, (1 - share) * self.bias, matrices)

    def filtered(self, inputs: FusionInputs, person: np.ndarray, factor: np.ndarray, strength: float) -> Estimator:
        """With the posterior mean of shapes in the place of shapes: directions in which one person's photos differ
        as much as people do are given up (:mod:`likeness.train.photos.posterior_codes`, without its gain).

        Args:
            inputs: N looks at photographs.
            person: (N,) whose.
            factor: (K, K) L of the metric.
            strength: how many times the scatter within people counts; photos that were learned from scatter less
                about their evidence than others do, but it is what is asked for besides; 0: nothing changes.

        Raises:
            ValueError: no two people have :data:`LEAST_SPREAD` photos.
        """
        if strength == 0:
            return self
        codes = self(inputs)
        matrix, middle = person_filter(codes @ factor, person, factor, strength), codes.mean(0)
        return Estimator(
            self.weight @ matrix,
            (self.bias - middle) @ matrix + middle,
            np.einsum("lk,qlm->qkm", matrix, self.matrices),
        )


def person_filter(embedded: np.ndarray, person: np.ndarray, factor: np.ndarray, strength: float) -> np.ndarray:
    """The filter of codes (K, K), for rows: B (B + s W)⁻¹ of covariances between (B) and within people (W, mm²).

    Args:
        embedded: (N, K) mm.
        person: (N,) whose.
        factor: (K, K) L of the metric.
        strength: s.

    Raises:
        ValueError: no two people have :data:`LEAST_SPREAD` photos.
    """
    _, member, count = np.unique(person, return_inverse=True, return_counts=True)
    several = count[member] >= LEAST_SPREAD
    if (count >= LEAST_SPREAD).sum() < 2:
        raise ValueError(
            f"expected two people with {LEAST_SPREAD} labelled photos, got {several.sum()} photos of such"
        )
    spread = spread_of(embedded[several], person[several])
    # The means of few photos differ more than people do.
    between = spread.between - spread.within * (1.0 / count[count >= LEAST_SPREAD]).mean()
    values, vectors = np.linalg.eigh(between)
    between = (vectors * np.clip(values, FLOOR * values.max(), None)) @ vectors.T
    return filter_of_codes(np.linalg.solve(between + strength * spread.within, between), factor)


def learn(
    known: Known,
    factor: np.ndarray,
    settings: FusionSettings,
    fitted: bool = True,
    whole: np.ndarray | None = None,
    watch: Steps = unheard,
) -> Estimator:
    """The best linear estimate.

    Args:
        known: what there is to learn from.
        factor: (K, K) L of the metric of shape after the best similarity.
        settings: what is asked for.
        fitted: with the points' fit; otherwise from the features alone, without matrices.
        whole: (K, K) L of the metric before any similarity, for ``settings.unseen``; None: nothing is asked of it.
        watch: hears how many steps are done.
    """
    torch.manual_seed(settings.seed)
    problem = _Problem(known, factor, settings, fitted, whole)
    optimizer = torch.optim.AdamW(
        [
            {"params": list(problem.layer.parameters()), "weight_decay": settings.weight_decay},
            {"params": [problem.classes, problem.style], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    what = "learning from features and points" if fitted else "learning from features"
    for step in watched(range(settings.steps), what, watch):
        rate = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / settings.steps))
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        loss = problem.loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return problem.estimator()


class _Problem:
    """What is learned, and how well it does on a random batch."""

    def __init__(
        self, known: Known, factor: np.ndarray, settings: FusionSettings, fitted: bool, whole: np.ndarray | None
    ) -> None:
        self.settings, self.fitted = settings, fitted
        size, width = known.code.shape[1], known.inputs.features.shape[1]
        self.middle = known.inputs.features.mean(0)
        self.scale = known.inputs.features.std(0) + SPREAD_OUT
        self.real, self.rendered = self._tensor(known.inputs), self._tensor(known.rendered)
        self.code, self.weight = _float(known.code), _float(known.weight)
        self.truth, self.factor = _float(known.truth), _float(factor)
        self.unseen = None if whole is None else _float(whole @ whole.T - factor @ factor.T)
        self.embedding = None if known.embedding is None else _float(known.embedding)
        self.person = torch.tensor(known.person)
        self.order = torch.argsort(self.person, stable=True)
        self.count = torch.bincount(self.person)
        self.first = torch.cumsum(self.count, 0) - self.count
        self.layer = nn.Linear(self.real.shape[1], size)
        nn.init.normal_(self.layer.weight, std=0.003)
        nn.init.zeros_(self.layer.bias)
        if fitted:
            with torch.no_grad():
                self.layer.weight[:, width : width + size] += TRUSTED * torch.eye(size)
        self.classes = nn.Parameter(0.1 * torch.randn(known.people, size))
        # Without rendered faces nothing else says where the middle is.
        self.style = nn.Parameter(self.code.mean(0) * bool(settings.rendered), requires_grad=bool(settings.rendered))
        self.shape = (width, known.inputs.circumstances.shape[1], size)

    def _tensor(self, inputs: FusionInputs) -> Tensor:
        """Inputs with the features standardised; without the fit, where it is not asked for, the features alone."""
        features = (inputs.features - self.middle) / self.scale
        whole = FusionInputs(features, inputs.code, inputs.circumstances)
        return _float(whole.flat if self.fitted else features)

    def loss(self) -> Tensor:
        """Of a random batch: of everyone in it several photos, and half as many rendered faces."""
        settings = self.settings
        who = torch.randint(0, len(self.count), (settings.batch // EACH,))
        place = (torch.rand(len(who), EACH) * self.count[who, None]).long()
        rows = self.order[(self.first[who, None] + place).flatten()]
        code = self.layer(self.real[rows])
        shape = code @ self.factor
        # What all evidence has in common may be its labeller's: heads need not have it.
        missed = ((code + self.style - self.code[rows]) @ self.factor).square().sum(1)
        loss = settings.evidence * (missed * self.weight[rows]).mean() + self._taken_away(code)
        if settings.rendered:
            drawn = torch.randint(0, len(self.rendered), (settings.batch // 2,))
            guess = self.layer(self.rendered[drawn])
            wrong = (guess - self.truth[drawn]) @ self.factor
            loss = loss + settings.rendered * wrong.square().sum(1).mean() + self._taken_away(guess)
        return loss + self._of_people(shape, rows)

    def _taken_away(self, code: Tensor) -> Tensor:
        """Mean squared mm of codes (n, K) that the best similarity takes away."""
        if self.unseen is None or not self.settings.unseen:
            return code.sum() * 0
        return self.settings.unseen * ((code @ self.unseen) * code).sum(1).mean()

    def _of_people(self, shape: Tensor, rows: Tensor) -> Tensor:
        """The terms of SIR of shapes (n, K), mm."""
        settings, loss = self.settings, shape.sum() * 0
        if settings.sir:
            centers = self.classes @ self.factor
            loss = loss + settings.sir * margin_softmax(
                shape, centers, self.person[rows], SirWeights.scale, SirWeights.margin
            )
        if settings.within:
            member = torch.arange(len(rows)) // EACH
            centers = shape.reshape(-1, EACH, shape.shape[1]).mean(1)
            loss = loss + settings.within * within_scatter(shape, centers, member, 1.0)
        if settings.relation and self.embedding is not None:
            embedding = self.embedding[rows]
            asked = embedding.isfinite().all(1)
            loss = loss + settings.relation * relation_distance(shape[asked], embedding[asked])
        return loss

    def estimator(self) -> Estimator:
        """What was learned, for features as they are."""
        width, circumstances, size = self.shape
        whole, bias = (value.detach().double().numpy() for value in (self.layer.weight.T, self.layer.bias))
        weight = whole[:width] / self.scale[:, None]
        matrices = whole[width:].reshape(-1, size, size).transpose(0, 2, 1)
        if not self.fitted:
            matrices = np.zeros((circumstances, size, size))
        return Estimator(weight, bias - self.middle @ weight, matrices)


def _float(values: np.ndarray) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def ridge(features: np.ndarray, answers: np.ndarray, strength: float = 0.003) -> tuple[np.ndarray, np.ndarray]:
    """Weights (H, A) and bias (A,) of the linear layer that gives answers (N, A) for features (N, H); ``strength`` of
    the penalty per look, on standardised features."""
    middle, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64) + SPREAD_OUT
    scaled, mean = (features - middle) / scale, answers.mean(0, dtype=np.float64)
    gram = scaled.T @ scaled + strength * len(features) * np.eye(features.shape[1])
    weight = np.linalg.solve(gram, scaled.T @ (answers - mean)) / scale[:, None]
    return weight, mean - middle @ weight


def linear_estimates(inputs: FusionInputs, truth: np.ndarray) -> tuple[Estimator, Estimator]:
    """The best linear estimates of known codes (N, K) of N looks: from features and fit, from features alone."""
    firm = partial(ridge, strength=FIRM)
    width, size = inputs.features.shape[1], truth.shape[1]
    whole, bias = firm(inputs.flat, truth)
    fused = Estimator(whole[:width], bias, whole[width:].reshape(-1, size, size).transpose(0, 2, 1))
    return fused, Estimator(*firm(inputs.features, truth), np.zeros_like(fused.matrices))

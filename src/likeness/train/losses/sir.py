"""SIR: shape identity-aware regularisation, in the parameter domain and in the geometry domain (design, section 3.4).

It takes the place of ``|c|²``, which shrinks everybody to the mean: codes, and the millimetres that they mean, are
asked to be alike for one person and different between people. Only the paper's abstract was at hand; the formulas are
ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.model.face_model import FaceModel
from likeness.model.identity import SphereSpace
from likeness.train.losses.margin import margin_softmax, uniformity
from likeness.train.recipe_settings import SirWeights


class _People(NamedTuple):
    """Those in a batch: numbers (P,), fresh centres (P, K) with gradients, and which of them each sample is, (n,)."""

    number: Tensor
    centers: Tensor
    member: Tensor


class SirLoss(nn.Module):
    """All terms of identity-labelled codes, by the names of :class:`SirWeights`, unweighted.

    Keeps a bank of running centres, one code per person: a batch holds too few people to tell how all are spread.
    Gradients reach a centre through the batch's own samples. With ``torch.distributed`` the bank takes in the batches
    of all processes and is the same on each.

    Args:
        model: gives identity space and geometry metric.
        people: C, identities in the training set.
        weights: see :class:`SirWeights`; margins, momentum and τ are read here, the factors by :meth:`total`.
    """

    factor: Tensor
    bank: Tensor
    seen: Tensor

    def __init__(self, model: FaceModel, people: int, weights: SirWeights | None = None) -> None:
        super().__init__()
        self.weights = weights or SirWeights()
        size = len(model.identity_basis)
        self.on_sphere = isinstance(model.space, SphereSpace)
        self.random_squared = 2 * model.metric.spread  # mm², expected squared distance of two random faces
        self.classes = nn.Parameter(functional.normalize(torch.randn(people, size), dim=-1))
        self.register_buffer("factor", torch.tensor(model.metric.factor, dtype=torch.float32))
        self.register_buffer("bank", torch.zeros(people, size))
        self.register_buffer("seen", torch.zeros(people, dtype=torch.bool))

    def forward(
        self,
        codes: Tensor,
        labels: Tensor,
        embedding: Tensor | None = None,
        factor: Tensor | None = None,
        guess: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Terms of a batch.

        Args:
            codes: (n, K) identity codes.
            labels: (n,) int64 in [0, C), -1 where the person is not known: such codes count for the teacher's terms.
                From C on: people that are not of the training set (:mod:`likeness.train.generate.morphs`), too many
                to keep centres and class vectors of: for them count the scatter within the batch and the teacher's
                terms.
            embedding: (n, D) of the same photos by a face-recognition network, rows of zeros where it was not asked;
                None: no relation term.
            factor: (K, K) L of the geometry metric where the basis is learned; None: that of the model.
            guess: (n, D) the network's guess of ``embedding``; None: no term for it.
        """
        factor = self.factor if factor is None else factor
        known = (labels >= 0) & (labels < len(self.bank))
        terms = self._of_people(codes[known], labels[known], factor)
        terms["mixed"] = self._of_new_people(codes, labels, factor)
        terms["relation"] = terms["told"] = codes.sum() * 0
        if embedding is not None:
            asked = embedding.abs().sum(1) > 0
            codes, embedding, labels = codes[asked], embedding[asked], labels[asked]
            shown = self.weights.shown
            if self.weights.relation:
                by_code, by_shape = (relation_distance(one, embedding, labels) for one in (codes, codes @ factor))
                terms["relation"] = (1 - shown) * by_code + shown * by_shape
            if guess is not None and len(embedding):
                terms["told"] = 1 - functional.cosine_similarity(guess[asked], embedding).mean()
        return terms

    def _of_people(self, codes: Tensor, labels: Tensor, factor: Tensor) -> dict[str, Tensor]:
        """The terms of codes (n, K) whose person is known."""
        if len(codes) == 0:
            return dict.fromkeys(("code", "direction", "within", "between", "prior"), codes.sum())
        settings, embedded = self.weights, codes @ factor
        people = self._people(codes, labels)
        makers: dict[str, Callable[[], Tensor]] = {
            "code": lambda: margin_softmax(codes, self.classes, labels, settings.scale, settings.margin),
            "direction": lambda: margin_softmax(
                embedded, self.classes @ factor, labels, settings.scale, settings.margin
            ),
            "within": lambda: within_scatter(embedded, people.centers @ factor, people.member, self.random_squared),
            "between": lambda: between_scatter(
                self._all_centers(people) @ factor, settings.apart * self.random_squared
            ),
            "prior": lambda: self._spread(self._all_centers(people)),
        }
        # What counts nothing is not computed: with thousands of people it would take an eighth of the time.
        nothing = codes.sum() * 0
        terms = {name: make() if getattr(settings, name) else nothing for name, make in makers.items()}
        if self.training:
            self._remember(codes.detach(), labels)
        return terms

    def _spread(self, centers: Tensor) -> Tensor:
        return uniformity(centers) if self.on_sphere and len(centers) > 1 else gaussian_kl(centers)

    def _of_new_people(self, codes: Tensor, labels: Tensor, factor: Tensor) -> Tensor:
        """Scatter of those who have no running centre, about their means in the batch."""
        new = labels >= len(self.bank)
        if not new.any():
            return codes.sum() * 0
        _, member = labels[new].unique(return_inverse=True)
        embedded = codes[new] @ factor
        count = torch.bincount(member)
        centers = embedded.new_zeros(len(count), embedded.shape[1]).index_add(0, member, embedded) / count[:, None]
        several = count[member] > 1
        if not several.any():
            return codes.sum() * 0
        # About the mean of n the squares are too small by (n - 1) / n.
        share = (count / (count - 1).clamp_min(1)).sqrt()[member, None].to(embedded.dtype)
        centered = ((embedded - centers[member]) * share)[several]
        return centered.square().sum(1).mean() / self.random_squared

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum of :meth:`forward`'s terms."""
        return torch.stack([getattr(self.weights, name) * value for name, value in terms.items()]).sum()

    def _people(self, codes: Tensor, labels: Tensor) -> _People:
        """Centres of the people in a batch: the running ones, moved as :meth:`_remember` will move them."""
        number, member = labels.unique(return_inverse=True)
        sums = codes.new_zeros(len(number), codes.shape[1]).index_add(0, member, codes)
        mean = sums / torch.bincount(member, minlength=len(number))[:, None]
        share = torch.where(self.seen[number], self.weights.momentum, 1.0)[:, None].to(codes.dtype)
        return _People(number, share * mean + (1 - share) * self.bank[number].to(codes.dtype), member)

    def _all_centers(self, people: _People) -> Tensor:
        """The batch's centres with gradients, and the other people's that were seen before."""
        others = self.seen.clone()
        others[people.number] = False
        return torch.cat([people.centers, self.bank[others].to(people.centers.dtype)])

    @torch.no_grad()
    def _remember(self, codes: Tensor, labels: Tensor) -> None:
        sums = torch.zeros_like(self.bank).index_add(0, labels, codes.to(self.bank.dtype))
        counts = torch.bincount(labels, minlength=len(self.bank)).to(self.bank.dtype)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
            torch.distributed.all_reduce(counts)
        here = counts > 0
        mean = sums[here] / counts[here, None]
        share = torch.where(self.seen[here], self.weights.momentum, 1.0)[:, None]
        self.bank[here] = share * mean + (1 - share) * self.bank[here]
        self.seen |= here


def within_scatter(embedded: Tensor, centers: Tensor, member: Tensor, unit: float) -> Tensor:
    """Mean squared distance of embeddings (n, K) in mm to their people's centres (P, K), over ``unit`` mm²."""
    return (embedded - centers[member]).square().sum(1).mean() / unit


def between_scatter(centers: Tensor, unit: float) -> Tensor:
    """``mean_{p<q} max(0, 1 − |g_p − g_q|² / unit)²`` of centres (P, K) in mm: 0 when all are ``unit`` mm² apart, 1
    when all are one; 0 for a single person."""
    if len(centers) < 2:
        return centers.sum() * 0
    rows, columns = torch.triu_indices(len(centers), len(centers), 1, device=centers.device)
    squared = (centers.square().sum(1)[:, None] + centers.square().sum(1) - 2 * centers @ centers.T)[rows, columns]
    return (1 - squared.clamp_min(0) / unit).clamp_min(0).square().mean()


def gaussian_kl(centers: Tensor) -> Tensor:
    """KL divergence in nats per dimension of the diagonal Gaussian of centres (P, K) to N(0, I); the plain mean of
    squares where one person tells no variance."""
    mean = centers.mean(0)
    if len(centers) < 2:
        return 0.5 * mean.square().mean()
    variance = centers.var(0, correction=0).clamp_min(1e-6)
    return 0.5 * (variance + mean.square() - 1 - variance.log()).mean()


def relation_distance(vectors: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
    """Mean squared difference of the pairwise cosines of vectors from those of a teacher's (Park et al., Relational
    Knowledge Distillation, 2019, with cosines); 0 for one vector.

    Args:
        vectors: (n, K).
        teacher: (n, D).
        labels: (n,) who it is, -1 where that is not known: of one person's vectors a cosine of 1 is wanted, whatever
            the teacher thinks; None: of nobody it is known.
    """
    if len(vectors) < 2:
        return vectors.sum() * 0
    rows, columns = torch.triu_indices(len(vectors), len(vectors), 1, device=vectors.device)
    mine, theirs = (functional.normalize(v, dim=-1) for v in (vectors, teacher.to(vectors.dtype)))
    wanted = (theirs @ theirs.T)[rows, columns]
    if labels is not None:
        wanted = torch.where((labels[rows] == labels[columns]) & (labels[rows] >= 0), 1.0, wanted)
    return ((mine @ mine.T)[rows, columns] - wanted).square().mean()

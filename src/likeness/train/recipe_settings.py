"""What a recipe sets: the weights of all losses, how freely the basis may change, and the mixture of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class LossWeights:
    """What each term counts.

    Args:
        landmark: mean distance of the 68 projected points, percent of the crop's side.
        points: mean distance of the landmark candidates in 3D, mm, with and without expression (labelled shapes).
        geometry: RMS distance over the face region by the geometry metric, mm (labelled shapes).
        code: mean squared difference of identity codes (labelled shapes).
        expression: mean squared difference of weights, times 52 (labelled shapes).
        rotation: squared Frobenius distance, 4 (1 - cos angle) (labelled shapes).
        distance: absolute difference of log distances (labelled shapes).
        albedo, light: mean squared differences (labelled shapes).
        score: binary cross-entropy.
        identity_prior: where only landmarks are known: mean squared code, the Gaussian prior; for codes on a sphere,
            whose length says nothing, squared distance to the mean face over its expectation.
        expression_prior: mean weight, where only landmarks are known: muscles are mostly at rest.
        albedo_prior: mean squared albedo weight, where only landmarks are known.
    """

    landmark: float = 0.7
    points: float = 0.5
    geometry: float = 0.5
    code: float = 0.3
    expression: float = 0.5
    rotation: float = 4.0
    distance: float = 2.0
    albedo: float = 1.0
    light: float = 1.0
    score: float = 0.7
    identity_prior: float = 0.05
    expression_prior: float = 0.3
    albedo_prior: float = 0.02


@dataclass(frozen=True)
class SirWeights:
    """What each term counts.

    Args:
        code: margin softmax of codes, nats.
        direction: margin softmax of the directions of the geometry embedding, nats.
        within, between: scatter of the embedding, in units of what two random faces differ by.
        mixed: ``within`` of new people, mixed from those that are there.
        prior: of the people's centres.
        relation: squared difference of pairwise cosines from a teacher's, in both domains.
        shown: share of ``relation`` that is asked of the geometry embedding, the rest of the codes.
        told: 1 - cosine of the teacher's embedding and the network's guess of it.
        scale, margin: of both softmaxes.
        apart: τ: people's centres are pushed apart up to this share of the prior's expected squared distance.
        momentum: how much of a running centre a batch replaces.
    """

    code: float = 0.3
    direction: float = 0.3
    within: float = 1.0
    between: float = 1.0
    mixed: float = 1.0
    prior: float = 0.1
    relation: float = 0.0
    shown: float = 0.5
    told: float = 0.0
    scale: float = 32.0
    margin: float = 0.2
    apart: float = 0.5
    momentum: float = 0.3


@dataclass(frozen=True)
class BasisSettings:
    """How freely the basis may change.

    Args:
        fields: M, smooth fields per coordinate.
        size: weight of the mean squared displacement of ΔW over that of W₁.
        smooth: weight of the same with every field counted by its eigenvalue over the mean eigenvalue.
        mirror: weight of the squared part of ΔW that mirrored faces would not share, over the squared W₁; of no
            effect where the mesh's mirror map is not known.
        rate: learning rate relative to the network's.
    """

    fields: int = 120
    size: float = 1.0
    smooth: float = 1.0
    mirror: float = 1.0
    rate: float = 0.3


@dataclass(frozen=True)
class ObjectiveSettings:
    """What is asked of the network.

    Args:
        weights: of landmarks, labels and priors.
        sir: of the identity terms; None: none, the Tikhonov prior ``weights.identity_prior`` is all there is.
        photometric: weight of the colours' agreement with the picture, 0 to leave it out.
        basis: how freely the identity basis may change (the Sphere Face Model of stage 2); None: it is fixed.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    sir: SirWeights | None = None
    photometric: float = 0.0
    basis: BasisSettings | None = None


FALLBACKS = ("frames", "synthetic")
"""What takes over the share of a source that is not there."""


@dataclass(frozen=True)
class Mix:
    """How many samples of a batch come from where; a source that is not there gives its share to others.

    Args:
        frames: pictures with landmarks, each once per pass.
        people: of whom a batch holds several pictures, with landmarks or without.
        each: pictures of each of them.
        synthetic, photos, morphs: see :class:`likeness.train.photos.labels.Sources`, each once per pass; morphs of
            one new person come together.
        negatives: crops without a face.
    """

    frames: int = 16
    people: int = 10
    each: int = 4
    synthetic: int = 26
    photos: int = 0
    morphs: int = 24
    negatives: int = 6

    @property
    def total(self) -> int:
        """Samples per batch."""
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        """Samples per batch by kind."""
        counts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "each"}
        counts["people"] *= self.each
        return counts

    def scaled(self, factor: float) -> Mix:
        """So many times as many samples of each kind; of people there are more, not more pictures of each."""
        counts = {f.name: round(factor * getattr(self, f.name)) for f in fields(self)}
        return Mix(**{**counts, "each": self.each})

    def without(self, missing: set[str]) -> dict[str, int]:
        """The counts when some kinds are missing: their share goes to frames and synthetic faces in proportion.

        Raises:
            ValueError: neither of these is there.
        """
        counts = self.counts()
        freed = sum(counts[name] for name in missing)
        counts.update(dict.fromkeys(missing, 0))
        takers = [name for name in FALLBACKS if counts[name] > 0]
        if freed == 0:
            return counts
        if not takers:
            raise ValueError("expected frames with landmarks or synthetic faces to train on, got neither")
        total = sum(counts[name] for name in takers)
        for name in takers[1:]:
            extra = round(freed * counts[name] / total)
            counts[name] += extra
            freed -= extra
        counts[takers[0]] += freed
        return counts

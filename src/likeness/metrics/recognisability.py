"""The SIR metric: can people be told apart by their shapes, or only by the numbers that shapes are made of?

Measured in two domains with the same code: by identity codes (the parameter domain), and by what the codes look
like (the geometry domain: root-mean-square distance of the vertices, in millimetres). The *transfer gap* is what the
codes know about identity and the shapes do not show. Formulas are our reading of the papers' abstracts (design,
sections 3.3 and 4): mean distance between people over mean distance within a person, and the biometric figures beside
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.errors import Excluded
from likeness.extras import one_blas_thread
from likeness.mesh import Mesh
from likeness.metrics.bootstrap import replicates, statistics
from likeness.metrics.distances import Measure
from likeness.metrics.pairs import PairSet, Progress, Tally, tally
from likeness.metrics.procrustes import align
from likeness.metrics.records import Estimate, Samples
from likeness.metrics.roc import FALSE_ACCEPT_RATES, Roc, auc_uncertainty, roc_curve, too_few_impostors
from likeness.model.face_model import FaceModel

REPLICATES = 1000
_BOUNDS = {
    **dict.fromkeys(("auc", "eer", "rank1", "tar"), (0.0, 1.0)),
    **dict.fromkeys(("sir", "mean_genuine", "mean_impostor"), (0.0, np.inf)),
    "d_prime": (-np.inf, np.inf),
}


@dataclass(frozen=True, eq=False)
class Recognisability:
    """How well people can be told apart in one domain, by one measure. Intervals are 95 %, over people.

    Args:
        domain: ``code`` or ``geometry``.
        measure: ``cosine``, ``euclidean`` or ``angle``.
        unit: of the mean distances: ``mm``, ``rad`` or empty.
        sir: mean impostor over mean genuine distance; above 1 and larger is better. Saturates in many dimensions.
        mean_genuine, mean_impostor: mean distance of two codes of one person, and of two people.
        d_prime: their difference in units of the spread of both kinds of distances.
        auc: probability that a genuine pair is closer than an impostor pair; 0.5 is chance.
        eer: equal error rate, 0 to 1.
        rank1: share of probes whose nearest other code (of another group) is of the same person; ties count as
            misses. Of all codes with such a partner. Falls as people are added: compare equal sets only.
        true_accept: false accept rate -> true accept rate at the largest threshold that does not exceed it.
        genuine_pairs, impostor_pairs: how many were compared.
        same_group_pairs: pairs of one person within one group, left out.
        people, codes: how many; ``gallery_codes`` is 0 without a gallery.
        auc_uncertainty: how far ``auc`` can be off because of the histogram; 0 where all distances were sorted.
        roc: points to plot.
        excluded: people without a genuine pair; they count in impostor pairs only.
    """

    domain: str
    measure: str
    unit: str
    sir: Estimate
    mean_genuine: Estimate
    mean_impostor: Estimate
    d_prime: Estimate
    auc: Estimate
    eer: Estimate
    rank1: Estimate
    true_accept: dict[float, Estimate]
    genuine_pairs: int
    impostor_pairs: int
    same_group_pairs: int
    people: int
    codes: int
    gallery_codes: int
    auc_uncertainty: float
    roc: Roc
    excluded: tuple[Excluded, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, ready for JSON."""
        estimates = ("sir", "mean_genuine", "mean_impostor", "d_prime", "auc", "eer", "rank1")
        counts = (
            "genuine_pairs", "impostor_pairs", "same_group_pairs", "people", "codes", "gallery_codes",
            "auc_uncertainty",
        )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in ("domain", "measure", "unit")},
            **{name: getattr(self, name).to_dict() for name in estimates},
            "true_accept": {f"{rate:g}": estimate.to_dict() for rate, estimate in self.true_accept.items()},
            **{name: getattr(self, name) for name in counts},
            "roc": self.roc.to_dict(),
            "excluded": [record.to_dict() for record in self.excluded],
        }


@dataclass(frozen=True, eq=False)
class Domains:
    """The same people by code and by geometry.

    Args:
        by_code: measure -> result: ``cosine`` and ``euclidean`` for Gaussian codes, ``angle`` for codes on a sphere.
        by_geometry: Euclidean distance of the geometry embeddings, mm.
        gap: measure -> AUC by that measure of codes minus AUC by geometry. The interval is of the difference: both
            domains see the same people drawn.
    """

    by_code: dict[str, Recognisability]
    by_geometry: Recognisability
    gap: dict[str, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, ready for JSON."""
        return {
            "by_code": {name: result.to_dict() for name, result in self.by_code.items()},
            "by_geometry": self.by_geometry.to_dict(),
            "gap": {name: estimate.to_dict() for name, estimate in self.gap.items()},
        }


def recognisability_of_codes(
    samples: Samples,
    gallery: Samples | None = None,
    *,
    measure: str = "euclidean",
    bootstrap: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Recognisability:
    """Measure codes of any kind: identity codes, a recogniser's embeddings, flattened shapes.

    Up to ``likeness.metrics.pairs.EXACT_PAIRS`` pairs all distances are sorted, in float64. With more, genuine pairs
    (and their neighbourhood) are still computed in float64 and the other impostor pairs in float32, and all are
    counted in bins of 2⁻¹⁵ of a cosine or a squared Euclidean distance: counts at bin ends are exact but for that
    rounding, AUC is off by at most ``auc_uncertainty``, mean distances by 2⁻¹⁶ of themselves (in fact far less), and
    thresholds of ``true_accept`` are bin ends, so that it is never overstated. The intervals of so many pairs are
    approximate in the ways that :mod:`likeness.metrics.bootstrap` lists.

    Args:
        samples: N codes, all pairs of which are compared; or the probes for a gallery.
        gallery: M codes that every probe is compared with.
        measure: ``cosine``, ``euclidean`` or ``angle`` (for codes on a sphere; ranks as cosine does).
        bootstrap: replicates for the intervals; 0: none.
        seed: of the replicates.
        progress: told the share done, 0 to 1.

    Raises:
        ValueError: one person only; no genuine pair at all; gallery and probes that do not fit; a zero code where
            directions count.
    """
    with one_blas_thread():
        return _measured(samples, gallery, Measure(measure), "code", bootstrap, seed, progress)[0]


def compare_domains(
    samples: Samples,
    model: FaceModel,
    gallery: Samples | None = None,
    *,
    bootstrap: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Domains:
    """Measure codes of a face model in the parameter and the geometry domain, and the transfer gap between them.

    Args:
        samples: N codes of the model (K numbers each), or the probes for a gallery.
        model: says in which space the codes live and how far apart their shapes are (``FaceModel.geometry``).
        gallery, bootstrap, seed, progress: see :func:`recognisability_of_codes`.

    Raises:
        ValueError: codes of another size than the model's, and what :func:`recognisability_of_codes` raises.
    """
    sides = [samples] if gallery is None else [samples, gallery]
    projected = [side.with_codes(model.space.project(side.codes)) for side in sides]
    embedded = [side.with_codes(model.geometry(side.codes)) for side in projected]
    names = ("angle",) if model.space.name == "sphere" else ("cosine", "euclidean")
    jobs = [("code", name, projected) for name in names] + [("geometry", "euclidean", embedded)]
    results = []
    for number, (domain, name, codes) in enumerate(jobs):
        step = None if progress is None else _part_of(progress, number, len(jobs))
        other = codes[1] if gallery is not None else None
        with one_blas_thread():
            results.append(_measured(codes[0], other, Measure(name), domain, bootstrap, seed, step))
    *by_code, (geometry, moved) = results
    gap = {}
    for name, (result, deviation) in zip(names, by_code, strict=True):
        value = _known(result.auc) - _known(geometry.auc)
        gap[name] = _estimate(value, deviation["auc"] - moved["auc"] if bootstrap else None, (-1.0, 1.0))
    return Domains({name: result for name, (result, _) in zip(names, by_code, strict=True)}, geometry, gap)


def recognisability_of_meshes(
    meshes: Sequence[Mesh] | Sequence[np.ndarray] | np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    weights: np.ndarray | None = None,
    scale: bool = False,
    reference: np.ndarray | None = None,
    bootstrap: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Recognisability:
    """Measure meshes of any one topology by the RMS distance of their vertices, in the meshes' unit (mm).

    All are first turned onto their mean (or a reference) on the region that ``weights`` gives: see
    :func:`likeness.metrics.procrustes.align`. Neutral meshes are meant: an expression is a difference in shape.

    Args:
        meshes: N meshes or arrays (V, 3), or (N, V, 3), mm, any pose.
        labels: (N,) identities.
        groups: (N,) see :class:`likeness.metrics.Samples`.
        weights: (V,) not negative, of alignment and distance: a region's mask or vertex areas; None: all alike.
        scale: whether size is removed before comparing.
        reference: (V, 3) mm to align to; None: the mean.
        bootstrap, seed, progress: see :func:`recognisability_of_codes`.

    Raises:
        ValueError: meshes of another topology or not finite, and what :func:`recognisability_of_codes` raises.
    """
    aligned = align(meshes, weights, scale=scale, reference=reference)
    samples = Samples(aligned.embedded(), labels, groups)
    with one_blas_thread():
        return _measured(samples, None, Measure("euclidean"), "geometry", bootstrap, seed, progress)[0]


def _measured(
    samples: Samples,
    gallery: Samples | None,
    measure: Measure,
    domain: str,
    bootstrap: int,
    seed: int,
    progress: Progress | None,
) -> tuple[Recognisability, dict[str, np.ndarray]]:
    """A result, and the deviations of its bootstrap replicates by statistic (empty without replicates)."""
    pairs = PairSet.of(samples, gallery, measure)
    if len(pairs.people) < 2:
        raise ValueError(f"expected at least two people, got codes of {pairs.people[0]} only")
    counted = tally(pairs, progress=progress)
    genuine, impostor = int(counted.genuine.sum()), int(counted.impostor.sum())
    if not genuine:
        raise ValueError(
            f"expected a person with two codes of different groups, got none among {len(pairs.people)} people and "
            f"{len(samples)} codes: no genuine pair to measure"
        )
    if not impostor:
        raise ValueError("expected a pair of two people, got none")
    deviations = replicates(pairs, counted, bootstrap, seed) if bootstrap else {}
    values = {name: float(v) for name, v in statistics(counted.typical, counted.genuine, counted.impostor).items()}
    values["rank1"] = _rank1(counted)
    found = {
        name: _estimate(value, deviations.get(name), _BOUNDS[name.partition("@")[0]])
        for name, value in values.items()
    }
    result = Recognisability(
        domain=domain,
        measure=measure.name,
        unit="mm" if domain == "geometry" else "rad" if measure.name == "angle" else "",
        **{name: estimate for name, estimate in found.items() if not name.startswith("tar@")},
        true_accept=_true_accept(found, impostor),
        genuine_pairs=genuine,
        impostor_pairs=impostor,
        same_group_pairs=pairs.same_person_pairs() - genuine,
        people=len(pairs.people),
        codes=len(samples),
        gallery_codes=0 if gallery is None else len(gallery),
        auc_uncertainty=0.0 if counted.exact else auc_uncertainty(counted.genuine, counted.impostor),
        roc=roc_curve(counted.distance, counted.genuine, counted.impostor).thinned(),
        excluded=_without_pairs(pairs, counted),
    )
    return result, deviations


def _true_accept(found: dict[str, Estimate], impostor_pairs: int) -> dict[float, Estimate]:
    """False accept rate -> true accept rate, or the reason why it cannot be told."""
    result = {}
    for rate in FALSE_ACCEPT_RATES:
        reason = too_few_impostors(rate, impostor_pairs)
        result[rate] = Estimate(None, reason=reason) if reason else found[f"tar@{rate:g}"]
    return result


def _rank1(counted: Tally) -> float:
    possible = np.isfinite(counted.nearest_genuine)
    return float((counted.nearest_genuine < counted.nearest_impostor)[possible].mean())


def _without_pairs(pairs: PairSet, counted: Tally) -> tuple[Excluded, ...]:
    """The people without a genuine pair: one photo, or all photos in one group, or on one side only."""
    paired = np.unique(pairs.row_people[np.isfinite(counted.nearest_genuine)])
    alone = np.setdiff1d(np.arange(len(pairs.people)), paired)
    reason = "no second photo of another group: in impostor pairs only"
    if not pairs.within:
        reason = "not among both probes and gallery (in different groups): in impostor pairs only"
    return tuple(Excluded(str(pairs.people[number]), reason) for number in alone)


def _estimate(value: float, deviations: np.ndarray | None, bounds: tuple[float, float]) -> Estimate:
    """A value with the percentile interval of its replicates' deviations, inside the possible range."""
    if not np.isfinite(value):
        return Estimate(None, reason="infinite: the genuine distances, or the spread of all distances, are 0")
    if deviations is None:
        return Estimate(value, reason="no bootstrap")
    usable = deviations[np.isfinite(deviations)]
    if len(usable) < len(deviations) / 2:
        return Estimate(value, reason=f"too few people: {len(usable)} of {len(deviations)} replicates had all pairs")
    low, high = np.clip(value + np.percentile(usable, [2.5, 97.5]), *bounds)
    return Estimate(value, float(low), float(high))


def _known(estimate: Estimate) -> float:
    return float("nan") if estimate.value is None else estimate.value


def _part_of(progress: Progress, number: int, count: int) -> Progress:
    return lambda share: progress((number + share) / count)

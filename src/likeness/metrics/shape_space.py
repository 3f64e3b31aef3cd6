"""How good a space of shapes is: compactness, generalisation, specificity; how codes fill it, and cluster by person.

The first three are Davies' and Styner's measures (Styner et al., Evaluation of 3D correspondence methods for model
building, IPMI 2003). All distances are root-mean-square vertex distances over a region, in millimetres, and all come
from the geometry metric (design, section 3.3), so that none of them depends on how a basis is turned or scaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from likeness.extras import import_extra, one_blas_thread
from likeness.mesh import Mesh
from likeness.metrics.distances import Measure
from likeness.metrics.pairs import ROWS, PairSet, tally
from likeness.metrics.procrustes import stack
from likeness.metrics.records import Samples, check_codes
from likeness.model.codes import nearest_on_sphere
from likeness.model.face_model import FaceModel
from likeness.model.identity import SphereSpace

SILHOUETTE_SAMPLES = 5000


@dataclass(frozen=True, eq=False)
class Compactness:
    """How few modes carry how much of the shape variance.

    Args:
        variance: (K,) mm², falling: variance of the shapes along the principal axes of the geometry metric, for codes
            of unit variance; mean squared vertex distance from the mean face.
    """

    variance: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """(K,) share of the variance in the first 1 … K axes, rising to 1."""
        return np.cumsum(self.variance) / self.variance.sum()

    def modes_for(self, share: float) -> int:
        """How many axes carry at least this share, 0 to 1."""
        return min(int(np.searchsorted(self.share, share - 1e-12)) + 1, len(self.variance))

    def to_dict(self) -> dict[str, Any]:
        """``{"variance", "share"}`` ready for JSON."""
        return {"variance": self.variance.tolist(), "share": self.share.tolist()}


@dataclass(frozen=True, eq=False)
class Generalisation:
    """Representation error of meshes that a model was not made from.

    Args:
        modes: (M,) how many principal axes were used.
        errors: (M, N) mm: RMS distance of every mesh to the nearest shape in their span.
        valid_errors: (N,) mm: to the shape of the nearest *code* of all modes; on a sphere not every shape of the
            span has a code, for a Gaussian model these are the errors with all modes.
    """

    modes: np.ndarray
    errors: np.ndarray
    valid_errors: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Modes, and mean and standard deviation over meshes, mm, ready for JSON."""
        return {
            "modes": self.modes.tolist(),
            "mean": self.errors.mean(1).tolist(),
            "std": self.errors.std(1).tolist(),
            "valid_mean": float(self.valid_errors.mean()),
            "meshes": self.errors.shape[1],
        }


@dataclass(frozen=True)
class Specificity:
    """How far random shapes of a model are from real ones, mm: mean and standard deviation over ``samples`` shapes of
    the RMS distance to the nearest of ``meshes`` real meshes. Small is good, if generalisation is too."""

    mean: float
    std: float
    samples: int
    meshes: int

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class CodeStatistics:
    """How codes fill their space.

    Args:
        count, size: N and K.
        norm_mean, norm_std: of the codes' lengths.
        norm_variation: their coefficient of variation, std / mean: 0 on a sphere, 1/√(2K) for Gaussian codes.
        uniformity: ``log mean exp(−t |u_p − u_q|²)`` over pairs of unit codes, t = 2 (Wang and Isola, Understanding
            contrastive representation learning through alignment and uniformity on the hypersphere, ICML 2020);
            smaller is more even.
        uniform: what codes spread evenly over the sphere would have: the smallest that many codes can.
    """

    count: int
    size: int
    norm_mean: float
    norm_std: float
    norm_variation: float
    uniformity: float
    uniform: float

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Clustering:
    """How codes cluster by person.

    Args:
        measure: ``cosine`` or ``euclidean``.
        silhouette: mean silhouette of the true grouping, -1 to 1 (on ``silhouette_codes`` codes).
        nmi: normalised mutual information of k-means with as many clusters as people, 0 to 1.
        rank1: share of codes whose nearest other code is of the same person (of those with a partner).
        people, codes, silhouette_codes: how many.
    """

    measure: str
    silhouette: float
    nmi: float
    rank1: float
    people: int
    codes: int
    silhouette_codes: int

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


def compactness(model: FaceModel, region: str | None = "face") -> Compactness:
    """Variance along the principal axes of a model's shapes, for codes of unit variance in every direction.

    Args:
        model: of any identity space; both priors have unit variance.
        region: of the topology; None: the whole surface.

    Raises:
        ValueError: there is no such region.
    """
    return Compactness(np.sort(np.linalg.svd(model.metric_of(region).factor, compute_uv=False) ** 2)[::-1])


def generalisation(
    model: FaceModel,
    meshes: Sequence[Mesh] | Sequence[np.ndarray] | np.ndarray,
    modes: Sequence[int] | None = None,
    region: str | None = "face",
) -> Generalisation:
    """Representation error of held-out meshes against the number of modes.

    Modes are the principal axes of the geometry metric in order of variance: for a PCA basis its own modes, and for a
    basis turned by training the fair equivalent. Least squares over the region, weighted by the mean's vertex areas.

    Args:
        model: the face model.
        meshes: N neutral meshes in the model's topology and pose, mm.
        modes: numbers of axes, each 0 to K; None: eight or fewer, up to K.
        region: of the topology; None: the whole surface.

    Raises:
        ValueError: meshes of another topology, or a number of modes out of range.
    """
    size = len(model.identity_basis)
    counts = np.unique(np.linspace(1, size, 8).round().astype(int)) if modes is None else np.asarray(modes)
    if counts.ndim != 1 or not len(counts) or counts.min() < 0 or counts.max() > size:
        raise ValueError(f"expected numbers of modes from 0 to {size}, got {modes}")
    weights = _region_weights(model, region)
    offsets = _embedded(stack(meshes) - model.mean, weights, len(model.mean))
    basis = _embedded(model.identity_basis.astype(np.float64), weights, len(model.mean))
    directions = np.linalg.svd(basis, full_matrices=False)[2]  # unit directions of shape, by falling variance
    along = offsets @ directions.T
    squared = (offsets**2).sum(1)
    explained = np.concatenate([np.zeros((1, len(along))), np.cumsum(along.T**2, axis=0)])
    padded = np.concatenate([explained, np.repeat(explained[-1:], max(size + 1 - len(explained), 0), axis=0)])
    outside = np.maximum(squared - padded, 0)
    valid = outside[size]
    if isinstance(model.space, SphereSpace):
        codes = nearest_on_sphere(basis @ basis.T, offsets @ basis.T, model.space.radius)
        valid = ((offsets - codes @ basis) ** 2).sum(1)
    return Generalisation(counts, np.sqrt(outside[counts]), np.sqrt(valid))


def specificity(
    model: FaceModel,
    meshes: Sequence[Mesh] | Sequence[np.ndarray] | np.ndarray,
    samples: int = 1000,
    seed: int = 0,
    region: str | None = "face",
) -> Specificity:
    """Distance of random shapes of a model to the nearest of real ones.

    Args:
        model: codes are drawn from its space's prior.
        meshes: N neutral meshes in the model's topology and pose, mm.
        samples: how many codes.
        seed: of the codes.
        region: of the topology; None: the whole surface.

    Raises:
        ValueError: meshes of another topology, or no samples.
    """
    if samples < 1:
        raise ValueError(f"expected at least one sample, got {samples}")
    weights = _region_weights(model, region)
    real = _embedded(stack(meshes) - model.mean, weights, len(model.mean))
    basis = _embedded(model.identity_basis.astype(np.float64), weights, len(model.mean))
    codes = model.space.sample(samples, np.random.default_rng(seed)).astype(np.float64)
    nearest = []
    for start in range(0, samples, ROWS):
        shapes = codes[start : start + ROWS] @ basis
        squared = (shapes**2).sum(1)[:, None] + (real**2).sum(1) - 2 * shapes @ real.T
        nearest.append(np.sqrt(np.maximum(squared, 0)).min(1))
    distance = np.concatenate(nearest)
    return Specificity(float(distance.mean()), float(distance.std()), samples, len(real))


def code_statistics(codes: np.ndarray, t: float = 2.0) -> CodeStatistics:
    """Length and evenness of codes.

    Args:
        codes: (N, K), N at least 2, of any length; give one per person (:func:`identity_centres`) to ask how *people*
            fill the space.
        t: sharpness of the uniformity.

    Raises:
        ValueError: fewer than two codes, not finite, or a zero code.
    """
    codes = check_codes(codes)
    if len(codes) < 2:
        raise ValueError(f"expected at least two codes, got {len(codes)}")
    length = np.linalg.norm(codes, axis=1)
    units = Measure("cosine").prepare(codes, codes[0])
    total = 0.0
    with one_blas_thread():
        for start in range(0, len(units), ROWS):
            # |u − v|² = 2 − 2 u·v; every pair twice and each code with itself once, taken off below.
            total += float(np.exp(-2 * t * (1 - units[start : start + ROWS] @ units.T)).sum())
    count, size = codes.shape
    mean = (total - count) / (count * (count - 1))
    return CodeStatistics(
        count=count,
        size=size,
        norm_mean=float(length.mean()),
        norm_std=float(length.std()),
        norm_variation=float(length.std() / length.mean()),
        uniformity=math.log(max(mean, 1e-300)),
        uniform=uniformity_of_uniform(size, t),
    )


def uniformity_of_uniform(size: int, t: float = 2.0) -> float:
    """``log E exp(−t |u − v|²)`` of independent uniform unit vectors in ``size`` dimensions.

    ``E exp(2 t u·v) = ₀F₁(; K/2; t²)`` (the normaliser of the von Mises-Fisher distribution), summed as its series.
    """
    total, term, index = 0.0, 1.0, 0
    while term > 1e-17 * total:
        total += term
        term *= t * t / ((index + 1) * (size / 2 + index))
        index += 1
    return math.log(total) - 2 * t


def identity_centres(model: FaceModel, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """One code per person, fused as the model's space does: codes (P, K) and their labels (P,), sorted."""
    people, person = np.unique(samples.labels, return_inverse=True)
    codes = model.space.project(samples.codes)
    return np.stack([model.space.fuse(codes[person == number]) for number in range(len(people))]), people


def clustering(samples: Samples, measure: str = "cosine", seed: int = 0) -> Clustering:
    """Scores of how codes cluster by person, by scikit-learn.

    k-means runs on unit codes for ``cosine`` (there, Euclidean distances rank like cosines). The silhouette costs N²
    and is taken of at most ``SILHOUETTE_SAMPLES`` codes, drawn by seed.

    Args:
        samples: codes of at least two people, one of them with two codes; groups are not looked at but in rank-1.
        measure: ``cosine`` or ``euclidean``.
        seed: of k-means and of the silhouette's sample.

    Raises:
        ValueError: another measure, one person only, nobody with two codes, or a zero code with ``cosine``.
        MissingExtraError: scikit-learn is not installed.
    """
    if measure not in ("cosine", "euclidean"):
        raise ValueError(f"expected a measure of ('cosine', 'euclidean'), got {measure!r}")
    people, person = np.unique(samples.labels, return_inverse=True)
    if not 2 <= len(people) < len(samples):
        raise ValueError(
            f"expected at least two people and more codes than people, got {len(people)}, {len(samples)}"
        )
    cluster, scores = (import_extra(f"sklearn.{name}", "clustering") for name in ("cluster", "metrics"))
    how = Measure(measure)
    codes = how.prepare(samples.codes, samples.codes.mean(0))
    with one_blas_thread():
        counted = tally(PairSet.of(samples, None, how))
        found = cluster.KMeans(len(people), n_init=10, random_state=seed).fit_predict(codes)
        rows = np.arange(len(codes))
        if len(codes) > SILHOUETTE_SAMPLES:
            rows = np.random.default_rng(seed).choice(len(codes), SILHOUETTE_SAMPLES, replace=False)
        silhouette = scores.silhouette_score(codes[rows], person[rows], metric=measure)
    possible = np.isfinite(counted.nearest_genuine)
    if not possible.any():
        raise ValueError("expected a person with two codes of different groups, got none")
    return Clustering(
        measure=measure,
        silhouette=float(silhouette),
        nmi=float(scores.normalized_mutual_info_score(person, found)),
        rank1=float((counted.nearest_genuine < counted.nearest_impostor)[possible].mean()),
        people=len(people),
        codes=len(codes),
        silhouette_codes=len(rows),
    )


def _region_weights(model: FaceModel, region: str | None) -> np.ndarray:
    """(V,) vertex areas of the mean inside a region, summing to 1."""
    weights = Mesh(model.mean, model.topology.triangles).vertex_areas()
    if region is not None:
        if region not in model.topology.regions:
            raise ValueError(f"expected a region of {sorted(model.topology.regions)}, got {region!r}")
        weights = weights * model.topology.regions[region]
    return weights / weights.sum()


def _embedded(offsets: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """(N, V, 3) -> (N, 3V'), whose Euclidean distances are RMS vertex distances."""
    if offsets.shape[1] != count:
        raise ValueError(f"expected meshes of the model's {count} vertices, got {offsets.shape[1]}")
    used = weights > 0
    return (offsets[:, used] * np.sqrt(weights[used])[:, None]).reshape(len(offsets), -1)

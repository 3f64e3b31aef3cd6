"""Formulas as docs/formulas/ writes them, computed the plain way, against the code that the pages link to.

What other tests compare already (margin softmax, uniformity, KL, d', AUC, the SIR metric against plain loops, the
lift, the geometry metric) is not repeated here.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from likeness.metrics.fidelity_points import explained_share
from likeness.metrics.fidelity_shapes import shape_fidelity
from likeness.metrics.landmark_error import LandmarkErrors
from likeness.metrics.shape_space import uniformity_of_uniform
from likeness.model.codes import nearest_on_sphere
from likeness.model.face_model import FaceModel
from likeness.model.identity import SphereSpace
from likeness.render.lighting import ambient_light, shade

torch = pytest.importorskip("torch")

from likeness.train.losses.basis import LearnedBasis  # noqa: E402
from likeness.train.losses.dense import dense_loss  # noqa: E402
from likeness.train.losses.photometric import Comparison, PhotometricLoss, agree  # noqa: E402
from likeness.train.losses.sir import SirLoss, between_scatter, relation_distance, within_scatter  # noqa: E402
from likeness.train.photos.fusion import ridge  # noqa: E402
from likeness.train.photos.landmark_weights import SUM, landmark_weights  # noqa: E402
from likeness.train.photos.point_decoder import DensePoints  # noqa: E402
from likeness.train.photos.posterior_codes import filter_of_codes, reliable, spread_of  # noqa: E402
from likeness.train.recipe_settings import BasisSettings, DenseWeights, SirWeights  # noqa: E402
from likeness.train.scans.trainer import unspanned  # noqa: E402
from likeness.train.schedule import Schedule  # noqa: E402


def rho(x: np.ndarray, width: float) -> np.ndarray:
    """The pages' pseudo-Huber length."""
    return np.sqrt((x * x).sum(-1) + width**2) - width


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Model and spaces


def test_fusing_maximises_the_likelihood_of_von_mises_and_fisher() -> None:
    space, codes, weights = SphereSpace(6), random(4, 6), np.array([1.0, 3.0, 0.5, 2.0])
    units = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    found = space.fuse(codes, weights) / space.radius
    others = random(2000, 6, seed=1)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert (weights @ units @ found) >= (others @ units.T @ weights).max()
    np.testing.assert_allclose(found, weights @ units / np.linalg.norm(weights @ units), rtol=1e-9)


def test_the_nearest_code_beats_all_others_and_solves_the_lagrangian() -> None:
    basis, shape = random(5, 12), random(1, 12, seed=1)
    normal, right = basis @ basis.T, shape @ basis.T
    radius = math.sqrt(5)
    (code,) = nearest_on_sphere(normal, right, radius)
    assert np.linalg.norm(code) == pytest.approx(radius)
    multipliers = (right[0] - normal @ code) / code
    np.testing.assert_allclose(multipliers, multipliers[0], rtol=1e-6)
    assert multipliers[0] > -np.linalg.eigvalsh(normal)[0]


def test_the_least_uniformity_is_the_hypergeometric_series() -> None:
    size, t = 9, 2.0
    terms = [
        t ** (2 * n) / (math.factorial(n) * math.prod(size / 2 + k for k in range(n))) for n in range(40)
    ]  # fmt: skip
    assert uniformity_of_uniform(size, t) == pytest.approx(math.log(sum(terms)) - 2 * t, abs=1e-12)


def test_light_from_everywhere_shows_the_reflectance() -> None:
    normals = random(20, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    albedo = np.random.default_rng(1).uniform(0, 1, (20, 3))
    np.testing.assert_allclose(shade(normals, albedo, ambient_light()), albedo, rtol=1e-6)


# Losses


def test_rotation_is_four_times_one_minus_the_cosine() -> None:
    from likeness.geometry.rotation import rotation_from_vector

    for angle in (0.1, 1.0, 3.0):
        turned = rotation_from_vector(angle * np.array([0.6, 0.0, 0.8]))
        assert np.square(turned - np.eye(3)).sum() == pytest.approx(4 * (1 - math.cos(angle)))


@pytest.mark.parametrize("person", [[0, 0, 1, 1, 2, -1]])
def test_scatter_relation_and_their_units(person: list[int]) -> None:
    g, z, unit = random(6, 4), random(6, 7, seed=1), 3.7
    centers = np.stack([g[:2].mean(0), g[2:4].mean(0), g[4]])
    member = [0, 0, 1, 1, 2]
    within = np.mean([np.square(g[i] - centers[m]).sum() / unit for i, m in enumerate(member)])
    assert within_scatter(tensor(g[:5]), tensor(centers), torch.tensor(member), unit).item() == pytest.approx(within)
    pairs = list(itertools.combinations(range(3), 2))
    between = np.mean([max(0.0, 1 - np.square(centers[p] - centers[q]).sum() / unit) ** 2 for p, q in pairs])
    assert between_scatter(tensor(centers), unit).item() == pytest.approx(between)

    def cos(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    wanted = []
    for i, j in itertools.combinations(range(6), 2):
        same = person[i] == person[j] >= 0
        wanted.append((cos(g[i], g[j]) - (1.0 if same else cos(z[i], z[j]))) ** 2)
    found = relation_distance(tensor(g), tensor(z), torch.tensor(person))
    assert found.item() == pytest.approx(np.mean(wanted))


def test_running_centres_and_new_people(small_model: FaceModel) -> None:
    weights = SirWeights(code=0, direction=0, between=0, prior=0)
    loss = SirLoss(small_model, 2, weights).double().train()
    factor, unit = small_model.metric.factor, 2 * small_model.metric.spread
    first, second = random(2, 12), random(2, 12, seed=1)
    both = torch.tensor([0, 0])
    loss(tensor(first), both)
    center = weights.momentum * second.mean(0) + (1 - weights.momentum) * first.mean(0)
    within = np.square((second - center) @ factor).sum(1).mean() / unit
    assert loss(tensor(second), both)["within"].item() == pytest.approx(within, rel=1e-5)
    new = random(3, 12, seed=2)
    mixed = np.mean(3 / 2 * np.square((new - new.mean(0)) @ factor).sum(1)) / unit
    assert loss(tensor(new), torch.tensor([5, 5, 5]))["mixed"].item() == pytest.approx(mixed, rel=1e-5)


def test_colours_cost_what_the_page_says(small_model: FaceModel) -> None:
    loss = PhotometricLoss(small_model).double()
    count = len(loss.area)
    rng = np.random.default_rng(0)
    difference, seen = 0.05 * rng.standard_normal((1, count, 3)), rng.uniform(0, 1, (1, count))
    r = np.sqrt(np.square(difference).mean(-1))
    width, agreement = agree(tensor(r), tensor(seen))
    # nanmedian takes the lower of two middle values.
    middle = np.sort(r[0])[(count - 1) // 2]
    sigma = float(np.clip(1.5 * middle, 0.03, 0.12))
    assert width.item() == pytest.approx(sigma)
    area = loss.area.numpy()
    cost = (seen * area * sigma * (1 - np.exp(-(r**2) / (2 * sigma**2)))).sum() / max(0.1, (seen * area).sum())
    compared = Comparison(torch.zeros(1, count, 2), tensor(difference), tensor(seen), width, agreement)
    assert loss.cost(compared).item() == pytest.approx(cost, rel=1e-6)


def test_points_cost_what_the_page_says() -> None:
    rng = np.random.default_rng(0)
    places = rng.normal(50, 1, (4, 2, 5, 2))
    deviation, weight = rng.uniform(0.3, 2, (2, 5)), rng.uniform(0, 1, (2, 5))
    truth = places[3]
    found = DensePoints(tensor(places[2]), tensor(deviation), (tensor(places[0]), tensor(places[1])))
    terms = dense_loss(found, tensor(truth), tensor(weight))

    def mean(values: np.ndarray) -> float:
        return float((weight * values).sum() / max(1.0, weight.sum()))

    for name, one in zip(("coarse", "middle", "fine"), places[:3], strict=True):
        assert terms[name].item() == pytest.approx(mean(rho(one - truth, 0.5)))
    d, b = np.linalg.norm(places[2] - truth, axis=-1) / math.sqrt(2), math.sqrt(math.pi) / 2 * deviation
    assert terms["sureness"].item() == pytest.approx(mean(d / b + np.log(b)))
    assert set(terms) < {name for name in DenseWeights.__dataclass_fields__}


def test_a_learned_basis_costs_what_the_page_says(small_model: FaceModel) -> None:
    pytest.importorskip("scipy")
    settings = BasisSettings(fields=10, size=0.7, smooth=1.3, mirror=0.4)
    basis = LearnedBasis(small_model, settings).double()
    alpha = 0.1 * random(*basis.coefficients.shape)
    with torch.no_grad():
        basis.coefficients.copy_(tensor(alpha))
    start = small_model.identity_basis.astype(np.float64)
    size, unit = start[0].size * len(start), np.square(start).mean()
    frequency = basis.frequency.numpy()
    squared = np.square(alpha).sum((0, 2))
    delta = np.einsum("kmc,mv->kvc", alpha, basis.fields.numpy())
    assert squared.sum() == pytest.approx(np.square(delta).sum(), rel=1e-4)  # the fields are orthonormal
    partner = small_model.topology.mirror
    assert partner is not None
    mirrored = delta[:, partner] * [-1, 1, 1]
    shared = (basis.mirror.numpy() @ delta.reshape(len(delta), -1)).reshape(delta.shape)
    wanted = (settings.size * squared.sum() + settings.smooth * (squared * frequency).sum()) / (size * unit)
    wanted += settings.mirror * np.square(mirrored - shared).mean() / unit
    assert basis.penalty().item() == pytest.approx(wanted, rel=1e-4)


# Scans, fusion, filters


def test_what_a_basis_does_not_span_of_its_mirror_image() -> None:
    basis, moved = random(3, 8), random(3, 8, seed=1)
    image = moved / np.linalg.norm(basis, axis=1, keepdims=True)
    inside = image @ np.linalg.pinv(basis) @ basis
    wanted = np.square(image - inside).sum() / np.square(image).sum()
    assert unspanned(tensor(moved), tensor(basis)).item() == pytest.approx(wanted, rel=1e-3)
    assert unspanned(tensor(random(3, 3, seed=2) @ basis), tensor(basis)).item() == pytest.approx(0, abs=1e-4)


def test_wiener_is_the_posterior_mean_of_gaussians() -> None:
    """(B + W)⁻¹ B for rows is the regression of people on their pictures."""
    rng = np.random.default_rng(0)
    between, within = (m @ m.T for m in (random(3, 3, seed=1), random(3, 3, seed=2)))
    people = rng.multivariate_normal(np.zeros(3), between, 200_000)
    pictures = people + rng.multivariate_normal(np.zeros(3), within, len(people))
    regression = np.linalg.lstsq(pictures, people, rcond=None)[0]
    np.testing.assert_allclose(regression, np.linalg.solve(between + within, between), atol=0.03)


def test_the_filter_of_heads_is_what_the_page_says() -> None:
    embedded, person = random(60, 4), np.repeat(np.arange(15), 4)
    embedded = embedded + 2 * random(15, 4, seed=1)[person]
    spread = spread_of(embedded, person)
    total, size = spread.both, 4
    ridge_of = 0.004 * np.trace(total) / size * np.eye(size)
    believed = np.linalg.inv(spread.between + 2.0 * (spread.within + ridge_of)) @ spread.between

    def gain(matrix: np.ndarray) -> float:
        return math.sqrt(np.trace(total) / np.trace(matrix.T @ total @ matrix))

    mixed = 0.3 * np.eye(size) + 0.7 * gain(believed) * believed
    np.testing.assert_allclose(reliable(spread, 2.0), mixed * gain(mixed), rtol=1e-9)
    factor = np.diag([2.0, 1.0, 0.5, 0.0])
    codes = filter_of_codes(believed, factor)
    np.testing.assert_allclose(codes @ factor, factor @ believed @ np.diag([1, 1, 1, 0]), atol=1e-12)
    np.testing.assert_allclose(codes[3], [0, 0, 0, 1])


def test_landmark_weights_are_the_ridges_minimum() -> None:
    rng = np.random.default_rng(0)
    mirror = np.array([1, 0, 2, 3, 5, 4])
    points = rng.normal(50, 10, (30, 6, 2))
    landmarks = np.einsum("lp,npc->nlc", rng.dirichlet(np.ones(6), 68), points)
    start = rng.integers(0, 6, 68)
    weights = landmark_weights(points, landmarks, mirror, start)
    np.testing.assert_allclose(weights.sum(1), 1)
    scale = np.sqrt(np.prod(np.ptp(landmarks, axis=1), axis=-1))[:, None, None]
    center = points.mean(1, keepdims=True)
    from likeness.geometry.landmarks import MIRRORED

    seen, wanted = (points - center) / scale, (landmarks - center) / scale
    seen = np.concatenate([seen, seen[:, mirror] * [-1, 1]])
    wanted = np.concatenate([wanted, wanted[:, MIRRORED] * [-1, 1]])

    def cost(row: np.ndarray, landmark: int) -> float:
        begin = np.eye(6)[start[landmark]]
        fit = np.square(np.einsum("p,npc->nc", row, seen) - wanted[:, landmark]).sum()
        return float(fit + 10.0 * np.square(row - begin).sum() + SUM**2 * (row.sum() - 1) ** 2)

    for landmark in (0, 30, 67):
        best = cost(weights[landmark], landmark)
        for change in 1e-3 * random(20, 6, seed=landmark):
            assert cost(weights[landmark] + change, landmark) > best


def test_ridge_is_its_formulas_minimum() -> None:
    features, answers = random(40, 3) * [1, 5, 0.2] + 2, random(40, 2, seed=1)
    weight, bias = ridge(features, answers, 0.1)
    scale = features.std(0) + 1e-3

    def cost(a: np.ndarray, b: np.ndarray) -> float:
        missed = np.square(features @ a + b - answers).sum()
        return float(missed + 0.1 * len(features) * np.square(a * scale[:, None]).sum())

    best = cost(weight, bias)
    for seed in range(10):
        assert cost(weight + 1e-3 * random(3, 2, seed=seed), bias + 1e-3 * random(2, seed=seed)) > best


def test_the_rate_rises_and_falls_as_the_page_says() -> None:
    schedule = Schedule(learning_rate=1.0, warmup=0.1)
    assert [schedule.rate(step, 100) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert schedule.rate(55, 100) == pytest.approx(0.01 + 0.99 * 0.5)
    assert schedule.rate(100, 100) == pytest.approx(0.01)


# Metrics


def test_explained_slope_and_spread_belong_together() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 30, (1, 40, 3)) + rng.normal(0, 1, (12, 40, 3))
    found = truth.mean(0) + 0.6 * (truth - truth.mean(0)) + 0.3 * rng.standard_normal(truth.shape)
    result = shape_fidelity(found, truth)
    assert result.slope is not None
    assert result.explained == pytest.approx(2 * result.slope * result.spread**2 - result.spread**2, abs=1e-9)


def test_leaving_a_person_out_of_offsets_and_means_changes_no_share() -> None:
    found, true = random(9, 4, 2), random(9, 4, 2, seed=1)

    def without(values: np.ndarray) -> np.ndarray:
        return np.stack([v - np.delete(values, i, 0).mean(0) for i, v in enumerate(values)])

    residual, truth = without(found - true), without(true)
    wanted = 1 - np.square(residual).sum() / np.square(truth).sum()
    assert explained_share(found, true) == pytest.approx(wanted, abs=1e-12)


def test_the_area_under_the_error_curve_is_the_mean_of_what_is_left() -> None:
    errors = np.array([0.01, 0.03, 0.079, 0.2, np.inf])
    at, share = LandmarkErrors("box", errors).curve(200_001)
    area = ((share[1:] + share[:-1]) / 2 * np.diff(at)).sum() / 0.08
    assert LandmarkErrors("box", errors).auc == pytest.approx(area, abs=1e-5)


def test_the_metric_of_many_dimensions_says_little_of_how_well_people_are_told_apart() -> None:
    """SIR comes near sqrt(1 + between / within) in any number of dimensions, while d' grows with their root."""
    from likeness.metrics import Samples, recognisability_of_codes

    found = []
    for size in (16, 256):
        people = 1.5 * np.repeat(random(40, size, seed=size), 4, axis=0)
        codes = people + random(160, size, seed=size + 1)
        result = recognisability_of_codes(Samples(codes, np.repeat(np.arange(40), 4)), bootstrap=0)
        found.append((result.sir.value, result.d_prime.value))
    for sir, _ in found:
        assert sir == pytest.approx(math.sqrt(1 + 1.5**2), rel=0.06)
    assert found[1][1] / found[0][1] == pytest.approx(4, rel=0.25)

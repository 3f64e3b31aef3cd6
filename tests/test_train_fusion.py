"""What to believe of features and points: the best linear estimate of a made world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from test_train_points import sources  # noqa: E402, F401

from likeness.train.photos.fusion import Estimator, Known, _Problem, learn, person_filter, ridge  # noqa: E402
from likeness.train.photos.fusion_inputs import FusionInputs  # noqa: E402
from likeness.train.settings import FusionSettings  # noqa: E402

MODES, WIDTH = 12, 20
PLAIN = FusionSettings(
    within=0.0,
    rendered=1.0,
    evidence=1.0,
    sir=0.0,
    points=0.0,
    steps=250,
    learning_rate=1e-2,
    weight_decay=0.0,
)


class World:
    """Codes c ~ N(0, I), features A c + noise, and a fit that is the less worth the more the head is turned (q_1)."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.mix = rng.standard_normal((MODES, WIDTH)) / 3
        self.rng = rng

    def looks(self, codes: np.ndarray) -> FusionInputs:
        rng, count = self.rng, len(codes)
        turned = rng.choice([-0.5, 1.5], count)
        blur = np.where(turned > 0, 2.0, 0.5)[:, None]
        features = 3.0 + codes @ self.mix + 0.7 * rng.standard_normal((count, WIDTH))
        circumstances = np.stack([np.ones(count), turned], 1)
        fit = codes + blur * rng.standard_normal(codes.shape)
        return FusionInputs(*(np.asarray(v, np.float32) for v in (features, fit, circumstances)))

    def known(self, people: int = 150, photos: int = 6, rendered: int = 4000) -> Known:
        rng = self.rng
        truth = rng.standard_normal((people, MODES))
        codes, person = np.repeat(truth, photos, axis=0), np.repeat(np.arange(people), photos)
        evidence = truth + 0.3 * rng.standard_normal(truth.shape)
        faces = rng.standard_normal((rendered, MODES))
        pictures = np.full(people, photos)
        return Known.of(self.looks(codes), person, evidence, pictures, self.looks(faces), faces)

    def best(self, inputs: FusionInputs, features: bool = True, fit: bool = True) -> np.ndarray:
        """The posterior means, knowing all covariances."""
        codes = np.zeros((len(inputs), MODES))
        for turned, blur in ((-0.5, 0.5), (1.5, 2.0)):
            rows = inputs.circumstances[:, 1] == np.float32(turned)
            precision, pull = np.eye(MODES), np.zeros((rows.sum(), MODES))
            if features:
                precision = precision + self.mix @ self.mix.T / 0.7**2
                pull = pull + (inputs.features[rows] - 3.0) @ self.mix.T / 0.7**2
            if fit:
                precision = precision + np.eye(MODES) / blur**2
                pull = pull + inputs.code[rows] / blur**2
            codes[rows] = np.linalg.solve(precision, pull.T).T
        return codes


def missed(codes: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(((codes - truth) ** 2).sum(1).mean()))


@pytest.fixture(scope="module")
def learned() -> tuple[World, Known, Estimator, Estimator]:
    world = World()
    known = world.known()
    factor = np.eye(MODES)
    return world, known, learn(known, factor, PLAIN), learn(known, factor, PLAIN, fitted=False)


def test_the_best_estimate_of_a_made_world_is_found(learned: tuple[World, Known, Estimator, Estimator]) -> None:
    world, _, fused, plain = learned
    truth = np.random.default_rng(5).standard_normal((3000, MODES))
    inputs = world.looks(truth)
    best = missed(world.best(inputs), truth)
    found, features = missed(fused(inputs), truth), missed(plain(inputs), truth)
    assert best < found < 1.06 * best  # linear in q f, where the best one is not quite linear in q
    assert found < 0.9 * features
    assert found < 0.9 * missed(world.best(inputs, features=False), truth)
    assert features < 1.04 * missed(world.best(inputs, fit=False), truth)


def test_standardised_inputs_and_weights_are_folded_exactly(
    learned: tuple[World, Known, Estimator, Estimator],
) -> None:
    _, known, _, _ = learned
    for fitted in (True, False):
        problem = _Problem(known, np.eye(MODES), PLAIN, fitted, None)
        with torch.no_grad():
            torch.nn.init.normal_(problem.layer.weight)
            torch.nn.init.normal_(problem.layer.bias)
            expected = problem.layer(problem.real).numpy()
        np.testing.assert_allclose(problem.estimator()(known.inputs), expected, atol=1e-4)


def test_a_filtered_estimate_is_the_filter_of_the_estimate(
    learned: tuple[World, Known, Estimator, Estimator],
) -> None:
    _, known, fused, _ = learned
    factor = np.random.default_rng(3).standard_normal((MODES, MODES))
    codes, middle = fused(known.inputs), fused(known.inputs).mean(0)
    matrix = person_filter(codes @ factor, known.person, factor, 0.3)
    found = fused.filtered(known.inputs, known.person, factor, 0.3)(known.inputs)
    np.testing.assert_allclose(found, middle + (codes - middle) @ matrix, atol=1e-8)
    assert fused.filtered(known.inputs, known.person, factor, 0.0) is fused


def test_a_lengthened_estimate_differs_by_as_much_as_the_truth_and_keeps_its_middle(
    learned: tuple[World, Known, Estimator, Estimator],
) -> None:
    world, _, fused, _ = learned
    truth, factor = np.random.default_rng(6).standard_normal((800, MODES)), np.diag(np.arange(1.0, MODES + 1))
    inputs = world.looks(truth)
    half = Estimator(0.5 * fused.weight, 0.5 * fused.bias, 0.5 * fused.matrices)
    for one in (fused, half):
        found = one.lengthened(inputs, truth, factor)(inputs)
        shapes, true = (found - found.mean(0)) @ factor, (truth - truth.mean(0)) @ factor
        assert (shapes * true).sum() / (shapes * shapes).sum() == pytest.approx(1.0, abs=1e-6)
        np.testing.assert_allclose(found.mean(0), one(inputs).mean(0), atol=1e-9)


def test_what_all_evidence_has_in_common_is_not_learned(learned: tuple[World, Known, Estimator, Estimator]) -> None:
    world, known, fused, _ = learned
    truth = np.random.default_rng(7).standard_normal((2000, MODES))
    inputs = world.looks(truth)
    styled = learn(replace(known, code=known.code + 2.0), np.eye(MODES), PLAIN)
    assert missed(styled(inputs), truth) < 1.03 * missed(fused(inputs), truth)
    assert np.abs(styled(inputs).mean(0)).max() < 0.2  # of the 2


def test_an_estimate_drawn_towards_the_points_is_a_mean_of_both(
    learned: tuple[World, Known, Estimator, Estimator],
) -> None:
    _, known, fused, _ = learned
    drawn = fused.towards_points(0.25)(known.inputs)
    np.testing.assert_allclose(drawn, 0.75 * fused(known.inputs) + 0.25 * known.inputs.code, atol=1e-6)


def test_the_filter_gives_up_what_photos_differ_in() -> None:
    rng = np.random.default_rng(0)
    between, within = np.array([2.0, 1.0, 0.5]), np.array([0.1, 1.0, 2.0])
    person = np.repeat(np.arange(1500), 6)
    codes = (between * rng.standard_normal((1500, 3)))[person] + within * rng.standard_normal((9000, 3))
    expected = between**2 / (between**2 + within**2)
    np.testing.assert_allclose(person_filter(codes, person, np.eye(3), 1.0), np.diag(expected), atol=0.06)
    with pytest.raises(ValueError, match="two people with 4 labelled photos"):
        person_filter(codes[:9], person[:9], np.eye(3), 1.0)


def test_recognition_moves_people_apart() -> None:
    known, factor = World(1).known(people=20, rendered=300), np.eye(MODES)
    settings = replace(PLAIN, steps=150, rendered=0.0)

    def cosine_gap(estimator: Estimator) -> float:
        units = estimator(known.inputs)
        units = units / np.linalg.norm(units, axis=1, keepdims=True)
        same = known.person[:, None] == known.person
        cosines = units @ units.T
        return float(cosines[same & ~np.eye(len(same), dtype=bool)].mean() - cosines[~same].mean())

    plain, with_sir = learn(known, factor, settings), learn(known, factor, replace(settings, sir=5.0))
    with_within = learn(known, factor, replace(settings, within=3.0))
    assert cosine_gap(with_sir) > cosine_gap(plain)
    scatter = [person_scatter(one(known.inputs), known.person) for one in (plain, with_within)]
    assert scatter[1] < 0.8 * scatter[0]


def test_codes_do_not_carry_what_no_photo_shows() -> None:
    """Half of the directions are no shape: places, turns and sizes, which the best similarity takes away."""
    known = World(1).known(people=20, rendered=300)
    factor = np.diag((np.arange(MODES) < MODES // 2).astype(float))
    settings = replace(PLAIN, steps=150, unseen=1.0)
    carried = []
    for whole in (None, np.eye(MODES)):
        codes = learn(known, factor, settings, whole=whole)(known.inputs)
        carried.append(float((codes[:, MODES // 2 :] ** 2).mean()))
    assert carried[1] < 0.1 * carried[0]


def person_scatter(codes: np.ndarray, person: np.ndarray) -> float:
    means = np.stack([codes[person == number].mean(0) for number in range(person.max() + 1)])
    return float(((codes - means[person]) ** 2).sum(1).mean())


def test_relation_follows_embeddings() -> None:
    world = World(2)
    known, factor = world.known(people=40, rendered=300), np.eye(MODES)
    told = np.random.default_rng(0).standard_normal((40, 3))[known.person].astype(np.float32)
    told[:5] = np.nan
    known = replace(known, embedding=told)
    settings = replace(PLAIN, steps=150, rendered=0.0)
    apart = []
    for weight in (0.0, 100.0):
        codes = learn(known, factor, replace(settings, relation=weight))(known.inputs)[5:]
        units, other = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (codes, told[5:]))
        apart.append(float(((units @ units.T - other @ other.T) ** 2).mean()))
    assert apart[1] < 0.8 * apart[0]


def test_people_of_few_photos_do_not_count() -> None:
    world = World(3)
    looks = world.looks(np.zeros((5, MODES)))
    person, code = np.array([0, 0, 1, 1, 1]), np.zeros((2, MODES))
    known = Known.of(looks, person, code, np.array([2, 3]), looks, np.zeros((5, MODES)))
    assert (known.people, len(known.inputs)) == (1, 3)
    with pytest.raises(ValueError, match="3 labelled photos"):
        Known.of(looks, person, code, np.array([2, 2]), looks, np.zeros((5, MODES)))


def test_ridge_finds_a_linear_layer() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(2.0, 3.0, (2000, 6)).astype(np.float32)
    weight, bias = rng.standard_normal((6, 4)), rng.standard_normal(4)
    found, offset = ridge(features, features @ weight + bias, strength=1e-9)
    np.testing.assert_allclose(found, weight, atol=1e-4)
    np.testing.assert_allclose(offset, bias, atol=1e-3)

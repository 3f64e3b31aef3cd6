"""Laws of the SIR metric: exact against the naive version, blind to what does not matter, honest about its limits."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.geometry.rotation import rotation_from_euler
from likeness.metrics import Samples, compare_domains, recognisability_of_codes, recognisability_of_meshes
from likeness.metrics import pairs as pairs_module
from likeness.metrics.bootstrap import draw, make_tables, statistics
from likeness.metrics.distances import MEASURES, Measure
from likeness.metrics.pairs import PairSet, fine_bins, fine_edges, tally
from likeness.metrics.procrustes import align
from likeness.metrics.recognisability import Recognisability
from likeness.model.face_model import FaceModel

FIGURES = ("sir", "mean_genuine", "mean_impostor", "d_prime", "auc", "eer", "rank1")


def people(count: int, photos: int, size: int, noise: float, seed: int = 0) -> Samples:
    """Codes of people around their own centres, ``noise`` away from them, in groups of two photos."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.standard_normal((count, size)), photos, axis=0)
    codes = centres + noise * rng.standard_normal((count * photos, size))
    return Samples(codes, np.repeat(np.arange(count), photos), np.tile(np.arange(photos) // 2, count))


def distance(a: np.ndarray, b: np.ndarray, measure: str) -> float:
    if measure == "euclidean":
        return float(np.linalg.norm(a - b))
    cosine = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return 1 - cosine if measure == "cosine" else math.acos(cosine)


def naive(samples: Samples, measure: str) -> dict[str, float]:
    """The definitions, pair by pair."""
    genuine, impostor = [], []
    nearest = [(math.inf, math.inf)] * len(samples)
    assert samples.groups is not None
    for i, j in combinations(range(len(samples)), 2):
        d = distance(samples.codes[i], samples.codes[j], measure)
        same = samples.labels[i] == samples.labels[j]
        if same and samples.groups[i] == samples.groups[j]:
            continue
        (genuine if same else impostor).append(d)
        for k in (i, j):
            own, other = nearest[k]
            nearest[k] = (min(own, d), other) if same else (own, min(other, d))
    g, i = np.array(genuine), np.array(impostor)
    wins = (g[:, None] < i).mean() + 0.5 * (g[:, None] == i).mean()
    ranks = [own < other for own, other in nearest if own < math.inf]
    spread = math.sqrt((g.var() + i.var()) / 2)
    result = {"mean_genuine": g.mean(), "mean_impostor": i.mean(), "sir": i.mean() / g.mean(), "auc": wins}
    result |= {"d_prime": (i.mean() - g.mean()) / spread, "rank1": np.mean(ranks)}
    ordered = np.sort(i)
    for rate in (1e-1, 1e-2):
        threshold = ordered[math.floor(rate * len(i) + 1e-9)]  # one more accepted impostor would be too many
        result[f"tar@{rate:g}"] = (g < threshold).mean()
    thresholds = np.sort(np.concatenate([g, i]))
    gap = [abs((i <= t).mean() - (g > t).mean()) for t in thresholds]
    best = int(np.argmin(gap))
    result["eer"] = ((i <= thresholds[best]).mean() + (g > thresholds[best]).mean()) / 2
    return {name: float(value) for name, value in result.items()}


def value(result: Recognisability, name: str) -> float:
    found = getattr(result, name).value
    assert found is not None
    return float(found)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("noise", [0.4, 1.5])
def test_all_figures_are_those_of_the_definitions(measure: str, noise: float) -> None:
    samples = people(12, 5, 6, noise, seed=3)
    expected, found = naive(samples, measure), recognisability_of_codes(samples, measure=measure, bootstrap=0)
    for name in ("sir", "mean_genuine", "mean_impostor", "d_prime", "auc", "rank1"):
        assert value(found, name) == pytest.approx(expected[name], rel=1e-9), name
    assert value(found, "eer") == pytest.approx(expected["eer"], abs=0.01)
    for rate in (1e-1, 1e-2):
        assert found.true_accept[rate].value in (None, pytest.approx(expected[f"tar@{rate:g}"]))
    assert found.true_accept[1e-1].value is not None
    assert found.auc_uncertainty == 0
    assert (found.genuine_pairs, found.same_group_pairs) == (12 * 8, 12 * 2)  # 5 photos in groups of 2, 2 and 1
    assert found.impostor_pairs == 60 * 59 // 2 - 12 * 10


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("blocks", [(512, 2048), (7, 5)])
def test_the_histogram_keeps_its_promises(
    measure: str, blocks: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any block size, in threads: counts whole, AUC within the stated bound, nearest neighbours the same."""
    samples = people(25, 6, 10, 1.2, seed=1)
    exact = recognisability_of_codes(samples, measure=measure, bootstrap=0)
    monkeypatch.setattr(pairs_module, "EXACT_PAIRS", 0)
    monkeypatch.setattr(pairs_module, "ROWS", blocks[0])
    monkeypatch.setattr(pairs_module, "COLUMNS", blocks[1])
    binned = recognisability_of_codes(samples, measure=measure, bootstrap=0)
    assert (binned.genuine_pairs, binned.impostor_pairs) == (exact.genuine_pairs, exact.impostor_pairs)
    assert 0 < binned.auc_uncertainty < 1e-4
    assert abs(value(binned, "auc") - value(exact, "auc")) <= binned.auc_uncertainty
    assert value(binned, "rank1") == value(exact, "rank1")
    for name in ("sir", "mean_genuine", "mean_impostor", "d_prime"):
        assert value(binned, name) == pytest.approx(value(exact, name), rel=2e-5), name
    assert value(binned, "eer") == pytest.approx(value(exact, "eer"), abs=1e-3)
    for rate, estimate in exact.true_accept.items():
        assert binned.true_accept[rate].value == pytest.approx(estimate.value, abs=5e-3)


def test_histogram_bins_hold_what_their_edges_say() -> None:
    rng = np.random.default_rng(0)
    core = np.concatenate([rng.random(1000) * 7, 10.0 ** rng.uniform(-6, 0.8, 1000), [0.0, 7.0, -1e-9]])
    bins = fine_bins(core.astype(np.float32), 7.0)
    low, high = fine_edges(bins, 7.0)
    inside = (core.astype(np.float32) >= low) & (core.astype(np.float32) < high)
    assert inside[core >= 0].all()
    assert bins[-1] == 0
    wide = (high - low) / high
    assert wide[core > 7 * 2.0**-20].max() <= 2.0**-15


def test_an_outlier_does_not_coarsen_the_histogram(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = people(20, 6, 8, 1.0)
    codes = samples.codes.copy()
    codes[0] *= 300
    exact = recognisability_of_codes(samples.with_codes(codes), bootstrap=0)
    monkeypatch.setattr(pairs_module, "EXACT_PAIRS", 0)
    binned = recognisability_of_codes(samples.with_codes(codes), bootstrap=0)
    assert abs(value(binned, "auc") - value(exact, "auc")) <= binned.auc_uncertainty < 1e-4


@given(st.integers(0, 10_000), st.sampled_from(MEASURES))
@settings(max_examples=15, deadline=None)
def test_order_rotation_and_names_do_not_matter(seed: int, measure: str) -> None:
    samples = people(6, 4, 5, 0.8, seed)
    rng = np.random.default_rng(seed)
    turn, order = np.linalg.qr(rng.standard_normal((5, 5)))[0], rng.permutation(len(samples))
    names = np.array(["f", "a", "d", "c", "e", "b"])[samples.labels]
    assert samples.groups is not None
    other = Samples((samples.codes @ turn)[order], names[order], samples.groups[order])
    first, second = (recognisability_of_codes(s, measure=measure, bootstrap=0) for s in (samples, other))
    for name in FIGURES:
        assert value(first, name) == pytest.approx(value(second, name), rel=1e-9), name


def test_separable_people_are_told_apart_perfectly() -> None:
    found = recognisability_of_codes(people(10, 4, 8, 0.01), bootstrap=100)
    assert value(found, "auc") == value(found, "rank1") == 1
    assert value(found, "eer") == 0
    assert (found.auc.low, found.auc.high) == pytest.approx((1, 1))
    assert found.true_accept[0.1].value == 1
    assert value(found, "sir") > 50


def test_codes_without_identity_are_at_chance() -> None:
    rng = np.random.default_rng(0)
    found = recognisability_of_codes(Samples(rng.standard_normal((400, 12)), np.repeat(np.arange(100), 4)))
    assert value(found, "auc") == pytest.approx(0.5, abs=0.03)  # 600 genuine pairs: standard error 0.012
    assert value(found, "sir") == pytest.approx(1, abs=0.01)
    assert value(found, "d_prime") == pytest.approx(0, abs=0.1)
    assert found.auc.low is not None
    assert found.auc.high is not None
    assert found.auc.low < 0.5 < found.auc.high


def test_d_prime_of_normal_distances_gives_the_auc() -> None:
    """For normal distributions, AUC = Φ(d′/√2) and EER = Φ(−d′/2) when both have one spread."""
    rng = np.random.default_rng(0)
    wanted, bins = 1.5, np.linspace(-8, 10, 4000)
    genuine, impostor = (np.histogram(rng.normal(m, 1, 400_000), bins)[0] for m in (0, wanted))
    found = statistics((bins[1:] + bins[:-1]) / 2, genuine, impostor)
    normal = 0.5 * (1 + math.erf(wanted / 2))
    assert float(found["d_prime"]) == pytest.approx(wanted, abs=0.01)
    assert float(found["auc"]) == pytest.approx(normal, abs=0.002)
    assert float(found["eer"]) == pytest.approx(0.5 * (1 - math.erf(wanted / 2 / math.sqrt(2))), abs=0.002)


def test_equal_distances_count_half() -> None:
    codes = np.eye(4)  # every pair is √2 apart
    found = recognisability_of_codes(Samples(codes, np.array([0, 0, 1, 1])), bootstrap=0)
    assert value(found, "auc") == 0.5
    assert value(found, "rank1") == 0


def test_probes_against_a_gallery() -> None:
    samples = people(8, 6, 7, 0.7)
    assert samples.groups is not None
    probe = np.tile(np.arange(6) < 2, 8)
    a, b = (Samples(samples.codes[m], samples.labels[m], samples.groups[m]) for m in (probe, ~probe))
    found = recognisability_of_codes(a, b, bootstrap=50)
    apart = np.linalg.norm(a.codes[:, None] - b.codes, axis=-1)
    same = a.labels[:, None] == b.labels
    assert (found.genuine_pairs, found.impostor_pairs) == (same.sum(), (~same).sum())
    assert value(found, "sir") == pytest.approx(apart[~same].mean() / apart[same].mean())
    assert value(found, "rank1") == pytest.approx((a.labels == b.labels[apart.argmin(1)]).mean())
    assert (found.codes, found.gallery_codes) == (16, 32)


def test_a_gallery_without_a_probes_person_is_told() -> None:
    samples = people(5, 4, 6, 0.5)
    gallery = Samples(samples.codes[:12] + 0.01, samples.labels[:12])
    found = recognisability_of_codes(Samples(samples.codes, samples.labels), gallery, bootstrap=0)
    assert [record.item for record in found.excluded] == ["3", "4"]
    assert "impostor pairs only" in found.excluded[0].reason


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of many test sets from one population, about 95 % of the intervals hold the population's AUC."""
    truth = value(recognisability_of_codes(people(600, 4, 5, 1.0, seed=99), bootstrap=0), "auc")
    hits = 0
    for seed in range(40):
        found = recognisability_of_codes(people(40, 4, 5, 1.0, seed), bootstrap=200).auc
        assert found.low is not None
        assert found.high is not None
        assert found.low < value_of(found.value) < found.high
        hits += found.low <= truth <= found.high
    assert hits >= 34


def value_of(number: float | None) -> float:
    assert number is not None
    return number


def test_many_people_are_weighted_to_first_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two kinds of tables give intervals of the same width where both can be used."""
    samples = people(120, 3, 6, 1.0)
    monkeypatch.setattr("likeness.metrics.bootstrap.PRODUCT_PEOPLE", 10)
    first = recognisability_of_codes(samples)
    monkeypatch.undo()
    product = recognisability_of_codes(samples)
    for name in ("sir", "d_prime", "auc", "eer"):
        widths = [getattr(r, name).high - getattr(r, name).low for r in (first, product)]
        assert widths[0] == pytest.approx(widths[1], rel=0.15), name


@pytest.mark.parametrize("change", [("PRODUCT_PEOPLE", 10), ("PANEL", 120)])
def test_short_cuts_of_the_bootstrap_also_serve_a_gallery(
    change: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = people(120, 4, 6, 1.0)
    probe = np.tile(np.arange(4) < 2, 120)
    a, b = (Samples(samples.codes[m], samples.labels[m]) for m in (probe, ~probe))
    full = recognisability_of_codes(a, b)
    monkeypatch.setattr(f"likeness.metrics.bootstrap.{change[0]}", change[1])
    short = recognisability_of_codes(a, b)
    for name in ("sir", "d_prime", "auc", "eer"):
        assert value(short, name) == value(full, name)
        widths = [getattr(r, name).high - getattr(r, name).low for r in (short, full)]
        assert widths[0] == pytest.approx(widths[1], rel=0.2), name


def test_replicates_from_tables_are_replicates_of_pairs() -> None:
    """A weighted table equals counting the pairs of the people drawn, each as often as drawn."""
    samples = people(7, 4, 5, 1.0)
    pairs = PairSet.of(samples, None, Measure("euclidean"))
    tables = make_tables(pairs, tally(pairs), np.random.default_rng(0))
    weights = draw(7, 3, np.random.default_rng(5))
    assert (weights.sum(1) == 7).all()
    genuine, impostor = tables.replicate(weights)
    photos = np.full(7, 4)
    for row, w in enumerate(weights):
        assert genuine[row].sum() == pytest.approx((w * 4).sum())  # 2 + 2 photos: 4 pairs across groups
        between = np.outer(w * photos, w * photos)
        assert impostor[row].sum() == pytest.approx(between.sum() - np.trace(between))


def test_seeds_repeat() -> None:
    samples = people(10, 4, 5, 1.0)
    results = [recognisability_of_codes(samples, bootstrap=50, seed=seed).auc for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


def test_the_gap_is_what_codes_know_and_shapes_hide(small_model: FaceModel) -> None:
    """People who differ only along the direction of least shape: known to the code, invisible in the shape."""
    rng = np.random.default_rng(0)
    axes = np.linalg.svd(small_model.metric.factor)[0]
    labels = np.repeat(np.arange(20), 5)
    weak = rng.standard_normal((20, 3))[labels] @ axes[:, -3:].T * 4
    codes = 0.3 * rng.standard_normal((100, 12)) + weak
    found = compare_domains(Samples(codes, labels), small_model, bootstrap=200)
    assert set(found.by_code) == set(found.gap) == {"cosine", "euclidean"}
    gap = found.gap["euclidean"]
    assert gap.low is not None
    assert gap.value == value(found.by_code["euclidean"], "auc") - value(found.by_geometry, "auc")
    assert gap.low > 0.05
    assert found.by_geometry.unit == "mm"


def test_domains_of_a_sphere_are_angle_and_millimetres(small_model: FaceModel) -> None:
    model = small_model.lifted()
    codes = model.space.sample(24, np.random.default_rng(0))
    told: list[float] = []
    samples = Samples(codes, np.repeat(np.arange(8), 3))
    found = compare_domains(samples, model, bootstrap=50, progress=told.append)
    assert list(found.by_code) == ["angle"]
    assert found.by_code["angle"].mean_impostor.value == pytest.approx(math.pi / 2, abs=0.15)
    longer = compare_domains(samples.with_codes(samples.codes * 7), model, bootstrap=50)
    assert longer.by_geometry.sir.value == pytest.approx(value(found.by_geometry, "sir"))  # only directions are codes
    assert told == sorted(told)
    assert told[-1] == 1


def test_geometry_by_code_is_geometry_by_mesh(small_model: FaceModel) -> None:
    codes = small_model.space.sample(20, np.random.default_rng(2)).astype(np.float64)
    labels = np.repeat(np.arange(5), 4)
    by_code = compare_domains(Samples(codes, labels), small_model, bootstrap=0).by_geometry
    shapes = small_model.vertices(codes).astype(np.float64)
    weights = small_model.mesh(codes[0]).with_vertices(small_model.mean).vertex_areas()
    weights = weights * small_model.topology.regions["face"]
    aligned = align(shapes, weights).weights
    flat = (shapes * np.sqrt(aligned)[:, None]).reshape(20, -1)
    by_mesh = recognisability_of_codes(Samples(flat, labels), bootstrap=0)
    assert by_mesh.mean_impostor.value == pytest.approx(value(by_code, "mean_impostor"), rel=1e-4)


def posed(shapes: np.ndarray, rng: np.random.Generator, scales: bool) -> np.ndarray:
    result = []
    for shape in shapes:
        turn = rotation_from_euler(*rng.uniform(-1, 1, 3))
        result.append((rng.uniform(0.5, 2) if scales else 1.0) * shape @ turn.T + rng.uniform(-90, 90, 3))
    return np.array(result)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("with_reference", [False, True])
def test_the_pose_of_meshes_does_not_matter(small_model: FaceModel, scale: bool, with_reference: bool) -> None:
    rng = np.random.default_rng(0)
    shapes = small_model.vertices(small_model.space.sample(12, rng)).astype(np.float64)
    labels = np.repeat(np.arange(4), 3)
    options = {"scale": scale, "reference": small_model.mean if with_reference else None, "bootstrap": 0}
    weights = small_model.topology.regions["face"]
    still = recognisability_of_meshes(shapes, labels, weights=weights, **options)
    moved = recognisability_of_meshes(posed(shapes, rng, scale), labels, weights=weights, **options)
    for name in ("sir", "auc", "d_prime"):
        assert value(moved, name) == pytest.approx(value(still, name), rel=1e-5), name
    if with_reference or not scale:
        assert value(moved, "mean_genuine") == pytest.approx(value(still, "mean_genuine"), rel=1e-5)
    assert still.unit == "mm"


def test_moved_copies_of_one_shape_are_alike() -> None:
    rng = np.random.default_rng(1)
    shape = rng.standard_normal((50, 3)) * 60
    aligned = align(posed(np.repeat(shape[None], 6, axis=0), rng, False))
    np.testing.assert_allclose(aligned.vertices, np.broadcast_to(aligned.vertices[0], (6, 50, 3)), atol=1e-6)


def test_alignment_never_mirrors() -> None:
    shape = np.random.default_rng(1).standard_normal((50, 3)) * 60
    aligned = align(np.stack([shape, shape * [-1, 1, 1]]))
    assert np.linalg.norm(aligned.vertices[0] - aligned.vertices[1], axis=1).mean() > 10


def test_meshes_of_another_topology_are_named(small_model: FaceModel) -> None:
    mesh = small_model.mesh(np.zeros(12))
    other = mesh.submesh(np.arange(len(mesh.vertices)) < 200)
    with pytest.raises(ValueError, match=r"one topology \(282 vertices, as mesh 0\), got 1 others: 2"):
        recognisability_of_meshes([mesh, mesh, other, mesh], np.array([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="with others: 1"):
        align([mesh.vertices, mesh.vertices * np.nan])
    with pytest.raises(ValueError, match="extent"):
        align(np.ones((2, 9, 3)))


@pytest.mark.parametrize(
    ("labels", "codes", "message"),
    [
        ([0, 0, 1], np.ones((4, 2)), r"as many labels as codes \(4\), got 3"),
        ([0, 0, 1, 1], [[1.0, 2], [np.nan, 0], [3, 4], [5, 6]], "got 1 rows that are not: 1"),
        ([0, 0, 1, 1], np.ones((4, 0)), "K >= 1"),
        ([0.5, 0, 1, 1], np.ones((4, 2)), "integers or strings"),
    ],
)
def test_bad_samples_are_refused(labels: list[float], codes: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Samples(np.asarray(codes), np.asarray(labels))


def test_sets_that_cannot_be_measured_are_refused() -> None:
    codes = np.random.default_rng(0).standard_normal((4, 3))
    with pytest.raises(ValueError, match="two people, got codes of ann only"):
        recognisability_of_codes(Samples(codes, np.array(["ann"] * 4)))
    with pytest.raises(ValueError, match="no genuine pair"):
        recognisability_of_codes(Samples(codes, np.arange(4)))
    with pytest.raises(ValueError, match="no genuine pair"):
        recognisability_of_codes(Samples(codes, np.array([0, 0, 1, 1]), np.array([5, 5, 6, 6])))
    with pytest.raises(ValueError, match="zero: rows 0"):
        recognisability_of_codes(Samples(codes * [[0], [1], [1], [1]], np.array([0, 0, 1, 1])), measure="cosine")
    with pytest.raises(ValueError, match="measure"):
        recognisability_of_codes(Samples(codes, np.array([0, 0, 1, 1])), measure="manhattan")
    fine = Samples(codes, np.array([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="like the probes'"):
        recognisability_of_codes(fine, Samples(codes[:, :2], fine.labels))
    with pytest.raises(ValueError, match="of one type"):
        recognisability_of_codes(fine, Samples(codes, np.array(list("aabb"))))
    with pytest.raises(ValueError, match="groups for both"):
        recognisability_of_codes(fine, Samples(codes, fine.labels, fine.labels))


def test_people_with_one_photo_are_listed() -> None:
    samples = people(4, 3, 5, 0.5)
    keep = np.array([0, 1, 2, 3, 5, 6, 8, 9])  # of the last, one photo
    found = recognisability_of_codes(Samples(samples.codes[keep], samples.labels[keep]), bootstrap=20)
    assert [record.item for record in found.excluded] == ["3"]
    assert found.people == 4


def test_too_few_impostors_are_no_rate() -> None:
    found = recognisability_of_codes(people(12, 4, 5, 1.0), bootstrap=0)  # 1,056 impostor pairs
    assert found.true_accept[1e-1].value is not None
    assert found.true_accept[1e-2].value is None
    assert "3,000 impostor pairs" in found.true_accept[1e-2].reason


def test_identical_codes_give_reasons_not_infinities() -> None:
    found = recognisability_of_codes(
        Samples(np.repeat(np.eye(3), 2, axis=0), np.repeat(np.arange(3), 2)), bootstrap=20
    )
    assert found.sir.value is None
    assert "0" in found.sir.reason
    json.dumps(found.to_dict(), allow_nan=False)


def test_results_are_json(small_model: FaceModel) -> None:
    codes = small_model.space.sample(12, np.random.default_rng(0))
    found = compare_domains(Samples(codes, np.repeat(np.arange(4), 3)), small_model, bootstrap=30)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["by_geometry"]["unit"] == "mm"
    assert read["by_code"]["cosine"]["true_accept"]["0.001"]["value"] is None
    curve = read["by_geometry"]["roc"]
    assert (curve["fpr"][0], curve["tpr"][0], curve["fpr"][-1], curve["tpr"][-1]) == (0, 0, 1, 1)
    assert curve["tpr"] == sorted(curve["tpr"])


def test_metrics_need_neither_torch_nor_the_extras() -> None:
    code = (
        "import sys, numpy as np\n"
        "import likeness.metrics.shape_space, likeness.metrics.verification, likeness.metrics.landmark_error\n"
        "from likeness.metrics import *\n"
        "recognisability_of_codes(Samples(np.random.rand(8, 3), np.arange(8) // 2), bootstrap=5)\n"
        "print(*sorted(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & {"torch", "scipy", "sklearn", "igl", "matplotlib", "cv2"}

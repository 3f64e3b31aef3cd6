"""What to believe of features and points: the best linear estimate of a made world, its weights in a network."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from dense_points import place, small_map  # noqa: E402
from test_train_dense import images, network  # noqa: E402
from test_train_points import sources  # noqa: E402, F401
from train_sources import write_frames, write_synthetic  # noqa: E402

from likeness.cli.main import main  # noqa: E402
from likeness.datasets.dense_labels import PointLabels, write_point_labels  # noqa: E402
from likeness.errors import FileError  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.networks.regressor import Fusion, Network  # noqa: E402
from likeness.train.checkpoint import CHECKPOINT, load_regressor  # noqa: E402
from likeness.train.photos.evidence import placed_faces  # noqa: E402
from likeness.train.photos.export import onnx_bytes  # noqa: E402
from likeness.train.photos.fusion import Estimator, Known, _Problem, install, learn, person_filter, ridge  # noqa: E402
from likeness.train.photos.fusion_inputs import FusionInputs, Looker, Photographed, look_at_photos, seen  # noqa: E402
from likeness.train.photos.fusion_looks import Looks, looks_key, read_looks, write_looks  # noqa: E402
from likeness.train.photos.fusion_trainer import EVIDENCE, FusionRun, train_fusion  # noqa: E402
from likeness.train.photos.labels import Sources  # noqa: E402
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


@pytest.mark.parametrize("half", [False, True])
def test_network_and_file_say_what_the_estimator_says(small_model: FaceModel, tmp_path: Path, half: bool) -> None:
    pytest.importorskip("onnx")
    rng, net = np.random.default_rng(0), network(small_model)
    width = net.settings.hidden

    def drawn() -> Estimator:
        return Estimator(
            0.05 * rng.standard_normal((width, 12)), rng.standard_normal(12), 0.3 * rng.standard_normal((4, 12, 12))
        )

    fused, plain = drawn(), drawn()
    colour = 0.05 * rng.standard_normal((width, 5)), rng.standard_normal(5)
    made = install(net, fused, plain, {"albedo": colour})
    crops = images(3).numpy()
    before, after = seen(net, crops), seen(made, crops)
    inputs = FusionInputs(before.features, rng.standard_normal((3, 12)), rng.standard_normal((3, 4)))
    path = tmp_path / "regressor.onnx"
    path.write_bytes(onnx_bytes(made, "test", "small", half))
    loaded = Network.load(path)
    assert loaded.fusion is not None
    with torch.no_grad():
        mean = made(images(3), whole=True).mean.numpy()
    expected, limit = fused(inputs), 3e-2 if half else 1e-3
    for own, fusion, off in (
        (mean, Fusion(made.fusion.numpy()), 1e-4),
        (loaded(crops).mean, loaded.fusion, limit),
    ):
        found = own + np.stack([fusion(*one) for one in zip(inputs.code, inputs.circumstances, strict=True)])
        np.testing.assert_allclose(found, expected, atol=off)
    np.testing.assert_allclose(after.identity, small_model.space.project(plain(replace_fit(inputs))), atol=1e-4)
    np.testing.assert_allclose(after.albedo, before.features @ colour[0] + colour[1], atol=1e-4)
    for name in ("expression", "rotation", "translation", "points", "deviation", "features", "score"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(seen(install(made, fused, plain, {}), crops).albedo, after.albedo)


def replace_fit(inputs: FusionInputs) -> FusionInputs:
    """Without what the points' fit says."""
    return replace(inputs, code=np.zeros_like(inputs.code))


def test_looks_at_photos_are_means_of_the_photo_and_its_mirror_image(
    small_model: FaceModel,
    sources: Sources,  # noqa: F811
) -> None:
    net, faces = network(small_model), placed_faces(sources)
    looker = Looker(net, small_model, small_map(small_model))
    found = look_at_photos(looker, faces, sources, earlier=net)
    assert len(found.inputs) == len(faces) == len(found.rows)
    assert found.inputs.circumstances.shape == (10, 4)
    assert found.colours["light"].shape == (10, 9, 3)
    crops = images(2).numpy()
    one, other = (looker.answers(some, mirrored=True) for some in (crops, np.ascontiguousarray(crops[:, :, ::-1])))
    np.testing.assert_allclose(one.features, other.features, atol=1e-5)
    mirrored = small_map(small_model).mirrored(other.points, 112)
    np.testing.assert_allclose(one.points, mirrored, atol=1e-3)
    with pytest.raises(ValueError, match="places the map's 44 points, it places 0"):
        Looker(type(net)(replace(net.settings, points=())), small_model, small_map(small_model))


def write_run(model: FaceModel, folder: Path) -> Path:
    """A training's folder with a network that places points."""
    net = network(model)
    folder.mkdir()
    state = {
        "kind": "likeness regressor",
        "face_model": model.name,
        "net": asdict(net.settings),
        "average": net.state_dict(),
        "settings": {},
        "step": 3,
        "seen": 21,
        "validation": {},
    }
    torch.save(state, folder / CHECKPOINT)
    return folder


def test_the_command_makes_a_network_that_fuses(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    run, out = write_run(small_model, tmp_path / "run"), tmp_path / "out"
    small_model.save(tmp_path / "model.npz")
    small_map(small_model).save(tmp_path / "map.npz")
    tar = write_frames(tmp_path / "frames.tar", count=18)
    labels = PointLabels("", tuple(f"k{n}" for n in range(18)), place(small_model, 18, 90.0), np.full((18, 44), 0.3))
    write_point_labels(tmp_path / "labels.npz", labels)
    synthetic = write_synthetic(small_model, tmp_path / "synthetic", 30)
    command = [
        "train",
        "fusion",
        run,
        "--data",
        tar,
        "--point-labels",
        tmp_path / "labels.npz",
        "--synthetic",
        synthetic,
    ]
    command += [
        "--model",
        tmp_path / "model.npz",
        "--point-map",
        tmp_path / "map.npz",
        "--limit",
        "20",
        "--steps",
        "20",
    ]
    command += ["--colours", run, "--threads", "1", "-o", out]
    main([str(word) for word in command])
    told = capsys.readouterr().out
    for words in (
        "18 labelled photos of 3 people",
        "people 3/3",
        "photos 18/18",
        "rendered 20/20",
        "not filtered: 3 people",
    ):
        assert words in told
    made, state = load_regressor(out / CHECKPOINT)
    assert made.settings.fused == 4
    assert state["step"] == 3
    assert state["fusion"]["figures"]["fit_mm"] > 0
    before = load_regressor(run / CHECKPOINT)[0]
    assert torch.equal(before.features(images(2)), made.features(images(2)))
    fusion = Network.load(out / "regressor.onnx").fusion
    assert fusion is not None
    np.testing.assert_allclose(fusion.matrices, made.fusion.numpy(), atol=1e-2)
    first = (out / EVIDENCE).read_bytes()
    main([str(word) for word in command] + ["--resume"])
    assert (out / EVIDENCE).read_bytes() == first
    told = capsys.readouterr().out
    assert "people 3/3" not in told
    assert "photos 18/18" not in told
    again = load_regressor(out / CHECKPOINT)[0]
    assert torch.equal(again.fusion, made.fusion)  # the same numbers again


def test_kept_looks_come_back_and_only_for_what_they_are_of(tmp_path: Path) -> None:
    world = World(4)
    photo, rendered = (world.looks(np.zeros((n, MODES))) for n in (5, 3))
    light = world.rng.standard_normal((5, 9, 3)).astype(np.float32)
    looks = Looks(Photographed(np.arange(5), photo, {"light": light}), rendered, np.ones((3, MODES), np.float32))
    path, key = tmp_path / "looks.npz", looks_key("model", "a", "b")
    write_looks(path, looks, key)
    found = read_looks(path, key)
    assert found is not None
    for part in ("features", "code", "circumstances"):
        np.testing.assert_array_equal(getattr(found.photographed.inputs, part), getattr(photo, part))
        np.testing.assert_array_equal(getattr(found.rendered, part), getattr(rendered, part))
    np.testing.assert_array_equal(found.photographed.colours["light"], light)
    np.testing.assert_array_equal(found.truth, looks.truth)
    assert read_looks(path, looks_key("model", "ab")) is None
    assert looks_key("a", "b") != looks_key("ab")
    write_looks(path, replace(looks, truth=looks.truth[:2]), key)
    with pytest.raises(FileError, match="expected 2 looks"):
        read_looks(path, key)
    np.savez(path, key=np.array(key))
    with pytest.raises(FileError, match="expected looks at faces"):
        read_looks(path, key)


def test_a_network_of_another_model_is_refused(
    small_model: FaceModel,
    sources: Sources,  # noqa: F811
    tmp_path: Path,
) -> None:
    run = write_run(small_model, tmp_path / "run")
    other = replace(sources, model=replace(small_model, name="other"))
    with pytest.raises(FileError, match="expected a network for 'other'"):
        train_fusion(FusionRun(run, tmp_path), other, lambda line: None)
    shutil.rmtree(run)
    with pytest.raises(FileError):
        train_fusion(FusionRun(run, tmp_path), sources, lambda line: None)

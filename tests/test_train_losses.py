"""Laws of the training losses: zero at the truth, gated by what a sample carries, gradients right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from likeness.geometry.camera import Camera, project  # noqa: E402
from likeness.geometry.rotation import FRONTAL, rotation_from_euler  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.train.losses.reconstruction import RegressorLoss, Targets, gated_mean, smooth_norm  # noqa: E402
from likeness.train.photos.network import CROP_SIZE, Prediction  # noqa: E402
from likeness.train.recipe_settings import LossWeights  # noqa: E402

N = 4


def faces(model: FaceModel, seed: int) -> Prediction:
    """Random faces in front of the crop's camera, as a perfect network would say them."""
    rng = np.random.default_rng(seed)
    rotation = FRONTAL @ rotation_from_euler(*rng.normal(0, 0.3, (3, N)))
    translation = np.array([0.0, -40.0, 940.0]) + rng.normal(0, [10, 10, 60], (N, 3))
    values = (
        rng.standard_normal((N, len(model.identity_basis))),
        rng.uniform(0.05, 0.6, (N, 52)),
        rotation,
        translation,
        rng.standard_normal((N, len(model.albedo_names))),
        rng.standard_normal((N, 9, 3)),
        rng.normal(0, 1, N),
    )
    return Prediction(*(torch.tensor(value, dtype=torch.float64) for value in values))


def truth_of(model: FaceModel, prediction: Prediction, shape: float = 1.0, landmark: float = 1.0) -> Targets:
    loss = RegressorLoss(model).double()
    zeros = torch.zeros(N, dtype=torch.float64)
    return Targets(
        landmarks=loss.head(prediction),
        landmark_gate=zeros + landmark,
        score=zeros + 1,
        score_gate=zeros + 1,
        shape_gate=zeros + shape,
        identity=prediction.identity,
        expression=prediction.expression,
        albedo=prediction.albedo,
        light=prediction.light,
        rotation=prediction.rotation,
        translation=prediction.translation,
        embedding=torch.zeros((N, 0), dtype=torch.float64),
        embedding_gate=zeros,
        dense=torch.zeros((N, 0, 2), dtype=torch.float64),
        dense_weight=torch.zeros((N, 0), dtype=torch.float64),
        person=torch.full((N,), -1),
    )


def test_landmarks_agree_with_the_numpy_camera(small_model: FaceModel) -> None:
    prediction = faces(small_model, 0)
    found = RegressorLoss(small_model).double().head(prediction).numpy()
    camera = Camera.from_crop_size(CROP_SIZE)
    for row in range(N):
        points = small_model.landmark_points(prediction.identity[row].numpy(), prediction.expression[row].numpy())
        rotation = prediction.rotation[row].numpy()
        seen = project(camera, points @ rotation.T + prediction.translation[row].numpy())
        np.testing.assert_allclose(found[row], small_model.landmark_map.select(seen, rotation), atol=1e-3)


def test_every_supervised_term_is_zero_at_the_truth(small_model: FaceModel) -> None:
    prediction = faces(small_model, 1)
    _, terms = RegressorLoss(small_model).double()(prediction, truth_of(small_model, prediction))
    for name, value in terms.items():
        if name != "score":
            assert abs(value.item()) < 1e-5, f"{name} {value.item()}"


@pytest.mark.parametrize("name", ["identity", "expression", "rotation", "translation", "albedo", "light"])
def test_a_wrong_part_is_punished(small_model: FaceModel, name: str) -> None:
    right, wrong = faces(small_model, 2), faces(small_model, 3)
    loss = RegressorLoss(small_model).double()
    targets = truth_of(small_model, right)
    best, _ = loss(right, targets)
    worse, _ = loss(right._replace(**{name: getattr(wrong, name)}), targets)
    assert worse > best + 0.01


def test_a_closed_gate_lets_neither_values_nor_gradients_through(small_model: FaceModel) -> None:
    prediction = Prediction(*(value.clone().requires_grad_() for value in faces(small_model, 4)))
    targets = truth_of(small_model, faces(small_model, 5))
    closed = targets._replace(
        landmark_gate=torch.zeros(N),
        shape_gate=torch.zeros(N),
        score_gate=torch.zeros(N),
        **{name: getattr(targets, name) * 1e4 for name in ("landmarks", "identity", "translation")},
    )
    total, _ = RegressorLoss(small_model).double()(prediction, closed)
    assert total.item() == 0.0
    total.backward()
    for name, value in prediction._asdict().items():
        assert value.grad is None or torch.equal(value.grad, torch.zeros_like(value)), name


def test_terms_do_not_depend_on_samples_without_the_label(small_model: FaceModel) -> None:
    prediction, targets = faces(small_model, 6), truth_of(small_model, faces(small_model, 7))
    loss = RegressorLoss(small_model).double()
    some = targets._replace(shape_gate=torch.tensor([1.0, 0, 1, 0]).double())
    half = Prediction(*(value[[0, 2]] for value in prediction))
    _, mixed = loss(prediction, some)
    _, alone = loss(half, Targets(*(value[[0, 2]] for value in targets)))
    for name in ("points", "geometry", "code", "expression", "rotation", "distance", "shift", "albedo", "light"):
        assert abs(mixed[name] - alone[name]) < 1e-9, name


def test_priors_act_only_where_nothing_better_is_known(small_model: FaceModel) -> None:
    prediction, targets = faces(small_model, 8), truth_of(small_model, faces(small_model, 9))
    loss = RegressorLoss(small_model).double()
    priors = ("identity_prior", "expression_prior", "albedo_prior")
    _, labelled = loss(prediction, targets)
    _, landmarks_only = loss(prediction, targets._replace(shape_gate=torch.zeros(N)))
    _, negatives = loss(prediction, targets._replace(shape_gate=torch.zeros(N), landmark_gate=torch.zeros(N)))
    for name in priors:
        assert labelled[name] == 0
        assert landmarks_only[name] > 0
        assert negatives[name] == 0


def test_the_prior_of_sphere_codes_is_1_for_random_faces_and_0_for_the_mean(small_model: FaceModel) -> None:
    """On a sphere all codes are equally long, so |c|² could not hold back a wild shape."""
    model = small_model.lifted()
    loss, prediction = RegressorLoss(model).double(), faces(small_model, 8)
    weak = truth_of(small_model, prediction)._replace(shape_gate=torch.zeros(N))
    codes = torch.tensor(model.space.sample(N, np.random.default_rng(0)), dtype=torch.float64)
    mean = torch.zeros_like(codes)
    mean[:, -1] = model.space.radius
    weak = weak._replace(identity=codes)
    _, random = loss(prediction._replace(identity=codes), weak)
    _, middle = loss(prediction._replace(identity=mean), weak)
    assert random["identity_prior"].item() == pytest.approx(1.0, abs=0.5)
    assert middle["identity_prior"].item() == pytest.approx(0.0, abs=1e-6)


def test_geometry_term_sees_what_the_code_term_sees_not(small_model: FaceModel) -> None:
    """The same distance of codes along the strongest and the weakest direction of the metric (design, 3.3)."""
    right = faces(small_model, 10)
    loss = RegressorLoss(small_model).double()
    targets = truth_of(small_model, right)
    size, vectors = np.linalg.eigh(small_model.metric.factor @ small_model.metric.factor.T)
    assert size[-1] > 100 * size[0]
    _, strong = loss(right._replace(identity=right.identity + torch.tensor(vectors[:, -1])), targets)
    _, weak = loss(right._replace(identity=right.identity + torch.tensor(vectors[:, 0])), targets)
    assert abs(strong["code"] - weak["code"]) < 1e-6
    assert strong["geometry"] > 5 * weak["geometry"]


def test_gradients_agree_with_finite_differences(small_model: FaceModel) -> None:
    start, targets = faces(small_model, 11), truth_of(small_model, faces(small_model, 12))
    targets = targets._replace(shape_gate=torch.tensor([1.0, 1, 0, 0]).double())
    loss = RegressorLoss(small_model).double()

    def total(*values: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = loss(Prediction(*values), targets)[0]
        return value

    values = [value.clone().requires_grad_() for value in start]
    assert torch.autograd.gradcheck(total, values, eps=1e-6, atol=1e-4, rtol=1e-3, fast_mode=True)


def test_every_weight_names_a_term(small_model: FaceModel) -> None:
    prediction = faces(small_model, 13)
    _, terms = RegressorLoss(small_model).double()(prediction, truth_of(small_model, prediction))
    assert list(terms) == [field.name for field in dataclasses.fields(LossWeights)]


def test_a_gate_of_a_third_counts_a_third() -> None:
    values = torch.tensor([3.0, 6.0, 9.0])
    assert gated_mean(values, torch.tensor([1.0, 0.0, 1.0])) == 6.0
    assert gated_mean(values, torch.tensor([1 / 3, 0.0, 1 / 3])) == pytest.approx(2.0)
    assert gated_mean(values, torch.zeros(3)) == 0.0


def test_smooth_norm_is_the_length_far_out_and_flat_at_zero() -> None:
    far = smooth_norm(torch.tensor([[300.0, 400.0]]), 0.5)
    assert far.item() == pytest.approx(499.5, abs=1e-3)
    zero = torch.zeros(1, 2, requires_grad=True)
    smooth_norm(zero, 0.5).sum().backward()
    assert torch.equal(zero.grad, torch.zeros(1, 2))

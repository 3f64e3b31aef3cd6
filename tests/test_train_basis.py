"""Laws of the learned basis: it starts as the model's own, is smooth, and its metric is that of its shapes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.train.losses.basis import LearnedBasis, smooth_fields  # noqa: E402
from likeness.train.losses.reconstruction import LandmarkHead  # noqa: E402
from likeness.train.recipe_settings import BasisSettings  # noqa: E402


def changed(model: FaceModel, size: float = 0.3) -> LearnedBasis:
    torch.manual_seed(0)
    basis = LearnedBasis(model, BasisSettings(fields=20))
    with torch.no_grad():
        basis.coefficients.copy_(size * torch.randn_like(basis.coefficients))
    return basis


def test_it_starts_as_the_models_own_and_costs_nothing(small_model: FaceModel) -> None:
    basis = LearnedBasis(small_model, BasisSettings(fields=20))
    head = LandmarkHead(small_model)
    bases = basis.bases(head.identity)
    torch.testing.assert_close(bases.points, head.identity)
    assert basis.penalty().item() == 0
    np.testing.assert_array_equal(basis.model(small_model, "same").identity_basis, small_model.identity_basis)


def test_landmarks_and_metric_are_those_of_the_model_that_is_written(small_model: FaceModel) -> None:
    basis = changed(small_model)
    written = basis.model(small_model, "learned")
    assert written.name == "learned"
    bases = basis.bases(LandmarkHead(small_model).identity)
    torch.testing.assert_close(bases.points, LandmarkHead(written).identity, atol=1e-5, rtol=1e-5)
    codes = np.random.default_rng(0).standard_normal((2, 12)).astype(np.float32)
    by_vertices = written.metric.distance(codes[0], codes[1])
    by_factor = torch.linalg.norm(torch.tensor(codes[0] - codes[1]) @ bases.factor).item()
    assert by_factor == pytest.approx(by_vertices, rel=1e-3)
    pairs = np.random.default_rng(1).standard_normal((30, 2, 12)).astype(np.float32)
    before, after = ([m.metric.distance(*pair) for pair in pairs] for m in (small_model, written))
    assert np.abs(np.divide(after, before) - 1).max() > 0.01


def test_fields_are_orthonormal_and_from_smooth_to_rough(small_model: FaceModel) -> None:
    topology = small_model.topology
    fields, values = smooth_fields(topology.triangles, len(small_model.mean), 20)
    np.testing.assert_allclose(fields @ fields.T, np.eye(20), atol=1e-4)
    assert (np.diff(values) > -1e-6).all()
    assert values[0] == pytest.approx(0, abs=1e-5)
    across = np.abs(fields[:, topology.triangles[:, 0]] - fields[:, topology.triangles[:, 1]]).mean(1)
    assert across[-1] > 3 * across[1]


def test_a_change_that_mirrored_faces_share_is_cheaper_than_one_that_they_do_not(small_model: FaceModel) -> None:
    basis = LearnedBasis(small_model, BasisSettings(fields=20, size=0.0, smooth=0.0))
    partner = small_model.topology.mirror
    assert partner is not None
    fields = basis.fields.numpy()
    even = np.abs(fields[:, partner] - fields).max(1) < 0.02
    assert even.any()
    field = int(np.flatnonzero(even)[-1])
    mirrored = small_model.identity_basis[:, partner] * [-1.0, 1.0, 1.0]
    mode = int(np.abs(mirrored - small_model.identity_basis).mean((1, 2)).argmin())
    costs = []
    for axis in (1, 0):  # up on both sides | to one side on both sides
        with torch.no_grad():
            basis.coefficients.zero_()
            basis.coefficients[mode, field, axis] = 1.0
        costs.append(basis.penalty().item())
    assert costs[0] < costs[1]


def test_gradients_agree_with_finite_differences(small_model: FaceModel) -> None:
    basis = changed(small_model).double()
    identity = LandmarkHead(small_model).identity.double()
    codes = torch.randn(3, 12, dtype=torch.float64)

    def value(coefficients: torch.Tensor) -> torch.Tensor:
        result = torch.func.functional_call(_Sum(basis, identity, codes), {"basis.coefficients": coefficients}, ())
        return result

    assert torch.autograd.gradcheck(value, (basis.coefficients.detach().clone().requires_grad_(),), fast_mode=True)


class _Sum(torch.nn.Module):
    """All that the losses get from a basis, as one number."""

    def __init__(self, basis: LearnedBasis, identity: torch.Tensor, codes: torch.Tensor) -> None:
        super().__init__()
        self.basis, self.identity, self.codes = basis, identity, codes

    def forward(self) -> torch.Tensor:
        bases = self.basis.bases(self.identity)
        seen = (self.codes @ bases.points.flatten(1)).square().mean()
        return seen + (self.codes @ bases.factor).square().mean() + self.basis.penalty()

"""Laws of the identity losses, and for each the failure that it prevents."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from likeness.train.losses.margin import margin_softmax, uniformity  # noqa: E402


def test_margin_softmax_is_cross_entropy_with_a_handicap() -> None:
    rng = np.random.default_rng(0)
    vectors, centers = torch.tensor(rng.standard_normal((5, 4))), torch.tensor(rng.standard_normal((3, 4)))
    labels = torch.tensor([0, 1, 2, 1, 0])
    cosine = torch.nn.functional.normalize(vectors) @ torch.nn.functional.normalize(centers).T
    expected = 0.0
    for row, label in enumerate(labels):
        logits = 10 * cosine[row]
        own = logits[label] - 10 * 0.3
        others = torch.cat([logits[:label], logits[label + 1 :], own[None]])
        expected += float(torch.logsumexp(others, 0) - own) / 5
    assert margin_softmax(vectors, centers, labels, 10, 0.3).item() == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(
        margin_softmax(7 * vectors, 0.1 * centers, labels, 10, 0.3), margin_softmax(vectors, centers, labels, 10, 0.3)
    )


def test_the_margin_asks_for_more_than_being_nearest() -> None:
    """A vector that is nearest to its class by a little is not good enough."""
    centers = torch.eye(2, dtype=torch.float64)
    barely = torch.tensor([[math.cos(0.7), math.sin(0.7)]], dtype=torch.float64)
    label = torch.tensor([0])
    assert margin_softmax(barely, centers, label, 32, 0.0) < 0.2
    assert margin_softmax(barely, centers, label, 32, 0.35) > 5


def test_gradients_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    vectors = torch.tensor(rng.standard_normal((4, 3)), requires_grad=True)
    centers = torch.tensor(rng.standard_normal((3, 3)), requires_grad=True)
    labels = torch.tensor([0, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda v, c: margin_softmax(v, c, labels, 8.0, 0.2), (vectors, centers))
    assert torch.autograd.gradcheck(uniformity, (vectors,))


def test_uniformity_sees_codes_that_crowd_on_one_side() -> None:
    """The lift's failure: a last coordinate that is positive for everyone."""
    rng = np.random.default_rng(2)
    spread = torch.tensor(rng.standard_normal((400, 30)))
    crowded = spread.clone()
    crowded[:, -1] = 4.0
    assert uniformity(torch.ones(5, 3)).item() == pytest.approx(0, abs=1e-6)
    assert uniformity(spread).item() < uniformity(crowded).item() - 0.3
    assert uniformity(5 * spread).item() == pytest.approx(uniformity(spread).item())
    with pytest.raises(ValueError, match="two"):
        uniformity(spread[:1])

"""Laws of SIR, and for each term the failure that it prevents."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from likeness import FaceModel  # noqa: E402
from likeness.train.losses.sir import SirLoss, between_scatter, gaussian_kl, relation_distance, within_scatter  # noqa: E402
from likeness.train.recipe_settings import SirWeights  # noqa: E402

PEOPLE, PHOTOS = 6, 4


def labels() -> torch.Tensor:
    return torch.arange(PEOPLE).repeat_interleave(PHOTOS)


def loss_of(model: FaceModel, codes: torch.Tensor, **weights: float) -> dict[str, float]:
    """Terms after the bank has seen the batch and the class vectors have become the people's mean codes."""
    loss = SirLoss(model, PEOPLE, SirWeights(**weights)).double()
    with torch.no_grad():
        loss.classes.copy_(torch.stack([codes[labels() == person].mean(0) for person in range(PEOPLE)]))
    return {name: value.item() for name, value in loss(codes, labels()).items()}


def people_along(model: FaceModel, dims: slice, size: float) -> torch.Tensor:
    """Codes that differ between people in some dimensions only, and a little within."""
    rng = np.random.default_rng(0)
    codes = np.zeros((PEOPLE, len(model.identity_basis)))
    codes[:, dims] = size * np.linalg.qr(rng.standard_normal((PEOPLE, PEOPLE)))[0]
    codes = np.repeat(codes, PHOTOS, 0) + 0.05 * rng.standard_normal((PEOPLE * PHOTOS, codes.shape[1]))
    return torch.tensor(codes)


def test_codes_that_differ_where_nothing_shows_pass_as_codes_and_fail_as_shapes(small_model: FaceModel) -> None:
    """The gap that SIR is about: discriminative parameters, indistinguishable faces."""
    hidden = loss_of(small_model, people_along(small_model, slice(6, 12), 2.0))
    shown = loss_of(small_model, people_along(small_model, slice(0, 6), 2.0))
    assert hidden["code"] == pytest.approx(shown["code"], abs=0.5)
    assert hidden["between"] > 3 * shown["between"]
    assert hidden["between"] > 0.5


def test_a_person_whose_shape_wobbles_fails_within(small_model: FaceModel) -> None:
    steady = people_along(small_model, slice(0, 6), 4.0)
    wobbling = steady + torch.tensor(np.random.default_rng(1).normal(0, 1.5, steady.shape)) * torch.eye(12)[0]
    assert loss_of(small_model, wobbling)["within"] > 5 * loss_of(small_model, steady)["within"]


def test_new_people_are_held_together_without_a_centre_or_a_class(small_model: FaceModel) -> None:
    steady = people_along(small_model, slice(0, 6), 4.0)
    wobbling = steady + torch.tensor(np.random.default_rng(1).normal(0, 1.5, steady.shape)) * torch.eye(12)[0]
    loss = SirLoss(small_model, 2).double()
    new = labels() + 2
    terms = loss(wobbling, new)
    assert terms["mixed"] > 5 * loss(steady, new)["mixed"]
    assert terms["code"] == terms["within"] == 0
    assert not loss.seen.any()
    assert loss(steady, torch.arange(len(steady)) + 2)["mixed"] == 0  # one picture each


def test_scatter_of_new_people_does_not_depend_on_how_many_pictures_they_have(small_model: FaceModel) -> None:
    rng = np.random.default_rng(4)
    codes = torch.tensor(rng.standard_normal((6000, 12)))
    loss = SirLoss(small_model, 1).double()
    found = [loss(codes, torch.arange(6000) // each + 1)["mixed"].item() for each in (2, 3, 6)]
    np.testing.assert_allclose(found, found[-1], rtol=0.05)


def test_the_direction_softmax_sees_geometry_only(small_model: FaceModel) -> None:
    """Loud codes that move nothing must not drown the quiet ones that do."""
    quiet = people_along(small_model, slice(0, 6), 2.0)
    loud = quiet.clone()
    noise = np.random.default_rng(2).normal(0, 8.0, (len(quiet), 3))
    loud[:, 9:] += torch.tensor(noise)
    gap = {
        name: loss_of(small_model, loud)[name] - loss_of(small_model, quiet)[name] for name in ("code", "direction")
    }
    assert gap["code"] > 2 * gap["direction"]


@pytest.mark.parametrize("space", ["gaussian", "sphere"])
def test_the_prior_wants_people_spread_as_the_space_is(small_model: FaceModel, space: str) -> None:
    model = small_model.lifted() if space == "sphere" else small_model
    loss = SirLoss(model, 200).double()
    rng = np.random.default_rng(3)
    spread = torch.tensor(model.space.sample(200, rng).astype(float))
    crowded = model.space.project(0.3 * spread + 2.0)
    everyone = torch.arange(200)
    assert loss(spread, everyone)["prior"] < SirLoss(model, 200).double()(crowded, everyone)["prior"] - 0.2


def test_formulas() -> None:
    rng = np.random.default_rng(4)
    points, centers = rng.standard_normal((10, 3)), rng.standard_normal((4, 3))
    member = np.arange(10) % 4
    expected = ((points - centers[member]) ** 2).sum(1).mean() / 7
    tensors = [torch.tensor(value) for value in (points, centers, member)]
    assert within_scatter(*tensors, 7.0).item() == pytest.approx(expected)
    pairs = [max(0.0, 1 - ((a - b) ** 2).sum() / 5) ** 2 for i, a in enumerate(centers) for b in centers[i + 1 :]]
    assert between_scatter(tensors[1], 5.0).item() == pytest.approx(np.mean(pairs))
    assert between_scatter(torch.zeros(3, 2), 1.0).item() == 1
    assert gaussian_kl(torch.tensor(rng.standard_normal((200_000, 3)))).item() == pytest.approx(0, abs=1e-3)
    assert gaussian_kl(torch.full((5, 2), 2.0)).item() > 1
    assert relation_distance(tensors[0], 3 * tensors[0]).item() == pytest.approx(0, abs=1e-12)
    turned = torch.tensor(points @ np.linalg.qr(rng.standard_normal((3, 3)))[0])
    assert relation_distance(tensors[0], turned).item() == pytest.approx(0, abs=1e-12)


def test_one_persons_vectors_are_wanted_alike_whatever_the_teacher_thinks() -> None:
    vectors = torch.eye(4)
    vectors[1] = vectors[0]
    doubtful = torch.eye(4)  # a teacher that sees four people
    labels = torch.tensor([3, 3, -1, -1])
    assert relation_distance(vectors, doubtful, labels).item() == pytest.approx(0, abs=1e-12)
    assert relation_distance(vectors, doubtful).item() == pytest.approx(1 / 6)
    assert relation_distance(vectors, doubtful, torch.tensor([-1, -1, 5, 6])).item() == pytest.approx(1 / 6)


def test_relation_asks_likenesses_to_follow_the_teachers(small_model: FaceModel) -> None:
    codes = people_along(small_model, slice(0, 6), 4.0)
    loss = SirLoss(small_model, PEOPLE, SirWeights(relation=1.0)).double()
    agreeing = loss(codes, labels(), codes @ loss.factor)["relation"]
    shuffled = loss(codes, labels(), (codes @ loss.factor)[torch.randperm(len(codes))])["relation"]
    assert agreeing < 0.5 * shuffled


def test_relation_is_shared_between_codes_and_shapes(small_model: FaceModel) -> None:
    """A teacher that agrees with the shapes alone is followed in the share that shapes have."""
    codes, nobody = people_along(small_model, slice(0, 6), 4.0), torch.full_like(labels(), -1)
    by_share = []
    for shown in (0.0, 0.5, 1.0):
        loss = SirLoss(small_model, PEOPLE, SirWeights(relation=1.0, shown=shown)).double()
        by_share.append(loss(codes, nobody, codes @ loss.factor)["relation"].item())
    assert by_share[2] == pytest.approx(0, abs=1e-9)
    assert by_share[0] > 1e-3
    assert by_share[1] == pytest.approx(0.5 * (by_share[0] + by_share[2]))


def test_a_guess_counts_by_direction_and_where_the_teacher_was_asked(small_model: FaceModel) -> None:
    codes, loss = people_along(small_model, slice(0, 6), 1.0), SirLoss(small_model, PEOPLE).double()
    told = torch.randn(len(codes), 5, dtype=torch.float64)
    told[::2] = 0
    guess = 3 * told
    guess[::2] = torch.randn_like(guess[::2])
    nobody = torch.full_like(labels(), -1)
    assert loss(codes, nobody, told, guess=guess)["told"].item() == pytest.approx(0, abs=1e-9)
    assert loss(codes, nobody, told, guess=-guess)["told"].item() == pytest.approx(2)
    assert loss(codes, nobody, told)["told"].item() == 0


def test_gradients_are_those_of_finite_differences(small_model: FaceModel) -> None:
    loss = SirLoss(small_model, PEOPLE).double().train(False)
    codes = people_along(small_model, slice(0, 6), 1.0)[::3].clone().requires_grad_()
    teacher = torch.randn(len(codes), 5, dtype=torch.float64)
    for name in ("code", "direction", "within", "between", "prior", "relation"):
        assert torch.autograd.gradcheck(lambda c, n=name: loss(c, labels()[::3], teacher)[n], (codes,)), name


def test_unknown_people_do_not_count_and_an_empty_batch_is_0(small_model: FaceModel) -> None:
    torch.manual_seed(0)
    loss = SirLoss(small_model, PEOPLE).double().train(False)
    codes, who = people_along(small_model, slice(0, 6), 1.0), labels()
    hidden = who.clone()
    hidden[::2] = -1
    for name, value in loss(codes, hidden).items():
        assert value.item() == pytest.approx(loss(codes[1::2], who[1::2])[name].item()), name
    nobody = loss(codes, torch.full_like(who, -1))
    assert loss.total(nobody).item() == 0


def test_the_bank_remembers_who_is_not_in_the_batch(small_model: FaceModel) -> None:
    """A batch of one person alone still is pushed away from all that were seen before."""
    torch.manual_seed(0)
    loss = SirLoss(small_model, PEOPLE, SirWeights(momentum=0.5)).double()
    codes, who = people_along(small_model, slice(0, 6), 0.1), labels()
    alone = who == 0
    assert loss(codes[alone], who[alone])["between"].item() == 0
    loss(codes, who)
    again = codes[alone].clone().requires_grad_()
    pushed = loss(again, who[alone])["between"]
    assert pushed.item() > 0.5
    pushed.backward()
    assert again.grad.abs().sum() > 0
    before = loss.bank[1].clone()
    loss(codes[who == 1] + 1.0, who[who == 1])
    np.testing.assert_allclose(loss.bank[1], before + 0.5 * (codes[who == 1].mean(0) + 1.0 - before), atol=1e-9)
    np.testing.assert_allclose(loss.train(False)(codes, who)["within"].item(), loss(codes, who)["within"].item())


def test_what_counts_nothing_is_neither_computed_nor_asked_for(small_model: FaceModel) -> None:
    codes = people_along(small_model, slice(0, 6), 4.0).requires_grad_()
    whole, part = (SirLoss(small_model, PEOPLE, weights).double() for weights in (SirWeights(), SirWeights(code=0.0)))
    part.load_state_dict(whole.state_dict())
    found, left = whole(codes, labels()), part(codes, labels())
    assert left["code"].item() == 0
    assert found["code"].item() > 0
    rest = sum(value * getattr(SirWeights(), name) for name, value in found.items() if name != "code")
    assert part.total(left).item() == pytest.approx(rest.item())

"""What several photos of a person say together: laws of the fused posterior, and of who belongs to whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from likeness.model.face_model import FaceModel
from likeness.reconstruct.agreement import ALBUM, PLAIN, Agreement, probability, resemblance
from likeness.reconstruct.grouping import TRACKS, groups, halves, margins, members, track_groups
from likeness.reconstruct.grouping import between as odds_between
from likeness.reconstruct.mixed import chance_of_one


@pytest.fixture(scope="module")
def agreement(small_model: FaceModel) -> Agreement:
    return Agreement.of(small_model)


def codes_of(agreement: Agreement, count: int, seed: int, truth: np.ndarray | None = None) -> np.ndarray:
    """Posterior means (N, K) of single photos of one person, drawn from the model of the module's docstring."""
    rng, known, stable = np.random.default_rng(seed), agreement.known, agreement.stable
    shared, own = stable / known - 1, (1 - stable) / known  # t and r
    if truth is None:
        truth = rng.standard_normal(len(known))
    error = np.sqrt(np.maximum(shared, 0)) * rng.standard_normal(len(known))
    seen = truth + error + np.sqrt(own) * rng.standard_normal((count, len(known)))
    return (known * seen) @ agreement.axes.T


def variance(agreement: Agreement, covariance: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ik,ij,jk->k", agreement.axes, covariance, agreement.axes))


@pytest.mark.parametrize("precision", [0.4, 1.0, 2.5])
def test_one_photo_keeps_its_code(agreement: Agreement, precision: float) -> None:
    code = codes_of(agreement, 1, 0)
    np.testing.assert_allclose(agreement.fuse(code, [precision]).code, code[0], atol=1e-12)


def test_the_order_of_photos_does_not_matter(agreement: Agreement) -> None:
    codes, precision = codes_of(agreement, 7, 1), np.random.default_rng(1).uniform(0.4, 2.5, 7)
    order = np.random.default_rng(2).permutation(7)
    one, other = agreement.fuse(codes, precision), agreement.fuse(codes[order], precision[order])
    np.testing.assert_allclose(one.code, other.code, atol=1e-12)
    np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-12)
    np.testing.assert_allclose(one.precision[order], other.precision, atol=1e-12)


def test_a_photo_given_three_times_is_one_photo(agreement: Agreement) -> None:
    codes, precision = codes_of(agreement, 4, 2), np.array([0.5, 1.0, 1.5, 2.0])
    rows = [0, 1, 2, 3, 1, 1]
    once, thrice = agreement.fuse(codes, precision), agreement.fuse(codes[rows], precision[rows])
    np.testing.assert_allclose(thrice.code, once.code, atol=1e-9)
    np.testing.assert_allclose(thrice.covariance, once.covariance, atol=1e-9)
    assert thrice.effective == pytest.approx(once.effective)


def test_every_photo_makes_it_surer_and_endlessly_many_leave_a_doubt(agreement: Agreement) -> None:
    codes = codes_of(agreement, 200, 3)
    fused = [agreement.fuse(codes[:count]) for count in (1, 2, 4, 8, 16, 200)]
    spread = np.array([variance(agreement, one.covariance) for one in fused])
    assert (np.diff(spread, axis=0) < 0).all()
    assert (np.diff([one.effective for one in fused]) > 0).all()
    limit = 1 - np.minimum(agreement.known / agreement.stable, 1 - 1e-3)
    assert (spread[-1] > limit - 1e-9).all()
    np.testing.assert_allclose(variance(agreement, fused[0].covariance), 1 - agreement.known, atol=1e-9)


@pytest.mark.parametrize("trust", [0.7, 0.9])
def test_the_posterior_is_calibrated_where_its_model_holds(trust: float) -> None:
    """Truth about the mean spreads as the covariance says, and no multiple of the mean would be nearer."""
    size, count, people = 6, 4, 4000
    stable = np.full(size, 0.7)
    agreement = Agreement(np.eye(size), np.full(size, 30.0), np.full(size, 0.4), stable, np.full(size, trust))
    rng = np.random.default_rng(4)
    truths = rng.standard_normal((people, size))
    fused = [agreement.fuse(codes_of(agreement, count, 10 + n, truth)) for n, truth in enumerate(truths)]
    means = np.array([one.code for one in fused])
    missed = (truths - means).var(0)
    # Photos that happen to be alike count less: the mean variance is what is stated on average.
    stated = np.mean([variance(agreement, one.covariance) for one in fused], axis=0)
    np.testing.assert_allclose(missed, stated, rtol=0.08)
    slope = (truths * means).sum() / (means**2).sum()
    if trust == 0.7:
        assert slope == pytest.approx(1.0, abs=0.05)
    else:
        assert slope > 1.05  # too shy, as asked for


def test_precisions_must_fit(agreement: Agreement) -> None:
    codes = codes_of(agreement, 3, 5)
    for bad in ([1.0, 1.0], [1.0, 0.0, 1.0]):
        with pytest.raises(ValueError, match="3, 12"):
            agreement.fuse(codes, bad)
    with pytest.raises(ValueError, match="expected codes"):
        agreement.fuse(codes[:0])


def crowd(counts: list[int], seed: int, likeness: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Resemblance (M, M) of faces of as many people as there are counts, and who each is."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(counts)), counts)
    people = rng.standard_normal((len(counts), 64))
    codes = np.sqrt(likeness) * people[who] + np.sqrt(1 - likeness) * rng.standard_normal((len(who), 64))
    return resemblance(codes, 3.0 * codes), who


def test_groups_are_the_people(agreement: Agreement) -> None:
    alike, who = crowd([5, 3, 1, 6], 6)
    photo = np.arange(len(who))
    np.testing.assert_array_equal(groups(alike, photo), who)
    assert (margins(alike, photo, who) > 1).all()
    order = np.random.default_rng(7).permutation(len(who))
    found = groups(alike[np.ix_(order, order)], photo)
    assert len({(a, b) for a, b in zip(found, who[order], strict=True)}) == 4


def test_two_faces_of_a_photo_are_two_people() -> None:
    alike = np.ones((4, 4))
    found = groups(alike, np.array([0, 0, 1, 1]))
    assert found[0] != found[1]
    assert found[2] != found[3]


def test_a_face_between_two_people_is_unsure() -> None:
    codes = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3 + [[1.0, 1.0]])
    found = margins(resemblance(codes), np.arange(7), np.array([0, 0, 0, 1, 1, 1, 1]))
    assert abs(found[6]) < 1e-9
    assert found[:6].min() > 1
    alone = margins(resemblance(codes), np.arange(7), np.array([0, 0, 0, 1, 1, 1, 2]))
    assert alone[6] < 0  # nobody else, though it resembles both


@pytest.mark.parametrize("seed", range(4))
def test_three_strangers_of_eight_are_left_out(seed: int) -> None:
    alike, who = crowd([5, 1, 1, 1] if seed % 2 else [5, 3], seed)
    found, odds = members(alike, np.arange(8), groups(alike, np.arange(8)) == 0)
    np.testing.assert_array_equal(found, who == 0)
    assert (odds[who == 0] > 0).all()
    assert (odds[who != 0] < 0).all()


def test_of_several_faces_in_a_photo_the_one_that_belongs_is_taken() -> None:
    alike, who = crowd([4, 3], 8)
    photo = np.array([0, 1, 2, 3, 0, 1, 2])  # somebody else is in three of the four photos, too
    found, _ = members(alike, photo, who == 0)
    np.testing.assert_array_equal(found, who == 0)


def test_evidence_grows_with_resemblance_and_with_photos() -> None:
    assert PLAIN(PLAIN.same, 1.0) > 0 > PLAIN(0.0, 1.0)
    assert PLAIN(PLAIN.same, 9.0) > PLAIN(PLAIN.same, 1.0)
    assert probability(0.0) == 0.5
    assert 0 <= probability(-1e9) < 1e-9


def test_groups_of_tracks_are_the_people_in_any_order_and_those_seen_at_once_stay_apart(agreement: Agreement) -> None:
    alike, who = crowd([5, 3, 1, 6], 6)
    apart = np.eye(len(who), dtype=bool)
    np.testing.assert_array_equal(track_groups(alike, apart), who)
    order = np.random.default_rng(7).permutation(len(who))
    found = track_groups(alike[np.ix_(order, order)], apart)
    assert len({(a, b) for a, b in zip(found, who[order], strict=True)}) == 4
    apart[0, 1] = apart[1, 0] = True
    found = track_groups(alike, apart)
    assert found[0] != found[1]
    assert len(np.unique(found)) == 5


@pytest.mark.parametrize(("one", "other"), [(1, 1), (1, 6), (5, 5)])
def test_groups_of_tracks_merge_by_the_same_resemblance_however_many_they_are(one: int, other: int) -> None:
    least = 0.5 * (PLAIN.same + PLAIN.other) + TRACKS * (PLAIN.same - PLAIN.other)
    who = np.repeat([0, 1], [one, other])
    usual = np.where(who[:, None] == who[None], PLAIN.same, 0.0)
    for between, people in ((least - 0.01, 2), (least + 0.01, 1)):
        alike = usual + np.where(who[:, None] != who[None], between, 0.0)
        np.fill_diagonal(alike, 1.0)
        assert len(np.unique(track_groups(alike, np.eye(len(who), dtype=bool)))) == people


def test_among_more_faces_it_takes_more_evidence() -> None:
    crowded = replace(PLAIN, crowded=0.5)
    assert PLAIN.among(10) == PLAIN.among(1000) == PLAIN.grouped
    assert crowded.among(ALBUM) == crowded.grouped
    assert crowded.among(10 * ALBUM) == pytest.approx(crowded.grouped - 0.5 * np.log(10))
    alike, _ = crowd([2, 2], 3, likeness=0.5)
    lonely = np.zeros((200, 200))
    lonely[:4, :4] = alike
    strict = replace(crowded, grouped=-3.0, crowded=3.0)
    assert len(set(groups(alike, np.arange(4), evidence=strict))) < 4  # among few faces they are found
    assert len(set(groups(lonely, np.arange(200), evidence=strict)[:4])) == 4


@pytest.mark.parametrize("order", [range(9), [8, 0, 4, 2, 6, 1, 3, 7, 5]])
def test_two_people_who_were_taken_for_one_are_the_halves_of_their_group(order: list[int]) -> None:
    alike = np.full((9, 9), 0.36)
    alike[:5, :5] = alike[5:, 5:] = 0.6
    alike += 0.02 * np.cos(np.add.outer(np.arange(9), np.arange(9)))
    alike = alike[np.ix_(order, order)]
    odds, smaller = halves(alike, PLAIN)
    part = np.array([int(one >= 5) for one in order])
    assert smaller == 4
    assert odds == pytest.approx(odds_between(alike, part, PLAIN)[0, 1])
    one = np.where(part[:, None] == part, alike, 0.6)  # as alike as photos of one person
    assert halves(one, PLAIN)[0] > odds
    assert chance_of_one(one, PLAIN) > chance_of_one(alike, PLAIN)


def test_whether_a_group_is_two_people_is_asked_of_groups_only() -> None:
    assert chance_of_one(np.ones((1, 1)), PLAIN) == 1.0
    odds, smaller = halves(np.array([[1.0, -9.0], [-9.0, 1.0]]), PLAIN)
    assert (odds < 0, smaller) == (True, 1)
    many = np.where(np.subtract.outer(np.arange(12) // 6, np.arange(12) // 6) == 0, 0.6, 0.4)
    few = np.where(np.subtract.outer(np.arange(12) // 10, np.arange(12) // 10) == 0, 0.6, 0.4)
    assert chance_of_one(many, PLAIN) < chance_of_one(few, PLAIN)  # two of twelve that differ are odd photos

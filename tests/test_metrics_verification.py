"""Laws of face verification: the LFW protocol on sets with known answers, and lists that cannot be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import FileError
from likeness.metrics import Pairs, read_lfw_pairs, read_names, read_pair_csv, verify, verify_distances
from likeness.metrics.records import contiguous_folds
from likeness.metrics.verification import best_threshold
from likeness.model.face_model import FaceModel

PEOPLE = ("Ann", "Bob", "Cem", "Dee")


def lfw_file(folder: Path, folds: int = 3) -> Path:
    """In every fold two pairs of one person and two of two."""
    fold = ["Ann\t1\t2", "Bob\t1\t3", "Ann\t1\tCem\t2", "Bob\t2\tDee\t1"]
    path = folder / "pairs.txt"
    path.write_text("\n".join([f"{folds}\t2", *fold * folds]) + "\n")
    return path


def directions(noise: float = 0.0) -> dict[str, np.ndarray]:
    """Three photos a person: their own axis, and some noise."""
    rng = np.random.default_rng(0)
    return {
        f"{person}/{person}_{photo:04d}": np.eye(4)[number] + noise * rng.standard_normal(4)
        for number, person in enumerate(PEOPLE)
        for photo in (1, 2, 3)
    }


def test_lfw_pairs_are_read_as_written(tmp_path: Path) -> None:
    pairs = read_lfw_pairs(lfw_file(tmp_path))
    assert pairs.first[:4] == ("Ann/Ann_0001", "Bob/Bob_0001", "Ann/Ann_0001", "Bob/Bob_0002")
    assert pairs.second[:4] == ("Ann/Ann_0002", "Bob/Bob_0003", "Cem/Cem_0002", "Dee/Dee_0001")
    assert pairs.same.tolist() == [True, True, False, False] * 3
    assert pairs.fold.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(pairs.names()) == 7


def test_a_list_without_folds_is_dealt_out(tmp_path: Path) -> None:
    path = tmp_path / "pairsDevTest.txt"
    path.write_text("12\n" + "Ann 1 2\n" * 12 + "Ann 1 Bob 1\n" * 12)
    pairs = read_lfw_pairs(path)
    assert np.bincount(pairs.fold).tolist() == [4, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert (np.bincount(pairs.fold, pairs.same) == np.bincount(pairs.fold) / 2).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("ten\t300\n", "line 1"),
        ("3\t2\nAnn\t1\t2\n", "expected 12 pairs"),
        ("1\t1\nAnn\t1\nAnn\t1\tBob\t1\n", "line 2: expected 'name i j'"),
        ("1\t1\nAnn\t1\t2\nAnn\t1\tBob\tx\n", "line 3: expected 'name i j' or 'name i other j', got 'Ann 1 Bob x'"),
    ],
)
def test_bad_lfw_lists_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        read_lfw_pairs(path)


def test_missing_and_binary_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_lfw_pairs(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(FileError, match="as text"):
        read_pair_csv(tmp_path / "binary.txt")


def test_csv_columns_are_found_by_title(tmp_path: Path) -> None:
    path = tmp_path / "splits.txt"
    path.write_text(
        "split number, pair number, first name, second name, is same\n2, 1, a/0, b/1, 0\n1, 2, a/0, a/3, 1\n"
    )
    pairs = read_pair_csv(path)
    assert (pairs.first, pairs.second) == (("a/0", "a/0"), ("b/1", "a/3"))
    assert pairs.same.tolist() == [False, True]
    assert pairs.fold.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n", "first, second, same missing"),
        ("first,second\na,b\n", "same missing"),
        ("first,second,same\n", "no pairs"),
        ("first,second,same\na,b,1\n\na,,0\n", "line 4"),
        ("first,second,same\na,b,maybe\n", "line 2: expected same to be 0 or 1, got 'maybe'"),
    ],
)
def test_bad_csv_lists_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        read_pair_csv(path)


@pytest.mark.parametrize("measure", ["cosine", "euclidean", "angle"])
def test_separable_people_are_verified_perfectly(tmp_path: Path, measure: str) -> None:
    found = verify(read_lfw_pairs(lfw_file(tmp_path)), directions(0.02), measure=measure)
    assert (found.accuracy, found.standard_error, found.auc, found.eer) == (1, 0, 1, 0)
    assert (found.pairs, found.same_pairs, found.listed_pairs, found.excluded) == (12, 6, 12, ())
    assert found.true_accept[0.1] is None  # six pairs of two people
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_protocol_by_hand() -> None:
    """Two folds whose best thresholds differ: each is judged by the other's."""
    distances = np.array([1.0, 3.0, 2.0, 4.0, 1.0, 2.0, 5.0, 6.0])
    same = np.array([True, True, False, False, True, True, False, False])
    pairs = Pairs(tuple("abcdefgh"), tuple("ABCDEFGH"), same, np.repeat([0, 1], 4))
    found = verify_distances(pairs, distances, "by hand")
    # Fold 1 is split perfectly between 2 and 5: 3.5. It judges fold 0: 1 yes, 3 yes, 2 wrongly yes, 4 no.
    # Fold 0 is best at 1.5, 2.5 is worse, 3.5 as good: three of four right; the middle of {1.5, 3.5} is 3.5.
    assert found.fold_thresholds == (3.5, 3.5)
    assert found.fold_accuracies == (0.75, 1.0)
    assert found.accuracy == 0.875
    assert found.standard_error == pytest.approx(0.125)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_no_threshold_is_better(pairs: list[tuple[int, bool]]) -> None:
    distances, same = np.array([float(d) for d, _ in pairs]), np.array([s for _, s in pairs])
    found = best_threshold(distances, same)
    best = max(((distances <= t) == same).sum() for t in np.arange(-1, 8) + 0.5)
    assert ((distances <= found) == same).sum() == best


def test_templates_are_fused_and_beat_their_frames(tmp_path: Path) -> None:
    pairs = read_lfw_pairs(lfw_file(tmp_path, folds=10))
    rng = np.random.default_rng(1)
    still = directions()
    frames = {name: code + 0.9 * rng.standard_normal((60, 4)) for name, code in still.items()}
    single = verify(pairs, {name: codes[0] for name, codes in frames.items()})
    fused = verify(pairs, frames)
    assert fused.accuracy == 1
    assert fused.accuracy > single.accuracy


def test_a_template_is_fused_as_the_space_does(small_model: FaceModel) -> None:
    model = small_model.lifted()
    rng = np.random.default_rng(0)
    template, others = model.space.sample(3, rng), model.space.sample(3, rng)
    pairs = Pairs(("a", "a"), ("b", "c"), np.array([True, False]), np.arange(2))
    codes = {"a": template, "b": others[0], "c": others[1]}
    by_template = verify(pairs, codes, measure="angle", model=model)
    by_hand = verify(pairs, {**codes, "a": model.space.fuse(template)}, measure="angle", model=model)
    assert by_template.fold_thresholds == pytest.approx(by_hand.fold_thresholds)


def test_geometry_is_measured_in_millimetres(small_model: FaceModel) -> None:
    codes = small_model.space.sample(4, np.random.default_rng(0)).astype(np.float64)
    pairs = Pairs(("a", "a"), ("b", "c"), np.array([True, False]), np.arange(2))
    named = dict(zip("abc", codes, strict=False))
    found = verify(pairs, named, measure="geometry", model=small_model)
    apart = [small_model.metric.distance(codes[0], codes[k]) for k in (1, 2)]
    assert np.isfinite(found.roc.threshold[1:]).all()
    np.testing.assert_allclose(found.roc.threshold[1:], np.sort(apart), rtol=1e-9)
    with pytest.raises(ValueError, match="face model"):
        verify(pairs, named, measure="geometry")


def test_missing_photos_are_listed_not_dropped(tmp_path: Path) -> None:
    codes = directions()
    del codes["Dee/Dee_0001"]
    found = verify(read_lfw_pairs(lfw_file(tmp_path)), codes)
    assert (found.pairs, found.listed_pairs, len(found.excluded)) == (9, 12, 3)
    assert found.excluded[0].item == "Bob/Bob_0002 | Dee/Dee_0001"
    assert found.excluded[0].reason == "no code of Dee/Dee_0001"
    with pytest.raises(ValueError, match="none for any of 12 pairs"):
        verify(read_lfw_pairs(lfw_file(tmp_path)), {"other": np.ones(4)})


def test_an_emptied_fold_is_listed() -> None:
    pairs = Pairs(
        ("a", "a", "a", "a", "x"),
        ("b", "c", "b", "c", "y"),
        np.array([1, 0, 1, 0, 1], bool),
        np.array([0, 0, 1, 1, 2]),
    )
    found = verify(pairs, {"a": np.array([1.0, 0]), "b": np.array([1.0, 0.1]), "c": np.array([0.0, 1])})
    assert [record.item for record in found.excluded] == ["x | y", "fold 2"]
    assert found.fold_pairs == (2, 2)


def test_people_to_exclude(tmp_path: Path) -> None:
    names = tmp_path / "exclude.txt"
    names.write_text("# known to the training\nDee\n\nBob/Bob_0003\n")
    found = verify(read_lfw_pairs(lfw_file(tmp_path)), directions(), exclude=read_names(names))
    assert found.pairs == 6
    assert len(found.excluded) == found.listed_pairs - found.pairs
    assert "Dee/Dee_0001 is on the list" in found.excluded[1].reason
    with pytest.raises(ValueError, match="all 12 name someone excluded"):
        verify(read_lfw_pairs(lfw_file(tmp_path)), directions(), exclude=["Ann", "Bob"])


def test_bad_codes_are_named(tmp_path: Path) -> None:
    pairs = read_lfw_pairs(lfw_file(tmp_path))
    with pytest.raises(ValueError, match="codes of Ann/Ann_0002, got 1 rows"):
        verify(pairs, {**directions(), "Ann/Ann_0002": np.array([1.0, np.nan, 0, 0])})
    with pytest.raises(ValueError, match="4 numbers, got 3 for Ann/Ann_0002"):
        verify(pairs, {**directions(), "Ann/Ann_0002": np.ones(3)})


def test_pairs_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(ValueError, match="got none"):
        Pairs((), (), np.zeros(0, bool), np.zeros(0, int))
    one = Pairs(("a", "c"), ("b", "d"), np.array([True, True]), np.arange(2))
    with pytest.raises(ValueError, match="2 of 2 of one"):
        verify_distances(one, np.arange(2.0), "x")
    fold = Pairs(("a", "c"), ("b", "d"), np.array([True, False]), np.zeros(2, int))
    with pytest.raises(ValueError, match="at least two folds"):
        verify_distances(fold, np.arange(2.0), "x")
    with pytest.raises(ValueError, match="not finite"):
        verify_distances(fold, np.array([1, np.nan]), "x")


def test_contiguous_folds_are_even() -> None:
    assert np.bincount(contiguous_folds(6000)).tolist() == [600] * 10
    assert np.bincount(contiguous_folds(25)).tolist() == [3, 2, 3, 2, 3, 2, 3, 2, 3, 2]

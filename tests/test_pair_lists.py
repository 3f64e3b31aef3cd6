"""Lists of pairs as people have them: all spellings of one list give the same pairs, and the same faces."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluate_data import predictor, write_photos

from likeness import FaceModel, FileError
from likeness.datasets.pair_lists import _lines, _of_columns, _of_lines, read_pairs
from likeness.evaluate.collection import Collection
from likeness.evaluate.pair_rows import matched, rows_by_name
from likeness.evaluate.run import evaluate
from likeness.evaluate.settings import Verification
from likeness.metrics.records import Pairs

FIRST, SECOND, SAME = ["p1", "p2", "p1", "p2"], ["p1", "p2", "p2", "p3"], [True, True, False, False]


def photo(person: str, number: int) -> str:
    return f"{person}/{person}_{number:04d}"


LFW = ["p1 1 2", "p2 1 2", "p1 1 p2 2", "p2 1 p3 2"]
FLAGGED = [f"{photo(a, 1)}.jpg {photo(b, 2)}.jpg {int(same)}" for a, b, same in zip(FIRST, SECOND, SAME, strict=True)]


def swapped(text: str, separator: str) -> str:
    return text.replace(" ", separator)


LISTS = {
    "head.txt": "\n".join(["1 2", *LFW]),
    "tabs.txt": swapped("\n".join(["2", *LFW]), "\t"),
    "bare.txt": "\r\n".join(LFW) + "\r\n",
    "mark.txt": "\ufeff" + "\n".join(LFW),
    "other_order.txt": "\n".join(["1 2", *LFW[2:], *LFW[:2]]),
    "kaggle.csv": "name,imagenum1,imagenum2,\n"
    + swapped("\n".join([*(f"{row} " for row in LFW[:2]), *LFW[2:]]), ","),
    "blank_columns.csv": "name,imagenum1,imagenum2,,\n" + swapped("\n".join(f"{row}  " for row in LFW), ","),
    "counted.csv": ",name,imagenum1,imagenum2,\n"
    + "\n".join(f"{n},{swapped(row, ',')}" for n, row in enumerate(LFW)),
    "arcface.txt": "\n".join(FLAGGED),
    "arcface.csv": swapped("\n".join(FLAGGED), ","),
    "semicolons.csv": "file1;file2;label\n" + swapped("\n".join(FLAGGED), ";"),
    "titled_tabs.tsv": "first\tsecond\tsame\n" + swapped("\n".join(FLAGGED), "\t"),
    "odd_titles.csv": "photo a,photo b,match\n" + swapped("\n".join(FLAGGED), ","),
    "flag_first.txt": "\n".join(" ".join([row.split()[2], *row.split()[:2]]) for row in FLAGGED),
    "minus.txt": "\n".join(row[:-1] + "-1" if row.endswith("0") else row for row in FLAGGED),
    "words.csv": swapped("\n".join(FLAGGED), ",").replace(",1", ",same").replace(",0", ",different"),
    "two_lines.txt": "\n".join(
        f"{name} {flag}" for row in FLAGGED for *names, flag in [row.split()] for name in names
    ),
    "comment.txt": "# made by hand\n\n" + "\n".join(FLAGGED),
    "backslashes.txt": "\n".join(FLAGGED).replace("/", "\\"),
    "folders.txt": "\n".join(FLAGGED)
    .replace("p1/", "data/lfw/p1/")
    .replace("p2/", "data/lfw/p2/")
    .replace("p3/", "data/lfw/p3/"),
    "blanks.txt": "\n".join(FLAGGED)
    .replace("p1/", "my set/p1/")
    .replace("p2/", "my set/p2/")
    .replace("p3/", "my set/p3/"),
    "absolute.txt": "\n".join("/elsewhere/lfw/" + row.replace(" p", " /elsewhere/lfw/p") for row in FLAGGED),
    "no_suffix.txt": "\n".join(FLAGGED).replace(".jpg", ""),
    "uppercase.txt": "\n".join(FLAGGED).replace(".jpg", ".JPG"),
    "flat.txt": "\n".join(FLAGGED).replace("p1/", "").replace("p2/", "").replace("p3/", ""),
}


def collection(names: list[str], labels: list[str] | None = None) -> Collection:
    who = labels or [name.split("/")[-2] if "/" in name else "" for name in names]
    return Collection("codes", tuple(names), np.array(who), None, codes=np.eye(len(names)))


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("wrapper", ["", "lfw/", "lfw-deepfunneled/lfw-deepfunneled/"])
def test_every_spelling_means_the_same_pairs(tmp_path: Path, name: str, wrapper: str) -> None:
    (tmp_path / name).write_text(LISTS[name], encoding="utf-8", newline="")
    pairs = read_pairs(tmp_path / name)
    faces = collection([wrapper + photo(p, n) for p in ("p1", "p2", "p3") for n in (1, 2, 3)])
    rows = rows_by_name(pairs, faces)
    found = {
        (faces.names[int(rows[a][0])].removeprefix(wrapper), faces.names[int(rows[b][0])].removeprefix(wrapper), same)
        for a, b, same in zip(pairs.first, pairs.second, pairs.same.tolist(), strict=True)
    }
    assert found == {(photo(a, 1), photo(b, 2), same) for a, b, same in zip(FIRST, SECOND, SAME, strict=True)}
    assert matched(pairs, rows, faces) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "is empty"),
        ("a\nb\nc\n", "line 2: expected lines"),
        ("p1 1 2\np1 1 p2\np2 1 2\n", "line 2: expected 'name i j'"),
        ("2 2\np1 1 2\np1 1 p2 1\n", r"expected 8 pairs \(2 x 2 x 2\), got 2"),
        ("a.jpg b.jpg 1\na.jpg c.jpg maybe\nd.jpg e.jpg 0\n", "line 2: expected 'photo photo 1'"),
        ("a.jpg 1\nb.jpg 1\nc.jpg 0\n", "two lines a pair, got 3"),
        ("a.jpg 1\nb.jpg 0\nc.jpg 0\nd.jpg 0\n", "line 2: expected 1"),
        ("a.jpg\0b.jpg 1\n", "as text"),
    ],
)
def test_lists_of_no_kind_say_what_is_expected(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(FileError, match=message):
        read_pairs(tmp_path / "pairs.txt")


WORDS = ["a.jpg", "b/0001.png", "1", "0", "same", "2", "37", "000012", "first", "second", "label", "fold", "x"]


def made_list(rng: random.Random) -> str:
    """Lines of one kind or of several, or of none."""
    words, counts, flags = rng.sample(WORDS, 4), ["1", "2", "12", "0"], ["1", "0", "same", "no"]
    width = rng.randint(2, 5)
    kinds: list[Callable[[], list[str]]] = [
        lambda: rng.choices(words, k=2) + [rng.choice(flags[:2])],
        lambda: rng.choices(words, k=2) + [rng.choice(flags)],
        lambda: rng.choices(words, k=2) + [rng.choice(flags), rng.choice(counts)],
        lambda: [rng.choice(words), *rng.choices(counts, k=2)],
        lambda: [rng.choice(words), rng.choice(counts), rng.choice(words), rng.choice(counts)],
        lambda: [rng.choice(words), rng.choice(flags[:2])],
        lambda: rng.choices(words, k=width),
        lambda: rng.choices(words, k=rng.randint(0, 4)),
    ]
    chosen = rng.sample(kinds, rng.choice([1, 1, 1, 2]))
    rows = [rng.choice(chosen)() for _ in range(rng.randint(0, 7))]
    heads = [["first", "second", "label", "fold"], ["file1", "file2", "same"], ["index", "a", "b", "same"]]
    rows = [rng.choice([*heads, ["1", "2"], ["2"], ["a", "b", "c"]]), *rows] if rng.random() < 0.5 else rows
    separator, end = rng.choice([" ", "\t", ",", ";", ", "]), rng.choice(["\n", "\n", "\r\n", "\n\n"])
    return end.join(separator.join(row) for row in rows) + rng.choice(["", end]) or "\n"


def test_whole_columns_say_what_single_lines_say(tmp_path: Path) -> None:
    """Any list gives the same pairs, or the same message."""
    rng, path, by_columns = random.Random(0), tmp_path / "pairs.txt", 0
    for _ in range(1500):
        text = made_list(rng)
        path.write_text(text, newline="")
        assert told(lambda: read_pairs(path)) == told(lambda text=text: _of_lines(path, _lines(path, text))), text
        by_columns += _of_columns(text) is not None
    assert by_columns > 100


def told(read: Callable[[], Pairs]) -> object:
    try:
        pairs = read()
    except FileError as error:
        return str(error)
    return pairs.first, pairs.second, pairs.same.tolist(), pairs.fold.tolist()


def test_plain_lists_are_read_by_columns(tmp_path: Path) -> None:
    """Or millions of lines would take long; those with something odd in them may."""
    by_columns = {name for name, text in LISTS.items() if _of_columns(text) is not None}
    assert by_columns >= {"head.txt", "tabs.txt", "bare.txt", "arcface.txt", "arcface.csv", "titled_tabs.tsv"}
    assert by_columns >= {"semicolons.csv", "odd_titles.csv", "flag_first.txt", "words.csv", "two_lines.txt"}


def test_folds_are_kept(tmp_path: Path) -> None:
    (tmp_path / "lfw.txt").write_text("2 1\np1 1 2\np1 1 p2 1\np2 1 2\np2 1 p1 2\n")
    (tmp_path / "flags.txt").write_text("a.jpg b.jpg 1 7\na.jpg c.jpg 0 7\nb.jpg a.jpg 1 3\nb.jpg c.jpg 0 3\n")
    assert read_pairs(tmp_path / "lfw.txt").fold.tolist() == [0, 0, 1, 1]
    assert read_pairs(tmp_path / "flags.txt").fold.tolist() == [1, 1, 0, 0]


def test_numbers_alone_are_lfw_where_they_count_from_one(tmp_path: Path) -> None:
    (tmp_path / "numbers.txt").write_text("000001 2 1\n000002 1 1\n")
    assert read_pairs(tmp_path / "numbers.txt").first == ("000001/000001_0002", "000002/000002_0001")
    (tmp_path / "flags.txt").write_text("000001 000002 1\n000003 000004 0\n")
    assert read_pairs(tmp_path / "flags.txt").first == ("000001", "000003")


def pairs_of(*names: tuple[str, str]) -> Pairs:
    return Pairs(
        tuple(a for a, _ in names), tuple(b for _, b in names), np.ones(len(names), bool), np.zeros(len(names), int)
    )


def test_numbered_photos_of_other_sets_are_found() -> None:
    faces = collection(["casia/0000045/001", "casia/0000045/010", "casia/0000099/001"])
    rows = rows_by_name(pairs_of(("0000045/0000045_0001", "0000045/0000045_0010")), faces)
    assert {name: found.tolist() for name, found in rows.items()} == {
        "0000045/0000045_0001": [0],
        "0000045/0000045_0010": [1],
    }


def test_no_face_is_taken_for_another() -> None:
    """A photo that is not here, or has no face, is not the only other one that ends alike."""
    faces = collection(["p1/0001", "p2/0002"])
    assert "p9/0001" not in rows_by_name(pairs_of(("p9/0001", "p2/0002")), faces)
    assert "x/p9/0001" not in rows_by_name(pairs_of(("x/p9/0001", "x/p2/0002")), faces)
    two_sets = rows_by_name(pairs_of(("a/p1/0001", "b/p1/0001"), ("a/p2/0002", "a/p1/0001")), faces)
    assert set(two_sets) == {"a/p2/0002"}
    from dataclasses import replace

    from likeness.errors import Excluded

    gone = replace(faces, excluded=(Excluded("p3/0001", "no face found"),))
    assert "0001" not in rows_by_name(pairs_of(("0001", "p2/0002")), gone)
    assert "p3/0001" not in rows_by_name(pairs_of(("p3/0001", "p2/0002")), gone)


def test_templates_are_people_and_clips() -> None:
    faces = Collection(
        "codes",
        ("p1/a/1", "p1/a/2", "p1/b/1", "q/1"),
        np.array(["p1", "p1", "p1", "q"]),
        np.array(["p1/a", "p1/a", "p1/b", "c"]),
        codes=np.eye(4),
    )
    rows = rows_by_name(pairs_of(("p1", "p1/a"), ("q/c", "p1/b")), faces)
    assert {name: found.tolist() for name, found in rows.items()} == {
        "p1": [0, 1, 2],
        "p1/a": [0, 1],
        "q/c": [3],
        "p1/b": [2],
    }


def test_what_does_not_match_is_told(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 3, 3)
    lines = [f"p{p}/0.png p{p}/1.png 1" for p in range(3)] + [f"p{p}/0.png p{(p + 1) % 3}/2.png 0" for p in range(3)]
    (tmp_path / "some.txt").write_text("\n".join([*lines, "p7/0.png p0/1.png 0"]))
    (tmp_path / "none.txt").write_text("x/1.png y/1.png 1\nx/1.png z/1.png 0\n")
    command = Verification(input=folder, pairs=tmp_path / "some.txt", out=tmp_path / "some")
    found = evaluate(command, predictor=predictor(small_model)[0])
    assert found.outcome.notes[0].startswith("6 of 7 pairs measured; 1 left out, the first: p7/0.png | p0/1.png")
    command = Verification(input=folder, pairs=tmp_path / "none.txt", out=tmp_path / "none")
    with pytest.raises(ValueError, match=r"got none of 2 .* missing are x/1\.png, .* here are p0/0, p0/1"):
        evaluate(command, predictor=predictor(small_model)[0])


def test_flat_photos_of_nobody_known_are_verified_by_their_list(small_model: FaceModel, tmp_path: Path) -> None:
    """CALFW, CPLFW and AgeDB lie in one folder."""
    (tmp_path / "aligned images").mkdir()
    for file in write_photos(tmp_path / "photos", 3, 2).rglob("*.png"):
        file.rename(tmp_path / "aligned images" / f"{file.parent.name}_{file.name}")
    text = "".join(f"p{p}_0.png 1\np{p}_1.png 1\n" for p in range(3))
    text += "".join(f"p{p}_0.png 0\np{(p + 1) % 3}_1.png 0\n" for p in range(3))
    (tmp_path / "pairs_CPLFW.txt").write_text(text)
    command = Verification(
        input=tmp_path / "aligned images", pairs=tmp_path / "pairs_CPLFW.txt", out=tmp_path / "out"
    )
    found = evaluate(command, predictor=predictor(small_model)[0])
    assert all(part["pairs"] == 6 for part in found.results["measures"].values())


def test_a_line_without_end_is_soon_read(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("a " * 60_000)
    with pytest.raises(FileError, match="line 1: expected"):
        read_pairs(tmp_path / "long.txt")


def test_flags_as_tables_with_gaps_write_them(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("a,b,label\nx,y,1.0\nx,z,0.0\n")
    assert read_pairs(tmp_path / "pairs.csv").same.tolist() == [True, False]

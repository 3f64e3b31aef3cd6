"""`likeness evaluate` from input to results.json and report.html: laws on made data, and every bad input."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate_data import (
    annotated,
    codes_of,
    drawing,
    photo,
    predictor,
    result,
    tetrahedron,
    write_meshes,
    write_photos,
    write_results,
)

from likeness import FaceModel, LikenessError, cli
from likeness.evaluate import run as run_module
from likeness.evaluate.collection import Collection
from likeness.evaluate.pair_examples import alike_strangers, made_pairs, unlike_selves
from likeness.evaluate.panel import differences, limit_of, panel
from likeness.evaluate.run import Evaluation, evaluate
from likeness.evaluate.settings import Landmarks, Recognisability, Reconstruction, Space, Verification
from likeness.render.error_map import color_bar


def run(*arguments: object) -> int:
    try:
        cli.main(["evaluate", *(str(argument) for argument in arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def separable(path: Path, people: int = 8, each: int = 4, spread: float = 0.01, **more: np.ndarray) -> Path:
    """Codes whose people lie far apart."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(people), each)
    codes = rng.normal(size=(people, 12))[labels] + spread * rng.normal(size=(len(labels), 12))
    np.savez(path, **{"codes": codes, "labels": labels, **more})
    return path


class Page(HTMLParser):
    """Tables of a page, and everything that it points to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self.cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = True
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.cell:
            self.tables[-1][-1][-1] += unescape(data)


def check_files(out: Path) -> dict[str, Any]:
    """results.json, and report.html: one file, nothing outside it, the same tables."""
    results = json.loads((out / "results.json").read_text())
    text = (out / "report.html").read_text()
    page = Page(text)
    assert all(link.startswith("data:image/") for link in page.links)
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"url\(|@import|https?://", text)
    assert page.tables == [[table["columns"], *table["rows"]] for table in results["tables"]]
    for one in results["excluded"][:200]:
        assert one["item"] in unescape(text)
    assert sorted(path.name for path in out.glob("[!.]*") if path.name not in ("cache", "panel.png")) == [
        "report.html",
        "results.json",
    ]
    return results


def test_separable_codes_are_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recognisability", separable(tmp_path / "c.npz"), "-o", tmp_path / "out", "--bootstrap", 50) == 0
    results = check_files(tmp_path / "out")
    out = capsys.readouterr().out
    assert "1.000 [1.000, 1.000]" in out
    assert "report.html" in out
    for found in results["domains"].values():
        assert found["auc"]["value"] == 1
        assert found["rank1"]["value"] == 1
    assert results["tables"][0]["rows"][0][3] == "1.000 [1.000, 1.000]"
    assert results["input"] | {"kind": "codes", "people": 8, "used": 32, "excluded": 0} == results["input"]
    assert results["most_alike_strangers"][0]["distance"] > results["least_alike_of_one_person"][0]["distance"]


def test_tables_say_what_the_numbers_are(tmp_path: Path) -> None:
    path = separable(tmp_path / "c.npz", spread=1.0)
    results = evaluate(Recognisability(input=path, out=tmp_path / "out", bootstrap=50)).results
    rows = {row[0]: row for row in results["tables"][0]["rows"]}
    for name, found in results["domains"].items():
        for column, key, digits in ((1, "sir", 3), (2, "d_prime", 2), (3, "auc", 3), (4, "eer", 3), (5, "rank1", 3)):
            value, low, high = (f"{found[key][part]:.{digits}f}" for part in ("value", "low", "high"))
            assert rows[name][column] == f"{value} [{low}, {high}]"
    assert 0.5 < results["domains"]["code, cosine"]["auc"]["value"] < 1


def test_photos_results_and_codes_of_the_same_faces_agree(small_model: FaceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path / "model.npz")
    model = FaceModel.load(tmp_path / "model.npz")
    fake, counter = predictor(model)
    photos = Recognisability(input=write_photos(tmp_path / "photos"), out=tmp_path / "a", bootstrap=0)
    by_photos = evaluate(photos, predictor=fake).results
    check_files(tmp_path / "a")
    assert counter.calls == 9
    assert evaluate(photos, predictor=fake).cached == 9
    saved = write_results(tmp_path / "results", model, 3, 3)
    options: dict[str, Any] = {"model": tmp_path / "model.npz", "bootstrap": 0}
    by_results = evaluate(Recognisability(input=saved, out=tmp_path / "b", **options)).results
    pairs = [(person, number) for person in range(3) for number in range(3)]
    np.savez(tmp_path / "c.npz", codes=[codes_of(model, *p) for p in pairs], labels=[p for p, _ in pairs])
    by_codes = evaluate(Recognisability(input=tmp_path / "c.npz", out=tmp_path / "c", **options)).results
    for name in ("code, cosine", "code, euclidean", "geometry"):
        values = [found["domains"][name]["d_prime"]["value"] for found in (by_photos, by_results, by_codes)]
        np.testing.assert_allclose(values, values[0], rtol=1e-5)
    assert by_photos["gap"].keys() == {"code, cosine", "code, euclidean"}


def test_meshes_score_as_their_geometry(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_meshes(tmp_path / "meshes", small_model)
    tetrahedron().save(folder / "p0" / "other.obj")
    assert run("recognisability", folder, "-o", tmp_path / "out", "--bootstrap", 0) == 0
    results = check_files(tmp_path / "out")
    assert list(results["domains"]) == ["geometry"]
    assert results["domains"]["geometry"]["auc"]["value"] == 1
    assert [one["item"] for one in results["excluded"]] == ["p0/other.obj"]
    assert (tmp_path / "out" / "panel.png").read_bytes().startswith(b"\x89PNG")


def test_a_gallery(tmp_path: Path) -> None:
    probes, gallery = separable(tmp_path / "p.npz"), separable(tmp_path / "g.npz", each=1)
    found = evaluate(Recognisability(input=probes, gallery=gallery, out=tmp_path / "out", bootstrap=0)).results
    assert found["domains"]["code, cosine"]["gallery_codes"] == 8
    assert found["domains"]["code, cosine"]["rank1"]["value"] == 1


def test_people_to_exclude_are_listed(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("# not these\n3\n")
    path = separable(tmp_path / "c.npz")
    found = evaluate(Recognisability(input=path, exclude=tmp_path / "names.txt", out=tmp_path / "o", bootstrap=0))
    assert found.results["input"]["people"] == 8
    assert found.results["domains"]["code, cosine"]["people"] == 7
    assert len(found.results["excluded"]) == 4


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"labels": np.arange(3)}, "as many labels as codes (6), got 3"),
        ({"codes": np.full((6, 12), np.nan)}, "finite"),
        ({"labels": np.zeros(6, int)}, "at least two people"),
        ({"labels": np.arange(6)}, "two codes of different groups"),
        ({"groups": np.zeros(6, int)}, "different groups"),
    ],
    ids=["lengths", "nan", "one person", "one photo each", "one group each"],
)
@pytest.mark.parametrize("command", ["recognisability", "verification"])
def test_bad_codes_exit_with_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, np.ndarray], said: str, command: str
) -> None:
    content = {"codes": np.random.default_rng(0).normal(size=(6, 12)), "labels": np.arange(6) // 2, **arrays}
    np.savez(tmp_path / "c.npz", **content)
    assert run(command, tmp_path / "c.npz", "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error or "at least two people" in error or "different groups" in error
    assert not (tmp_path / "out" / "results.json").exists()


def test_other_bad_input_exits_with_2_and_one_line(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = separable(tmp_path / "c.npz")
    meshes = write_meshes(tmp_path / "meshes", small_model, 1, 1)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "titles.csv").write_text("first,second,same\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "strangers.csv").write_text("first,second,same\nx,y,1\nx,z,0\n")
    (tmp_path / "file").write_text("mine")
    bad: list[tuple[object, ...]] = [
        ("recognisability", tmp_path / "none"),
        ("recognisability", codes, "--exclude", tmp_path / "none"),
        ("verification", codes, "--pairs", tmp_path / "none.csv"),
        ("verification", codes, "--pairs", tmp_path / "empty.csv"),
        ("verification", codes, "--pairs", tmp_path / "titles.csv"),
        ("verification", codes, "--pairs", tmp_path / "empty.txt"),
        ("verification", codes, "--pairs", tmp_path / "strangers.csv"),
        ("landmarks", codes),
        ("landmarks", meshes),
        ("space", codes, "--model", tmp_path / "none.npz"),
    ]
    for arguments in bad:
        assert run(*arguments, "-o", tmp_path / "out") == 2, arguments
        assert capsys.readouterr().err.count("\n") == 1, arguments
    assert run("recognisability", codes, "-o", tmp_path / "file") == 2
    assert (tmp_path / "file").read_text() == "mine"
    assert run("recognisability") == 2
    assert run() == 2


def test_verification_counts_pairs_of_missing_photos(small_model: FaceModel, tmp_path: Path) -> None:
    saved = write_results(tmp_path / "results", small_model)
    lines = ["first,second,same"]
    for person in range(4):
        lines += [f"p{person}/{a}.jpg,p{person}/{b},1" for a, b in ((0, 1), (0, 2), (1, 2))]
        lines += [f"p{person}/{a},p{(person + 1) % 4}/{a},0" for a in range(3)]
    lines += ["p0/0,p9/7,0", "p0/missing,p0/1,1"]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    command = Verification(input=saved, pairs=tmp_path / "pairs.csv", out=tmp_path / "out")
    results = evaluate(command, predictor=predictor(small_model)[0]).results
    check_files(tmp_path / "out")
    for found in results["measures"].values():
        assert (found["pairs"], found["listed_pairs"], found["accuracy"], found["auc"]) == (24, 26, 1, 1)
    assert set(results["measures"]) == {"code, cosine", "code, euclidean", "geometry"}
    assert [one["item"] for one in results["excluded"]] == ["p0/0 | p9/7", "p0/missing | p0/1"]
    assert results["tables"][0]["rows"][0][-2] == "24 of 26"


def test_templates_are_fused(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(6), 4)
    path = separable(tmp_path / "c.npz", 6, 4, spread=0.5, groups=np.tile([0, 0, 1, 1], 6), names=np.arange(24))
    lines = [
        "first,second,same",
        *(f"{p}/0,{p}/1,1" for p in range(6)),
        *(f"{p}/0,{(p + 1) % 6}/1,0" for p in range(6)),
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    found = evaluate(Verification(input=path, pairs=tmp_path / "pairs.csv", out=tmp_path / "out")).results
    assert found["measures"]["code, cosine"]["pairs"] == 12
    assert found["measures"]["code, cosine"]["auc"] == 1
    assert len(labels) == found["input"]["used"]


def test_pairs_are_made_where_none_are_given(tmp_path: Path) -> None:
    path = separable(tmp_path / "c.npz", labels=np.repeat(np.arange(8), 4))
    results = evaluate(Verification(input=path, made_pairs=40, out=tmp_path / "out")).results
    found = results["measures"]["code, cosine"]
    assert (found["pairs"], found["same_pairs"], found["accuracy"], len(found["folds"])) == (80, 40, 1, 10)
    assert "made by seed" in results["tables"][0]["note"]


def test_nothing_imports_torch() -> None:
    import subprocess
    import sys

    code = "import sys, likeness.evaluate.run, likeness.cli.terminal; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_made_pairs_are_balanced_and_across_groups(tmp_path: Path) -> None:
    labels, groups = np.repeat(np.arange(5), 6).astype(str), np.tile([0, 0, 0, 1, 1, 1], 5).astype(str)
    names = tuple(f"{i}" for i in range(30))
    collection = Collection("codes", names, labels, groups, codes=np.random.default_rng(0).normal(size=(30, 4)))
    pairs = made_pairs(collection, 1000, 0)
    assert (len(pairs), int(pairs.same.sum())) == (90, 45)
    assert len(set(zip(pairs.first, pairs.second, strict=True))) == 90
    for first, second, same in zip(pairs.first, pairs.second, pairs.same, strict=True):
        a, b = int(first), int(second)
        assert same == (labels[a] == labels[b])
        assert not same or groups[a] != groups[b]
    few = made_pairs(collection, 7, 0)
    assert (len(few), int(few.same.sum())) == (14, 7)
    assert few.first == made_pairs(collection, 7, 0).first


def test_examples_are_the_extreme_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels, groups = rng.integers(0, 6, 60).astype(str), rng.integers(0, 2, 60).astype(str)
    names = tuple(f"{i}" for i in range(60))
    collection = Collection("codes", names, labels, groups, codes=rng.normal(size=(60, 5)))
    points = collection.embedding[0]
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    same = labels[:, None] == labels
    nearest = alike_strangers(collection, 4)
    assert nearest[0].distance == pytest.approx(distance[~same].min())
    across = same & (groups[:, None] != groups)
    farthest = unlike_selves(collection, 4)
    assert farthest[0].distance == pytest.approx(distance[across].max())
    people = [frozenset((labels[pair.first], labels[pair.second])) for pair in nearest]
    assert len(set(people)) == 4
    assert [pair.distance for pair in nearest] == sorted(pair.distance for pair in nearest)


def two_people(model: FaceModel, codes: np.ndarray) -> Collection:
    labels = np.array(["a", "a", "a", "b", "b"])
    return Collection("results", ("a/0", "a/1", "a/2", "b/0", "b/1"), labels, None, codes=codes, model=model)


def test_the_panel_tells_people_from_their_means(small_model: FaceModel) -> None:
    a, b = codes_of(small_model, 0, 0), codes_of(small_model, 1, 0)
    constant = two_people(small_model, np.stack([a, a, a, b, b]))
    rows = differences(constant)
    expected = np.linalg.norm(small_model.vertices(a) - small_model.vertices(b), axis=1)
    for row in rows:
        for one in row:
            assert one.own.max() < 1e-3
            np.testing.assert_allclose(one.others, expected, atol=1e-3)
    rms = small_model.metric.distance(a, b)
    everywhere = rows[0][0].rms(np.ones(len(expected), bool))[1]
    assert everywhere == pytest.approx(rms, rel=0.5)
    picture = panel(constant, rows, 64)
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 2 * 64
    assert (
        limit_of(rows, constant.region)
        == np.ceil(
            2
            * np.percentile(
                np.concatenate([np.zeros(5 * constant.region.sum()), np.tile(expected[constant.region], 5)]), 98
            )
        )
        / 2
    )


@pytest.mark.parametrize("limit", [0.5, 3.5, 12.5, 123.0])
def test_the_bar_of_a_panel_holds_its_labels(limit: float) -> None:
    for height in (200, 480):
        assert (color_bar(limit, height)[:, -1] == 255).all()


def test_a_face_is_not_in_its_own_mean(small_model: FaceModel) -> None:
    """With two photos the own mean is the other photo; a mean with itself in it would halve the difference."""
    a, c = codes_of(small_model, 0, 0), codes_of(small_model, 2, 0)
    collection = two_people(small_model, np.stack([a, a, a, a, c]))
    between = np.linalg.norm(small_model.vertices(a) - small_model.vertices(c), axis=1)
    for one in differences(collection)[1]:
        np.testing.assert_allclose(one.own, between, atol=1e-3)


def test_landmarks_of_a_tar(small_model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, _ = predictor(small_model)
    monkeypatch.setattr(run_module, "open_predictor", lambda *_, **__: fake)
    tar = annotated(tmp_path / "a.tar", people=3, each=4, missed=2)
    assert run("landmarks", tar, "-o", tmp_path / "out") == 0
    results = check_files(tmp_path / "out")
    found = results["points"]["all 68"]
    size = np.sqrt(np.prod(np.ptp(drawing(), axis=0)))
    assert found["nme"] == pytest.approx(np.sqrt(0.5) / size, rel=1e-5)
    assert (found["faces"], found["missed"]) == (12, 2)
    assert results["missed"] == ["p0/k0-0", "p0/k0-1"]
    assert results["tables"][0]["rows"][0][1] == f"{100 * np.sqrt(0.5) / size:.2f} %"
    failures = evaluate(Landmarks(input=tar, out=tmp_path / "o", normaliser="inter-ocular"), predictor=fake).results[
        "points"
    ]["all 68"]
    assert failures["normaliser"] == "inter-ocular"
    assert failures["failure_rate"] >= 2 / 12


def test_landmarks_of_saved_results(small_model: FaceModel, tmp_path: Path) -> None:
    tar = annotated(tmp_path / "a.tar", people=2, each=2)
    for person, number in ((0, 0), (0, 1), (1, 0)):
        (tmp_path / "results" / f"p{person}").mkdir(parents=True, exist_ok=True)
        path = tmp_path / "results" / f"p{person}" / f"k{person}-{number}.json"
        path.write_text(result(small_model, person, number))
    fake, counter = predictor(small_model)
    command = Landmarks(input=tmp_path / "results", truth=tar, out=tmp_path / "out")
    results = evaluate(command, predictor=fake).results
    assert counter.calls == 0
    assert (results["points"]["all 68"]["faces"], results["missed"]) == (4, ["p1/k1-1"])
    with pytest.raises(ValueError, match="--truth"):
        evaluate(Landmarks(input=tmp_path / "results", out=tmp_path / "out"), predictor=fake)


def test_landmarks_of_arrays(tmp_path: Path) -> None:
    truth = np.stack([drawing(), drawing() + 3])
    np.savez(tmp_path / "l.npz", landmarks=truth + [3.0, 4.0], truth=truth)
    results = evaluate(Landmarks(input=tmp_path / "l.npz", out=tmp_path / "out")).results
    size = np.sqrt(np.prod(np.ptp(drawing(), axis=0)))
    assert results["points"]["inner 51"]["nme"] == pytest.approx(5 / size)
    check_files(tmp_path / "out")


def write_scans(folder: Path, model: FaceModel, people: int) -> Path:
    folder.mkdir()
    for person in range(people):
        code = codes_of(model, person, 0)
        model.mesh(code).save(folder / f"p{person}.ply")
        np.savetxt(folder / f"p{person}.txt", model.landmark_points(code)[:51])
    return folder


def test_shapes_against_their_own_scans(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("igl")
    scans = write_scans(tmp_path / "scans", small_model, 4)
    pairs = [(0, 0), (1, 0), (2, 3), (8, 0)]
    np.savez(tmp_path / "c.npz", codes=[codes_of(small_model, *p) for p in pairs], labels=[f"p{p}" for p, _ in pairs])
    small_model.save(tmp_path / "model.npz")
    command = Reconstruction(
        input=tmp_path / "c.npz", scans=scans, model=tmp_path / "model.npz", out=tmp_path / "out"
    )
    first = evaluate(command)
    results = check_files(tmp_path / "out")
    errors = results["errors_mm"]
    assert max(errors["p0/row0"], errors["p1/row1"]) < 0.02  # the model's file rounds its bases
    assert errors["p2/row2"] > 5 * errors["p0/row0"]
    assert {one["item"]: one["reason"] for one in results["excluded"]} == {
        "p8/row3": "no scan of p8",
        "p3": "a scan, but no shape of this person",
    }
    assert results["tables"][0]["rows"][0][3] == f"{results['median_mm']:.3f}"
    again = evaluate(command)
    assert (again.cached, first.cached) == (3, 0)
    assert again.results["errors_mm"] == errors
    fused = evaluate(Reconstruction(**{**vars(command), "fuse": True, "protocol": "genova"})).results
    assert set(fused["errors_mm"]) == {"p0", "p1", "p2"}


def test_another_methods_meshes_against_scans(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("igl")
    scans = write_scans(tmp_path / "scans", small_model, 2)
    meshes = write_meshes(tmp_path / "meshes", small_model, 2, 1)
    command = Reconstruction(input=meshes, scans=scans, out=tmp_path / "out")
    with pytest.raises(ValueError, match="no landmarks beside it"):
        evaluate_or_value_error(command)
    for person in range(2):
        np.savetxt(
            meshes / f"p{person}" / "0.txt", small_model.landmark_points(codes_of(small_model, person, 0))[:51]
        )
    results = evaluate(command).results
    assert max(results["errors_mm"].values()) < 0.01
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("1 2 99999 4 5 6 7")
    with pytest.raises(ValueError, match="99999"):
        evaluate(Reconstruction(**{**vars(command), "mesh_landmarks": numbers}))


def evaluate_or_value_error(command: Reconstruction) -> Evaluation:
    """FileError is no ValueError; both end the command line with 2."""
    try:
        return evaluate(command)
    except LikenessError as error:
        raise ValueError(str(error)) from error


def test_space_of_codes_and_of_meshes(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    results = evaluate(Space(input=separable(tmp_path / "c.npz"), out=tmp_path / "a")).results
    assert results["clustering"]["code"]["nmi"] == pytest.approx(1)
    check_files(tmp_path / "a")
    small_model.save(tmp_path / "model.npz")
    meshes = write_meshes(tmp_path / "meshes", small_model)
    command = Space(input=meshes, model=tmp_path / "model.npz", samples=50, out=tmp_path / "b")
    results = evaluate(command).results
    check_files(tmp_path / "b")
    assert results["generalisation"]["mean"][-1] < 0.2 * results["generalisation"]["mean"][0]
    assert results["specificity"]["samples"] == 50
    assert len(results["compactness"]["people here"]["variance"]) == 2
    lifted = small_model.lifted()
    lifted.save(tmp_path / "sphere.npz")
    codes = lifted.space.sample(12, np.random.default_rng(0))
    np.savez(tmp_path / "s.npz", codes=codes, labels=np.arange(12) // 3)
    results = evaluate(Space(input=tmp_path / "s.npz", model=tmp_path / "sphere.npz", out=tmp_path / "c")).results
    people = results["codes"]["code, people"]
    assert (people["count"], people["norm_mean"]) == (4, pytest.approx(np.sqrt(13)))  # fused on the sphere


def test_a_photo_lost_on_the_way_is_listed(
    small_model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake, _ = predictor(small_model)
    monkeypatch.setattr(run_module, "open_predictor", lambda *_, **__: fake)
    folder = write_photos(tmp_path / "photos")
    (folder / "p0" / "text.jpg").write_text("no photo")
    (folder / "p7").mkdir()
    (folder / "p7" / "0.png").write_bytes(photo(255, 0))
    assert run("recognisability", folder, "-o", tmp_path / "out", "--bootstrap", 0) == 0
    results = check_files(tmp_path / "out")
    assert {one["item"] for one in results["excluded"]} == {"p0/text", "p7/0", "p7"}
    out = capsys.readouterr().out
    assert "left out: 3" in out
    assert "p7/0: no face found" in out


def test_a_killed_command_goes_on(small_model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_photos(tmp_path / "photos")
    killed, _ = predictor(small_model, dies_at=5)
    monkeypatch.setattr(run_module, "open_predictor", lambda *_, **__: killed)
    assert run("recognisability", folder, "-o", tmp_path / "out") == 130
    again, counter = predictor(small_model)
    monkeypatch.setattr(run_module, "open_predictor", lambda *_, **__: again)
    assert run("recognisability", folder, "-o", tmp_path / "out", "--bootstrap", 0) == 0
    assert counter.calls == 4


def test_names_with_markup_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = np.array([f"<b>[red]{i}" for i in range(32)])
    assert run("recognisability", separable(tmp_path / "c.npz", names=names), "-o", tmp_path / "out") == 0
    assert "<b>[red]" in capsys.readouterr().out
    check_files(tmp_path / "out")
    assert "<b>[red]" not in (tmp_path / "out" / "report.html").read_text()


def test_the_embedded_default(tmp_path: Path) -> None:
    """Photos through the real reconstructor, where it is installed."""
    from likeness import FileError
    from likeness.assets import asset

    try:
        asset("regressor.onnx")
        asset("face_model.npz")
    except FileError:
        pytest.skip("the embedded face model and network are not in this tree")
    import cv2

    portrait = pytest.importorskip("skimage.data").astronaut()[:320, 60:380, ::-1]
    for person, image in (("a", portrait), ("b", portrait[:, ::-1])):
        (tmp_path / "photos" / person).mkdir(parents=True)
        for number, gain in enumerate((1.0, 0.8)):
            cv2.imwrite(str(tmp_path / "photos" / person / f"{number}.png"), np.rint(gain * image).astype(np.uint8))
    assert run("recognisability", tmp_path / "photos", "-o", tmp_path / "out", "--bootstrap", 0) == 0
    assert check_files(tmp_path / "out")["input"]["used"] == 4

"""What `likeness evaluate` reads: every kind of input, and that nothing unusable goes unsaid."""

from __future__ import annotations

import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from evaluate_data import (
    annotated,
    codes_of,
    drawing,
    photo,
    result,
    tetrahedron,
    write_meshes,
    write_photos,
    write_results,
    write_tar,
)

from likeness import FaceModel, FileError
from likeness.datasets.identities import unique_names
from likeness.datasets.test_sets import open_photos
from likeness.evaluate.collection import from_predictions
from likeness.evaluate.inputs import kind_of, read_codes, read_meshes
from likeness.evaluate.saved_results import read_results
from likeness.evaluate.scans import find_scans


def test_kinds_are_told_apart(small_model: FaceModel, tmp_path: Path) -> None:
    assert kind_of(write_photos(tmp_path / "photos", 1, 1)) == "photos"
    assert kind_of(write_results(tmp_path / "results", small_model, 1, 1)) == "results"
    assert kind_of(write_meshes(tmp_path / "meshes", small_model, 1, 1)) == "meshes"
    assert kind_of(annotated(tmp_path / "a.tar", 1, 1)) == "photos"
    np.savez(tmp_path / "codes.npz", codes=np.eye(3))
    assert kind_of(tmp_path / "codes.npz") == "codes"
    # `likeness reconstruct` writes meshes and pictures beside its results
    small_model.mesh(codes_of(small_model, 0, 0)).save(tmp_path / "results" / "p0" / "0.obj")
    (tmp_path / "results" / "p0" / "0.png").write_bytes(photo(0, 0))
    assert kind_of(tmp_path / "results") == "results"


def test_heads_of_people_are_not_measured_and_it_is_said_what_to_do(tmp_path: Path) -> None:
    head = {"person": "anna", "model": "made", "identity": [0.0], "photos": []}
    (tmp_path / "anna.json").write_text(json.dumps(head))
    for beside in ("anna.obj", "anna.png"):
        (tmp_path / beside).touch()
    with pytest.raises(FileError, match=r"all photos of a person.*a head for every photo"):
        kind_of(tmp_path)


@pytest.mark.parametrize("name", ["none", "empty", "a.txt", "mixed"])
def test_what_is_no_input_is_named(small_model: FaceModel, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("hello")
    write_meshes(tmp_path / "mixed", small_model, 1, 1)
    (tmp_path / "mixed" / "p0" / "0.png").write_bytes(photo(0, 0))
    with pytest.raises(FileError, match=name):
        kind_of(tmp_path / name)


def test_photos_of_a_folder_have_people_and_groups(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 2, 2)
    (folder / "p0" / "clip").mkdir()
    (folder / "p0" / "clip" / "x.png").write_bytes(photo(0, 9))
    (folder / "stray.png").write_bytes(photo(1, 9))
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "y.png").write_bytes(photo(1, 9))
    found = open_photos(folder)
    assert [(item.name, item.identity, item.group) for item in found.items] == [
        ("p0/0", "p0", None),
        ("p0/1", "p0", None),
        ("p0/clip/x", "p0", "p0/clip"),
        ("p1/0", "p1", None),
        ("p1/1", "p1", None),
        ("stray", "", None),
    ]
    assert not found.excluded


def test_both_layouts_of_a_tar(tmp_path: Path) -> None:
    found = open_photos(annotated(tmp_path / "web.tar", 2, 4))
    assert [(item.name, item.group) for item in found.items[:3]] == [
        ("p0/k0-0", "p0-0"),
        ("p0/k0-1", "p0-0"),
        ("p0/k0-2", "p0-1"),
    ]
    np.testing.assert_allclose(found.items[0].landmarks, drawing())
    assert found.items[5].image()[0, 0].tolist() == [1, 1, 0]
    plain = write_tar(tmp_path / "plain.tar", {"./p0/000.png": photo(0, 0), "p1/000.png": photo(1, 0)})
    assert [(item.name, item.identity) for item in open_photos(plain).items] == [("p0/000", "p0"), ("p1/000", "p1")]


def test_damaged_annotations_of_a_tar_are_listed(tmp_path: Path) -> None:
    files = {"a.png": photo(0, 0), "a.json": b"{", "b.png": photo(0, 1), "c.png": photo(0, 2)}
    files["c.json"] = json.dumps({"identity": "p0", "landmarks": [[1, 2]]}).encode()
    files["d.png"], files["d.json"] = photo(0, 3), json.dumps({"identity": "p0"}).encode()
    found = open_photos(write_tar(tmp_path / "x.tar", files))
    assert [(item.name, item.identity) for item in found.items] == [("b", ""), ("p0/d", "p0")]
    assert [one.item for one in found.excluded] == ["a.png", "c.png"]


def test_hard_links_of_a_tar_are_the_files_that_they_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "linked.tar", {"p0/a.png": photo(0, 0), "p1/a.png": photo(1, 0)})
    with tarfile.open(tmp_path / "linked.tar", "a") as archive:
        for name, target in (("p0/b.png", "p1/a.png"), ("p1/c.png", "nothing.png")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.LNKTYPE, target
            archive.addfile(link)
    found = open_photos(tmp_path / "linked.tar")
    images = {item.name: item.image() for item in found.items}
    assert sorted(images) == ["p0/a", "p0/b", "p1/a"]
    np.testing.assert_array_equal(images["p0/b"], images["p1/a"])


def test_labels_as_bytes_and_as_objects(tmp_path: Path) -> None:
    labels = ["p\u00e4", "b", "b"]
    np.savez(tmp_path / "bytes.npz", codes=np.eye(3), labels=np.char.encode(labels, "utf-8"))
    assert read_codes(tmp_path / "bytes.npz").labels.tolist() == labels
    np.savez(tmp_path / "objects.npz", codes=np.eye(3), labels=np.array(labels, object))
    with pytest.raises(FileError, match="Python objects, which are not read"):
        read_codes(tmp_path / "objects.npz")


def test_no_tar_and_a_tar_cut_short(tmp_path: Path) -> None:
    whole = annotated(tmp_path / "a.tar", 1, 1).read_bytes()
    (tmp_path / "text.tar").write_text("I am no tar")
    (tmp_path / "none.tar").write_bytes(b"")
    (tmp_path / "short.tar").write_bytes(whole[:600])
    for name in ("text", "none", "short"):
        with pytest.raises(FileError, match=name):
            open_photos(tmp_path / f"{name}.tar")


def test_a_bin_set_brings_its_pairs(tmp_path: Path) -> None:
    images = [photo(person, 0) for person in (0, 0, 0, 1)]
    (tmp_path / "set.bin").write_bytes(pickle.dumps((images, [True, False])))
    found = open_photos(tmp_path / "set.bin")
    assert found.pairs is not None
    assert [item.name for item in found.items] == list(found.pairs.names())
    assert found.items[3].image()[0, 0].tolist() == [1, 0, 0]


def test_names_keep_their_suffix_only_where_two_are_alike() -> None:
    assert unique_names(["p/a.jpg", "p/a.png", "p/b.c.jpg"]) == ("p/a.jpg", "p/a.png", "p/b.c")


def bad_codes(folder: Path) -> dict[str, Path]:
    codes = np.random.default_rng(0).normal(size=(4, 3))
    nan = codes.copy()
    nan[2, 1] = np.nan
    arrays = {
        "lengths": {"codes": codes, "labels": np.arange(3)},
        "nan": {"codes": nan, "labels": np.arange(4)},
        "unlabelled": {"codes": codes},
        "flat": {"codes": codes[0], "labels": np.arange(3)},
        "objects": {"codes": codes, "labels": np.array([None] * 4, object)},
        "names": {"codes": codes, "labels": np.arange(4), "names": np.array(["a", "a", "b", "c"])},
    }
    paths = {name: folder / f"{name}.npz" for name in (*arrays, "text", "short", "none")}
    for name, content in arrays.items():
        np.savez(paths[name], **content)
    paths["text"].write_text("no arrays")
    paths["short"].write_bytes(paths["nan"].read_bytes()[:80])
    return paths


def test_bad_codes_are_refused_by_name(tmp_path: Path) -> None:
    for name, path in bad_codes(tmp_path).items():
        with pytest.raises(FileError, match=f"{name}.npz: ") as caught:
            read_codes(path)
        assert "\n" not in str(caught.value)


def test_codes_of_another_size_than_the_model(small_model: FaceModel, tmp_path: Path) -> None:
    np.savez(tmp_path / "codes.npz", codes=np.eye(3), labels=np.arange(3))
    with pytest.raises(FileError, match="12 numbers"):
        read_codes(tmp_path / "codes.npz", small_model)


def test_meshes_of_another_topology_are_listed(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_meshes(tmp_path / "meshes", small_model, 2, 2)
    tetrahedron().save(folder / "p1" / "other.ply")
    (folder / "p1" / "text.obj").write_text("v 1 2")
    tetrahedron().save(folder / "stray.obj")
    found = read_meshes(folder)
    assert found.names == ("p0/0", "p0/1", "p1/0", "p1/1")
    reasons = {one.item: one.reason for one in found.excluded}
    assert set(reasons) == {"p1/other.ply", "p1/text.obj", "stray.obj"}
    assert "another topology" in reasons["p1/other.ply"]


def test_no_topology_that_most_meshes_have(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_meshes(tmp_path / "meshes", small_model, 1, 1)
    tetrahedron().save(folder / "p0" / "other.ply")
    with pytest.raises(FileError, match="one topology"):
        read_meshes(folder)


def test_a_region_of_vertices(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_meshes(tmp_path / "meshes", small_model, 2, 1)
    (tmp_path / "region.txt").write_text("0 1, 2\n40 50")
    found = read_meshes(folder, vertices=tmp_path / "region.txt")
    assert np.flatnonzero(found.region).tolist() == [0, 1, 2, 40, 50]
    for text in ("", "1 x", "-1 2 3", "1 2 9999"):
        (tmp_path / "region.txt").write_text(text)
        with pytest.raises(FileError, match="region"):
            read_meshes(folder, vertices=tmp_path / "region.txt")


def test_damaged_results_are_listed(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_results(tmp_path / "results", small_model, 2, 2)
    bad = {
        "nan": result(small_model, 0, 5, identity=[float("nan")] * 12, photo="nan"),
        "size": result(small_model, 0, 5, identity=[0.0] * 3, photo="size"),
        "text": "{",
        "note": json.dumps({"identity": "p0"}),
        "0-2": result(small_model, 1, 0, photo="0"),
        "weights": result(small_model, 0, 5, expression={}, photo="weights"),
    }
    for name, text in bad.items():
        (folder / "p0" / f"{name}.json").write_text(text)
    predictions, excluded = read_results(folder, small_model)
    found = from_predictions(predictions, small_model, excluded, kind="results")
    assert found.names == ("p0/0", "p0/1", "p1/0", "p1/1")
    assert {one.item for one in found.excluded} == {f"p0/{name}.json" for name in bad}
    np.testing.assert_allclose(found.codes[0], codes_of(small_model, 0, 0), rtol=1e-6)


def test_results_of_another_model_are_not_read_wrongly(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_results(tmp_path / "results", small_model, 1, 1)
    (folder / "p0" / "1.json").write_text(result(small_model, 0, 1, model="another"))
    with pytest.raises(FileError, match="another"):
        read_results(folder, small_model)


def test_scans_and_their_landmarks(small_model: FaceModel, tmp_path: Path) -> None:
    mesh = small_model.mesh(codes_of(small_model, 0, 0))
    (tmp_path / "b").mkdir()
    for name in ("a", "b/neutral", "alone"):
        mesh.save(tmp_path / f"{name}.ply")
    for name in ("a", "b/neutral"):
        np.savetxt(tmp_path / f"{name}.txt", np.zeros((7, 3)))
    scans, excluded = find_scans(tmp_path)
    assert sorted(scans) == ["a", "b"]
    assert [one.item for one in excluded] == ["alone.ply"]
    mesh.save(tmp_path / "b.ply")
    np.savetxt(tmp_path / "b.txt", np.zeros((7, 3)))
    with pytest.raises(FileError, match="one scan of b"):
        find_scans(tmp_path)

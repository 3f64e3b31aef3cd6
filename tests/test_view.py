"""Heads as pages: what is packed is what was given, files become heads, and the page needs nothing outside itself."""

from __future__ import annotations

import json
import re
import struct
import warnings
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import run, visible
from whole_heads import codes, default_model

from likeness import FaceModel, Mesh
from likeness.assets import asset
from likeness.errors import FileError
from likeness.geometry.camera import Camera
from likeness.images.encode import png_bytes
from likeness.mesh.glb_writer import write_glb
from likeness.model.face_model import Coefficients
from likeness.model.head import following, whole_head
from likeness.reconstruct.person import Person
from likeness.reconstruct.result import Reconstruction
from likeness.view.files import Heads
from likeness.view.heads import FittedPhoto, Rig, ViewedHead, principal_directions
from likeness.view.pack import STEP, pack
from likeness.view.page import Page

TURNED = np.diag([1.0, -1.0, -1.0])


def person(model: FaceModel, seed: int = 0) -> Reconstruction:
    """A face of a small model in a photo of noise."""
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, 256, (240, 200, 3), np.uint8)
    found = Coefficients(
        model.space.sample(1, rng)[0],
        rng.uniform(0, 1, len(model.expression_names)).astype(np.float32),
        rng.normal(0, 0.3, len(model.albedo_names)).astype(np.float32),
        rng.normal(0, 1, (9, 3)),
    )
    camera = Camera(500.0, (99.5, 119.5), (200, 240))
    distance = np.array([0.0, 0.0, 1000.0])
    points, box = np.zeros((68, 2)), np.zeros(4)
    return Reconstruction(model, found, camera, TURNED, distance, points, box, 1.0, photo, name=f"person-{seed}")


def unpacked(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and body of a pack."""
    raw = zlib.decompress(data)
    (length,) = struct.unpack("<I", raw[:4])
    return json.loads(raw[4 : 4 + length]), raw[4 + length :]


def vectors(body: bytes, ref: dict[str, Any], count: int) -> np.ndarray:
    """Vectors (S, V, 3) of a reference, by the format's words alone."""
    low, high = np.frombuffer(body, np.uint8, ref["bytes"], ref["offset"]).reshape(2, count, 3, -1).astype(np.int32)
    whole = low + 256 * high
    return np.moveaxis(np.where(whole > 32767, whole - 65536, whole) * ref["step"], 1, 2)


def test_what_is_packed_is_the_head(small_model: FaceModel) -> None:
    rig = Rig.of_model(small_model, 3)
    mesh = small_model.mesh(small_model.space.sample(1, np.random.default_rng(2))[0], albedo=np.zeros(5, np.float32))
    heads = [ViewedHead.of_mesh("a", mesh, rig, weights={"jawOpen": 0.25}), ViewedHead.of_mesh("b", mesh, rig)]
    header, body = unpacked(pack(heads))
    assert len(header["rigs"]) == 1  # shared
    assert [head["rig"] for head in header["heads"]] == [0, 0]
    first, shared = header["heads"][0], header["rigs"][0]
    np.testing.assert_allclose(vectors(body, first["positions"], 1)[0], mesh.vertices, atol=STEP)
    deltas = vectors(body, shared["expressions"]["values"], 52)
    np.testing.assert_allclose(deltas, small_model.expression_basis, atol=0.51 * STEP)
    assert first["weights"][small_model.expression_names.index("jawOpen")] == 0.25
    triangles = np.frombuffer(body, "<u4", shared["triangles"]["bytes"] // 4, shared["triangles"]["offset"])
    source = np.frombuffer(body, "<u4", shared["source"]["bytes"] // 4, shared["source"]["offset"])
    np.testing.assert_array_equal(source[triangles].reshape(-1, 3), mesh.triangles)


def test_principal_directions_are_standard_deviations_of_the_population(small_model: FaceModel) -> None:
    shapes = principal_directions(small_model, 4)
    weights = (
        small_model.topology.regions["face"] * Mesh(small_model.mean, small_model.topology.triangles).vertex_areas()
    )
    flat = (shapes.deltas * np.sqrt(weights / weights.sum())[:, None]).reshape(4, -1)
    gram = flat @ flat.T
    sizes = np.sqrt(np.diag(gram))
    assert (np.diff(sizes) <= 1e-6).all()
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-3 * gram[0, 0])  # orthogonal in millimetres
    codes = np.random.default_rng(3).standard_normal((4000, len(small_model.identity_basis)))
    drawn = np.tensordot(codes, small_model.identity_basis, 1) * np.sqrt(weights / weights.sum())[:, None]
    spread = (drawn.reshape(len(codes), -1) @ (flat / sizes[:, None]).T).std(axis=0)
    np.testing.assert_allclose(spread, sizes, rtol=0.05)


def test_a_photo_is_cut_with_its_camera(small_model: FaceModel) -> None:
    face = person(small_model)
    vertices = face.vertices()
    whole = FittedPhoto(np.repeat(np.repeat(face.photo, 5, 0), 5, 1), face.camera.scaled(5), TURNED, face.translation)
    part = whole.around(vertices)
    assert max(part.camera.size) <= 640
    assert part.photo.shape[:2] == part.camera.size[::-1]
    before = whole.camera.project(vertices @ TURNED.T + face.translation)
    after = part.camera.project(vertices @ TURNED.T + face.translation)
    # One map of scale and shift for all points.
    design = np.column_stack([before[:, 0], np.ones(len(before))])
    for axis in (0, 1):
        design[:, 0] = before[:, axis]
        _, residual, _, _ = np.linalg.lstsq(design, after[:, axis], rcond=None)
        assert residual[0] < 1e-12
    low, high = after.min(axis=0), after.max(axis=0)
    assert (low > -0.5).all()
    assert (high < np.array(part.camera.size) - 0.5).all()


def test_a_result_shows_itself_in_a_notebook(small_model: FaceModel) -> None:
    face, other = person(small_model), person(small_model, 1)
    page = face.view(other, texture=None)
    assert [head.name for head in page.heads] == ["person-0", "person-1"]
    assert page.heads[0].rig is page.heads[1].rig
    np.testing.assert_array_equal(page.heads[0].vertices, face.vertices(neutral=True))
    assert page.heads[0].weights["jawOpen"] == pytest.approx(face.coefficients.expression[17])
    frame = face._repr_html_()
    assert re.match(r'<iframe title="person-0" srcdoc="&lt;!doctype html&gt;', frame)
    assert '"' not in re.sub(r'^<iframe title="person-0" srcdoc="|" width="100%".*$', "", frame, flags=re.DOTALL)


def test_a_result_is_printed_on_one_line(small_model: FaceModel) -> None:
    told = repr(person(small_model))
    assert "\n" not in told
    assert len(told) < 200
    assert "name='person-0'" in told


def test_a_person_shows_the_photo_that_tells_most(small_model: FaceModel) -> None:
    photos = (person(small_model), person(small_model, 1))
    ann = Person(small_model, photos[0].coefficients.identity, photos, np.array([1.0, 2.0]), 1.5, name="Ann")
    (head,) = ann.view(texture=None).heads
    np.testing.assert_array_equal(head.vertices, ann.vertices())
    assert set(head.weights.values()) == {0.0}
    assert head.photo is not None
    corner = head.photo.photo[0, 0].tolist()
    assert (photos[1].photo == corner).all(axis=2).any()  # noise: each pixel tells which photo it is of
    assert not (photos[0].photo == corner).all(axis=2).any()


def test_a_page_is_whole_and_may_load_nothing(small_model: FaceModel, tmp_path: Path) -> None:
    head = ViewedHead.of_mesh(
        "<b>Ann</b> & co", small_model.mesh(np.zeros(12, np.float32)), Rig.of_model(small_model)
    )
    page = Page([head], "</title><script>alert(1)</script>")
    page.save(tmp_path / "head.html")
    html = (tmp_path / "head.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", html)
    assert "<script>alert" not in html
    assert len(html) < 900_000


def test_no_head_is_no_page() -> None:
    with pytest.raises(ValueError, match="at least one head"):
        Page([])


@pytest.fixture
def folder(small_model: FaceModel, tmp_path: Path) -> Path:
    """Two results, as `likeness reconstruct` leaves them, and a mesh of another topology."""
    import cv2

    for seed in (0, 1):
        face = person(small_model, seed)
        path = tmp_path / "photos" / f"person-{seed}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), face.photo[..., ::-1])
        from likeness.result_folder import Source

        face = replace(face, source=Source.of(path))
        face.save(tmp_path / "out", ("glb", "json"), texture=None)
    Mesh(np.eye(3) * 30, [[0, 1, 2]]).save(tmp_path / "out" / "triangle.ply")
    small_model.save(tmp_path / "model.npz")
    return tmp_path


def test_a_folder_of_results(folder: Path, small_model: FaceModel) -> None:
    found, excluded = Heads(small_model).read([folder / "out"], 10)
    assert not excluded
    heads = list(found.values())
    assert [head.name for head in heads] == ["person-0", "person-1", "triangle"]
    first, second, other = heads
    assert first.rig is second.rig
    assert first.rig.directions.names  # of the face model, whose vertices these are
    assert not other.rig.directions.names
    face = person(small_model)
    np.testing.assert_allclose(first.vertices, face.vertices(neutral=True), atol=1e-3)
    assert first.photo is not None
    assert first.weights["jawOpen"] == pytest.approx(face.coefficients.expression[17], abs=1e-5)


def test_whole_heads_are_shown_with_their_skin_and_the_models_directions(tmp_path: Path) -> None:
    face = replace(person(default_model()), name="ann")
    face.save(tmp_path, ("glb", "json"), texture=64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = Heads().head(tmp_path / "ann.glb")
    assert whole.texture is not None
    assert whole.texture.shape == (64, 64, 3)
    assert whole.rig.directions.names
    expected = face.whole().joined()
    np.testing.assert_allclose(whole.vertices, expected.vertices, atol=1e-2)
    np.testing.assert_array_equal(whole.rig.mesh.triangles, expected.triangles)
    teeth = np.unique(expected.triangles[expected.groups["teeth"]])
    opened = whole.rig.expressions.deltas[whole.rig.expressions.names.index("jawOpen")]
    assert np.linalg.norm(opened[teeth], axis=1).max() > 10
    assert whole.weights["jawOpen"] == pytest.approx(face.coefficients.expression[17], abs=1e-5)
    changed = (tmp_path / "ann.glb").read_bytes().replace(b'"generator":"likeness"', b'"generator":"blender_"')
    (tmp_path / "ann.glb").write_bytes(changed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edited = Heads().head(tmp_path / "ann.glb")
    np.testing.assert_array_equal(edited.texture, whole.texture)
    assert not edited.rig.directions.names  # what an editor did to the geometry is not lost


def test_a_face_of_a_photo_and_the_models_mean_are_shown_whole() -> None:
    model = default_model()
    page = person(model).view(person(model, 1), texture=64)
    count = len(page.heads[0].vertices)
    assert count > len(model.mean)
    assert page.heads[0].rig is not page.heads[1].rig  # each has lids that close on its own eyes
    many = person(model).view(*[person(model, seed) for seed in range(1, 8)], texture=None)
    assert len({id(head.rig) for head in many.heads}) == 1
    np.testing.assert_array_equal(many.heads[0].vertices, page.heads[0].vertices)
    mean = Heads().head(asset("face_model.npz"))
    assert len(mean.vertices) == count
    assert len(mean.rig.directions.names) == 30


def test_whole_heads_follow_codes_to_first_order() -> None:
    """Eyes, teeth and tongue within 0.3 mm of where they are put anew, skin up to how lips are closed."""
    model = default_model()
    mean = whole_head(model, model.mesh(np.zeros(len(model.identity_basis), np.float32))).joined()
    assert mean.groups is not None
    some = codes(4, 0)
    moved = mean.vertices + following(model, np.tensordot(some, model.identity_basis, 1))
    for code, points in zip(some, moved, strict=True):
        expected = whole_head(model, model.mesh(code)).joined().vertices
        apart = np.linalg.norm(points - expected, axis=1)
        assert np.median(apart) < 0.02
        for name, limit in (("skin", 1.5), ("mouth", 1.5), ("eyes", 0.4), ("teeth", 0.4), ("tongue", 0.4)):
            assert apart[np.unique(mean.triangles[mean.groups[name]])].max() < limit, name


def test_codes_alone_are_heads_too(folder: Path, small_model: FaceModel) -> None:
    glb = Heads(small_model).head(folder / "out" / "person-0.glb")
    (folder / "out" / "person-0.glb").unlink()
    code = Heads(small_model).head(folder / "out" / "person-0.json")
    np.testing.assert_allclose(code.vertices, glb.vertices, atol=1e-2)
    assert code.photo is not None
    with pytest.raises(FileError, match="face model"):
        Heads().head(folder / "out" / "person-0.json")


def test_a_photo_that_has_changed_is_not_shown(folder: Path, small_model: FaceModel) -> None:
    photo = folder / "photos" / "person-0.png"
    photo.write_bytes((folder / "photos" / "person-1.png").read_bytes())
    head = Heads(small_model).head(folder / "out" / "person-0.glb")
    assert head.photo is None
    assert "changed" in head.note
    photo.unlink()
    assert "cannot be shown" in Heads(small_model).head(folder / "out" / "person-0.glb").note


def test_heads_of_a_folder_come_in_the_order_that_people_count_in(tmp_path: Path) -> None:
    mesh, wanted = Mesh(np.eye(3) * 30, [[0, 1, 2]]), ["clip", "clip-2", "person-2", "person-10"]
    for name in reversed(wanted):
        write_glb(tmp_path / f"{name}.glb", mesh)
    heads, _ = Heads().read([tmp_path], 9)
    assert [head.name for head in heads.values()] == wanted


def test_others_morph_targets_move_too(tmp_path: Path) -> None:
    mesh = Mesh(np.eye(3) * 30, [[0, 1, 2]])
    write_glb(tmp_path / "a.glb", mesh, {"up": np.full((3, 3), 2.0)}, [0.5])
    head = Heads().head(tmp_path / "a.glb")
    assert head.rig.expressions.names == ("up",)
    assert head.weights == {"up": 0.5}


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    (folder / "out" / "broken.obj").write_text("v 1 2\n")
    opened = list[str]()
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert run("view", "out", "--model", "model.npz") == 2
    said = capsys.readouterr()
    assert "broken.obj" in said.err
    assert re.search(r"3 heads -> out.html \(\d+\.\d MB\)", said.out)
    assert opened == [(folder / "out.html").as_uri()]
    assert run("view", "out", "--model", "model.npz", "--no-open") == 2  # its own page is replaced
    assert len(opened) == 1
    (folder / "mine.html").write_text("mine")
    assert run("view", "model.npz", "-o", "mine.html", "--no-open") == 2
    assert (folder / "mine.html").read_text() == "mine"
    assert run("view", "model.npz", "-o", "new/model.html", "--no-open") == 0
    assert visible(folder / "new") == {"model.html"}
    assert run("view", "nowhere.glb", "--no-open") == 2
    assert "nowhere.glb" in capsys.readouterr().err


def test_too_many_heads_are_named(folder: Path, small_model: FaceModel) -> None:
    heads, excluded = Heads(small_model).read([folder / "out"], 2)
    assert len(heads) == 2
    assert [Path(one.item).name for one in excluded] == ["triangle.ply"]


@pytest.mark.parametrize(
    "changed",
    [{"identity": None}, {"expression": {"jawOpen": float("inf")}}, {"translation": [0, 0, float("nan")]}],
)
def test_results_with_numbers_that_are_none_are_named(
    changed: dict[str, Any], small_model: FaceModel, tmp_path: Path
) -> None:
    face = person(small_model)
    (tmp_path / "person-0.png").write_bytes(png_bytes(face.photo))
    saved = {**face.to_dict(), "source": {"path": str(tmp_path / "person-0.png")}, **changed}
    (tmp_path / "person-0.json").write_text(json.dumps(saved))
    with pytest.raises(FileError, match="expected"):
        Heads(small_model).head(tmp_path / "person-0.json")

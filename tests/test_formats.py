"""Other people's models: the same codes give the same vertices as each format's own formula, in mm and our axes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import format_files
import numpy as np
import pytest
from format_files import Written

from likeness import ARKIT_NAMES, FaceModel, FileError, FileWarning, MissingExtraError
from likeness.images.color import srgb_from_linear
from likeness.mesh import Mesh
from likeness.model.formats import load_model

WRITERS = {
    "bfm-2009": lambda folder, model: format_files.write_bfm_2009(folder, model, compressed=False),
    "bfm-2009-compressed": lambda folder, model: format_files.write_bfm_2009(folder, model, compressed=True),
    "bfm-h5": format_files.write_bfm_h5,
    "deep3d": format_files.write_deep3d,
    "3ddfa": format_files.write_3ddfa,
    "3ddfa-protocol0": lambda folder, model: format_files.write_3ddfa(folder, model, protocol=0),
    "flame-python2": format_files.write_flame_pickle,
    "flame-python2-protocol0": lambda folder, model: format_files.write_flame_pickle(folder, model, True, 0),
    **{
        f"flame-protocol{n}": lambda folder, model, n=n: format_files.write_flame_pickle(folder, model, False, n)
        for n in (0, 1, 2, 3, 4, 5)
    },
    "flame-npz": format_files.write_flame_npz,
    "faceverse2": lambda folder, model: format_files.write_faceverse(folder, model, 2),
    "faceverse3": lambda folder, model: format_files.write_faceverse(folder, model, 3),
    "facescape": format_files.write_facescape,
    "eos1": lambda folder, model: format_files.write_eos(folder, model, 1),
    "eos2": lambda folder, model: format_files.write_eos(folder, model, 2, "blendshapes"),
    "eos3": lambda folder, model: format_files.write_eos(folder, model, 3, "none"),
    "eos4": lambda folder, model: format_files.write_eos(folder, model, 4, "pca"),
}
UNITS = {"bfm-2009": 1e-3, "3ddfa": 1e-3, "deep3d": 100.0, "flame": 1e3, "faceverse2": 100.0}
ORIGIN_KNOWN = ("bfm-h5", "deep3d", "3ddfa", "3ddfa-protocol0", "faceverse2", "facescape")


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_codes_give_the_same_vertices(kind: str, small_model: FaceModel, tmp_path: Path) -> None:
    written: Written = WRITERS[kind](tmp_path, small_model)
    model = load_model(written.path)
    unit = next((value for name, value in UNITS.items() if kind.startswith(name)), 1.0)
    signs = np.array([1, -1, -1]) if kind == "faceverse2" else np.ones(3)
    assert (len(model.identity_basis), len(model.expression_basis)) == written.sizes
    rng = np.random.default_rng(3)
    neutral = written.formula(np.zeros(written.sizes[0]), np.zeros(written.sizes[1])) * (unit * signs)
    origin = neutral[0] - model.mean[0]
    for _ in range(3):
        codes, weights = rng.standard_normal(written.sizes[0]), rng.random(written.sizes[1])
        if kind == "facescape":  # linear in either, not in both
            codes, weights = (codes, 0 * weights) if rng.random() < 0.5 else (0 * codes, weights)
        expected = written.formula(codes, weights) * (unit * signs) - origin
        np.testing.assert_allclose(model.vertices(codes, weights), expected, atol=2e-3)
    if kind in ORIGIN_KNOWN:
        at = format_files.landmark_vertices(small_model)
        eyes = [[36, 39], [42, 45]] if kind == "bfm-h5" else [range(36, 42), range(42, 48)]
        middle = np.mean([small_model.mean[at[list(eye)]].mean(0) for eye in eyes], axis=0)
        np.testing.assert_allclose(origin, middle, atol=0.01)
    else:
        np.testing.assert_allclose(origin, 0, atol=1e-3)
    assert_outward(model)


def assert_outward(model: FaceModel) -> None:
    mesh = Mesh(model.mean, model.topology.triangles)
    outward = mesh.vertices - mesh.vertices.mean(0)
    assert (mesh.vertex_normals() * outward).sum(1).min() > 0


@pytest.mark.parametrize("kind", ["bfm-h5", "flame-npz", "faceverse2", "facescape", "eos4"])
def test_a_converted_model_gives_the_same_shapes(kind: str, small_model: FaceModel, tmp_path: Path) -> None:
    model = load_model(WRITERS[kind](tmp_path, small_model).path)
    model.save(tmp_path / "converted.npz")
    loaded = load_model(tmp_path / "converted.npz")
    rng = np.random.default_rng(5)
    codes, weights = rng.standard_normal(len(model.identity_basis)), rng.random(len(model.expression_basis))
    np.testing.assert_allclose(loaded.vertices(codes, weights), model.vertices(codes, weights), atol=0.01)
    np.testing.assert_array_equal(loaded.topology.triangles, model.topology.triangles)
    assert loaded.expression_names == model.expression_names
    assert (loaded.topology.landmarks is None) == (model.topology.landmarks is None)
    albedo = rng.standard_normal(len(model.albedo_basis))
    np.testing.assert_allclose(loaded.albedo(albedo), model.albedo(albedo), atol=1e-3)


def test_bfm_2009_with_the_expressions_of_guo(small_model: FaceModel, tmp_path: Path) -> None:
    written = format_files.write_bfm_2009(tmp_path, small_model, compressed=True)
    kept = np.random.default_rng(0).permutation(np.flatnonzero(small_model.mean[:, 1] > -130))
    shapes = format_files.write_guo_expressions(tmp_path, small_model, kept)
    model = load_model(written.path)
    rng = np.random.default_rng(1)
    codes, weights = rng.standard_normal(written.sizes[0]), rng.standard_normal(7)
    expected = written.formula(codes, np.zeros(0))[kept] + (shapes @ weights).reshape(-1, 3)
    np.testing.assert_allclose(model.vertices(codes, weights), expected * 1e-3, atol=2e-3)
    whole = small_model.topology.triangles
    assert len(model.topology.triangles) == np.isin(whole, kept).all(1).sum()
    for name in ("std_exp.txt", "BFM_exp_idx.mat"):
        (tmp_path / name).rename(tmp_path / "gone")
        with pytest.raises(FileError, match=name):
            load_model(written.path)
        (tmp_path / "gone").rename(tmp_path / name)


def test_expression_names(small_model: FaceModel, tmp_path: Path) -> None:
    assert load_model(WRITERS["faceverse2"](tmp_path, small_model).path).expression_names == ARKIT_NAMES
    assert load_model(WRITERS["faceverse3"](tmp_path, small_model).path).expression_names == ARKIT_NAMES
    assert load_model(WRITERS["eos2"](tmp_path, small_model).path).expression_names[0] == "shape0"
    assert load_model(WRITERS["flame-npz"](tmp_path, small_model).path).expression_names[99] == "expression099"


def test_colours_are_those_of_the_file_near_the_mean(small_model: FaceModel, tmp_path: Path) -> None:
    for kind, mean in (("bfm-2009", [180, 140, 120]), ("faceverse2", [150, 150, 150]), ("bfm-h5", [178, 140, 115])):
        model = load_model(WRITERS[kind](tmp_path, small_model).path)
        srgb = srgb_from_linear(model.albedo(np.zeros(len(model.albedo_basis)))) * 255
        np.testing.assert_allclose(srgb, np.broadcast_to(mean, srgb.shape), atol=1)
    step = 0.05  # the linearisation's first derivative is that of the file: d sRGB / d weight
    model = load_model(WRITERS["faceverse3"](tmp_path, small_model).path)
    content = np.load(tmp_path / "faceverse_v3.npy", allow_pickle=True).item()
    moved = srgb_from_linear(model.albedo(np.eye(5)[2] * step)) * 255
    np.testing.assert_allclose((moved - 150) / step, content["texBase"][:, 2].reshape(-1, 3), atol=0.05)


def test_facescape_colours_and_quadrilaterals(small_model: FaceModel, tmp_path: Path) -> None:
    model = load_model(format_files.write_facescape(tmp_path, small_model, quads=True).path)
    assert len(model.topology.quads) == len(small_model.topology.triangles)
    srgb = srgb_from_linear(model.albedo(np.zeros(4))) * 255
    front = np.flatnonzero(small_model.mean[:, 2] > 0)
    np.testing.assert_allclose(srgb[front[1]], [180, 120, 90], atol=1)
    assert abs(srgb[front[0]] - [180, 120, 90]).max() > 10  # row -1: not known
    Mesh(model.mean, model.topology.triangles, quads=model.topology.quads)


def test_landmarks_from_a_list(small_model: FaceModel, tmp_path: Path) -> None:
    written = WRITERS["flame-npz"](tmp_path, small_model)
    assert load_model(written.path).topology.landmarks is None
    with pytest.raises(ValueError, match="68 iBUG"):
        load_model(written.path).landmark_map  # noqa: B018
    at = format_files.landmark_vertices(small_model)
    (tmp_path / "points.txt").write_text(", ".join(str(i) for i in at))
    model = load_model(written.path, landmarks=tmp_path / "points.txt")
    np.testing.assert_allclose(model.landmark_map.gather(model.mean)[:51], model.mean[at[17:]], atol=1e-4)
    np.testing.assert_allclose(model.mean[at[36:48]].reshape(2, 6, 3).mean((0, 1)), 0, atol=1e-3)
    (tmp_path / "points.txt").write_text(" ".join(str(i) for i in at[17:]))
    with pytest.raises(FileError, match="contours"):
        load_model(written.path, landmarks=tmp_path / "points.txt")
    (tmp_path / "points.txt").write_text(" ".join(["9999"] * 68))
    with pytest.raises(FileError, match="282 vertices"):
        load_model(written.path, landmarks=tmp_path / "points.txt")


def test_companions_that_a_format_has_no_use_for_are_the_callers_mistake(
    small_model: FaceModel, tmp_path: Path
) -> None:
    written = WRITERS["flame-npz"](tmp_path, small_model)
    with pytest.raises(ValueError, match="blendshapes"):
        load_model(written.path, blendshapes=written.path)
    small_model.save(tmp_path / "own.npz")
    with pytest.raises(ValueError, match="its own"):
        load_model(tmp_path / "own.npz", landmarks=written.path)


def test_our_own_file_is_loaded_as_it_is(small_model: FaceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path / "own.npz")
    np.testing.assert_allclose(load_model(tmp_path / "own.npz").mean, small_model.mean, atol=1e-4)


def test_without_h5py_the_extra_is_named(
    small_model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = WRITERS["bfm-h5"](tmp_path, small_model)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"likeness3d\[scans\]"):
        load_model(written.path)


def test_importing_the_formats_imports_none_of_the_extras() -> None:
    code = "import sys, likeness.model.formats; print({'scipy', 'h5py', 'torch', 'igl'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_3ddfa_without_its_companions_is_read_as_far_as_it_goes(small_model: FaceModel, tmp_path: Path) -> None:
    written = format_files.write_3ddfa(tmp_path, small_model, companions=False)
    with pytest.warns(FileWarning) as told:
        model = load_model(written.path)
    assert len(told) == 1
    assert "tri.pkl" in str(told[0].message)
    assert "not N(0, 1)" in str(told[0].message)
    codes = np.random.default_rng(1).standard_normal(written.sizes[0]) * 1e4
    moved = written.formula(codes, np.zeros(4)) - written.formula(0 * codes, np.zeros(4))
    np.testing.assert_allclose(model.vertices(codes) - model.mean, moved * 1e-3, atol=2e-3)
    assert model.topology.triangles.shape == (0, 3)
    model.save(tmp_path / "saved.npz")
    assert FaceModel.load(tmp_path / "saved.npz").topology.triangles.shape == (0, 3)


def test_triangles_from_1_are_those_from_0(small_model: FaceModel, tmp_path: Path) -> None:
    import pickle

    written = format_files.write_3ddfa(tmp_path, small_model)
    (tmp_path / "configs" / "tri.pkl").write_bytes(pickle.dumps(small_model.topology.triangles.T + 1, 2))
    np.testing.assert_array_equal(load_model(written.path).topology.triangles, small_model.topology.triangles)


@pytest.mark.parametrize("kind", ["deep3d", "3ddfa"])
def test_key_points_that_make_no_sense_are_left_out(kind: str, small_model: FaceModel, tmp_path: Path) -> None:
    written = WRITERS[kind](tmp_path, small_model)
    assert load_model(written.path).topology.landmarks is not None
    data = written.path.read_bytes()
    at = format_files.landmark_vertices(small_model)
    old = (3 * at[:, None] + np.arange(3)).ravel() if kind == "3ddfa" else at.astype(np.int64) + 1
    assert data.count(old.tobytes()) == 1
    written.path.write_bytes(data.replace(old.tobytes(), (old + 10**6).tobytes()))
    with pytest.warns(FileWarning, match="no landmarks"):
        assert load_model(written.path).topology.landmarks is None


@pytest.mark.parametrize("kind", ["flame-npz", "flame-python2"])
@pytest.mark.parametrize("tensors", [False, True])
def test_flames_landmarks_and_masks(kind: str, tensors: bool, small_model: FaceModel, tmp_path: Path) -> None:
    if tensors:
        pytest.importorskip("torch")
    path = WRITERS[kind](tmp_path, small_model).path
    bare = load_model(path)
    assert bare.topology.landmarks is None
    expected, eyeballs = format_files.write_flame_companions(tmp_path, small_model, tensors)
    model = load_model(path)
    shift = model.mean - bare.mean
    np.testing.assert_allclose(shift - shift[0], 0, atol=1e-3)
    middle = np.mean([expected[36:42].mean(0), expected[42:48].mean(0)], axis=0)
    np.testing.assert_allclose(model.landmark_bases[0][:51], expected[17:] - middle, atol=1e-3)
    regions = model.topology.regions
    np.testing.assert_array_equal(regions["eyes"], eyeballs)
    np.testing.assert_array_equal(regions["skin"], ~eyeballs)
    np.testing.assert_array_equal(regions["face"], small_model.topology.regions["face"] & ~eyeballs)
    assert regions["nose"].sum() == 2
    given = tmp_path / "given"
    given.mkdir()
    for name in ("landmark_embedding.npy", "FLAME_masks.pkl"):
        (tmp_path / name).rename(given / name)
    again = load_model(path, landmarks=given / "landmark_embedding.npy", masks=given / "FLAME_masks.pkl")
    np.testing.assert_array_equal(again.mean, model.mean)
    assert again.topology.regions.keys() == regions.keys()
    with pytest.raises(ValueError, match="masks only for FLAME"):
        load_model(WRITERS["eos1"](tmp_path, small_model).path, masks=given / "FLAME_masks.pkl")


def test_flames_other_files_say_what_they_are(small_model: FaceModel, tmp_path: Path) -> None:
    import pickle

    path = format_files.write_flame_npz(tmp_path, small_model).path
    embedding = {"lmk_face_idx": np.arange(51), "lmk_b_coords": np.full((51, 3), 1 / 3)}
    (tmp_path / "flame_static_embedding.pkl").write_bytes(pickle.dumps(embedding, protocol=2))
    with pytest.raises(FileError, match=r"51 landmarks .* no head; .* landmark_embedding\.npy"):
        load_model(tmp_path / "flame_static_embedding.pkl")
    with pytest.raises(FileError, match=r"expected landmark_embedding\.npy: .* no jaw line"):
        load_model(path, landmarks=tmp_path / "flame_static_embedding.pkl")
    masks = {"face": np.arange(5), "left_eyeball": np.arange(3)}
    (tmp_path / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks, protocol=2))
    with pytest.raises(FileError, match="masks and no head"):
        load_model(tmp_path / "FLAME_masks.pkl")


@pytest.mark.parametrize("name", ["landmark_embedding.npy", "FLAME_masks.pkl"])
def test_a_bad_companion_is_told_and_left_out_or_refused_where_it_was_asked_for(
    name: str, small_model: FaceModel, tmp_path: Path
) -> None:
    path = format_files.write_flame_npz(tmp_path, small_model).path
    bare = load_model(path)
    for content in (b"", b"nonsense", b"\x80\x02}."):
        (tmp_path / name).write_bytes(content)
        with pytest.warns(FileWarning, match=rf"left out: .*{name}"):
            np.testing.assert_array_equal(load_model(path).mean, bare.mean)
        key = "masks" if name.endswith("pkl") else "landmarks"
        with pytest.raises(FileError, match=name):
            load_model(path, **{key: tmp_path / name})
